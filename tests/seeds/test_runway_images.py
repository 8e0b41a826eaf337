"""LiteLLM's page on pictures by RunwayML."""

from __future__ import annotations

import asyncio
import io
import json
import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway import aimage_generation, completion_cost, image_generation, sdk
from providers.runwayml import RunwaySettings as Settings
from tests.seeds.conftest import KEYED, Shell
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import Runway, takes

YAML = """
model_list:
  - model_name: gen4-image
    litellm_params:
      model: runwayml/gen4_image
      api_key: os.environ/RUNWAYML_API_KEY
"""
LAKE = "A serene mountain landscape at sunset"
SIZES = {
    "1024x1024": "1024:1024",
    "1792x1024": "1920:1080",  # Runway has none of these two: the nearest are made, and a header says so
    "1024x1792": "1080:1920",
    "1920x1080": "1920:1080",
    "1080x1920": "1080:1920",
    None: "1920:1080",
}


@pytest.fixture(scope="module")
def proxy(runway: Runway) -> Iterator[Running]:
    with serving(config_of(YAML + KEYED)) as running:
        yield running


def asked(runway: Runway) -> dict[str, Any]:
    """The last order that the vendor took."""
    body: dict[str, Any] = runway.ledger[-1]["body"]
    return body


def drawn(url: str | None) -> Image.Image:
    with urllib.request.urlopen(url or "") as file:
        return Image.open(io.BytesIO(file.read()))


def test_quick_start(runway: Runway) -> None:
    response = image_generation(
        model="runwayml/gen4_image",
        prompt=LAKE,
        size="1920x1080",
    )
    assert drawn(response.data[0].url).format == "PNG"
    assert asked(runway) == {"model": "gen4_image", "promptText": LAKE, "ratio": "1920:1080"}


def test_authentication(runway: Runway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNWAYML_API_KEY")
    with pytest.raises(sdk.AuthenticationError, match="Give api_key"):
        image_generation(model="runwayml/gen4_image", prompt=LAKE)
    monkeypatch.setitem(os.environ, "RUNWAYML_API_KEY", str(runway.key))
    assert image_generation(model="runwayml/gen4_image", prompt=LAKE).data[0].url


def test_supported_parameters(runway: Runway) -> None:
    """``model`` and ``prompt`` have to be there, ``size`` need not."""
    assert image_generation(model="runwayml/gen4_image", prompt=LAKE).data
    assert asked(runway)["ratio"] == "1920:1080"
    made = len(runway.ledger)
    for wrong, param in (({"model": None}, "model"), ({"prompt": ""}, "prompt"), ({"size": "512x512"}, "size")):
        with pytest.raises(sdk.BadRequestError) as caught:
            image_generation(**{"model": "runwayml/gen4_image", "prompt": LAKE, **wrong})
        assert caught.value.param == param
    assert len(runway.ledger) == made


@pytest.mark.parametrize(("size", "ratio"), SIZES.items())
def test_supported_sizes(proxy: Running, runway: Runway, size: str | None, ratio: str) -> None:
    body = {"model": "gen4-image", "prompt": LAKE, **({"size": size} if size else {})}
    answer = httpx.post(f"{proxy.base}/v1/images/generations", json=body, headers={"x-litellm-api-key": "sk-1234"})
    assert asked(runway)["ratio"] == ratio
    as_asked = size is None or size.replace("x", ":") == ratio
    adjusted = None if as_asked else f"size={ratio.replace(':', 'x')}"
    assert answer.headers.get("x-media-gateway-adjusted-params") == adjusted


def test_async_usage(runway: Runway) -> None:
    async def generate_image() -> str | None:
        response = await aimage_generation(
            model="runwayml/gen4_image",
            prompt="A futuristic city skyline at night",
            size="1920x1080",
        )
        return response.data[0].url

    assert drawn(asyncio.run(generate_image())).format == "PNG"
    assert asked(runway)["promptText"] == "A futuristic city skyline at night"


def test_proxy_config(proxy: Running) -> None:
    (entry,) = (config := config_of(YAML)).models
    assert (entry.model_name, entry.vendor, entry.model) == ("gen4-image", "runwayml", "gen4_image")
    assert not config.warnings


def test_proxy_request(proxy: Running, runway: Runway, shell: Shell) -> None:
    answer = shell(f"""curl --location '{proxy.base}/v1/images/generations' \\
--header 'Content-Type: application/json' \\
--header 'x-litellm-api-key: sk-1234' \\
--data '{{
    "model": "runwayml/gen4_image",
    "prompt": "A serene mountain landscape at sunset",
    "size": "1920x1080"
}}'""")
    assert drawn(json.loads(answer)["data"][0]["url"]).format == "PNG"
    assert asked(runway) == {"model": "gen4_image", "promptText": LAKE, "ratio": "1920:1080"}


def test_supported_models(proxy: Running) -> None:
    """Its default size is that of the table: it is what would be paid for."""
    body = {"model": "runwayml/gen4_image", "prompt": LAKE}
    headers = {"x-litellm-api-key": "sk-1234", "x-media-gateway-dry-run": "true"}
    answer = httpx.post(f"{proxy.base}/images/generations", json=body, headers=headers)
    assert answer.json()["cost"]["usd"] == 0.08
    assert '"size":"1920x1080"' in answer.text.replace(" ", "")


def test_cost_tracking(runway: Runway) -> None:
    response = image_generation(
        model="runwayml/gen4_image",
        prompt=LAKE,
        size="1920x1080",
    )
    cost = completion_cost(completion_response=response)
    assert cost == pytest.approx(runway.ledger[-1]["credits"] / 100)


def awaited(**given: Any) -> Any:
    return asyncio.run(aimage_generation(**given))


@pytest.mark.parametrize("draw", [image_generation, awaited])
def test_polling_timeout(runway: Runway, monkeypatch: pytest.MonkeyPatch, draw: Any) -> None:
    """RUNWAYML_POLLING_TIMEOUT is how many seconds a call waits, for the functions that wait as for the awaited."""
    monkeypatch.setenv("RUNWAYML_POLLING_TIMEOUT", "0.2")
    runway.next(takes(999))
    polled = len(runway.polls)
    with pytest.raises(sdk.Timeout, match=r"0\.2 s"):
        draw(model="runwayml/gen4_image", prompt=LAKE)
    assert len(runway.polls) == polled + 1


def test_polling_defaults() -> None:
    """600 seconds; a look every five, where LiteLLM's two are more often than Runway asks for."""
    config = config_of(YAML)
    assert config.general.task_timeout == 600
    assert Settings().poll_interval == 5
