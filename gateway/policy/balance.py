"""Which deployment of a group is asked first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Generic, Literal, TypeVar

from gateway.policy.cooldown import CoolingRules, Health

D = TypeVar("D")

Strategy = Literal["simple-shuffle", "least-busy", "latency-based-routing"]

_MINUTE = 60.0
_SMOOTHING = 0.3  # the part of a new measurement in the moving average


@dataclass(frozen=True, slots=True)
class Traits:
    """What the config says of one deployment. ``key`` is its name, unique. What it does not say is ``None``.

    ``once``: a call for one of these kinds of media that it may have taken is sent to nobody again. ``timeout`` are
    seconds until it must begin to answer.
    """

    key: str
    order: float = inf
    weight: float | None = None
    rpm: int | None = None
    max_parallel: int | None = None
    tags: frozenset[str] = frozenset()
    retries: int | None = None
    timeout: float | None = None
    once: frozenset[str] = frozenset()
    cooling: CoolingRules = field(default_factory=CoolingRules)


@dataclass(frozen=True, slots=True)
class Balance:
    """The strategy. ``buffer``: deployments at most this part slower than the fastest count as equally fast; a
    measurement counts for ``ttl`` seconds."""

    strategy: Strategy = "simple-shuffle"
    buffer: float = 0.0
    ttl: float = 3600.0


class Load:
    """What one deployment is doing now, and how fast it has been.

    ``seconds`` until it began to answer, as a moving average, count ``until`` then.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.seconds = 0.0
        self.until = -inf
        self._starts: deque[float] = deque()

    def begin(self, traits: Traits, now: float) -> None:
        """It is asked."""
        self.in_flight += 1
        if traits.rpm is not None:
            self._forget(now)
            if len(self._starts) <= traits.rpm:
                self._starts.append(now)

    def end(self) -> None:
        """It is done with that."""
        self.in_flight -= 1

    def took(self, seconds: float, now: float, ttl: float) -> None:
        """It had begun to answer after ``seconds``."""
        self.seconds += (_SMOOTHING if now < self.until else 1.0) * (seconds - self.seconds)
        self.until = now + ttl

    def full(self, traits: Traits, now: float) -> bool:
        """Whether its ``max_parallel_requests`` or its ``rpm`` of the last minute is reached."""
        if traits.max_parallel is not None and self.in_flight >= traits.max_parallel:
            return True
        if traits.rpm is None:
            return False
        self._forget(now)
        return len(self._starts) >= traits.rpm

    def _forget(self, now: float) -> None:
        while self._starts and now - self._starts[0] >= _MINUTE:
            self._starts.popleft()


class Seat(Generic[D]):
    """One deployment with what the config says of it and what is known of it now. ``bounded``: it may be full."""

    def __init__(self, deployment: D, traits: Traits) -> None:
        self.deployment = deployment
        self.traits = traits
        self.load = Load()
        self.health = Health()
        self.bounded = traits.rpm is not None or traits.max_parallel is not None


def pick(seats: Sequence[Seat[D]], balance: Balance, chance: Random, now: float) -> Seat[D]:
    """The one of ``seats`` (one at least) to ask: of the lowest ``order``, then by the strategy."""
    first: list[Seat[D]] = []
    for seat in seats:
        if not first or seat.traits.order < first[0].traits.order:
            first = [seat]
        elif seat.traits.order == first[0].traits.order:
            first.append(seat)
    if len(first) == 1:
        return first[0]
    if balance.strategy == "simple-shuffle":
        weights = _weights([seat.traits for seat in first])
        if weights is not None:
            return chance.choices(first, weights)[0]
    else:
        if balance.strategy == "least-busy":
            values: list[float] = [seat.load.in_flight for seat in first]
            limit = min(values)
        else:
            # What has not been measured yet is asked first, so that it is.
            values = [seat.load.seconds if now < seat.load.until else 0.0 for seat in first]
            limit = min(values) * (1 + balance.buffer)
        first = [seat for seat, value in zip(first, values, strict=True) if value <= limit]
    return first[int(chance.random() * len(first))]


def _weights(traits: Sequence[Traits]) -> list[float] | None:
    """By ``weight``, else by ``rpm``; one without a number counts as the mean of the others. ``None``: all alike."""
    given: Sequence[float | None]
    for given in ([each.weight for each in traits], [each.rpm for each in traits]):
        known = [value for value in given if value is not None]
        if known and sum(known) > 0:
            mean = sum(known) / len(known)
            return [mean if value is None else value for value in given]
    return None
