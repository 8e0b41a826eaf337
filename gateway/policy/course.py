"""One call's way through the deployments that may answer it: whom to ask next, and when to give up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Generic, TypeVar

from gateway.errors import InvalidRequest
from gateway.policy.attempts import Budget, RetryRules, Wishes, pause
from gateway.policy.balance import Balance, Seat, Traits, pick
from gateway.policy.routing import Routes
from providers.base.errors import Busy, PolicyViolation, ProviderError, Refused, Unavailable, UpstreamTimeout

D = TypeVar("D")

_DEFAULT = "default"
"""The tag of deployments that answer calls whose tags nobody has (LiteLLM's tag-based routing)."""

_KNOWN = 1000  # questions, with who may answer them


@dataclass(frozen=True, slots=True)
class Rules:
    """What the config says of all groups. ``tagged``: only deployments with a tag of the call may answer it."""

    balance: Balance = field(default_factory=Balance)
    retries: RetryRules = field(default_factory=RetryRules)
    max_fallbacks: int = 5
    tagged: bool = False


Stop = tuple[str, list[Seat[D]]]
"""A group, and those of it that can make what is asked for."""


@dataclass(slots=True)
class Step(Generic[D]):
    """Ask ``seat`` of ``group`` after ``pause`` seconds, and wait ``seconds`` at most (``None``: as it takes).

    ``place`` counts the groups: 0 is the one asked for; another one ``stands_in_for`` it, and ``reason`` is why.
    """

    group: str
    seat: Seat[D]
    place: int
    pause: float
    seconds: float | None
    stands_in_for: str | None
    reason: str | None


@dataclass(slots=True)
class Asked(Generic[D]):
    """What is asked for. ``able`` says which deployments can make it, ``kind`` what it is (``Traits.once``)."""

    model: str
    able: Callable[[D], bool]
    wishes: Wishes = field(default_factory=Wishes)
    kind: str = ""


class Fleet(Generic[D]):
    """Every deployment, and what all calls together know of them."""

    def __init__(self, routes: Routes[D], traits: Callable[[D], Traits], rules: Rules, chance: Random) -> None:
        self.routes = routes
        self.rules = rules
        self.chance = chance
        self._traits = traits
        self._seats: dict[str, Seat[D]] = {}
        self._known: dict[object, list[Stop[D]]] = {}
        self._changes = routes.changes
        self.budgets: dict[str, Budget] = defaultdict(Budget)  # of groups, for repetitions

    def seats(self, group: str, able: Callable[[D], bool], tags: frozenset[str]) -> list[Seat[D]]:
        """The deployments of a group that can make what is asked for and have its tags."""
        seats = [self._seat(deployment) for deployment in self.routes.deployments(group) if able(deployment)]
        if not self.rules.tagged:
            return seats
        default = [seat for seat in seats if _DEFAULT in seat.traits.tags]
        if tags:
            return [seat for seat in seats if seat.traits.tags & tags] or default
        return default or seats

    def stops(self, asked: Asked[D]) -> list[Stop[D]]:
        """The groups that may answer, the one asked for first. Nearly all calls ask the same: it is remembered.

        Raises ``UnknownModel``; ``InvalidRequest`` where nobody has the tags of the call.
        """
        wishes = asked.wishes
        if self.rules.tagged and wishes.tags:  # a caller's own words
            return self._found(asked)
        if self._changes != self.routes.changes or len(self._known) >= _KNOWN:
            self._known.clear()
            self._changes = self.routes.changes
        question = asked.model, asked.able, wishes.fallbacks if wishes.fall_back else ()
        if (known := self._known.get(question)) is None:
            known = self._known[question] = self._found(asked)
        return known

    def _found(self, asked: Asked[D]) -> list[Stop[D]]:
        group, wishes = self.routes.group(asked.model), asked.wishes
        others = self.routes.stand_ins(group, wishes.fallbacks) if wishes.fall_back else ()
        stops = [(group, self.seats(group, asked.able, wishes.tags)), *self.stand_ins(others, asked)]
        if not any(seats for _, seats in stops) and any(map(asked.able, self.routes.deployments(group))):
            raise InvalidRequest("No deployment of this model has the tags of this call.", param="tags")
        return stops

    def stand_ins(self, groups: Sequence[str], asked: Asked[D]) -> list[Stop[D]]:
        """As many of ``groups`` as may be asked."""
        some = groups[: self.rules.max_fallbacks]
        return [(group, self.seats(group, asked.able, asked.wishes.tags)) for group in some]

    def conditions(self, now: float) -> dict[str, tuple[int, int]]:
        """Each deployment that was asked by now: 0 it works, 1 its last call failed, 2 it is left alone; and how often
        it was left alone."""
        found = {key: seat.health for key, seat in self._seats.items()}
        return {key: (2 if each.cooling(now) else int(each.suspect), each.rests) for key, each in found.items()}

    def _seat(self, deployment: D) -> Seat[D]:
        traits = self._traits(deployment)
        if (seat := self._seats.get(traits.key)) is None:
            seat = self._seats[traits.key] = Seat(deployment, traits)
        return seat


class Course(Generic[D]):
    """The decisions for one call. Ask ``next``, tell it how that went, until it has no more or somebody has answered.

    Raises ``UnknownModel``; ``InvalidRequest`` where nobody has the tags of the call.
    """

    def __init__(self, fleet: Fleet[D], asked: Asked[D], now: float) -> None:
        self._fleet = fleet
        self._asked = asked
        self._stops = fleet.stops(asked)
        self._group = self._stops[0][0]
        self._ends = inf if asked.wishes.timeout is None else now + asked.wishes.timeout
        self._at = 0
        self._again = 0  # repetitions in the group that is being asked
        self._last: Seat[D] | None = None
        self._times: dict[str, int] = {}  # by key
        self._spent: set[str] = set()
        self._errors: list[tuple[int, ProviderError]] = []
        self._final: ProviderError | None = None
        self._reason = ""
        fleet.budgets[self._group].offered(now)

    @property
    def possible(self) -> bool:
        """Whether anybody can make what is asked for."""
        return bool(self._home)

    @property
    def _home(self) -> list[Seat[D]]:
        return next((seats for _, seats in self._stops if seats), [])

    @property
    def error(self) -> ProviderError:
        """What the caller is told in the end: what he can do most about."""
        if self._final is not None:
            return self._final
        # A stand-in's refusal says nothing of the model that was asked for.
        ranked = [
            ((place == 0 or not isinstance(error, Refused), error.retryable, nth), error)
            for nth, (place, error) in enumerate(self._errors)
        ]
        if not ranked:
            return UpstreamTimeout("The model did not begin to answer within the timeout of this call.")
        return max(ranked, key=lambda each: each[0])[1]

    def next(self, now: float) -> Step[D] | None:
        """Whom to ask now; ``None``: nobody any more."""
        if self._final is not None or now >= self._ends:
            return None
        for full in (False, True):  # those with room first, wherever they are
            for place in range(self._at, len(self._stops)):
                step = self._within(place, now, full=full)
                if step is not None:
                    return step
        home = self._home
        if not home or any(seat.traits.key in self._times for seat in home):
            return None
        # All are cooling: nobody is turned away for that, the one that comes back first is asked all the same.
        seat = min(home, key=lambda seat: (seat.health.until, seat.traits.order))
        place = next(place for place, (_, seats) in enumerate(self._stops) if seats)
        return self._step(place, [seat], 0.0, now)

    def failed(self, step: Step[D], error: ProviderError, now: float, *, late: bool = False) -> None:
        """The one that was asked failed before it had begun to answer. ``late``: ``step.seconds`` were over."""
        seat, key = step.seat, step.seat.traits.key
        if not late or step.seconds == seat.traits.timeout:  # a caller's own haste is no fault of the deployment's
            alone = sum(len(seats) for _, seats in self._stops) == 1
            seat.health.failed(error, now, seat.traits.cooling, alone=alone)
            if late:
                seat.load.took(step.seconds or 0.0, now, self._fleet.rules.balance.ttl)
        self._errors.append((step.place, error))
        self._reason = error.reason if isinstance(error, Unavailable) else error.code
        if self._asked.kind in seat.traits.once and error.sent == "maybe":
            self._final = error
        elif isinstance(error, PolicyViolation) and step.place == 0 and self._asked.wishes.fall_back:
            self._refused(error)
        elif not error.falls_back:
            if step.place == 0:
                self._final = error
            else:
                self._spent.update(seat.traits.key for seat in self._stops[step.place][1])
        elif isinstance(error, Busy) or not error.retryable or error.sent == "maybe":
            self._spent.add(key)

    def answered(self, step: Step[D], seconds: float, now: float) -> None:
        """It began to answer after ``seconds``."""
        step.seat.health.worked(now)
        step.seat.load.took(seconds, now, self._fleet.rules.balance.ttl)

    def ended_by(self, error: ProviderError) -> None:
        """Nobody else may be asked after this."""
        self._final = error

    def _refused(self, error: ProviderError) -> None:
        """The rules of its provider forbid it: only the groups that the config names for that may be asked."""
        others = self._fleet.routes.after_refusal(self._group)
        self._stops = [self._stops[0], *self._fleet.stand_ins(others, self._asked)]
        self._spent.update(seat.traits.key for seat in self._stops[0][1])
        if len(self._stops) == 1:
            self._final = error

    def _within(self, place: int, now: float, *, full: bool) -> Step[D] | None:
        """Whom to ask in one group: somebody new before somebody who has failed in this call."""
        seats = [
            seat
            for seat in self._stops[place][1]
            if seat.traits.key not in self._spent
            and now >= seat.health.until
            and (full or not seat.bounded or not seat.load.full(seat.traits, now))
        ]
        if not self._times:  # the first of all
            return self._step(place, seats, 0.0, now) if seats else None
        fresh = [seat for seat in seats if seat.traits.key not in self._times]
        if place != self._at or not self._errors or self._last is None:
            return self._step(place, fresh, 0.0, now) if fresh else None
        last = self._errors[-1][1]
        allowed = self._again < self._limit(self._last.traits, last)
        if fresh and (allowed or last.sent == "no"):
            steady = [seat for seat in fresh if not seat.health.suspect]
            if steady or self._fleet.budgets[self._group].take(now):
                return self._step(place, steady or fresh, 0.0, now)
        elif seats and not fresh and allowed:
            wait = pause(self._again, last, self._fleet.rules.retries.floor, self._fleet.chance)
            if wait is not None and now + wait < self._ends and self._fleet.budgets[self._group].take(now):
                return self._step(place, seats, wait, now)
        return None

    def _limit(self, traits: Traits, error: ProviderError) -> int:
        if self._asked.wishes.num_retries is not None:
            return self._asked.wishes.num_retries
        return self._fleet.rules.retries.limit(self._stops[self._at][0], error, traits.retries)

    def _step(self, place: int, seats: Sequence[Seat[D]], wait: float, now: float) -> Step[D]:
        """Go to one of these."""
        seat = pick(seats, self._fleet.rules.balance, self._fleet.chance, now)
        group, key, bound = self._stops[place][0], seat.traits.key, seat.traits.timeout
        seconds = min(inf if bound is None else bound, self._ends - now - wait)
        asked, reason = (None, None) if place == 0 else (self._group, self._reason or self._why_not(now))
        self._again = self._again + 1 if self._times and place == self._at else 0
        self._at = place
        self._times[key] = self._times.get(key, 0) + 1
        self._last = seat
        return Step(group, seat, place, wait, None if seconds == inf else seconds, asked, reason)

    def _why_not(self, now: float) -> str:
        """Why the group that was asked for is passed over without a word."""
        seats = self._stops[0][1]
        cooling = next((seat.health.reason for seat in seats if seat.health.cooling(now)), "")
        return cooling or ("full" if seats else "no_deployment")
