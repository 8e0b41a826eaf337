"""When a deployment is left alone for a while."""

from __future__ import annotations

import pytest

from gateway.policy.cooldown import CoolingRules, Health, by_class
from providers.base.errors import (
    BadAnswer,
    Broken,
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

RULES = CoolingRules()
DOWN = UpstreamDown("503", sent="yes")


def failing(error: ProviderError, times: int, rules: CoolingRules = RULES, *, alone: bool = False) -> Health:
    health = Health()
    for _ in range(times):
        health.failed(error, 0.0, rules, alone=alone)
    return health


@pytest.mark.parametrize("error", [UpstreamAuth("401"), OutOfCredits("402"), RateLimited("429")])
def test_at_once(error: ProviderError) -> None:
    health = failing(error, 1)
    assert health.cooling(4.9)
    assert not health.cooling(5.0)
    assert health.reason == error.code


def test_a_pause_that_the_vendor_asks_for_within_reason() -> None:
    assert failing(RateLimited("", retry_after=30), 1).until == 30
    assert failing(RateLimited("", retry_after=3000), 1).until == 60
    assert failing(RateLimited("", retry_after=1), 1, CoolingRules(seconds=9)).until == 9


@pytest.mark.parametrize("error", [Refused("400"), PolicyViolation("400"), Busy("full"), Unavailable("weights")])
def test_never_for_what_says_nothing_of_the_vendor(error: ProviderError) -> None:
    health = failing(error, 100, CoolingRules(allowed=0))
    assert not health.cooling(0.0)
    assert not health.suspect


def test_never_where_there_is_nobody_else_or_it_is_switched_off() -> None:
    assert not failing(UpstreamAuth("401"), 100, alone=True).cooling(0.0)
    assert not failing(UpstreamAuth("401"), 100, CoolingRules(enabled=False)).cooling(0.0)
    assert failing(DOWN, 1, CoolingRules(enabled=False)).suspect


def test_more_than_half_of_five_calls() -> None:
    assert not failing(DOWN, 4).cooling(0.0)
    assert failing(DOWN, 5).cooling(0.0)
    health = failing(DOWN, 4)
    for _ in range(5):
        health.worked(1.0)
    assert not health.suspect
    health.failed(DOWN, 2.0, CoolingRules(), alone=False)  # 5 of 10
    assert not health.cooling(2.0)
    health.failed(DOWN, 2.0, CoolingRules(), alone=False)
    assert health.cooling(2.0)


def test_so_many_failures_a_minute() -> None:
    rules = CoolingRules(allowed=2, seconds=7)
    assert not failing(DOWN, 2, rules).cooling(0.0)
    assert failing(DOWN, 3, rules).until == 7
    health = failing(DOWN, 2, rules)
    health.failed(DOWN, 60.0, rules, alone=False)
    assert not health.cooling(60.0)


def test_so_many_of_one_kind() -> None:
    rules = CoolingRules(allowed=0, by_class={"AuthenticationError": 2, "TimeoutError": 1})
    assert not failing(UpstreamAuth("401"), 2, rules).cooling(0.0)
    assert failing(UpstreamAuth("401"), 3, rules).cooling(0.0)
    assert not failing(UpstreamTimeout(""), 1, rules).cooling(0.0)
    assert failing(UpstreamTimeout(""), 2, rules).cooling(0.0)
    assert failing(DOWN, 1, rules).cooling(0.0)


def test_a_rest_is_counted_once() -> None:
    health = failing(UpstreamAuth("401"), 3, CoolingRules())
    assert health.rests == 1
    health.failed(UpstreamAuth("401"), 100.0, CoolingRules(), alone=False)
    assert health.rests == 2


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Refused(""), "BadRequestError"),
        (PolicyViolation(""), "ContentPolicyViolationError"),
        (UpstreamAuth(""), "AuthenticationError"),
        (UpstreamTimeout(""), "TimeoutError"),
        (RateLimited(""), "RateLimitError"),
        (Busy(""), "RateLimitError"),
        (DOWN, "InternalServerError"),
        (DOWN, "ServiceUnavailableError"),
        (BadAnswer(""), "BadGatewayError"),
        (Broken(""), "InternalServerError"),
        (Unavailable(""), "ServiceUnavailableError"),
    ],
)
def test_litellm_s_names_of_our_errors(error: ProviderError, name: str) -> None:
    assert by_class({name: 4, "NotFoundError": 9}, error) == 4
    assert by_class({"NotFoundError": 9}, error) is None
