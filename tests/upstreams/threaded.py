"""What simulated vendors have in common: an aiohttp server on a thread of its own, and what it was asked."""

from __future__ import annotations

import asyncio
import threading
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


class OnThread:
    """Serves for the length of the ``with``. What inherits from it makes ``_runner`` in ``_open``."""

    _runner: web.AppRunner

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _open(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        """Nothing is left open: neither what nobody reads to its end, nor what came while it was closing."""
        server = self._runner.server
        assert server is not None
        transports = [each.transport for each in server.connections]
        await self._runner.cleanup()
        for transport in (*transports, *(each.transport for each in server.connections)):
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)  # the loop ends them at its next turn
        await asyncio.sleep(0)


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
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
