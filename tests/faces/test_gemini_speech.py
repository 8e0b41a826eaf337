"""Speech by Gemini over HTTP: every format, dialogue, early first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Gemini

CONFIG = """
model_list:
  - model_name: gemini-tts
    litellm_params:
      model: gemini/gemini-2.5-flash-preview-tts
      api_key: os.environ/GEMINI_API_KEY
      api_base: {base}
  - model_name: new
    litellm_params: {{model: gemini/gemini-3.8-flash-tts, api_key: os.environ/GEMINI_API_KEY, api_base: "{base}"}}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""
TEXT = "The quick brown fox jumped over the lazy dog."


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(gemini: Gemini) -> Any:
        monkeypatch.setenv("GEMINI_API_KEY", gemini.key)
        return serving(config_of(CONFIG.format(base=gemini.base, key=KEY, data=tmp_path)))

    return make


@pytest.fixture
def server(gemini: Gemini, start: Any) -> Iterator[Running]:
    with start(gemini) as running:
        yield running


def speak(server: Running, **fields: Any) -> httpx.Response:
    body = {"model": "gemini-tts", "input": TEXT, "voice": "alloy", **fields}
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers, timeout=60)


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
@pytest.mark.parametrize("model", ["gemini-tts", "new"])
def test_every_format_at_every_speed(server: Running, model: str, format: str) -> None:
    whole = 3.0
    for speed in (1.0, 2.0):
        answer = speak(server, model=model, response_format=format, speed=speed)
        assert answer.status_code == 200, answer.text
        heard = hear(answer.content, format)
        whole = heard.seconds if speed == 1.0 else whole
        assert heard.seconds == pytest.approx(whole / speed, abs=0.2)


def test_events_say_the_tokens_that_were_used(server: Running, gemini: Gemini) -> None:
    answer = speak(server, model="new", stream_format="sse", response_format="pcm")
    assert answer.headers["content-type"].startswith("text/event-stream")
    made = gemini.ledger[0]["tokens"]
    assert f'"output_tokens": {made}' in answer.text.strip().splitlines()[-1]


def test_two_speakers_and_a_manner(server: Running, gemini: Gemini) -> None:
    speakers = [
        {"speaker": name, "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
        for name, voice in (("Ann", "Kore"), ("Bob", "Puck"))
    ]
    voice = {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": speakers}}
    said = "Ann: Hello there.\nBob: Hello to you."
    answer = speak(server, model="new", input=said, voice=voice, instructions="like old friends")
    assert answer.status_code == 200, answer.text
    entry = gemini.ledger[0]
    assert entry["voices"] == {"Ann": "Kore", "Bob": "Puck"}
    assert [part["speechMetadata"]["style"] for part in entry["parts"]] == ["like old friends"] * 2


@pytest.mark.parametrize("voice", [{"type": "clone"}, {"name": "Kore"}])
def test_an_object_that_is_no_voice(server: Running, gemini: Gemini, voice: dict[str, str]) -> None:
    answer = speak(server, voice=voice)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")
    assert "multiSpeakerVoiceConfig" in answer.json()["error"]["message"]
    assert not gemini.requests


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_the_first_sound_goes_on_while_the_rest_is_made(start: Any, format: str) -> None:
    """Of three seconds Gemini has sent a fifth of one, and sends no more until the client has heard of it."""
    with Gemini(hold=True) as gemini, start(gemini) as server:
        client = openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0)
        speech = client.audio.speech.with_streaming_response
        with speech.create(model="new", voice="nova", input=TEXT, response_format=format) as answer:
            chunks = answer.iter_bytes()
            some = next(chunks)
            while len(some) < 100:  # more than a header
                some += next(chunks)
            gemini.release()
            assert hear(some + b"".join(chunks), format).seconds == pytest.approx(3.0, abs=0.5)
        client.close()


def test_a_bad_key_at_google_is_not_the_caller_s(server: Running, gemini: Gemini) -> None:
    gemini.next(upstream.BAD_KEY)
    answer = speak(server)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_auth")
    assert gemini.key not in answer.text


def test_a_pause_is_passed_on(server: Running, gemini: Gemini) -> None:
    gemini.next(upstream.QUOTA)
    answer = speak(server)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "19")


def test_voices_are_listed(server: Running) -> None:
    found = httpx.get(f"{server.base}/v1/audio/voices", headers={"Authorization": f"Bearer {KEY}"}).text
    assert "Zubenelgenubi" in found
    assert "nova" in found
