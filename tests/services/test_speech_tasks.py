"""Speech that a vendor makes as tasks: what the rows hold, when they are written, and how long a call waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from engines.codec import wav_header
from engines.media import AudioFormat
from gateway.build import Services, open_services
from gateway.errors import InvalidRequest, TaskFailed, Timeout
from gateway.jobs.job import State
from gateway.services.caller import Caller
from providers.base.contract import (
    Done,
    Failed,
    ImageRequest,
    Made,
    Readiness,
    SpeechRequest,
    Submitted,
    TaskRequest,
    Voice,
    Working,
)
from providers.base.errors import Broken
from tests.serving import config_of
from tests.sound import hear, tone

CONFIG = """
model_list:
  - {model_name: words, params: {model: sandbox/speech, voice: v}}
  - {model_name: pictures, params: {model: sandbox/image}}
general_settings: {task_timeout: 20}
"""
TONES = {"low": 300, "high": 900}


class Words:
    """A vendor that takes one word in a task and speaks no faster than half again; "bad" fails, "slow" never ends."""

    makes = frozenset({"speech", "image"})
    poll_interval = 0.01
    patience: float | None = None

    def __init__(self) -> None:
        self.sent: list[TaskRequest] = []
        self.rows: list[list[State]] = []
        self.cancelled: list[str] = []
        self.store: Any = None

    def readiness(self) -> Readiness:
        return Readiness("ready")

    def warm(self) -> None:
        return

    def check(self, request: TaskRequest) -> dict[str, str]:
        return {}

    def parts(self, request: SpeechRequest) -> Sequence[SpeechRequest]:
        return [replace(request, text=word, speed=min(request.speed, 1.5)) for word in request.text.split()]

    def voices(self) -> Sequence[Voice]:
        return [Voice("v", "V", "mul")]

    async def submit(self, request: TaskRequest) -> Submitted:
        self.rows.append([job.state for job in await self.store.unfinished()])
        self.sent.append(request)
        return Submitted(request.text if isinstance(request, SpeechRequest) else request.prompt)

    async def poll(self, task: str) -> Working | Done | Failed:
        if task == "slow":
            return Working()
        if task == "bad":
            return Failed(Broken("It broke", sent="yes"))
        return Done((Made(_wav(tone(1, hertz=TONES[task])), "audio/wav"),))

    async def cancel(self, task: str) -> None:
        self.cancelled.append(task)


def _wav(pcm: bytes) -> bytes:
    return wav_header(size=len(pcm)) + pcm


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    """Takes the place of the sandbox's models."""
    vendor = Words()
    monkeypatch.setattr("providers.sandbox.Sandbox", lambda *_: vendor)
    return vendor


@pytest.fixture
async def services(words: Words) -> AsyncIterator[Services]:
    async with open_services(config_of(CONFIG)) as opened:
        words.store = opened.speech._tasks.store
        yield opened


async def say(services: Services, text: str, speed: float = 1.0, caller: Caller | None = None) -> bytes:
    speech = await services.speech.speak("words", SpeechRequest(text, "", AudioFormat.PCM, speed), caller)
    try:
        return b"".join([chunk async for chunk in speech.chunks])
    finally:
        await speech.chunks.aclose()


async def test_every_row_is_there_before_the_first_part_is_sent(words: Words, services: Services) -> None:
    await say(services, "low high low")
    assert [len(rows) for rows in words.rows] == [3, 3, 3]
    assert [request.text for request in words.sent] == ["low", "high", "low"]


async def test_the_sounds_are_joined_in_order(words: Words, services: Services) -> None:
    samples = await say(services, "low high low")
    assert samples == tone(1, hertz=300) + tone(1, hertz=900) + tone(1, hertz=300)


@pytest.mark.parametrize(("speed", "sent", "seconds"), [(1.5, 1.5, 2.0), (3.0, 1.5, 1.0), (0.5, 0.5, 2.0)])
async def test_the_gateway_does_the_rest_of_the_speed(
    words: Words, services: Services, speed: float, sent: float, seconds: float
) -> None:
    """This vendor's sounds are as long at any speed: only the rest is heard."""
    heard = hear(await say(services, "low low", speed), "pcm")
    assert {request.speed for request in words.sent} == {sent}
    assert heard.seconds == pytest.approx(seconds, abs=0.06)
    assert heard.pitch == pytest.approx(300, abs=3)


async def test_a_retry_is_the_same_sound(words: Words, services: Services) -> None:
    caller = Caller("anna", "/audio/speech", {"input": "low high"}, retry=True)
    first = await say(services, "low high", 3.0, caller)
    assert await say(services, "low high", 3.0, caller) == first
    assert len(words.sent) == 2


async def test_the_first_failure_ends_the_others(words: Words, services: Services) -> None:
    caller = Caller("anna", "/audio/speech", {"input": "slow low bad slow"}, retry=True)
    for _ in range(2):  # the second call finds what became of the first
        with pytest.raises(TaskFailed, match="It broke"):
            await say(services, "slow low bad slow", caller=caller)
    assert words.cancelled == ["slow", "slow"]
    assert len(words.sent) == 4
    assert await words.store.unfinished() == []


async def test_the_first_picture_that_fails_ends_the_others(words: Words, services: Services) -> None:
    tasks = services.images._tasks
    jobs = [
        (await services.images.submit("pictures", ImageRequest(prompt), 1, Caller())).jobs[0]
        for prompt in ("slow", "bad")
    ]
    with pytest.raises(TaskFailed, match="It broke"):
        await tasks.finished(jobs)
    row = await tasks.store.get(jobs[0].id)
    assert row is not None
    assert row.state is State.CANCELLED


async def test_a_provider_s_patience_comes_before_the_config_s(words: Words, services: Services) -> None:
    words.patience = 0.05
    async with asyncio.timeout(10):  # the config would wait for 20 s
        with pytest.raises(Timeout, match=r"Not done after 0\.05 s; the task goes on \(speech_\w+, speech_\w+\)"):
            await say(services, "slow low")
    assert words.cancelled == []


async def test_a_row_holds_no_sound_that_came_with_the_call(words: Words, services: Services) -> None:
    caller = Caller("anna", "/audio/speech", {"input": "low"}, "key", retry=True)
    voices = [{"type": "reference", "sound": "data:audio/wav;base64," + "A" * 100_000 + end} for end in "ABA"]
    asked = [SpeechRequest("low", "", extra={"voice": voice}) for voice in voices]
    first = await services.speech.speak("words", asked[0], caller)
    await first.chunks.aclose()
    with pytest.raises(InvalidRequest, match="another call"):
        await services.speech.speak("words", asked[1], caller)
    again = await services.speech.speak("words", asked[2], caller)
    await again.chunks.aclose()
    assert len(words.sent) == 1
    (row,) = await words.store.same(caller.fingerprint, 0)
    assert len(str(row.request)) < 300
