"""The pages' ``litellm --config``, which is ``media-gateway serve --config`` here."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.faces.test_command_line import served
from tests.seeds import test_runway_images, test_runway_speech, test_runway_videos, test_speech
from tests.seeds.test_speech import entries

PAGES = {
    "runway-tts": test_runway_speech.YAML,
    "gen4-turbo": test_runway_videos.YAML,
    "gen4-image": test_runway_images.YAML,
    "tts": test_speech.TTS,
    "gemini-tts": test_speech.GEMINI,
}
"""A process takes a second to begin, so one has the entries of all pages; each config alone is read with its page."""


def test_start_the_proxy(tmp_path: Path) -> None:
    listed = [entry for block in PAGES.values() for entry in entries(block)]
    (tmp_path / "config.yaml").write_text(json.dumps({"model_list": listed}))
    env = {f"{name}_API_KEY": f"key_{'0' * 128}" for name in ("RUNWAYML", "OPENAI", "GEMINI")}
    with served("--config", str(tmp_path / "config.yaml"), cwd=tmp_path, env=env) as (_, base, lines):
        answer = httpx.get(f"{base}/v1/models", headers={"Authorization": "Bearer sk-1234"})
        assert [model["id"] for model in answer.json()["data"]] == [*PAGES]
        assert not [line for line in lines if "error" in line.lower()]
