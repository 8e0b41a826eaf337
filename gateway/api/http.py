"""The few words of ASGI that both lanes share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

from gateway.record import Record

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]
Headers = Mapping[bytes, bytes]


class Flow(Protocol):
    """``write_paused``: the client takes its bytes too slowly, and whatever is sent waits."""

    write_paused: bool


class Connection(Protocol):
    """What our own server tells beyond ASGI, under ``CONNECTION`` in the scope's ``extensions``.

    ``gone`` is called when the client hangs up before the end of his answer (whoever wants to know sets it), and
    ``disconnected`` tells it afterwards.
    """

    flow: Flow
    gone: Callable[[], None] | None
    disconnected: bool

    def whole_body(self) -> bytes | None:
        """What the client has sent, if it is all there already; nothing is left to receive then."""


CONNECTION = "media_gateway.connection"


class Call:
    """One HTTP request on its way. ``complete``: the answer's last byte was handed to the server.

    ``noted`` is the code of its error when it was written down. ``headers`` are by name, in lower case; of several
    with one name it is the first. ``connection``: ``None`` where another server than ours serves.
    """

    __slots__ = ("complete", "connection", "headers", "noted", "receive", "record", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.record = record
        self.complete = False
        self.noted: str | None = None
        self.headers: Headers = dict(reversed(scope["headers"]))
        # Taken out: the server's own part of a request holds its scope, and would live until the collector looks.
        self.connection: Connection | None = scope.get("extensions", {}).pop(CONNECTION, None)


Endpoint = Callable[[Call], Awaitable[None]]


async def send_json(send: Send, status: int, content: object, headers: Iterable[Header] = ()) -> None:
    """Answer with a JSON document."""
    await send_bytes(send, status, json.dumps(content, ensure_ascii=False).encode(), b"application/json", headers)


async def send_bytes(send: Send, status: int, body: bytes, media: bytes, headers: Iterable[Header] = ()) -> None:
    """Answer with a body that is complete."""
    length = str(len(body)).encode()
    start = [(b"content-type", media), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
