"""What a call would cost, before it is made: nobody is asked, and no key is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway import sdk
from tests.sdk.test_functions import account, billed, notebook, script
from tests.upstreams.runway import Runway


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNWAYML_API_KEY", "RUNWAYML_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("usd", "call"),
    [
        (0.000165, {"model": "openai/tts-1", "prompt": "Hello there", "call_type": "speech"}),
        (0.000165, {"model": "tts-1", "prompt": "Hello there"}),
        (0.00033, {"model": "tts-1-hd", "custom_llm_provider": "openai", "prompt": "Hello there"}),
        (0.01, {"model": "runwayml/eleven_multilingual_v2", "prompt": "x" * 11, "call_type": "aspeech"}),
        (0.05, {"model": "runwayml/gen4_image", "size": "1280x720"}),
        (0.16, {"model": "runwayml/gen4_image", "size": "1920x1080", "n": 2, "call_type": "image_generation"}),
        (0.25, {"model": "runwayml/gen4_turbo", "seconds": 5, "call_type": "create_video"}),
        (0.25, {"model": "runwayml/gen4_turbo", "optional_params": {"seconds": "5"}, "prompt": "A lake"}),
        (0.40, {"model": "openai/sora-2"}),
        (1.10, {"model": "runwayml/gen4_turbo", "seconds": 5, "output_cost_per_video_per_second": 0.22}),
        (0.0, {"model": "local/espeak", "prompt": "Hello.", "voice": "alloy"}),
    ],
)  # fmt: skip
def test_a_cost_beforehand(usd: float, call: dict[str, Any]) -> None:
    assert notebook("completion_cost", **call) == script("completion_cost", **call) == pytest.approx(usd)


def test_it_is_what_the_vendor_then_bills(runway: Runway) -> None:
    text = "Step right up, ladies and gentlemen! " * 5
    before = gateway.completion_cost(model="runwayml/eleven_multilingual_v2", prompt=text)
    before += gateway.completion_cost(model="runwayml/gen4_image", size="1920x1080", n=2)
    answers = [
        gateway.speech("runwayml/eleven_multilingual_v2", text, "alloy", **account(runway)),
        gateway.image_generation("A lake", "runwayml/gen4_image", 2, size="1920x1080", **account(runway)),
    ]
    assert before == pytest.approx(billed(runway)) == sum(map(gateway.completion_cost, answers))


@pytest.mark.parametrize(
    ("call", "param", "said"),
    [
        ({"model": "gemini/gemini-2.5-flash-preview-tts", "prompt": "Hello."}, None, "counts input tokens and output tokens"),
        ({"model": "runwayml/gen4_turbo"}, "seconds", "counts video seconds"),
        ({"model": "scripted/ok", "prompt": "Hello."}, "model", "Give a price with the call, such as input_cost_per_character"),
        ({"model": "tts-1", "prompt": ""}, "input", ""),
        ({"model": "tts-1", "prompt": "Hello.", "messages": [{}]}, "messages", "not known here"),
        ({"model": "tts-1", "prompt": "Hello.", "call_type": "completion"}, "call_type", "must be one of"),
        ({"model": "tts-1", "prompt": "Hello.", "call_type": "create_video"}, "call_type", "makes speech"),
        ({"model": "openai/whisper-1"}, "call_type", "nothing whose cost is known before"),
        ({"model": "runwayml/gen4_turbo", "seconds": "long"}, "seconds", ""),
        ({"model": "nobody/tts", "prompt": "Hello."}, "model", ""),
        ({"completion_response": "speech.mp3", "model": "tts-1"}, "completion_response", "leave it out"),
    ],
)  # fmt: skip
def test_what_is_not_known(call: dict[str, Any], param: str | None, said: str) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        gateway.completion_cost(**call)
    assert said in str(caught.value)
    assert caught.value.param == param


def test_an_answer_with_what_litellm_is_told_again() -> None:
    answer = gateway.speech("local/espeak", "Hello.", input_cost_per_character=0.001)
    again = {"model": "espeak", "prompt": "Hello.", "call_type": "speech", "custom_llm_provider": "local"}
    assert gateway.completion_cost(answer, **again) == pytest.approx(0.006)
    with pytest.raises(sdk.BadRequestError, match="the answer knows its own cost"):
        gateway.completion_cost(answer, size="1x1")


def test_of_several_deployments_it_is_the_dearest(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("""
model_list:
  - model_name: narrator
    litellm_params: {model: local/espeak, input_cost_per_character: 0.001}
  - model_name: narrator
    litellm_params: {model: openai/tts-1, api_key: sk-nobody}
""")
    gateway.configure(config)
    assert gateway.completion_cost(model="narrator", prompt="Hello.") == pytest.approx(0.006)
