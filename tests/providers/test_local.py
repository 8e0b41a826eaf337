"""The voices of this machine as a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engines.residency import Resident
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.errors import Broken, Busy, Unavailable, Unsupported
from providers.base.vendor import Resources
from providers.local import ESPEAK_NAMES, KOKORO_NAMES, VENDOR
from tests.contracts.speech import SpeechContract
from tests.engines.fakes import StepEngine


@asynccontextmanager
async def opened(model: str, **settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    try:
        yield await VENDOR.open(model, VENDOR.models[model].settings(**settings), resources)
    finally:
        await resources.close()


class TestEspeak(SpeechContract):
    @pytest.fixture
    async def provider(self) -> AsyncIterator[SpeechProvider]:
        async with opened("espeak", queue_size=200) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "en-us"

    @pytest.mark.parametrize(
        ("kokoro", "like"),
        [
            ("af_heart", "en-us+f3"),
            ("bm_george", "en-gb+m3"),
            ("af_bella(2)+am_adam(1)", "en-us+f3"),
            ("zf_xiaoyi", "cmn+f3"),
        ],
    )
    def test_it_stands_in_for_kokoro_s_voices(self, provider: Any, kokoro: str, like: str) -> None:
        assert provider.native_voice(kokoro) == like

    @pytest.mark.parametrize("voice", ["xf_heart", "ax_heart", "af-heart", "en-us", ""])
    def test_and_leaves_others_alone(self, provider: Any, voice: str) -> None:
        assert provider.native_voice(voice) == voice


class TestKokoro(SpeechContract):
    @pytest.fixture
    async def provider(self, kokoro_folder: Path) -> AsyncIterator[SpeechProvider]:
        async with opened("kokoro-82m", path=kokoro_folder, queue_size=200) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "af_heart"


async def test_names_can_be_added_and_changed() -> None:
    async with opened("espeak", voices={"alloy": "fr-fr", "granny": "en-gb+f5"}) as made:
        listed = {voice.id: voice for voice in made.voices()}
        assert listed["alloy"].language == "fr-fr"
        assert listed["granny"].language == "en-gb"
        audio = await made.speech(SpeechRequest("x", "Granny"))
        await audio.chunks.aclose()


async def test_deployments_of_one_engine_share_it() -> None:
    resources = Resources()
    settings = VENDOR.models["espeak"].settings
    first = await VENDOR.open("espeak", settings(), resources)
    second = await VENDOR.open("espeak", settings(voices={"x": "fr"}), resources)
    third = await VENDOR.open("espeak", settings(queue_size=3), resources)
    first.warm()
    audio = await second.speech(SpeechRequest("Hello.", "fr"))
    assert [chunk async for chunk in audio.chunks]
    assert first.readiness().state == second.readiness().state == "ready"
    assert third.readiness().state == "idle"
    await resources.close()


async def test_missing_weights_are_unavailable_with_a_hint(tmp_path: Path) -> None:
    async with opened("kokoro-82m", path=tmp_path) as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(Unavailable) as caught:
            await made.speech(SpeechRequest("x", "af_heart"))
        assert caught.value.falls_back
        assert str(tmp_path) not in str(caught.value)
        assert "/readyz?verbose" in str(caught.value)


async def test_instructions_are_refused_by_name() -> None:
    async with opened("espeak") as made:
        with pytest.raises(Unsupported) as caught:
            await made.speech(SpeechRequest("x", "en-us", instructions="whisper"))
        assert caught.value.param == "instructions"


@pytest.mark.parametrize("names", [KOKORO_NAMES, ESPEAK_NAMES])
def test_openai_s_thirteen_names_are_thirteen_voices(names: dict[str, str]) -> None:
    assert len(names) == len(set(names.values())) == 13


@pytest.fixture
async def stepped() -> AsyncIterator[tuple[StepEngine, Callable[[str], Any]]]:
    """eSpeak's provider over an engine that the test steps."""
    engine = StepEngine()
    resources = Resources()
    settings = VENDOR.models["espeak"].settings(queue_size=1)
    resources.shared(("espeak", 1), lambda: Resident(engine, "espeak", queue_size=1))
    made = await VENDOR.open("espeak", settings, resources)
    yield engine, lambda text: made.speech(SpeechRequest(text, "v"))
    engine.gate.release(100)
    await resources.close()


async def test_a_full_engine_is_busy(stepped: tuple[StepEngine, Callable[[str], Any]]) -> None:
    _, speak = stepped
    audio = await speak("a:5")
    with pytest.raises(Busy) as caught:
        await speak("b:1")
    assert caught.value.retry_after >= 1
    assert caught.value.falls_back
    await audio.chunks.aclose()


async def test_a_broken_engine_is_told_as_such(stepped: tuple[StepEngine, Callable[[str], Any]]) -> None:
    _, speak = stepped
    audio = await speak("a:boom")
    with pytest.raises(Broken) as caught:
        await anext(audio.chunks)
    assert caught.value.sent == "yes"
    assert "the model broke" not in str(caught.value)
