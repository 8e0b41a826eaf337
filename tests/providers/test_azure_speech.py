"""Azure AI Speech's adapter against the server that behaves as Azure's documents say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from engines.codec import Codec
from engines.media import AudioFormat
from gateway.config.loading import parse_config
from gateway.services.deployments import open_deployments
from providers.azure import VENDOR, AzureSettings, speech
from providers.azure.speech import AzureSpeech as Adapter
from providers.azure.speech import AzureSpeechSettings, _refused, address, asked
from providers.base import errors, registry
from providers.base.contract import SpeechProvider, SpeechRequest
from providers.base.dialects.openai.models import Everything
from providers.base.exchange import Reply
from providers.base.vendor import Resources
from tests.contracts.speech import TEXT, SpeechContract
from tests.sound import hear
from tests.upstreams import speaking
from tests.upstreams.azure_speech import KEY, MSTTS, SSML, AzureSpeech, read

VARIABLES = ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_BASE")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[AzureSpeech]:
    with AzureSpeech() as running:
        yield running


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Adapter]:
    resources = Resources()
    provider = await VENDOR.open("speech/azure-tts", AzureSpeechSettings(**settings), resources)
    assert isinstance(provider, Adapter)
    try:
        yield provider
    finally:
        await resources.close()


@pytest.fixture
async def provider(server: AzureSpeech) -> AsyncIterator[SpeechProvider]:
    async with opened(api_key=KEY, api_base=server.base) as made:
        yield made


class TestContract(SpeechContract):
    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


def test_it_asks_as_the_reference_has_it() -> None:
    made = asked("m", SpeechRequest("Good evening.", "en-US-AvaMultilingualNeural", speed=1.1), {})
    assert made.ssml.decode() == (
        f'<speak version="1.0" xmlns="{SSML}" xmlns:mstts="{MSTTS}" xml:lang="en-US">'
        '<voice name="en-US-AvaMultilingualNeural"><prosody rate="+10%">Good evening.</prosody></voice></speak>'
    )
    assert (made.output, made.spec.format, made.tempo) == ("audio-24khz-96kbitrate-mono-mp3", AudioFormat.MP3, 1.0)


def test_style_role_and_language() -> None:
    extra = {"style": "cheerful", "styledegree": 1.5, "role": "Girl", "lang": "es-MX"}
    found = read(asked("m", SpeechRequest("Hola", "fable", extra=extra), {}).ssml)
    assert found.style == {"style": "cheerful", "styledegree": "1.5", "role": "Girl"}
    assert (found.text, found.lang, found.voice, found.locale) == ("Hola", "es-MX", "en-GB-RyanNeural", "en-GB")


EVIL = """"'><voice name="x">&amp;</voice><!-- ]]> --><audio src="https://example.com/a.mp3"/>"""


@pytest.mark.parametrize("place", ["text", "style", "role", "voice"])
def test_nothing_that_comes_with_a_request_is_markup(place: str) -> None:
    extra = {"style": "sad", "role": "Boy"} | ({place: EVIL} if place in ("style", "role") else {})
    text = EVIL if place == "text" else "x"
    made = asked("m", SpeechRequest(text, "mine", extra=extra), {"mine": "en-US-JennyNeural"})
    found = read(made.ssml)
    assert (found.text, found.style) == (text, extra)
    if place == "voice":
        with pytest.raises(errors.Refused) as caught:
            asked("m", SpeechRequest("x", f"en-US-Jenny{EVIL}"), {})
        assert caught.value.param == "voice"


@pytest.mark.parametrize(
    ("speed", "rate", "tempo"), [(0.25, "-50%", 0.5), (0.5, "-50%", 1.0), (2.0, "+100%", 1.0), (4.0, "+100%", 2.0)]
)
def test_speeds(speed: float, rate: str, tempo: float) -> None:
    made = asked("m", SpeechRequest("x", "alloy", speed=speed), {})
    assert f'rate="{rate}"'.encode() in made.ssml
    assert made.tempo == tempo


def test_ssml_is_taken_where_it_is_said_to_be_some() -> None:
    text = f'<speak version="1.0" xmlns="{SSML}" xml:lang="de-DE"><voice name="de-DE-KatjaNeural">Guten Tag</voice></speak>'
    made = asked("m", SpeechRequest(f" {text}\n", "alloy", speed=1.5, extra={"use_ssml": True}), {})
    assert (made.ssml, made.tempo) == (text.encode(), 1.5)
    assert read(asked("m", SpeechRequest(text, "alloy", extra={"use_ssml": False}), {}).ssml).text == text
    with pytest.raises(errors.Refused) as caught:
        asked("m", SpeechRequest(text, "alloy"), {})
    assert caught.value.param == "use_ssml"


@pytest.mark.parametrize(
    "text",
    [
        "words", "<speak>x</speak>", f'<speak xmlns="{SSML}">x</speak>', f'<speak xmlns="{SSML}"><voice name="a">',
        f'<!DOCTYPE speak [<!ENTITY a "b">]><speak xmlns="{SSML}"><voice name="a">&a;</voice></speak>',
        f'<?xml version="1.0" encoding="latin-1"?><speak xmlns="{SSML}"><voice name="a">x</voice></speak>',
        f'<speak xmlns="{SSML}"><voice name="a">\ud800</voice></speak>',
    ],
)  # fmt: skip
def test_ssml_that_is_none(text: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        asked("m", SpeechRequest(text, "alloy", extra={"use_ssml": True}), {})
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": "x\x00"}, "input"),
        ({"text": "\ud800"}, "input"),
        ({"instructions": "loud"}, "instructions"),
        ({"voice": "no-one"}, "voice"),
        ({"voice": "", "extra": {"voice": {"type": "x"}}}, "voice"),
        ({"extra": {"role": "Girl"}}, "role"),
        ({"extra": {"styledegree": 1}}, "styledegree"),
        ({"extra": {"style": "sad", "styledegree": 3}}, "styledegree"),
        ({"extra": {"style": "sad\x01"}}, "style"),
        ({"extra": {"style": ""}}, "style"),
        ({"extra": {"lang": "Spanish"}}, "lang"),
        ({"extra": {"lang": "sad", "use_ssml": True}}, "lang"),
        ({"extra": {"style": "sad", "use_ssml": True}}, "style"),
        ({"extra": {"use_ssml": "yes"}}, "use_ssml"),
        ({"extra": {"pitch": 1}}, "pitch"),
    ],
)
def test_what_it_would_refuse_is_refused_here(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        asked("m", SpeechRequest(**({"text": "x", "voice": "alloy"} | fields)), {})
    assert caught.value.param == param


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("speed", [1.0, 3.0])
async def test_every_format_can_be_heard(
    server: AzureSpeech, provider: SpeechProvider, format: AudioFormat, speed: float
) -> None:
    audio = await provider.speech(SpeechRequest(TEXT, "nova", format, speed))
    codec = Codec()
    data = b"".join([chunk async for chunk in codec.convert(audio.chunks, audio.spec, format, tempo=audio.tempo)])
    codec.close()
    assert hear(data, format).seconds == pytest.approx(len(TEXT) / 15 / speed, abs=0.25)
    assert (audio.usage.characters, server.ledger[0]["characters"]) == (len(TEXT), len(TEXT))
    assert server.ledger[0]["voice"] == "en-US-AmberNeural"


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        (speaking.Fault(400), errors.Refused, None),
        (speaking.Fault(400, "Unsupported voice en-US-No."), errors.Refused, "voice"),
        (speaking.Fault(401), errors.UpstreamAuth, None),
        (speaking.Fault(403), errors.UpstreamAuth, None),
        (speaking.Fault(415), errors.Refused, None),
        (speaking.Fault(429, "", {"Retry-After": "7"}), errors.RateLimited, None),
        (speaking.Fault(502), errors.UpstreamDown, None),
        (speaking.Fault(503), errors.UpstreamDown, None),
        (speaking.BAD_GATEWAY, errors.UpstreamDown, None),
        (speaking.Fault(200, {}), errors.BadAnswer, None),
        (speaking.Fault(200, "hello"), errors.BadAnswer, None),
        (speaking.Fault(204), errors.BadAnswer, None),
    ],
)
async def test_how_it_fails(
    server: AzureSpeech,
    provider: SpeechProvider,
    fault: speaking.Fault,
    kind: type[errors.ProviderError],
    param: str | None,
) -> None:
    server.next(fault)
    with pytest.raises(kind) as caught:
        await provider.speech(SpeechRequest(TEXT, "alloy"))
    assert type(caught.value) is kind
    assert (caught.value.sent, caught.value.param) == ("yes", param)
    assert caught.value.retry_after == (7 if fault.headers else None)
    assert "<html" not in str(caught.value)


@pytest.mark.parametrize("fault", [speaking.CUT, speaking.SILENT])
async def test_sound_that_is_not_whole_is_no_end(
    server: AzureSpeech, provider: SpeechProvider, fault: speaking.Fault
) -> None:
    server.next(fault)
    audio = await provider.speech(SpeechRequest(TEXT, "alloy"))
    with pytest.raises(errors.BadAnswer):
        async for _ in audio.chunks:
            pass


@pytest.mark.parametrize("format", [AudioFormat.PCM, AudioFormat.OPUS, AudioFormat.FLAC])
async def test_what_azure_cuts_at_its_longest_is_an_error(
    server: AzureSpeech, provider: SpeechProvider, monkeypatch: pytest.MonkeyPatch, format: AudioFormat
) -> None:
    monkeypatch.setattr(speech, "LONGEST", 60)
    server.longest = 60.0
    audio = await provider.speech(SpeechRequest(TEXT * 30, "alloy", format))
    with pytest.raises(errors.BadAnswer, match="in parts"):
        async for _ in audio.chunks:
            pass
    whole = await provider.speech(SpeechRequest(TEXT * 15, "alloy", format))
    assert [chunk async for chunk in whole.chunks]


async def test_mp3_of_its_longest_is_told_by_its_bytes(
    server: AzureSpeech, provider: SpeechProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "LONGEST", 1)
    audio = await provider.speech(SpeechRequest(TEXT * 10, "alloy"))
    with pytest.raises(errors.BadAnswer, match="in parts"):
        async for _ in audio.chunks:
            pass


async def test_the_first_piece_comes_at_once_and_leaving_ends_the_stream(
    server: AzureSpeech, provider: SpeechProvider
) -> None:
    server.hold()
    audio = await provider.speech(SpeechRequest(TEXT, "alloy", AudioFormat.PCM))
    assert await anext(audio.chunks)
    await audio.chunks.aclose()
    assert await asyncio.to_thread(server.hung_up.wait, 10)


async def test_it_can_be_asked_after(server: AzureSpeech, provider: Adapter) -> None:
    assert (await provider.probe()).detail == "1 voices in this region."
    assert server.ledger == []
    async with opened(api_key="another-key", api_base=server.base) as stranger:
        with pytest.raises(errors.UpstreamAuth) as caught:
            await stranger.probe()
    assert "another-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://eastus.api.cognitive.microsoft.com/", "https://eastus.tts.speech.microsoft.com/cognitiveservices/v1"),
        ("https://eastus.tts.speech.microsoft.com", "https://eastus.tts.speech.microsoft.com/cognitiveservices/v1"),
        ("https://mine.cognitiveservices.azure.com", "https://mine.cognitiveservices.azure.com/tts/cognitiveservices/v1"),
        ("https://a.example/b/cognitiveservices/v1", "https://a.example/b/cognitiveservices/v1"),
        ("http://localhost:5000", "http://localhost:5000/cognitiveservices/v1"),
    ],
)  # fmt: skip
def test_addresses(base: str, url: str) -> None:
    assert address(base) == url


async def test_what_the_environment_says(server: AzureSpeech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_API_BASE", "https://mine.openai.azure.com")
    async with opened(api_key=KEY) as provider:
        assert "no address" in provider.readiness().detail
        with pytest.raises(errors.Unavailable, match="no address"):
            await provider.speech(SpeechRequest("x", "alloy"))
    async with opened(region_name="eastus") as provider:
        assert "no API key" in provider.readiness().detail
        with pytest.raises(errors.Unavailable, match="no key"):
            await provider.speech(SpeechRequest("x", "alloy"))
    monkeypatch.setenv("AZURE_API_BASE", server.base)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    async with opened(voices={"Boss": "en-US-GuyNeural"}) as provider:
        audio = await provider.speech(SpeechRequest("x", "boss"))
        assert b"".join([chunk async for chunk in audio.chunks])
        assert "Boss" in {voice.id for voice in provider.voices()}
    assert server.ledger[0]["voice"] == "en-US-GuyNeural"


@pytest.mark.parametrize(
    ("model", "usd"),
    [("speech/azure-tts", 1.5e-5), ("speech/azure-tts-hd", 3e-5), ("speech/other", None), ("tts", None)],
)
async def test_which_of_azure_s_services_is_asked(model: str, usd: float | None) -> None:
    text = f"model_list: [{{model_name: a, litellm_params: {{model: azure/{model}, api_key: k, api_base: http://x}}}}]"
    config = parse_config(text, "config.yaml", env={}, vendors=registry)
    (entry,) = config.models
    resources = Resources()
    (deployment,) = await open_deployments(config, resources)
    await resources.close()
    is_speech = model.startswith("speech/")
    assert isinstance(entry.settings, AzureSpeechSettings if is_speech else AzureSettings)
    assert isinstance(deployment.provider, Adapter if is_speech else Everything)
    assert (deployment.price.per_character if deployment.price else None) == usd


def test_a_star_stands_for_the_models_that_are_known() -> None:
    text = "model_list: [{model_name: a-*, litellm_params: {model: azure/speech/*, region_name: eastus}}]"
    config = parse_config(text, "config.yaml", env={}, vendors=registry)
    assert [entry.model_name for entry in config.models] == ["a-azure-tts", "a-azure-tts-hd"]


@pytest.mark.parametrize("wrong", [{"api_base": "ftp://x"}, {"region_name": "East US"}, {"api_base": "https://a?b=c"}])
def test_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AzureSpeechSettings(**wrong)


def test_odd_refusals_are_mapped_errors() -> None:
    for body in (b"", b"\xff\xfe", b"x" * 100_000, b"{}", b"\x00" * 50):
        for status in (204, 302, 400, 401, 404, 415, 429, 500, 503, 504):
            for kind in ("", "text/plain", "application/json", "text/html"):
                told = _refused(Reply("x", status, {"content-type": kind}, body))
                assert isinstance(told, errors.ProviderError)
                assert len(str(told)) < 700
