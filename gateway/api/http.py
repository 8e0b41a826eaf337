"""The few words of ASGI that both lanes share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from gateway.record import Record

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


@dataclass(slots=True)
class Call:
    """One HTTP request on its way. ``complete``: the answer's last byte was handed to the server.

    ``noted`` is the code of its error when it was written down.
    """

    scope: Scope
    receive: Receive
    send: Send
    record: Record
    complete: bool = False
    noted: str | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first header called ``name`` (lower case)."""
        return next((value for key, value in self.scope["headers"] if key == name), None)


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
