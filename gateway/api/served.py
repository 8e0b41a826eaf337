"""The headers that say who served, and what that took."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gateway.api.http import Header
from gateway.ledger.row import cost_at_start
from gateway.record import Record
from gateway.services.served import Served

_LONGEST = 500


def served_headers(served: Served) -> list[Header]:
    """``x-media-gateway-model``, ``-provider``, and ``-fallback``, ``-dropped-params``, ``-adjusted-params``.

    With a cache also ``-cache``, and ``x-litellm-cache-key`` where the answer is kept.
    """
    headers = [*_who(served.model, served.provider)]
    if served.stands_in_for is not None:
        headers.append((b"x-media-gateway-fallback", plain(f"{served.stands_in_for}; reason={served.reason}")))
    if served.dropped:
        headers.append((b"x-media-gateway-dropped-params", plain(", ".join(served.dropped))))
    if served.adjusted:
        pairs = ", ".join(f"{name}={value}" for name, value in served.adjusted.items())
        headers.append((b"x-media-gateway-adjusted-params", plain(pairs)))
    if served.cache:
        headers.append((b"x-media-gateway-cache", plain(served.cache)))
    if served.cache_key:
        headers.append((b"x-litellm-cache-key", plain(served.cache_key)))
    return headers


@lru_cache(1024)
def _who(model: str, provider: str) -> tuple[Header, ...]:
    return (b"x-media-gateway-model", plain(model)), (b"x-media-gateway-provider", plain(provider))


def answer_headers(given: Iterable[Header], record: Record) -> list[Header]:
    """``given`` and what every answer says: what it took, in LiteLLM's words and ours (nothing where nobody was asked),
    what it costs, as far as that is known when it begins, and its id.

    ``x-litellm-model-id`` is the deployment that answered, or was the last to fail. A refusal that has cost nothing
    says nothing of costs.
    """
    headers, called = [*given], record.id.encode()
    if record.attempts:
        asked, last = len(record.attempts), record.attempts[-1]
        groups = 1 if asked == 1 else len({attempt.group for attempt in record.attempts})
        headers += _attempted(last.deployment, last.group, asked, groups, record.fallbacks)
    if record.media:
        headers.append((b"x-litellm-call-id", called))
        headers += _costs(record)
    spent = b"%d" % (record.seconds * 1000)
    headers += ((b"x-request-id", called), (b"openai-processing-ms", spent), (b"x-content-type-options", b"nosniff"))
    if record.guardrails:
        headers.append((b"x-litellm-applied-guardrails", plain(",".join(record.guardrails))))
    return headers


@lru_cache(1024)
def _attempted(deployment: str, group: str, attempts: int, groups: int, fallbacks: int) -> tuple[Header, ...]:
    told = {
        b"x-litellm-model-id": deployment,
        b"x-litellm-model-group": group,
        b"x-litellm-attempted-retries": str(attempts - groups),
        b"x-litellm-attempted-fallbacks": str(fallbacks),
        b"x-media-gateway-attempts": str(attempts),
    }
    return tuple((name, plain(value)) for name, value in told.items())


def _costs(record: Record) -> Sequence[Header]:
    cost = cost_at_start(record)
    if cost is not None and (cost.usd or record.status < 400):
        usd, sure = b"%.12g" % cost.usd, cost.certainty.encode()
        named = (b"x-litellm-response-cost", usd), (b"x-media-gateway-cost", usd)
        return (*named, (b"x-media-gateway-cost-certainty", sure))
    if cost is None and (record.usage is None or record.price is None):  # else a stream's is known at its end
        return ((b"x-media-gateway-cost-certainty", b"unknown"),)
    return ()


def plain(value: str) -> bytes:
    """A name from the config or the body may hold anything, line ends too; a header holds printable ASCII."""
    if len(value) <= _LONGEST and value.isascii() and value.isprintable():
        return value.encode("ascii")
    return re.sub(r"[^\x20-\x7e]", "?", value[:_LONGEST]).encode("ascii")
