"""LiteLLM's page on speech by RunwayML."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import aspeech, completion_cost, sdk, speech
from tests.seeds.conftest import KEYED, Shell
from tests.serving import Running, config_of, serving
from tests.sound import hear
from tests.upstreams.runway import Runway

YAML = """
model_list:
  - model_name: runway-tts
    litellm_params:
      model: runwayml/eleven_multilingual_v2
      api_key: os.environ/RUNWAYML_API_KEY
"""
TOASTER = (
    "Step right up, ladies and gentlemen! Have you ever wished for a toaster that's not just a toaster "
    "but a marvel of modern ingenuity?"
)
MAPPINGS = {
    "alloy": "Maya",
    "echo": "James",
    "fable": "Bernard",
    "onyx": "Vincent",
    "nova": "Serene",
    "shimmer": "Ella",
}
PRESETS = """
    Maya Arjun Serene Bernard Billy Mark Clint Mabel Chad Leslie Eleanor Elias Elliot Grungle Brodie Sandra Kirk Kylie
    Lara Lisa Malachi Marlene Martin Miriam Monster Paula Pip Rusty Ragnar Xylar Maggie Jack Katie Noah James Rina Ella
    Mariah Frank Claudia Niki Vincent Kendrick Myrna Tom Wanda Benjamin Kiana Rachel
""".split()


@pytest.fixture(scope="module")
def proxy(runway: Runway) -> Iterator[Running]:
    with serving(config_of(YAML + KEYED)) as running:
        yield running


def asked(runway: Runway) -> dict[str, Any]:
    """The last order that the vendor took."""
    body: dict[str, Any] = runway.ledger[-1]["body"]
    return body


def preset(name: str) -> dict[str, str]:
    return {"type": "runway-preset", "presetId": name}


def test_quick_start(runway: Runway, tmp_path: Path) -> None:
    response = speech(
        model="runwayml/eleven_multilingual_v2",
        input=TOASTER,
        voice="alloy",
    )
    with (tmp_path / "output.mp3").open("wb") as f:
        f.write(response.content)
    assert hear((tmp_path / "output.mp3").read_bytes(), "mp3").seconds > 1
    assert asked(runway) == {
        "model": "eleven_multilingual_v2",
        "promptText": TOASTER,
        "voice": preset("Maya"),
    }


def test_authentication(runway: Runway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is read at each call, so a program may set it when it is running already."""
    monkeypatch.delenv("RUNWAYML_API_KEY")
    with pytest.raises(sdk.AuthenticationError, match="Give api_key"):
        speech(model="runwayml/eleven_multilingual_v2", input="Hello, world!", voice="alloy")
    monkeypatch.setitem(os.environ, "RUNWAYML_API_KEY", str(runway.key))
    assert speech(model="runwayml/eleven_multilingual_v2", input="Hello, world!", voice="alloy").content
    assert runway.ledger[-1]["key"] == runway.key


def test_supported_parameters(runway: Runway) -> None:
    """``voice`` is a name of OpenAI's, a preset, or the vendor's own object; ``model`` and ``input`` are texts."""
    for voice, meant in (("echo", "James"), ("Rachel", "Rachel"), (preset("Xylar"), "Xylar")):
        assert speech(model="runwayml/eleven_multilingual_v2", input="Hello, world!", voice=voice).content
        assert asked(runway)["voice"] == preset(meant)
    made = len(runway.ledger)
    for wrong, param in (({"model": ""}, "model"), ({"input": ""}, "input"), ({"voice": "Nobody"}, "voice")):
        with pytest.raises(sdk.BadRequestError) as caught:
            speech(**{"model": "runwayml/eleven_multilingual_v2", "input": "Hello, world!", "voice": "alloy", **wrong})
        assert caught.value.param == param
    assert len(runway.ledger) == made


def test_openai_voice_names(runway: Runway) -> None:
    response = speech(
        model="runwayml/eleven_multilingual_v2",
        input="Hello, world!",
        voice="alloy",
    )
    assert response.content
    assert asked(runway)["voice"] == preset("Maya")


def test_preset_names(runway: Runway) -> None:
    response = speech(
        model="runwayml/eleven_multilingual_v2",
        input="Hello, world!",
        voice="Maya",
    )
    assert response.content
    assert asked(runway)["voice"] == preset("Maya")
    response = speech(
        model="runwayml/eleven_multilingual_v2",
        input="Step right up, ladies and gentlemen!",
        voice="Bernard",
    )
    assert response.content
    assert asked(runway)["voice"] == preset("Bernard")


def test_the_six_mappings_and_every_preset(runway: Runway) -> None:
    """All at once, each with a text of its own."""
    assert len(set(PRESETS)) == 49
    meant = MAPPINGS | {name: name for name in PRESETS}

    async def every() -> list[Any]:
        model = "runwayml/eleven_multilingual_v2"
        return await asyncio.gather(*(aspeech(model=model, input=f"I am {name}.", voice=name) for name in meant))

    answers = asyncio.run(every())
    assert all(answer.content for answer in answers)
    spoken = {entry["body"]["promptText"]: entry["body"]["voice"] for entry in runway.ledger}
    assert {name: spoken[f"I am {name}."] for name in meant} == {name: preset(to) for name, to in meant.items()}


def test_async_usage(runway: Runway, tmp_path: Path) -> None:
    async def generate_speech() -> None:
        response = await aspeech(
            model="runwayml/eleven_multilingual_v2",
            input="This is an asynchronous text-to-speech request.",
            voice="nova",
        )
        (tmp_path / "output.mp3").write_bytes(response.content)

    asyncio.run(generate_speech())
    assert hear((tmp_path / "output.mp3").read_bytes(), "mp3").seconds > 1
    assert asked(runway)["voice"] == preset("Serene")


def test_proxy_config(proxy: Running) -> None:
    """It stands alone: no part of it is warned of."""
    (entry,) = (config := config_of(YAML)).models
    assert (entry.model_name, entry.vendor, entry.model) == ("runway-tts", "runwayml", "eleven_multilingual_v2")
    assert not config.warnings


@pytest.mark.parametrize(
    ("text", "voice", "meant"),
    [
        ("Hello from the LiteLLM proxy!", "alloy", "Maya"),
        ("Hello with a custom RunwayML voice!", "Bernard", "Bernard"),
    ],
)
def test_proxy_requests(proxy: Running, runway: Runway, shell: Shell, text: str, voice: str, meant: str) -> None:
    sound = shell(f"""curl --location '{proxy.base}/v1/audio/speech' \\
--header 'Content-Type: application/json' \\
--header 'x-litellm-api-key: sk-1234' \\
--data '{{
    "model": "runwayml/eleven_multilingual_v2",
    "input": "{text}",
    "voice": "{voice}"
}}'""")
    assert hear(sound, "mp3").seconds > 1
    assert asked(runway) == {"model": "eleven_multilingual_v2", "promptText": text, "voice": preset(meant)}


def test_supported_models(proxy: Running) -> None:
    """The model goes by the name of the table too, beside that of the config, and the route without its version."""
    headers = {"x-litellm-api-key": "sk-1234", "x-media-gateway-dry-run": "true"}
    for name in ("runwayml/eleven_multilingual_v2", "runway-tts"):
        body = {"model": name, "input": "Hello, world!", "voice": "alloy"}
        answer = httpx.post(f"{proxy.base}/audio/speech", json=body, headers=headers)
        assert answer.json()["cost"]["usd"] == 0.01


def test_cost_tracking(runway: Runway) -> None:
    response = speech(
        model="runwayml/eleven_multilingual_v2",
        input="Hello, world!",
        voice="alloy",
    )
    cost = completion_cost(completion_response=response)
    assert cost == pytest.approx(runway.ledger[-1]["credits"] / 100)
