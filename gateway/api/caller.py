"""Who calls, and whether it is a client's second try of a call."""

from __future__ import annotations

from gateway.api.auth import KeyCheck
from gateway.api.http import Call
from gateway.services.tasks import Caller


def caller(keys: KeyCheck, call: Call, content: object) -> Caller:
    """``content`` is the body, as JSON or parsed.

    A retry is what carries the ``Idempotency-Key`` of an earlier call, or what an official SDK of OpenAI's says is one
    (``x-stainless-retry-count``); those send no key of their own.
    """
    headers = call.scope["headers"]
    given = {name: value for name, value in headers if name in (b"idempotency-key", b"x-stainless-retry-count")}
    key = given.get(b"idempotency-key", b"").decode("latin-1").strip()
    count = given.get(b"x-stainless-retry-count", b"0").strip()
    retry = bool(key) or (count.isdigit() and int(count) > 0)
    return Caller(keys.owner(headers), call.scope["path"].removeprefix("/v1"), content, key, retry, call.record)
