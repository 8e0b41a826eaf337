"""The law for every model that speaks."""

from __future__ import annotations

import math

import pytest

from engines.media import AudioFormat
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.errors import Refused, Unsupported

TEXT = "The quick brown fox jumped over the lazy dog."


class SpeechContract:
    """Subclasses have a fixture ``provider`` (opened) and a fixture ``voice`` (one that it has)."""

    async def test_it_is_a_speech_provider(self, provider: SpeechProvider) -> None:
        assert isinstance(provider, SpeechProvider)
        assert provider.readiness().state in ("idle", "loading", "ready")

    async def test_it_speaks_what_it_says_it_speaks(self, provider: SpeechProvider, voice: str) -> None:
        audio = await provider.speech(SpeechRequest(TEXT, voice))
        data = b"".join([chunk async for chunk in audio.chunks])
        await audio.chunks.aclose()
        assert audio.spec.format in AudioFormat
        if audio.spec.format is AudioFormat.PCM:
            seconds = len(data) / audio.spec.bytes_per_second
            assert 1 < seconds < 10
            assert audio.usage.audio_seconds == pytest.approx(seconds)
        assert audio.usage.characters == len(TEXT)

    async def test_speed_is_in_the_sound_or_left_to_the_gateway(self, provider: SpeechProvider, voice: str) -> None:
        seconds = []
        for speed in (1.0, 0.25, 4.0):
            audio = await provider.speech(SpeechRequest(TEXT, voice, AudioFormat.PCM, speed))
            made = sum([len(chunk) async for chunk in audio.chunks]) / audio.spec.bytes_per_second
            seconds.append(made / audio.tempo)
            assert audio.usage.audio_seconds == pytest.approx(made / audio.tempo)
        assert seconds[1] == pytest.approx(4 * seconds[0], rel=0.25)
        assert seconds[2] == pytest.approx(seconds[0] / 4, rel=0.25)

    async def test_an_option_it_cannot_honour_is_named(self, provider: SpeechProvider, voice: str) -> None:
        with pytest.raises(Unsupported) as caught:
            await provider.speech(SpeechRequest(TEXT, voice, extra={"wobble": 3}))
        assert caught.value.param == "wobble"

    async def test_an_unknown_voice_is_refused_by_name(self, provider: SpeechProvider) -> None:
        with pytest.raises(Refused) as caught:
            await provider.speech(SpeechRequest(TEXT, "nobody-at-all"))
        assert caught.value.param == "voice"
        assert caught.value.sent in ("no", "yes")  # some vendors alone know what voices there are
        assert not caught.value.falls_back

    async def test_every_voice_it_lists_can_be_asked_for(self, provider: SpeechProvider) -> None:
        voices = provider.voices()
        assert voices
        assert len({voice.id for voice in voices}) == len(voices)
        for voice in voices:
            audio = await provider.speech(SpeechRequest("x", voice.id))
            await audio.chunks.aclose()

    async def test_openai_s_voices_are_there(self, provider: SpeechProvider) -> None:
        listed = {voice.id for voice in provider.voices()}
        assert {
            "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin",
            "cedar",
        } <= listed  # fmt: skip

    async def test_sound_comes_in_pieces(self, provider: SpeechProvider, voice: str) -> None:
        audio = await provider.speech(SpeechRequest(f"{TEXT} " * 40, voice))
        sizes = [len(chunk) async for chunk in audio.chunks]
        assert len(sizes) >= 5
        assert sizes[0] < math.ceil(sum(sizes) * 0.1)

    async def test_leaving_early_and_before_reading(self, provider: SpeechProvider, voice: str) -> None:
        for read in (0, 1):
            audio = await provider.speech(SpeechRequest(f"{TEXT} " * 20, voice))
            for _ in range(read):
                await anext(audio.chunks)
            await audio.chunks.aclose()
            await audio.chunks.aclose()
            assert [chunk async for chunk in audio.chunks] == []
