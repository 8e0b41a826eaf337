"""The headers that say who served, and what that took."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    told: list[tuple[bytes, str]] = []
    if served.stands_in_for is not None:
        told.append((b"x-media-gateway-fallback", f"{served.stands_in_for}; reason={served.reason}"))
    if served.dropped:
        told.append((b"x-media-gateway-dropped-params", ", ".join(served.dropped)))
    if served.adjusted:
        pairs = ", ".join(f"{name}={value}" for name, value in served.adjusted.items())
        told.append((b"x-media-gateway-adjusted-params", pairs))
    if served.cache:
        told.append((b"x-media-gateway-cache", served.cache))
    if served.cache_key:
        told.append((b"x-litellm-cache-key", served.cache_key))
    headers.extend((name, plain(value)) for name, value in told)
    return headers


@lru_cache(1024)
def _who(model: str, provider: str) -> tuple[Header, ...]:
    return (b"x-media-gateway-model", plain(model)), (b"x-media-gateway-provider", plain(provider))


def attempt_headers(record: Record) -> Sequence[Header]:
    """What it took to answer, in LiteLLM's words and ours; nothing where nobody was asked.

    ``x-litellm-model-id`` is the deployment that answered, or was the last to fail.
    """
    if not record.attempts:
        return ()
    last = record.attempts[-1]
    groups = 1 if len(record.attempts) == 1 else len({attempt.group for attempt in record.attempts})
    return _attempted(last.deployment, last.group, len(record.attempts), groups, record.fallbacks)


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


def cost_headers(record: Record) -> list[Header]:
    """What the call costs, as far as that is known when its answer begins, and its id in LiteLLM's spelling.

    A refusal that has cost nothing says nothing of costs.
    """
    headers = [(b"x-litellm-call-id", record.id.encode())]
    cost = cost_at_start(record)
    if cost is not None and (cost.usd or record.status < 400):
        usd = f"{cost.usd:.12g}".encode()
        headers += [(b"x-litellm-response-cost", usd), (b"x-media-gateway-cost", usd)]
        headers.append((b"x-media-gateway-cost-certainty", cost.certainty.encode()))
    elif cost is None and (record.usage is None or record.price is None):  # else a stream's is known at its end
        headers.append((b"x-media-gateway-cost-certainty", b"unknown"))
    return headers


def plain(value: str) -> bytes:
    """A name from the config or the body may hold anything, line ends too; a header holds printable ASCII."""
    if len(value) <= _LONGEST and value.isascii() and value.isprintable():
        return value.encode("ascii")
    return re.sub(r"[^\x20-\x7e]", "?", value[:_LONGEST]).encode("ascii")
