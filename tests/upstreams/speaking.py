"""What the simulated vendors of speech have in common: a thread, faults in line, sound in pieces, what was billed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from aiohttp import web

from engines.codec import Encoder
from engines.media import AudioFormat, AudioSpec
from engines.synthetic import voice_like
from tests.upstreams.threaded import OnThread, Site

Json = dict[str, Any]
PIECES = 20


@dataclass(frozen=True)
class Fault:
    """Instead of the answer to one call for speech. ``after``: that many pieces of sound come first, then ``ends``."""

    status: int = 0
    body: str | Json = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: int | None = None
    ends: Json | None = None  # an event that says so; ``None``: the connection ends
    silent: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came. ``headers`` have names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


BAD_GATEWAY = Fault(502, "<html><head><title>502 Bad Gateway</title></head></html>")
CUT = Fault(after=3)
SILENT = Fault(silent=True)


@lru_cache(maxsize=64)
def sound(text: str, format: AudioFormat, rate: int = 24_000, speed: float = 1.0) -> bytes:
    """Something as long as it takes to say ``text``; raw samples are at ``rate``, the other formats at their own."""
    samples = voice_like(text, speed)
    if format is AudioFormat.PCM:
        step = 24_000 / rate
        frames = [samples[at : at + 2] for at in (2 * int(step * n) for n in range(int(len(samples) / 2 / step)))]
        return b"".join(frames) if rate != 24_000 else samples
    encoder = Encoder(format, AudioSpec(AudioFormat.PCM))
    return encoder.feed(samples) + encoder.finish()


def pieces(data: bytes) -> list[bytes]:
    size = max(1, -(-len(data) // PIECES))
    return [data[at : at + size] for at in range(0, len(data), size)]


class Speaking(OnThread):
    """The server, on a thread of its own. ``ledger`` has what was billed, ``hung_up`` is set when a client leaves a stream.

    ``gate``: each piece of sound but the first waits for it, where it is there; ``pace`` are seconds before each.
    """

    def __init__(self) -> None:
        self.base = ""
        self.requests: list[Asked] = []
        self.ledger: list[Json] = []
        self.hung_up = threading.Event()
        self.gate: asyncio.Event | None = None
        self.pace = 0.0
        self._faults: deque[Fault] = deque()

    def routes(self, app: web.Application) -> None:
        raise NotImplementedError

    def next(self, fault: Fault) -> None:
        """For the next call for speech; several wait in line."""
        self._faults.append(fault)

    def fault(self) -> Fault | None:
        return self._faults.popleft() if self._faults else None

    def hold(self) -> None:
        """From now on a stream stops after its first piece, until its client leaves."""
        self.gate = asyncio.Event()

    async def _open(self) -> None:
        app = web.Application(client_max_size=4 * 2**20)
        self.routes(app)
        self._site = Site(app, cancels=True)
        self.base = await self._site.open()

    def noted(
        self, work: Callable[[web.Request, Asked], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that remembers what it was asked."""

        async def handler(request: web.Request) -> web.StreamResponse:
            headers = {name.lower(): value for name, value in request.headers.items()}
            asked = Asked(request.method, request.path, dict(request.query), headers, await request.read())
            self.requests.append(asked)
            return await work(request, asked)

        return handler

    @staticmethod
    def answer(status: int, body: str | Json, headers: dict[str, str] | None = None) -> web.Response:
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html", headers=headers)
        return web.json_response(body, status=status, headers=headers)

    async def stream(
        self, request: web.Request, parts: list[bytes], headers: dict[str, str], fault: Fault | None = None
    ) -> web.StreamResponse:
        """``parts`` as chunks; a ``fault`` with ``after`` ends them early."""
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            for number, part in enumerate(parts):
                if fault is not None and fault.after == number:
                    assert request.transport is not None
                    request.transport.close()
                    return response
                if self.gate is not None and number:
                    await self.gate.wait()
                if self.pace:
                    await asyncio.sleep(self.pace)
                await response.write(part)
            await response.write_eof()
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        return response
