"""How often a call is repeated, and after which pause."""

from __future__ import annotations

from random import Random

import pytest

from gateway.policy.attempts import Budget, RetryRules, pause
from providers.base.errors import RateLimited, UpstreamAuth, UpstreamDown, UpstreamTimeout

DOWN = UpstreamDown("503", sent="yes")


def test_pauses_have_full_jitter_and_a_ceiling() -> None:
    chance = Random(1)
    for repetition, longest in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 8.0)):
        pauses = [pause(repetition, DOWN, 0.0, chance) or 0.0 for _ in range(500)]
        assert 0 <= min(pauses) < longest * 0.05
        assert longest * 0.95 < max(pauses) <= longest
    assert pause(50, DOWN, 0.0, chance) is not None
    assert min(pause(0, DOWN, 3.0, chance) or 0.0 for _ in range(50)) == 3.0


def test_the_vendor_s_own_pause_is_kept_or_left_to_the_caller() -> None:
    chance = Random(1)
    pauses = [pause(4, RateLimited("", retry_after=7), 0.0, chance) or 0.0 for _ in range(200)]
    assert 7 <= min(pauses) < max(pauses) <= 7.5
    assert pause(0, RateLimited("", retry_after=10.1), 0.0, chance) is None


def test_how_often() -> None:
    rules = RetryRules(
        times=3, by_class={"TimeoutError": 1}, by_group={"g": {"TimeoutError": 5, "AuthenticationError": 0}}
    )
    late = UpstreamTimeout("")
    assert rules.limit("other", DOWN, None) == 3
    assert rules.limit("other", late, None) == 1
    assert rules.limit("g", late, None) == 5
    assert rules.limit("g", UpstreamAuth(""), None) == 0
    assert rules.limit("g", DOWN, None) == 3
    assert rules.limit("g", late, 0) == 0


@pytest.mark.parametrize("every", [1, 3, 10])
def test_the_budget_lets_a_tenth_be_repeated(every: int) -> None:
    budget, taken = Budget(), 0
    for call in range(2000):
        budget.offered(0.0)
        if call % every == 0:
            taken += budget.take(0.0) + budget.take(0.0)
    assert taken <= 4 + 200
    assert taken >= 150


def test_the_budget_comes_back_slowly_where_there_is_little_traffic() -> None:
    budget = Budget()
    assert [budget.take(0.0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert not budget.take(59.0)
    assert budget.take(61.0)
    assert [budget.take(1e6) for _ in range(6)] == [True] * 4 + [False] * 2
