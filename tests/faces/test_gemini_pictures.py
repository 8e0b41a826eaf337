"""Gemini's pictures end to end: OpenAI's SDK in front of the gateway, the simulated Gemini behind it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from PIL import Image

from tests.conftest import KEY
from tests.contracts.tasks import PIXEL
from tests.serving import Running, config_of, serving
from tests.upstreams import gemini as upstream
from tests.upstreams.gemini import Fault, Gemini

CONFIG = """
model_list:
  - model_name: banana
    litellm_params: {{model: gemini/gemini-2.5-flash-image, api_key: {vendor}, api_base: "{base}"}}
  - model_name: later
    litellm_params: {{model: gemini/gemini-3.1-flash-image, api_key: {vendor}, api_base: "{base}"}}
  - model_name: unknown
    litellm_params: {{model: gemini/gemini-3.1-flash-image-preview, api_key: {vendor}, api_base: "{base}"}}
    model_info: {{mode: image_generation}}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server


@pytest.fixture
def server(gemini: Gemini, tmp_path: Path) -> Iterator[Running]:
    with serving(config_of(CONFIG.format(key=KEY, data=tmp_path, vendor=gemini.key, base=gemini.base))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_pictures_are_a_request_each(gemini: Gemini, client: openai.OpenAI) -> None:
    made = client.images.with_raw_response.generate(
        model="banana", prompt="A lake", n=2, size="1536x1024", response_format="b64_json", output_format="webp"
    )
    pictures = [Image.open(io.BytesIO(base64.b64decode(each.b64_json or ""))) for each in made.parse().data or []]
    assert [(each.format, each.size) for each in pictures] == [("WEBP", (1248, 832))] * 2
    assert "1248x832" in made.headers["x-media-gateway-adjusted-params"]
    assert float(made.headers["x-litellm-response-cost"]) == pytest.approx(2 * 0.039)
    assert [entry["config"] for entry in gemini.ledger] == [{"aspectRatio": "3:2"}] * 2


def test_tokens_are_what_the_later_ones_cost(gemini: Gemini, client: openai.OpenAI) -> None:
    made = client.images.with_raw_response.generate(model="later", prompt="A lake", extra_body={"imageSize": "2K"})
    assert float(made.headers["x-litellm-response-cost"]) == pytest.approx(1680 * 60e-6)


def test_an_edit(gemini: Gemini, client: openai.OpenAI) -> None:
    files = [("a.png", PIXEL, "image/png"), ("b.png", PIXEL, "image/png")]
    edited = client.images.edit(model="banana", prompt="A boat", image=files, response_format="b64_json")
    assert Image.open(io.BytesIO(base64.b64decode((edited.data or [])[0].b64_json or ""))).size == (1024, 1024)
    assert gemini.ledger[0]["pictures"] == [PIXEL, PIXEL]
    with pytest.raises(openai.BadRequestError, match="up to 3") as caught:
        client.images.edit(model="banana", prompt="A boat", image=[files[0]] * 4)
    assert caught.value.param == "image"


def test_what_is_refused(gemini: Gemini, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="1344x768") as caught:
        client.images.generate(model="banana", prompt="A lake", size="512x512")
    assert caught.value.param == "size"
    assert not gemini.ledger
    gemini.next(Fault(silent="IMAGE_SAFETY"))
    with pytest.raises(openai.BadRequestError) as blocked:
        client.images.generate(model="banana", prompt="A lake")
    assert blocked.value.code == "content_policy_violation"
    with pytest.raises(openai.APIStatusError, match="not found"):
        client.images.generate(model="unknown", prompt="A lake")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(silent="NO_IMAGE"), "generation_failed"),
        (Fault(silent="STOP", text=True), "generation_failed"),
        (Fault(cut=True), "submission_unknown"),
        (Fault(junk="????"), "submission_unknown"),
        (upstream.BAD_GATEWAY, "submission_unknown"),
    ],
)
def test_what_may_have_been_charged_is_never_repeated(gemini: Gemini, server: Running, fault: Fault, code: str) -> None:
    gemini.next(fault)
    with (
        openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=1) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(model="banana", prompt="A lake")
    assert caught.value.code == code
    assert ("answered without a picture" in str(caught.value)) == bool(fault.silent)
    assert len(gemini.requests) == 1
