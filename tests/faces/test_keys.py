"""Virtual keys as callers and whoever runs the gateway meet them: real server, real sockets, real command line."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.app import create_app
from tests.conftest import KEY
from tests.faces.test_command_line import run
from tests.faces.test_edits_sdk import drawn
from tests.serving import Running, config_of, serving

CONFIG = """
model_list:
  - {{model_name: picture, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}}}
  - {{model_name: bad-picture, params: {{model: sandbox/image-fails, seconds: 0.02, poll_interval: 0.02}}}}
  - {{model_name: late-picture, params: {{model: sandbox/image, seconds: 600}}}}
  - {{model_name: film, params: {{model: sandbox/video, seconds: 0.1, poll_interval: 0.02}}}}
  - {{model_name: espeak, params: {{model: local/espeak}}}}
  - {{model_name: dear-picture, params: {{model: sandbox/image, seconds: 0.05, poll_interval: 0.02}},
      model_info: {{output_cost_per_image: 0.5}}}}
  - {{model_name: dear-voice, params: {{model: local/espeak}}, model_info: {{input_cost_per_character: 0.01}}}}
  - {{model_name: unpriced, params: {{model: scripted/voice}}}}
  - {{model_name: voice, params: {{model: sandbox/speech, seconds: 0.02, poll_interval: 0.02}}}}
router_settings:
  model_group_alias: {{tts-1: espeak}}
{more}
general_settings:
  data_dir: {data}
  task_timeout: 20
  master_key: {key}
  litellm_key_header_name: X-Our-Key
  user_header_name: X-Our-User
"""
MASTER = {"authorization": f"Bearer {KEY}"}
SPEECH = {"model": "espeak", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}
PICTURE = {"model": "picture", "prompt": "A lighthouse", "size": "64x64"}
DOT = "data:image/png;base64," + base64.b64encode(drawn()).decode()
EDIT = PICTURE | {"images": [{"image_url": DOT}]}
FILM = {"model": "film", "prompt": "A lighthouse", "size": "64x64", "seconds": 1}


def config_text(data: Path, more: str = "") -> str:
    return CONFIG.format(data=data, key=KEY, more=more)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Running]:
    with serving(config_of(config_text(data))) as running:
        yield running


@pytest.fixture(scope="module")
def config_file(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    # The command line runs by itself, without the tests' own vendor.
    path.write_text(re.sub(r"  - {model_name: unpriced.*\n", "", config_text(data)))
    return path


def admin(server: Running, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.base}/key/{path}", json=body, headers=MASTER)


def make(server: Running, **fields: Any) -> str:
    answer = admin(server, "generate", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["key"]


def post(server: Running, path: str, key: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(f"{server.base}/v1/{path}", json=body, headers={"authorization": f"Bearer {key}"} | headers)


def info(server: Running, key: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.base}/key/info", headers={"x-api-key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()["info"]


def code(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


# Each route as it is called; what the key gets that made {video}, another key, the master key (which made {other}).
USER_ROUTES = [
    ("POST", "/v1/audio/speech", SPEECH, 200, 200, 200),
    ("POST", "/audio/speech", SPEECH, 200, 200, 200),
    ("POST", "/v1/audio/transcriptions", {"model": "espeak"}, 400, 400, 400),
    ("POST", "/v1/audio/translations", {"model": "espeak"}, 400, 400, 400),
    ("POST", "/v1/images/generations", PICTURE, 200, 200, 200),
    ("POST", "/v1/images/edits", EDIT, 200, 200, 200),
    ("POST", "/v1/images/variations", {}, 400, 400, 400),
    ("POST", "/v1/videos", FILM, 200, 200, 200),
    ("GET", "/v1/videos", None, 200, 200, 200),
    ("GET", "/v1/videos/{video}", None, 200, 404, 404),
    ("GET", "/v1/videos/{video}/content", None, 200, 404, 404),
    ("POST", "/v1/videos/{video}/remix", {"prompt": "At dawn"}, 200, 404, 404),
    ("DELETE", "/v1/videos/{other}", None, 404, 404, 200),
    ("POST", "/v1/videos/edits", {"prompt": "x", "video": {"id": "{video}"}}, 400, 404, 404),
    ("POST", "/v1/videos/extensions", {"prompt": "x", "video": {"id": "{video}"}}, 400, 404, 404),
    ("POST", "/v1/videos/characters", {"name": "x", "video": "{video}"}, 400, 404, 404),
    ("GET", "/v1/videos/characters/x", None, 404, 404, 404),
    ("GET", "/v1/models", None, 200, 200, 200),
    ("GET", "/v1/models/espeak", None, 200, 200, 200),
    ("GET", "/v1/model/info", None, 200, 200, 200),
    ("GET", "/v1/model_group/info", None, 200, 200, 200),
    ("GET", "/v1/audio/voices", None, 200, 200, 200),
    ("GET", "/v1/audio/models", None, 200, 200, 200),
    ("GET", "/key/info", None, 200, 200, 400),
]
ADMIN_ROUTES = [
    ("GET", "/health", None, 403, 403, 200),
    ("GET", "/spend/logs", None, 403, 403, 200),
    ("GET", "/spend/keys", None, 403, 403, 200),
    ("GET", "/spend/users", None, 403, 403, 200),
    ("GET", "/spend/tags", None, 403, 403, 200),
    ("GET", "/global/spend", None, 403, 403, 200),
    ("POST", "/key/generate", {}, 403, 403, 200),
    ("POST", "/key/update", {"key": "{spare}", "rpm_limit": 5}, 403, 403, 200),
    ("POST", "/key/block", {"key": "{spare}"}, 403, 403, 200),
    ("POST", "/key/unblock", {"key": "{spare}"}, 403, 403, 200),
    ("GET", "/key/list", None, 403, 403, 200),
    ("GET", "/key/info?key={spare}", None, 403, 403, 200),
    ("GET", "/readyz?verbose", None, 403, 403, 200),
    ("GET", "/metrics", None, 403, 403, 200),
    ("GET", "/metrics/", None, 403, 403, 200),
    ("POST", "/key/delete", {"keys": ["{spare}"]}, 403, 403, 200),
]
OPEN_ROUTES = ["/livez", "/readyz", "/docs", "/openapi.json"]


@pytest.fixture(scope="module")
def callers(server: Running) -> dict[str, str]:
    """Keys of every kind, and the names that stand in the routes."""
    keys = {"owner": make(server), "other": make(server), "blocked": make(server), "expired": make(server)}
    admin(server, "block", key=keys["blocked"])
    assert admin(server, "update", key=keys["expired"], duration="1s").status_code == 200
    video = post(server, "videos", keys["owner"], FILM).json()["id"]
    other = post(server, "videos", KEY, FILM).json()["id"]
    deadline = time.monotonic() + 20
    while httpx.get(f"{server.base}/key/info", headers={"x-api-key": keys["expired"]}).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while post_status(server, keys["owner"], video) != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return keys | {"video": video, "other_video": other, "spare": make(server)}


def post_status(server: Running, key: str, video: str) -> str:
    return httpx.get(f"{server.base}/v1/videos/{video}", headers={"x-api-key": key}).json()["status"]


def ask(server: Running, route: tuple[Any, ...], callers: dict[str, str], key: str | None) -> httpx.Response:
    method, path, body = route[:3]
    names = {"video": callers["video"], "other": callers["other_video"], "spare": callers["spare"]}
    path = path.format(**names)
    if body is not None:
        text = json.dumps(body).replace("{spare}", names["spare"])
        body = json.loads(text.replace("{video}", names["video"]))
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.request(method, server.base + path, headers=headers, json=body)


REFUSED = [
    (None, "invalid_api_key"),
    ("sk-wrong", "invalid_api_key"),
    ("blocked", "key_blocked"),
    ("expired", "expired_key"),
]


@pytest.mark.parametrize("route", [*USER_ROUTES, *ADMIN_ROUTES], ids=lambda route: f"{route[0]} {route[1]}")
def test_who_may_call_what(server: Running, callers: dict[str, str], route: tuple[Any, ...]) -> None:
    for name, expected in REFUSED:
        key = callers.get(name, name) if name else None
        answer = ask(server, route, callers, key)
        assert (answer.status_code, code(answer)) == (401, expected), name
        assert key is None or key not in answer.text
    for name, expected in zip((callers["owner"], callers["other"], KEY), route[3:], strict=True):
        answer = ask(server, route, callers, name)
        assert answer.status_code == expected
        assert expected != 403 or code(answer) == "admin_only"


def test_the_table_has_every_route() -> None:
    lane = create_app(config_of(config_text(Path("/nonexistent"))))
    there = {path for path in lane._routes if not path.startswith("/v1/")}
    there |= {route.path for route in lane._app.routes if not route.path.startswith("/v1/")}
    asked = [route[1].partition("?")[0].removeprefix("/v1") for route in [*USER_ROUTES, *ADMIN_ROUTES]]
    missing = {path for path in there if not any(re.fullmatch(re.sub(r"{[^}]*}", ".+", path), each) for each in asked)}
    assert missing == {"/livez", "/docs", "/openapi.json", "/docs/oauth2-redirect", "/redoc"} | {
        each for each in there if "/health/" in each
    }


@pytest.mark.parametrize("path", OPEN_ROUTES)
def test_open_routes_need_none(server: Running, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer sk-wrong"}):
        assert httpx.get(server.base + path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "x-litellm-api-key",
        "authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "x-our-key",
    ],
)
def test_every_spelling_of_the_header(server: Running, callers: dict[str, str], header: str) -> None:
    for key in (KEY, callers["owner"]):
        assert httpx.get(f"{server.base}/v1/models", headers={header: f"Bearer {key}"}).status_code == 200
    assert httpx.get(f"{server.base}/v1/models", headers={header: "Bearer sk-wrong"}).status_code == 401


def test_the_life_of_a_key(server: Running) -> None:
    answer = admin(server, "generate", key_alias="life", models=["espeak"], max_images=3, metadata={"a": 1}, tags=["t"])
    made = answer.json()
    assert made["key"].startswith("sk-")
    assert len(made["key"]) == 46
    assert made["key_name"] == f"sk-...{made['key'][-4:]}"
    assert made["token"] == made["token_id"] != made["key"]
    assert (made["models"], made["max_images"], made["metadata"], made["tags"]) == (["espeak"], 3, {"a": 1}, ["t"])
    assert made["expires"] is None
    again = admin(server, "generate", key_alias="life")
    assert (again.status_code, code(again)) == (400, "key_exists")
    changed = admin(server, "update", key=made["token"], max_images=None, rpm_limit=7, duration="1h").json()
    assert (changed["max_images"], changed["rpm_limit"], changed["models"]) == (None, 7, ["espeak"])
    assert changed["expires"] is not None
    assert admin(server, "update", key=made["token"], duration="-1").json()["expires"] is None
    listed = httpx.get(f"{server.base}/key/list?key_alias=life&return_full_object=true", headers=MASTER).json()
    assert [each["token"] for each in listed["keys"]] == [made["token"]]
    assert (listed["total_count"], listed["total_pages"]) == (1, 1)
    page = httpx.get(f"{server.base}/key/list?size=1&page=2", headers=MASTER).json()
    assert len(page["keys"]) == 1
    assert page["current_page"] == 2
    assert admin(server, "delete", key_aliases=["life"]).json() == {"deleted_keys": [made["token"]]}
    assert post(server, "audio/speech", made["key"], SPEECH).status_code == 401
    for path in ("update", "block"):
        gone = admin(server, path, key=made["token"])
        assert (gone.status_code, code(gone)) == (404, "key_not_found")


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"max_imagse": 1}, "max_imagse", "unknown_parameter"),
        ({"tpm_limit": 100}, "tpm_limit", "unsupported_parameter"),
        ({"allowed_routes": ["/x"]}, "allowed_routes", "unsupported_parameter"),
        ({"max_images": -1}, "max_images", "decimal_below_min_value"),
        ({"rpm_limit": 1.5}, "rpm_limit", "invalid_type"),
        ({"budget_duration": "monthly"}, "budget_duration", "invalid_value"),
        ({"duration": "tomorrow"}, "duration", "invalid_value"),
        ({"models": "espeak"}, "models", "invalid_type"),
        ({"key": "short"}, "key", "invalid_value"),
    ],
)
def test_faulty_fields(server: Running, fields: dict[str, Any], param: str, said: str) -> None:
    answer = admin(server, "generate", **fields)
    assert answer.status_code == 400, answer.text
    assert (answer.json()["error"]["param"], code(answer)) == (param, said)


def test_litellm_s_empty_fields_are_no_fields(server: Running) -> None:
    key = make(server, aliases={}, permissions={}, config={}, tpm_limit=None, spend=0, guardrails=[])
    assert post(server, "audio/speech", key, SPEECH).status_code == 200


def test_a_key_that_exists_elsewhere_is_taken_over(server: Running) -> None:
    own = "sk-taken-over-0123456789abcdefghijkl"
    assert make(server, key=own) == own
    assert post(server, "audio/speech", own, SPEECH).status_code == 200
    assert admin(server, "generate", key=own).status_code == 400
    master = admin(server, "generate", key=KEY)
    assert master.status_code == 400
    assert KEY not in master.text


def test_models_that_a_key_may_not_use(server: Running) -> None:
    key = make(server, models=["espeak", "pict*"])
    for path, body in (("videos", FILM), ("audio/speech", SPEECH | {"model": "nothing"})):
        answer = post(server, path, key, body)
        assert (answer.status_code, code(answer)) == (403, "key_model_access_denied")
        assert body["model"] in answer.json()["error"]["message"]
        assert answer.json()["error"]["param"] == "model"
    assert post(server, "audio/speech", key, SPEECH | {"model": "tts-1"}).status_code == 200  # what it stands for
    assert post(server, "images/generations", key, PICTURE).status_code == 200
    headers = {"authorization": f"Bearer {key}"}
    listed = httpx.get(f"{server.base}/v1/models", headers=headers).json()["data"]
    assert [each["id"] for each in listed] == ["picture", "espeak", "tts-1"]
    assert httpx.get(f"{server.base}/v1/models/film", headers=headers).status_code == 404
    assert httpx.get(f"{server.base}/v1/models/espeak", headers=headers).status_code == 200
    speaking = httpx.get(f"{server.base}/v1/audio/models", headers=headers).json()["models"]
    assert [each["id"] for each in speaking] == ["espeak", "tts-1"]
    voices = httpx.get(f"{server.base}/v1/audio/voices", headers=headers).json()["voices"]
    assert {name for each in voices for name in each["models"]} == {"espeak"}
    only = make(server, models=["tts-1"])  # an alias alone
    assert post(server, "audio/speech", only, SPEECH).status_code == 403
    assert post(server, "audio/speech", only, SPEECH | {"model": "tts-1"}).status_code == 200


async def test_two_hundred_at_once_against_a_budget_for_one(server: Running) -> None:
    key = make(server, max_images=1)
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(limits=limits, timeout=60, headers={"authorization": f"Bearer {key}"}) as client:
        answers = await asyncio.gather(
            *(client.post(f"{server.base}/v1/images/generations", json=PICTURE) for _ in range(200))
        )
    assert sorted({answer.status_code for answer in answers}) == [200, 429]
    assert sum(answer.status_code == 200 for answer in answers) == 1
    for answer in answers:
        if answer.status_code == 429:
            error = answer.json()["error"]
            assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
            assert answer.headers["x-should-retry"] == "false"
    assert info(server, key)["images"] == 1


async def test_one_call_in_many_tries_is_made_and_paid_once(server: Running) -> None:
    for path, body in (("images/generations", PICTURE), ("audio/speech", SPEECH | {"model": "voice"})):
        key = make(server, max_images=20, max_characters=1000)  # whose budget has not been asked for yet
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "the-one"}
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            answers = await asyncio.gather(*(client.post(f"{server.base}/v1/{path}", json=body) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}
        told = info(server, key)
        assert (told["images"], told["characters"]) in ((1, 0), (0, len(SPEECH["input"])))


def test_the_sdk_does_not_try_again_without_quota(server: Running) -> None:
    key = make(server, max_characters=5)
    with (
        openai.OpenAI(base_url=f"{server.base}/v1", api_key=key, max_retries=3) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.audio.speech.create(model="espeak", voice="alloy", input="Too long.")
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert caught.value.code == "insufficient_quota"


def test_calls_a_minute_and_at_once(server: Running) -> None:
    key = make(server, rpm_limit=2)
    answers = [post(server, "audio/speech", key, SPEECH) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert code(answers[2]) == "rate_limit_exceeded"
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    assert "x-should-retry" not in answers[2].headers
    none = make(server, max_parallel_requests=0)
    answer = post(server, "audio/speech", none, SPEECH)
    assert (answer.status_code, code(answer)) == (429, "rate_limit_exceeded")
    one = make(server, max_parallel_requests=1)
    assert [post(server, "audio/speech", one, SPEECH).status_code for _ in range(2)] == [200, 200]


def test_speech_counts_its_characters_and_its_seconds(server: Running) -> None:
    key = make(server, max_characters=30, max_audio_seconds=100)
    answer = post(server, "audio/speech", key, SPEECH)
    heard = (len(answer.content) - 44) / 48_000
    told = info(server, key)
    assert told["characters"] == len(SPEECH["input"])
    assert told["audio_seconds"] == pytest.approx(heard, abs=0.1)
    assert (told["spend"], told["unpriced_calls"]) == (0, 0)
    assert post(server, "audio/speech", key, SPEECH | {"input": "x" * 19}).status_code == 429
    assert post(server, "audio/speech", key, SPEECH | {"input": "Eighteen letters !"}).status_code == 200
    assert info(server, key)["characters"] == 30
    tasked = post(server, "audio/speech", make(server), SPEECH | {"model": "voice"})
    assert tasked.status_code == 200, tasked.text


def test_who_hangs_up_in_the_middle_has_paid_the_text(server: Running) -> None:
    key = make(server, max_characters=5000)
    text = "A sentence that goes on for a while. " * 100
    body = SPEECH | {"input": text, "response_format": "pcm"}
    headers = {"authorization": f"Bearer {key}"}
    with httpx.stream("POST", f"{server.base}/v1/audio/speech", json=body, headers=headers) as answer:
        assert next(answer.iter_bytes())
    deadline = time.monotonic() + 20
    while not info(server, key)["characters"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    told = info(server, key)
    assert told["characters"] == len(text)
    assert 0 < told["audio_seconds"] < len(text) / 10


def test_videos_count_their_seconds(server: Running) -> None:
    key = make(server, max_video_seconds=5)
    assert post(server, "videos", key, FILM | {"seconds": 4}).status_code == 200
    assert post(server, "videos", key, FILM | {"seconds": 2}).status_code == 429
    answer = post(server, "videos", key, {name: value for name, value in FILM.items() if name != "seconds"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seconds")
    assert info(server, key)["video_seconds"] == 4


def test_a_remix_is_paid_like_a_film(server: Running) -> None:
    key = make(server, max_video_seconds=2, rpm_limit=4)
    film = post(server, "videos", key, FILM).json()["id"]
    deadline = time.monotonic() + 20
    while post_status(server, key, film) != "completed":  # looking costs nothing
        assert time.monotonic() < deadline
        time.sleep(0.02)
    answers = [post(server, f"videos/{film}/remix", key, {"prompt": "At dawn"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 429]
    assert [code(answer) for answer in answers[1:]] == ["insufficient_quota"] * 2 + ["rate_limit_exceeded"]
    assert info(server, key)["video_seconds"] == 2


def test_what_fails_is_given_back_and_what_is_refused_never_counts(server: Running) -> None:
    key = make(server, max_images=1)
    assert post(server, "images/generations", key, PICTURE | {"model": "bad-picture"}).status_code >= 400
    deadline = time.monotonic() + 20
    while info(server, key)["images"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert post(server, "images/generations", key, PICTURE | {"size": "1x1"}).status_code == 400
    assert post(server, "images/generations", key, PICTURE).status_code == 200
    assert post(server, "images/generations", key, PICTURE).status_code == 429


def test_a_client_that_leaves_has_paid(server: Running) -> None:
    key = make(server, max_images=1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.base}/v1/images/generations",
            json=PICTURE | {"model": "late-picture"},
            headers={"x-api-key": key},
            timeout=1,
        )
    assert post(server, "images/generations", key, PICTURE).status_code == 429


def test_money_needs_a_price(server: Running) -> None:
    answer = post(server, "audio/speech", make(server, max_budget=5), SPEECH | {"model": "unpriced"})
    assert (answer.status_code, code(answer)) == (400, "price_unknown")
    assert "model_info" in answer.json()["error"]["message"]


async def test_two_hundred_at_once_against_money_for_one(server: Running) -> None:
    key = make(server, max_budget=0.7)
    async with httpx.AsyncClient(timeout=60, headers={"authorization": f"Bearer {key}"}) as client:
        body = PICTURE | {"model": "dear-picture"}
        answers = await asyncio.gather(
            *(client.post(f"{server.base}/v1/images/generations", json=body) for _ in range(200))
        )
    assert sum(answer.status_code == 200 for answer in answers) == 1
    assert {code(answer) for answer in answers if answer.status_code != 200} == {"insufficient_quota"}
    assert info(server, key)["spend"] == pytest.approx(0.5)


def test_money_is_booked_as_it_was_spent(server: Running) -> None:
    key = make(server, max_budget=1)
    answer = post(server, "audio/speech", key, SPEECH | {"model": "dear-voice"})
    assert float(answer.headers["x-litellm-response-cost"]) == pytest.approx(0.12)
    assert info(server, key)["spend"] == pytest.approx(0.12)
    quote = post(server, "audio/speech", key, SPEECH | {"model": "dear-voice"}, **{"x-media-gateway-dry-run": "true"})
    assert quote.json()["cost"]["usd"] == pytest.approx(0.12)
    assert info(server, key)["spend"] == pytest.approx(0.12)
    assert code(post(server, "audio/speech", key, SPEECH | {"model": "dear-voice", "input": "x" * 89})) == (
        "insufficient_quota"
    )


def test_a_model_to_fall_back_to_is_one_that_the_key_may_use(server: Running) -> None:
    key = make(server, models=["espeak"])
    answer = post(server, "audio/speech", key, SPEECH | {"fallbacks": ["dear-voice"]})
    assert (answer.status_code, code(answer)) == (403, "key_model_access_denied")
    assert post(server, "audio/speech", key, SPEECH | {"fallbacks": ["espeak"]}).status_code == 200


def test_a_key_cannot_give_itself_more(server: Running) -> None:
    key = make(server, max_images=1)
    for path, body in (
        ("update", {"key": key, "max_images": 100}),
        ("generate", {}),
        ("unblock", {"key": key}),
        ("delete", {"keys": [key]}),
    ):
        answer = httpx.post(f"{server.base}/key/{path}", json=body, headers={"x-api-key": key})
        assert (answer.status_code, code(answer)) == (403, "admin_only")
    other = make(server)
    seen = httpx.get(f"{server.base}/key/info", params={"key": other}, headers={"x-api-key": key})
    assert seen.status_code == 403
    assert other not in seen.text
    assert info(server, key)["max_images"] == 1


def test_the_command_line_beside_the_running_server(server: Running, config_file: Path) -> None:
    def keys(*args: str) -> str:
        done = run("keys", *args, "-c", str(config_file))
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def until(status: int) -> None:
        deadline = time.monotonic() + 10
        while post(server, "audio/speech", key, SPEECH).status_code != status:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    key = keys("create", "--alias", "by-hand", "--model", "espeak", "--max-characters", "1000", "--rpm", "none").strip()
    until(200)
    keys("block", "by-hand")
    until(401)
    keys("unblock", "by-hand")
    until(200)
    keys("update", "by-hand", "--max-characters", "1")
    until(429)
    shown = json.loads(keys("show", "by-hand"))
    assert shown["max_characters"] == 1
    assert shown["characters"] > 10
    assert key not in keys("list") + keys("list", "--json") + keys("show", "by-hand")
    assert "by-hand" in keys("list")
    keys("update", "by-hand", "--max-characters", "none")
    until(200)
    keys("delete", "by-hand")
    until(401)
    assert run("keys", "show", "by-hand", "-c", str(config_file)).returncode == 1
    wrong = run("keys", "create", "--budget-duration", "monthly", "-c", str(config_file))
    assert wrong.returncode == 2
    assert b"--budget-duration" in wrong.stderr


def test_without_a_master_key_there_are_none(tmp_path: Path) -> None:
    text = config_text(tmp_path / "data").replace(f"  master_key: {KEY}\n", "")
    (tmp_path / "config.yaml").write_text(text)
    done = run("keys", "create", "-c", str(tmp_path / "config.yaml"))
    assert done.returncode == 1
    assert b"master_key" in done.stderr
    with serving(config_of(text)) as running:
        answer = httpx.post(f"{running.base}/key/generate", json={})
        assert (answer.status_code, code(answer)) == (400, "no_master_key")
    assert not (tmp_path / "data" / "keys.sqlite").exists()


def test_a_folder_of_another_server(tmp_path: Path) -> None:
    """Two servers would each give out the whole budget, so that the second one keeps no keys there."""
    speaking = re.sub(r"  - {model_name: .*sandbox.*\n(      model_info.*\n)?", "", config_text(tmp_path))
    speaking += "  disable_spend_logs: true\n"  # needs no folder by itself
    with serving(config_of(speaking)) as one, serving(config_of(speaking)) as other:
        key = make(one)
        answer = admin(other, "generate")
        assert (answer.status_code, code(answer)) == (503, "overloaded")
        assert str(tmp_path) not in answer.text
        assert post(one, "audio/speech", key, SPEECH).status_code == 200
        assert post(other, "audio/speech", key, SPEECH).status_code == 401
        assert post(other, "audio/speech", KEY, SPEECH).status_code == 200


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    with serving(config_of(config_text(tmp_path))) as running:
        key = make(running, max_images=1)
        assert post(running, "images/generations", key, PICTURE).status_code == 200
    with serving(config_of(config_text(tmp_path))) as running:
        answer = post(running, "images/generations", key, PICTURE)
        assert (answer.status_code, code(answer)) == (429, "insufficient_quota")


def test_end_users_and_the_whole_gateway_have_budgets(tmp_path: Path) -> None:
    """A model without a price is refused where there is a budget in money: that shows who was looked at."""
    unpriced = SPEECH | {"model": "unpriced"}
    with serving(config_of(config_text(tmp_path, "litellm_settings: {max_end_user_budget: 1.5}"))) as running:
        key = make(running)
        assert post(running, "audio/speech", key, SPEECH).status_code == 200
        for named in ({"user": "ann"}, {"litellm_metadata": {"user": "ann"}}):
            answer = post(running, "audio/speech", key, unpriced | named)
            assert code(answer) == "price_unknown"
            assert "'ann'" in answer.json()["error"]["message"]
        for header in ("x-litellm-end-user-id", "x-litellm-customer-id", "x-our-user"):
            answer = post(running, "audio/speech", KEY, unpriced | {"user": "ann"}, **{header: "bob"})
            assert "'bob'" in answer.json()["error"]["message"]
        long = post(running, "audio/speech", key, SPEECH | {"user": "x" * 300})
        assert (long.status_code, long.json()["error"]["param"]) == (400, "user")
    settings = "litellm_settings: {max_budget: 10, budget_duration: 30d}"
    with serving(config_of(config_text(tmp_path / "other", settings))) as running:
        assert "gateway as a whole" in post(running, "audio/speech", KEY, unpriced).json()["error"]["message"]


def test_no_key_is_written_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = []
    with serving(config_of(config_text(tmp_path))) as running:
        key = make(running, key_alias="canary", max_images=0)
        answers += [
            post(running, "images/generations", key, PICTURE),
            httpx.get(f"{running.base}/key/info", params={"key": key}, headers=MASTER),
            admin(running, "update", key=key, rpm_limit=9),
            admin(running, "update", key=key + "x", rpm_limit=9),
            admin(running, "generate", key=key),
            admin(running, "generate", key=f"{key}!"),
            admin(running, "update", key=[key]),
            admin(running, "block", key=key),
            post(running, "audio/speech", key, SPEECH),
            httpx.get(f"{running.base}/key/list?return_full_object=1", headers=MASTER),
            admin(running, "delete", keys=[key, [key]]),
            admin(running, "delete", keys=[key]),
        ]
        stored = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    stored += b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    logged = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    for secret in (key, KEY):
        assert secret.encode() not in stored
        assert secret not in logged
        assert all(secret not in answer.text + str(answer.headers) for answer in answers)
    assert b"canary" in stored
