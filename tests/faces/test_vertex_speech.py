"""Speech by Vertex AI over HTTP, with credentials from the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams.vertex import PROJECT, Vertex

CONFIG = """
model_list:
  - model_name: vertex-tts
    litellm_params:
      model: vertex_ai/gemini-2.5-flash-preview-tts
      vertex_project: {project}
      vertex_location: us-central1
      api_base: {base}
general_settings: {{master_key: {key}, data_dir: {data}}}
"""
TEXT = "The quick brown fox jumped over the lazy dog."


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    with Vertex() as server:
        yield server


@pytest.fixture
def server(vertex: Vertex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    account = tmp_path / "service-account.json"
    account.write_text(json.dumps(vertex.service_account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    text = CONFIG.format(project=PROJECT, base=vertex.base, key=KEY, data=tmp_path / "data")
    with serving(config_of(text)) as running:
        yield running


def speak(server: Running, **fields: Any) -> httpx.Response:
    body = {"model": "vertex-tts", "input": TEXT, **fields}
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers, timeout=60)


def test_gemini_s_voices(server: Running, vertex: Vertex) -> None:
    answer = speak(server, voice="alloy", instructions="softly")
    assert hear(answer.content, "mp3").seconds > 1
    assert vertex.ledger[0]["voices"] == {"": "Kore"}


def test_a_sign_in_that_is_refused_is_not_the_caller_s_fault(server: Running, vertex: Vertex) -> None:
    vertex.refuse_sign_in = {"error": "invalid_grant"}
    answer = speak(server, voice="alloy")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_auth")
