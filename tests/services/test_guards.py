"""Hooks by import path, and what becomes of a call whose guard does not do what it should."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest

from engines.media import AudioFormat
from gateway.build import open_services
from gateway.config import parse_config
from gateway.errors import ContentRefused, GatewayError, GuardFailed, InvalidRequest
from gateway.record import Record, Who
from gateway.services.caller import Caller
from gateway.services.hooks import HookError
from providers.base.contract import ImageRequest, SpeechRequest, VideoRequest

scripted = importlib.import_module("providers.scripted")

CANARY = "CANARY-51d0"

HOOKS = f'''
import asyncio, threading
from types import SimpleNamespace

SEEN = []

def shout(text):
    SEEN.append(threading.current_thread().name)
    return text.upper()

def nothing(text):
    return None

async def quietly(text):
    return text.lower()

class Careful:
    def __call__(self, text):
        return text + "!"

careful = Careful()

def breaks(text):
    raise RuntimeError("{CANARY} " + text)

def forever(text):
    threading.Event().wait(0.5)

async def asleep(text):
    await asyncio.Event().wait()

async def cancels(text):
    raise asyncio.CancelledError

def number(text):
    return 5

def empties(text):
    return "  "

class Forbidden(Exception):
    def __init__(self, text):
        super().__init__("{CANARY} " + text)
        self.status_code = 403

def refuses(text):
    raise Forbidden(text)

class Base:
    """As LiteLLM's: every hook is there, doing nothing."""
    def __init__(self, guardrail_name=None, event_hook=None, default_on=False, **kwargs):
        SEEN.append((guardrail_name, event_hook, default_on, kwargs))
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type): pass
    async def async_moderation_hook(self, data, user_api_key_dict, call_type): pass
    async def apply_guardrail(self, inputs, request_data, input_type, logging_obj=None): return inputs

for method in (Base.async_pre_call_hook, Base.async_moderation_hook, Base.apply_guardrail):
    method.__module__ = "litellm.integrations.custom_guardrail"

class Guard(Base):
    def __init__(self, threshold, **kwargs):
        super().__init__(threshold=threshold, **kwargs)
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        SEEN.append((user_api_key_dict.key_alias, user_api_key_dict.end_user_id, cache, dict(data), call_type))
        for field in ("input", "instructions", "prompt"):
            if field in data:
                data[field] = data[field].replace("litellm", "****")
        data["model"] = "another"
        return data

class Small:
    def __init__(self, limit):
        self.limit = limit
    async def async_pre_call_hook(self, *, user_api_key_dict, cache, data, call_type):
        if len(data["input"]) > self.limit:
            return "too long"

class Answers(Base):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        return ValueError(data["input"])

class Moderates(Base):
    async def async_moderation_hook(self, data, user_api_key_dict, call_type):
        if "bad" in data["prompt"]:
            raise SimpleError

class SimpleError(Exception):
    status_code = 400

class Applies(Base):
    async def apply_guardrail(self, inputs, request_data, input_type, logging_obj=None):
        SEEN.append((dict(inputs), request_data["model"], input_type))
        return {{"texts": [text[::-1] for text in inputs["texts"]]}}

class AppliesText:
    async def apply_guardrail(self, text, language=None, entities=None, request_data=None):
        return text + str(request_data["model"])

class Faulty:
    def __init__(self):
        raise SystemError("no license")

useless = SimpleNamespace()
'''

MODELS = """
model_list:
  - {model_name: voice, params: {model: scripted/ok}}
  - {model_name: studio, params: {model: scripted/errand}}
guardrails:
"""


def entry(path: str, mode: str = "pre_call", more: str = "") -> str:
    return (
        f"  - guardrail_name: mine\n    litellm_params: {{guardrail: {path}, mode: {mode}, default_on: true{more}}}\n"
    )


async def run(folder: Path, guards: str, request: object, caller: Caller | None = None) -> Record:
    """Ask with the hooks of ``HOOKS``; what reached the provider is in ``Scripted.asked``."""
    (folder / "myhooks.py").write_text(HOOKS)
    config = parse_config(MODELS + guards, folder / "config.yaml")
    caller = caller or Caller()
    async with open_services(config) as services:
        if isinstance(request, SpeechRequest):
            speech = await services.speech.speak("voice", request, caller)
            await speech.chunks.aclose()
        elif isinstance(request, ImageRequest):
            await services.images.submit("studio", request, 1, caller)
        else:
            await services.videos.create("studio", request, caller)
    return caller.record


def seen(folder: Path) -> list[object]:
    return sys.modules["myhooks"].SEEN


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted.Scripted.asked.clear()
    monkeypatch.delitem(sys.modules, "myhooks", raising=False)


HELLO = SpeechRequest("Hello litellm", "v", AudioFormat.PCM)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("shout", "HELLO LITELLM"),
        ("nothing", "Hello litellm"),
        ("quietly", "hello litellm"),
        ("careful", "Hello litellm!"),
        ("Careful", "Hello litellm!"),
        ("Applies", "Hello litellm"[::-1]),
        ("AppliesText", "Hello litellmvoice"),
    ],
)
async def test_functions_and_classes(tmp_path: Path, path: str, text: str) -> None:
    record = await run(tmp_path, entry(f"myhooks.{path}"), HELLO)
    assert [request.text for request in scripted.Scripted.asked] == [text]
    assert record.guardrails == ("mine",)
    if path == "shout":  # a function may take its time: not on the event loop
        assert str(seen(tmp_path)[0]).startswith("guard")
    if path == "Applies":
        assert seen(tmp_path)[1:] == [({"texts": ["Hello litellm"]}, "voice", "request")]


async def test_litellm_s_hook_is_called_by_keyword(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    request = SpeechRequest("Hello litellm", "v", AudioFormat.PCM, instructions="like litellm")
    who = Who(alias="anna", end_user="eve")
    caller = Caller(record=Record("r", "/audio/speech", who=who))
    await run(tmp_path, entry("myhooks.Guard", more=", threshold: 0.5"), request, caller)
    made, called = seen(tmp_path)
    assert made == ("mine", "pre_call", True, {"threshold": 0.5})
    data = {
        "model": "voice",
        "input": "Hello litellm",
        "instructions": "like litellm",
        "user": "eve",
        "metadata": {},
    }
    assert called == ("anna", "eve", None, data, "aspeech")
    (asked,) = scripted.Scripted.asked
    assert (asked.text, asked.instructions) == ("Hello ****", "like ****")
    assert "changed model of a call: only its texts can be changed" in caplog.text


@pytest.mark.parametrize(
    ("request_", "call_type"),
    [(ImageRequest("a litellm"), "image_generation"), (VideoRequest("a litellm"), "avideo_generation")],
)
async def test_prompts_of_pictures_and_films(tmp_path: Path, request_: object, call_type: str) -> None:
    await run(tmp_path, entry("myhooks.Guard", more=", threshold: 1"), request_)
    assert [request.prompt for request in scripted.Scripted.asked] == ["a ****"]
    assert seen(tmp_path)[1][4] == call_type


async def test_the_hook_of_during_call(tmp_path: Path) -> None:
    await run(tmp_path, entry("myhooks.Moderates", "during_call"), VideoRequest("good"))
    with pytest.raises(ContentRefused) as caught:
        await run(tmp_path, entry("myhooks.Moderates", "during_call"), VideoRequest("bad"))
    assert caught.value.param == "prompt"
    assert [request.prompt for request in scripted.Scripted.asked] == ["good"]


@pytest.mark.parametrize(
    ("path", "more", "error"),
    [
        ("refuses", "", ContentRefused),
        ("Small", ", limit: 5", ContentRefused),
        ("empties", "", ContentRefused),
        ("breaks", "", GuardFailed),
        ("Answers", "", GuardFailed),
        ("number", "", GuardFailed),
        ("cancels", "", GuardFailed),
        ("forever", ", timeout: 0.01", GuardFailed),
        ("asleep", ", timeout: 0.01", GuardFailed),
    ],
)
async def test_what_a_hook_does_not_let_pass_is_not_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, more: str, error: type[GatewayError]
) -> None:
    caplog.set_level(logging.DEBUG)
    caller = Caller()
    with pytest.raises(error) as caught:
        await run(tmp_path, entry(f"myhooks.{path}", more=more), HELLO, caller)
    assert scripted.Scripted.asked == []
    assert caller.record.guardrails == ("mine",)
    assert "'mine'" in str(caught.value)
    assert (caught.value.status, caught.value.code) == {
        ContentRefused: (400, "content_policy_violation"),
        GuardFailed: (500, "guardrail_failed"),
    }[error]
    for text in (CANARY, "Hello"):
        assert text not in str(caught.value)
        assert text not in caplog.text
    if path == "breaks":
        assert "the guardrail mine failed: RuntimeError at myhooks.py:" in caplog.text


async def test_a_small_text_passes_the_small_class(tmp_path: Path) -> None:
    await run(tmp_path, entry("myhooks.Small", more=", limit: 50"), HELLO)
    assert [request.text for request in scripted.Scripted.asked] == ["Hello litellm"]


@pytest.mark.parametrize(
    ("path", "more", "why"),
    [
        ("Absent", "", "AttributeError"),
        ("useless", "", "is neither a function"),
        ("Faulty", "", "SystemError: no license"),
        ("Small", "", "missing a required argument|missing 1 required"),
        ("Small", ", limit: 5, other: 6", "unexpected keyword argument 'other'"),
    ],
)
async def test_a_hook_that_cannot_be_loaded_stops_the_start(tmp_path: Path, path: str, more: str, why: str) -> None:
    with pytest.raises(HookError, match=why) as caught:
        await run(tmp_path, entry(f"myhooks.{path}", more=more), HELLO)
    assert "'mine'" in str(caught.value)


async def test_guards_follow_each_other_in_the_order_of_the_config(tmp_path: Path) -> None:
    guards = """
  - {guardrail_name: one, litellm_params: {guardrail: myhooks.shout, mode: pre_call, default_on: true}}
  - {guardrail_name: two, litellm_params: {guardrail: myhooks.quietly, mode: pre_call}}
  - guardrail_name: three
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      blocked_words: [{keyword: hello, action: MASK}]
      keyword_redaction_tag: Goodbye
  - {guardrail_name: answers, litellm_params: {guardrail: bedrock, mode: post_call}}
"""
    record = await run(tmp_path, guards, HELLO)
    assert record.guardrails == ("one",)
    record = await run(tmp_path, guards, HELLO, Caller(guardrails=("three", "two", "answers")))
    assert record.guardrails == ("one", "two", "three")
    assert [request.text for request in scripted.Scripted.asked] == ["HELLO LITELLM", "Goodbye litellm"]
    with pytest.raises(InvalidRequest) as caught:
        await run(tmp_path, guards, HELLO, Caller(guardrails=("two", "four")))
    assert (caught.value.param, caught.value.status) == ("guardrails", 400)
    assert len(scripted.Scripted.asked) == 2


async def test_a_long_text_goes_through_the_built_in_guards_too(tmp_path: Path) -> None:
    guards = """
  - guardrail_name: words
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      default_on: true
      blocked_words: [{keyword: forbidden, action: BLOCK}]
"""
    await run(tmp_path, guards, VideoRequest("word " * 2000))
    assert len(scripted.Scripted.asked) == 1
    with pytest.raises(ContentRefused):
        await run(tmp_path, guards, VideoRequest("word " * 2000 + "FORBIDDEN"))
    assert len(scripted.Scripted.asked) == 1
