"""Every error as OpenAI's ``{"error": {message, type, param, code}}``."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.api.http import Header, Send, send_json
from gateway.errors import GatewayError, InvalidRequest, MethodNotAllowed, OverQuota
from providers.base.errors import ProviderError


class ErrorDetail(BaseModel):
    """What went wrong, and what would be right."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """Every error has this shape."""

    error: ErrorDetail


def error_body(error: GatewayError | ProviderError) -> dict[str, Any]:
    """The JSON document for an error."""
    return {"error": {"message": str(error), "type": error.kind, "param": error.param, "code": error.code}}


def error_headers(error: GatewayError | ProviderError) -> list[tuple[str, str]]:
    """The headers that belong to an error."""
    headers = []
    if error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
    if isinstance(error, MethodNotAllowed):
        headers.append(("allow", ", ".join(error.allowed)))
    if error.code == "submission_unknown" or isinstance(error, OverQuota):
        headers.append(("x-should-retry", "false"))  # the official SDKs would send it again
    if error.status == 401:
        headers.append(("www-authenticate", "Bearer"))
    return headers


async def send_error(send: Send, error: GatewayError | ProviderError, headers: Iterable[Header] = ()) -> None:
    """Answer with an error."""
    more = [(name.encode(), value.encode()) for name, value in error_headers(error)]
    await send_json(send, error.status, error_body(error), [*headers, *more])


# pydantic's error types -> OpenAI's codes, the rest is invalid_value.
_CODES = {
    "missing": "missing_required_parameter",
    "string_too_long": "string_above_max_length",
    "string_too_short": "string_below_min_length",
    "extra_forbidden": "unknown_parameter",
    "greater_than_equal": "decimal_below_min_value",
    "less_than_equal": "decimal_above_max_value",
}


def invalid(error: ValidationError) -> InvalidRequest:
    """The first fault of a body in OpenAI's words. ``param`` is a path such as ``voice.id``."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "json_invalid":
        reason = fault.get("ctx", {}).get("error", "it cannot be parsed")
        return InvalidRequest(
            f"We could not parse the JSON body of your request: {reason}. "
            "Send a JSON object with Content-Type: application/json.",
            code="invalid_json",
        )
    # A union (voice: text or object) adds the name of its branch, which is no field of the caller's.
    path = [
        str(step)
        for place, step in enumerate(fault["loc"])
        if not (place == 1 and step in ("text", "object", "vendor"))
    ]
    param = ".".join(path) or None
    kind = str(fault["type"])
    code = _CODES.get(kind) or ("invalid_type" if kind.endswith("_type") else "invalid_value")
    if kind == "missing":
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code=code)
    if param is None:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    message = str(fault["msg"]).removeprefix("Value error, ").replace("Input should be", "it should be")
    got = "" if code.startswith("string_") else f", got {_shown(fault.get('input'))}"
    return InvalidRequest(
        f"Invalid value for '{param}': {message[:1].lower()}{message[1:]}{got}.", param=param, code=code
    )


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
