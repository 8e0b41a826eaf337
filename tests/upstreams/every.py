"""Every vendor at once: a simulator of each that has one, and the config of a gateway that asks them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.upstreams.chat import Chat
from tests.upstreams.elevenlabs import ElevenLabs
from tests.upstreams.gemini import Gemini
from tests.upstreams.minimax import MiniMax
from tests.upstreams.openai import DEPLOYMENT, OpenAI
from tests.upstreams.polly import REGION, Polly
from tests.upstreams.runway import Runway
from tests.upstreams.vertex import PROJECT, Vertex

VOICES = {
    "openai": "alloy",
    "azure": "alloy",
    "openai_chat": "alloy",
    "elevenlabs": "alloy",
    "minimax": "alloy",
    "aws_polly": "alloy",
    "gemini": "alloy",
    "vertex_ai": "alloy",
    "vertex_ai cloud": "en-US-Wavenet-D",
    "runwayml": "alloy",
    "local": "alloy",
    "sandbox": "alloy",
}
"""Each model of the config, which has its vendor's name, and a voice to ask it for."""
STREAMED = ("openai", "azure", "openai_chat", "elevenlabs", "minimax", "aws_polly", "gemini", "vertex_ai")
"""Those of them whose vendors send sound as they make it."""


@dataclass(frozen=True)
class Every:
    """``config`` of the gateway, as YAML. ``upstreams`` by vendor."""

    config: str
    upstreams: dict[str, Any]


@contextmanager
def every(folder: Path, pace: float = 0.0) -> Iterator[Every]:
    """All the simulators, with ``pace`` seconds before each piece of sound. ``folder`` is for credentials."""
    with ExitStack() as stack:
        openai, elevenlabs, minimax = (
            stack.enter_context(each) for each in (OpenAI(pause=pace), ElevenLabs(), MiniMax())
        )
        polly, gemini, vertex, chat, runway = (
            stack.enter_context(each) for each in (Polly(), Gemini(), Vertex(), Chat(), Runway())
        )
        for each in (elevenlabs, minimax, polly, gemini, vertex, chat):
            each.pace = pace
        account = folder / "service-account.json"
        account.write_text(json.dumps(vertex.service_account()))
        google = {"model": "vertex_ai/gemini-3.8-flash-tts", "vertex_project": PROJECT, "api_base": vertex.base}
        google |= {"vertex_location": "us-central1", "vertex_credentials": str(account)}
        models = {
            "openai": {"model": "openai/gpt-4o-mini-tts", "api_key": openai.key, "api_base": openai.base},
            "azure": {"model": f"azure/{DEPLOYMENT}", "api_key": openai.key, "api_base": openai.azure},
            "openai_chat": {"model": "openai_chat/gpt-audio", "api_key": chat.key, "api_base": f"{chat.base}/v1"},
            "elevenlabs": {
                "model": "elevenlabs/eleven_flash_v2_5", "api_key": elevenlabs.key, "api_base": elevenlabs.base
            },
            "minimax": {"model": "minimax/speech-2.8-hd", "api_key": minimax.key, "api_base": minimax.base},
            "aws_polly": {
                "model": "aws_polly/neural", "aws_access_key_id": polly.key, "aws_secret_access_key": polly.secret,
                "aws_region_name": REGION, "api_base": polly.base,
            },
            "gemini": {"model": "gemini/gemini-3.8-flash-tts", "api_key": gemini.key, "api_base": gemini.base},
            "vertex_ai": google,
            "vertex_ai cloud": google,
            "runwayml": {"model": "runwayml/eleven_multilingual_v2", "api_key": runway.key, "api_base": runway.base},
            "local": {"model": "local/espeak"},
            "sandbox": {"model": "sandbox/speech", "seconds": 0.05, "poll_interval": 0.02},
        }  # fmt: skip
        listed = [{"model_name": name, "litellm_params": given} for name, given in models.items()]
        upstreams = {
            "openai": openai, "azure": openai, "openai_chat": chat, "elevenlabs": elevenlabs, "minimax": minimax,
            "aws_polly": polly, "gemini": gemini, "vertex_ai": vertex, "runwayml": runway,
        }  # fmt: skip
        yield Every(json.dumps({"model_list": listed}), upstreams)
