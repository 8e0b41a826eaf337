"""When to look at a task next: just after the moments at which its deployment's tasks usually end.

What is known of a past task is two ages: it was still working at the first, and had ended at the second. Where between
them it ended is not known, and taking the second for the truth would make every plan a little later than the last. So
the density of endings is estimated from intervals (Turnbull's method, on a grid), and the looks are chosen by going
backwards over that grid: the next look is the one after which the expected lateness, later looks included, is least.

What the intervals leave open is guessed anew for each plan, so that the looks find out: without that a task that always
takes 12 s is for ever looked at after 10 and 15.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, exp

JITTER = 0.05
"""Of the interval, at most: enough to spread tasks of one moment, little against the lateness that is aimed at."""

ERROR_CAP = 60.0
"""Seconds between two looks at a task whose looks fail, at most."""

PATIENCE = 600.0
"""Seconds of a vendor's "come back after" that are believed, at most."""

_REACH = 3  # the next look is at most so many intervals away
_CELLS = 240  # of the grid, at most
_ROUNDS = 25  # of the estimate; more would only sharpen what is noise
_GUESS = 6.0  # how boldly: the likeliest cell of an open stretch has up to e**6 times the weight of the least
_LATER = 0.03  # of the time left: looks a little after the expected end, since a look before it costs an interval
_SOON = 0.2  # seconds, for the same
_DOUBT = 0.3  # the weight, in past tasks, of "it may end at any time"


@dataclass(frozen=True, slots=True)
class Plan:
    """When to look at the tasks of one deployment. All times are ages in seconds since a task was submitted.

    ``mass`` and ``moment`` are, at each line of the grid, the part of tasks that ended by then and the sum of their
    ages; ``after`` is the lateness still to come for a task that was working there.
    """

    interval: float
    step: float = 1.0
    mass: tuple[float, ...] = ()
    moment: tuple[float, ...] = ()
    after: tuple[float, ...] = ()

    def next_look(self, age: float) -> float:
        """The age of the next look at a task that was working at ``age``: ``interval`` later, or more."""
        first = age + self.interval
        last = len(self.mass) - 1
        if first >= last * self.step:
            return first  # it takes longer than any other did
        begin, begin_moment = self._ended(age)
        lines = range(ceil(first / self.step), min(last, int((age + _REACH * self.interval) / self.step)) + 1)

        def lateness(look: float) -> float:
            mass, moment = self._ended(look)
            return look * (mass - begin) - (moment - begin_moment) + self.after[min(last, round(look / self.step))]

        return min((first, *(line * self.step for line in lines)), key=lateness)

    def _ended(self, age: float) -> tuple[float, float]:
        """Mass and moment at any age."""
        line = min(int(age / self.step), len(self.mass) - 2)
        part = min(1.0, age / self.step - line)
        mass = self.mass[line] + part * (self.mass[line + 1] - self.mass[line])
        return mass, self.moment[line] + part * (self.moment[line + 1] - self.moment[line])


Span = tuple[float, float]
"""A task was still working at the first age and had ended at the second (seconds since it was submitted)."""


def plan(spans: Sequence[Span], interval: float, chance: random.Random) -> Plan:
    """What past tasks teach. ``spans``: the ages between which each ended; ``interval`` is the least between looks."""
    if not spans:
        return Plan(interval)
    horizon = 1.25 * max(end for _, end in spans) + interval
    step = max(interval / 20, horizon / _CELLS)
    cells = ceil(horizon / step)
    density = _density(spans, step, cells, chance)
    mass = [0.0, *accumulate(density)]
    moment = [0.0, *accumulate(part * (cell + 0.5) * step for cell, part in enumerate(density))]
    after = [0.0] * (cells + 1)
    least, most = ceil(interval / step), max(ceil(interval / step), int(_REACH * interval / step))
    for line in reversed(range(cells)):
        begin, begin_moment = mass[line], moment[line]
        best = (line + least) * step * (mass[-1] - begin) - (moment[-1] - begin_moment)  # if that is past the grid
        if line + least <= cells:
            best = min(
                look * step * (mass[look] - begin) - (moment[look] - begin_moment) + after[look]
                for look in range(line + least, min(cells, line + most) + 1)
            )
        after[line] = best
    return Plan(interval, step, tuple(mass), tuple(moment), tuple(after))


def _density(spans: Sequence[Span], step: float, cells: int, chance: random.Random) -> list[float]:
    """The part of tasks that end in each cell, as likely as can be; mixed with a little of "at any time"."""
    reach = [(min(int(begin / step), cells - 1), ceil(end / step)) for begin, end in spans]
    reach = [(begin, min(cells, max(end, begin + 1))) for begin, end in reach]
    density = [exp(_GUESS * chance.random()) for _ in range(cells)]
    for _ in range(_ROUNDS):
        until = [0.0, *accumulate(density)]
        edges = [0.0] * (cells + 1)
        for begin, end in reach:
            weight = 1.0 / max(until[end] - until[begin], 1e-12)
            edges[begin] += weight
            edges[end] -= weight
        density = [part * weight / len(reach) for part, weight in zip(density, accumulate(edges[:-1]), strict=True)]
    whole = len(reach) + _DOUBT
    return [max(0.0, part) * len(reach) / whole + _DOUBT / whole / cells for part in density]


def expected_end(now: tuple[float, float], before: tuple[float, float]) -> float | None:
    """The age at which a task ends that goes on as it did between two looks; each is an age and a progress of 0 to 1.

    None where the progress says nothing: none was made, or it is about to end anyway.
    """
    (age, progress), (age_before, progress_before) = now, before
    gained = progress - progress_before
    if gained <= 0.0 or age <= age_before or progress >= 1.0:
        return None
    return age + (1.0 - progress) * (age - age_before) / gained


def wait_working(
    known: Plan, age: float, check_after: float | None, chance: random.Random, end: float | None = None
) -> float:
    """Seconds from a look at ``age`` (0: the submission) to the next. The vendor's ``check_after`` is the least.

    ``end`` is the age at which the task's own progress says that it ends, where that can be believed.
    """
    interval = known.interval
    if end is None:
        seconds = known.next_look(age) - age
    else:
        left = (end - age) * (1 + _LATER) + _SOON
        # One more look on the way to a far end makes the guess better, if it leaves an interval after it.
        seconds = left if left < 2 * interval else min(left / 2, _REACH * interval)
    return max(seconds, interval, min(check_after or 0.0, PATIENCE)) + interval * JITTER * chance.random()


class Belief:
    """Whether a deployment's progress foretells its ends. Begins with trust, which is lost and won again by results."""

    def __init__(self) -> None:
        self._missed = 0.0

    def holds(self, interval: float) -> bool:
        """Whether the usual miss is small against an interval: else history is the better guide."""
        return self._missed < interval / 10

    def learn(self, end: float, span: Span) -> None:
        """A task that was foretold to end at ``end`` ended within ``span``."""
        begin, found = span
        self._missed += 0.2 * (max(0.0, begin - end, end - found) - self._missed)


def wait_after_error(
    errors: int, interval: float, chance: random.Random, retry_after: float | None = None, cap: float = ERROR_CAP
) -> float:
    """Seconds to wait after the ``errors``-th failure in a row: twice as long each time, up to ``cap``."""
    seconds = max(interval, min(cap, max(interval, 1.0) * 2.0 ** min(errors - 1, 16)))
    return max(seconds, min(retry_after or 0.0, PATIENCE)) * (1 + 0.1 * chance.random())
