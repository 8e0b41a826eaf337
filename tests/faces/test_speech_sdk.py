"""``/v1/audio/speech`` through OpenAI's own SDK, against the real server, decoded again; Kokoro's is in ``seeds``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from engines.media import AudioFormat
from tests.serving import Running
from tests.sound import Heard, hear

MODEL, VOICE = "espeak", "bm_george"
TEXT = "The quick brown fox jumped over the lazy dog."
FORMATS = [each.value for each in AudioFormat]
MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm; rate=24000; channels=1",
}


@pytest.fixture
def client(espeak_server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{espeak_server.base}/v1", api_key="unused", max_retries=0) as made:
        yield made


def assert_speech(heard: Heard, format: str) -> None:
    assert heard.rate == (48_000 if format == "opus" else 24_000)
    assert 1.5 < heard.seconds < 8
    assert heard.loudness > 0.01


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_sync(client: openai.OpenAI, format: str) -> None:
    answer = client.audio.speech.create(model=MODEL, voice=VOICE, input=TEXT, response_format=format)
    assert answer.response.headers["content-type"] == MEDIA[format]
    assert answer.response.headers["transfer-encoding"] == "chunked"
    assert answer.response.headers.get("x-sample-rate") == ("24000" if format == "pcm" else None)
    assert_speech(hear(answer.content, format), format)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format_async(espeak_server: Running, format: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{espeak_server.base}/v1", api_key="unused", max_retries=0) as client:
        answer = await client.audio.speech.create(model=MODEL, voice=VOICE, input=TEXT, response_format=format)
        assert_speech(hear(answer.content, format), format)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_with_streaming_response(client: openai.OpenAI, format: str, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(
        model=MODEL, voice=VOICE, input=TEXT, response_format=format
    ) as response:
        response.stream_to_file(tmp_path / "speech")
    assert_speech(hear((tmp_path / "speech").read_bytes(), format), format)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_as_events(client: openai.OpenAI, format: str) -> None:
    body = {"model": MODEL, "voice": VOICE, "input": TEXT, "response_format": format, "stream_format": "sse"}
    with httpx.stream("POST", f"{client.base_url}audio/speech", json=body) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    heard = hear(b"".join(base64.b64decode(event["audio"]) for event in deltas), format)
    assert_speech(heard, format)
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["input_tokens"] == 12  # 45 characters
    assert usage["output_tokens"] == pytest.approx(heard.seconds * 1250 / 60, rel=0.1)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed(client: openai.OpenAI, speed: float) -> None:
    lengths = [
        hear(
            client.audio.speech.create(model=MODEL, voice=VOICE, input=TEXT, response_format="pcm", speed=pace).content,
            "pcm",
        ).seconds
        for pace in (1.0, speed)
    ]
    assert lengths[1] == pytest.approx(lengths[0] / speed, rel=0.25)


def test_the_default_is_mp3_at_96_kbps_mono(client: openai.OpenAI) -> None:
    data = client.audio.speech.create(model=MODEL, voice=VOICE, input=TEXT).content
    heard = hear(data, "mp3")
    assert len(data) * 8 / heard.seconds == pytest.approx(96_000, rel=0.05)


@pytest.mark.parametrize(
    "voice",
    ["alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar"],
)
def test_openai_voices(client: openai.OpenAI, voice: str) -> None:
    answer = client.audio.speech.create(model="espeak", voice=voice, input=TEXT, response_format="wav")
    assert_speech(hear(answer.content, "wav"), "wav")


def test_a_voice_object_and_bare_paths(espeak_server: Running) -> None:
    body = {"model": "espeak", "voice": {"id": "alloy"}, "input": TEXT, "response_format": "wav"}
    answer = httpx.post(f"{espeak_server.base}/audio/speech", json=body)
    assert answer.status_code == 200
    assert_speech(hear(answer.content, "wav"), "wav")


def test_a_single_full_stop_is_a_short_sound(client: openai.OpenAI) -> None:
    """Home Assistant's integration checks its settings with it."""
    answer = client.audio.speech.create(model=MODEL, voice=VOICE, input=".", response_format="mp3")
    assert hear(answer.content, "mp3").seconds < 3


def test_who_served_is_said(client: openai.OpenAI) -> None:
    direct = client.audio.speech.with_raw_response.create(model="espeak", voice="alloy", input="Hi.")
    assert direct.headers["x-media-gateway-model"] == "espeak"
    assert direct.headers["x-media-gateway-provider"] == "local"
    assert "x-media-gateway-fallback" not in direct.headers
    assert direct.headers["x-request-id"].startswith("req_")
    assert int(direct.headers["openai-processing-ms"]) >= 0
    for model in ("absent", "tts-1", "local/kokoro-82m"):
        stood_in = client.audio.speech.with_raw_response.create(model=model, voice="af_heart", input="Hi.")
        assert stood_in.headers["x-media-gateway-model"] == "espeak"
        assert stood_in.headers["x-media-gateway-fallback"] == "absent; reason=not_ready"


def test_options_are_dropped_only_where_the_config_says_so(client: openai.OpenAI) -> None:
    for model, extra, dropped in (("robot", {}, "instructions"), ("lenient", {"a\r\nb": 1}, "a??b, instructions")):
        answer = client.audio.speech.with_raw_response.create(
            model=model, voice="alloy", input="Hi.", instructions="whisper", extra_body=extra
        )
        assert sorted(answer.headers["x-media-gateway-dropped-params"].split(", ")) == dropped.split(", ")
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="espeak", voice="alloy", input="Hi.", instructions="whisper")
    assert (caught.value.param, caught.value.code) == ("instructions", "unsupported_parameter")


def test_a_deployment_s_own_voice_serves_requests_without_one(espeak_server: Running) -> None:
    answer = httpx.post(f"{espeak_server.base}/v1/audio/speech", json={"model": "robot", "input": TEXT})
    assert answer.status_code == 200
