"""LiteLLM's page on films by RunwayML."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from gateway import (
    avideo_content,
    avideo_generation,
    avideo_status,
    completion_cost,
    sdk,
    video_content,
    video_generation,
    video_status,
)
from tests.seeds.conftest import KEYED, Shell
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import UNAUTHORIZED, Runway, fails

YAML = """
model_list:
  - model_name: gen4-turbo
    litellm_params:
      model: runwayml/gen4_turbo
      api_key: os.environ/RUNWAYML_API_KEY
"""
DEMO = "A high quality demo video of litellm ai gateway"
LOGO = (
    "https://media.licdn.com/dms/image/v2/D4D0BAQFqOrIAJEgtLw/company-logo_200_200/company-logo_200_200/0/1714076049190/"
    "berri_ai_logo?e=2147483647&v=beta&t=7tG_KRZZ4MPGc7Iin79PcFcrpvf5Hu6rBM4ptHGU1DY"
)
NAP = 0.02
"""For the ten seconds that the page waits between two looks."""


@pytest.fixture(scope="module")
def proxy(runway: Runway) -> Iterator[Running]:
    with serving(config_of(YAML + KEYED)) as running:
        yield running


def asked(runway: Runway) -> dict[str, Any]:
    """The last order that the vendor took."""
    body: dict[str, Any] = runway.ledger[-1]["body"]
    return body


def frames(film: bytes) -> int:
    with av.open(io.BytesIO(film)) as container:
        return container.streams.video[0].frames


def test_quick_start(runway: Runway) -> None:
    response = video_generation(
        model="runwayml/gen4_turbo",
        prompt=DEMO,
        input_reference=LOGO,
        seconds=5,
        size="1280x720",
    )
    assert response.id.startswith("video_")
    assert response.status in ("queued", "in_progress")
    assert asked(runway) == {
        "model": "gen4_turbo",
        "promptText": DEMO,
        "promptImage": LOGO,
        "duration": 5,
        "ratio": "1280:720",
    }
    assert runway.ledger[-1]["endpoint"] == "/v1/image_to_video"


def test_authentication(runway: Runway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNWAYML_API_KEY")
    with pytest.raises(sdk.AuthenticationError, match="Give api_key"):
        video_generation(model="runwayml/gen4_turbo", prompt=DEMO, input_reference=LOGO)
    monkeypatch.setitem(os.environ, "RUNWAYML_API_KEY", str(runway.key))
    assert video_generation(model="runwayml/gen4_turbo", prompt=DEMO, input_reference=LOGO).id


def test_supported_parameters(runway: Runway, tmp_path: Path) -> None:
    """A picture by its path too, five or ten seconds, and both ways to say a shape."""
    Image.new("RGB", (640, 360), "green").save(tmp_path / "lake.png")
    for more, ratio, duration in (
        ({"seconds": 10, "size": "720x1280"}, "720:1280", 10),
        ({"seconds": 5, "ratio": "1280:720"}, "1280:720", 5),
        ({"seconds": "5", "size": "1280x720"}, "1280:720", 5),
    ):
        video_generation("A lake", "runwayml/gen4_turbo", str(tmp_path / "lake.png"), **more)
        assert asked(runway)["promptImage"].startswith("data:image/png;base64,")
        assert (asked(runway)["ratio"], asked(runway)["duration"]) == (ratio, duration)
    made = len(runway.ledger)
    fine = {"model": "runwayml/gen4_turbo", "prompt": DEMO, "input_reference": LOGO}
    for wrong, param in (
        ({"model": None}, "model"),
        ({"prompt": ""}, "prompt"),
        ({"input_reference": None}, "input_reference"),
        ({"seconds": 60}, "seconds"),
        ({"size": "640x480"}, "size"),
    ):
        with pytest.raises(sdk.BadRequestError) as caught:
            video_generation(**{**fine, **wrong})
        assert caught.value.param == param
    assert len(runway.ledger) == made


def test_complete_workflow(runway: Runway, tmp_path: Path) -> None:
    response = video_generation(
        model="runwayml/gen4_turbo",
        prompt=DEMO,
        input_reference=LOGO,
        seconds=5,
        size="1280x720",
    )
    video_id = response.id
    while True:
        status_response = video_status(video_id=video_id)
        if status_response.status == "completed":
            break
        assert status_response.status != "failed"
        time.sleep(NAP)
    video_bytes = video_content(video_id=video_id)
    with (tmp_path / "generated_video.mp4").open("wb") as f:
        f.write(video_bytes)
    assert frames((tmp_path / "generated_video.mp4").read_bytes()) > 0


def test_async_usage(runway: Runway, tmp_path: Path) -> None:
    async def generate_video() -> None:
        response = await avideo_generation(
            model="runwayml/gen4_turbo",
            prompt="A serene lake with mountains in the background",
            input_reference="https://example.com/lake.jpg",
            seconds=5,
            size="1280x720",
        )
        video_id = response.id
        while True:
            status_response = await avideo_status(video_id=video_id)
            if status_response.status == "completed":
                break
            assert status_response.status != "failed"
            await asyncio.sleep(NAP)
        video_bytes = await avideo_content(video_id=video_id)
        (tmp_path / "generated_video.mp4").write_bytes(video_bytes)

    asyncio.run(generate_video())
    assert frames((tmp_path / "generated_video.mp4").read_bytes()) > 0
    assert asked(runway)["promptImage"] == "https://example.com/lake.jpg"


def test_proxy_config(proxy: Running) -> None:
    (entry,) = (config := config_of(YAML)).models
    assert (entry.model_name, entry.vendor, entry.model) == ("gen4-turbo", "runwayml", "gen4_turbo")
    assert not config.warnings


def test_proxy_requests(proxy: Running, runway: Runway, shell: Shell, tmp_path: Path) -> None:
    """Begin a film, look at it, fetch it."""
    made = shell(f"""curl --location '{proxy.base}/v1/videos' \\
--header 'Content-Type: application/json' \\
--header 'x-litellm-api-key: sk-1234' \\
--data '{{
    "model": "runwayml/gen4_turbo",
    "prompt": "{DEMO}",
    "input_reference": "{LOGO}",
    "ratio": "1280:720"
}}'""")
    assert asked(runway)["ratio"] == "1280:720"
    assert asked(runway)["promptImage"] == LOGO
    video_id = json.loads(made)["id"]
    look = f"curl --location '{proxy.base}/v1/videos/{video_id}' --header 'x-litellm-api-key: sk-1234'"
    while (state := json.loads(shell(look)))["status"] != "completed":
        assert state["status"] in ("queued", "in_progress")
        time.sleep(NAP)
    assert state["id"] == video_id
    shell(f"""curl --location '{proxy.base}/v1/videos/{video_id}/content' \\
--header 'x-litellm-api-key: sk-1234' \\
--output video.mp4""")
    assert frames((tmp_path / "video.mp4").read_bytes()) > 0


def test_supported_models(proxy: Running, runway: Runway) -> None:
    """Of gen4_turbo: five to ten seconds, in both of its shapes."""
    for seconds in range(5, 11):
        for size in ("1280x720", "720x1280"):
            body = {"model": "gen4-turbo", "prompt": DEMO, "input_reference": LOGO, "seconds": seconds, "size": size}
            headers = {"x-litellm-api-key": "sk-1234", "x-media-gateway-dry-run": "true"}
            answer = httpx.post(f"{proxy.base}/v1/videos", json=body, headers=headers)
            assert answer.json()["cost"]["usd"] == pytest.approx(seconds * 0.05)


def watched() -> str:
    """The page's way to wait, with its error at the end."""
    response = video_generation(
        model="runwayml/gen4_turbo",
        prompt="A scenic mountain view",
        input_reference="https://example.com/mountain.jpg",
        seconds=5,
    )
    max_attempts = 60
    attempts = 0
    while attempts < max_attempts:
        status_response = video_status(video_id=response.id)
        if status_response.status == "completed":
            return "Video generation completed!"
        if status_response.status == "failed":
            error = status_response.error or {}
            return f"Video generation failed: {error.get('message', 'Unknown error')}"
        time.sleep(NAP)
        attempts += 1
    return "Video generation timed out"


def test_error_handling(runway: Runway) -> None:
    assert watched() == "Video generation completed!"
    runway.next(fails("SAFETY.INPUT.TEXT"))
    failed = watched()
    assert failed.startswith("Video generation failed: ")
    assert "Unknown error" not in failed
    runway.next(UNAUTHORIZED)
    with pytest.raises(Exception, match="refused the credentials"):  # as wide as the page's own
        watched()


def test_cost_tracking(runway: Runway) -> None:
    response = video_generation(
        model="runwayml/gen4_turbo",
        prompt=DEMO,
        input_reference=LOGO,
        seconds=5,
        size="1280x720",
    )
    cost = completion_cost(completion_response=response)
    assert cost == pytest.approx(0.25) == runway.ledger[-1]["credits"] / 100
