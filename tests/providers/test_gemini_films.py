"""Veo through Gemini's API: the shared law of tasks, what is sent, how operations end, whom the key is shown."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.ledger.cost import expected
from providers.base import errors
from providers.base.contract import Address, Done, Failed, Reference, SpeechRequest, TaskProvider, VideoRequest
from providers.base.dialects.veo import film_body
from providers.base.egress import Egress
from providers.base.exchange import Fetch
from providers.base.vendor import Resources
from providers.gemini import VENDOR, GeminiVideo, GeminiVideoSettings
from tests.contracts.tasks import PIXEL, TaskContract
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Fault, Gemini
from tests.upstreams.server import opened as wired

MODEL = "veo-3.1-generate-preview"
ASKED = VideoRequest("a cat on a mat", 4, "1280x720")


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini(seconds=60) as server:
        yield server


@pytest.fixture
async def veo(gemini: Gemini) -> AsyncIterator[TaskProvider]:
    resources = Resources()
    settings = GeminiVideoSettings(api_key=gemini.key, api_base=gemini.base)
    made = await VENDOR.open(MODEL, settings, resources)
    assert isinstance(made, TaskProvider)
    yield made
    await resources.close()


class TestContract(TaskContract):
    media_type = "video/mp4"

    @pytest.fixture
    def provider(self, veo: TaskProvider) -> TaskProvider:
        return veo

    @pytest.fixture
    def asked(self) -> VideoRequest:
        return ASKED

    @pytest.fixture
    def elapse(self, gemini: Gemini) -> Callable[[], None]:
        return lambda: gemini.advance(gemini.seconds / 10)


def test_what_is_sent() -> None:
    extra = {"negativePrompt": "rain", "seed": 7, "personGeneration": "allow_adult"}
    request = VideoRequest("A lake", 8, "1080x1920", Reference(data=PIXEL), extra)
    assert film_body(MODEL, request) == {
        "instances": [
            {
                "prompt": "A lake",
                "image": {"bytesBase64Encoded": base64.b64encode(PIXEL).decode(), "mimeType": "image/png"},
            }
        ],
        "parameters": {"aspectRatio": "9:16", "resolution": "1080p", "durationSeconds": 8, **extra},
    }
    assert film_body(MODEL, VideoRequest("A lake")) == {
        "instances": [{"prompt": "A lake"}],
        "parameters": {"aspectRatio": "16:9", "resolution": "720p", "durationSeconds": 8},
    }


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"seconds": 5}, "seconds"),
        ({"size": "1792x1024"}, "size"),
        ({"reference": Reference(url="https://example.com/a.png")}, "input_reference"),
        ({"reference": Reference(data=b"GIF89a......")}, "input_reference"),
        ({"extra": {"seed": True}}, "seed"),
        ({"extra": {"negativePrompt": 3}}, "negativePrompt"),
        ({"extra": {"generateAudio": True}}, "generateAudio"),
    ],
)
def test_what_is_refused_here(veo: TaskProvider, changed: dict[str, Any], param: str) -> None:
    with pytest.raises(errors.Refused) as caught:
        veo.check(replace(ASKED, **changed))
    assert caught.value.param == param
    with pytest.raises(errors.Refused):
        veo.check(SpeechRequest("x", "Kore"))


async def finished(veo: TaskProvider, gemini: Gemini, fault: Fault | None = None) -> Done | Failed:
    gemini.next(fault or Fault(), where="submit")
    task = (await veo.submit(ASKED)).task
    gemini.advance(100)
    state = await veo.poll(task)
    assert isinstance(state, Done | Failed)
    return state


async def test_the_film_is_fetched_with_the_key(veo: TaskProvider, gemini: Gemini) -> None:
    done = await finished(veo, gemini)
    assert isinstance(done, Done)
    (output,) = done.outputs
    assert isinstance(output, Address)
    assert gemini.key not in repr(output)
    async with wired() as wire:
        egress = Egress(trusted=output.trusted)
        answer = await wire.download(Fetch(output.url, egress, 1 << 20, headers=output.headers))
        assert (await answer.reply()).body[4:8] == b"ftyp"
        with pytest.raises(errors.ProviderError):
            await wire.download(Fetch(output.url, egress, 1 << 20))


@pytest.mark.parametrize("uri", ["https://example.com/film.mp4", "{base}0/film.mp4", "{base}@example.com/film.mp4"])
async def test_the_key_goes_to_no_other_host(veo: TaskProvider, gemini: Gemini, uri: str) -> None:
    samples = [{"video": {"uri": uri.format(base=gemini.base)}}]
    done = await finished(
        veo, gemini, Fault(operation={"response": {"generateVideoResponse": {"generatedSamples": samples}}})
    )
    assert isinstance(done, Done)
    (output,) = done.outputs
    assert isinstance(output, Address)
    assert not output.headers


async def test_google_s_own_host_gets_it_and_is_not_trusted_with_private_addresses() -> None:
    async with wired() as wire:
        made = GeminiVideo(MODEL, GeminiVideoSettings(api_key="k" * 20), wire)
        output = made._address("https://generativelanguage.googleapis.com/v1beta/files/a:download?alt=media")
    assert output.headers == {"x-goog-api-key": "k" * 20}
    assert not output.trusted


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"error": {"code": 3, "message": "The prompt is bad."}}, errors.Refused),
        ({"error": {"code": 8, "message": "Quota."}}, errors.RateLimited),
        ({"error": {"code": 13, "message": "Internal."}}, errors.UpstreamDown),
        ({"error": {"code": 14}}, errors.UpstreamDown),
        (
            {
                "response": {
                    "generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["A celebrity."]}
                }
            },
            errors.PolicyViolation,
        ),
        ({"response": {}}, errors.Broken),
    ],
)
async def test_how_films_fail(
    veo: TaskProvider, gemini: Gemini, operation: dict[str, Any], kind: type[errors.ProviderError]
) -> None:
    failed = await finished(veo, gemini, Fault(operation=operation))
    assert isinstance(failed, Failed)
    assert type(failed.error) is kind


async def test_films_in_the_answer(veo: TaskProvider, gemini: Gemini) -> None:
    packed = base64.b64encode(b"film").decode()
    done = await finished(veo, gemini, Fault(operation={"response": {"videos": [{"bytesBase64Encoded": packed}]}}))
    assert isinstance(done, Done)
    assert done.outputs[0].data == b"film"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fault", "kind", "sent"),
    [
        (upstream.BAD_KEY, errors.UpstreamAuth, "yes"),
        (upstream.QUOTA, errors.RateLimited, "yes"),
        (upstream.OVERLOADED, errors.UpstreamDown, "yes"),
        (Fault(504, upstream.error(504, "Late.")), errors.UpstreamTimeout, "maybe"),
        (Fault(200, "<html>"), errors.BadAnswer, "maybe"),
        (Fault(200, {"name": "../../keys"}), errors.BadAnswer, "maybe"),
        (Fault(400, upstream.error(400, "durationSeconds is out of bound.")), errors.Refused, "yes"),
    ],
)
async def test_how_a_submission_fails(
    veo: TaskProvider, gemini: Gemini, fault: Fault, kind: type[errors.ProviderError], sent: str
) -> None:
    gemini.next(fault, where="submit")
    with pytest.raises(kind) as caught:
        await veo.submit(ASKED)
    assert type(caught.value) is kind
    assert caught.value.sent == sent
    assert caught.value.param == ("seconds" if kind is errors.Refused else None)
    assert not gemini.ledger


async def test_a_look_that_fails_says_nothing(veo: TaskProvider, gemini: Gemini) -> None:
    task = (await veo.submit(ASKED)).task
    for fault in (upstream.OVERLOADED, Fault(200, "<html>"), Fault(200, {"done": "no"})):
        gemini.next(fault, where="poll")
        with pytest.raises(errors.ProviderError):
            await veo.poll(task)
    gemini.advance(100)
    assert isinstance(await veo.poll(task), Done)


@pytest.mark.parametrize(
    ("model", "size", "usd"),
    [
        (MODEL, None, 3.2),
        (MODEL, "2160x3840", 4.8),
        ("veo-3.1-fast-generate-preview", "1280x720", 0.8),
        ("veo-3.1-fast-generate-preview", "1080x1920", 0.96),
        ("veo-3.1-fast-generate-preview", "3840x2160", 2.4),
        ("veo-3.1-lite-generate-preview", "1280x720", 0.4),
        ("veo-3.1-lite-generate-preview", "1920x1080", 0.64),
        ("veo-3.1-lite-generate-preview", "3840x2160", None),
    ],
)
def test_prices(model: str, size: str | None, usd: float | None) -> None:
    cost = expected(VENDOR.models[model].price, [VideoRequest("x", None, size)])[1]
    assert (None if cost is None else cost.usd) == pytest.approx(usd)
