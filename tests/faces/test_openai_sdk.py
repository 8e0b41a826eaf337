"""OpenAI and Azure OpenAI end to end: OpenAI's SDK in front of the gateway, the simulated OpenAI behind it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import httpx
import openai
import pytest
from PIL import Image

from engines.media import AudioFormat
from tests.conftest import KEY
from tests.contracts.tasks import PIXEL
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams import openai as upstream
from tests.upstreams.openai import DEPLOYMENT, OpenAI

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = """
model_list:
  - model_name: tts-1
    litellm_params: {{model: openai/tts-1, api_key: {vendor}, api_base: "{base}"}}
    model_info: {{mode: audio_speech}}
  - model_name: hosted
    litellm_params: {{model: my-tts, custom_llm_provider: openai, api_key: {vendor}, api_base: "{base}"}}
  - model_name: picture
    litellm_params: {{model: openai/gpt-image-2, api_key: {vendor}, api_base: "{base}"}}
  - model_name: film
    litellm_params: {{model: openai/sora-2, api_key: {vendor}, api_base: "{base}", poll_interval: 1}}
  - model_name: azure
    litellm_params: {{model: azure/{deployment}, api_key: {vendor}, api_base: "{azure}", api_version: 2025-04-01-preview}}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""


@pytest.fixture
def upstreamed() -> Iterator[OpenAI]:
    with OpenAI(seconds=1.5) as server:
        yield server


@pytest.fixture
def server(upstreamed: OpenAI, tmp_path: Path) -> Iterator[Running]:
    about = {"vendor": upstreamed.key, "base": upstreamed.base, "azure": upstreamed.azure, "deployment": DEPLOYMENT}
    with serving(config_of(CONFIG.format(key=KEY, data=tmp_path, **about))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ["tts-1", "azure"])
@pytest.mark.parametrize("form", [*AudioFormat])
def test_speech_is_passed_on_as_it_is(upstreamed: OpenAI, client: openai.OpenAI, model: str, form: AudioFormat) -> None:
    made = client.audio.speech.with_raw_response.create(
        model=model, voice="nova", input="Hello from the proxy!", response_format=form.value, speed=1.5
    )
    assert hear(made.content, form).seconds > 0.5
    with openai.OpenAI(base_url=upstreamed.base, api_key=upstreamed.key) as direct:
        itself = direct.audio.speech.create(
            model="tts-1", voice="nova", input="Hello from the proxy!", response_format=form.value, speed=1.5
        ).content
    # Ogg gives each stream a number by chance; everything else is byte for byte what OpenAI made.
    assert len(made.content) == len(itself)
    assert form is AudioFormat.OPUS or made.content == itself
    if model == "tts-1":
        assert float(made.headers["x-litellm-response-cost"]) == pytest.approx(21 * 15e-6)


def test_events(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="nova", input="Hello!", stream_format="sse"
    ) as answer:
        text = answer.read().decode()
    assert "speech.audio.delta" in text
    assert "speech.audio.done" in text


def test_pictures_of_one_call_are_one_request(upstreamed: OpenAI, client: openai.OpenAI) -> None:
    made = client.images.with_raw_response.generate(
        model="picture", prompt="A lake", n=3, size="1024x1024", response_format="b64_json", quality="low"
    )
    data = made.parse().data or []
    assert [Image.open(io.BytesIO(base64.b64decode(each.b64_json or ""))).format for each in data] == ["PNG"] * 3
    assert upstreamed.ledger == [{"model": "gpt-image-2", "images": 3}]
    assert float(made.headers["x-litellm-response-cost"]) == pytest.approx(12 * 5e-6 + 12480 * 30e-6)
    edited = client.images.edit(model="picture", prompt="A boat", image=PIXEL, output_format="webp").data or []
    assert httpx.get(edited[0].url or "").headers["content-type"] == "image/webp"


def test_a_retry_finds_what_was_made(upstreamed: OpenAI, client: openai.OpenAI) -> None:
    again = {"Idempotency-Key": "lake-1"}
    first = client.images.generate(model="picture", prompt="A lake", extra_headers=again)
    second = client.images.generate(model="picture", prompt="A lake", extra_headers=again)
    assert (first.data or [])[0].url
    assert len(second.data or []) == 1
    assert len(upstreamed.ledger) == 1


def test_a_caller_who_leaves_finds_the_picture_when_he_comes_back(upstreamed: OpenAI, server: Running) -> None:
    again = {"Idempotency-Key": "lake-2"}
    upstreamed.may_draw.clear()
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as client:
        with pytest.raises(openai.APITimeoutError):
            client.images.generate(model="picture", prompt="A lake", extra_headers=again, timeout=0.5)
        assert upstreamed.drawing.is_set()
        with ThreadPoolExecutor() as pool:
            calls = [
                pool.submit(client.images.generate, model="picture", prompt="A lake", extra_headers=again)
                for _ in range(2)
            ]
            upstreamed.may_draw.set()
            urls = {(call.result(30).data or [])[0].url.partition("?")[0] for call in calls}
    assert len(urls) == 1
    assert len(upstreamed.ledger) == 1


@pytest.mark.parametrize("fault", [upstream.DROPPED, upstream.CUT, upstream.GARBAGE, upstream.GATEWAY_TIMEOUT])
def test_what_may_have_been_charged_is_never_repeated(
    upstreamed: OpenAI, server: Running, fault: upstream.Fault
) -> None:
    upstreamed.next(fault)
    with (
        openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=5) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(model="picture", prompt="A lake")
    assert caught.value.code == "submission_unknown"
    assert len(upstreamed.ledger) == 1


def test_a_film(upstreamed: OpenAI, client: openai.OpenAI) -> None:
    made = client.videos.create_and_poll(model="film", prompt="A wave", seconds="4", size="1280x720")
    assert made.status == "completed"
    film = client.videos.download_content(made.id).read()
    with av.open(io.BytesIO(film)) as container:
        assert container.streams.video[0].frames > 0
    content = next(asked for asked in upstreamed.requests if asked.path.endswith("/content"))
    assert content.headers["authorization"] == f"Bearer {upstreamed.key}"


def test_what_is_refused_is_refused_in_openai_s_words(upstreamed: OpenAI, client: openai.OpenAI) -> None:
    for model, more, param in (
        ("tts-1", {"instructions": "Gently."}, "instructions"),
        ("hosted", {"extra_body": {"wobble": 1}}, None),  # the server knows no such model, and says so
    ):
        with pytest.raises(openai.APIStatusError) as caught:
            client.audio.speech.create(model=model, voice="nova", input="x", **more)
        assert caught.value.param == param
    assert upstreamed.requests[-1].body["wobble"] == 1
    with pytest.raises(openai.BadRequestError) as asked:
        client.images.generate(model="picture", prompt="x", size="1000x1000")
    assert asked.value.param == "size"
    upstreamed.next(
        upstream.wrong("Incorrect API key provided: sk-proj-0123456789abcdefABCDEF.", None, "invalid_api_key", 401)
    )
    with pytest.raises(openai.InternalServerError) as ours:
        client.images.generate(model="picture", prompt="x")
    assert (ours.value.status_code, ours.value.code) == (502, "provider_auth")
    assert upstreamed.key not in ours.value.response.text


WHISPER = """
model_list:
- model_name: whisper
  litellm_params:
    model: whisper-1
    api_key: {vendor}
    api_base: "{base}"
    max_file_size_mb: 25
  model_info:
    mode: audio_transcription
- model_name: spare
  litellm_params: {{model: openai/gpt-transcribe, api_key: {vendor}, api_base: "{base}"}}
- model_name: tts-1
  litellm_params: {{model: tts-1, api_key: {vendor}, api_base: "{base}"}}
- model_name: sandbox-image
  litellm_params: {{model: sandbox/image}}
router_settings: {{fallbacks: [{{whisper: [spare]}}]}}
guardrails:
- guardrail_name: words
  litellm_params:
    guardrail: litellm_content_filter
    mode: pre_call
    default_on: true
    blocked_words: [{{keyword: nightshade, action: BLOCK}}]
general_settings: {{master_key: {key}, data_dir: {data}}}
"""


@pytest.fixture
def whisper(upstreamed: OpenAI, tmp_path: Path) -> Iterator[openai.OpenAI]:
    text = WHISPER.format(vendor=upstreamed.key, base=upstreamed.base, key=KEY, data=tmp_path)
    with (
        serving(config_of(text)) as running,
        openai.OpenAI(base_url=f"{running.base}/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield client


TALK = ("talk.wav", b"RIFF" + bytes(2000))


def test_transcripts_in_every_form(upstreamed: OpenAI, whisper: openai.OpenAI) -> None:
    text = "2004 bytes of wav"
    made = whisper.audio.transcriptions.with_raw_response.create(
        model="whisper", file=TALK, language="en", temperature=0
    )
    assert made.parse().text == text
    assert upstreamed.requests[-1].body == {"model": "whisper-1", "language": "en", "temperature": "0"}
    assert upstreamed.requests[-1].files == {"file": [TALK]}
    assert "x-litellm-response-cost" not in made.headers  # what a minute costs nobody has said
    for form, start in (("text", text), ("srt", "1\n00:"), ("vtt", "WEBVTT")):
        assert str(whisper.audio.transcriptions.create(model="whisper", file=TALK, response_format=form)).startswith(
            start
        )
    spoken = whisper.audio.transcriptions.create(
        model="whisper", file=TALK, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert spoken.language == "english"
    assert upstreamed.requests[-1].body["timestamp_granularities[]"] == ["word", "segment"]
    events = [*whisper.audio.transcriptions.create(model="whisper", file=TALK, stream=True)]
    assert [event.type for event in events] == ["transcript.text.delta"] * 4 + ["transcript.text.done"]
    assert whisper.audio.translations.create(model="whisper", file=TALK).text == f"{text} in English"


def test_what_is_wrong_with_a_transcription(upstreamed: OpenAI, whisper: openai.OpenAI) -> None:
    url = f"{whisper.base_url}audio/transcriptions"
    headers = {"Authorization": f"Bearer {KEY}"}
    for data, files, param in (
        ({"model": "whisper"}, {"other": b"x"}, "file"),
        ({}, {"file": TALK}, "model"),
        ({"model": "whisper"}, {"file": ("talk.wav", b"")}, "file"),
        ({"model": "whisper", "prompt": "about nightshade"}, {"file": TALK}, "prompt"),
        ({"model": "tts-1"}, {"file": TALK}, "model"),
        ({"model": "sandbox-image"}, {"file": TALK}, "model"),
    ):
        answer = httpx.post(url, data=data, files=files, headers=headers)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    answer = httpx.post(url, json={"model": "whisper", "file": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert httpx.post(url, files={"file": TALK}).status_code == 401
    dry = httpx.post(
        url, data={"model": "whisper"}, files={"file": TALK}, headers={**headers, "x-media-gateway-dry-run": "true"}
    )
    assert dry.json()["cost"]["usd"] is None
    assert upstreamed.requests == []


def test_another_model_writes_where_one_cannot(upstreamed: OpenAI, whisper: openai.OpenAI) -> None:
    upstreamed.next(upstream.QUOTA)
    made = whisper.audio.transcriptions.with_raw_response.create(model="whisper", file=TALK, prompt="Numbers.")
    assert made.headers["x-media-gateway-fallback"].startswith("whisper; reason=")
    assert upstreamed.requests[-1].body == {"model": "gpt-transcribe", "prompt": "Numbers."}
    with pytest.raises(openai.BadRequestError) as caught:
        whisper.audio.speech.create(model="whisper", voice="alloy", input="x")
    assert caught.value.param == "model"


def test_keys_and_transcriptions(upstreamed: OpenAI, whisper: openai.OpenAI) -> None:
    url = str(whisper.base_url).removesuffix("/v1/")
    made = [
        httpx.post(f"{url}/key/generate", json=fields, headers={"Authorization": f"Bearer {KEY}"}).json()["key"]
        for fields in ({"models": ["tts-1"]}, {"max_budget": 5.0}, {"models": ["whisper"]})
    ]
    codes = []
    for key in made:
        answer = httpx.post(
            f"{url}/v1/audio/transcriptions",
            data={"model": "whisper"},
            files={"file": TALK},
            headers={"Authorization": f"Bearer {key}"},
        )
        codes.append((answer.status_code, answer.json().get("error", {}).get("code")))
    assert codes[0] == (403, "key_model_access_denied")
    assert codes[1][0] == 400  # what it will cost nobody knows, and the key may spend no more than it has
    assert codes[2] == (200, None)
    assert len(upstreamed.ledger) == 1
