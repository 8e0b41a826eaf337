"""Sending bytes as they come, and stopping the work behind them when nobody listens any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType

from gateway.api.body import ClientGone
from gateway.api.http import Call, Header
from gateway.errors import GatewayError
from providers.base.errors import ProviderError

_log = logging.getLogger(__name__)


class StreamBroken(Exception):
    """The answer had begun when its source failed: the connection is cut, so that the client sees it is incomplete."""


class while_connected:  # noqa: N801 - reads as a function
    """Cancel the body of the ``with`` when the caller hangs up; it then ends with ``ClientGone``.

    The request's body must have been read: after that the server's next message is the disconnect.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if self._call.connection is None:
            self._watcher = asyncio.create_task(self._watch())
        else:
            self._call.connection.gone = self._hung_up
            if self._call.connection.disconnected:
                self._hung_up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self._call.connection is not None:
            self._call.connection.gone = None
        if self._gone and isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientGone from None

    async def _watch(self) -> None:
        while (await self._call.receive())["type"] != "http.disconnect":
            pass
        self._hung_up()

    def _hung_up(self) -> None:
        if not self._call.complete:  # the server says "disconnect" after a complete answer too
            self._gone = True
            self._task.cancel()


async def send_stream(
    call: Call,
    chunks: AsyncIterator[bytes],
    media: str,
    headers: list[Header],
    stall: float,
    length: int | None = None,
) -> None:
    """Send ``chunks`` (``length`` bytes in all, where that is known) with back-pressure.

    A reader who takes nothing for ``stall`` seconds is cut off. Raises ``StreamBroken`` where the source fails.
    """
    start = [(b"content-type", media.encode()), *headers]
    if length is not None:
        start.append((b"content-length", b"%d" % length))
    await call.send({"type": "http.response.start", "status": 200, "headers": start})
    connection, left = call.connection, length
    try:
        async for chunk in chunks:
            message = {"type": "http.response.body", "body": chunk, "more_body": True}
            if left is not None and (left := left - len(chunk)) <= 0:
                await _ends(chunks, left)
                message["more_body"] = False
            if connection is not None and not connection.flow.write_paused:
                await call.send(message)  # it does not wait
            else:
                async with asyncio.timeout(stall):
                    await call.send(message)
            if left == 0:
                return
    except (GatewayError, ProviderError) as error:
        raise StreamBroken(str(error)) from error
    except TimeoutError:
        raise StreamBroken(f"the client took nothing for {stall:g} s") from None
    if length is not None:
        raise StreamBroken("the source ended early")
    await call.send({"type": "http.response.body", "body": b""})


async def _ends(chunks: AsyncIterator[bytes], left: int) -> None:
    """What is done at the end of a source is done before its last byte is sent."""
    async for _ in chunks:
        left -= 1
    if left < 0:
        raise StreamBroken("the source has more than it said")
