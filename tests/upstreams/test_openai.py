"""The simulated OpenAI, driven by OpenAI's own clients."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import av
import openai
import pytest
from openai import AzureOpenAI
from PIL import Image

from engines.media import AudioFormat
from tests.contracts.tasks import PIXEL
from tests.sound import hear
from tests.upstreams.openai import BROKEN, DEPLOYMENT, KEY, QUOTA, SLOW_DOWN, TOKEN, OpenAI

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TEXT = "The quick brown fox jumped over the lazy dog."


@pytest.fixture(scope="module")
def upstream() -> Iterator[OpenAI]:
    with OpenAI() as server:
        yield server


@pytest.fixture
def client(upstream: OpenAI) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=KEY, base_url=upstream.base, max_retries=0) as client:
        yield client


@pytest.fixture(params=["2025-04-01-preview", "v1"])
def azure(upstream: OpenAI, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    if request.param == "v1":
        base = f"{upstream.azure}/openai/v1"
        with openai.OpenAI(api_key=TOKEN, base_url=base, max_retries=0) as client:
            yield client
    else:
        with AzureOpenAI(
            api_key=KEY, azure_endpoint=upstream.azure, api_version=request.param, max_retries=0
        ) as client:
            yield client


@pytest.mark.parametrize("form", [*AudioFormat])
def test_speech(client: openai.OpenAI, form: AudioFormat) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", input=TEXT, voice="marin", instructions="Gently.", response_format=form.value
    ) as answer:
        pieces = [*answer.iter_bytes()]
    assert len(pieces) > 3
    assert hear(b"".join(pieces), form).seconds > 1


def test_models(client: openai.OpenAI) -> None:
    assert client.models.retrieve("tts-1").object == "model"
    assert "whisper-1" in {model.id for model in client.models.list()}
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("tts-9")


def test_pictures(client: openai.OpenAI) -> None:
    made = client.images.generate(model="gpt-image-2", prompt="A lake", n=2, size="1024x1024", output_format="webp")
    assert [Image.open(io.BytesIO(base64.b64decode(each.b64_json or ""))).format for each in made.data or []] == [
        "WEBP",
        "WEBP",
    ]
    assert made.usage is not None
    assert made.usage.input_tokens_details.text_tokens == 12
    assert client.images.edit(model="gpt-image-2", prompt="A boat", image=("a.png", PIXEL)).data
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="gpt-image-2", prompt="A lake", response_format="b64_json")
    assert (caught.value.param, caught.value.code) == ("response_format", "unknown_parameter")


def test_films(upstream: OpenAI, client: openai.OpenAI) -> None:
    made = client.videos.create(model="sora-2", prompt="A wave", seconds="4", size="1280x720", input_reference=PIXEL)
    assert made.status == "queued"
    upstream.advance(60)
    assert client.videos.poll(made.id).status == "completed"
    film = client.videos.download_content(made.id).read()
    with av.open(io.BytesIO(film)) as container:
        assert container.streams.video[0].frames > 0
    assert client.videos.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(made.id)


def test_transcripts(client: openai.OpenAI) -> None:
    file = ("talk.mp3", b"x" * 10)
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text == "10 bytes of mp3"
    assert client.audio.translations.create(model="whisper-1", file=file).text == "10 bytes of mp3 in English"
    assert client.audio.transcriptions.create(model="whisper-1", file=file, response_format="srt").startswith("1\n")
    events = [*client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file, stream=True)]
    assert [event.type for event in events] == ["transcript.text.delta"] * 4 + ["transcript.text.done"]


def test_azure(azure: openai.OpenAI) -> None:
    assert hear(azure.audio.speech.create(model=DEPLOYMENT, input=TEXT, voice="alloy").content, AudioFormat.MP3).seconds
    assert azure.images.generate(model=DEPLOYMENT, prompt="A lake").data
    assert azure.audio.transcriptions.create(model=DEPLOYMENT, file=("a.wav", b"x")).text
    assert azure.videos.create(model="sora-2", prompt="A wave").id


def test_what_is_refused(upstream: OpenAI, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tts-1", input=TEXT, voice="alloy", instructions="Gently.")
    assert caught.value.param == "instructions"
    with openai.OpenAI(api_key="sk-other", base_url=upstream.base, max_retries=0) as stranger:
        for call in (lambda: stranger.images.generate(prompt="x", model="gpt-image-2"),):
            with pytest.raises(openai.AuthenticationError):
                call()
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="dall-e-3", prompt="x")
    for fault, kind in ((QUOTA, openai.RateLimitError), (SLOW_DOWN, openai.RateLimitError),
                        (BROKEN, openai.InternalServerError)):  # fmt: skip
        upstream.next(fault)
        with pytest.raises(kind):
            client.images.generate(model="gpt-image-2", prompt="x")
