"""Polly's adapter against the server that behaves as Polly does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

pytest.importorskip("botocore")
from engines.codec import Codec
from engines.media import AudioFormat, AudioSpec
from providers import aws_polly
from providers.aws_polly import ENGINES, VENDOR, PollySettings, _refused, asked
from providers.base import errors
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.exchange import Reply
from providers.base.vendor import Resources
from tests.contracts.speech import TEXT, SpeechContract
from tests.mutated import mutated
from tests.sound import hear
from tests.upstreams import speaking
from tests.upstreams.polly import REGION, Polly, error


@pytest.fixture
def server() -> Iterator[Polly]:
    with Polly() as running:
        yield running


@asynccontextmanager
async def opened(engine: str = "neural", **settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    provider = await VENDOR.open(engine, PollySettings(**settings), resources)
    assert isinstance(provider, SpeechProvider)
    try:
        yield provider
    finally:
        await resources.close()


def given(server: Polly, **more: Any) -> dict[str, Any]:
    return {
        "aws_access_key_id": server.key, "aws_secret_access_key": server.secret, "aws_region_name": REGION,
        "api_base": server.base, **more,
    }  # fmt: skip


@pytest.fixture(params=list(ENGINES))
async def provider(server: Polly, request: pytest.FixtureRequest) -> AsyncIterator[SpeechProvider]:
    async with opened(request.param, **given(server)) as made:
        yield made


class TestContract(SpeechContract):
    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


def test_it_asks_as_the_reference_has_it() -> None:
    made = asked("neural", SpeechRequest("Good evening.", "alloy"), {})
    assert made.body == {
        "Text": "Good evening.", "OutputFormat": "mp3", "VoiceId": "Joanna", "Engine": "neural", "TextType": "text",
        "SampleRate": "24000",
    }  # fmt: skip
    extra = {"language_code": "en-US", "lexicon_names": ["a"], "sample_rate": 8000}
    more = asked("standard", SpeechRequest("x", "Nicole", AudioFormat.PCM, extra=extra), {})
    assert (more.body["LanguageCode"], more.body["LexiconNames"], more.body["VoiceId"]) == ("en-US", ["a"], "Nicole")
    assert more.spec == AudioSpec(AudioFormat.PCM, 8000)


@pytest.mark.parametrize(
    ("engine", "text", "speed", "sent", "kind", "tempo"),
    [
        ("neural", 'a < b & "c"', 1.5, '<speak><prosody rate="150%">a &lt; b &amp; "c"</prosody></speak>', "ssml", 1.0),
        ("standard", "x", 4.0, '<speak><prosody rate="200%">x</prosody></speak>', "ssml", 2.0),
        ("long-form", "x", 0.25, '<speak><prosody rate="25%">x</prosody></speak>', "ssml", 1.0),
        ("generative", "x", 1.5, "x", "text", 1.5),
        ("neural", "<speak>x</speak>", 1.5, "<speak>x</speak>", "ssml", 1.5),
        ("neural", "a < b", 1.0, "a < b", "text", 1.0),
    ],
)
def test_speeds(engine: str, text: str, speed: float, sent: str, kind: str, tempo: float) -> None:
    made = asked(engine, SpeechRequest(text, "alloy", speed=speed), {})
    assert (made.body["Text"], made.body["TextType"], made.tempo) == (sent, kind, tempo)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": "x" * 3001}, "input"),
        ({"text": "x\x00", "speed": 2.0}, "input"),
        ({"instructions": "loud"}, "instructions"),
        ({"voice": "no-one"}, "voice"),
        ({"voice": "", "extra": {"voice": {"type": "x"}}}, "voice"),
        ({"extra": {"lexicon_names": ["a"] * 6}}, "lexicon_names"),
        ({"extra": {"sample_rate": 11_025}}, "sample_rate"),
        ({"format": AudioFormat.PCM, "extra": {"sample_rate": 24_000}}, "sample_rate"),
        ({"extra": {"pitch": 1}}, "pitch"),
    ],
)
def test_what_it_would_refuse_is_refused_here(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        asked("neural", SpeechRequest(**({"text": "x", "voice": "alloy"} | fields)), {})
    assert caught.value.param == param


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("speed", [1.0, 3.0])
async def test_every_format_can_be_heard(server: Polly, format: AudioFormat, speed: float) -> None:
    async with opened(**given(server)) as provider:
        audio = await provider.speech(SpeechRequest(TEXT, "alloy", format, speed))
        codec = Codec()
        chunks = codec.convert(audio.chunks, audio.spec, format, tempo=audio.tempo)
        data = b"".join([chunk async for chunk in chunks])
        codec.close()
    assert hear(data, format).seconds == pytest.approx(len(TEXT) / 15 / speed, abs=0.25)
    assert audio.usage.characters == len(TEXT)


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        (error("TextLengthExceededException", 400), errors.Refused, "input"),
        (error("InvalidSsmlException", 400), errors.Refused, "input"),
        (error("LanguageNotSupportedException", 400), errors.Refused, "language_code"),
        (error("EngineNotSupportedException", 400), errors.Refused, "voice"),
        (error("LexiconNotFoundException", 404), errors.Refused, "lexicon_names"),
        (error("ValidationException", 400, "Value at 'voiceId' failed"), errors.Refused, "voice"),
        (error("ThrottlingException", 400), errors.RateLimited, None),
        (error("ThrottlingException", 429), errors.RateLimited, None),
        (error("InvalidSignatureException", 403), errors.UpstreamAuth, None),
        (error("UnrecognizedClientException", 403), errors.UpstreamAuth, None),
        (error("ServiceFailureException", 500), errors.UpstreamDown, None),
        (speaking.BAD_GATEWAY, errors.UpstreamDown, None),
        (speaking.Fault(200, {}), errors.BadAnswer, None),
    ],
)
async def test_how_it_fails(
    server: Polly, fault: speaking.Fault, kind: type[errors.ProviderError], param: str | None
) -> None:
    server.next(fault)
    async with opened(**given(server)) as provider:
        with pytest.raises(kind) as caught:
            await provider.speech(SpeechRequest(TEXT, "alloy"))
    assert type(caught.value) is kind
    assert (caught.value.sent, caught.value.param) == ("yes", param)


@pytest.mark.parametrize("fault", [speaking.CUT, speaking.SILENT])
async def test_sound_that_is_not_whole_is_no_end(server: Polly, fault: speaking.Fault) -> None:
    server.next(fault)
    async with opened(**given(server)) as provider:
        audio = await provider.speech(SpeechRequest(TEXT, "alloy"))
        with pytest.raises(errors.BadAnswer):
            async for _ in audio.chunks:
                pass


async def test_the_first_piece_comes_at_once_and_leaving_ends_the_stream(server: Polly) -> None:
    server.hold()
    async with opened(**given(server)) as provider:
        audio = await provider.speech(SpeechRequest(TEXT, "alloy", AudioFormat.PCM))
        assert await anext(audio.chunks)
        await audio.chunks.aclose()
        assert await asyncio.to_thread(server.hung_up.wait, 10)


async def test_a_wrong_secret_does_not_sign(server: Polly) -> None:
    async with opened(**given(server, aws_secret_access_key="another")) as provider:
        with pytest.raises(errors.UpstreamAuth) as caught:
            await provider.speech(SpeechRequest("x", "alloy"))
    assert "another" not in str(caught.value)
    assert server.ledger == []


async def test_keys_and_region_of_the_environment(
    server: Polly, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION_NAME"):
        monkeypatch.delenv(name, raising=False)
    async with opened(api_base=server.base) as provider:
        with pytest.raises(errors.Unavailable, match="no credentials"):
            await provider.speech(SpeechRequest("x", "alloy"))
    async with opened(api_base=server.base, aws_profile_name="nobody") as provider:
        with pytest.raises(errors.Unavailable, match="ProfileNotFound"):
            await provider.speech(SpeechRequest("x", "alloy"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    async with opened(api_base=server.base, voices={"mine": "Ruth"}) as provider:
        audio = await provider.speech(SpeechRequest("x", "Mine"))
        assert b"".join([chunk async for chunk in audio.chunks])
    assert server.ledger[0]["voice"] == "Ruth"


async def test_without_botocore_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_polly, "find_spec", lambda _: None)
    async with opened() as provider:
        assert provider.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable, match="media-gateway.aws"):
            await provider.speech(SpeechRequest("x", "alloy"))


@pytest.mark.parametrize("wrong", [{"api_base": "ftp://x"}, {"aws_access_key_id": "x"}, {"aws_region_name": "a b"}])
def test_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PollySettings(**wrong)


def test_mutated_refusals_are_mapped_errors() -> None:
    for data in mutated({"message": "Value at 'voiceId' failed"}, 2000):
        for status in (400, 403, 404, 500):
            assert isinstance(_refused(Reply("AWS Polly", status, {}, data)), errors.ProviderError)
