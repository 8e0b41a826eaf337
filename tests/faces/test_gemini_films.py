"""A film by Veo over HTTP, from the request to the file."""

from __future__ import annotations

import io
import time
from pathlib import Path

import av
import httpx
import pytest

from providers.gemini import GeminiVideo
from tests.conftest import KEY
from tests.contracts.tasks import PIXEL
from tests.serving import config_of, serving
from tests.upstreams.gemini import Gemini

CONFIG = """
model_list:
  - model_name: veo
    litellm_params: {{model: gemini/veo-3.1-fast-generate-preview, api_key: {vendor_key}, api_base: "{base}"}}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""


def test_a_film_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GeminiVideo, "poll_interval", property(lambda self: 0.05, lambda self, _: None), raising=False)
    with Gemini(seconds=0.1) as gemini:
        config = CONFIG.format(vendor_key=gemini.key, base=gemini.base, key=KEY, data=tmp_path)
        with (
            serving(config_of(config)) as server,
            httpx.Client(base_url=f"{server.base}/v1", headers={"Authorization": f"Bearer {KEY}"}) as client,
        ):
            fields = {"model": "veo", "prompt": "A cat", "seconds": "6", "size": "720x1280"}
            picture = {"input_reference": ("a.png", PIXEL, "image/png")}
            made = client.post("/videos", data=fields, files=picture).json()
            ends = time.monotonic() + 20
            while made["status"] not in ("completed", "failed") and time.monotonic() < ends:
                made = client.get(f"/videos/{made['id']}").json()
            assert made["status"] == "completed", made
            film = client.get(f"/videos/{made['id']}/content").content
        with av.open(io.BytesIO(film)) as clip:
            assert clip.duration == 1_000_000
        (entry,) = gemini.ledger
        assert entry["parameters"] == {"aspectRatio": "9:16", "resolution": "720p", "durationSeconds": 6}
        assert entry["instance"]["image"]["mimeType"] == "image/png"
        assert all("key" not in asked.path for asked in gemini.requests)
