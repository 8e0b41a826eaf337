"""Routing as a client sees it, over real sockets: who answered, what that took, and what an error gives away."""

from __future__ import annotations

import asyncio
import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.record import Record
from gateway.telemetry.telling import Telling
from tests.serving import Running, config_of, serving
from tests.sound import tone

scripted = importlib.import_module("providers.scripted")

CONFIG = """
model_list:
  - {model_name: mortal-group, params: {model: scripted/mortal, order: 1}, model_info: {id: doomed}}
  - {model_name: mortal-group, params: {model: scripted/ok, order: 2}, model_info: {id: heir}}
  - {model_name: alone-in-death, params: {model: scripted/mortal}}
  - {model_name: midway-group, params: {model: scripted/breaks-midway, order: 1, chunks: 9}}
  - {model_name: midway-group, params: {model: scripted/ok, order: 2}}
  - {model_name: down-group, params: {model: scripted/down}}
  - {model_name: throttled-group, params: {model: scripted/throttled}}
  - {model_name: busy-group, params: {model: scripted/busy}}
  - {model_name: secret-spare, params: {model: scripted/ok}, model_info: {id: spare}}
  - {model_name: secret-wreck, params: {model: scripted/unavailable}}
  - {model_name: free-or-paid, params: {model: scripted/ok, tags: [free]}, model_info: {id: free}}
  - {model_name: free-or-paid, params: {model: scripted/ok, tags: [paid]}, model_info: {id: paid}}
  - {model_name: down-pictures, params: {model: scripted/task-down, tags: [a]}}
  - {model_name: drawn, params: {model: sandbox/image, tags: [a], seconds: 0.02, poll_interval: 0.01}, model_info: {id: drawn}}
  - {model_name: film, params: {model: sandbox/video, seconds: 0.02, poll_interval: 0.01}, model_info: {id: filmed}}
  - {model_name: film, params: {model: sandbox/video, seconds: 0.02, poll_interval: 0.01}, model_info: {id: other}}
router_settings:
  fallbacks: [{alone-in-death: [secret-spare]}, {throttled-group: [secret-wreck]}, {midway-group: [secret-spare]}]
  enable_tag_filtering: true
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    scripted.CALLS.clear()
    scripted.Mortal.dying = False
    with serving(config_of(f"{CONFIG}general_settings: {{data_dir: {tmp_path}}}\n")) as running:
        yield running


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    """Of every call that has ended."""
    kept: list[Record] = []
    monkeypatch.setattr(Telling, "later", lambda _self, ended: kept.append(ended.record))
    return kept


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "input": "Hello.", "voice": "v", "response_format": "pcm", **more}


def post(server: Running, model: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return httpx.post(f"{server.base}/v1/audio/speech", json=body(model, **more), headers=headers, timeout=30)


async def read_events(server: Running, model: str, seen: Callable[[str], None]) -> None:
    asked = body(model, stream_format="sse")
    async with (
        httpx.AsyncClient(base_url=server.base) as client,
        client.stream("POST", "/v1/audio/speech", json=asked) as answer,
    ):
        async for line in answer.aiter_lines():
            seen(line)


@pytest.mark.parametrize(
    ("model", "heir", "retries", "fallbacks"),
    [("mortal-group", "scripted/heir", "1", "0"), ("alone-in-death", "scripted/spare", "0", "1")],
)
async def test_the_first_deployment_dies_under_fifty_calls(
    server: Running, records: list[Record], model: str, heir: str, retries: str, fallbacks: str
) -> None:
    async with httpx.AsyncClient(base_url=server.base, timeout=60) as client:
        calls = [asyncio.create_task(client.post("/v1/audio/speech", json=body(model))) for _ in range(50)]
        while len(scripted.Mortal.waiting) < 50:  # all are under way, none has got a byte
            await asyncio.sleep(0.01)
        server.call(scripted.Mortal.kill)
        answers = await asyncio.gather(*calls)
        later = await client.post("/v1/audio/speech", json=body(model))
        rows = (await client.get("/spend/logs", params={"limit": 100})).json()
        metrics = (await client.get("/metrics")).text
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, tone(1) * 3)] * 50
    for answer in answers:
        told = answer.headers
        assert told["x-litellm-model-id"] == heir
        assert (told["x-litellm-attempted-retries"], told["x-litellm-attempted-fallbacks"]) == (retries, fallbacks)
        assert told["x-media-gateway-attempts"] == "2"
    assert scripted.CALLS["mortal"] == 50
    assert later.headers["x-media-gateway-attempts"] == "1"  # it is left alone for a while
    assert sum(record.media for record in records) == 51
    for record in records[:50]:
        assert [(each.outcome, each.sent) for each in record.attempts] == [
            ("provider_unavailable", "maybe"),
            ("ok", "yes"),
        ]
        assert record.attempts[1].deployment == heir
    first = records[0].attempts[0].deployment
    both = [first, heir]
    assert sum([each["deployment"] for each in row["attempts"]] == both for row in rows) == 50  # the ledger's words
    for name, value in (("litellm_deployment_state", 2), ("litellm_deployment_cooled_down_total", 1)):
        assert f'{name}{{api_provider="scripted",model_id="{first}"}} {value}.0' in metrics


def test_a_stream_that_dies_after_its_first_chunk_is_cut(server: Running, records: list[Record]) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        post(server, "midway-group")
    events: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(read_events(server, "midway-group", events.append))
    assert "speech.audio.delta" in events[0]
    assert '"code": "generation_failed"' in "".join(events)
    assert scripted.CALLS == {"breaks-midway": 2}
    assert [len(record.attempts) for record in records] == [1, 1]
    assert [record.code for record in records] == ["stream_broken", "stream_broken"]


async def test_a_vendor_that_is_down_gets_few_calls_more_than_are_offered(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.base, timeout=60) as client:
        slots = asyncio.Semaphore(20)

        async def one() -> httpx.Response:
            async with slots:
                return await client.post("/v1/audio/speech", json=body("down-group", num_retries=20))

        answers = await asyncio.gather(*(one() for _ in range(200)))
    assert {answer.status_code for answer in answers} == {502}
    assert 200 <= scripted.CALLS["down"] <= 1.2 * 200
    attempts = sum(int(answer.headers["x-media-gateway-attempts"]) for answer in answers)
    assert attempts == scripted.CALLS["down"]


def test_an_error_tells_what_was_tried_and_gives_no_name_away(server: Running) -> None:
    answer = post(server, "throttled-group")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "34"
    assert (answer.headers["x-litellm-attempted-fallbacks"], answer.headers["x-media-gateway-attempts"]) == ("1", "2")
    answers = [answer, post(server, "down-group"), post(server, "down-group", fallbacks=["secret-wreck"])]
    for each in (*answers, post(server, "busy-group"), post(server, "down-group", fallbacks=["nobody"])):
        assert each.status_code >= 400
        assert not any(name in each.text for name in ("secret", "-group", "scripted"))


def test_a_caller_chooses_fallbacks_retries_and_time(server: Running) -> None:
    answer = post(server, "down-group", num_retries=0, fallbacks=["secret-spare"])
    assert (answer.status_code, answer.headers["x-litellm-model-id"]) == (200, "scripted/spare")
    assert answer.headers["x-litellm-model-group"] == "secret-spare"
    assert answer.headers["x-media-gateway-fallback"] == "down-group; reason=provider_unavailable"
    answer = post(server, "busy-group", fallbacks=["secret-spare"])
    assert answer.status_code == 200
    answer = post(server, "busy-group", fallbacks=["secret-spare"], disable_fallbacks=True)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    answer = post(server, "alone-in-death", headers={"x-litellm-timeout": "0.05"}, disable_fallbacks=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
    scripted.CALLS.clear()
    post(server, "down-group", headers={"x-litellm-num-retries": "0"}, num_retries=3)
    assert scripted.CALLS == {"down": 1}


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "png")
    return out.getvalue()


def test_wishes_for_pictures_in_json_and_in_a_form(server: Running) -> None:
    asked = {"model": "down-pictures", "prompt": "A door", "size": "64x64"}
    wishes = {"num_retries": 0, "fallbacks": ["drawn"], "timeout": 30, "metadata": {"tags": ["a"]}}
    answer = httpx.post(f"{server.base}/v1/images/generations", json=asked | wishes)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-litellm-model-id"] == "sandbox/drawn"
    assert scripted.CALLS == {"task-down": 1}
    form = asked | {"num_retries": "0", "fallbacks[]": "drawn", "timeout": "30", "tags[]": "a"}
    answer = httpx.post(f"{server.base}/v1/images/edits", data=form, files={"image": ("a.png", png())})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-litellm-model-id"] == "sandbox/drawn"
    assert answer.headers["x-litellm-attempted-fallbacks"] == "1"
    form |= {"disable_fallbacks": "true"}
    answer = httpx.post(f"{server.base}/v1/images/edits", data=form, files={"image": ("a.png", png())})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unavailable")
    assert answer.headers["x-media-gateway-attempts"] == "1"


def test_a_remix_is_made_by_the_deployment_of_the_film(server: Running) -> None:
    for _ in range(4):
        film = httpx.post(f"{server.base}/v1/videos", json={"model": "film", "prompt": "A door", "seconds": 1})
        video = f"{server.base}/v1/videos/{film.json()['id']}"
        while httpx.get(video).json()["status"] != "completed":
            pass
        remix = httpx.post(f"{video}/remix", json={"prompt": "A window"})
        assert remix.status_code == 200
        assert remix.headers["x-litellm-model-id"] == film.headers["x-litellm-model-id"]


@pytest.mark.parametrize(
    ("headers", "more", "model"),
    [
        ({"x-litellm-tags": "free, else"}, {}, "free"),
        ({}, {"tags": ["paid"]}, "paid"),
        ({}, {"metadata": {"tags": ["paid"]}}, "paid"),
    ],
)
def test_tags_of_a_call(server: Running, headers: dict[str, str], more: dict[str, Any], model: str) -> None:
    for _ in range(5):
        answer = post(server, "free-or-paid", headers=headers, **more)
        assert answer.headers["x-litellm-model-id"] == f"scripted/{model}"


@pytest.mark.parametrize(
    ("headers", "more", "param"),
    [
        ({}, {"num_retries": -1}, "num_retries"),
        ({}, {"num_retries": 1.5}, "num_retries"),
        ({}, {"num_retries": True}, "num_retries"),
        ({}, {"timeout": 0}, "timeout"),
        ({}, {"timeout": "soon"}, "timeout"),
        ({}, {"timeout": [1]}, "timeout"),
        ({"x-litellm-timeout": "nan"}, {}, "x-litellm-timeout"),
        ({"x-litellm-num-retries": "1e99"}, {}, "x-litellm-num-retries"),
        ({}, {"fallbacks": "secret-spare"}, "fallbacks"),
        ({}, {"fallbacks": [{"model": "x"}]}, "fallbacks"),
        ({}, {"fallbacks": ["nobody"]}, "fallbacks"),
        ({}, {"disable_fallbacks": "perhaps"}, "disable_fallbacks"),
        ({}, {"tags": [1]}, "tags"),
        ({}, {"metadata": {"tags": "free"}}, "metadata.tags"),
        ({"x-litellm-tags": "unheard-of"}, {}, "tags"),
    ],
)
def test_wishes_that_are_wrong(server: Running, headers: dict[str, str], more: dict[str, Any], param: str) -> None:
    answer = post(server, "free-or-paid", headers=headers, **more)
    assert (answer.status_code in (400, 404), answer.json()["error"]["param"]) == (True, param)
    assert not scripted.CALLS
