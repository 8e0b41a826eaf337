"""Fixtures shared by all tests: tiny Kokoro weights, and servers that speak."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import providers
from providers.base import registry
from tests.engines.kokoro_weights import make_weights
from tests.serving import Running, config_of, serving

# A vendor is a file in a folder: one more folder, one more vendor.
providers.__path__.append(str(Path(__file__).parent / "vendors"))
registry.names.cache_clear()

KEY = "sk-test-0123456789abcdef"

ESPEAK = """
model_list:
  - model_name: espeak
    litellm_params: {model: local/espeak}
  - model_name: robot
    litellm_params: {model: local/espeak, voice: en-gb, additional_drop_params: [instructions]}
  - model_name: lenient
    litellm_params: {model: local/espeak, drop_params: true}
  - model_name: absent
    litellm_params: {model: local/kokoro-82m, path: /nonexistent}
  - model_name: absent-too
    litellm_params: {model: local/kokoro-82m, path: /nonexistent}
router_settings:
  model_group_alias: {tts-1: absent}
litellm_settings:
  fallbacks: [{absent: [absent-too, espeak]}]
"""


@pytest.fixture(scope="session")
def kokoro_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with the hub's layout, one voice of each language and two American ones."""
    if sys.version_info >= (3, 13):
        pytest.skip("the kokoro package needs Python below 3.13")
    folder = tmp_path_factory.mktemp("kokoro")
    make_weights(folder)
    return folder


@pytest.fixture(scope="session")
def espeak_server() -> Iterator[Running]:
    """Open to everybody; eSpeak answers, also for Kokoro whose weights are not there."""
    with serving(config_of(ESPEAK)) as running:
        yield running


@pytest.fixture(scope="session")
def locked_server() -> Iterator[Running]:
    """Needs ``KEY``; two catalog routes are public."""
    text = f"{ESPEAK}\ngeneral_settings:\n  master_key: {KEY}\n  public_routes: [/v1/audio/voices]\n"
    with serving(config_of(text)) as running:
        yield running
