"""What streams cost: how soon a first byte is passed on, a thousand slow readers, and twenty large clips at once."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from bench.contenders import Contender
from bench.load import SPEECH
from bench.upstreams import STAMP, Pace

STREAMS, CLIPS, READERS = 50, 20, 1000
FIRST_BYTE = Pace(pieces=20, size=4096, every=0.05, first=0.3)
LARGE = Pace(pieces=320, size=1 << 16, every=0, first=0)  # 20 MB
LONG = Pace(pieces=16, size=1 << 16, every=0, first=0)  # 1 MB
_TAKEN, _EVERY = 16_384, 0.5  # bytes that a slow reader takes at a time, and how often


@dataclass(frozen=True, slots=True)
class Found:
    """Milliseconds from sending to seeing the first byte, MB added at the most; of ``asked`` so many were answered."""

    asked: int
    whole: int
    p50: float = 0.0
    p99: float = 0.0
    added: float = 0.0
    spent: float = 0.0  # seconds of processor
    took: float = 0.0  # seconds

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def first_byte(who: Contender) -> Found:
    """Many at once, each a stream whose first piece says when it was sent."""
    return asyncio.run(_first_byte(who))


def clips(who: Contender) -> Found:
    """Large ones, read as fast as they come."""
    return asyncio.run(_watched(who, CLIPS, LARGE))


def slow_readers(who: Contender, seconds: float) -> Found:
    """Readers who take 32 KB a second for ``seconds``, then the rest; the latency is that of another call meanwhile."""
    return asyncio.run(_slow(who, seconds))


class _Reader:
    """One call on a connection of its own, without a library that would read ahead."""

    def __init__(self, who: Contender, body: dict[str, object]) -> None:
        model = str(body["model"])
        url = urlsplit(who.bases[model])
        content = json.dumps(body).encode()
        headers = {**who.headers.get(model, {}), "host": url.netloc, "content-type": "application/json"}
        headers |= {"content-length": str(len(content)), "connection": "close"}
        lines = [f"POST {url.path}/v1/audio/speech HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        self.request = "\r\n".join([*lines, "", ""]).encode() + content
        self.address = (url.hostname or "127.0.0.1", url.port or 80)
        self.size = 0
        self.delay: float | None = None
        self.good = False
        self._begin = b""
        self._socket = socket.socket()
        self._socket.settimeout(0)

    async def open(self, buffer: int | None = None) -> None:
        """Connect."""
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await asyncio.get_running_loop().sock_connect(self._socket, self.address)

    async def ask(self) -> None:
        """Send the request."""
        await asyncio.get_running_loop().sock_sendall(self._socket, self.request)

    async def take(self, most: int = 1 << 18) -> bool:
        """Read a little. False at the end."""
        data = await asyncio.get_running_loop().sock_recv(self._socket, most)
        self.size += len(data)
        if self.delay is None:
            self._begin += data
            if found := re.search(STAMP, self._begin):
                self.delay = time.monotonic() - int(found[1]) / 1e9
            self.good = self.good or self._begin.startswith(b"HTTP/1.1 200")
        return bool(data)

    async def rest(self) -> None:
        """Read all."""
        while await self.take():
            pass
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def whole(self, pace: Pace) -> bool:
        """Was it answered, to the end?"""
        return self.good and self.size >= pace.pieces * pace.size


def _paced(pace: Pace) -> dict[str, object]:
    return {**SPEECH, "model": "paced", "input": pace.text()}


async def _first_byte(who: Contender) -> Found:
    readers = [_Reader(who, _paced(FIRST_BYTE)) for _ in range(STREAMS)]
    await asyncio.gather(*(each.open() for each in readers))
    before, begun = who.process.spent(), time.monotonic()
    await asyncio.gather(*(each.ask() for each in readers))
    await asyncio.gather(*(each.rest() for each in readers))
    found = Found(STREAMS, sum(each.whole(FIRST_BYTE) for each in readers))
    return _timed(
        found, [each.delay for each in readers if each.delay is not None], who.process.spent() - before, begun
    )


async def _watched(who: Contender, count: int, pace: Pace) -> Found:
    readers = [_Reader(who, _paced(pace)) for _ in range(count)]
    before, begun = who.process.spent(), time.monotonic()
    await asyncio.gather(*(each.open() for each in readers))
    async with _most(who) as most:
        await asyncio.gather(*(each.ask() for each in readers))
        await asyncio.gather(*(each.rest() for each in readers))
    found = Found(count, sum(each.whole(pace) for each in readers), added=most[-1] - most[0])
    return _timed(
        found, [each.delay for each in readers if each.delay is not None], who.process.spent() - before, begun
    )


async def _slow(who: Contender, seconds: float) -> Found:
    readers = [_Reader(who, _paced(LONG)) for _ in range(READERS)]
    before, begun = who.process.spent(), time.monotonic()
    times: list[float] = []
    broken = 0

    async def read(reader: _Reader) -> None:
        nonlocal broken
        try:
            await reader.open(_TAKEN)
            await reader.ask()
            for _ in range(round(seconds / _EVERY)):
                await reader.take(_TAKEN)
                await asyncio.sleep(_EVERY)
            await reader.rest()
        except OSError:
            broken += 1

    async def probe() -> None:
        while time.monotonic() < begun + seconds:
            other = _Reader(who, dict(SPEECH))
            asked = time.monotonic()
            await other.open()
            await other.ask()
            await other.rest()
            times.append(time.monotonic() - asked)
            await asyncio.sleep(0.1)

    async with _most(who) as most:
        await asyncio.gather(probe(), *(read(each) for each in readers))
    found = Found(READERS, sum(each.whole(LONG) for each in readers), added=most[-1] - most[0])
    return _timed(found, times, who.process.spent() - before, begun)


def _timed(found: Found, times: list[float], spent: float, begun: float) -> Found:
    ordered = sorted(times) or [0.0]
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    median = statistics.median(ordered) * 1000
    return Found(found.asked, found.whole, median, p99 * 1000, found.added, spent, time.monotonic() - begun)


@asynccontextmanager
async def _most(who: Contender) -> AsyncIterator[list[float]]:
    """MB at the beginning, and the most that was seen: the first and the last of the list."""
    seen = [who.process.resident()] * 2

    async def watch() -> None:
        while True:
            seen[1] = max(seen[1], await asyncio.to_thread(who.process.resident))
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
