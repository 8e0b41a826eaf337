"""One call's way through the deployments: whom it asks, in which order, how often, and what its caller is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from gateway.errors import InvalidRequest, UnknownModel
from gateway.policy.attempts import RetryRules, Wishes
from gateway.policy.balance import Balance, Traits
from gateway.policy.cooldown import CoolingRules
from gateway.policy.course import Asked, Course, Fleet, Rules
from gateway.policy.routing import Routes
from providers.base.errors import (
    BadAnswer,
    Broken,
    Busy,
    PolicyViolation,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    UpstreamAuth,
    UpstreamDown,
    UpstreamTimeout,
)

DOWN = UpstreamDown("503", sent="yes")
UNSENT = UpstreamDown("no connection", sent="no")
UNSURE = UpstreamDown("the line broke", sent="maybe")

NONE = Wishes()
LONE = Traits("a")
Answers = Callable[[str, float], ProviderError | None]


def everybody(_: str) -> bool:
    return True


@dataclass
class World:
    """A fleet, a clock and vendors. ``asked`` is who was asked at which time."""

    groups: dict[str, list[Traits]]
    fallbacks: dict[str, list[str]] = field(default_factory=dict)
    content_policy: dict[str, list[str]] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    seed: int = 1
    now: float = 0.0
    asked: list[tuple[str, float]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.traits = {each.key: each for group in self.groups.values() for each in group}
        keys = {name: [each.key for each in group] for name, group in self.groups.items()}
        routes = Routes(keys, {"alias": next(iter(keys))}, self.fallbacks, self.content_policy)
        self.fleet: Fleet[str] = Fleet(routes, self.traits.__getitem__, self.rules, Random(self.seed))

    def call(self, model: str, answers: Answers, wishes: Wishes = NONE) -> str | ProviderError:
        """Who answered, or what the caller was told."""
        course = Course(self.fleet, Asked(model, everybody, wishes, "video"), self.now)
        while (step := course.next(self.now)) is not None:
            self.now += step.pause
            self.pauses.append(step.pause)
            self.reasons.append(step.reason)
            key = step.seat.deployment
            self.asked.append((key, self.now))
            step.seat.load.begin(step.seat.traits, self.now)
            error = answers(key, self.now)
            step.seat.load.end()
            if error is None:
                course.answered(step, 0.1, self.now)
                return key
            course.failed(step, error, self.now)
        return course.error

    @property
    def order(self) -> list[str]:
        return [key for key, _ in self.asked]


def plain(*keys: str) -> list[Traits]:
    return [Traits(key, order=place) for place, key in enumerate(keys)]


def failing(**errors: ProviderError) -> Answers:
    return lambda key, _: errors.get(key)


def test_another_deployment_answers_at_once() -> None:
    world = World({"g": plain("a", "b")})
    assert world.call("alias", failing(a=DOWN)) == "b"
    assert (world.order, world.pauses) == (["a", "b"], [0, 0])


def test_who_is_added_later_is_asked_too() -> None:
    world = World({"g": plain("a"), "h": plain("h")}, {"g": ["h"]})
    assert world.call("g", failing(a=DOWN)) == "h"
    world.traits["b"] = Traits("b", order=1)
    world.fleet.routes.add("g", "b")
    assert world.call("g", failing(a=DOWN)) == "b"


def test_a_lone_one_is_asked_again_after_pauses_and_not_waited_for_at_the_end() -> None:
    world = World({"g": plain("a")})
    assert world.call("g", failing(a=DOWN)) is DOWN
    assert world.order == ["a"] * 3
    assert world.pauses[0] == 0 < min(world.pauses[1:])
    assert world.now == world.asked[-1][1]


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (DOWN, 3),
        (UNSENT, 3),
        (UNSURE, 1),
        (RateLimited("", sent="yes", retry_after=2), 3),
        (RateLimited("", sent="yes", retry_after=90), 1),
        (Busy("", retry_after=1), 1),
        (Refused("", sent="yes"), 1),
        (BadAnswer("", sent="yes"), 1),
        (Broken("", sent="yes"), 1),
        (UpstreamAuth("", sent="yes"), 1),
        (Unavailable(""), 1),
    ],
)
def test_what_is_repeated(error: ProviderError, times: int) -> None:
    world = World({"g": plain("a")})
    assert world.call("g", lambda *_: error) is error
    assert len(world.asked) == times


def test_what_may_have_been_taken_is_sent_to_nobody_else_where_that_could_pay_twice() -> None:
    groups = {"g": [replace(each, once=frozenset({"video"})) for each in plain("a", "b")], "h": plain("c")}
    world = World(groups, {"g": ["h"]})
    assert world.call("g", failing(a=UNSURE)) is UNSURE
    assert world.order == ["a"]
    assert world.call("g", failing(a=DOWN, b=DOWN)) == "c"
    world = World({"g": plain("a", "b")})
    assert world.call("g", failing(a=UNSURE)) == "b"


def test_fallbacks_come_after_the_group_s_own_and_in_order() -> None:
    world = World({"g": plain("a", "b"), "h": plain("c"), "i": plain("d")}, {"g": ["h", "i"]})
    assert world.call("g", failing(a=DOWN, b=BadAnswer("", sent="yes"), c=DOWN)) == "d"
    assert list(dict.fromkeys(world.order)) == ["a", "b", "c", "d"]
    assert world.reasons[-1] == DOWN.code


def test_a_caller_s_own_fallbacks_and_none_at_all() -> None:
    world = World({"g": plain("a"), "h": plain("b"), "i": plain("c")}, {"g": ["h"]})
    once = Wishes(num_retries=0)
    assert world.call("g", failing(a=DOWN), replace(once, fallbacks=("i", "g"))) == "c"
    assert world.call("g", failing(a=DOWN), replace(once, fallbacks=("alias",))) is DOWN
    assert world.call("g", failing(a=DOWN), replace(once, fall_back=False)) is DOWN
    assert world.call("g", failing(a=DOWN), once) == "b"
    with pytest.raises(UnknownModel) as caught:
        world.call("g", failing(), Wishes(fallbacks=("nobody",)))
    assert caught.value.param == "fallbacks"
    assert not any(f"'{name}'" in str(caught.value) for name in "ghi")


def test_so_many_fallbacks_at_most() -> None:
    groups = {name: plain(name) for name in "abcde"}
    world = World(groups, {"a": list("bcde")}, rules=Rules(max_fallbacks=2))
    world.call("a", lambda *_: BadAnswer("", sent="yes"))
    assert world.order == ["a", "b", "c"]


def test_a_refusal_ends_it_but_a_stand_in_s_refusal_does_not() -> None:
    world = World({"g": plain("a"), "h": plain("b", "c"), "i": plain("d")}, {"g": ["h", "i"]})
    refused = Refused("no such voice", param="voice")
    assert world.call("g", failing(a=refused)) is refused
    assert world.order == ["a"]
    assert world.call("g", failing(a=Unavailable(""), b=refused)) == "d"
    assert world.order == ["a", "a", "b", "d"]
    broken = Broken("", sent="yes")
    assert world.call("g", failing(a=broken, b=refused, d=refused)) is broken


def test_what_the_rules_forbid_goes_to_those_named_for_that_alone() -> None:
    forbidden = PolicyViolation("no", sent="yes")
    world = World({"g": plain("a", "b"), "h": plain("c"), "i": plain("d")}, {"g": ["h"]}, {"g": ["i"]})
    assert world.call("g", failing(a=forbidden)) == "d"
    assert world.order == ["a", "d"]
    assert world.call("g", failing(a=forbidden), Wishes(fall_back=False)) is forbidden
    assert world.call("h", failing(c=forbidden)) is forbidden


def test_busy_lets_another_answer() -> None:
    busy = Busy("full", retry_after=6)
    world = World({"g": plain("a", "b"), "h": plain("c")}, {"g": ["h"]})
    assert world.call("g", failing(a=busy)) == "b"
    assert world.call("g", failing(a=busy, b=busy)) == "c"
    # The one that a caller can act on is told.
    assert world.call("g", failing(a=busy, b=busy, c=Unavailable(""))) is busy


def test_retries_by_config_by_class_by_deployment_and_by_call() -> None:
    def times(rules: RetryRules, traits: Traits = LONE, wishes: Wishes = NONE) -> int:
        world = World({"g": [traits]}, rules=Rules(retries=rules))
        world.call("g", lambda *_: DOWN, wishes)
        return len(world.asked)

    assert times(RetryRules(times=0)) == 1
    assert times(RetryRules(by_class={"InternalServerError": 1})) == 2
    assert times(RetryRules(by_group={"g": {"InternalServerError": 3}})) == 4
    assert times(RetryRules(times=0), Traits("a", retries=1)) == 2
    assert times(RetryRules(times=0), Traits("a", retries=1), Wishes(num_retries=3)) == 4


def test_retries_bound_what_was_sent_and_not_what_was_not() -> None:
    world = World({"g": plain("a", "b", "c", "d")}, rules=Rules(retries=RetryRules(times=0)))
    assert world.call("g", failing(a=DOWN)) is DOWN
    assert world.call("g", failing(a=UNSENT, b=UNSENT)) == "c"


def test_a_call_s_timeout_bounds_everything() -> None:
    world = World({"g": plain("a", "b")})

    def slow(key: str, _now: float) -> ProviderError:
        world.now += 3.0
        return UpstreamTimeout(key, sent="maybe")

    error = world.call("g", slow, Wishes(timeout=3.0))
    assert (world.order, str(error)) == (["a"], "a")
    course = Course(world.fleet, Asked("g", lambda _: True, Wishes(timeout=5)), 100.0)
    step = course.next(102.0)
    assert step is not None
    assert step.seconds == 3.0
    assert isinstance(course.error, UpstreamTimeout)
    # No pause is begun that would end after it.
    world = World({"g": plain("a")})
    world.call("g", lambda *_: RateLimited("", retry_after=5), Wishes(timeout=4))
    assert world.now == 0


def test_a_caller_s_haste_is_held_against_nobody() -> None:
    group = [Traits("a", timeout=5.0, cooling=CoolingRules(allowed=0)), Traits("b", order=1)]
    world = World({"g": [replace(group[0], order=0), group[1]]}, rules=Rules(balance=Balance("latency-based-routing")))
    seat = world.fleet.seats("g", lambda _: True, frozenset())[0]
    for timeout, blamed in ((2.0, False), (9.0, True)):
        course = Course(world.fleet, Asked("g", lambda _: True, Wishes(timeout=timeout)), 0.0)
        step = course.next(0.0)
        assert step is not None
        assert step.seconds == min(timeout, 5.0)
        course.failed(step, UpstreamTimeout("late", sent="maybe"), step.seconds, late=True)
        assert (seat.health.cooling(step.seconds), seat.health.suspect) == (blamed, blamed)
        assert (seat.load.seconds, seat.load.until > step.seconds) == ((5.0, True) if blamed else (0.0, False))


def test_one_that_cools_is_passed_over_and_the_reason_kept() -> None:
    world = World({"g": plain("a", "b"), "h": plain("c")}, {"g": ["h"]})
    assert world.call("g", failing(a=UpstreamAuth("401", sent="yes"))) == "b"
    assert world.call("g", failing()) == "b"
    assert world.call("g", failing(b=UpstreamAuth("401", sent="yes"))) == "c"
    assert world.call("g", failing()) == "c"
    assert world.order == ["a", "b", "b", "b", "c", "c"]
    assert world.reasons[-1] == "provider_auth"
    world.now += 5
    assert world.call("g", failing()) == "a"


def test_if_all_are_cooling_the_one_that_comes_back_first_is_asked() -> None:
    groups = {"g": [Traits("a", cooling=CoolingRules(seconds=50)), Traits("b", cooling=CoolingRules(seconds=20))]}
    world = World(groups)
    throttled = RateLimited("", sent="yes")
    assert world.call("g", lambda *_: throttled) is throttled
    del world.asked[:]
    assert world.call("g", failing()) == "b"
    assert world.call("g", lambda *_: throttled) is throttled
    assert world.order == ["b", "b"]


def test_a_lone_deployment_never_turns_anybody_away() -> None:
    world = World({"g": plain("a")})
    for _ in range(50):
        world.call("g", lambda *_: UpstreamAuth("401", sent="yes"))
    assert world.call("g", failing()) == "a"


def test_those_with_room_are_asked_first_and_full_ones_before_nobody() -> None:
    groups = {"g": [Traits("a", order=1, rpm=2), Traits("b", order=2, rpm=1)], "h": [Traits("c", rpm=1)]}
    world = World(groups, {"g": ["h"]})
    assert [world.call("g", failing()) for _ in range(6)] == ["a", "a", "b", "c", "a", "a"]
    assert world.reasons[3] == "full"
    world.now = 60
    assert world.call("g", failing()) == "a"


@pytest.mark.parametrize(
    ("tags", "answered"),
    [((), {"d"}), (("free",), {"a"}), (("free", "paid"), {"a", "b"}), (("unheard-of",), {"d"})],
)
def test_tags(tags: Iterable[str], answered: set[str]) -> None:
    group = [
        Traits("a", tags=frozenset({"free"})),
        Traits("b", tags=frozenset({"paid", "eu"})),
        Traits("c"),
        Traits("d", tags=frozenset({"default"})),
    ]
    wishes = Wishes(tags=frozenset(tags))
    world = World({"g": group}, rules=Rules(tagged=True))
    assert {world.call("g", failing(), wishes) for _ in range(50)} == answered
    world = World({"g": group})
    assert {world.call("g", failing(), wishes) for _ in range(50)} == {"a", "b", "c", "d"}


def test_tags_that_nobody_has() -> None:
    world = World({"g": [Traits("a", tags=frozenset({"paid"}))], "h": plain("b")}, {}, rules=Rules(tagged=True))
    with pytest.raises(InvalidRequest) as caught:
        world.call("g", failing(), Wishes(tags=frozenset({"free"})))
    assert caught.value.param == "tags"
    assert world.call("g", failing()) == "a"
    assert world.call("h", failing()) == "b"


@pytest.mark.parametrize("deployments", [1, 2, 3])
@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("cooldowns", [False, True])
@pytest.mark.parametrize("a_second", [1, 5, 50])
def test_a_vendor_that_is_down_for_a_minute(deployments: int, fallback: bool, cooldowns: bool, a_second: int) -> None:
    """Every deployment of the group is at the same vendor: it gets at most 1.2 times the calls that are offered."""
    traits = [Traits(str(nth), cooling=CoolingRules(enabled=cooldowns)) for nth in range(deployments)]
    groups = {"g": traits} | ({"h": [Traits("spare")]} if fallback else {})
    world = World(groups, {"g": ["h"]} if fallback else {}, rules=Rules(retries=RetryRules(times=10)))
    offered = 60 * a_second + deployments * 5
    for nth in range(offered):
        world.now = nth / a_second
        told = world.call("g", lambda key, _: None if key == "spare" else DOWN)
        assert told == "spare" if fallback else told is DOWN
    to_it = sum(key != "spare" for key in world.order)
    assert to_it <= 1.2 * offered
    assert fallback or to_it >= offered  # nobody is turned away unasked
    if fallback and cooldowns:
        assert to_it < 0.6 * offered + 20


def errors(chance: Random) -> ProviderError:
    kind = chance.choice(
        [UpstreamDown, UpstreamTimeout, RateLimited, Busy, Broken, BadAnswer, UpstreamAuth, Refused, PolicyViolation]
    )
    return kind("x", sent=chance.choice(["no", "maybe", "yes"]), retry_after=chance.choice([None, 1.0, 100.0]))


@pytest.mark.parametrize("seed", range(150))
def test_laws_of_every_call(seed: int) -> None:
    chance = Random(seed)
    groups = {
        name: [
            Traits(
                f"{name}{nth}",
                order=chance.choice([1, 2]),
                weight=chance.choice([None, 0, 3]),
                rpm=chance.choice([None, 3]),
                once=frozenset({"video"} if chance.random() < 0.3 else ()),
                cooling=CoolingRules(enabled=chance.random() < 0.8, allowed=chance.choice([None, 0, 2])),
            )
            for nth in range(chance.randint(1, 4))
        ]
        for name in "ghij"[: chance.randint(1, 4)]
    }
    times = chance.randint(0, 4)
    rules = Rules(retries=RetryRules(times=times))
    world = World(groups, {"*": chance.sample(list(groups), len(groups))}, rules=rules, seed=seed)
    seats = {seat.traits.key: seat for name in groups for seat in world.fleet.seats(name, lambda _: True, frozenset())}
    last: list[tuple[str, ProviderError]] = []

    def answers(key: str, now: float) -> ProviderError | None:
        if last:
            before, error = last[-1]
            assert key in dict(last) or world.pauses[-1] == 0, "nobody waits before somebody new is asked"
            assert error.falls_back or before[0] != "g" or isinstance(error, PolicyViolation)
            assert not (error.sent == "maybe" and seats[before].traits.once), "sent again"
        for before, error in last:
            assert before != key or (error.retryable and error.sent != "maybe"), "asked again in vain"
        if not last and seats[key].health.cooling(now):
            assert all(seat.health.cooling(now) for seat in seats.values()), "somebody else could have answered"
        if chance.random() < 0.4:
            return None
        last.append((key, errors(chance)))
        return last[-1][1]

    for _ in range(40):
        world.now += chance.expovariate(1)
        began, first = len(world.asked), world.now
        last.clear()
        told = world.call("g", answers)
        asked = len(world.asked) - began
        assert 1 <= asked <= len(seats) + len(groups) * times
        assert isinstance(told, str) or any(told is error for _, error in last)
        assert world.now == world.asked[-1][1] >= first, "no pause at the end"
        assert all(seat.load.in_flight == 0 for seat in seats.values())
