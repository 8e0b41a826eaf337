"""The loop over attempts, against vendors that fail in every way, with no HTTP."""

from __future__ import annotations

import asyncio
import importlib

import pytest

from gateway.build import Services, open_services
from gateway.errors import GatewayError, InvalidRequest, Timeout
from gateway.jobs.errors import SubmissionUnknown
from gateway.jobs.job import State
from gateway.policy.attempts import Wishes
from gateway.record import Record
from gateway.services.asking import Asker, Turn
from gateway.services.caller import Caller
from gateway.services.deployments import open_deployments, routes, rules
from providers.base.contract import ImageRequest, SpeechRequest, VideoRequest
from providers.base.errors import Broken, ProviderError, RateLimited, UpstreamDown, UpstreamTimeout
from providers.base.vendor import Resources
from tests.serving import config_of

scripted = importlib.import_module("providers.scripted")

CONFIG = """
model_list:
  - {model_name: pair, params: {model: scripted/down, order: 1}, model_info: {id: first}}
  - {model_name: pair, params: {model: scripted/ok, order: 2}, model_info: {id: second}}
  - {model_name: midway, params: {model: scripted/breaks-midway, order: 1}}
  - {model_name: midway, params: {model: scripted/ok, order: 2}}
  - {model_name: silent, params: {model: scripted/silent, order: 1, timeout: 9, stream_timeout: 0.05}}
  - {model_name: silent, params: {model: scripted/ok, order: 2}}
  - {model_name: forbids, params: {model: scripted/forbids}}
  - {model_name: throttled, params: {model: scripted/throttled}}
  - {model_name: lonely, params: {model: scripted/down, num_retries: 1}}
  - {model_name: one-at-a-time, params: {model: scripted/slowly, max_parallel_requests: 1, order: 1}}
  - {model_name: one-at-a-time, params: {model: scripted/ok, order: 2}}
  - {model_name: spare, params: {model: scripted/ok}, model_info: {id: spare}}
  - {model_name: drawing, params: {model: scripted/task-ok}}
  - {model_name: mixed, params: {model: scripted/task-down, order: 1}}
  - {model_name: mixed, params: {model: scripted/task-ok, order: 2}}
  - {model_name: unsure, params: {model: scripted/task-unsure, order: 1}}
  - {model_name: unsure, params: {model: scripted/task-ok, order: 2}}
  - {model_name: slow, params: {model: scripted/task-slow, order: 1, timeout: 0.05}}
  - {model_name: slow, params: {model: scripted/task-ok, order: 2}}
  - {model_name: half, params: {model: scripted/task-second-fails, order: 1}}
  - {model_name: half, params: {model: scripted/task-ok, order: 2}}
  - {model_name: nonsense, params: {model: scripted/task-nonsense, order: 1}}
  - {model_name: nonsense, params: {model: scripted/ok, order: 2}}
  - {model_name: mute, params: {model: scripted/mute}}
router_settings:
  fallbacks: [{unsure: [drawing]}, {midway: [spare]}, {slow: [drawing]}, {lonely: [mute]}]
  content_policy_fallbacks: [{forbids: [spare]}]
"""


@pytest.fixture(autouse=True)
def fresh() -> None:
    scripted.CALLS.clear()
    scripted.Tasked.slow = asyncio.Event()


def caller(**wishes: object) -> Caller:
    return Caller(record=Record("", ""), wishes=Wishes(**wishes))


async def speak(services: Services, model: str, who: Caller) -> bytes:
    speech = await services.speech.speak(model, SpeechRequest("Hello.", "v", "pcm"), who)
    try:
        return b"".join([chunk async for chunk in speech.chunks])
    finally:
        await speech.chunks.aclose()


def told(who: Caller) -> list[tuple[str, str, str]]:
    return [(each.deployment.rpartition("/")[2], each.outcome, each.sent) for each in who.record.attempts]


async def test_each_attempt_is_written_down() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        assert await speak(services, "pair", who)
        assert told(who) == [("first", "provider_unavailable", "yes"), ("second", "ok", "yes")]
        assert (who.record.group, who.record.deployment, who.record.fallbacks) == ("pair", "scripted/second", 0)
        who = caller()
        assert await speak(services, "forbids", who)
        assert [each[1] for each in told(who)] == ["content_policy_violation", "ok"]
        assert (who.record.group, who.record.fallbacks) == ("spare", 1)
        fleet = services.speech._asker.fleet
        for group in ("pair", "forbids", "spare"):
            assert {seat.load.in_flight for seat in fleet.seats(group, lambda _: True, frozenset())} == {0}


async def test_after_the_first_chunk_nobody_else_is_asked() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        with pytest.raises(Broken):
            await speak(services, "midway", who)
        assert [each[1] for each in told(who)] == ["ok"]
        assert scripted.CALLS == {"breaks-midway": 1}


async def test_who_says_nothing_in_time_is_left() -> None:
    before = set(scripted.Stream.live)
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        assert await speak(services, "silent", who)
        assert [each[1:] for each in told(who)] == [("provider_timeout", "maybe"), ("ok", "yes")]
        with pytest.raises(UpstreamTimeout) as caught:
            await speak(services, "silent", caller(timeout=0.01))
        assert "silent" not in str(caught.value)
        assert scripted.Stream.live == before


async def test_a_call_s_own_retries() -> None:
    async with open_services(config_of(CONFIG)) as services:
        for wishes, times in (({}, 2), ({"num_retries": 0}, 1)):
            scripted.CALLS.clear()
            with pytest.raises(UpstreamDown):
                await speak(services, "lonely", caller(**wishes))
            assert {"down": times} == scripted.CALLS  # the fallback makes no speech, and is not asked


async def test_pauses_are_kept_between_attempts_and_there_is_none_at_the_end() -> None:
    slept: list[float] = []
    events: list[str] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        events.append("pause")

    async def ask(turn: Turn) -> None:
        events.append("ask")
        raise RateLimited("slower", sent="yes", retry_after=4)

    config = config_of(CONFIG)
    deployments = await open_deployments(config, Resources())
    asker = Asker(routes(config, deployments), rules(config.routing), sleep=sleep)
    with pytest.raises(RateLimited):
        await asker.first("spare", "speech", (Record("", ""), Wishes()), ask)
    assert events == ["ask", "pause", "ask", "pause", "ask"]
    assert all(4 <= seconds <= 4.5 for seconds in slept)


async def test_a_long_pause_is_left_to_the_caller() -> None:
    async with open_services(config_of(CONFIG)) as services:
        with pytest.raises(RateLimited) as caught:
            await speak(services, "throttled", caller())
        assert caught.value.retry_after == 33.2
        assert scripted.CALLS == {"throttled": 1}


async def test_a_stream_counts_until_it_is_closed() -> None:
    async with open_services(config_of(CONFIG)) as services:
        first = await services.speech.speak("one-at-a-time", SpeechRequest("Hello.", "v", "pcm"), caller())
        await speak(services, "one-at-a-time", caller())
        assert scripted.CALLS == {"slowly": 1, "ok": 1}
        await first.chunks.aclose()
        await first.chunks.aclose()
        await speak(services, "one-at-a-time", caller())
        assert scripted.CALLS == {"slowly": 2, "ok": 1}


async def test_a_task_that_was_refused_is_given_to_another() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        submission = await services.images.submit("mixed", ImageRequest("x"), 1, who)
        assert submission.served.deployment == "scripted/task-ok@mixed"
        assert [each[1] for each in told(who)] == ["provider_unavailable", "ok"]


async def test_a_task_that_may_have_been_taken_is_given_to_nobody_else() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        with pytest.raises(SubmissionUnknown):
            await services.images.submit("unsure", ImageRequest("x"), 1, who)
        assert scripted.CALLS == {"task-unsure": 1}
        assert [each[1:] for each in told(who)] == [("submission_unknown", "maybe")]


async def test_a_task_that_is_not_taken_in_time_goes_on_alone() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        with pytest.raises(Timeout) as caught:
            await services.images.submit("slow", ImageRequest("x"), 1, who)
        assert caught.value.code == "submission_timeout"
        assert scripted.CALLS == {"task-slow": 1}
        assert [each[1:] for each in told(who)] == [("provider_timeout", "maybe")]
        (job,) = await services.images._tasks.store.unfinished()
        assert job.state is State.SUBMITTING
        scripted.Tasked.slow.set()
        assert (await services.images._tasks.finished([job]))[0].state is State.COMPLETED


async def test_a_call_that_was_taken_in_part_is_not_made_again() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        with pytest.raises(UpstreamDown):
            await services.images.submit("half", ImageRequest("x"), 2, who)
        assert scripted.CALLS == {"task-second-fails": 2}
        assert [each[2] for each in told(who)] == ["yes"]
        assert await services.images._tasks.store.unfinished() == []


async def test_speech_that_was_paid_for_as_a_task_is_not_made_again() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller()
        with pytest.raises((ProviderError, GatewayError)):
            await speak(services, "nonsense", who)
        assert scripted.CALLS == {"task-nonsense": 1}
        assert [each[2] for each in told(who)] == ["yes"]


async def test_a_model_that_makes_something_else() -> None:
    async with open_services(config_of(CONFIG)) as services:
        for model in ("mute", "drawing"):
            with pytest.raises(InvalidRequest) as caught:
                await services.videos.create(model, VideoRequest("x"), caller())
            assert str(caught.value) == f"The model '{model}' does not make videos."


async def test_a_client_who_leaves_is_no_fault_of_the_vendor_s() -> None:
    async with open_services(config_of(CONFIG)) as services:
        who = caller(timeout=60)
        task = asyncio.create_task(speak(services, "silent", who))
        while not scripted.CALLS["silent"]:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told(who)[0][1:] == ("client_gone", "maybe")
        deployment = services.speech._asker.fleet.seats("silent", lambda _: True, frozenset())[0]
        assert (deployment.load.in_flight, deployment.health.suspect) == (0, False)
