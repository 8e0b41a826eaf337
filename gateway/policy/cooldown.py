"""When a deployment is left alone for a while, because it failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from providers.base.errors import (
    BadAnswer,
    Busy,
    OutOfCredits,
    PolicyViolation,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    UpstreamAuth,
    UpstreamDown,
    UpstreamTimeout,
)

PATIENCE = 10.0
"""Seconds: the longest ``Retry-After`` that a call waits for; a longer one is for the caller to wait."""

_MINUTE = 60.0
_LONGEST = 60.0  # seconds that a vendor's Retry-After may cool its deployment
_ENOUGH = 5  # calls in a minute before their share of failures says anything

_CLASSES: tuple[tuple[type[ProviderError], tuple[str, ...]], ...] = (
    (PolicyViolation, ("ContentPolicyViolationError",)),
    (Refused, ("BadRequestError",)),
    (UpstreamAuth, ("AuthenticationError",)),
    (UpstreamTimeout, ("TimeoutError",)),
    (RateLimited, ("RateLimitError",)),
    (Busy, ("RateLimitError",)),
    (Unavailable, ("ServiceUnavailableError", "InternalServerError")),
    (BadAnswer, ("BadGatewayError", "InternalServerError")),
    (UpstreamDown, ("InternalServerError", "ServiceUnavailableError", "BadGatewayError")),
)


def by_class(table: Mapping[str, int], error: ProviderError) -> int | None:
    """The number that a ``retry_policy`` or ``allowed_fails_policy`` has for this error, by LiteLLM's class names."""
    names = next((names for kind, names in _CLASSES if isinstance(error, kind)), ("InternalServerError",))
    return next((table[name] for name in names if name in table), None)


@dataclass(frozen=True, slots=True)
class CoolingRules:
    """``seconds`` of rest after more than ``allowed`` failures in a minute, or ``by_class`` of one kind of them.

    Without either: after more than half of at least five calls in a minute. ``enabled`` is ``disable_cooldowns``.
    """

    enabled: bool = True
    seconds: float = 5.0
    allowed: int | None = None
    by_class: Mapping[str, int] = field(default_factory=dict)


class Health:
    """How one deployment has done lately. Times are seconds on any steady clock.

    ``reason`` is the code of the error that it cools for; ``suspect``: its last call failed. ``rests`` counts how often
    it was left alone.
    """

    def __init__(self) -> None:
        self.until = -inf
        self.reason = ""
        self.suspect = False
        self.rests = 0
        self._minute = -inf
        self._calls = 0
        self._failed = 0
        self._kinds: Counter[type[ProviderError]] = Counter()

    def cooling(self, now: float) -> bool:
        """Whether it is left alone at ``now``."""
        return now < self.until

    def worked(self, now: float) -> None:
        """It answered."""
        self._turn(now)
        self._calls += 1
        self.suspect = False

    def failed(self, error: ProviderError, now: float, rules: CoolingRules, *, alone: bool) -> None:
        """It did not. ``alone``: there is nobody else to ask, so a pause would only turn callers away."""
        # A refusal is the caller's doing; Busy and Unavailable are said by ourselves, before anything is sent.
        if isinstance(error, Refused | Busy | Unavailable):
            return
        self._turn(now)
        self._calls += 1
        self._failed += 1
        self._kinds[type(error)] += 1
        self.suspect = True
        if rules.enabled and not alone and self._too_much(error, rules):
            pause = rules.seconds
            if error.retry_after is not None:
                pause = max(pause, min(error.retry_after, _LONGEST))
            self.rests += not self.cooling(now)
            self.until = max(self.until, now + pause)
            self.reason = error.code

    def _too_much(self, error: ProviderError, rules: CoolingRules) -> bool:
        allowed = by_class(rules.by_class, error)
        if allowed is not None:
            return self._kinds[type(error)] > allowed
        if isinstance(error, UpstreamAuth | OutOfCredits | RateLimited):
            return True
        if rules.allowed is not None:
            return self._failed > rules.allowed
        return self._calls >= _ENOUGH and self._failed * 2 > self._calls

    def _turn(self, now: float) -> None:
        if now - self._minute >= _MINUTE:
            self._minute, self._calls, self._failed = now, 0, 0
            self._kinds.clear()
