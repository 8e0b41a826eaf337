"""Connections that hold little for a reader who is slow."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

PIECE = 64 * 1024
"""Bytes that are read at once."""
UNREAD = PIECE // 2
"""aiohttp stops reading where more than twice as much waits, which one read alone does not fill: with what was read
last, at most ``PIECE + 2 * UNREAD`` bytes."""


class _Handler(ResponseHandler):
    """One connection, behind what reads for it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast("asyncio.Transport", transport).set_protocol(_Reading(self))

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp says so after each piece, and would have its parser look for more.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def close(self) -> None:
        super().close()
        self._forget()

    def abort(self) -> None:
        super().abort()
        self._forget()

    def _forget(self) -> None:
        """An answer that its caller did not wait for holds this, as this holds it: both, and all that had come of its
        body, would wait for the collector."""
        if self._buffer:
            self._buffer.clear()
            self.set_exception(aiohttp.ServerDisconnectedError())


class _Reading(asyncio.BufferedProtocol):
    """Hands a handler what it reads. By itself uvloop reads 256 kB, however little the handler wants to hold."""

    _space = memoryview(bytearray(PIECE))  # for all: what was read is copied out at once

    def __init__(self, handler: ResponseHandler) -> None:
        self._handler = handler

    def get_buffer(self, _hint: int) -> memoryview:
        return self._space

    def buffer_updated(self, count: int) -> None:
        self._handler.data_received(bytes(self._space[:count]))

    def eof_received(self) -> None:
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()


class Connector(aiohttp.TCPConnector):
    """aiohttp's, whose connections read ``PIECE`` bytes at once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Handler, loop=asyncio.get_running_loop())
