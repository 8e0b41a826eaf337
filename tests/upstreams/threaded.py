"""What simulated vendors have in common: an aiohttp server on a thread of its own, and what it was asked."""

from __future__ import annotations

import asyncio
import socket
import threading
from asyncio.trsock import TransportSocket
from dataclasses import dataclass
from typing import Self

from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """One request. ``headers`` have names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Site:
    """An application on a free port of 127.0.0.1; ``base`` is its address."""

    def __init__(self, app: web.Application, *, cancels: bool = False) -> None:
        """``cancels``: a client that leaves ends what its request began."""
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=cancels)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def open(self) -> str:
        """Begin to serve; ``base``."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self.base

    async def close(self) -> None:
        """Nothing is left open: neither what nobody reads to its end, nor who was taken in the last moment."""
        server = self._runner.server
        assert server is not None
        await nobody_more(self._socket)
        transports = [each.transport for each in server.connections]
        await self._runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()
        await turns()


async def nobody_more(*listening: socket.socket | TransportSocket) -> None:
    """Take no connection from now on; those taken are with their protocols afterwards.

    A server that is closed before that drops them unclosed (https://github.com/python/cpython/issues/109564).
    """
    for each in listening:
        asyncio.get_running_loop().remove_reader(each.fileno())
    await turns()


async def turns() -> None:
    """What happens within a few turns of the loop has happened: a connection begins in two, and ends in one."""
    for _ in range(4):
        await asyncio.sleep(0)


class OnThread:
    """Serves for the length of the ``with``. What inherits from it opens ``_site`` in ``_open``."""

    _site: Site

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._site.close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _open(self) -> None:
        raise NotImplementedError


class Threaded(OnThread):
    """``base`` is its address. With ``hold`` each stream stops after its first piece, until ``release``; ``pace`` are
    seconds before each piece; ``hung_up`` is set when a client leaves a stream."""

    def __init__(self, *, hold: bool = False) -> None:
        self.base = ""
        self.requests: list[Asked] = []
        self.hung_up = threading.Event()
        self.held = hold
        self.pace = 0.0
        self.go = asyncio.Event()

    def routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    async def asked(self, request: web.Request) -> bytes:
        """Write the request down; its body."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Asked(request.method, request.path_qs, headers, await request.read()))
        return self.requests[-1].body

    def release(self) -> None:
        """Let the streams go on."""
        self._loop.call_soon_threadsafe(self.go.set)

    async def _open(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        self.routes(app.router)
        self._site = Site(app, cancels=True)
        self.base = await self._site.open()
