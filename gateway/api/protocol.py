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

from gateway.api.http import CONNECTION, Header
from gateway.config import GeneralSettings
from gateway.ids import request_id

HEADER_BYTES = 64 * 1024
"""The longest request line and headers together."""

UNSENT = 16 * 1024
"""Bytes that may wait for a slow reader here before whoever sends more has to wait."""

_CONTROLS = bytes({*range(32), 127} - {9})


class Cycle(RequestResponseCycle):
    """One request and its answer, as a ``Connection``. Where the answer's length is known its head goes out with the
    first of its body.

    uvicorn looks at every header by itself, with two patterns: a third of the time that an answer takes there.
    """

    gone: Callable[[], None] | None = None
    _head = b""

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
        """As ASGI says."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        begins = message["type"] == "http.response.start"
        if self.response_complete or begins is self.response_started:
            raise RuntimeError(f"An answer has no {message['type']} there.")
        if begins:
            self._begin(message["status"], [*self.default_headers, *message.get("headers", ())])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        parts: tuple[bytes, ...]
        if self.chunked_encoding:
            parts = (b"%x\r\n" % len(body), body, b"\r\n") if body else ()
            if not more:
                parts += (b"0\r\n\r\n",)
        else:
            body = b"" if self.scope["method"] == "HEAD" else body
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("The body of an answer is not as long as its head says.")
            parts, self._head = (self._head, body), b""
        self.transport.writelines(parts)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _begin(self, status: int, headers: list[Header]) -> None:
        named = dict(headers)
        if b"close" in named.get(b"connection", b"").lower():
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))
        bare = self.scope["method"] == "HEAD" or status in (204, 304)
        length = b"0" if bare else named.get(b"content-length")
        if length is None:
            headers.append((b"transfer-encoding", b"chunked"))
        head = STATUS_LINE[status] + b"\r\n".join([*map(b": ".join, headers), b"", b""])
        if len(head.translate(None, _CONTROLS)) != len(head) - 2 * (len(headers) + 2):
            raise RuntimeError("A header holds a control character.")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding, self.expected_content_length = length is None, int(length or 0)
        if length is None:
            self.transport.write(head)
        else:
            self._head = head


class LimitedProtocol(HttpToolsProtocol):
    """One connection. Use ``limited`` to make the class that has a config's limits."""

    header_timeout = 10.0
    max_connections = 1000

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
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
        whole = self.scope is None or "method" in self.scope  # uvicorn knows it when the last of the headers is here
        if not whole and self._deadline is None and not self.transport.is_closing():
            self._arm()  # they mostly come in one piece
            self._header_bytes = len(data)

    def on_headers_complete(self) -> None:
        """The headers are here."""
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
