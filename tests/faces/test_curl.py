"""The requests of LiteLLM's documentation on speech and transcription, by curl, with its configs' settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.auth")
if shutil.which("curl") is None:
    pytest.skip("there is no curl here", allow_module_level=True)

from tests.serving import config_of, serving
from tests.sound import hear
from tests.upstreams.gemini import Gemini
from tests.upstreams.openai import OpenAI
from tests.upstreams.vertex import PROJECT, Vertex

CONFIG = """
model_list:
- model_name: tts
  litellm_params: {{model: openai/tts-1, api_key: os.environ/OPENAI_API_KEY, api_base: "{openai}"}}
- model_name: gemini-tts
  litellm_params:
    model: gemini/gemini-2.5-flash-preview-tts
    api_key: os.environ/GEMINI_API_KEY
    api_base: {gemini}
- model_name: vertex-tts
  litellm_params:
    model: vertex_ai/gemini-2.5-flash-preview-tts
    vertex_project: {project}
    vertex_location: us-central1
    api_base: {vertex}
- model_name: whisper
  litellm_params: {{model: whisper-1, api_key: os.environ/OPENAI_API_KEY, api_base: "{openai}", max_file_size_mb: 0.00001}}
  model_info: {{mode: audio_transcription}}
general_settings: {{master_key: sk-test-0123456789abcdef}}
"""
SIGNED = ["-H", "Authorization: Bearer sk-test-0123456789abcdef"]


def curl(*given: str) -> None:
    subprocess.run(["curl", "--silent", "--show-error", *given], check=True, timeout=60)


def test_its_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAI() as openai, Gemini() as gemini, Vertex() as vertex:
        account = tmp_path / "service-account.json"
        account.write_text(json.dumps(vertex.service_account()))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        monkeypatch.setenv("GEMINI_API_KEY", gemini.key)
        monkeypatch.setenv("OPENAI_API_KEY", openai.key)
        bases = {"openai": openai.base, "gemini": gemini.base, "vertex": vertex.base, "project": PROJECT}
        with serving(config_of(CONFIG.format(**bases))) as running:
            out = tmp_path / "out"
            for model, voice in (("tts", "alloy"), ("gemini-tts", "alloy"), ("vertex-tts", "en-US-Wavenet-D")):
                body = {"model": model, "input": "The quick brown fox jumped over the lazy dog.", "voice": voice}
                speech = f"{running.base}/v1/audio/speech"
                curl(
                    speech,
                    *SIGNED,
                    "-H",
                    "Content-Type: application/json",
                    "-d",
                    json.dumps(body),
                    "--output",
                    str(out),
                )
                assert 2 < hear(out.read_bytes(), "mp3").seconds < 5
            sound = tmp_path / "gettysburg.wav"
            sound.write_bytes(b"RIFF" + bytes(2000))
            form = ["--form", f'file=@"{sound}"', "--form", 'model="whisper"', "--output", str(out)]
            curl("--location", f"{running.base}/v1/audio/transcriptions", *SIGNED, *form)
            error: Any = json.loads(out.read_bytes())["error"]
            assert error["param"] == "file"
            assert "max_file_size_mb" in error["message"] or "MB" in error["message"]
