"""Checks of deployments whose vendors misbehave in ways that no simulator does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from gateway.config import GeneralSettings, ModelEntry
from gateway.services.deployments import Deployment
from gateway.services.health import FRESH_SECONDS, Health
from providers.base.contract import Readiness
from providers.base.errors import UpstreamDown
from providers.base.settings import VendorSettings

SECRET = "CANARY-51c0"


class Fake:
    """``probe`` does what it is given, and counts."""

    def __init__(self, answer: Callable[[], Awaitable[Readiness]]) -> None:
        self.answer, self.asked, self.at_once, self.most = answer, 0, 0, 0

    def readiness(self) -> Readiness:
        return Readiness("ready")

    def warm(self) -> None:
        return

    async def probe(self) -> Readiness:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return await self.answer()
        finally:
            self.at_once -= 1


async def fine() -> Readiness:
    await asyncio.sleep(0)
    return Readiness("ready", "all is well")


async def crash() -> Readiness:
    raise KeyError(SECRET)


async def stubborn() -> Readiness:
    """Takes no notice of being cancelled, once."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(0)
    return Readiness("ready")


def deployed(provider: Fake, name: str = "one", **info: object) -> Deployment:
    return Deployment(ModelEntry(name, "fake", "x", VendorSettings(), model_info=info), provider, f"fake/{name}")


async def test_a_check_that_crashes_is_told_without_what_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    health = Health([deployed(Fake(crash))], GeneralSettings())
    (found,) = await health.check()
    assert (found.state, found.detail) == ("unhealthy", "The check itself failed. The gateway's log has more.")
    assert "KeyError at test_health.py:" in caplog.text
    assert SECRET not in caplog.text
    await health.close()


async def test_time_is_bounded_also_where_the_check_will_not_end() -> None:
    health = Health([deployed(Fake(stubborn), health_check_timeout=0.01)], GeneralSettings())
    (found,) = await health.check()
    assert (found.state, found.detail) == ("unhealthy", "No answer within 0.01 s.")
    await health.close()


async def test_so_many_at_once_and_no_more() -> None:
    provider = Fake(fine)
    there = [deployed(provider, f"m{number}") for number in range(20)]
    health = Health(there, GeneralSettings(health_check_concurrency=3))
    assert [found.deployment for found in await health.check()] == there
    assert (provider.asked, provider.most) == (20, 3)
    await health.close()


async def test_whoever_comes_meanwhile_or_shortly_after_shares_the_answer() -> None:
    provider, clock = Fake(fine), [0.0]
    health = Health([deployed(provider)], GeneralSettings(), now=lambda: clock[0])
    await asyncio.gather(*(health.check() for _ in range(50)))
    clock[0] = FRESH_SECONDS - 0.1
    await health.check("one")
    assert provider.asked == 1
    clock[0] = FRESH_SECONDS
    await health.check()
    assert provider.asked == 2
    await health.close()


async def test_a_caller_who_leaves_takes_nobody_s_answer_away() -> None:
    go = asyncio.Event()

    async def waits() -> Readiness:
        await go.wait()
        return Readiness("ready")

    health = Health([deployed(Fake(waits))], GeneralSettings())
    impatient, patient = asyncio.create_task(health.check()), asyncio.create_task(health.check())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    go.set()
    assert [found.state for found in await patient] == ["healthy"]
    await health.close()


async def test_in_the_background(caplog: pytest.LogCaptureFixture) -> None:
    states = iter(["down", "down", "up"])

    async def changes() -> Readiness:
        if next(states) == "down":
            raise UpstreamDown("It cannot be reached.")
        return Readiness("ready", "It is back.")

    slept: asyncio.Queue[float] = asyncio.Queue()
    go = asyncio.Semaphore(0)

    async def sleep(seconds: float) -> None:
        slept.put_nowait(seconds)
        await go.acquire()

    provider, other, clock = Fake(changes), Fake(fine), [0.0]
    there = [deployed(provider), deployed(other, "two", disable_background_health_check=True)]
    settings = GeneralSettings(background_health_checks=True, health_check_interval=60)
    health = Health(there, settings, now=lambda: clock[0], sleep=sleep)
    caplog.set_level(logging.INFO)
    health.start()
    for expected in (1, 2, 3):
        assert await slept.get() == 60
        assert (provider.asked, other.asked) == (expected, 0)
        go.release()
    clock[0] = 100.0
    assert [found.state for found in await health.check("one")] == ["healthy"]
    assert provider.asked <= 4  # the last round, perhaps; never for the question
    told = [record.getMessage() for record in caplog.records]
    assert told == ["fake/one is unhealthy: It cannot be reached.", "fake/one is healthy: It is back."]
    await health.close()
