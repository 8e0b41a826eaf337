"""Which deployment of a group is asked first."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from gateway.policy.balance import Balance, Load, Seat, Strategy, Traits, pick

SHUFFLE = Balance()


def shares(seats: list[Seat[str]], balance: Balance = SHUFFLE, calls: int = 4000) -> list[float]:
    """The part of the calls that each gets."""
    chance = Random(7)
    counted = Counter(pick(seats, balance, chance, 0.0).deployment for _ in range(calls))
    return [counted[seat.deployment] / calls for seat in seats]


def seats(*traits: Traits) -> list[Seat[str]]:
    return [Seat(each.key, each) for each in traits]


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ([Traits("a"), Traits("b")], [0.5, 0.5]),
        ([Traits("a", weight=3), Traits("b", weight=1)], [0.75, 0.25]),
        ([Traits("a", rpm=900), Traits("b", rpm=100)], [0.9, 0.1]),
        ([Traits("a", weight=1, rpm=900), Traits("b", weight=1, rpm=100)], [0.5, 0.5]),
        ([Traits("a", weight=2), Traits("b"), Traits("c", weight=4)], [2 / 9, 3 / 9, 4 / 9]),
        ([Traits("a", weight=0), Traits("b", weight=5)], [0, 1]),
        ([Traits("a", weight=0), Traits("b", weight=0)], [0.5, 0.5]),
        ([Traits("a", order=2, weight=9), Traits("b", order=1), Traits("c", order=1), Traits("d")], [0, 0.5, 0.5, 0]),
    ],
)
def test_shuffled_by_weight_then_rpm_then_evenly(traits: list[Traits], expected: list[float]) -> None:
    assert shares(seats(*traits)) == pytest.approx(expected, abs=0.03)


def test_the_least_busy() -> None:
    group = seats(Traits("a"), Traits("b"), Traits("c"))
    for _ in range(3):
        group[0].load.begin(group[0].traits, 0.0)
    assert shares(group, Balance("least-busy")) == pytest.approx([0, 0.5, 0.5], abs=0.03)
    for place in (1, 2, 1, 2, 1, 2, 1, 2):
        group[place].load.begin(group[place].traits, 0.0)
    assert shares(group, Balance("least-busy")) == [1, 0, 0]
    for _ in range(3):
        group[2].load.end()
    assert shares(group, Balance("least-busy")) == [0, 0, 1]


def test_the_fastest_and_those_nearly_as_fast() -> None:
    group = seats(Traits("a"), Traits("b"), Traits("c"))
    for seat, seconds in zip(group, (1.0, 1.2, 3.0), strict=True):
        seat.load.took(seconds, 0.0, 3600)
    assert shares(group, Balance("latency-based-routing")) == [1, 0, 0]
    assert shares(group, Balance("latency-based-routing", buffer=0.25)) == pytest.approx([0.5, 0.5, 0], abs=0.03)


def test_what_has_not_been_measured_is_asked_so_that_it_is() -> None:
    group = seats(Traits("a"), Traits("b"))
    group[0].load.took(0.1, 0.0, 3600)
    assert shares(group, Balance("latency-based-routing")) == [0, 1]
    group[1].load.took(9.0, 0.0, 3600)
    assert shares(group, Balance("latency-based-routing")) == [1, 0]


def test_latency_is_a_moving_average_that_is_forgotten() -> None:
    load = Load()
    assert load.until < 0.0
    load.took(1.0, 0.0, 60)
    load.took(2.0, 10.0, 60)
    assert (load.seconds, load.until) == (pytest.approx(1.3), 70.0)
    load.took(5.0, 71.0, 60)
    assert load.seconds == pytest.approx(5.0)
    group = seats(Traits("a"), Traits("b"))
    group[0].load.took(1.0, 0.0, 60)
    group[1].load.took(9.0, 0.0, 10)
    fastest = Balance("latency-based-routing")
    assert [pick(group, fastest, Random(1), now).deployment for now in (9.0, 11.0)] == ["a", "b"]


def test_full_by_parallel_calls_or_by_the_last_minute() -> None:
    traits, load = Traits("a", rpm=3, max_parallel=2), Load()
    for now in (0.0, 10.0):
        assert not load.full(traits, now)
        load.begin(traits, now)
    assert load.full(traits, 11.0)
    load.end()
    assert not load.full(traits, 11.0)
    load.begin(traits, 20.0)
    load.end()
    load.end()
    assert load.in_flight == 0
    assert load.full(traits, 59.9)
    assert not load.full(traits, 60.0)


@pytest.mark.parametrize("strategy", ["simple-shuffle", "least-busy", "latency-based-routing"])
def test_any_group_yields_one_of_its_lowest_order(strategy: Strategy) -> None:
    chance = Random(strategy)
    for _ in range(500):
        group = seats(
            *(
                Traits(
                    str(nth),
                    order=chance.choice([1, 2, float("inf")]),
                    weight=chance.choice([None, 0, 1, 2.5]),
                    rpm=chance.choice([None, 1, 100]),
                )
                for nth in range(chance.randint(1, 6))
            )
        )
        for seat in group:
            for _ in range(chance.randint(0, 3)):
                seat.load.begin(seat.traits, 0.0)
            if chance.random() < 0.5:
                seat.load.took(chance.random(), 0.0, 3600)
        picked = pick(group, Balance(strategy, chance.random()), chance, 1.0)
        assert picked.traits.order == min(seat.traits.order for seat in group)
