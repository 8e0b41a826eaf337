"""When tasks are looked at, in simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable
from statistics import median

import pytest

from gateway.jobs.schedule import (
    ERROR_CAP,
    JITTER,
    PATIENCE,
    Belief,
    Plan,
    expected_end,
    plan,
    wait_after_error,
    wait_working,
)

Draw = Callable[[random.Random], float]


def simulate(draw: Draw, seed: int, learn: bool, interval: float = 5.0, tasks: int = 170) -> float:
    """The median of what passed between the end of a task and the look that found it, after 50 tasks."""
    chance = random.Random(seed)
    spans: list[tuple[float, float]] = []
    late = []
    known = Plan(interval)
    for number in range(tasks):
        end, age, looked = draw(chance), 0.0, 0.0
        if number % 3 == 0:  # as for tasks that overlap
            known = plan(spans[-50:] if learn else [], interval, chance)
        while True:
            wait = wait_working(known, age, None, chance)
            assert interval <= wait <= interval * (3 + JITTER) + 1e-9
            age += wait
            if age >= end:
                break
            looked = age
        spans.append((looked, age))
        late.append(age - end)
    return median(late[50:])


@pytest.mark.parametrize(
    ("draw", "bound"),
    [
        (lambda chance: 12.0, 1.0),
        (lambda chance: 17.3, 1.0),
        (lambda chance: chance.gauss(16.5, 0.5), 1.5),
        (lambda chance: chance.gauss(12, 0.5) if chance.random() < 0.6 else chance.gauss(25, 0.5), 1.5),
    ],
    ids=["always 12 s", "always 17.3 s", "about 16.5 s", "12 s or 25 s"],
)
def test_tasks_that_take_as_long_as_others_are_found_soon(draw: Draw, bound: float) -> None:
    seeds = (1, 2)
    known = [simulate(draw, seed, learn=True) for seed in seeds]
    fixed = [simulate(draw, seed, learn=False) for seed in seeds]
    assert max(known) < bound
    assert sum(known) < 0.8 * sum(fixed)


def test_tasks_that_may_take_any_time_are_found_no_later_than_by_a_fixed_beat() -> None:
    assert simulate(lambda chance: chance.uniform(10, 30), 1, learn=True) < 3.5


def test_a_plan_follows_a_change() -> None:
    """What was learned from 20 s is unlearned when tasks take 11 s; the plan does not drift by itself either."""
    count = iter(range(10_000))
    assert simulate(lambda chance: 20.0 if next(count) < 50 else 11.0, 4, learn=True, tasks=200) < 1.5
    assert simulate(lambda chance: 20.0, 4, learn=True, tasks=300) < 1.5


def test_without_history_the_beat_is_fixed() -> None:
    known = plan([], 5, random.Random(1))
    assert known == Plan(5)
    assert [known.next_look(age) for age in (0, 5, 50)] == [5, 10, 55]


@pytest.mark.parametrize("interval", [0.01, 1, 5, 30])
@pytest.mark.parametrize("span", [(0, 0), (0, 3), (10, 15), (590, 600), (15, 10)])
def test_never_sooner_than_the_interval(span: tuple[float, float], interval: float) -> None:
    known = plan([span] * 3, interval, random.Random(2))
    for age in (0, 0.5, 3, 10, 14.9, 15, 20, 599, 700, 10_000):
        assert age + interval <= known.next_look(age) <= age + 3 * interval + 1e-9


def test_the_vendor_s_word_is_the_least() -> None:
    chance = random.Random(3)
    assert wait_working(Plan(5), 0, 20, chance) >= 20
    assert 5 <= wait_working(Plan(5), 0, 1, chance) <= 5 * (1 + JITTER)


def test_after_errors_ever_later_up_to_a_minute() -> None:
    chance = random.Random(4)
    waits = [wait_after_error(errors, 5, chance) for errors in range(1, 100)]
    assert all(least <= wait <= 1.1 * least for wait, least in zip(waits, (5, 10, 20, 40, 60, 60), strict=False))
    assert max(waits) <= 1.1 * ERROR_CAP
    assert wait_after_error(1, 5, chance, retry_after=90) >= 90
    assert wait_after_error(1, 5, chance, retry_after=1e9) <= 1.1 * PATIENCE
    assert wait_after_error(9, 120, chance) >= 120


def test_an_even_progress_foretells_the_end() -> None:
    assert expected_end((5.0, 0.25), (0.0, 0.0)) == 20
    assert expected_end((12.0, 0.5), (8.0, 0.25)) == 20  # it waited for 4 s before it began
    for now, before in (((5.0, 0.0), (0.0, 0.0)), ((9.0, 0.4), (4.0, 0.4)), ((9.0, 1.0), (4.0, 0.4))):
        assert expected_end(now, before) is None
    chance = random.Random(5)
    for age, end in ((5, 11), (5, 14), (20, 28)):
        assert end < age + wait_working(Plan(5), age, None, chance, end) < end + 1
    assert 5 <= wait_working(Plan(5), 5, None, chance, 7) < 5.5
    assert 5 <= wait_working(Plan(5), 5, None, chance, 16) < 6.5  # half way, so that another look fits before the end
    assert 5 <= wait_working(Plan(5), 5, None, chance, 500) < 16
    assert wait_working(Plan(5), 5, 60, chance, 12) >= 60


def test_a_progress_that_misleads_is_not_believed() -> None:
    belief = Belief()
    assert belief.holds(5)
    for _ in range(3):
        belief.learn(20, (8, 13))
    assert not belief.holds(5)
    for _ in range(20):
        belief.learn(20, (15, 20.5))
    assert belief.holds(5)
