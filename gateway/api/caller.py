"""Who calls, and whether it is a client's second try of a call."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field

from gateway.api.auth import KeyCheck
from gateway.api.http import Call
from gateway.api.wishes import wishes
from gateway.services.tasks import Caller


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
    (``x-stainless-retry-count``); those send no key of their own.
    """
    headers = call.scope["headers"]
    given = {name: value for name, value in headers if name in (b"idempotency-key", b"x-stainless-retry-count")}
    key = given.get(b"idempotency-key", b"").decode("latin-1").strip()
    count = given.get(b"x-stainless-retry-count", b"0").strip()
    retry = bool(key) or (count.isdigit() and int(count) > 0)
    route = call.scope["path"].removeprefix("/v1")
    wished = wishes(call, body.model_extra)
    return Caller(keys.owner(headers), route, content, key, retry, body.guardrails or (), call.record, wished)
