"""How often a call that failed is made again, after which pause, and what its caller may say of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from random import Random

from gateway.policy.cooldown import PATIENCE, by_class
from providers.base.errors import ProviderError

_SHARE = 0.1  # of the calls offered may be made a second time …
_BURST = 4.0  # … and so many more at once,
_REFILL = 1 / 60  # with one a minute where there is little traffic

_BASE, _CEILING = 0.5, 8.0  # seconds: the longest first pause, and the longest of all


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller says of how a call is answered. ``None``: what the config says.

    ``timeout`` are seconds until the answer begins, all attempts and pauses together.
    """

    fallbacks: tuple[str, ...] | None = None
    fall_back: bool = True
    num_retries: int | None = None
    timeout: float | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RetryRules:
    """``times`` a call is repeated within its group, or as the policies say for an error's class.

    ``floor`` are seconds that every pause has at least (``retry_after``).
    """

    times: int = 2
    by_class: Mapping[str, int] = field(default_factory=dict)
    by_group: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    floor: float = 0.0

    def limit(self, group: str, error: ProviderError, own: int | None) -> int:
        """How often a call of ``group`` may be repeated after ``error``; ``own`` is what its deployment says."""
        if own is not None:
            return own
        for table in (self.by_group.get(group, {}), self.by_class):
            if (found := by_class(table, error)) is not None:
                return found
        return self.times


class Budget:
    """A token bucket: each call offered to a group pays in a tenth of a repetition.

    So a vendor that is down gets little more calls than were offered, however many retries are allowed to each.
    """

    def __init__(self) -> None:
        self._tokens = _BURST
        self._at = inf

    def offered(self, now: float, share: float = _SHARE) -> None:
        """A caller asks."""
        self._tokens = min(_BURST, self._tokens + share + max(0.0, now - self._at) * _REFILL)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether there is room for a repetition; if so it is taken."""
        self.offered(now, 0.0)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def pause(repetition: int, error: ProviderError, floor: float, chance: Random) -> float | None:
    """Seconds to wait before the ``repetition``-th (0 is the first) try of the same deployment.

    ``None`` where its ``Retry-After`` is longer than a call waits.
    """
    if error.retry_after is not None:
        if error.retry_after > PATIENCE:
            return None
        return max(floor, error.retry_after + chance.uniform(0, _BASE))
    return max(floor, chance.uniform(0, min(_CEILING, _BASE * 2.0**repetition)))
