"""Custom loggers as LiteLLM has them: loaded from beside the config, called by keyword, never in a caller's way."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import httpx
import pytest

from gateway.config import Config, ConfigError, parse_config
from gateway.config.callbacks import Callback
from gateway.services.asking import Kind
from gateway.services.hooks import HookError
from gateway.telemetry import callbacks as runtime
from gateway.telemetry.callbacks import Callbacks
from gateway.telemetry.payload import _CALL_TYPES, HIDDEN, standard
from tests.serving import Running, serving
from tests.telemetry.records import ended, spoken

scripted = importlib.import_module("providers.scripted")

LOGGERS = """
import asyncio, queue, threading, time

SEEN = queue.Queue()
GO = threading.Event()

class Logger:
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        await asyncio.sleep(0)
        SEEN.put(("success", kwargs, response_obj, start_time, end_time, threading.current_thread().name))

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        SEEN.put(("failure", kwargs, response_obj, start_time, end_time, threading.current_thread().name))

proxy_handler_instance = Logger()

class Raises:
    async def async_log_success_event(self, **kwargs):
        raise RuntimeError("CANARY of a callback")

class Hangs:
    async def async_log_success_event(self, **kwargs):
        await asyncio.Event().wait()

class Blocks:
    async def async_log_success_event(self, **kwargs):
        GO.wait(20)

class Guarding(Logger):
    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):
        return data

class Positional:
    async def async_log_success_event(self, kwargs, response, start, end):
        SEEN.put("never")

def breaks():
    raise ValueError("at import")

class Breaks:
    def __init__(self):
        breaks()

    async_log_success_event = Logger.async_log_success_event

nothing = object()
"""
MODELS = """
model_list:
  - {model_name: voice, params: {model: scripted/ok}}
  - {model_name: full, params: {model: scripted/busy}}
  - {model_name: film, params: {model: scripted/errand}}
"""
SPEECH = {"model": "voice", "voice": "v", "input": "Say it.", "response_format": "pcm"}


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Config]:
    (tmp_path / "loggers.py").write_text(LOGGERS)

    def make(settings: str) -> Config:
        return parse_config(f"{MODELS}litellm_settings: {{{settings}}}\n", tmp_path / "config.yaml")

    return make


def say(server: Running, **more: object) -> int:
    return httpx.post(f"{server.base}/v1/audio/speech", json={**SPEECH, **more}).status_code


def module(server: Running) -> object:
    """The loggers' module, as the server has loaded it: each server loads its own."""
    [found] = [each for each in server.server._lane._telling.observers if isinstance(each, Callbacks)]
    _, method = (found._methods[False] + found._methods[True])[0]
    return method.__globals__


def test_called_as_litellm_calls(config: Callable[[str], Config]) -> None:
    with serving(config("callbacks: loggers.proxy_handler_instance")) as server:
        seen = module(server)["SEEN"]
        headers = {"user-agent": "a-client/1", "x-request-id": "call-1"}
        answer = httpx.post(f"{server.base}/v1/audio/speech", json=SPEECH, headers=headers)
        kind, kwargs, response, start, end, thread = seen.get(timeout=10)
        payload = kwargs["standard_logging_object"]
        assert (kind, thread) == ("success", "callbacks")
        assert (kwargs["model"], kwargs["litellm_call_id"], kwargs["call_type"]) == ("voice", "call-1", "aspeech")
        assert response == payload["response"] == {"object": "binary", "num_bytes": len(answer.content)}
        assert (end - start).total_seconds() == pytest.approx(payload["response_time"], abs=0.001)
        assert payload["startTime"] <= payload["completionStartTime"] <= payload["endTime"]
        assert (payload["status"], payload["custom_llm_provider"]) == ("success", "scripted")
        assert payload["model_id"] == "scripted/ok@voice"
        assert (payload["user_agent"], payload["requester_ip_address"]) == ("a-client/1", "127.0.0.1")
        assert payload["messages"] == [{"role": "user", "content": HIDDEN}]
        assert payload["error_str"] is payload["error_information"] is payload["response_cost"] is None
        assert "exception" not in kwargs
        assert say(server, model="full") == 429
        kind, kwargs, *_ = seen.get(timeout=10)
        payload = kwargs["standard_logging_object"]
        assert (kind, payload["status"], payload["model_group"]) == ("failure", "failure", "full")
        assert payload["error_information"]["error_code"] == "429"
        assert payload["error_information"]["error_class"] == payload["error_str"] == "engine_overloaded"
        assert (kwargs["exception"].status_code, str(kwargs["exception"])) == (429, "engine_overloaded")
        httpx.post(f"{server.base}/v1/videos", json={"model": "film", "prompt": "A film"})
        assert seen.get(timeout=10)[1]["call_type"] == "avideo_generation"
        httpx.get(f"{server.base}/v1/models")
        assert seen.empty()


def test_texts_where_the_config_says_so(config: Callable[[str], Config]) -> None:
    with serving(config("callbacks: [loggers.Logger], turn_off_message_logging: false")) as server:
        seen = module(server)["SEEN"]
        say(server)
        payload = seen.get(timeout=10)[1]["standard_logging_object"]
        assert payload["messages"] == [{"role": "user", "content": "Say it."}]
        say(server, model="full")
        assert seen.get(timeout=10)[1]["standard_logging_object"]["error_str"] == "engine_overloaded: full"


def test_one_for_successes_and_one_for_failures(config: Callable[[str], Config]) -> None:
    settings = "success_callback: [loggers.Logger], failure_callback: loggers.proxy_handler_instance"
    with serving(config(settings)) as server:
        [found] = [each for each in server.server._lane._telling.observers if isinstance(each, Callbacks)]
        assert {failed: [path for path, _ in each] for failed, each in found._methods.items()} == {
            False: ["loggers.Logger"],
            True: ["loggers.proxy_handler_instance"],
        }


def test_what_breaks_or_hangs_is_logged_and_nothing_else(
    config: Callable[[str], Config], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "TIMEOUT", 0.05)
    bad = "loggers.Raises, loggers.Positional, loggers.Hangs, loggers.Logger"
    with serving(config(f"callbacks: [{bad}]")) as server:
        assert say(server) == 200
        [found] = [each for each in server.server._lane._telling.observers if isinstance(each, Callbacks)]
        last = found._methods[False][-1][1].__globals__["SEEN"]
        assert last.get(timeout=10)[0] == "success"
        text = httpx.get(f"{server.base}/metrics").text
        assert "media_gateway_callbacks_failed_total 3.0" in text
    assert "the callback loggers.Raises failed: RuntimeError" in caplog.text
    assert "the callback loggers.Positional failed: TypeError" in caplog.text
    assert "the callback loggers.Hangs failed: it took more than 0.05 s" in caplog.text


def test_one_that_blocks_its_thread_holds_nobody_up(
    config: Callable[[str], Config], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "WAITING", 3)
    with serving(config("callbacks: [loggers.Blocks]")) as server:
        assert [say(server) for _ in range(7)] == [200] * 7
        assert "media_gateway_callbacks_dropped_total 4.0" in httpx.get(f"{server.base}/metrics").text
        module(server)["GO"].set()
    assert "they were not told of 4 calls so far" in caplog.text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("loggers.nobody", "AttributeError"),
        ("loggers.Breaks", "ValueError: at import"),
        ("loggers.nothing", "neither async_log_success_event nor async_log_failure_event"),
    ],
)
async def test_what_cannot_be_loaded_ends_the_start(config: Callable[[str], Config], name: str, why: str) -> None:
    made = Callbacks(config(f"callbacks: [{name}]").litellm.callbacks, config("").path.parent)
    with pytest.raises(HookError, match=why):
        await made.load()
    await made.close()


async def test_hooks_for_guards_are_pointed_out(
    config: Callable[[str], Config], caplog: pytest.LogCaptureFixture
) -> None:
    made = Callbacks([Callback("loggers.Guarding")], config("").path.parent)
    await made.load()
    await made.close()
    assert "async_pre_call_hook of loggers.Guarding is not called here" in caplog.text


def test_names_in_the_config(config: Callable[[str], Config]) -> None:
    found = config("callbacks: [prometheus, langfuse, loggers.Logger], success_callback: s3")
    assert found.litellm.callbacks == (Callback("loggers.Logger"),)
    told = [
        str(each).partition("warning: ")[2].partition(" is built in here: nobody is told")[0] for each in found.warnings
    ]
    assert told == [
        "litellm_settings.callbacks[1]: no callback 'langfuse'",
        "litellm_settings.success_callback: no callback 's3'",
    ]
    for bad in ("callbacks: [missing_module.x]", "callbacks: {a: b}", "callbacks: [5]", "json_logs: perhaps"):
        with pytest.raises(ConfigError):
            config(bad)


def test_the_payload_of_a_call_with_everything() -> None:
    payload = standard(spoken(), texts=True)
    assert (payload["prompt_tokens"], payload["completion_tokens"], payload["total_tokens"]) == (3, 40, 43)
    assert payload["metadata"]["user_api_key_alias"] == "team-a"
    assert payload["metadata"]["user_api_key_hash"] == "ab" * 32
    assert (payload["end_user"], payload["request_tags"]) == ("customer-1", ["t"])
    assert payload["media_gateway"]["characters"] == 11
    assert [each["outcome"] for each in payload["media_gateway"]["attempts"]] == ["provider_unavailable", "ok"]
    edit = ended("image")
    edit.record.route = "/v1/images/edits"
    assert standard(edit, texts=False)["call_type"] == "aimage_edit"
    assert logging.getLogger("gateway").handlers == []


def test_every_kind_of_call_has_a_name_of_litellm_s() -> None:
    assert set(get_args(Kind)) == set(_CALL_TYPES)
