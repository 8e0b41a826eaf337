"""Runway's adapter against the server that behaves as Runway does."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from providers.base import errors
from providers.base.contract import (
    Address,
    Done,
    Failed,
    ImageRequest,
    Reference,
    SpeechRequest,
    TaskProvider,
    TaskRequest,
    VideoRequest,
    Working,
)
from providers.base.vendor import Resources
from providers.runwayml import VENDOR, RunwaySettings
from providers.runwayml.models import MODELS, PRESETS, VOICES
from providers.runwayml.requests import create
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Runway

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="
)


def body(model: str, request: TaskRequest) -> dict[str, Any]:
    return dict(create(model, request).body)


def test_speech_is_what_the_documentation_shows() -> None:
    made = create("eleven_multilingual_v2", SpeechRequest("Hello there.", "alloy"))
    assert made.path == "/v1/text_to_speech"
    assert made.body == {
        "model": "eleven_multilingual_v2",
        "promptText": "Hello there.",
        "voice": {"type": "runway-preset", "presetId": "Maya"},
    }


@pytest.mark.parametrize(
    ("voice", "preset"),
    [
        ("alloy", "Maya"), ("echo", "James"), ("fable", "Bernard"), ("onyx", "Vincent"), ("nova", "Serene"),
        ("shimmer", "Ella"), *((name, name) for name in PRESETS), ("maya", "Maya"), ("Alloy", "Maya"),
    ],
)  # fmt: skip
def test_voices(voice: str, preset: str) -> None:
    assert body("eleven_v3", SpeechRequest("x", voice))["voice"]["presetId"] == preset


def test_there_are_thirteen_names_and_forty_nine_presets() -> None:
    assert len(VOICES) == len(set(VOICES.values())) == 13
    assert len(set(PRESETS)) == 49
    assert set(VOICES.values()) <= set(PRESETS)


@pytest.mark.parametrize(
    ("size", "ratio", "adjusted"),
    [
        (None, "1920:1080", {}),
        ("1024x1024", "1024:1024", {}),
        ("1920x1080", "1920:1080", {}),
        ("1080x1920", "1080:1920", {}),
        ("1792x1024", "1920:1080", {"size": "1920x1080"}),
        ("1024x1792", "1080:1920", {"size": "1080x1920"}),
    ],
)
def test_sizes_of_pictures(size: str | None, ratio: str, adjusted: dict[str, str]) -> None:
    made = create("gen4_image", ImageRequest("A lake", size))
    assert made.path == "/v1/text_to_image"
    assert made.body == {"model": "gen4_image", "promptText": "A lake", "ratio": ratio}
    assert made.adjusted == adjusted


def test_films_go_where_their_inputs_lead() -> None:
    address = Reference(url="https://example.com/lake.jpg")
    made = create("gen4_turbo", VideoRequest("A lake", 5, "1280x720", address))
    assert made.path == "/v1/image_to_video"
    assert made.body == {
        "model": "gen4_turbo",
        "promptText": "A lake",
        "promptImage": "https://example.com/lake.jpg",
        "ratio": "1280:720",
        "duration": 5,
    }
    assert create("veo3.1", VideoRequest("A lake")).path == "/v1/text_to_video"
    assert body("gen4.5", VideoRequest("A lake"))["duration"] == 5  # it needs one
    assert "duration" not in body("veo3.1", VideoRequest("A lake"))
    sent = body("gen4_turbo", VideoRequest("A lake", None, None, Reference(data=PNG)))["promptImage"]
    assert sent == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert body("veo3.1", VideoRequest("x", extra={"audio": False}))["audio"] is False


def test_utf_16_units_are_what_counts() -> None:
    assert create("eleven_multilingual_v2", SpeechRequest("🙂" * 500, "alloy"))
    with pytest.raises(errors.Refused, match="1,002"):
        create("eleven_multilingual_v2", SpeechRequest("🙂" * 501, "alloy"))


@pytest.mark.parametrize(
    ("model", "request_", "param"),
    [
        ("eleven_multilingual_v2", SpeechRequest("x" * 1001, "alloy"), "input"),
        ("eleven_multilingual_v2", SpeechRequest("x", "nobody"), "voice"),
        ("eleven_multilingual_v2", SpeechRequest("x", "alloy", speed=1.5), "speed"),
        ("eleven_multilingual_v2", SpeechRequest("x", "alloy", instructions="loud"), "instructions"),
        ("eleven_multilingual_v2", SpeechRequest("x", "alloy", extra={"stability": 1}), "stability"),
        ("eleven_v3", ImageRequest("x"), "model"),
        ("gen4_image", ImageRequest(""), "prompt"),
        ("gen4_image", ImageRequest("x" * 1001), "prompt"),
        ("gen4_image", ImageRequest("x", "512x512"), "size"),
        ("gen4_image", ImageRequest("x", extra={"quality": "high"}), "quality"),
        ("gen4_image", ImageRequest("x", references=(Reference(data=PNG),) * 4), "image"),
        ("gen4_image_turbo", ImageRequest("x"), "referenceImages"),
        ("gen4_turbo", VideoRequest("x"), "input_reference"),
        ("gen4_turbo", VideoRequest("x", 11, None, Reference(data=PNG)), "seconds"),
        ("gen4_turbo", VideoRequest("x", 5, "1920x1080", Reference(data=PNG)), "size"),
        ("gen4_turbo", VideoRequest("x", 5, None, Reference(data=b"GIF89a....")), "input_reference"),
        ("gen4_turbo", VideoRequest("x", 5, None, Reference(url="http://example.com/a.png")), "input_reference"),
        ("gen4_turbo", VideoRequest("x", 5, None, Reference(data=PNG + bytes(4_000_000))), "input_reference"),
        ("gen4.5", VideoRequest("x", 5, "1104x832"), "size"),
        ("gen4.5", VideoRequest("", 5), "prompt"),
        ("veo3.1", VideoRequest("x", 5), "seconds"),
        ("veo3.1", VideoRequest("x", extra={"audioo": True}), "audioo"),
    ],
)
def test_what_runway_would_refuse_is_refused_here(model: str, request_: TaskRequest, param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        create(model, request_)
    assert caught.value.param == param
    assert caught.value.sent == "no"


async def test_a_missing_key_is_known_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNWAYML_API_SECRET", "RUNWAYML_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with opened("gen4_image") as made:
        assert made.readiness().state == "unavailable"
        with pytest.raises(errors.Unavailable) as caught:
            await made.submit(ImageRequest("x"))
        assert caught.value.sent == "no"
    monkeypatch.setenv("RUNWAYML_API_KEY", "key_x")
    async with opened("gen4_image") as made:
        assert made.readiness().state == "ready"


@pytest.mark.parametrize(
    "wrong", [{"poll_interval": 2}, {"api_base": "ftp://x"}, {"api_base": "https://x/v2"}, {"key": 1}]
)
def test_settings_that_are_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RunwaySettings.model_validate(wrong)


@asynccontextmanager
async def opened(model: str, **settings: Any) -> AsyncIterator[TaskProvider]:
    resources = Resources()
    try:
        made = await VENDOR.open(model, RunwaySettings(**settings), resources)
        assert isinstance(made, TaskProvider)
        yield made
    finally:
        await resources.close()


@pytest.fixture
def runway() -> Iterator[Runway]:
    with Runway(seconds=60) as server:
        yield server


def settings(runway: Runway) -> dict[str, Any]:
    return {"api_key": runway.key, "api_base": f"{runway.base}/v1"}


async def test_a_task_from_beginning_to_end(runway: Runway) -> None:
    async with opened("gen4_image", **settings(runway)) as made:
        assert made.makes == frozenset({"image"})
        assert made.check(ImageRequest("A lake", "1792x1024")) == {"size": "1920x1080"}
        task = (await made.submit(ImageRequest("A lake", "1024x1024"))).task
        assert len(runway.ledger) == 1
        assert isinstance(await made.poll(task), Working)
        runway.advance(30)
        assert (await made.poll(task)).progress == pytest.approx(0.5, abs=0.1)
        runway.advance(60)
        state = await made.poll(task)
        assert isinstance(state, Done)
        (output,) = state.outputs
        assert isinstance(output, Address)
        assert output.trusted == {runway.base.removeprefix("http://")}
        await made.cancel(task)
        await made.cancel(task)
        gone = await made.poll(task)
        assert isinstance(gone, Failed)
        assert isinstance(gone.error, errors.Gone)


@pytest.mark.parametrize(
    ("fault", "kind", "sent", "charged"),
    [
        (upstream.OUT_OF_CREDITS, errors.OutOfCredits, "yes", 0),
        (upstream.UNAUTHORIZED, errors.UpstreamAuth, "yes", 0),
        (upstream.DAILY_LIMIT, errors.RateLimited, "yes", 0),
        (upstream.BAD_GATEWAY, errors.UpstreamDown, "yes", 0),
        (upstream.UNAVAILABLE, errors.UpstreamDown, "yes", 0),
        (upstream.OVERLOADED, errors.UpstreamTimeout, "maybe", 0),
        (upstream.DROP_BEFORE, errors.UpstreamDown, "maybe", 0),
        (upstream.DROP_AFTER, errors.UpstreamDown, "maybe", 1),
        (upstream.CUT, errors.ProviderError, "maybe", 1),
        (upstream.GARBAGE, errors.BadAnswer, "maybe", 1),
        (upstream.invalid({"path": ["promptText"], "message": "Too long"}), errors.Refused, "yes", 0),
    ],
)
async def test_how_a_submission_fails(
    runway: Runway, fault: upstream.Fault, kind: type[errors.ProviderError], sent: str, charged: int
) -> None:
    runway.next(fault)
    async with opened("gen4_image", **settings(runway)) as made:
        with pytest.raises(kind) as caught:
            await made.submit(ImageRequest("A lake"))
    assert caught.value.sent == sent
    assert len(runway.ledger) == charged
    assert runway.key not in str(caught.value)
    if kind is errors.Refused:
        assert caught.value.param == "prompt"


@pytest.mark.parametrize(
    "fault", [upstream.BAD_GATEWAY, upstream.UNKNOWN_STATUS, upstream.DROP_BEFORE, upstream.DAILY_LIMIT]
)
async def test_a_look_that_fails_says_nothing_of_the_task(runway: Runway, fault: upstream.Fault) -> None:
    async with opened("gen4_image", **settings(runway)) as made:
        task = (await made.submit(ImageRequest("A lake"))).task
        runway.next(fault, where="poll")
        with pytest.raises(errors.ProviderError):
            await made.poll(task)
        runway.advance(120)
        assert isinstance(await made.poll(task), Done)


async def test_how_tasks_end(runway: Runway) -> None:
    async with opened("gen4_image", **settings(runway)) as made:
        for plan, kind in (
            (upstream.fails("SAFETY.INPUT.TEXT"), errors.PolicyViolation),
            (upstream.fails(None), errors.Broken),
            (upstream.cancelled(), errors.Broken),
        ):
            runway.next(plan)
            task = (await made.submit(ImageRequest("A lake"))).task
            runway.advance(200)
            state = await made.poll(task)
            assert isinstance(state, Failed)
            assert type(state.error) is kind
        runway.next(upstream.throttled(30))
        task = (await made.submit(ImageRequest("A lake"))).task
        assert await made.poll(task) == Working(0.0)


def test_every_model_of_ours_is_one_of_runway_s() -> None:
    for model in MODELS:
        assert VENDOR.models[model].mode.startswith(("audio", "image", "video"))
