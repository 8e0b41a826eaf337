"""What Google's JSON APIs have in common: two spellings of each field, and one shape of errors.

Source: https://cloud.google.com/apis/design/errors. Proto JSON writes camelCase and reads snake_case too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from providers.base import errors
from providers.base.contract import Readiness
from providers.base.errors import ProviderError
from providers.base.exchange import Reply
from providers.base.refusals import MAX_PAUSE, refusal

T = TypeVar("T")

# google.rpc.Code as HTTP has it (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
_RPC = {1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 13: 500, 14: 503, 16: 401}


def snake(name: str) -> str:
    """``inlineData`` as ``inline_data``."""
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)


def member(found: object, name: str, kind: type[T]) -> T | None:
    """``found[name]`` in either spelling (``name`` is the camelCase one), where it is a ``kind``."""
    if not isinstance(found, Mapping):
        return None
    value = found.get(name, found.get(snake(name)))
    return value if isinstance(value, kind) else None


def items(found: object, name: str) -> list[Any]:
    """The list ``found[name]``; empty where there is none."""
    return member(found, name, list) or []


def refused(
    vendor: str, status: int, headers: Mapping[str, str], body: object, params: Mapping[str, str]
) -> ProviderError:
    """The error for an answer of Google's that is none of the expected ones.

    ``params``: parts of Google's field names, with OpenAI's name for what they stand for; the first that fits counts.
    """
    if isinstance(body, list) and body:
        body = body[0]  # a stream that is no event stream is a list of answers
    error = member(body, "error", dict) or {}
    said, details = member(error, "message", str) or "", items(error, "details")
    reasons = [member(detail, "reason", str) or "" for detail in details]
    if any(reason.startswith("API_KEY_") for reason in reasons):
        return refusal(vendor, 401, headers)  # a bad key is a 400 there
    if member(error, "status", str) == "FAILED_PRECONDITION":
        # Billing is off, or Google does not serve this place: nothing that a caller could write otherwise.
        closed = errors.Unavailable(str(refusal(vendor, status, headers, said)), reason="failed_precondition")
        closed.sent = "yes"
        return closed
    told = refusal(vendor, status, headers, said)
    delay = next(filter(None, (member(detail, "retryDelay", str) for detail in details)), "")
    if told.retry_after is None and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?s", delay):
        told.retry_after = min(float(delay[:-1]), MAX_PAUSE)
    if isinstance(told, errors.Refused):
        fields = [member(each, "field", str) or "" for detail in details for each in items(detail, "fieldViolations")]
        where = snake(" ".join((*fields, said))).lower()
        told.param = next((param for part, param in params.items() if part in where), None)
    return told


def rpc_refused(vendor: str, error: Mapping[str, Any], params: Mapping[str, str]) -> ProviderError:
    """The error for a ``google.rpc.Status``, as operations have it."""
    code = member(error, "code", int) or 0
    status = code if code >= 400 else _RPC.get(code, 500)
    return refused(vendor, status, {}, {"error": error}, params)


def known(reply: Reply) -> Readiness:
    """What a look at a model says, which costs nothing. Raises what a call would end with."""
    try:
        found = reply.json()
    except errors.BadAnswer:
        found = None
    if not reply.ok:
        raise refused(reply.vendor, reply.status, reply.headers, found, {})
    if not member(found, "name", str):
        raise errors.BadAnswer(f"{reply.vendor} answered with something that is no model.", sent="yes")
    return Readiness("ready")
