"""Reading a request body: bounded in size and in time, and only after the caller was let in."""

from __future__ import annotations

import asyncio

from gateway.api.http import Call
from gateway.errors import BodyTimeout, InvalidRequest, TooLarge


class ClientGone(Exception):
    """The caller hung up before the body was complete."""


async def read_body(call: Call, limit: int, seconds: float) -> bytes:
    """The whole body. Raises ``TooLarge``, ``BodyTimeout``, ``InvalidRequest`` or ``ClientGone``."""
    declared = call.headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    if call.connection is not None and (body := call.connection.whole_body()) is not None:
        return _filled(body, limit)
    try:
        async with asyncio.timeout(seconds):
            return await _all(call, limit)
    except TimeoutError:
        raise BodyTimeout(f"The request body did not arrive within {seconds:g} s.") from None


async def _all(call: Call, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return _filled(bytes(body), limit)


def _filled(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    if not body:
        raise InvalidRequest(
            "The request has no body. Send a JSON object with Content-Type: application/json.", code="invalid_json"
        )
    return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than the limit of {limit:,} bytes (max_request_size_mb in the config)."
    )
