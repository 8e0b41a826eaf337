"""The simulated Vertex AI and Cloud Text-to-Speech, driven by Google's own clients."""

from __future__ import annotations

from collections.abc import Iterator

import google.auth.transport.requests
import pytest
from google import genai
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import texttospeech as tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import TextToSpeechRestTransport
from google.genai import errors, types
from google.oauth2 import service_account

from engines.pictures import size_of
from tests.upstreams.gemini import Fault
from tests.upstreams.gemini import error as refusal
from tests.upstreams.vertex import PROJECT, Vertex

TEXT = "The quick brown fox jumped over the lazy dog."
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    with Vertex(seconds=60) as server:
        yield server


@pytest.fixture
def client(vertex: Vertex) -> Iterator[genai.Client]:
    signed = service_account.Credentials.from_service_account_info(vertex.service_account(), scopes=[SCOPE])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GOOGLE_API_KEY", raising=False)
        made = genai.Client(
            vertexai=True,
            project=PROJECT,
            location="us-central1",
            credentials=signed,
            http_options=types.HttpOptions(base_url=vertex.base),
        )
    yield made
    made.close()


def test_speech(vertex: Vertex, client: genai.Client) -> None:
    config = types.GenerateContentConfig(response_modalities=["AUDIO"], speech_config="Kore")
    *some, last = client.models.generate_content_stream(model="gemini-3.8-flash-tts", contents=TEXT, config=config)
    assert len(some) > 5
    assert last.candidates[0].finish_reason == "STOP"
    assert vertex.tokens == 1
    assert vertex.requests[-1].headers["authorization"] == f"Bearer {vertex.token}"
    vertex.next(Fault(403, refusal(403, "No.")))
    with pytest.raises(errors.ClientError):
        client.models.generate_content(model="gemini-3.8-flash-tts", contents=TEXT, config=config)


def test_a_picture(vertex: Vertex, client: genai.Client) -> None:
    wish = types.GenerateContentConfig(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="9:16", image_size="1K")
    )
    made = client.models.generate_content(model="gemini-3.1-flash-image", contents="A cat.", config=wish)
    (part,) = made.parts
    assert size_of(part.inline_data.data) == (768, 1376)
    assert vertex.requests[-1].headers["authorization"] == f"Bearer {vertex.token}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_film(vertex: Vertex, client: genai.Client) -> None:
    config = types.GenerateVideosConfig(aspect_ratio="9:16", duration_seconds=6, resolution="720p", seed=3)
    image = types.Image(image_bytes=b"\x89PNG\r\n\x1a\n", mime_type="image/png")
    model = "veo-3.1-generate-preview"
    operation = client.models.generate_videos(model=model, prompt="A cat", image=image, config=config)
    assert not client.operations.get(operation).done
    vertex.advance(100)
    done = client.operations.get(operation)
    assert done.result.generated_videos[0].video.video_bytes[4:8] == b"ftyp"
    assert vertex.ledger[0]["parameters"]["aspectRatio"] == "9:16"


def test_a_sign_in_that_is_refused(vertex: Vertex) -> None:
    signed = service_account.Credentials.from_service_account_info(vertex.service_account(), scopes=["wrong"])
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant"):
        signed.refresh(google.auth.transport.requests.Request())


class Signed(AnonymousCredentials):
    def apply(self, headers: dict[str, str], token: str | None = None) -> None:
        headers["authorization"] = "Bearer ya29.token-0"

    def before_request(self, request: object, method: str, url: str, headers: dict[str, str]) -> None:
        self.apply(headers)


def test_cloud_text_to_speech(vertex: Vertex) -> None:
    host = vertex.base.removeprefix("http://")
    client = tts.TextToSpeechClient(
        transport=TextToSpeechRestTransport(host=host, credentials=Signed(), url_scheme="http")
    )
    voice = tts.VoiceSelectionParams(language_code="en-US", name="en-US-Wavenet-D")
    for encoding, head in ((tts.AudioEncoding.LINEAR16, b"RIFF"), (tts.AudioEncoding.PCM, None)):
        made = client.synthesize_speech(
            input=tts.SynthesisInput(text=TEXT), voice=voice, audio_config=tts.AudioConfig(audio_encoding=encoding)
        )
        assert (made.audio_content[:4] == b"RIFF") == (head is not None)
        assert len(made.audio_content) > 48_000
    assert "en-US-Wavenet-D" in [each.name for each in client.list_voices().voices]
    with pytest.raises(exceptions.BadRequest, match="does not exist"):
        client.synthesize_speech(
            input=tts.SynthesisInput(text=TEXT),
            voice=tts.VoiceSelectionParams(language_code="en-US", name="en-US-Nobody-A"),
            audio_config=tts.AudioConfig(audio_encoding=tts.AudioEncoding.PCM),
        )
    client.transport.close()


def test_a_model_is_known(vertex: Vertex, client: genai.Client) -> None:
    name = "publishers/google/models/gemini-2.5-pro-tts"
    assert client.models.get(model="gemini-2.5-pro-tts").name == name
    assert vertex.requests[-1].path.startswith(f"/v1beta1/{name}")
