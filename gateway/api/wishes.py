"""What a caller says of how a call is answered, in LiteLLM's words: headers and fields of the body."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from gateway.api.http import Call
from gateway.errors import InvalidRequest
from gateway.policy.attempts import Wishes

T = TypeVar("T")

MAX_RETRIES = 100
MAX_NAMES = 50
_HEADERS = frozenset((b"x-litellm-timeout", b"x-litellm-stream-timeout", b"x-litellm-num-retries", b"x-litellm-tags"))
_NONE = Wishes()


def wishes(call: Call, extra: dict[str, Any] | None = None) -> Wishes:
    """The wishes of a call; ``extra`` are the fields of its body that OpenAI does not know, and loses those read here.

    A header wins over the field. Raises ``InvalidRequest`` naming the field or header that is wrong.
    """
    if not extra and _HEADERS.isdisjoint(call.headers):
        return _NONE
    body = {} if extra is None else extra
    given = {name: call.headers[name].decode("latin-1").strip() for name in _HEADERS if name in call.headers}
    fallbacks = _taken(body, "fallbacks", _names)
    disabled = _taken(body, "disable_fallbacks", _flag)
    retries, timeout = _taken(body, "num_retries", _count), _taken(body, "timeout", _seconds)
    tags = _taken(body, "tags", _names) or ()
    for field in ("metadata", "litellm_metadata"):
        metadata = body.get(field)
        if isinstance(metadata, dict) and "tags" in metadata:
            tags += _names(metadata["tags"], f"{field}.tags")
    for name in (b"x-litellm-stream-timeout", b"x-litellm-timeout"):
        if name in given:
            timeout = _seconds(given[name], name.decode())
    if b"x-litellm-num-retries" in given:
        retries = _count(given[b"x-litellm-num-retries"], "x-litellm-num-retries")
    tags += tuple(tag.strip() for tag in given.get(b"x-litellm-tags", "").split(",") if tag.strip())
    return Wishes(fallbacks, not disabled, retries, timeout, frozenset(tags))


def _taken(body: dict[str, Any], name: str, read: Callable[[Any, str], T]) -> T | None:
    value = body.pop(name, None)
    return None if value is None else read(value, name)


def _names(value: Any, name: str) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > MAX_NAMES
        or not all(isinstance(each, str) and each for each in value)
    ):
        raise InvalidRequest(
            f"Invalid value for '{name}': it should be a list of at most {MAX_NAMES} names.", param=name
        )
    return tuple(value)


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool) and value not in ("true", "false"):  # a form has only text
        raise InvalidRequest(f"Invalid value for '{name}': it should be true or false.", param=name)
    return value in (True, "true")


def _count(value: Any, name: str) -> int:
    number = _number(value)
    if not 0 <= number <= MAX_RETRIES or number != int(number):
        raise InvalidRequest(
            f"Invalid value for '{name}': it should be a whole number from 0 to {MAX_RETRIES}.", param=name
        )
    return int(number)


def _seconds(value: Any, name: str) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        raise InvalidRequest(f"Invalid value for '{name}': it should be a number of seconds above 0.", param=name)
    return number


def _number(value: Any) -> float:
    """NaN, which no comparison lets pass, for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 30:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan
