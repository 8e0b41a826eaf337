"""The cache of speech over HTTP: what is kept, what is not, and that nobody is asked for what is."""

from __future__ import annotations

import base64
import importlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import openai
import pytest

from providers.runwayml import Runway as Adapter
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import Runway

scripted = importlib.import_module("providers.scripted")

CONFIG = """
model_list:
  - {{model_name: voice, params: {{model: scripted/ok}}}}
  - {{model_name: other, params: {{model: scripted/ok}}}}
  - {{model_name: dropping, params: {{model: scripted/ok, additional_drop_params: [instructions]}}}}
  - {{model_name: midway, params: {{model: scripted/breaks-midway}}}}
  - {{model_name: broken, params: {{model: scripted/breaks-first}}}}
  - {{model_name: long, params: {{model: scripted/ok, chunks: 400}}}}
router_settings: {{model_group_alias: {{tts-1: voice}}}}
litellm_settings: {{cache: true, cache_params: {{{cache}}}, fallbacks: [{{broken: [other]}}]}}
general_settings: {{data_dir: "{data}"}}
{more}
"""
HIT, MISS = "hit", "miss"


def started(data: Path, cache: str = "type: local", more: str = "") -> AbstractContextManager[Running]:
    return serving(config_of(CONFIG.format(cache=cache, data=data, more=more)))


@pytest.fixture(autouse=True)
def nobody_asked() -> None:
    scripted.Scripted.asked.clear()


@pytest.fixture(params=["local", "disk"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with started(tmp_path, f"type: {request.param}") as running:
        yield running


def asked() -> int:
    return len(scripted.Scripted.asked)


def speak(server: Running, **fields: object) -> httpx.Response:
    body = {"model": "voice", "voice": "v", "input": "Hello.", "response_format": "wav", **fields}
    return httpx.post(f"{server.base}/v1/audio/speech", json=body)


def said(answer: httpx.Response) -> str | None:
    assert answer.status_code == 200, answer.text
    return answer.headers.get("x-media-gateway-cache")


def test_the_second_call_asks_nobody(server: Running) -> None:
    first = speak(server)
    again = speak(server, model="tts-1", stream_format="audio")
    assert (said(first), said(again), asked()) == (MISS, HIT, 1)
    assert again.content == first.content
    names = ("content-type", "x-media-gateway-model", "x-media-gateway-provider", "x-litellm-cache-key")
    assert [first.headers[name] for name in names] == [again.headers[name] for name in names]
    assert len(first.headers["x-litellm-cache-key"]) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"input": "Hello!"}, {"voice": "w"}, {"response_format": "flac"}, {"speed": 1.5}, {"instructions": "softly"},
        {"model": "other"}, {"own": 1}, {"voice": {"type": "a", "of": [1]}}, {"cache": {"namespace": "mine"}},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_another_call_is_another_answer(server: Running, other: dict[str, object]) -> None:
    speak(server)
    assert [said(speak(server, **other)), said(speak(server, **other)), said(speak(server))] == [MISS, HIT, HIT]
    assert asked() == 2
    assert "cache" not in scripted.Scripted.asked[-1].extra


def test_as_events_and_through_the_sdk(server: Running) -> None:
    first = speak(server, stream_format="sse")
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key="any", max_retries=0) as client:
        whole = client.audio.speech.create(model="voice", voice="v", input="Hello.", response_format="wav")
    again = speak(server, stream_format="sse")
    assert (said(first), said(again), asked()) == (MISS, HIT, 1)

    def told(answer: httpx.Response) -> tuple[bytes, dict[str, object]]:
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        sound = b"".join(base64.b64decode(each["audio"]) for each in events[:-1])
        return sound, events[-1]

    (sound, done), (same, done_again) = told(first), told(again)
    assert sound == same == whole.content
    assert done["usage"] == done_again["usage"] == {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}
    assert done_again["x_media_gateway_cost"] == {"usd": 0.0, "certainty": "computed"}


def test_what_was_left_out_is_told_again(server: Running) -> None:
    answers = [speak(server, model="dropping", instructions="softly") for _ in range(2)]
    assert [said(answer) for answer in answers] == [MISS, HIT]
    assert [answer.headers["x-media-gateway-dropped-params"] for answer in answers] == ["instructions"] * 2


def test_half_an_answer_is_not_kept(server: Running) -> None:
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            speak(server, model="midway")
    assert asked() == 2


def test_what_a_client_did_not_wait_for_is_not_kept(server: Running) -> None:
    body = json.dumps({"model": "long", "voice": "v", "input": "Hello.", "response_format": "pcm"}).encode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(
            b"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        assert b"200 OK" in connection.recv(65_536)
    end = time.monotonic() + 10
    while scripted.Stream.live:
        assert time.monotonic() < end, "the work goes on"
        time.sleep(0.005)
    answers = [speak(server, model="long", response_format="pcm") for _ in range(2)]
    assert [said(answer) for answer in answers] == [MISS, HIT]
    assert answers[0].content == answers[1].content
    assert len(answers[0].content) == 400 * 48_000
    assert asked() == 2


def test_what_stands_in_is_not_kept(server: Running) -> None:
    answers = [speak(server, model="broken") for _ in range(2)]
    assert [said(answer) for answer in answers] == [MISS, MISS]
    assert all("x-litellm-cache-key" not in answer.headers for answer in answers)
    assert asked() == 4


def test_what_a_call_may_say(server: Running) -> None:
    assert said(speak(server, cache={"no-store": True})) == MISS
    assert said(speak(server)) == MISS
    assert said(speak(server, cache={"no-cache": True})) == MISS
    assert said(speak(server, cache={"no-store": True})) == HIT
    assert said(speak(server, cache={"s-maxage": 600, "ttl": 5})) == HIT
    assert said(speak(server, cache={"s-maxage": 0})) == MISS
    assert asked() == 4
    assert all("cache" not in request.extra for request in scripted.Scripted.asked)


@pytest.mark.parametrize(
    ("cache", "param"),
    [
        ({"ttl": 0}, "cache.ttl"),
        ({"nocache": True}, "cache.nocache"),
        ({"no-cache": "yes"}, "cache.no-cache"),
        (True, "cache"),
    ],
)
def test_what_a_call_may_not_say(server: Running, cache: object, param: str) -> None:
    answer = speak(server, cache=cache)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert asked() == 0


def test_off_unless_wanted(tmp_path: Path) -> None:
    with started(tmp_path, "mode: default_off") as server:
        assert [said(speak(server)) for _ in range(2)] == [None, None]
        wanted = {"cache": {"use-cache": True}}
        assert [said(speak(server, **wanted)), said(speak(server, **wanted)), said(speak(server))] == [MISS, HIT, None]
    text = CONFIG.format(cache="type: local", data=tmp_path, more="").replace("cache: true", "cache: false")
    with serving(config_of(text)) as server:
        assert [said(speak(server, cache={"no-cache": True})) for _ in range(2)] == [None, None]


def test_on_disk_it_is_there_after_a_restart(tmp_path: Path) -> None:
    with started(tmp_path, "type: disk") as server:
        first = speak(server)
    with started(tmp_path, "type: disk") as server:
        again = speak(server)
        assert (said(again), again.content, asked()) == (HIT, first.content, 1)
    with started(tmp_path, "type: disk, namespace: mine") as server:
        assert said(speak(server)) == MISS
    other = CONFIG.replace("{{model_name: voice, params: {{", "{{model_name: voice, params: {{chunks: 2, ")
    with serving(config_of(other.format(cache="type: disk", data=tmp_path, more=""))) as server:
        assert said(speak(server)) == MISS  # with another config it is another answer


def test_who_may_answer_is_told_apart_by_tags(tmp_path: Path) -> None:
    text = """
model_list:
  - {model_name: voice, params: {model: scripted/ok, tags: [cheap]}}
  - {model_name: voice, params: {model: scripted/ok, tags: [dear], chunks: 1}}
router_settings: {enable_tag_filtering: true}
litellm_settings: {cache: true}
"""
    with serving(config_of(text)) as server:
        answers = [speak(server, tags=[tag]) for tag in ("cheap", "dear", "cheap", "dear")]
        assert [said(answer) for answer in answers] == [MISS, MISS, HIT, HIT]
        assert len({answer.content for answer in answers}) == 2


def test_guards_come_first(tmp_path: Path) -> None:
    guard = "{guardrail: litellm_content_filter, mode: pre_call, default_on: true, blocked_words: [%s]}"
    word = guard % "{keyword: hello, action: BLOCK}"
    with started(tmp_path, "type: disk") as server:
        speak(server)
        assert said(speak(server)) == HIT
    more = f"guardrails: [{{guardrail_name: words, litellm_params: {word}}}]"
    with started(tmp_path, "type: disk", more) as server:
        assert speak(server).json()["error"]["code"] == "content_policy_violation"


def test_what_was_made_as_a_task_is_paid_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Adapter, "poll_interval", property(lambda self: 0.05, lambda self, _: None), raising=False)
    with Runway(seconds=0.05) as runway:
        text = f"""
model_list:
  - model_name: voice
    params: {{model: runwayml/eleven_v3, api_key: {runway.key}, api_base: "{runway.base}", voice: Maya}}
litellm_settings: {{cache: true}}
general_settings: {{master_key: {KEY}, data_dir: "{tmp_path}"}}
"""
        with serving(config_of(text)) as server:
            body = {"model": "voice", "input": "Hello."}
            headers = {"Authorization": f"Bearer {KEY}"}
            answers = [
                httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers, timeout=30) for _ in range(3)
            ]
            assert [said(answer) for answer in answers] == [MISS, HIT, HIT]
            assert len({answer.content for answer in answers}) == 1
            assert len(runway.ledger) == 1
            costs = [float(answer.headers["x-litellm-response-cost"]) for answer in answers]
            assert costs[0] > 0
            assert costs[1:] == [0, 0]
            rows = httpx.get(f"{server.base}/spend/logs", headers=headers).json()
            assert [(row["cache_hit"], row["spend"] > 0) for row in rows] == [
                ("True", False),
                ("True", False),
                ("False", True),
            ]
            asked = {**headers, "x-media-gateway-dry-run": "true"}  # what it would cost to have it made
            price = httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=asked).json()
            assert price["cost"]["usd"] == costs[0]
