"""LiteLLM's page on /audio/speech, over all vendors."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("botocore")
pytest.importorskip("google.auth")

import gateway
from gateway import aspeech, speech
from tests.seeds.conftest import KEY, Shell
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams.azure_speech import AzureSpeech
from tests.upstreams.every import every
from tests.upstreams.vertex import PROJECT

TTS = """
- model_name: tts
  litellm_params:
    model: openai/tts-1
    api_key: os.environ/OPENAI_API_KEY
"""
GEMINI = """
model_list:
  - model_name: gemini-tts
    litellm_params:
      model: gemini/gemini-2.5-flash-preview-tts
      api_key: os.environ/GEMINI_API_KEY
"""
VERTEX = """
model_list:
  - model_name: vertex-tts
    litellm_params:
      model: vertex_ai/gemini-2.5-flash-preview-tts
      vertex_project: your-project-id
      vertex_location: us-central1
"""
WHISPER = """
- model_name: whisper
  litellm_params:
    model: whisper-1
    api_key: sk-*******
    max_file_size_mb: 0.00001
  model_info:
    mode: audio_transcription
"""
BLOCKS = {"tts": TTS, "gemini-tts": GEMINI, "vertex-tts": VERTEX, "whisper": WHISPER}
FOX = "The quick brown fox jumped over the lazy dog."
FOXES = "the quick brown fox jumped over the lazy dogs"


def entries(block: str) -> list[dict[str, Any]]:
    """Of a whole config, or of a list that belongs under ``model_list``."""
    read = yaml.safe_load(block)
    return read if isinstance(read, list) else read["model_list"]  # type: ignore[no-any-return]


Vendors = dict[str, Any]


@pytest.fixture(scope="module")
def vendors(environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    """The simulators, and under ``accounts`` how each is reached."""
    folder = tmp_path_factory.mktemp("accounts")
    with every(folder) as of, AzureSpeech() as azure:
        account = {entry["model_name"]: entry["litellm_params"] for entry in json.loads(of.config)["model_list"]}
        account["azure_speech"] = {"model": "azure/speech/azure-tts", "api_key": azure.key, "api_base": azure.base}
        environment.setenv("OPENAI_API_KEY", of.upstreams["openai"].key)
        environment.setenv("OPENAI_BASE_URL", of.upstreams["openai"].base)
        environment.setenv("GEMINI_API_KEY", of.upstreams["gemini"].key)
        environment.setenv("GOOGLE_GEMINI_BASE_URL", of.upstreams["gemini"].base)
        environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(folder / "service-account.json"))
        yield {**of.upstreams, "azure_speech": azure, "accounts": account}


@pytest.fixture(scope="module")
def proxy(vendors: Vendors) -> Iterator[Running]:
    """The page's blocks in one config. Google's address cannot come from the environment, and its project is ours."""
    listed = [entry for block in BLOCKS.values() for entry in entries(block)]
    for entry in listed:
        if entry["model_name"] == "vertex-tts":
            entry["litellm_params"] |= {"api_base": vendors["vertex_ai"].base, "vertex_project": PROJECT}
        if entry["model_name"] == "whisper":
            entry["litellm_params"]["api_key"] = vendors["openai"].key
    listed += [{"model_name": f"of-{name}", "litellm_params": given} for name, given in vendors["accounts"].items()]
    config = {"model_list": listed, "general_settings": {"master_key": KEY}}
    with serving(config_of(json.dumps(config))) as running:
        yield running


def length(path: Path) -> float:
    """In seconds, of what must be a whole mp3."""
    return hear(path.read_bytes(), "mp3").seconds


def test_quick_start(vendors: Vendors, tmp_path: Path) -> None:
    speech_file_path = tmp_path / "speech.mp3"
    response = speech(
        model="openai/tts-1",
        voice="alloy",
        input=FOXES,
    )
    response.stream_to_file(speech_file_path)
    assert length(speech_file_path) > 1
    assert vendors["openai"].requests[-1].body["voice"] == "alloy"


def test_async_usage(vendors: Vendors, tmp_path: Path) -> None:
    speech_file_path = tmp_path / "speech.mp3"

    async def test_async_speech() -> None:
        response = await aspeech(
            model="openai/tts-1",
            voice="alloy",
            input=FOXES,
            api_base=None,
            api_key=None,
            organization=None,
            project=None,
            max_retries=1,
            timeout=600,
            client=None,
            optional_params={},
        )
        response.stream_to_file(speech_file_path)

    asyncio.run(test_async_speech())
    assert length(speech_file_path) > 1


@pytest.mark.parametrize(
    ("model", "voice", "file"),
    [
        ("tts-1", "alloy", "speech.mp3"),
        ("gemini-tts", "alloy", "gemini_speech.mp3"),
        ("vertex-tts", "en-US-Wavenet-D", "vertex_speech.mp3"),
    ],
)
def test_proxy_requests(
    proxy: Running, vendors: Vendors, shell: Shell, tmp_path: Path, model: str, voice: str, file: str
) -> None:
    """The first names its model as OpenAI does, where the config calls it ``tts``."""
    shell(f"""curl {proxy.base}/v1/audio/speech \\
  -H "Authorization: Bearer sk-1234" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "model": "{model}",
    "input": "{FOX}",
    "voice": "{voice}"
  }}' \\
  --output {file}""")
    assert 2 < length(tmp_path / file) < 5
    if model == "gemini-tts":
        assert vendors["gemini"].ledger[-1]["voices"] == {"": "Kore"}
    if model == "vertex-tts":
        assert vendors["vertex_ai"].spoken_whole[-1]["voice"]["name"] == voice


@pytest.mark.parametrize("name", BLOCKS)
def test_proxy_configs(vendors: Vendors, name: str) -> None:
    """Two of them are lists, to be put under ``model_list``."""
    block = BLOCKS[name]
    config = config_of(block if "model_list:" in block else f"model_list:{block}")
    assert [entry.model_name for entry in config.models] == [name]
    assert not config.warnings


def test_gemini_quick_start(vendors: Vendors, tmp_path: Path) -> None:
    def test_audio_speech_gemini() -> None:
        result = gateway.speech(
            model="gemini/gemini-2.5-flash-preview-tts",
            input=FOXES,
            api_key=os.getenv("GEMINI_API_KEY"),
        )
        result.stream_to_file(tmp_path / "gemini_speech.mp3")

    test_audio_speech_gemini()
    assert length(tmp_path / "gemini_speech.mp3") > 1
    assert vendors["gemini"].ledger[-1]["text"].endswith(FOXES)


def test_gemini_async_usage(vendors: Vendors, tmp_path: Path) -> None:
    async def test_async_gemini_speech() -> None:
        response = await gateway.aspeech(
            model="gemini/gemini-2.5-flash-preview-tts",
            input=FOXES,
            api_key=os.getenv("GEMINI_API_KEY"),
        )
        response.stream_to_file(tmp_path / "gemini_speech.mp3")

    asyncio.run(test_async_gemini_speech())
    assert length(tmp_path / "gemini_speech.mp3") > 1


def test_vertex_quick_start(vendors: Vendors, tmp_path: Path) -> None:
    """``api_base`` is for the simulator alone."""

    def test_audio_speech_vertex() -> None:
        result = gateway.speech(
            model="vertex_ai/gemini-2.5-flash-preview-tts",
            input=FOXES,
            api_base=vendors["vertex_ai"].base,
        )
        result.stream_to_file(tmp_path / "vertex_speech.mp3")

    test_audio_speech_vertex()
    assert length(tmp_path / "vertex_speech.mp3") > 1


@pytest.mark.parametrize(
    "vendor", ["openai", "azure", "azure_speech", "aws_polly", "vertex_ai", "gemini", "elevenlabs", "minimax"]
)
def test_supported_providers(proxy: Running, vendors: Vendors, shell: Shell, vendor: str) -> None:
    """Each by the function and by the proxy."""
    answer = speech(input=FOX, voice="alloy", **vendors["accounts"][vendor])
    body = json.dumps({"model": f"of-{vendor}", "input": FOX, "voice": "alloy"})
    sound = shell(f"curl {proxy.base}/v1/audio/speech -H 'Authorization: Bearer sk-1234' -d '{body}'")
    assert all(1 < hear(each, "mp3").seconds < 6 for each in (answer.content, sound))


@pytest.mark.parametrize(("engine", "voice"), [("neural", "Joanna"), ("standard", "Amy"), ("neural", "nova")])
def test_polly_s_engines(vendors: Vendors, engine: str, voice: str) -> None:
    given = vendors["accounts"]["aws_polly"] | {"model": f"aws_polly/{engine}"}
    assert hear(speech(input=FOX, voice=voice, **given).content, "mp3").seconds > 1
    made = vendors["aws_polly"].ledger[-1]
    assert (made["engine"], made["voice"]) == (engine, {"nova": "Ivy"}.get(voice, voice))


def test_largest_file(proxy: Running, vendors: Vendors, shell: Shell, tmp_path: Path) -> None:
    """A file that is fine but for its size: the answer names the field and both sizes."""
    (tmp_path / "gettysburg.wav").write_bytes(b"RIFF" + bytes(2000))
    asked = len(vendors["openai"].requests)
    answer = shell(f"""curl --location '{proxy.base}/v1/audio/transcriptions' \\
--header 'Authorization: Bearer sk-1234' \\
--form 'file=@"{tmp_path}/gettysburg.wav"' \\
--form 'model="whisper"'""")
    error = json.loads(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", "file")
    assert "0.001911163 MB" in error["message"]
    assert "0.00001 MB" in error["message"]
    assert len(vendors["openai"].requests) == asked
