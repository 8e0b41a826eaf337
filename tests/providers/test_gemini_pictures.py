"""Pictures by Gemini's models, of its own API and of Vertex AI, against the servers that behave as Google's do."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from engines.pictures import size_of
from engines.synthetic import labelled_picture
from providers.base import errors
from providers.base.contract import (
    Done,
    Failed,
    ImageRequest,
    Made,
    Probed,
    Provider,
    Reference,
    Several,
    Submitted,
    TaskProvider,
    TaskRequest,
    VideoRequest,
)
from providers.base.dialects.gemini_pictures import MODELS, NEAREST, plan
from providers.base.vendor import Resources, Vendor
from providers.gemini import VENDOR
from providers.vertex_ai import VENDOR as VERTEX
from tests.contracts.tasks import PIXEL, TaskContract
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Fault, Gemini
from tests.upstreams.gemini_rules import RATIOS
from tests.upstreams.vertex import PROJECT, Vertex

FLASH, LATER, PRO = "gemini-2.5-flash-image", "gemini-3.1-flash-image", "gemini-3-pro-image"
ASKED = ImageRequest("A cat on a mat")
PICTURE = Reference(data=PIXEL, media_type="image/png")


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server


@pytest.fixture
def vertex(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vertex]:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    with Vertex() as server:
        yield server


@asynccontextmanager
async def opened(server: Gemini, model: str = FLASH) -> AsyncIterator[Any]:
    vendor: Vendor = VERTEX if isinstance(server, Vertex) else VENDOR
    given: dict[str, Any] = {"api_base": server.base}
    if isinstance(server, Vertex):
        given["vertex_credentials"] = server.service_account()
    else:
        given["api_key"] = server.key
    resources = Resources()
    try:
        facts = vendor.models.get(model) or vendor.models["*"]
        yield await vendor.open(model, facts.settings(**given), resources)
    finally:
        await resources.close()


class _AtOnce(TaskContract):
    """What comes with the answer takes no looks; who looks all the same is told that it is gone."""

    media_type = "image/png"

    @pytest.fixture
    def asked(self) -> TaskRequest:
        return replace(ASKED, size="1024x1024")

    @pytest.fixture
    def elapse(self) -> Callable[[], None]:
        return lambda: None

    async def test_from_submit_to_the_end(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        submitted = await provider.submit(asked)
        assert submitted.done is not None
        (made,) = submitted.done.outputs
        assert isinstance(made, Made)
        assert (made.media_type, size_of(made.data)) == (self.media_type, (1024, 1024))

    async def test_cancelling_what_has_ended_is_harmless(
        self, provider: TaskProvider, asked: TaskRequest, elapse: Callable[[], None]
    ) -> None:
        task = (await provider.submit(asked)).task
        await provider.cancel(task)
        state = await provider.poll(task)
        assert isinstance(state, Failed)
        assert isinstance(state.error, errors.Gone)


class TestGemini(_AtOnce):
    @pytest.fixture
    async def provider(self, gemini: Gemini) -> AsyncIterator[Provider]:
        async with opened(gemini) as made:
            yield made


class TestVertex(_AtOnce):
    @pytest.fixture
    async def provider(self, vertex: Vertex) -> AsyncIterator[Provider]:
        async with opened(vertex, LATER) as made:
            yield made


# What is sent.


def test_the_least_that_is_sent() -> None:
    for size in (None, "auto"):
        planned = plan(FLASH, replace(ASKED, size=size, output_format="webp"))
        assert planned.body() == {
            "contents": [{"role": "user", "parts": [{"text": "A cat on a mat"}]}],
            "generationConfig": {"responseModalities": ["IMAGE"]},
        }
        assert planned.adjusted == {}


def test_pictures_go_along() -> None:
    webp = labelled_picture("x", 8, 8, "webp")
    # What the caller says that it is does not count.
    planned = plan(LATER, replace(ASKED, references=(PICTURE, Reference(data=webp, media_type="image/png"))))
    assert planned.body()["contents"][0]["parts"] == [
        {"text": "A cat on a mat"},
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PIXEL).decode()}},
        {"inlineData": {"mimeType": "image/webp", "data": base64.b64encode(webp).decode()}},
    ]


@pytest.mark.parametrize("model", MODELS)
def test_every_size_is_a_ratio_and_a_tier(model: str) -> None:
    limits, later = MODELS[model], model != FLASH
    assert len(limits.sizes()) == len(RATIOS) * len(limits.tiers)
    for ratio, each in RATIOS.items():
        for tier, times in zip(limits.tiers, (1, 2, 4), strict=False):
            width, height = (int(side) * times for side in each[later].split("x"))
            planned = plan(model, replace(ASKED, size=f"{width}x{height}"))
            tiers = {"imageSize": tier} if len(limits.tiers) > 1 else {}
            assert (planned.config, planned.adjusted) == ({"aspectRatio": ratio, **tiers}, {})


def test_openai_s_other_sizes_are_made_as_the_nearest() -> None:
    assert plan(FLASH, replace(ASKED, size="1792x1024")).adjusted == {"size": "1344x768"}
    planned = plan(PRO, replace(ASKED, size="1024x1536"))
    assert (planned.config, planned.adjusted) == ({"aspectRatio": "2:3", "imageSize": "1K"}, {"size": "848x1264"})
    for size, ratio in NEAREST.items():
        width, height = map(int, size.split("x"))
        near = min(MODELS[FLASH].ratios.values(), key=lambda made: abs(made[0] / made[1] - width / height))
        assert MODELS[FLASH].ratios[ratio] == near


def test_google_s_own_words() -> None:
    assert plan(FLASH, replace(ASKED, extra={"aspectRatio": "21:9"})).config == {"aspectRatio": "21:9"}
    wish = {"aspectRatio": "1:1", "imageSize": "4K"}
    assert plan(f"{PRO}-preview", replace(ASKED, extra=wish)).config == wish


@pytest.mark.parametrize(
    ("model", "changed", "kind", "param", "says"),
    [
        (FLASH, {"size": "600x600"}, errors.Refused, "size", "1344x768, .*1024x1792 or auto"),
        (FLASH, {"size": "2048x2048"}, errors.Refused, "size", "1024x1024"),
        (LATER, {"size": "8192x8192"}, errors.Refused, "size", "4096x4096"),
        (FLASH, {"extra": {"imageSize": "2K"}}, errors.Unsupported, "imageSize", "knows no option"),
        (PRO, {"extra": {"imageSize": "8K"}}, errors.Refused, "imageSize", "1K, 2K, 4K"),
        (PRO, {"extra": {"aspectRatio": "7:3"}}, errors.Refused, "aspectRatio", "21:9"),
        (PRO, {"extra": {"aspectRatio": "1:1"}, "size": "1024x1024"}, errors.Refused, "aspectRatio", "either"),
        (PRO, {"extra": {"quality": "high"}}, errors.Unsupported, "quality", "leave it out"),
        (PRO, {"mask": PICTURE, "references": (PICTURE,)}, errors.Unsupported, "mask", "prompt"),
        (FLASH, {"references": (PICTURE,) * 4}, errors.Refused, "image", "up to 3"),
        (PRO, {"references": (PICTURE,) * 15}, errors.Refused, "image", "up to 14"),
        (PRO, {"references": (PICTURE, Reference(data=b"GIF89a..."))}, errors.Refused, "image", r"image\[1\]"),
        (PRO, {"references": (Reference(url="https://example.com/a.png"),)}, errors.Refused, "image", "no address"),
    ],
)
def test_what_is_refused_here(
    model: str, changed: dict[str, Any], kind: type[errors.Refused], param: str, says: str
) -> None:
    with pytest.raises(errors.Refused, match=says) as caught:
        plan(model, replace(ASKED, **changed))
    assert (type(caught.value), caught.value.param, caught.value.sent) == (kind, param, "no")


async def test_what_else_is_refused(gemini: Gemini, vertex: Vertex) -> None:
    async with opened(gemini) as made, opened(vertex) as cloud:
        with pytest.raises(errors.Refused) as caught:
            made.check(VideoRequest("x"))
        assert caught.value.param == "model"
        large = replace(ASKED, references=(Reference(data=PIXEL + bytes(7_000_000)),))
        made.check(large)
        with pytest.raises(errors.Refused, match="7,000,000 bytes"):
            cloud.check(large)
        assert made.check(replace(ASKED, size="1536x1024")) == {"size": "1248x832"}
        assert not isinstance(made, Several)
    assert not gemini.requests


async def test_unknown_names_that_draw(gemini: Gemini) -> None:
    async with opened(gemini, "gemini-9-flash-image") as made:
        assert made.makes == {"image"}
        with pytest.raises(errors.BadAnswer, match="not found"):
            await made.submit(ASKED)


# What comes back.


@pytest.mark.parametrize("snake", [False, True])
async def test_the_picture_and_what_it_used(snake: bool) -> None:
    with Gemini(snake=snake) as gemini:
        gemini.next(Fault(thinks=True, text=True))
        async with opened(gemini, LATER) as made:
            drawn = await made.submit(replace(ASKED, size="1376x768", references=(PICTURE,)))
            assert isinstance(made, Probed)
            assert (await made.probe()).state == "ready"
        assert isinstance(drawn, Submitted)
        assert isinstance(drawn.done, Done)
        (picture,) = drawn.done.outputs
        assert isinstance(picture, Made)
        # Not the one that it made while it thought.
        assert picture.data == labelled_picture(ASKED.prompt, 1376, 768)
        assert (drawn.done.usage.input_tokens, drawn.done.usage.output_tokens) == (262, 1120)
        assert gemini.requests[0].path == f"/v1beta/models/{LATER}:generateContent"
        assert gemini.requests[0].headers["x-goog-api-key"] == gemini.key
        assert gemini.ledger[0]["pictures"] == [PIXEL]


async def test_vertex_is_asked_in_no_region(vertex: Vertex) -> None:
    async with opened(vertex) as made:
        await made.submit(ASKED)
    place = f"/v1beta1/projects/{PROJECT}/locations/global/publishers/google/models/{FLASH}"
    assert vertex.requests[-1].path == f"{place}:generateContent"
    assert vertex.requests[-1].headers["authorization"] == f"Bearer {vertex.token}"


@pytest.mark.parametrize(
    ("fault", "kind", "sent", "param"),
    [
        (upstream.BAD_KEY, errors.UpstreamAuth, "yes", None),
        (upstream.QUOTA, errors.RateLimited, "yes", None),
        (upstream.OVERLOADED, errors.UpstreamDown, "yes", None),
        (upstream.NO_BILLING, errors.Unavailable, "yes", None),
        (upstream.BAD_GATEWAY, errors.UpstreamDown, "maybe", None),
        (Fault(500, upstream.error(500, "Internal.")), errors.UpstreamDown, "maybe", None),
        (Fault(504, upstream.error(504, "Deadline.")), errors.UpstreamTimeout, "maybe", None),
        (Fault(400, upstream.error(400, "Bad image_config.aspect_ratio.")), errors.Refused, "yes", "size"),
        (Fault(400, upstream.error(400, "Unable to process inline_data.")), errors.Refused, "yes", "image"),
        (Fault(block="PROHIBITED_CONTENT"), errors.PolicyViolation, "yes", "prompt"),
        (Fault(silent="SAFETY"), errors.PolicyViolation, "yes", "prompt"),
        (Fault(silent="IMAGE_SAFETY"), errors.PolicyViolation, "yes", "prompt"),
        (Fault(silent="IMAGE_PROHIBITED_CONTENT"), errors.PolicyViolation, "yes", "prompt"),
        (Fault(junk="not base64!"), errors.BadAnswer, "maybe", None),
        (Fault(junk=base64.b64encode(b"%PDF-1.7").decode()), errors.BadAnswer, "maybe", None),
        (Fault(200, "<html></html>"), errors.BadAnswer, "maybe", None),
        (Fault(200, "[]"), errors.BadAnswer, "maybe", None),
        (Fault(cut=True), errors.UpstreamDown, "maybe", None),
    ],
)
async def test_how_a_picture_fails(
    gemini: Gemini, fault: Fault, kind: type[errors.ProviderError], sent: str, param: str | None
) -> None:
    gemini.next(fault)
    async with opened(gemini) as made:
        with pytest.raises(kind) as caught:
            await made.submit(ASKED)
    assert type(caught.value) is kind
    assert (caught.value.sent, caught.value.param) == (sent, param)
    assert gemini.key not in str(caught.value)
    assert len(gemini.requests) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(silent="NO_IMAGE"), r"without a picture: \(NO_IMAGE\)$"),
        (Fault(silent="STOP", text=True), r"without a picture: \(STOP\) Sure! Here you are\.$"),
        (Fault(200, "{}"), "does not say why"),
    ],
)
async def test_an_answer_without_a_picture_is_a_task_that_failed(gemini: Gemini, fault: Fault, says: str) -> None:
    gemini.next(fault)
    async with opened(gemini) as made:
        taken = await made.submit(ASKED)
        assert taken.done is None
        state = await made.poll(taken.task)
    assert isinstance(state, Failed)
    assert type(state.error) is errors.Broken
    assert re.search(says, str(state.error))
    assert (state.cost_usd, len(gemini.requests)) == (None, 1)


async def test_a_sign_in_that_fails_is_surely_not_sent(vertex: Vertex) -> None:
    vertex.refuse_sign_in = {"error": "invalid_grant", "error_description": "Invalid JWT"}
    async with opened(vertex) as made:
        with pytest.raises(errors.UpstreamAuth) as caught:
            await made.submit(ASKED)
    assert caught.value.sent == "no"
