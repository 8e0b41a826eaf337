"""ElevenLabs' adapter against the server that behaves as ElevenLabs does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from engines.codec import Codec
from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.exchange import Reply
from providers.base.vendor import Resources
from providers.elevenlabs import VENDOR, VOICES, ElevenLabsSettings, _refused, asked
from tests.contracts.speech import TEXT, SpeechContract
from tests.mutated import mutated
from tests.sound import hear
from tests.upstreams import elevenlabs as upstream
from tests.upstreams.elevenlabs import ElevenLabs
from tests.upstreams.speaking import BAD_GATEWAY, CUT, SILENT

MODEL = "eleven_flash_v2_5"


@pytest.fixture
def server() -> Iterator[ElevenLabs]:
    with ElevenLabs() as running:
        yield running


@asynccontextmanager
async def opened(model: str = MODEL, **settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    provider = await VENDOR.open(model, ElevenLabsSettings(**settings), resources)
    assert isinstance(provider, SpeechProvider)
    try:
        yield provider
    finally:
        await resources.close()


@pytest.fixture
async def provider(server: ElevenLabs) -> AsyncIterator[SpeechProvider]:
    async with opened(api_key=server.key, api_base=server.base) as made:
        yield made


class TestContract(SpeechContract):
    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


def test_it_asks_as_the_reference_has_it() -> None:
    made = asked(MODEL, SpeechRequest("Good evening.", "alloy"), {})
    assert made.path == "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream?output_format=mp3_44100_128"
    assert made.body == {"text": "Good evening.", "model_id": MODEL}
    assert (made.spec.format, made.tempo) == (AudioFormat.MP3, 1.0)


@pytest.mark.parametrize(
    ("format", "speed", "wished", "spec", "native", "tempo"),
    [
        ("mp3", 1.0, "mp3_44100_128", AudioSpec(AudioFormat.MP3, 44_100), None, 1.0),
        ("opus", 1.1, "opus_48000_128", AudioSpec(AudioFormat.OPUS, 48_000), 1.1, 1.0),
        ("pcm", 0.7, "pcm_24000", AudioSpec(AudioFormat.PCM), 0.7, 1.0),
        ("wav", 1.0, "pcm_24000", AudioSpec(AudioFormat.PCM), None, 1.0),
        ("aac", 1.0, "pcm_24000", AudioSpec(AudioFormat.PCM), None, 1.0),
        ("flac", 1.0, "pcm_24000", AudioSpec(AudioFormat.PCM), None, 1.0),
        ("mp3", 2.4, "pcm_24000", AudioSpec(AudioFormat.PCM), 1.2, 2.0),
        ("mp3", 0.35, "pcm_24000", AudioSpec(AudioFormat.PCM), 0.7, 0.5),
    ],
)
def test_formats_and_speeds(
    format: str, speed: float, wished: str, spec: AudioSpec, native: float | None, tempo: float
) -> None:
    made = asked(MODEL, SpeechRequest("x", "alloy", AudioFormat(format), speed), {})
    assert made.path.endswith(f"output_format={wished}")
    assert made.spec == spec
    assert made.body.get("voice_settings") == (None if native is None else {"speed": native})
    assert made.tempo == pytest.approx(tempo)


def test_its_own_options_go_on() -> None:
    extra = {
        "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "style": 0, "use_speaker_boost": True},
        "seed": 7, "language_code": "en", "previous_text": "So.", "next_text": "And?", "previous_request_ids": ["r1"],
        "next_request_ids": ["r2"], "apply_text_normalization": "off", "apply_language_text_normalization": True,
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "d"}], "audio_effects": {},
    }  # fmt: skip
    query = {"enable_logging": False, "optimize_streaming_latency": 3, "output_format": "pcm_16000"}
    made = asked(MODEL, SpeechRequest("x", "alloy", extra=extra | query), {})
    assert made.body == {"text": "x", "model_id": MODEL, **extra}
    for pair in ("enable_logging=false", "optimize_streaming_latency=3", "output_format=pcm_16000"):
        assert pair in made.path
    assert made.spec == AudioSpec(AudioFormat.PCM, 16_000)
    faster = asked(MODEL, SpeechRequest("x", "alloy", speed=1.1, extra=extra), {}).body["voice_settings"]
    assert faster == {**extra["voice_settings"], "speed": 1.1}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": "x" * 40_001}, "input"),
        ({"instructions": "loud"}, "instructions"),
        ({"voice": "novva"}, "voice"),
        ({"voice": "../models"}, "voice"),
        ({"voice": "", "extra": {"voice": {"type": "voice", "voice_id": "../x"}}}, "voice"),
        ({"extra": {"stability": 0.5}}, "stability"),
        ({"extra": {"seed": True}}, "seed"),
        ({"extra": {"output_format": "flac"}}, "output_format"),
        ({"extra": {"output_format": "wav_24000"}}, "output_format"),
        ({"extra": {"optimize_streaming_latency": 5}}, "optimize_streaming_latency"),
        ({"extra": {"previous_request_ids": ["r"] * 4}}, "previous_request_ids"),
        ({"extra": {"voice_settings": 3}}, "voice_settings"),
        ({"extra": {"voice_settings": {"speed": 3}}}, "voice_settings.speed"),
        ({"extra": {"voice_settings": {"wobble": 1}}}, "voice_settings.wobble"),
        ({"speed": 1.1, "extra": {"voice_settings": {"speed": 1.1}}}, "voice_settings.speed"),
    ],
)
def test_what_it_would_refuse_is_refused_here(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        asked(MODEL, SpeechRequest(**({"text": "x", "voice": "alloy"} | fields)), {})
    assert caught.value.param == param
    assert caught.value.sent == "no"


async def test_voices(server: ElevenLabs) -> None:
    own = {"Newsreader": "onwK4e9ZLuTAKqWW03F9", "alloy": "JBFqnCBsd6RMkjVDRZzb"}
    async with opened(api_key=server.key, api_base=server.base + "/v1/", voices=own) as made:
        assert {"Newsreader", *VOICES} <= {voice.id for voice in made.voices()}
        for voice in ("newsreader", "alloy", "Rachel", "9BWtsMINqrJLrRacOk9x"):
            await (await made.speech(SpeechRequest("x", voice))).chunks.aclose()
        described = {"voice": {"type": "voice", "voice_id": "21m00Tcm4TlvDq8ikWAM"}}
        await (await made.speech(SpeechRequest("x", "", extra=described))).chunks.aclose()
    said = [request.path.split("/")[3] for request in server.requests]
    assert said == [own["Newsreader"], own["alloy"], VOICES["alloy"][0], "9BWtsMINqrJLrRacOk9x", VOICES["alloy"][0]]


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("speed", [1.0, 3.0])
async def test_every_format_can_be_heard(provider: SpeechProvider, format: AudioFormat, speed: float) -> None:
    audio = await provider.speech(SpeechRequest(TEXT, "alloy", format, speed))
    codec = Codec()
    chunks = codec.convert(audio.chunks, audio.spec, format, tempo=audio.tempo)
    data = b"".join([chunk async for chunk in chunks])
    codec.close()
    assert hear(data, format).seconds == pytest.approx(len(TEXT) / 15 / speed, abs=0.25)


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        (upstream.UNAUTHORIZED, errors.UpstreamAuth, None),
        (upstream.QUOTA, errors.OutOfCredits, None),
        (upstream.QUOTA_NEWER, errors.OutOfCredits, None),
        (upstream.VOICE_NEWER, errors.Refused, "voice"),
        (upstream.TIER, errors.Refused, "output_format"),
        (upstream.CROWDED, errors.RateLimited, None),
        (upstream.BUSY, errors.RateLimited, None),
        (upstream.NO_SOUND, errors.BadAnswer, None),
        (upstream.Fault(403, upstream.detail("missing_permissions", "no")), errors.UpstreamAuth, None),
        (upstream.Fault(400, upstream.newer("bad", "no", param="text")), errors.Refused, "input"),
        (upstream.Fault(422, {"detail": [{"loc": ["body", "seed"], "msg": "no"}]}), errors.Refused, "seed"),
        (upstream.Fault(422, {"detail": [{"loc": None, "msg": 3}]}), errors.Refused, None),
        (upstream.Fault(400, {"detail": "no"}), errors.Refused, None),
        (upstream.Fault(500, {"detail": [[]]}), errors.UpstreamDown, None),
        (BAD_GATEWAY, errors.UpstreamDown, None),
    ],
)
async def test_how_it_fails(
    server: ElevenLabs,
    provider: SpeechProvider,
    fault: upstream.Fault,
    kind: type[errors.ProviderError],
    param: str | None,
) -> None:
    server.next(fault)
    with pytest.raises(kind) as caught:
        await provider.speech(SpeechRequest(TEXT, "alloy"))
    assert type(caught.value) is kind
    assert (caught.value.sent, caught.value.param) == ("yes", param)
    assert caught.value.retry_after == (7.0 if fault is upstream.CROWDED else None)
    assert server.key not in str(caught.value)
    assert server.ledger == []


@pytest.mark.parametrize("fault", [CUT, SILENT])
async def test_sound_that_is_not_whole_is_no_end(
    server: ElevenLabs, provider: SpeechProvider, fault: upstream.Fault
) -> None:
    server.next(fault)
    audio = await provider.speech(SpeechRequest(TEXT, "alloy"))
    with pytest.raises(errors.BadAnswer) as caught:
        async for _ in audio.chunks:
            pass
    assert caught.value.sent == "yes"


async def test_the_first_piece_comes_at_once_and_leaving_ends_the_stream(
    server: ElevenLabs, provider: SpeechProvider
) -> None:
    server.hold()
    audio = await provider.speech(SpeechRequest(TEXT, "alloy", AudioFormat.PCM))
    assert await anext(audio.chunks)
    await audio.chunks.aclose()
    assert await asyncio.to_thread(server.hung_up.wait, 10)


def test_mutated_refusals_are_mapped_errors() -> None:
    bodies = (upstream.QUOTA.body, upstream.VOICE_NEWER.body, {"detail": [{"loc": ["body", "text"], "msg": "no"}]})
    for number, body in enumerate(bodies):
        for status, data in zip((400, 401, 404, 422, 429, 500) * 500, mutated(body, 3000, number), strict=True):
            told = _refused(Reply("ElevenLabs", status, {}, data))
            assert isinstance(told, errors.ProviderError)
            assert told.param is None or isinstance(told.param, str)


async def test_a_missing_key_is_known_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    async with opened() as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable) as caught:
            await made.speech(SpeechRequest("x", "alloy"))
        assert caught.value.sent == "no"


async def test_the_environment(server: ElevenLabs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", server.key)
    monkeypatch.setenv("ELEVENLABS_API_BASE", server.base)
    async with opened("eleven_multilingual_v2") as made:
        assert made.readiness().state == "ready"
        assert b"".join([chunk async for chunk in (await made.speech(SpeechRequest("x", "alloy"))).chunks])


async def test_a_model_that_nobody_knows_yet_is_asked_for(server: ElevenLabs) -> None:
    async with opened("eleven_v9", api_key=server.key, api_base=server.base) as made:
        with pytest.raises(errors.Refused) as caught:
            await made.speech(SpeechRequest("x", "alloy"))
    assert caught.value.param == "model"


@pytest.mark.parametrize("wrong", [{"api_base": "ftp://x"}, {"api_base": "https://x/v2"}, {"key": 1}])
def test_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ElevenLabsSettings(**wrong)


@pytest.mark.parametrize(("model", "usd"), [("eleven_flash_v2_5", 4e-5), ("eleven_multilingual_v2", 8e-5)])
def test_prices(model: str, usd: float) -> None:
    price = VENDOR.models[model].price
    assert price is not None
    assert (price.per_character, price.exact) == (usd, False)
    assert VENDOR.models["*"].price is None
