"""Gemini's adapter against the server that behaves as Gemini does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from engines.media import AudioFormat, AudioSpec
from engines.synthetic import voice_like
from providers.base import errors
from providers.base.contract import Audio, Probed, SpeechProvider, SpeechRequest
from providers.base.dialects.generate_content import OPENAI_VOICES, VOICES, spec_of, speech_body
from providers.base.vendor import Resources
from providers.gemini import VENDOR
from tests.contracts.speech import TEXT, SpeechContract
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Fault, Gemini
from tests.upstreams.gemini_rules import VOICES as GOOGLES

OLD, NEW, PLAIN = "gemini-2.5-flash-preview-tts", "gemini-3.8-flash-tts", "gemini-3.1-flash-tts-preview"
ASKED = SpeechRequest(TEXT, "Kore")


def pair(first: str = "Kore", second: str = "Puck", **more: Any) -> dict[str, Any]:
    speakers = [
        {"speaker": name, "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        for name, voice in (("Ann", first), ("Bob", second))
    ]
    return {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": speakers}, **more}


@asynccontextmanager
async def opened(model: str, **settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    facts = VENDOR.models.get(model) or VENDOR.models["*"]
    try:
        made = await VENDOR.open(model, facts.settings(**settings), resources)
        assert isinstance(made, SpeechProvider)
        yield made
    finally:
        await resources.close()


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server


def account(gemini: Gemini) -> dict[str, Any]:
    return {"api_key": gemini.key, "api_base": gemini.base}


async def heard(audio: Audio) -> bytes:
    return b"".join([chunk async for chunk in audio.chunks])


class TestContract(SpeechContract):
    @pytest.fixture(params=[OLD, PLAIN, NEW])
    async def provider(self, request: pytest.FixtureRequest, gemini: Gemini) -> AsyncIterator[SpeechProvider]:
        async with opened(request.param, **account(gemini)) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


# What is sent.


def test_the_old_models_get_a_prompt() -> None:
    assert speech_body(OLD, SpeechRequest("Good evening.", "alloy", instructions="calm, low")) == {
        "contents": [
            {
                "role": "user",
                "parts": [{"text": "Read aloud, following these directions: calm, low\n\nGood evening."}],
            }
        ],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        },
    }
    (part,) = speech_body(PLAIN, SpeechRequest("Hi.", "Puck"))["contents"][0]["parts"]
    assert part == {"text": "Read aloud:\nHi."}


def test_the_new_models_get_the_very_words() -> None:
    request = SpeechRequest("Good evening.", "sulafat", instructions="calm, low", extra={"language_code": "en-GB"})
    assert speech_body(NEW, request) == {
        "contents": [{"role": "user", "parts": [{"text": "Good evening.", "speechMetadata": {"style": "calm, low"}}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {
                "languageCode": "en-GB",
                "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Sulafat"}},
            },
        },
    }
    (part,) = speech_body("gemini-4.0-tts", SpeechRequest("Hi.", "voice_abc123"))["contents"][0]["parts"]
    assert part == {"text": "Hi."}


def test_two_speakers() -> None:
    talk = "Ann: Hello.\n Bob : Hello to you.\nAll is well.\nAnn: Good."
    request = SpeechRequest(talk, "", extra={"voice": pair("alloy", "puck")})
    body = speech_body(NEW, request)
    assert body["contents"][0]["parts"] == [
        {"text": "Hello.", "speechMetadata": {"speaker": "Ann"}},
        {"text": "Hello to you.\nAll is well.", "speechMetadata": {"speaker": "Bob"}},
        {"text": "Good.", "speechMetadata": {"speaker": "Ann"}},
    ]
    assert body["generationConfig"]["speechConfig"] == pair()
    (part,) = speech_body(OLD, request)["contents"][0]["parts"]
    assert part["text"] == f"Read aloud this conversation between Ann and Bob:\n{talk}"
    snake = {"multi_speaker_voice_config": {"speaker_voice_configs": [
        {"speaker": name, "voice_config": {"prebuilt_voice_config": {"voice_name": voice}}}
        for name, voice in (("Ann", "Kore"), ("Bob", "Puck"))
    ]}}  # fmt: skip
    assert speech_body(NEW, replace(request, extra={"voice": snake})) == body


def test_thirty_voices_and_thirteen_names() -> None:
    assert len(VOICES) == 30
    assert len(OPENAI_VOICES) == len(set(OPENAI_VOICES.values())) == 13
    assert set(OPENAI_VOICES.values()) <= set(VOICES)
    assert set(VOICES) == GOOGLES


@pytest.mark.parametrize(
    ("model", "changed", "param"),
    [
        (NEW, {"voice": "kora"}, "voice"),
        (OLD, {"voice": "voice_abc123"}, "voice"),
        (NEW, {"extra": {"temperature": 1}}, "temperature"),
        (NEW, {"extra": {"language_code": "english, please"}}, "language_code"),
        (NEW, {"extra": {"language_code": 3}}, "language_code"),
        (NEW, {"extra": {"voice": {"type": "clone"}}}, "voice"),
        (NEW, {"extra": {"voice": pair("nobody")}}, "voice"),
        (NEW, {"extra": {"voice": pair(speed=2)}}, "voice"),
        (NEW, {"extra": {"voice": {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [3, 4]}}}}, "voice"),
        (NEW, {"extra": {"voice": pair()}, "text": "Who speaks?"}, "input"),
        (NEW, {"extra": {"voice": pair()}, "text": "Ann: "}, "input"),
    ],
)
def test_what_is_refused_here(model: str, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        speech_body(model, replace(ASKED, **changed))
    assert (caught.value.param, caught.value.sent) == (param, "no")


async def test_where_it_goes_and_with_which_key(monkeypatch: pytest.MonkeyPatch, gemini: Gemini) -> None:
    for base, path in (("", "/v1beta/"), ("/", "/v1beta/"), ("/v1", "/v1/"), ("/v1beta/", "/v1beta/")):
        async with opened(NEW, api_key=gemini.key, api_base=gemini.base + base) as made:
            await heard(await made.speech(ASKED))
        assert gemini.requests[-1].path == f"{path}models/{NEW}:streamGenerateContent?alt=sse"
    async with opened(NEW, **account(gemini), api_version="v1") as made:
        await heard(await made.speech(ASKED))
    assert gemini.requests[-1].path.startswith("/v1/")
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", gemini.base)
    async with opened(NEW) as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable) as caught:
            await made.speech(ASKED)
        assert caught.value.sent == "no"
    monkeypatch.setenv("GOOGLE_API_KEY", gemini.key)
    async with opened(NEW) as made:
        assert made.readiness().state == "ready"
        await heard(await made.speech(ASKED))


@pytest.mark.parametrize("wrong", [{"api_base": "ftp://x"}, {"api_base": "https://x?key=y"}, {"api_version": "v2"}])
def test_settings_that_are_wrong(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        VENDOR.models[NEW].settings.model_validate(wrong)


# What comes back.


@pytest.mark.parametrize("snake", [False, True])
async def test_the_sound_and_what_it_used(snake: bool) -> None:
    with Gemini(snake=snake) as gemini:
        async with opened(NEW, **account(gemini)) as made:
            audio = await made.speech(ASKED)
            assert audio.spec == AudioSpec(AudioFormat.PCM, 24_000)
            assert await heard(audio) == voice_like(TEXT, manner=str({"": "Kore"}))
        entry = gemini.ledger[0]
        assert (audio.usage.input_tokens, audio.usage.output_tokens) == (len(TEXT) // 4 + 1, entry["tokens"])
        assert audio.usage.output_tokens == pytest.approx(25 * (audio.usage.audio_seconds or 0), abs=1)


@pytest.mark.parametrize(
    ("mime", "spec"),
    [
        ("audio/L16;codec=pcm;rate=24000", AudioSpec(AudioFormat.PCM)),
        ("AUDIO/L16; Rate=16000; Channels=2", AudioSpec(AudioFormat.PCM, 16_000, 2)),
        ("audio/pcm", AudioSpec(AudioFormat.PCM)),
    ],
)
def test_the_rate_is_in_the_type(mime: str, spec: AudioSpec) -> None:
    assert spec_of("x", mime, b"\0\1" * 8) == spec
    assert spec_of("x", mime, b"RIFF\0\0\0\0WAVEfmt ").format is AudioFormat.WAV


@pytest.mark.parametrize(
    "mime", ["audio/L16;rate=0", "audio/l16;rate=24k", "audio/alaw", "image/png", "audio/l16;channels=9"]
)
def test_sound_that_nobody_knows(mime: str) -> None:
    with pytest.raises(errors.BadAnswer):
        spec_of("x", mime, b"\0\1" * 8)


async def test_a_file_in_a_stream_is_a_file(gemini: Gemini) -> None:
    gemini.next(Fault(wav=True))
    async with opened(NEW, **account(gemini)) as made:
        audio = await made.speech(ASKED)
        assert audio.spec.format is AudioFormat.WAV
        assert (await heard(audio))[:4] == b"RIFF"


async def test_the_first_sound_is_there_while_the_rest_is_made() -> None:
    with Gemini(hold=True) as gemini:
        async with opened(NEW, **account(gemini)) as made:
            audio = await made.speech(ASKED)
            assert len(await anext(audio.chunks)) == 9600
            assert audio.usage.output_tokens is None
            gemini.release()
            assert await heard(audio)
            assert audio.usage.output_tokens


async def test_who_leaves_stops_the_work() -> None:
    with Gemini(hold=True) as gemini:
        async with opened(NEW, **account(gemini)) as made:
            audio = await made.speech(ASKED)
            await anext(audio.chunks)
            await audio.chunks.aclose()
            assert await asyncio.to_thread(gemini.hung_up.wait, 10)


async def test_an_answer_without_sound_is_asked_for_again(gemini: Gemini) -> None:
    gemini.next(upstream.TALKS)
    gemini.next(upstream.SILENT)
    async with opened(NEW, **account(gemini)) as made:
        audio = await made.speech(ASKED)
        await heard(audio)
    assert len(gemini.requests) == 3
    assert audio.usage.input_tokens == 3 * (len(TEXT) // 4 + 1)
    assert audio.usage.output_tokens == gemini.ledger[-1]["tokens"] + 6


async def test_but_only_so_often(gemini: Gemini) -> None:
    for _ in range(5):
        gemini.next(upstream.SILENT)
    async with opened(NEW, **account(gemini)) as made:
        with pytest.raises(errors.BadAnswer, match="OTHER") as caught:
            await made.speech(ASKED)
    assert caught.value.sent == "yes"
    assert len(gemini.requests) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        (upstream.BAD_KEY, errors.UpstreamAuth, None),
        (Fault(403, upstream.error(403, "No.")), errors.UpstreamAuth, None),
        (upstream.QUOTA, errors.RateLimited, None),
        (upstream.OVERLOADED, errors.UpstreamDown, None),
        (upstream.NO_BILLING, errors.Unavailable, None),
        (upstream.BAD_GATEWAY, errors.UpstreamDown, None),
        (Fault(504, upstream.error(504, "Deadline.")), errors.UpstreamTimeout, None),
        (Fault(404, upstream.error(404, "models/x is not found.")), errors.BadAnswer, None),
        (Fault(400, upstream.error(400, "Voice name x is not supported.")), errors.Refused, "voice"),
        (Fault(400, upstream.error(400, "contents.parts must not be empty.")), errors.Refused, "input"),
        (Fault(block="PROHIBITED_CONTENT"), errors.PolicyViolation, "input"),
        (Fault(silent="SAFETY"), errors.PolicyViolation, "input"),
        (Fault(silent="MAX_TOKENS"), errors.BadAnswer, None),
        (Fault(mime="audio/alaw"), errors.BadAnswer, None),
    ],
)
async def test_how_a_call_fails(
    gemini: Gemini, fault: Fault, kind: type[errors.ProviderError], param: str | None
) -> None:
    gemini.next(fault)
    async with opened(NEW, **account(gemini)) as made:
        with pytest.raises(kind) as caught:
            await made.speech(ASKED)
    assert type(caught.value) is kind
    assert (caught.value.param, caught.value.sent) == (param, "yes")
    assert gemini.key not in str(caught.value)
    assert len(gemini.requests) == 1
    if fault is upstream.QUOTA:
        assert caught.value.retry_after == 19


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(ends="OTHER"), errors.BadAnswer),
        (Fault(ends=None), errors.BadAnswer),
        (Fault(ends="MAX_TOKENS"), errors.Broken),
        (Fault(ends="SAFETY"), errors.PolicyViolation),
        (Fault(cut=True), errors.ProviderError),
        (Fault(mid=upstream.error(503, "Overloaded.")), errors.UpstreamDown),
    ],
)
async def test_half_a_speech_is_none(gemini: Gemini, fault: Fault, kind: type[errors.ProviderError]) -> None:
    gemini.next(fault)
    async with opened(NEW, **account(gemini)) as made:
        audio = await made.speech(ASKED)
        with pytest.raises(kind):
            await heard(audio)
        assert [chunk async for chunk in audio.chunks] == []


async def test_whether_it_would_answer_costs_nothing(gemini: Gemini) -> None:
    async with opened(NEW, **account(gemini)) as made:
        assert isinstance(made, Probed)
        assert (await made.probe()).state == "ready"
        gemini.next(upstream.BAD_KEY, where="poll")
        with pytest.raises(errors.UpstreamAuth):
            await made.probe()
    async with opened("gemini-9", **account(gemini)) as made:
        assert isinstance(made, Probed)
        with pytest.raises(errors.BadAnswer, match="not found"):
            await made.probe()
    assert not gemini.ledger
