"""Pace and budgets, with a clock of our own."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.database import StoreError
from gateway.errors import InvalidRequest, OverQuota, OverRate
from gateway.inbox import kept
from gateway.keys.amounts import Amounts
from gateway.keys.limits import Budget, Limits, Pace
from gateway.keys.memory import MemoryKeyStore

DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = 100 * DAY

    def __call__(self) -> float:
        return self.now


class Slow(MemoryKeyStore):
    """A store whose answers take turns of the loop, as a thread's do."""

    async def spent(self, who, since):
        found = await super().spent(who, since)
        for _ in range(3):
            await asyncio.sleep(0)
        return found

    def add(self, names, at, amounts, sign=1):
        super().add(names, at, amounts, sign)
        return asyncio.ensure_future(asyncio.sleep(0))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> MemoryKeyStore:
    return Slow()


def limits_of(store: MemoryKeyStore, clock: Clock, **more) -> Limits:
    async def spending() -> MemoryKeyStore:
        return store

    return Limits(spending, clock, **more)


@pytest.fixture
def limits(store: MemoryKeyStore, clock: Clock) -> Limits:
    return limits_of(store, clock)


def budget(who: str = "k", duration: str | None = "24h", anchor: float = 0.0, **most: float) -> Budget:
    return Budget(who, "This key", most, duration, anchor)


def test_the_window_slides() -> None:
    pace = Pace()
    for now in (0.0, 20.0, 40.0):
        pace.enter(3, None, now)
    with pytest.raises(OverRate) as caught:
        pace.enter(3, None, 45.0)
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert caught.value.retry_after == 15.0
    pace.enter(3, None, 60.0)
    with pytest.raises(OverRate) as caught:
        pace.enter(2, None, 60.0)  # lowered meanwhile: two of the three have to go
    assert caught.value.retry_after == 40.0
    with pytest.raises(OverRate):
        pace.enter(0, None, 1000.0)


def test_many_calls_are_remembered_in_little_and_none_too_briefly() -> None:
    pace, rpm = Pace(), 50_000
    for call in range(rpm):  # 1,000 a second
        pace.enter(rpm, None, call / 1000)
    assert len(pace._begun) <= 600
    with pytest.raises(OverRate) as caught:
        pace.enter(rpm, None, 60.0)  # the first has left, but not those that it is remembered with
    again = 60.0005 + caught.value.retry_after
    assert 60.0 < again <= 60.1
    for _ in range(sum(1 for call in range(rpm) if call / 1000 <= again - 60)):
        pace.enter(rpm, None, again)
    with pytest.raises(OverRate):
        pace.enter(rpm, None, again)


def test_calls_at_once() -> None:
    pace = Pace()
    pace.enter(None, 2, 0.0)
    pace.enter(None, 2, 0.0)
    with pytest.raises(OverRate, match="max_parallel_requests") as caught:
        pace.enter(None, 2, 0.0)
    assert caught.value.retry_after
    pace.leave()
    pace.enter(None, 2, 0.0)


def test_paces_that_are_idle_are_forgotten(store: MemoryKeyStore, clock: Clock) -> None:
    limits = limits_of(store, clock, monotonic=clock, keep=10)
    busy = limits.enter("busy", 1, 1)
    for number in range(100):
        limits.enter(str(number), 1, None)()
        clock.now += 61
    assert len(limits._paces) <= 10
    with pytest.raises(OverRate):
        limits.enter("busy", None, 1)
    busy()
    limits.enter("busy", None, 1)


async def test_one_of_two_hundred(limits: Limits, store: MemoryKeyStore, clock: Clock) -> None:
    async def call() -> bool:
        try:
            reservation = await limits.reserve([budget(usd=0.25)], Amounts(usd=0.25))
        except OverQuota:
            return False
        await asyncio.sleep(0)
        await kept(reservation.settle())
        return True

    assert sum(await asyncio.gather(*(call() for _ in range(200)))) == 1
    assert (await store.spent("k", 0)).usd == 0.25


async def test_what_is_released_can_be_had_again(limits: Limits) -> None:
    first = await limits.reserve([budget(images=1)], Amounts(images=1))
    with pytest.raises(OverQuota) as caught:
        await limits.reserve([budget(images=1)], Amounts(images=1))
    assert (caught.value.code, caught.value.kind) == ("insufficient_quota", "insufficient_quota")
    assert "1970-04-12T00:00:00Z" in str(caught.value)
    first.release()
    first.release()
    second = await limits.reserve([budget(images=1)], Amounts(images=1))
    second.release()
    await kept(second.settle())  # too late
    await limits.reserve([budget(images=1)], Amounts(images=1))


async def test_what_was_used_counts_not_what_was_expected(limits: Limits, store: MemoryKeyStore) -> None:
    wide = budget(audio_seconds=10.0, characters=1000)
    first = await limits.reserve([wide], Amounts(audio_seconds=9.0, characters=90))
    await kept(first.settle(audio_seconds=2.0))
    spent = await store.spent("k", 0)
    assert (spent.audio_seconds, spent.characters, spent.usd, spent.unpriced) == (2.0, 90, 0.0, 0)
    second = await limits.reserve([wide], Amounts(usd=None, audio_seconds=8.0))
    await kept(second.settle())
    await kept(second.settle())
    spent = await store.spent("k", 0)
    assert (spent.audio_seconds, spent.usd, spent.unpriced) == (10.0, 0.0, 1)
    with pytest.raises(OverQuota):
        await limits.reserve([wide], Amounts(audio_seconds=0.1))
    await limits.reserve([wide], Amounts(characters=5))  # needs none of what has run out


async def test_all_budgets_or_none(limits: Limits) -> None:
    user, house = budget("user:u", usd=1.0), budget("all", usd=0.5)
    with pytest.raises(OverQuota):
        await limits.reserve([user, house], Amounts(usd=0.8))
    assert not limits._accounts["user:u"].open
    reservation = await limits.reserve([user], Amounts(usd=1.0))  # nothing stayed reserved
    await kept(reservation.settle(0.6))
    await limits.reserve([user, house], Amounts(usd=0.4))


async def test_a_budget_that_cannot_bind_is_no_budget(limits: Limits) -> None:
    with pytest.raises(InvalidRequest, match="model_info") as caught:
        await limits.reserve([budget(usd=1.0)], Amounts(usd=None))
    assert caught.value.code == "price_unknown"
    with pytest.raises(InvalidRequest) as caught:
        await limits.reserve([budget(video_seconds=1.0)], Amounts(video_seconds=None))
    assert caught.value.param == "seconds"
    await limits.reserve([budget(images=1)], Amounts(usd=None, images=1, video_seconds=None))


async def test_a_new_period_begins_with_nothing(limits: Limits, clock: Clock, store: MemoryKeyStore) -> None:
    old = await limits.reserve([budget(images=2)], Amounts(images=2))
    clock.now += DAY
    with pytest.raises(OverQuota):  # still under way: it will be paid in this period
        await limits.reserve([budget(images=2)], Amounts(images=1))
    await kept(old.settle())
    clock.now += DAY
    await kept((await limits.reserve([budget(images=2)], Amounts(images=2))).settle())
    with pytest.raises(OverQuota):
        await limits.reserve([budget(images=2)], Amounts(images=1))
    assert (await store.spent("k", 0)).images == 4


async def test_another_rhythm_counts_what_was_spent_since(limits: Limits, clock: Clock) -> None:
    await kept((await limits.reserve([budget(images=9)], Amounts(images=3))).settle())
    clock.now += DAY
    await kept((await limits.reserve([budget(images=9)], Amounts(images=2))).settle())
    with pytest.raises(OverQuota, match="5 of them"):
        await limits.reserve([budget(duration=None, images=5)], Amounts(images=1))
    with pytest.raises(OverQuota, match="2 of them"):
        await limits.reserve([budget(images=2)], Amounts(images=1))


async def test_a_restart_finds_what_was_spent(store: MemoryKeyStore, clock: Clock) -> None:
    reservation = await limits_of(store, clock).reserve([budget(images=2)], Amounts(images=1))
    await kept(reservation.settle())
    other = limits_of(store, clock)
    await other.reserve([budget(images=2)], Amounts(images=1))
    with pytest.raises(OverQuota):
        await other.reserve([budget(images=2)], Amounts(images=1))


async def test_what_was_not_made_is_given_back(limits: Limits) -> None:
    reservation = await limits.reserve([budget(images=2)], Amounts(images=2))
    await kept(reservation.settle())
    await kept(reservation.take_back(Amounts(images=1)))
    await limits.reserve([budget(images=2)], Amounts(images=1))
    with pytest.raises(OverQuota):
        await limits.reserve([budget(images=2)], Amounts(images=1))


async def test_never_over_and_never_lost_with_more_users_than_memory_holds(store: MemoryKeyStore, clock: Clock) -> None:
    """However calls of many users interleave, each gets his ten and no more, though only four are remembered."""
    limits = limits_of(store, clock, keep=4)
    chance = random.Random(7)
    passed = dict.fromkeys((f"u{number}" for number in range(12)), 0)

    async def call(who: str) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        try:
            reservation = await limits.reserve([budget(who, images=10), budget("all", images=1000)], Amounts(images=1))
        except OverQuota:
            return
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            reservation.release()
        else:
            await kept(reservation.settle())
            passed[who] += 1

    for _ in range(8):
        await asyncio.gather(*(call(who) for who in passed for _ in range(6)))
    await asyncio.gather(*(call(who) for who in passed for _ in range(60)))
    for who, count in passed.items():
        assert (await store.spent(who, 0)).images == count <= 10
    await limits.reserve([budget("last")], Amounts())
    assert len(limits._accounts) == 4
    assert sum(account.holds for account in limits._accounts.values()) == 0
    assert sum(len(account.open) for account in limits._accounts.values()) == 1
    assert (await store.spent("all", 0)).images == sum(passed.values()) > 100


async def test_what_is_given_back_late_belongs_to_its_own_period(limits: Limits, clock: Clock) -> None:
    reservation = await limits.reserve([budget(images=1)], Amounts(images=1))
    await kept(reservation.settle())
    clock.now += DAY
    await kept((await limits.reserve([budget(images=1)], Amounts(images=1))).settle())
    await kept(reservation.take_back(Amounts(images=1)))
    with pytest.raises(OverQuota):
        await limits.reserve([budget(images=1)], Amounts(images=1))


async def test_of_several_processes_each_soon_knows_what_the_others_spent(store: MemoryKeyStore, clock: Clock) -> None:
    steady = Clock()
    one, other = (limits_of(store, clock, monotonic=steady, fresh=0.5) for _ in range(2))
    await kept((await one.reserve([budget(usd=1.0)], Amounts(usd=0.6))).settle())
    held = await other.reserve([budget(usd=1.0)], Amounts(usd=0.3))
    await kept((await one.reserve([budget(usd=1.0)], Amounts(usd=0.3))).settle())  # what is only reserved is not seen
    steady.now += 0.5
    with pytest.raises(OverQuota):
        await other.reserve([budget(usd=1.0)], Amounts(usd=0.05))
    await kept(held.settle())
    assert (await store.spent("k", 0)).usd == pytest.approx(1.2)


async def test_what_is_booked_while_the_store_is_asked_counts_once(store: MemoryKeyStore, clock: Clock) -> None:
    steady = Clock()
    limits = limits_of(store, clock, monotonic=steady, fresh=0.5)
    early, late, last = [await limits.reserve([budget(images=9)], Amounts(images=each)) for each in (1, 2, 3)]
    steady.now += 0.5
    early.settle()
    asking = asyncio.create_task(limits.reserve([budget(images=9)], Amounts()))
    await asyncio.sleep(0)
    late.settle()
    assert not asking.done()
    await asking
    with pytest.raises(OverQuota, match="6 of them"):
        await limits.reserve([budget(images=9)], Amounts(images=4))
    await kept(last.settle())
    assert (await store.spent("k", 0)).images == 6


async def test_what_cannot_be_written_counts_all_the_same(
    store: MemoryKeyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steady = Clock()
    limits = limits_of(store, clock, monotonic=steady, fresh=0.5)
    reservation = await limits.reserve([budget(images=2)], Amounts(images=2))
    full = asyncio.get_running_loop().create_future()
    full.set_exception(StoreError("disk full"))
    monkeypatch.setattr(store, "add", lambda *_: full)
    with pytest.raises(StoreError):
        await kept(reservation.settle())
    steady.now += 0.5  # the store is asked again
    with pytest.raises(OverQuota, match="2 of them"):
        await limits.reserve([budget(images=2)], Amounts(images=1))
    assert "could not be booked: disk full" in caplog.text
