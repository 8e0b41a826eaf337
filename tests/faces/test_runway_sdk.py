"""RunwayML end to end: at its own pace, and what happens when it refuses."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import openai
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Runway

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = """
model_list:
  - model_name: runway-tts
    litellm_params: {{model: runwayml/eleven_multilingual_v2, api_key: {vendor_key}, api_base: "{base}"}}
  - model_name: gen4-image
    litellm_params: {{model: runwayml/gen4_image, api_key: {vendor_key}, api_base: "{base}/v1"}}
  - model_name: gen4-turbo
    litellm_params: {{model: runwayml/gen4_turbo, api_key: {vendor_key}, api_base: "{base}"}}
  - model_name: spare
    litellm_params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}
litellm_settings:
  fallbacks: [{{gen4-image: [spare]}}]
  num_retries: 0
general_settings: {{master_key: {key}, data_dir: {data}}}
"""
HEADERS = {"x-litellm-api-key": KEY}


@pytest.fixture
def runway() -> Iterator[Runway]:
    with Runway(seconds=0.5) as server:
        yield server


@pytest.fixture
def server(runway: Runway, tmp_path: Path) -> Iterator[Running]:
    text = CONFIG.format(vendor_key=runway.key, base=runway.base, key=KEY, data=tmp_path)
    with serving(config_of(text)) as running:
        yield running


async def test_at_runway_s_own_pace(runway: Runway, server: Running) -> None:
    """Speech, a picture and a film at once, since each waits for Runway's five seconds between two looks."""
    async with httpx.AsyncClient(base_url=server.base, headers=HEADERS, timeout=60) as client:
        speech, image, video = await asyncio.gather(
            client.post(
                "/v1/audio/speech",
                json={"model": "runwayml/eleven_multilingual_v2", "input": "Hello from the proxy!", "voice": "Bernard"},
            ),
            client.post(
                "/v1/images/generations",
                json={
                    "model": "runwayml/gen4_image",
                    "prompt": "A serene mountain lake",
                    "size": "1792x1024",
                    "n": 2,
                    "output_format": "webp",
                },
            ),
            client.post(
                "/v1/videos",
                json={
                    "model": "runwayml/gen4_turbo",
                    "prompt": "A high quality demo video",
                    "input_reference": "https://media.example.com/logo.jpg",
                    "ratio": "1280:720",
                },
            ),
        )
        assert speech.headers["content-type"] == "audio/mpeg"
        assert speech.content[:2] == b"\xff\xf3"
        assert image.status_code == 200, image.text
        assert image.headers["x-media-gateway-adjusted-params"] == "size=1920x1080"
        picture = (await client.get(image.json()["data"][1]["url"], headers={"x-litellm-api-key": ""})).content
        assert (picture[:4], picture[8:12]) == (b"RIFF", b"WEBP")  # Runway made a png
        made = video.json()
        assert (made["status"], made["size"], made["object"]) == ("in_progress", "1280x720", "video")
        end = time.monotonic() + 30
        while (state := (await client.get(f"/v1/videos/{made['id']}")).json())["status"] == "in_progress":
            assert time.monotonic() < end
        assert (state["status"], state["progress"]) == ("completed", 100)
        film = await client.get(f"/v1/videos/{made['id']}/content")
        assert film.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(film.content)) as container:
            assert container.streams.video[0].frames > 0
    assert [entry["model"] for entry in runway.ledger].count("gen4_image") == 2
    assert len(runway.ledger) == 4
    assert runway.fast_polls(5.0) == []


def post(server: Running, **more: object) -> httpx.Response:
    body = {"model": "gen4-image", "prompt": "A lake", **more}
    return httpx.post(f"{server.base}/v1/images/generations", json=body, headers=HEADERS, timeout=60)


@pytest.mark.parametrize(
    "fault", [upstream.DAILY_LIMIT, upstream.BAD_GATEWAY, upstream.UNAUTHORIZED, upstream.OUT_OF_CREDITS]
)
def test_what_runway_refuses_is_made_elsewhere(runway: Runway, server: Running, fault: upstream.Fault) -> None:
    runway.next(fault)
    answer = post(server)
    assert answer.status_code == 200
    assert answer.headers["x-media-gateway-fallback"].startswith("gen4-image; reason=")
    assert runway.ledger == []


@pytest.mark.parametrize("fault", [upstream.DROP_AFTER, upstream.DROP_BEFORE, upstream.GARBAGE, upstream.OVERLOADED])
def test_what_may_have_been_charged_is_never_repeated(runway: Runway, server: Running, fault: upstream.Fault) -> None:
    """Not by us, not at another vendor, and not by OpenAI's SDK, which would try five times more."""
    runway.next(fault)
    with (
        openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=5) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.images.generate(model="gen4-image", prompt="A lake")
    assert caught.value.code == "submission_unknown"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(runway.ledger) == (1 if fault.made else 0)
    assert runway.key not in caught.value.response.text


def test_bad_requests_never_reach_runway(runway: Runway, server: Running) -> None:
    for body, param in (
        ({"size": "512x512"}, "size"),
        ({"quality": "hd"}, "quality"),
        ({"prompt": "x" * 1001}, "prompt"),
    ):
        answer = post(server, **body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert runway.requests == []
