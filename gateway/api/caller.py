"""Who calls, for whom and under which tags, and whether it is a client's second try of a call."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field

from gateway.api.auth import KeyCheck
from gateway.api.http import Call
from gateway.api.wishes import wishes
from gateway.errors import InvalidRequest
from gateway.services.caller import Caller

_MOST = 256  # letters in the name of an end user, or in a tag
_MOST_TAGS = 32
_OURS = ("user", "metadata", "litellm_metadata", "safety_identifier")


def _listed(value: object) -> object:
    """A form has no lists but for ``name[]``: there one text holds the names, with commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


Guardrails = Annotated[
    Annotated[tuple[Annotated[str, Field(strict=True, min_length=1, max_length=256)], ...], Field(max_length=100)]
    | None,
    BeforeValidator(_listed),
    Field(description="Guards of the config to apply, beside those that always are."),
]
"""The field ``guardrails`` of a body: for the gateway, never for a provider."""


class Body(Protocol):
    """What every body has beside its own fields."""

    guardrails: Guardrails

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """The fields that OpenAI does not know."""


def caller(keys: KeyCheck, call: Call, content: object, body: Body) -> Caller:
    """``content`` is ``body`` as JSON or parsed; of its further fields those that are wishes are taken out.

    A retry is what carries the ``Idempotency-Key`` of an earlier call, or what an official SDK of OpenAI's says is one
    (``x-stainless-retry-count``); those send no key of their own. Raises ``InvalidRequest``.
    """
    headers, extra = call.headers, body.model_extra
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    count = headers.get(b"x-stainless-retry-count", b"0").strip()
    retry = bool(key) or (count.isdigit() and int(count) > 0)
    dry_run = headers.get(b"x-media-gateway-dry-run", b"").strip().lower() in (b"true", b"1")
    wished = wishes(call, extra)
    _say_who(call, keys.end_user_headers, extra or {}, wished.tags)
    route, guardrails = call.scope["path"].removeprefix("/v1"), body.guardrails or ()
    return Caller(keys.owner(headers), route, content, key, retry, guardrails, dry_run, call.record, wished)


def passed_on(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """What of a body's further fields is for the provider: not those that say who asks."""
    return {name: value for name, value in extra.items() if name not in _OURS} if extra else {}


def _say_who(call: Call, names: Iterable[bytes], extra: Mapping[str, Any], tags: Collection[str]) -> None:
    if not extra and not tags and call.headers.keys().isdisjoint(names):
        return
    end_user = _storable(_end_user(call, names, extra))
    every = tuple(dict.fromkeys((*call.record.who.tags, *map(_storable, sorted(tags)))))
    if len(end_user) > _MOST:
        raise InvalidRequest(f"The name of an end user has at most {_MOST} letters.", param="user")
    if len(every) > _MOST_TAGS or any(len(tag) > _MOST for tag in every):
        raise InvalidRequest(f"A call has at most {_MOST_TAGS} tags of {_MOST} letters.", param="metadata")
    call.record.who = replace(call.record.who, end_user=end_user, tags=every)


def _end_user(call: Call, names: Iterable[bytes], extra: Mapping[str, Any]) -> str:
    """In LiteLLM's order; what is no text is not looked at, as there."""
    said: list[object] = [
        *((call.headers.get(name) or b"").decode("latin-1").strip() for name in names),
        extra.get("user"),
        _inside(extra, "litellm_metadata", "user"),
        _inside(extra, "metadata", "user_id"),
        extra.get("safety_identifier"),
    ]
    return next((each for each in said if isinstance(each, str) and each), "")


def _inside(extra: Mapping[str, Any], field: str, name: str) -> object:
    """A part of a field that holds an object; in a form that is JSON in text."""
    given = extra.get(field)
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    return given.get(name) if isinstance(given, dict) else None


def _storable(text: str) -> str:
    """JSON can hold half a surrogate pair; nothing that is kept or sent can."""
    return text.encode("utf-8", "replace").decode()
