"""What the server makes of an application's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.api.http import Header, Receive, Scope, Send
from gateway.api.protocol import limited
from gateway.config import GeneralSettings

LENGTH = [(b"content-length", b"10")]


@asynccontextmanager
async def server(
    status: int, headers: Sequence[Header], pieces: Sequence[bytes], header_timeout: float = 10
) -> AsyncIterator[int]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none")
    config.load()
    state = ServerState()
    made: Any = limited(GeneralSettings(header_timeout=header_timeout))
    listening = await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with listening:
        yield listening.sockets[0].getsockname()[1]


async def answered(
    request: str, headers: Sequence[Header], pieces: Sequence[bytes] = (), status: int = 200
) -> tuple[set[bytes], bytes]:
    """The head's lines, and all that follows until a second request on the connection is answered or it is closed."""
    async with server(status, headers, pieces) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request}\r\nhost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        rest = await reader.read()
        writer.close()
    return {*head.lower().splitlines()}, rest.partition(b"HTTP/1.1")[0]


@pytest.mark.parametrize(
    ("request_line", "headers", "head", "rest"),
    [
        ("GET / HTTP/1.1", [], b"transfer-encoding: chunked", b"3\r\nabc\r\n7\r\ndefghij\r\n0\r\n\r\n"),
        ("GET / HTTP/1.1", LENGTH, b"content-length: 10", b"abcdefghij"),
        ("HEAD / HTTP/1.1", LENGTH, b"content-length: 10", b""),
        ("HEAD / HTTP/1.1", [], b"http/1.1 200 ok", b""),
        ("GET / HTTP/1.0", LENGTH, b"connection: close", b"abcdefghij"),
        ("GET / HTTP/1.1", [*LENGTH, (b"connection", b"close")], b"connection: close", b"abcdefghij"),
    ],
)
async def test_the_head_says_what_follows(
    request_line: str, headers: Sequence[Header], head: bytes, rest: bytes
) -> None:
    lines, follows = await answered(request_line, headers, (b"abc", b"", b"defghij"))
    assert head in lines
    assert follows == rest


async def test_an_answer_without_a_body_has_no_length() -> None:
    lines, follows = await answered("GET / HTTP/1.1", [], (), 204)
    assert lines.isdisjoint((b"transfer-encoding: chunked", b"content-length: 0"))
    assert follows == b""


@pytest.mark.parametrize("value", [b"a\r\nx-more: b", b"a\nb", b"a\rb", b"a\x00b", b"a\x7fb"])
async def test_a_header_holds_no_control_characters(value: bytes) -> None:
    lines, follows = await answered("GET / HTTP/1.1", [*LENGTH, (b"x-made-by", value)], (b"abcdefghij",))
    assert b"http/1.1 500 internal server error" in lines
    assert follows == b"Internal Server Error"


@pytest.mark.parametrize(("pieces", "told"), [((b"abc",), b"abc"), ((b"abc", b"defghijk"), b"abc")])
async def test_the_connection_is_cut_where_a_body_is_not_as_long_as_it_should_be(
    pieces: Sequence[bytes], told: bytes
) -> None:
    _, follows = await answered("GET / HTTP/1.1", LENGTH, pieces)
    assert follows == told


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"])
async def test_headers_that_do_not_end_are_not_waited_for(before: bytes) -> None:
    async with server(200, LENGTH, (b"abcdefghij",), header_timeout=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before)
        if before:
            assert (await reader.readuntil(b"abcdefghij")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.write(b"GET / HTTP/1.1\r\nhost")
        assert (await reader.readline()) == b"HTTP/1.1 408 Request Timeout\r\n"
        assert b"request_timeout" in await reader.read()
        writer.close()


async def test_requests_that_come_together_are_answered_one_after_the_other() -> None:
    async with server(200, LENGTH, (b"abcdefghij",)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /a%20b?c HTTP/1.1\r\nhost: x\r\n\r\n" * 2 + b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        answers = await reader.read()
        writer.close()
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == answers.count(b"\r\n\r\nabcdefghij") == 3
