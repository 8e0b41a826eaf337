"""Vertex AI's adapter: whose credentials, which host, Gemini's voices and Cloud Text-to-Speech's, films."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engines.media import AudioFormat, AudioSpec
from providers.base import errors
from providers.base.contract import Audio, Done, Failed, Made, Provider, SpeechProvider, SpeechRequest, VideoRequest
from providers.base.vendor import Resources
from providers.vertex_ai import NAMES, VENDOR
from providers.vertex_ai.account import Account, VertexSettings
from providers.vertex_ai.cloud import OPENAI_VOICES, cloud_body
from tests.contracts.speech import TEXT, SpeechContract
from tests.contracts.tasks import TaskContract
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Fault
from tests.upstreams.vertex import EMAIL, PROJECT, Vertex

NEW, OLD = "gemini-3.8-flash-tts", "gemini-2.5-flash-preview-tts"
ASKED = SpeechRequest(TEXT, "Kore")


@asynccontextmanager
async def opened(model: str, **settings: Any) -> AsyncIterator[Any]:
    resources = Resources()
    try:
        yield await VENDOR.open(model, VertexSettings(**settings), resources)
    finally:
        await resources.close()


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with Vertex(seconds=60) as server:
        yield server


def account(vertex: Vertex) -> dict[str, Any]:
    return {"vertex_credentials": vertex.service_account(), "api_base": vertex.base}


async def heard(audio: Audio) -> bytes:
    return b"".join([chunk async for chunk in audio.chunks])


class TestGeminiSpeech(SpeechContract):
    @pytest.fixture(params=[OLD, NEW])
    async def provider(self, request: pytest.FixtureRequest, vertex: Vertex) -> AsyncIterator[Provider]:
        async with opened(request.param, **account(vertex)) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "alloy"


class TestCloudSpeech(SpeechContract):
    @pytest.fixture
    async def provider(self, vertex: Vertex) -> AsyncIterator[Provider]:
        async with opened("chirp", **account(vertex)) as made:
            yield made

    @pytest.fixture
    def voice(self) -> str:
        return "en-US-Wavenet-D"


class TestFilms(TaskContract):
    media_type = "video/mp4"

    @pytest.fixture
    async def provider(self, vertex: Vertex) -> AsyncIterator[Provider]:
        async with opened("veo-3.1-generate-preview", **account(vertex)) as made:
            yield made

    @pytest.fixture
    def asked(self) -> VideoRequest:
        return VideoRequest("a cat on a mat", 4, "1280x720", extra={"generateAudio": False, "seed": 3})

    @pytest.fixture
    def elapse(self, vertex: Vertex) -> Callable[[], None]:
        return lambda: vertex.advance(vertex.seconds / 10)


# Who and where.


async def test_one_sign_in_for_many_calls(vertex: Vertex) -> None:
    resources = Resources()
    models = [await VENDOR.open(NEW, VertexSettings(**account(vertex)), resources) for _ in range(3)]
    spoken = await asyncio.gather(*(made.speech(ASKED) for made in models for _ in range(2)))
    await asyncio.gather(*map(heard, spoken))
    await resources.close()
    assert vertex.tokens == 1
    assert len(vertex.ledger) == 6


async def test_a_token_that_runs_out_is_replaced() -> None:
    with Vertex(lifetime=60) as vertex:  # google-auth takes another one 3:45 minutes before the end
        async with opened(NEW, **account(vertex)) as made:
            await heard(await made.speech(ASKED))
            before = vertex.tokens
            await heard(await made.speech(ASKED))
            assert vertex.tokens == before + 1


@pytest.mark.parametrize("how", ["mapping", "text", "file", "environment"])
async def test_where_credentials_come_from(
    vertex: Vertex, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "account.json"
    written.write_text(json.dumps(vertex.service_account()))
    given: Any = {"mapping": vertex.service_account(), "text": written.read_text(), "file": str(written)}.get(how)
    if how == "environment":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(written))
    async with opened(NEW, vertex_credentials=given, api_base=vertex.base) as made:
        await heard(await made.speech(ASKED))
    assert vertex.requests[-1].path == (
        f"/v1beta1/projects/{PROJECT}/locations/global/publishers/google/models/{NEW}:streamGenerateContent?alt=sse"
    )


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/no/such/file", errors.Unavailable),
        ('{"type": "service_account"}', errors.Unavailable),
        ('{"type": "external_account"}', errors.Unavailable),
        ("{}", errors.Unavailable),
        ("{not json", errors.Unavailable),
    ],
)
async def test_credentials_that_are_none(vertex: Vertex, source: str, kind: type[errors.ProviderError]) -> None:
    async with opened(NEW, vertex_credentials=source, api_base=vertex.base) as made:
        with pytest.raises(kind) as caught:
            await made.speech(ASKED)
    assert (caught.value.sent, vertex.requests) == ("no", [])


async def test_a_sign_in_that_fails(vertex: Vertex) -> None:
    vertex.refuse_sign_in = {"error": "invalid_grant", "error_description": f"Invalid JWT for {EMAIL}"}
    async with opened(NEW, **account(vertex)) as made:
        with pytest.raises(errors.UpstreamAuth) as caught:
            await made.speech(ASKED)
        assert caught.value.sent == "no"
        assert EMAIL not in str(caught.value)
        vertex.refuse_sign_in = None
        await heard(await made.speech(ASKED))
    there = vertex.service_account() | {"token_uri": "http://127.0.0.1:9/token"}
    async with opened("veo-3.1-generate-preview", vertex_credentials=there, api_base=vertex.base) as made:
        with pytest.raises(errors.UpstreamDown) as caught:
            await made.submit(VideoRequest("x"))
        assert caught.value.sent == "no"


async def test_who_leaves_during_the_sign_in_does_not_stop_it(vertex: Vertex) -> None:
    async with opened(NEW, **account(vertex)) as made:
        first = asyncio.create_task(made.speech(ASKED))
        second = asyncio.create_task(made.speech(ASKED))
        await asyncio.sleep(0)
        first.cancel()
        await heard(await second)
    assert vertex.tokens == 1


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
async def test_hosts(location: str | None, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEXAI_PROJECT", "p-1")
    monkeypatch.delenv("VERTEXAI_LOCATION", raising=False)
    resources = Resources()
    there = Account(VertexSettings(vertex_location=location), "us-central1", resources)
    assert there.root == f"https://{host}/v1beta1"
    assert (await there.model("m")).startswith("projects/p-1/locations/")
    await resources.close()


@pytest.mark.parametrize(
    "wrong", [{"vertex_location": "a/b"}, {"vertex_project": "../x"}, {"api_base": "x"}, {"vertex_credentials": 3}]
)
def test_settings_that_are_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VertexSettings.model_validate(wrong)


# Gemini's voices, and Cloud Text-to-Speech's.


async def test_the_other_names_of_models(vertex: Vertex) -> None:
    async with opened(OLD, **account(vertex), vertex_location="us-east1", vertex_project=PROJECT) as made:
        await heard(await made.speech(ASKED))
    assert f"/locations/us-east1/publishers/google/models/{NAMES[OLD]}:" in vertex.requests[-1].path


async def test_a_voice_of_cloud_text_to_speech_whatever_the_model(vertex: Vertex) -> None:
    async with opened(OLD, **account(vertex)) as made:
        audio = await made.speech(SpeechRequest(TEXT, "en-US-Wavenet-D", speed=4.0))
        assert (audio.spec, audio.tempo) == (AudioSpec(AudioFormat.PCM), 2.0)
        await heard(audio)
        await heard(await made.speech(ASKED))
    assert vertex.spoken_whole == [
        {
            "input": {"text": TEXT},
            "voice": {"languageCode": "en-US", "name": "en-US-Wavenet-D"},
            "audioConfig": {"audioEncoding": "PCM", "sampleRateHertz": 24_000, "speakingRate": 2.0},
            "project": PROJECT,
        }
    ]
    assert len(vertex.ledger) == 1


def test_markup_and_options() -> None:
    body = cloud_body("chirp", SpeechRequest("<speak>Hi</speak>", "nova", extra={"audioConfig": {"pitch": 2}}))
    assert body["input"] == {"ssml": "<speak>Hi</speak>"}
    assert body["voice"] == {"languageCode": "en-US", "name": "en-US-Studio-O"}
    assert body["audioConfig"]["pitch"] == 2
    plain = SpeechRequest("<speak>Hi", "en-US-Chirp3-HD-Kore", extra={"use_ssml": False})
    assert cloud_body("chirp", plain)["input"] == {"text": "<speak>Hi"}
    described = {"languageCode": "de-DE", "name": "de-DE-Neural2-B"}
    assert cloud_body("chirp", SpeechRequest("x", "", extra={"voice": described}))["voice"] == described
    assert len(OPENAI_VOICES) == 13


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (SpeechRequest("x", "alloy", instructions="softly"), "instructions"),
        (SpeechRequest(f"<speak>{'é' * 2500}</speak>", "alloy"), "input"),
        (SpeechRequest("x", "aloy"), "voice"),
        (SpeechRequest("x", "", extra={"voice": {"languageCode": "de-DE", "pitch": 1}}), "voice"),
        (SpeechRequest("x", "alloy", extra={"use_ssml": "yes"}), "use_ssml"),
        (SpeechRequest("x", "alloy", extra={"audioConfig": {"audioEncoding": "MP3"}}), "audioConfig.audioEncoding"),
        (SpeechRequest("x", "alloy", extra={"audioConfig": {"pitch": 21}}), "audioConfig.pitch"),
        (SpeechRequest("x", "alloy", extra={"audioConfig": 3}), "audioConfig"),
        (SpeechRequest("x", "alloy", extra={"pitch": 1}), "pitch"),
    ],
)
def test_what_is_refused_here(request_: SpeechRequest, param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        cloud_body("chirp", request_)
    assert (caught.value.param, caught.value.sent) == (param, "no")


@pytest.mark.parametrize("voice", ["Kore", "en-US-Wavenet-D"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(403, upstream.error(403, "No.")), errors.UpstreamAuth),
        (upstream.QUOTA, errors.RateLimited),
        (upstream.OVERLOADED, errors.UpstreamDown),
        (upstream.BAD_GATEWAY, errors.UpstreamDown),
        (Fault(400, upstream.error(400, "Voice x does not exist.")), errors.Refused),
        (Fault(200, "<html>"), errors.BadAnswer),
    ],
)
async def test_how_a_call_fails(vertex: Vertex, voice: str, fault: Fault, kind: type[errors.ProviderError]) -> None:
    for _ in range(3):
        vertex.next(fault)
    async with opened(NEW, **account(vertex)) as made:
        with pytest.raises(kind) as caught:
            await made.speech(SpeechRequest(TEXT, voice))
    assert type(caught.value) is kind
    assert caught.value.sent == "yes"
    assert caught.value.param == ("voice" if kind is errors.Refused else None)
    assert vertex.token not in str(caught.value)


async def test_a_text_that_is_too_long_for_one_call(vertex: Vertex) -> None:
    sentences = [f"{number}: " + "あ" * 200 + "。" for number in range(20)]
    async with opened("chirp", **account(vertex)) as made:
        audio = await made.speech(SpeechRequest(" ".join(sentences), "alloy"))
        assert len(vertex.spoken_whole) == 1
        sound = await heard(audio)
        parts = [each["input"]["text"] for each in vertex.spoken_whole]
        assert len(parts) == 3
        assert " ".join(parts) == " ".join(sentences)
        assert all(part.endswith("。") for part in parts)
        assert audio.usage.audio_seconds == len(sound) / 48_000
        audio = await made.speech(SpeechRequest(" ".join(sentences), "alloy"))
        vertex.next(upstream.OVERLOADED)
        with pytest.raises(errors.UpstreamDown):
            await heard(audio)


async def test_an_answer_of_cloud_text_to_speech_without_sound(vertex: Vertex) -> None:
    vertex.next(upstream.SILENT)
    async with opened("chirp", **account(vertex)) as made:
        assert isinstance(made, SpeechProvider)
        with pytest.raises(errors.BadAnswer):
            await made.speech(SpeechRequest(TEXT, "alloy"))


# Films.


async def test_films_come_in_the_answer(vertex: Vertex) -> None:
    async with opened("veo-3.1-fast-generate-preview", **account(vertex)) as made:
        task = (await made.submit(VideoRequest("A lake", 8))).task
        assert task.startswith(f"projects/{PROJECT}/locations/us-central1/publishers/google/models/veo-3.1-fast")
        vertex.advance(100)
        done = await made.poll(task)
        assert isinstance(done, Done)
        (film,) = done.outputs
        assert isinstance(film, Made)
        assert film.data[4:8] == b"ftyp"
        packed = base64.b64encode(b"x").decode()
        vertex.next(Fault(operation={"response": {"videos": [{"gcsUri": "gs://a/b"}], "x": packed}}), where="submit")
        task = (await made.submit(VideoRequest("A lake"))).task
        vertex.advance(100)
        with pytest.raises(errors.BadAnswer):
            await made.poll(task)
        assert isinstance(await made.poll("projects/../x"), Failed)


@pytest.mark.parametrize("model", [OLD, NEW, "chirp", "veo-3.1-generate-preview"])
async def test_whether_it_would_answer_costs_nothing(vertex: Vertex, model: str) -> None:
    async with opened(model, **account(vertex)) as made:
        assert (await made.probe()).state == "ready"
        vertex.next(Fault(403, upstream.error(403, "No.")), where="poll")
        with pytest.raises(errors.UpstreamAuth):
            await made.probe()
        vertex.refuse_sign_in = {"error": "invalid_grant"}
    async with opened(model, **account(vertex)) as made:
        with pytest.raises(errors.UpstreamAuth):
            await made.probe()
    assert not vertex.ledger
    assert not vertex.spoken_whole
