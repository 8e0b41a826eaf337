"""The speech use-case without HTTP: who is asked, what is dropped, what is counted."""

from __future__ import annotations

import importlib

import pytest

from engines.media import AudioFormat, AudioSpec
from gateway.build import open_services
from gateway.errors import InvalidRequest, UnknownModel
from gateway.services.options import without
from gateway.services.speech import Speech, tokens
from providers.base.contract import SpeechRequest, Usage
from providers.base.errors import Broken, Busy, Refused, Unavailable
from tests.serving import config_of
from tests.sound import hear, tone

scripted = importlib.import_module("providers.scripted")

CONFIG = """
model_list:
  - {model_name: twins, params: {model: scripted/unavailable}}
  - {model_name: twins, params: {model: scripted/ok}}
  - {model_name: broken, params: {model: scripted/breaks-first}}
  - {model_name: damaged, params: {model: scripted/damaged}}
  - {model_name: busy, params: {model: scripted/busy}}
  - {model_name: full, params: {model: scripted/busy}}
  - {model_name: refuses, params: {model: scripted/refuses}}
  - {model_name: midway, params: {model: scripted/breaks-midway}}
  - {model_name: nobody, params: {model: scripted/unavailable}}
  - {model_name: mp3, params: {model: scripted/mp3}}
  - {model_name: spare, params: {model: scripted/ok, voice: v}}
router_settings:
  fallbacks:
    - {broken: [nobody, spare]}
    - {damaged: [spare]}
    - {busy: [spare]}
    - {full: [nobody]}
    - {refuses: [spare]}
    - {midway: [spare]}
"""


async def speak(model: str, voice: str = "v", format: AudioFormat = AudioFormat.PCM) -> tuple[Speech, bytes]:
    async with open_services(config_of(CONFIG)) as services:
        speech = await services.speech.speak(model, SpeechRequest("Hello.", voice, format))
        try:
            return speech, b"".join([chunk async for chunk in speech.chunks])
        finally:
            await speech.chunks.aclose()


async def test_another_deployment_of_the_same_model_is_no_fallback() -> None:
    speech, data = await speak("twins")
    assert (speech.served.model, speech.served.stands_in_for, speech.served.reason) == ("twins", None, None)
    assert data == tone(1) * 3


@pytest.mark.parametrize(
    ("model", "reason"), [("broken", "scripted"), ("damaged", "generation_failed"), ("busy", "engine_overloaded")]
)
async def test_fallbacks_are_asked_in_order(model: str, reason: str) -> None:
    before = set(scripted.Stream.live)
    speech, data = await speak(model)
    assert (speech.served.model, speech.served.stands_in_for) == ("spare", model)
    assert speech.served.reason == reason  # of the one asked last before
    assert data == tone(1) * 3
    assert scripted.Stream.live == before


@pytest.mark.parametrize(("model", "error"), [("full", Busy), ("refuses", Refused), ("nobody", Unavailable)])
async def test_what_another_could_not_mend_is_told(model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await speak(model)


async def test_nobody_else_is_asked_after_the_first_bytes() -> None:
    with pytest.raises(Broken):
        await speak("midway")


async def test_a_voice_is_needed_from_somewhere() -> None:
    assert (await speak("spare", voice=""))[1]
    with pytest.raises(InvalidRequest) as caught:
        await speak("twins", voice="")
    assert caught.value.param == "voice"
    with pytest.raises(UnknownModel):
        await speak("unknown")


async def test_a_format_that_is_right_already_is_passed_on() -> None:
    speech, data = await speak("mp3", format=AudioFormat.MP3)
    assert speech.spec == AudioSpec(AudioFormat.MP3)
    assert hear(data, "mp3").seconds == pytest.approx(3, abs=0.1)


def test_what_can_be_left_out() -> None:
    request = SpeechRequest("x", "v", speed=2.0, instructions="loud", extra={"a": 1, "b": 2})
    left, dropped = without(request, ("speed", "instructions", "b", "c"))
    assert (left.speed, left.instructions, left.extra) == (1.0, None, {"a": 1})
    assert sorted(dropped) == ["b", "instructions", "speed"]
    assert without(left, ("speed", "instructions", "b")) == (left, ())


def test_tokens_are_the_provider_s_or_estimated() -> None:
    assert tokens(Usage(characters=41, audio_seconds=6.0, input_tokens=7, output_tokens=9)) == (7, 9)
    assert tokens(Usage(characters=41, audio_seconds=6.0)) == (11, 125)
    assert tokens(Usage()) is None
    assert tokens(Usage(characters=3)) is None
