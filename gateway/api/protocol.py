"""The HTTP/1.1 connection: uvicorn's, with the limits it has no setting for.

uvicorn waits for ever for the end of a request's headers, takes headers of any size and any number of connections, and
answers what it cannot parse in plain text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gateway.api.http import CONNECTION
from gateway.config import GeneralSettings
from gateway.ids import request_id

HEADER_BYTES = 64 * 1024
"""The longest request line and headers together."""

UNSENT = 16 * 1024
"""Bytes that may wait for a slow reader here before whoever sends more has to wait."""

_SLOW = frozenset((b"connection", b"transfer-encoding"))
_CONTROLS = bytes({*range(32), 127} - {9, 10, 13})


class Cycle(RequestResponseCycle):
    """One request and its answer, as a ``Connection``; a streamed answer's head is written in one go.

    uvicorn looks at every header by itself, with two patterns: a third of the time that an answer takes there.
    """

    gone: Callable[[], None] | None = None

    @property
    def paused(self) -> bool:
        """Whether sending waits now."""
        return self.flow.write_paused

    def whole_body(self) -> bytes | None:
        """What the client has sent, if it is all there."""
        if self.more_body or self.waiting_for_100_continue:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.flow.resume_reading()
        self.message_event.clear()
        return body

    def lost(self) -> None:
        """The client has hung up."""
        if not self.response_complete:
            self.disconnected = True
            self.message_event.set()
            if self.gone is not None:
                self.gone()

    async def send(self, message: Any) -> None:
        """As ASGI says. What is not the plain beginning or middle of a stream is uvicorn's."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started and message["type"] == "http.response.start":
            if (head := self._head(message)) is not None:
                self.response_started = True
                self.waiting_for_100_continue = False
                self.transport.write(head)
                return
        elif self.chunked_encoding and not self.response_complete and message.get("more_body"):
            if body := message["body"]:
                self.transport.writelines((b"%x\r\n" % len(body), body, b"\r\n"))
            return
        await super().send(message)

    def _head(self, message: Any) -> bytes | None:
        """That of a usual answer on a connection that stays; ``None`` for any other."""
        status, headers = message["status"], message["headers"]
        if not self.keep_alive or status in (204, 304) or self.scope["method"] == "HEAD":
            return None
        lines, length = [STATUS_LINE[status]], None
        for name, value in (*self.default_headers, *headers):
            if name in _SLOW:
                return None
            if name == b"content-length":
                length = int(value)
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"transfer-encoding: chunked\r\n\r\n" if length is None else b"\r\n")
        head = b"".join(lines)
        ends = len(self.default_headers) + len(headers) + (3 if length is None else 2)
        if head.count(b"\r") != ends or head.count(b"\n") != ends or head.translate(None, _CONTROLS) != head:
            raise RuntimeError("A header holds a control character.")
        self.chunked_encoding, self.expected_content_length = length is None, length or 0
        return head


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Use ``limited`` to make the class that has a config's limits."""

    header_timeout = 10.0
    max_connections = 1000

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _in_headers = False
    _serving: Cycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Arm the deadline of the first request's headers, or turn the caller away."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self.transport.set_write_buffer_limits(UNSENT)
        if len(self.connections) > self.max_connections:
            self._answer(503, "Service Unavailable", "Too many connections; try again.", "overloaded")
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline, and tell who is being served."""
        self._disarm()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it where the client has reset: it would hold all of this
        if self._serving is not None:
            self._serving.lost()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of the headers."""
        if self._deadline is not None:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES + 65_536 and not self.transport.is_closing():
                # One read may carry headers and the beginning of a body: 64 KiB more are let through for that.
                self._answer(431, "Request Header Fields Too Large", "The headers are too large.", "headers_too_large")
                return
        super().data_received(data)
        if self._in_headers and self._deadline is None and not self.transport.is_closing():
            self._arm()  # they mostly come in one piece
            self._header_bytes = len(data)

    def on_message_begin(self) -> None:
        """A request begins: its headers are due."""
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        """The headers are here."""
        self._in_headers = False
        self._disarm()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed is answered in OpenAI's shape too."""
        self._answer(400, "Bad Request", msg, "invalid_http")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.__class__ = Cycle
        assert isinstance(cycle, Cycle)
        self._serving = cycle
        cycle.scope["extensions"] = {CONNECTION: cycle}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    def _arm(self) -> None:
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self.header_timeout, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            text = f"The request headers did not arrive within {self.header_timeout:g} s."
            self._answer(408, "Request Timeout", text, "request_timeout")

    def _answer(self, status: int, phrase: str, message: str, code: str) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        body = json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()
        lines = [
            f"HTTP/1.1 {status} {phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"x-request-id: {request_id(None)}",
            *(["retry-after: 1"] if status == 503 else []),
            "connection: close",
        ]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.transport.close()


def limited(settings: GeneralSettings) -> Callable[..., Any]:
    """The protocol class with the limits of a config."""
    limits = {"header_timeout": settings.header_timeout, "max_connections": settings.max_connections}
    return type("ConfiguredProtocol", (LimitedProtocol,), limits)
