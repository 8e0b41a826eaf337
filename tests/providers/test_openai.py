"""OpenAI's adapter, and Azure's, against the server that OpenAI's own clients have driven."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from engines.media import AudioFormat
from providers.azure import VENDOR as AZURE
from providers.azure import AzureSettings, addresses
from providers.base import errors
from providers.base.contract import (
    Address,
    Done,
    Failed,
    ImageRequest,
    Made,
    Probed,
    Reference,
    SpeechProvider,
    SpeechRequest,
    Submitted,
    TaskProvider,
    TranscriptionProvider,
    TranscriptionRequest,
    VideoRequest,
    Working,
)
from providers.base.dialects.openai import pictures
from providers.base.dialects.openai.host import refused
from providers.base.dialects.openai.models import Draws, Everything, Films, ModelSettings, Speaks
from providers.base.exchange import Reply
from providers.base.vendor import Resources
from providers.base.wire import Wire
from providers.openai import VENDOR, OpenAISettings, host_of
from tests.contracts.speech import TEXT, SpeechContract
from tests.contracts.tasks import PIXEL, TaskContract
from tests.sound import hear
from tests.upstreams import openai as upstream
from tests.upstreams.openai import DEPLOYMENT, KEY, TOKEN, OpenAI
from tests.upstreams.server import Upstream, chunked, reply, silence

PICTURE = Reference(data=PIXEL, media_type="image/png")


@pytest.fixture
def server() -> Iterator[OpenAI]:
    with OpenAI(seconds=60) as running:
        yield running


def strict(kind: type, model: str, server: OpenAI, wire: Wire) -> Any:
    """A model as it is at api.openai.com, but for the address."""
    host = host_of(OpenAISettings(api_key=KEY, api_base=server.base), wire)
    return kind(model, ModelSettings(), replace(host, strict=True))


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    made = Wire()
    yield made
    await made.close()


@asynccontextmanager
async def opened(model: str, vendor: Any = VENDOR, **settings: Any) -> AsyncIterator[Any]:
    resources = Resources()
    try:
        shape = OpenAISettings if vendor is VENDOR else AzureSettings
        yield await vendor.open(model, shape(**settings), resources)
    finally:
        await resources.close()


async def sound_of(provider: SpeechProvider, request: SpeechRequest) -> tuple[AudioFormat, bytes]:
    audio = await provider.speech(request)
    return audio.spec.format, b"".join([chunk async for chunk in audio.chunks])


class TestSpeech(SpeechContract):
    @pytest.fixture
    def provider(self, server: OpenAI, wire: Wire) -> SpeechProvider:
        return strict(Speaks, "gpt-4o-mini-tts", server, wire)

    @pytest.fixture
    def voice(self) -> str:
        return "marin"

    async def test_speed_is_in_the_sound_or_left_to_the_gateway(self, provider: SpeechProvider, voice: str) -> None:
        for speed in (0.25, 4.0):
            request = SpeechRequest(TEXT, voice, AudioFormat.PCM, speed=speed)
            audio = await provider.speech(request)
            data = b"".join([chunk async for chunk in audio.chunks])
            assert audio.tempo == 1.0
            assert audio.usage.audio_seconds == pytest.approx(hear(data, "pcm").seconds)
            plain = (await sound_of(provider, replace(request, speed=1.0)))[1]
            assert len(data) * speed == pytest.approx(len(plain), rel=0.01)

    @pytest.mark.parametrize("form", [*AudioFormat])
    async def test_every_format_is_made_there(
        self, provider: SpeechProvider, server: OpenAI, form: AudioFormat
    ) -> None:
        made, data = await sound_of(provider, SpeechRequest(TEXT, "alloy", form, instructions="Gently."))
        assert made is form
        assert hear(data, form).seconds > 1
        assert server.requests[-1].body == {
            "model": "gpt-4o-mini-tts", "input": TEXT, "voice": "alloy", "response_format": form.value,
            "instructions": "Gently.",
        }  # fmt: skip


class TestFilms(TaskContract):
    media_type = "video/mp4"

    @pytest.fixture
    def provider(self, server: OpenAI, wire: Wire) -> TaskProvider:
        return strict(Films, "sora-2", server, wire)

    @pytest.fixture
    def asked(self) -> VideoRequest:
        return VideoRequest("A wave", 4, "1280x720", PICTURE)

    @pytest.fixture
    def elapse(self, server: OpenAI) -> Callable[[], None]:
        return lambda: server.advance(6.0)

    async def test_cancelling_what_has_ended_is_harmless(
        self, provider: TaskProvider, asked: VideoRequest, elapse: Callable[[], None]
    ) -> None:
        """It is deleted then, which is told as such."""
        task = (await provider.submit(asked)).task
        await provider.cancel(task)
        await provider.cancel(task)
        state = await provider.poll(task)
        assert isinstance(state, Failed)
        assert isinstance(state.error, errors.Gone)


async def test_what_is_sent_for_a_film(server: OpenAI, wire: Wire) -> None:
    films = strict(Films, "sora-2-pro", server, wire)
    await films.submit(VideoRequest("A wave", 8, None, Reference(url="https://example.com/a.png")))
    assert server.requests[-1].body == {
        "model": "sora-2-pro", "prompt": "A wave", "seconds": "8",
        "input_reference[image_url]": "https://example.com/a.png",
    }  # fmt: skip
    task = (await films.submit(VideoRequest("A wave", reference=PICTURE))).task
    assert server.requests[-1].files == {"input_reference": [("reference.png", PIXEL)]}
    looked = await films.poll(task)
    assert isinstance(looked, Working)
    assert looked.check_after == 1.5
    for request, param in ((VideoRequest("x", 5), "seconds"), (VideoRequest("x", 4, "64x64"), "size")):
        with pytest.raises(errors.Refused) as caught:
            films.check(request)
        assert caught.value.param == param


async def test_a_film_is_fetched_with_the_key_from_the_very_host(server: OpenAI, wire: Wire) -> None:
    films = strict(Films, "sora-2", server, wire)
    task = (await films.submit(VideoRequest("A wave"))).task
    server.advance(100)
    state = await films.poll(task)
    assert isinstance(state, Done)
    (output,) = state.outputs
    assert isinstance(output, Address)
    assert output.url == f"{server.base}/videos/{task}/content"
    assert output.trusted == {server.azure.removeprefix("http://")}
    assert output.headers == {"Authorization": f"Bearer {KEY}"}
    assert KEY not in repr(output)


async def test_how_films_end(server: OpenAI, wire: Wire) -> None:
    films = strict(Films, "sora-2", server, wire)
    for code, kind in (("moderation_blocked", errors.PolicyViolation), ("video_generation_failed", errors.Broken)):
        server.fail_next = {"code": code, "message": "No."}
        task = (await films.submit(VideoRequest("A wave"))).task
        server.advance(100)
        state = await films.poll(task)
        assert isinstance(state, Failed)
        assert type(state.error) is kind
    task = (await films.submit(VideoRequest("A wave"))).task
    server.next(upstream.Fault(change={"status": "dreaming"}), "look")
    with pytest.raises(errors.BadAnswer):
        await films.poll(task)


async def test_pictures_come_with_the_answer(server: OpenAI, wire: Wire) -> None:
    draws = strict(Draws, "gpt-image-2", server, wire)
    asked = ImageRequest("A lake", "1024x1024", "webp", extra={"quality": "high", "background": "opaque"}, n=3)
    made = await draws.submit(asked)
    assert server.requests[-1].body == {
        "model": "gpt-image-2", "prompt": "A lake", "n": 3, "size": "1024x1024", "output_format": "webp",
        "quality": "high", "background": "opaque",
    }  # fmt: skip
    assert made.done is not None
    assert [each.media_type for each in made.done.outputs if isinstance(each, Made)] == ["image/webp"] * 3
    assert (made.done.usage.input_tokens, made.done.usage.output_tokens) == (12, 12480)
    state = await draws.poll(made.task)  # it could not be kept
    assert isinstance(state, Failed)
    assert isinstance(state.error, errors.Gone)
    await draws.cancel(made.task)
    assert draws.most_images == 10
    for request, param in ((replace(asked, extra={"style": "vivid"}), "style"), (replace(asked, prompt=" "), "prompt")):
        with pytest.raises(errors.Refused) as caught:
            draws.check(request)
        assert caught.value.param == param
    with pytest.raises(errors.Refused):
        draws.check(VideoRequest("x"))


async def test_edits(server: OpenAI, wire: Wire) -> None:
    draws = strict(Draws, "gpt-image-2", server, wire)
    await draws.submit(ImageRequest("A boat", references=(PICTURE,), mask=PICTURE, extra={"input_fidelity": "high"}))
    sent = server.requests[-1]
    assert sent.path == "/v1/images/edits"
    assert sent.body == {"model": "gpt-image-2", "prompt": "A boat", "input_fidelity": "high"}
    assert sent.files == {"image": [("image0.png", PIXEL)], "mask": [("mask.png", PIXEL)]}
    await draws.submit(ImageRequest("A boat", references=(PICTURE, PICTURE)))
    assert [name for name, _ in server.requests[-1].files["image[]"]] == ["image0.png", "image1.png"]
    await draws.submit(ImageRequest("A boat", references=(PICTURE, Reference(url="https://example.com/a.png"))))
    first, second = server.requests[-1].body["images"]
    assert first["image_url"].startswith("data:image/png;base64,")
    assert second == {"image_url": "https://example.com/a.png"}
    with pytest.raises(errors.Refused) as caught:
        draws.check(ImageRequest("x", references=(Reference(data=b"%PDF-1.7"),)))
    assert caught.value.param == "image"


FAULTS = [
    (upstream.QUOTA, errors.OutOfCredits, "yes", 0),
    (upstream.SLOW_DOWN, errors.RateLimited, "yes", 0),
    (upstream.FORBIDDEN, errors.UpstreamAuth, "yes", 0),
    (upstream.BROKEN, errors.UpstreamDown, "maybe", 0),
    (upstream.OVERLOADED, errors.UpstreamDown, "yes", 0),
    (upstream.BLOCKED, errors.PolicyViolation, "yes", 0),
    (upstream.GATEWAY_TIMEOUT, errors.UpstreamTimeout, "maybe", 1),
    (upstream.DROPPED, errors.UpstreamDown, "maybe", 1),
    (upstream.CUT, errors.ProviderError, "maybe", 1),
    (upstream.GARBAGE, errors.BadAnswer, "maybe", 1),
]


@pytest.mark.parametrize(
    ("fault", "kind", "sent", "charged"), [*FAULTS, (upstream.NO_PICTURE, errors.BadAnswer, "maybe", 1)]
)
async def test_how_a_picture_fails(
    server: OpenAI, wire: Wire, fault: upstream.Fault, kind: type[errors.ProviderError], sent: str, charged: int
) -> None:
    server.next(fault)
    with pytest.raises(kind) as caught:
        await strict(Draws, "gpt-image-2", server, wire).submit(ImageRequest("A lake"))
    assert kind in (type(caught.value), errors.ProviderError)
    assert (caught.value.sent, len(server.ledger)) == (sent, charged)
    assert KEY not in str(caught.value)
    if kind is errors.RateLimited:
        assert caught.value.retry_after == 2.5


@pytest.mark.parametrize(("fault", "kind", "sent", "charged"), FAULTS[:-1])
async def test_how_speech_and_films_fail(
    server: OpenAI, wire: Wire, fault: upstream.Fault, kind: type[errors.ProviderError], sent: str, charged: int
) -> None:
    if not fault.made:
        server.next(fault)
        with pytest.raises(kind):
            await strict(Speaks, "tts-1", server, wire).speech(SpeechRequest("x", "alloy"))
    server.next(fault)
    with pytest.raises(kind) as caught:
        await strict(Films, "sora-2", server, wire).submit(VideoRequest("x"))
    assert (caught.value.sent, len(server.ledger)) == (sent, charged)


async def test_what_openai_refuses_itself(server: OpenAI, wire: Wire) -> None:
    draws = strict(Draws, "gpt-image-2", server, wire)
    with pytest.raises(errors.Refused) as caught:
        await draws.submit(ImageRequest("x", "1000x1000"))
    assert (caught.value.param, caught.value.sent) == ("size", "yes")
    with pytest.raises(errors.Unavailable, match="does not exist"):
        await strict(Draws, "gpt-image-9", server, wire).submit(ImageRequest("x"))
    bad = Draws(
        "gpt-image-2", ModelSettings(), host_of(OpenAISettings(api_key="sk-wrong12345", api_base=server.base), wire)
    )
    with pytest.raises(errors.UpstreamAuth) as refused:
        await bad.submit(ImageRequest("x"))
    assert "sk-wrong" not in str(refused.value)
    with pytest.raises(errors.Unsupported) as unknown:
        await strict(Speaks, "tts-1", server, wire).speech(SpeechRequest("x", "alloy", instructions="Gently."))
    assert (unknown.value.param, unknown.value.sent) == ("instructions", "no")


async def test_a_server_that_is_not_openai_s_gets_every_option() -> None:
    with OpenAI(strict=False) as server:
        async with opened("kokoro", api_base=server.base, voices={"alloy": "af_sky"}) as made:
            assert isinstance(made, SpeechProvider) and isinstance(made, TaskProvider)  # noqa: PT018
            assert isinstance(made, TranscriptionProvider)
            assert [(voice.id, voice.name) for voice in made.voices()] == [("alloy", "alloy (af_sky)")]
            await sound_of(made, SpeechRequest("Hello", "alloy", extra={"lang_code": "a"}, instructions="Gently."))
            assert server.requests[-1].body["lang_code"] == "a"
            assert server.requests[-1].body["voice"] == "af_sky"
            assert "authorization" not in server.requests[-1].headers
            await sound_of(made, SpeechRequest("Hello", "", extra={"voice": {"type": "clone", "url": "x"}}))
            assert server.requests[-1].body["voice"] == {"type": "clone", "url": "x"}
            drawn = await made.submit(ImageRequest("A lake", extra={"steps": 20}))
            assert server.requests[-1].body["steps"] == 20
            assert server.requests[-1].body["response_format"] == "b64_json"
            assert isinstance(drawn.done.outputs[0], Made)
        async with opened("gpt-image-x", api_base=server.base) as made:
            drawn = await made.submit(ImageRequest("A lake", n=2))
            assert isinstance(drawn, Submitted)
            state = await made.poll(drawn.task)
            assert state.outputs == drawn.done.outputs
            assert isinstance(state.outputs[0], Address)
            assert state.outputs[0].headers == {}


async def test_whether_a_model_would_answer_is_asked_at_no_cost(server: OpenAI) -> None:
    async with opened("tts-1", api_key=KEY, api_base=server.base) as made:
        assert isinstance(made, Probed)
        assert (await made.probe()).state == "ready"
        made.host = replace(made.host, strict=True)
        assert (await made.probe()).state == "ready"
        assert server.requests[-1].path == "/v1/models/tts-1"
        made.model = "tts-9"
        with pytest.raises(errors.Unavailable):
            await made.probe()
    async with opened("tts-1", api_key="sk-wrong12345", api_base=server.base) as made:
        with pytest.raises(errors.UpstreamAuth):
            await made.probe()
    async with Upstream(reply(404, b"")) as bare, opened("x", api_base=bare.url("/v1")) as made:
        assert (await made.probe()).detail
    assert server.ledger == []
    async with opened(DEPLOYMENT, AZURE, api_base=server.azure, api_key=KEY) as made:
        assert not isinstance(made, Probed)


async def test_a_key_goes_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    wire = Wire()
    own = host_of(OpenAISettings(organization="org-1"), wire)
    assert own.url("/audio/speech") == "https://api.openai.com/v1/audio/speech"
    assert own.headers == {"Authorization": "Bearer sk-environment", "OpenAI-Organization": "org-1"}
    assert (own.strict, own.trusted) == (True, frozenset())
    assert host_of(OpenAISettings(api_base="https://eu.api.openai.com/v1"), wire).headers == {
        "Authorization": "Bearer sk-environment"
    }
    for stranger in ("http://llm.internal:8000/v1", "https://api.openai.com.example.net/v1"):
        other = host_of(OpenAISettings(api_base=stranger), wire)
        assert (other.headers, other.strict, other.lacks) == ({}, False, "")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.internal:8000/v1/")
    named = host_of(OpenAISettings(), wire)
    assert named.url("/x") == "http://llm.internal:8000/v1/x"
    assert named.headers == {"Authorization": "Bearer sk-environment"}
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    bare = Speaks("tts-1", ModelSettings(), host_of(OpenAISettings(), wire))
    assert bare.readiness().state == "unavailable"
    with pytest.raises(errors.Unavailable):
        await bare.speech(SpeechRequest("x", "alloy"))
    await wire.close()


@pytest.mark.parametrize(
    ("content_type", "body", "wished", "found"),
    [
        ("application/octet-stream", b"fLaC" + bytes(20), AudioFormat.MP3, AudioFormat.FLAC),
        ("audio/mpeg", b"RIFF....WAVEfmt ", AudioFormat.PCM, AudioFormat.WAV),
        ("audio/pcm", b"\xff\xff" * 10, AudioFormat.PCM, AudioFormat.PCM),  # looks like a frame of mp3
        ("application/json", b'{"error": {"message": "no voice today"}}', AudioFormat.MP3, None),
        ("application/json", b'{"error": {"message": "no voice today"}}', AudioFormat.PCM, None),
        ("text/html", b"<html>hello, hello</html>", AudioFormat.PCM, None),
        ("audio/mpeg", b"", AudioFormat.MP3, None),
        ("audio/mpeg", b"not sound at all", AudioFormat.MP3, None),
    ],
)
async def test_what_the_bytes_are(
    content_type: str, body: bytes, wished: AudioFormat, found: AudioFormat | None
) -> None:
    async with (
        Upstream(reply(200, body, content_type=content_type)) as server,
        opened("x", api_base=server.url("/v1")) as made,
    ):
        request = SpeechRequest("x", "v", wished)
        if found is not None:
            assert await sound_of(made, request) == (found, body)
        else:
            with pytest.raises(errors.BadAnswer) as caught:
                await made.speech(request)
            assert ("no voice today" in str(caught.value)) == (content_type == "application/json")


async def test_the_first_bytes_go_on_and_leaving_hangs_up() -> None:
    gate = asyncio.Event()
    pieces = [b"fLaC" + bytes(1000)] * 3
    server = Upstream(
        chunked(pieces, before_each=lambda: asyncio.sleep(0) if len(seen) < 1 else gate.wait()), silence()
    )
    seen: list[bytes] = []
    async with server, opened("x", api_base=server.url("/v1")) as made:
        audio = await made.speech(SpeechRequest("x", "v", AudioFormat.FLAC))
        seen.append(await anext(audio.chunks))
        assert seen[0].startswith(b"fLaC")
        gate.set()
        assert len(b"".join([*seen, *[piece async for piece in audio.chunks]])) == 3012
    with OpenAI(pause=0.01) as busy:
        async with opened("tts-1", api_base=busy.base, api_key=KEY) as made:
            audio = await made.speech(SpeechRequest("hello " * 600, "alloy", AudioFormat.PCM))
            await anext(audio.chunks)
            await audio.chunks.aclose()
            assert [piece async for piece in audio.chunks] == []
            assert await asyncio.to_thread(busy.hung_up.wait, 10)
    assert threading.active_count() < 50


async def test_transcripts(server: OpenAI) -> None:
    async with opened("whisper-1", api_key=KEY, api_base=server.base, max_file_size_mb=0.001) as made:
        asked = TranscriptionRequest(b"x" * 1000, "talk.mp3", "audio/mpeg", fields=(("response_format", "srt"),))
        written = await made.transcribe(asked)
        assert written.media_type.startswith("application/x-subrip")
        assert b"1000 bytes of mp3" in b"".join([piece async for piece in written.chunks])
        assert server.requests[-1].files == {"file": [("talk.mp3", b"x" * 1000)]}
        written = await made.transcribe(replace(asked, translate=True, fields=()))
        assert b"in English" in b"".join([piece async for piece in written.chunks])
        with pytest.raises(errors.Refused, match=r"0.00195\d+ MB.*0.001 MB") as caught:
            await made.transcribe(replace(asked, file=b"x" * 2048))
        assert caught.value.param == "file"
        with pytest.raises(errors.Refused) as odd:
            await made.transcribe(replace(asked, filename="talk.exe"))
        assert odd.value.param == "file"
    assert len(server.ledger) == 2


@pytest.mark.parametrize(
    ("base", "version", "path", "url"),
    [
        ("https://r.openai.azure.com/", "2025-04-01-preview", "/audio/speech",
         "https://r.openai.azure.com/openai/deployments/my%20tts/audio/speech?api-version=2025-04-01-preview"),
        ("https://r.openai.azure.com", "2025-04-01-preview", "/videos/v",
         "https://r.openai.azure.com/openai/videos/v?api-version=2025-04-01-preview"),
        ("https://r.openai.azure.com/openai/v1/", "", "/images/edits", "https://r.openai.azure.com/openai/v1/images/edits"),
        ("https://r.openai.azure.com", "preview", "/videos", "https://r.openai.azure.com/openai/v1/videos?api-version=preview"),
    ],
)  # fmt: skip
def test_azure_s_addresses(base: str, version: str, path: str, url: str) -> None:
    assert addresses(base, version, "my tts")(path) == url


@pytest.mark.parametrize("version", ["2025-04-01-preview", None])
async def test_azure(server: OpenAI, version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(DEPLOYMENT, AZURE, api_base=server.azure, api_key=KEY, api_version=version) as made:
        form, data = await sound_of(made, SpeechRequest(TEXT, "alloy", AudioFormat.OPUS))
        assert hear(data, form).seconds > 1
        assert server.requests[-1].body["model"] == DEPLOYMENT
        assert isinstance((await made.submit(ImageRequest("A lake"))).done.outputs[0], Made)
        with pytest.raises(errors.Unsupported):
            made.check(ImageRequest("A lake", extra={"wobble": 1}))
        assert (await made.transcribe(TranscriptionRequest(b"x", "a.wav"))).media_type.startswith("application/json")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
    monkeypatch.setenv("AZURE_API_BASE", server.azure)
    for name in ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with opened(DEPLOYMENT, AZURE, api_version=version) as made:
        await sound_of(made, SpeechRequest(TEXT, "alloy"))
        assert server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    monkeypatch.delenv("AZURE_API_BASE")
    async with opened(DEPLOYMENT, AZURE, api_version=version) as made:
        assert made.readiness().state == "unavailable"


def test_every_model_is_what_its_kind_is() -> None:
    assert VENDOR.models["whisper-1"].mode == "audio_transcription"
    assert {facts.mode for facts in VENDOR.models.values()} == {
        "audio_speech", "image_generation", "video_generation", "audio_transcription",
    }  # fmt: skip
    assert issubclass(Everything, Speaks)


ODD = [None, True, -1, 1e400, "", "x" * 20_000, [], {}, [[]], {"a": None}, "\ud800", float("nan")]


def spoilt(value: Any, chance: random.Random) -> Any:
    """``value`` with something in it that nobody expects."""
    if chance.random() < 0.3 or not value or not isinstance(value, dict | list):
        return chance.choice(ODD)
    changed = dict(value) if isinstance(value, dict) else list(value)
    place = chance.choice(list(changed) if isinstance(changed, dict) else range(len(changed)))
    if isinstance(changed, dict) and chance.random() < 0.3:
        del changed[place]
    else:
        changed[place] = spoilt(changed[place], chance)
    return changed


@pytest.mark.parametrize("seed", range(4))
def test_answers_that_nobody_expects(seed: int) -> None:
    """Whatever stands in an answer, it becomes a result or a ``ProviderError``."""
    chance = random.Random(seed)
    host = host_of(OpenAISettings(api_base="http://127.0.0.1/v1"), Wire.__new__(Wire))
    text = base64.b64encode(PIXEL).decode()
    good = {
        "data": [{"b64_json": text}, {"url": "https://example.com/a"}],
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    bad = {"error": {"message": "no", "type": "x", "param": "image[0].a", "code": "moderation_blocked"}}
    for _ in range(500):
        body = json.dumps(spoilt(good, chance)).encode()
        body = body[: chance.randrange(len(body))] if chance.random() < 0.3 else body
        with suppress(errors.ProviderError):
            made = pictures.drawn(host, Reply("V", 200, {}, body))
            assert made.done is not None
            assert made.done.outputs
            pictures.again(host, made.task)
        reply_ = Reply("V", chance.choice([400, 404, 429, 500]), {}, json.dumps(spoilt(bad, chance)).encode())
        assert str(refused(reply_)).startswith("V")


@pytest.mark.parametrize("seed", range(4))
async def test_films_that_nobody_expects(seed: int) -> None:
    chance = random.Random(seed)
    good = {"id": "video_1", "status": "failed", "progress": 5, "error": {"code": "x", "message": "y"}}
    steps = [
        reply(
            200,
            json.dumps(spoilt(good, chance)),
            openai_poll_after_ms=chance.choice(["9" * 5000, "x", "-1", "900000000"]),
        )
        for _ in range(60)
    ]
    async with Upstream(*steps) as server, opened("sora-2", api_base=server.url("/v1")) as made:
        for place in range(60):
            with suppress(errors.ProviderError):
                if place % 2:
                    state = await made.poll("video_1")
                    assert not isinstance(state, Done)
                    assert not isinstance(state, Working) or (state.check_after or 0) <= 300
                else:
                    assert (await made.submit(VideoRequest("x"))).task


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("gpt-image-1", "image_generation"),
        ("dall-e-3", "image_generation"),
        ("sora-1", "video_generation"),
        ("whisper-large-v3", "audio_transcription"),
        ("gpt-4o-mini-transcribe-2025-12-15", "audio_transcription"),
        ("gpt-4o-mini-tts", "audio_speech"),
        ("my-own-voice", "audio_speech"),
    ],
)
def test_what_a_model_makes_by_its_name(name: str, mode: str) -> None:
    assert VENDOR.facts(name).mode == mode
    assert AZURE.facts(name).mode == mode
