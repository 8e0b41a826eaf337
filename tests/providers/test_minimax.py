"""MiniMax's adapter against the server that behaves as MiniMax does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from pydantic import ValidationError

from engines.codec import Codec
from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import SpeechProvider, SpeechRequest, Usage
from providers.base.dialects.event_sound import EventSound
from providers.base.exchange import Reply
from providers.base.vendor import Resources
from providers.minimax import VENDOR, VOICES, Events, MiniMaxSettings, _refused, asked
from tests.contracts.speech import TEXT, SpeechContract
from tests.mutated import mutated
from tests.serving import config_of, serving
from tests.sound import hear
from tests.upstreams import minimax as upstream
from tests.upstreams import speaking
from tests.upstreams.minimax import MiniMax, breaking, failing

MODEL = "speech-2.8-hd"


@pytest.fixture
def server() -> Iterator[MiniMax]:
    with MiniMax() as running:
        yield running


@asynccontextmanager
async def opened(model: str = MODEL, **settings: Any) -> AsyncIterator[SpeechProvider]:
    resources = Resources()
    provider = await VENDOR.open(model, MiniMaxSettings(**settings), resources)
    assert isinstance(provider, SpeechProvider)
    try:
        yield provider
    finally:
        await resources.close()


@pytest.fixture
async def provider(server: MiniMax) -> AsyncIterator[SpeechProvider]:
    async with opened(api_key=server.key, api_base=server.base) as made:
        yield made


class TestContract(SpeechContract):
    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


def test_it_asks_as_the_reference_has_it() -> None:
    made = asked(MODEL, SpeechRequest("Good evening.", "alloy"), {})
    assert made.body == {
        "model": MODEL,
        "text": "Good evening.",
        "stream": True,
        "stream_options": {"exclude_aggregated_audio": True},
        "output_format": "hex",
        "voice_setting": {"voice_id": "male-qn-qingse", "speed": 1.0},
        "audio_setting": {"sample_rate": 24_000, "bitrate": 128_000, "format": "mp3", "channel": 1},
    }
    assert made.tempo == 1.0


@pytest.mark.parametrize(
    ("format", "speed", "codec", "native", "tempo"),
    [
        ("mp3", 1.0, "mp3", 1.0, 1.0), ("flac", 2.0, "flac", 2.0, 1.0), ("pcm", 0.5, "pcm", 0.5, 1.0),
        ("wav", 1.0, "pcm", 1.0, 1.0), ("opus", 1.0, "pcm", 1.0, 1.0), ("aac", 1.0, "pcm", 1.0, 1.0),
        ("mp3", 4.0, "pcm", 2.0, 2.0), ("flac", 0.25, "pcm", 0.5, 0.5),
    ],
)  # fmt: skip
def test_formats_and_speeds(format: str, speed: float, codec: str, native: float, tempo: float) -> None:
    made = asked(MODEL, SpeechRequest("x", "alloy", AudioFormat(format), speed), {})
    assert made.body["audio_setting"]["format"] == codec == made.spec.format
    assert made.body["voice_setting"]["speed"] == native
    assert made.tempo == tempo


def test_its_own_options_go_on() -> None:
    extra = {
        "vol": 2.5, "pitch": -3, "voice_setting": {"emotion": "happy"}, "sample_rate": 16_000,
        "audio_setting": {"channel": 2}, "language_boost": "English", "pronunciation_dict": {"tone": ["a/b"]},
        "voice_modify": {"pitch": 10},
    }  # fmt: skip
    made = asked(MODEL, SpeechRequest("x", "My Voice 1", AudioFormat.PCM, extra=extra), {})
    assert made.body["voice_setting"] == {
        "voice_id": "My Voice 1", "speed": 1.0, "vol": 2.5, "pitch": -3, "emotion": "happy"
    }  # fmt: skip
    assert made.spec == AudioSpec(AudioFormat.PCM, 16_000, 2)
    assert made.body["language_boost"] == "English"
    assert made.body["pronunciation_dict"] == {"tone": ["a/b"]}
    assert made.body["voice_modify"] == {"pitch": 10}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": "x" * 10_000}, "input"),
        ({"instructions": "loud"}, "instructions"),
        ({"voice": "", "extra": {"voice": {"type": "x"}}}, "voice"),
        ({"extra": {"vol": 0}}, "vol"),
        ({"extra": {"vol": 11}}, "vol"),
        ({"extra": {"pitch": 13}}, "pitch"),
        ({"extra": {"pitch": 0.5}}, "pitch"),
        ({"extra": {"sample_rate": 48_000}}, "sample_rate"),
        ({"extra": {"stream": False}}, "stream"),
        ({"extra": {"output_format": "url"}}, "output_format"),
        ({"extra": {"subtitle_enable": True}}, "subtitle_enable"),
        ({"extra": {"timbre_weights": [{}] * 5}}, "timbre_weights"),
        ({"extra": {"voice_setting": {"speed": 1}}}, "voice_setting.speed"),
        ({"extra": {"pitch": 1, "voice_setting": {"pitch": 1}}}, "voice_setting.pitch"),
        ({"extra": {"audio_setting": {"format": "opus"}}}, "audio_setting.format"),
        ({"extra": {"audio_setting": []}}, "audio_setting"),
    ],
)
def test_what_it_would_refuse_is_refused_here(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        asked(MODEL, SpeechRequest(**({"text": "x", "voice": "alloy"} | fields)), {})
    assert caught.value.param == param
    assert caught.value.sent == "no"


async def test_voices_and_the_group(server: MiniMax) -> None:
    own = {"Narrator": "English_expressive_narrator", "alloy": "Calm_Woman"}
    async with opened(api_key=server.key, api_base=server.base + "/v1", group_id="a&b", voices=own) as made:
        assert {"Narrator", *VOICES, *VOICES.values()} <= {voice.id for voice in made.voices()}
        for voice in ("narrator", "alloy", "female-yujie"):
            await (await made.speech(SpeechRequest("x", voice))).chunks.aclose()
    assert [each["voice"] for each in server.ledger] == [*own.values(), "female-yujie"]
    assert server.requests[0].query == {"GroupId": "a&b"}


@pytest.mark.parametrize("format", list(AudioFormat))
@pytest.mark.parametrize("speed", [1.0, 4.0])
@pytest.mark.parametrize("stubborn", [True, False])
async def test_every_format_can_be_heard_once(
    server: MiniMax, provider: SpeechProvider, format: AudioFormat, speed: float, stubborn: bool
) -> None:
    server.stubborn = stubborn  # all of the sound comes once more at the end
    audio = await provider.speech(SpeechRequest(TEXT * 2, "alloy", format, speed))
    codec = Codec()
    chunks = codec.convert(audio.chunks, audio.spec, format, tempo=audio.tempo)
    data = b"".join([chunk async for chunk in chunks])
    codec.close()
    seconds = len(TEXT) * 2 / 15 / speed
    assert hear(data, format).seconds == pytest.approx(seconds, abs=0.25)
    assert audio.usage.characters == len(TEXT) * 2
    assert audio.usage.audio_seconds == pytest.approx(seconds, abs=0.01)


async def test_sound_that_comes_in_the_last_event_only(server: MiniMax, provider: SpeechProvider) -> None:
    whole = {"data": {"audio": "aabb", "status": 2}, "base_resp": {"status_code": 0, "status_msg": "success"}}
    server.next(upstream.Fault(after=0, ends=whole))
    audio = await provider.speech(SpeechRequest("x", "alloy"))
    assert [chunk async for chunk in audio.chunks] == [b"\xaa\xbb"]


@pytest.mark.parametrize(
    ("fault", "kind", "param"),
    [
        *((failing(code), errors.UpstreamDown, None) for code in (1000, 1024, 1033)),
        (failing(1001), errors.UpstreamTimeout, None),
        *((failing(code), errors.RateLimited, None) for code in (1002, 1039, 1041, 2056)),
        *((failing(code), errors.UpstreamAuth, None) for code in (1004, 2049)),
        (failing(1008), errors.OutOfCredits, None),
        *((failing(code), errors.PolicyViolation, "input") for code in (1026, 1027)),
        (failing(1042), errors.Refused, "input"),
        (failing(2013), errors.Refused, None),
        (failing(2013, "invalid params, text is empty"), errors.Refused, "input"),
        *((failing(code), errors.Refused, "voice") for code in (1043, 1044, 2037, 2039, 2042, 20132)),
        (failing(987654), errors.BadAnswer, None),
        (upstream.Fault(200, {"base_resp": {"status_code": "0"}}), errors.BadAnswer, None),
        (upstream.Fault(200, {"base_resp": []}), errors.BadAnswer, None),
        (upstream.Fault(200, {"data": {"audio": "00"}}), errors.BadAnswer, None),
        (upstream.Fault(200, "<html>"), errors.BadAnswer, None),
        (upstream.Fault(429, {}), errors.RateLimited, None),
        (speaking.BAD_GATEWAY, errors.UpstreamDown, None),
        (speaking.SILENT, errors.BadAnswer, None),
        (upstream.NOT_HEX, errors.BadAnswer, None),
        (upstream.NO_DATA, errors.BadAnswer, None),
        (upstream.Fault(after=0, ends=upstream.failed(1008)), errors.OutOfCredits, None),
    ],
)
async def test_how_it_fails(
    server: MiniMax, provider: SpeechProvider, fault: upstream.Fault, kind: type[errors.ProviderError], param: str
) -> None:
    server.next(fault)
    with pytest.raises(kind) as caught:
        await provider.speech(SpeechRequest(TEXT, "alloy"))
    assert type(caught.value) is kind
    assert (caught.value.sent, caught.value.param) == ("yes", param)
    assert server.key not in str(caught.value)


@pytest.mark.parametrize(("fault", "kind"), [(speaking.CUT, errors.BadAnswer), (breaking(1000), errors.UpstreamDown)])
async def test_sound_that_is_not_whole_is_no_end(
    server: MiniMax, provider: SpeechProvider, fault: upstream.Fault, kind: type[errors.ProviderError]
) -> None:
    server.next(fault)
    audio = await provider.speech(SpeechRequest(TEXT, "alloy"))
    with pytest.raises(kind) as caught:
        async for _ in audio.chunks:
            pass
    assert caught.value.sent == "yes"


async def test_the_first_piece_comes_at_once_and_leaving_ends_the_stream(
    server: MiniMax, provider: SpeechProvider
) -> None:
    server.hold()
    audio = await provider.speech(SpeechRequest(TEXT, "alloy", AudioFormat.PCM))
    assert await anext(audio.chunks)
    await audio.chunks.aclose()
    assert await asyncio.to_thread(server.hung_up.wait, 10)


class Body:
    """A body at hand, in pieces of 100 bytes."""

    def __init__(self, data: bytes) -> None:
        self._pieces = [data[at : at + 100] for at in range(0, len(data), 100)]

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop(0)

    async def aclose(self) -> None:
        self._pieces.clear()


async def test_mutated_answers_are_sound_or_a_mapped_error() -> None:
    chunk = {"data": {"audio": "aabb", "status": 1}, "trace_id": "1"}
    last = {
        "data": {"audio": "aabb", "status": 2},
        "extra_info": {"usage_characters": 4, "audio_length": 100},
        "base_resp": {"status_code": 0, "status_msg": "success"},
    }
    for first, second in zip(mutated(chunk, 3000), mutated(last, 3000), strict=True):
        usage = Usage()
        sound = EventSound(Body(b"data: %s\n\ndata: %s\n\n" % (first, second)), Events(asked_spec(), usage, 1.0), usage)
        try:
            assert all(isinstance(piece, bytes) for piece in [piece async for piece in sound])
        except errors.ProviderError as error:
            assert error.sent == "yes"
    for body in mutated(upstream.failed(1008), 3000):
        assert isinstance(_refused(Reply("MiniMax", 200, {}, body)), errors.ProviderError)


def asked_spec() -> AudioSpec:
    return asked(MODEL, SpeechRequest("x", "alloy"), {}).spec


async def test_a_missing_key_is_known_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIMAX_API_KEY", raising=False)
    async with opened() as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable) as caught:
            await made.speech(SpeechRequest("x", "alloy"))
        assert caught.value.sent == "no"


async def test_the_environment(server: MiniMax, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIMAX_API_KEY", server.key)
    monkeypatch.setenv("MINIMAX_API_BASE", server.base)
    async with opened("speech-02-turbo") as made:
        assert made.readiness().state == "ready"
        assert b"".join([chunk async for chunk in (await made.speech(SpeechRequest("x", "alloy"))).chunks])


@pytest.mark.parametrize("wrong", [{"api_base": "ftp://x"}, {"api_base": "https://x/v2"}, {"group_id": ""}, {"key": 1}])
def test_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MiniMaxSettings(**wrong)


def test_openai_s_client_hears_it_and_is_told_what_is_wrong(server: MiniMax) -> None:
    entry = f"{{model: minimax/speech-2.6-turbo, api_key: {server.key}, api_base: '{server.base}'}}"
    config = config_of(f"model_list: [{{model_name: mm, params: {entry}}}]")
    with serving(config) as running, openai.OpenAI(api_key="x", base_url=f"{running.base}/v1", max_retries=0) as client:
        said = client.audio.speech.create(model="mm", voice="nova", input=TEXT, response_format="opus", speed=0.25)
        assert hear(said.content, "opus").seconds == pytest.approx(len(TEXT) / 15 * 4, abs=0.5)
        server.next(failing(1008))
        with pytest.raises(openai.APIStatusError) as caught:
            client.audio.speech.create(model="mm", voice="nova", input=TEXT)
        assert (caught.value.status_code, caught.value.code) == (402, "insufficient_quota")
        with pytest.raises(openai.BadRequestError) as refused:
            client.audio.speech.create(model="mm", voice="nova", input=TEXT, extra_body={"vol": 11})
        assert refused.value.param == "vol"


@pytest.mark.parametrize(("model", "usd"), [("speech-2.8-hd", 1e-4), ("speech-2.6-turbo", 6e-5)])
def test_prices(model: str, usd: float) -> None:
    price = VENDOR.models[model].price
    assert price is not None
    assert (price.per_character, price.exact) == (usd, False)
    assert VENDOR.models["*"].price is None
