"""A small HTTP/1.1 server on raw sockets: it answers as scripted, faults included, and remembers what it was sent.

    async with Upstream(reply(200, b"first"), reset()) as upstream:   # one step a request; the last one repeats
        ... upstream.url("/path") ... upstream.requests[0].body

A step is ``async def step(line: Line) -> bool``; it writes what it likes and returns whether the connection is kept.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from providers.base.wire import Wire
from tests.upstreams.threaded import nobody_more, turns


@dataclass
class Received:
    """One request. ``headers`` have names in lower case; ``connection`` counts from 0."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Line:
    """One connection at the moment of an answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Received
    upstream: Upstream

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        await self.send("\r\n".join(lines).encode("latin-1"))

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the other side has hung up."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Wire]:
    """A client for the length of a test."""
    wire = Wire(**options)
    try:
        yield wire
    finally:
        await wire.close()


Step = Callable[[Line], Awaitable[bool]]


def reply(status: int = 200, body: bytes | str | dict[str, Any] | list[Any] = b"", **headers: str) -> Step:
    """A proper answer; ``content_type=…`` becomes the header ``content-type``."""
    data = (
        json.dumps(body).encode() if isinstance(body, dict | list) else body.encode() if isinstance(body, str) else body
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def step(line: Line) -> bool:
        await line.head(status, {"content-length": str(len(data)), **named})
        await line.send(data)
        return True

    return step


def chunked(
    pieces: Iterable[bytes], *, before_each: Callable[[], Awaitable[object]] | None = None, end: bool = True
) -> Step:
    """Chunks, each after ``before_each()``; without an ``end`` the last one is missing and the connection closes."""
    pieces = list(pieces)

    async def step(line: Line) -> bool:
        await line.head(200, {"transfer-encoding": "chunked"})
        for piece in pieces:
            if before_each is not None:
                await before_each()
            await line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        if end:
            await line.send(b"0\r\n\r\n")
        return end

    return step


def flood(status: int = 200, piece: bytes = b"\0" * 65536) -> Step:
    """A body that does not end until the other side hangs up; ``upstream.hung_up`` is set then."""

    async def step(line: Line) -> bool:
        await line.head(status, {"transfer-encoding": "chunked"})
        try:
            while not line.reader.at_eof():
                await line.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        line.upstream.hung_up.set()
        return False

    return step


def cut(body: bytes, *, declared: int | None = None, rst: bool = False) -> Step:
    """``body`` and then the end of the connection, after promising ``declared`` bytes (``None``: no promise)."""

    async def step(line: Line) -> bool:
        await line.head(200, {"connection": "close"} if declared is None else {"content-length": str(declared)})
        await line.send(body)
        if rst:
            await line.upstream.go.wait()
            line.reset()
        return False

    return step


def raw(data: bytes) -> Step:
    """Bytes as they are, and the end."""

    async def step(line: Line) -> bool:
        await line.send(data)
        return False

    return step


def reset(*, rst: bool = True) -> Step:
    """The request is read, and the connection ends with no answer."""

    async def step(line: Line) -> bool:
        if rst:
            line.reset()
        return False

    return step


def silence(start: bytes = b"") -> Step:
    """``start`` and then nothing, until the other side hangs up."""

    async def step(line: Line) -> bool:
        await line.send(start)
        await line.gone()
        line.upstream.hung_up.set()
        return False

    return step


class Upstream:
    """The server, on a free port of ``host``. ``open`` connections now, ``most_open`` at once, ``connections`` ever."""

    def __init__(self, *steps: Step, host: str = "127.0.0.1") -> None:
        self.steps = steps or (reply(),)
        self.host, self.port = host, 0
        self.requests: list[Received] = []
        self.connections = self.open = self.most_open = 0
        self.hung_up = asyncio.Event()
        self.go = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()

    def url(self, path: str = "/", scheme: str = "http") -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{path}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await nobody_more(*self._server.sockets)
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:  # closing alone would wait for a reader who takes nothing
            transport.abort()
        await turns()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._transports.add(writer.transport)
        number, self.connections = self.connections, self.connections + 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while (request := await self._read(reader, number)) is not None:
                step = self.steps[min(len(self.requests), len(self.steps) - 1)]
                self.requests.append(request)
                if not await step(Line(reader, writer, request, self)):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Received | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        first, *rest = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        method, path, _ = first.split(" ")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Received(method, path, headers, body, number)
