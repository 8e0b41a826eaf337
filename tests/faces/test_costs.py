"""What calls cost: in their answers, in the ledger, and asked for beforehand; against the price lists by hand."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import KEY
from tests.faces.test_command_line import run, served
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import DROP_AFTER, Runway, fails, invalid, takes

MODELS = """
model_list:
  - {model_name: espeak, params: {model: local/espeak}}
  - {model_name: priced, params: {model: scripted/ok, input_cost_per_character: 0.001}}
  - {model_name: by-second, params: {model: scripted/sound}, model_info: {output_cost_per_second: 0.5}}
  - {model_name: nobody-knows, params: {model: scripted/ok}}
  - {model_name: refuses, params: {model: scripted/refuses, input_cost_per_character: 0.001}}
  - {model_name: out, params: {model: scripted/unavailable, input_cost_per_character: 0.001}}
  - {model_name: midway, params: {model: scripted/breaks-midway, input_cost_per_character: 0.001}}
  - {model_name: endless, params: {model: scripted/endless, input_cost_per_character: 0.001}}
  - {model_name: picture, params: {model: sandbox/image, seconds: 0.05, poll_interval: 0.02}}
  - {model_name: film, params: {model: sandbox/video, seconds: 0.05, poll_interval: 0.02}}
  - {model_name: voice, params: {model: sandbox/speech, seconds: 0.02, poll_interval: 0.02}}
  - {model_name: dear-picture, params: {model: sandbox/image, seconds: 0.05, poll_interval: 0.02, output_cost_per_image: 0.25}}
  - {model_name: dear-film, params: {model: sandbox/video, seconds: 0.05, poll_interval: 0.02, output_cost_per_second: 0.1}}
  - {model_name: dear-failure, params: {model: sandbox/image-fails, seconds: 0.02, poll_interval: 0.02, output_cost_per_image: 1}}
litellm_settings: {fallbacks: [{out: [priced]}]}
"""
HEADERS = {"Authorization": f"Bearer {KEY}"}
DRY = {"x-media-gateway-dry-run": "true"}
TEXT = "Hello there."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("data")
    text = f"{MODELS}general_settings: {{master_key: {KEY}, data_dir: {folder}, stall_timeout: 5}}\n"
    with serving(config_of(text)) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base, headers=HEADERS, timeout=30) as made:
        yield made


def speak(client: httpx.Client, model: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    body = {"model": model, "input": TEXT, "voice": "v" if model != "espeak" else "alloy", **more}
    return client.post("/v1/audio/speech", json=body, headers=headers)


def row(client: httpx.Client, answer: httpx.Response | str) -> dict[str, Any]:
    name = answer if isinstance(answer, str) else answer.headers["x-litellm-call-id"]
    (found,) = client.get("/spend/logs", params={"request_id": name}).json()
    return found


def told(answer: httpx.Response) -> tuple[float | None, str | None]:
    headers = answer.headers
    assert headers.get("x-litellm-response-cost") == headers.get("x-media-gateway-cost")
    usd = headers.get("x-media-gateway-cost")
    return (None if usd is None else float(usd)), headers.get("x-media-gateway-cost-certainty")


def kept(client: httpx.Client, answer: httpx.Response | str) -> tuple[float | None, str]:
    found = row(client, answer)
    return found["spend"], found["certainty"]


def test_speech_by_the_character(client: httpx.Client) -> None:
    answer = speak(client, "priced")
    assert (answer.status_code, told(answer), kept(client, answer)) == (200, (0.012, "computed"), (0.012, "computed"))
    found = row(client, answer)
    assert (found["call_type"], found["model"], found["model_group"]) == ("aspeech", "priced", "priced")
    assert (found["characters"], found["status"], found["status_code"]) == (12, "success", 200)
    assert (found["prompt_tokens"], found["completion_tokens"], found["total_tokens"]) == (7, 9, 16)
    assert 0 <= found["queue"] <= found["first_byte"] <= found["request_duration_ms"] / 1000 + 0.001


def test_speech_by_the_second_is_known_at_its_end(client: httpx.Client) -> None:
    """The made-up vendor says nothing of seconds; the local voices do."""
    answer = speak(client, "by-second")
    assert (told(answer), kept(client, answer)) == ((None, None), (None, "unknown"))
    events = speak(client, "priced", stream_format="sse").text
    done = json.loads(events.strip().rpartition("data: ")[2])
    assert done["x_media_gateway_cost"] == {"usd": 0.012, "certainty": "computed"}


def test_what_nobody_knows_is_said_to_be_unknown(client: httpx.Client) -> None:
    answer = speak(client, "nobody-knows")
    assert (answer.status_code, told(answer), kept(client, answer)) == (200, (None, "unknown"), (None, "unknown"))
    sums = client.get("/global/spend").json()
    assert sums["unknown_cost_calls"] >= 1


@pytest.mark.parametrize("model", ["espeak", "voice"])
def test_what_is_free_is_known_to_be(client: httpx.Client, model: str) -> None:
    answer = speak(client, model)
    assert (told(answer), kept(client, answer)) == ((0.0, "computed"), (0.0, "computed"))
    assert row(client, answer)["audio_seconds"] > 0


def test_pictures_and_films(client: httpx.Client) -> None:
    pictures = client.post(
        "/v1/images/generations", json={"model": "dear-picture", "prompt": "x", "n": 3, "size": "64x64"}
    )
    assert (told(pictures), kept(client, pictures)) == ((0.75, "computed"), (0.75, "computed"))
    assert (row(client, pictures)["images"], row(client, pictures)["size"]) == (3, "64x64")
    film = client.post("/v1/videos", json={"model": "dear-film", "prompt": "x", "seconds": "3", "size": "64x64"})
    assert told(film) == (pytest.approx(0.3), "expected")
    while client.get(f"/v1/videos/{film.json()['id']}").json()["status"] != "completed":
        pass
    assert kept(client, film) == (pytest.approx(0.3), "computed")
    assert row(client, film)["video_seconds"] == 3
    free = client.post("/v1/images/generations", json={"model": "picture", "prompt": "x", "size": "64x64"})
    assert (told(free), kept(client, free)) == ((0.0, "computed"), (0.0, "computed"))


def test_a_remix_is_a_call_of_its_own(client: httpx.Client) -> None:
    film = client.post("/v1/videos", json={"model": "dear-film", "prompt": "x", "seconds": "2", "size": "64x64"})
    path = f"/v1/videos/{film.json()['id']}"
    while client.get(path).json()["status"] != "completed":
        pass
    dry = client.post(f"{path}/remix", json={"prompt": "y"}, headers=DRY)
    assert (dry.status_code, dry.json()["cost"]["usd"]) == (200, pytest.approx(0.2))
    made = client.post(f"{path}/remix", json={"prompt": "y"})
    assert (made.status_code, told(made)) == (200, (pytest.approx(0.2), "expected"))
    assert (row(client, made)["call_type"], kept(client, made)[0]) == ("avideo_remix", pytest.approx(0.2))


def test_what_fails_leaves_its_row(client: httpx.Client) -> None:
    refused = speak(client, "refuses")
    assert (refused.status_code, kept(client, refused)) == (400, (0.0, "computed"))
    assert (row(client, refused)["status"], row(client, refused)["code"]) == ("failure", "invalid_value")
    failed = client.post("/v1/images/generations", json={"model": "dear-failure", "prompt": "x", "size": "64x64"})
    assert failed.status_code == 400
    assert kept(client, failed) == (1.0, "possible")  # the vendor does not say what it charges for it
    unknown = speak(client, "nope")
    assert (unknown.status_code, kept(client, unknown)) == (404, (0.0, "computed"))
    broken = client.post("/v1/audio/speech", content=b"{")
    assert (broken.status_code, row(client, broken)["code"]) == (400, "invalid_json")
    stranger = httpx.post(client.base_url.join("/v1/audio/speech"), json={}, headers={"Authorization": "Bearer sk-no"})
    assert (stranger.status_code, row(client, stranger)["status_code"]) == (401, 401)


def test_a_stream_that_breaks(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client, "midway", {"x-request-id": "breaks-1"}, response_format="pcm")
    found = row(client, "breaks-1")
    assert (found["code"], found["spend"], found["certainty"]) == ("stream_broken", 0.012, "possible")


def test_a_client_that_hangs_up(client: httpx.Client, server: Running) -> None:
    body = json.dumps({"model": "endless", "input": TEXT, "voice": "v", "response_format": "pcm"}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nX-Request-ID: left-1\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    while not (found := client.get("/spend/logs", params={"request_id": "left-1"}).json()):
        pass
    assert (found[0]["code"], found[0]["spend"], found[0]["certainty"]) == ("client_gone", 0.012, "possible")


def test_a_fallback_costs_what_answered(client: httpx.Client) -> None:
    answer = speak(client, "out")
    found = row(client, answer)
    assert (found["model"], found["model_group"], found["spend"]) == ("out", "priced", 0.012)


def test_a_retry_that_is_joined_costs_nothing_more(client: httpx.Client) -> None:
    body = {"model": "dear-picture", "prompt": "once", "size": "64x64"}
    headers = {"Idempotency-Key": "joined-1"}
    first, second = (client.post("/v1/images/generations", json=body, headers=headers) for _ in range(2))
    assert (told(first), told(second)) == ((0.25, "computed"), (0.0, "computed"))
    assert (kept(client, first)[0], kept(client, second)[0]) == (0.25, 0.0)
    assert (row(client, first)["joined"], row(client, second)["joined"]) == (False, True)


DRY_CALLS = [
    ("/v1/audio/speech", {"model": "priced", "input": TEXT, "voice": "v"}),
    ("/v1/audio/speech", {"model": "espeak", "input": TEXT, "voice": "alloy"}),
    ("/v1/audio/speech", {"model": "voice", "input": TEXT, "voice": "v"}),
    ("/v1/images/generations", {"model": "dear-picture", "prompt": "x", "n": 2, "size": "64x64"}),
    ("/v1/images/generations", {"model": "picture", "prompt": "x", "size": "64x64"}),
    ("/v1/videos", {"model": "dear-film", "prompt": "x", "seconds": "2", "size": "64x64"}),
    ("/v1/videos", {"model": "film", "prompt": "x", "seconds": "1", "size": "64x64"}),
]


@pytest.mark.parametrize(("path", "body"), DRY_CALLS, ids=lambda each: each["model"] if isinstance(each, dict) else "")
def test_a_dry_run_says_what_the_call_then_costs(client: httpx.Client, path: str, body: dict[str, object]) -> None:
    dry = client.post(path, json=body, headers=DRY)
    assert (dry.status_code, dry.json()["object"]) == (200, "dry_run")
    assert kept(client, dry) == (0.0, "computed")
    made = client.post(path, json=body)
    assert made.status_code == 200
    assert dry.json()["cost"]["usd"] == pytest.approx(kept(client, made)[0], rel=0.01)
    assert dry.json()["cost"]["certainty"] == "expected"


def test_a_dry_run_refuses_what_the_call_would(client: httpx.Client) -> None:
    for body, param in (
        ({"model": "espeak", "input": TEXT, "voice": "alloy", "instructions": "Slowly."}, "instructions"),
        ({"model": "espeak", "input": ""}, "input"),
        ({"model": "nope", "input": TEXT}, "model"),
        ({"model": "priced", "input": TEXT}, "voice"),
    ):
        answer = client.post("/v1/audio/speech", json=body, headers=DRY)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["param"] == param
    picture = client.post("/v1/images/generations", json={"model": "picture", "prompt": "x", "z": 1}, headers=DRY)
    assert (picture.status_code, picture.json()["error"]["param"]) == (400, "z")


def test_a_dry_run_calls_nobody_and_takes_the_one_who_would_answer(client: httpx.Client) -> None:
    answer = speak(client, "out", DRY).json()
    assert (answer["model"], answer["provider"], answer["cost"]["usd"]) == ("priced", "scripted", 0.012)
    unknown = speak(client, "nobody-knows", DRY).json()
    assert unknown["cost"] == {"usd": None, "certainty": "unknown", "price": None}
    refusing = speak(client, "refuses", DRY)  # which the vendor alone would say
    assert (refusing.status_code, refusing.json()["used"]) == (200, {"characters": 12})


def test_who_it_was(client: httpx.Client, server: Running) -> None:
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=KEY, max_retries=0) as sdk:
        made = sdk.images.with_raw_response.generate(
            model="picture",
            prompt="x",
            size="64x64",  # type: ignore[arg-type]
            user="jane",
            extra_body={"metadata": {"tags": ["a", "b"]}},
            extra_headers={"x-litellm-tags": "b, c"},
        )
    found = row(client, made.headers["x-litellm-call-id"])
    assert (found["end_user"], found["request_tags"]) == ("jane", ["a", "b", "c"])
    for headers, body, end_user in (
        ({"x-litellm-customer-id": "from-header"}, {"user": "x"}, "from-header"),
        ({"x-litellm-end-user-id": "other"}, {}, "other"),
        ({}, {"metadata": {"user_id": "meta"}}, "meta"),
        ({}, {"user": {"not": "text"}, "safety_identifier": "safe"}, "safe"),
    ):
        assert row(client, speak(client, "espeak", headers, **body))["end_user"] == end_user
    assert speak(client, "espeak", {"x-litellm-tags": ",".join(map(str, range(33)))}).status_code == 400
    assert speak(client, "espeak", user="x" * 257).json()["error"]["param"] == "user"
    users = {each["end_user"]: each for each in client.get("/spend/users").json()}
    assert users["jane"]["calls"] == 1
    tags = {each["individual_request_tag"]: each["log_count"] for each in client.get("/spend/tags").json()}
    assert tags["b"] == 1


def test_the_ledger_is_for_whoever_has_the_key(client: httpx.Client) -> None:
    paths = ("/spend/logs", "/spend/keys", "/spend/users", "/spend/tags", "/global/spend")
    for path in paths:
        assert client.get(path).status_code == 200
        assert httpx.get(client.base_url.join(path)).status_code == 401
        wrong = client.get(path, params={"start_date": "yesterday"})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "start_date")
        empty = client.get(path, params={"start_date": "2001-01-01", "end_date": "2001-01-02"}).json()
        assert empty == [] or empty["spend"] == 0
    assert len(client.get("/spend/logs", params={"limit": 2}).json()) == 2
    assert client.get("/spend/logs", params={"api_key": "nobody"}).json() == []
    assert client.get("/spend/logs", params={"limit": 0}).status_code == 400


def test_only_media_leave_rows(client: httpx.Client) -> None:
    for path in ("/livez", "/v1/models", "/v1/videos"):
        client.get(path, headers={"x-request-id": "no-row"})
    assert client.get("/spend/logs", params={"request_id": "no-row"}).json() == []
    assert "x-litellm-call-id" not in client.get("/v1/models").headers


RUNWAY = """
model_list:
{models}
  - {{model_name: own-price, params: {{model: runwayml/gen4_image, api_key: {key}, api_base: "{base}", output_cost_per_image: 0.5}}}}
general_settings: {{data_dir: {data}}}
"""
NAMES = ("eleven_multilingual_v2", "eleven_v3", "gen4_image", "gen4_image_turbo", "gen4_turbo", "gen4.5", "veo3.1")
PICTURE = "https://example.com/a.png"
# Each with what its price list says, in USD.
CALLS: list[tuple[str, dict[str, object], float | None]] = [
    ("audio/speech", {"model": "eleven_multilingual_v2", "input": "x" * 120, "voice": "Maya"}, 0.03),
    ("audio/speech", {"model": "eleven_v3", "input": "x" * 51, "voice": "Maya"}, 0.02),
    ("images/generations", {"model": "gen4_image", "prompt": "x", "size": "1792x1024", "n": 2}, 0.16),
    ("images/generations", {"model": "gen4_image", "prompt": "x", "size": "1280x720"}, 0.05),
    ("images/generations", {"model": "own-price", "prompt": "x", "size": "1280x720"}, 0.5),
    (
        "images/generations",
        {"model": "gen4_image_turbo", "prompt": "x", "size": "1280x720", "referenceImages": [{"uri": PICTURE}]},
        0.02,
    ),
    ("videos", {"model": "gen4_turbo", "prompt": "x", "seconds": 7, "input_reference": PICTURE}, 0.35),
    ("videos", {"model": "gen4.5", "prompt": "x"}, 0.6),
    ("videos", {"model": "veo3.1", "prompt": "x", "seconds": 4, "audio": False}, 0.8),
    ("videos", {"model": "veo3.1", "prompt": "x", "seconds": 4}, 1.6),
    ("videos", {"model": "gen4_turbo", "prompt": "x", "input_reference": PICTURE}, None),  # as long as Runway likes
]


async def ended(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """The row of a call, once its task has ended."""
    while True:
        name = answer.headers["x-litellm-call-id"]
        (found,) = (await client.get("/spend/logs", params={"request_id": name})).json()
        if found["certainty"] != "expected":
            return found
        await asyncio.sleep(0.2)


async def test_runway_s_calls_cost_what_its_list_says_and_what_it_reports(tmp_path: Path) -> None:
    with Runway(seconds=0.2) as runway:
        entry = '  - {{model_name: "{0}", params: {{model: runwayml/{0}, api_key: {1}, api_base: "{2}"}}}}'
        models = "\n".join(entry.format(name, runway.key, runway.base) for name in NAMES)
        text = RUNWAY.format(models=models, key=runway.key, base=runway.base, data=tmp_path)
        with serving(config_of(text)) as server:
            async with httpx.AsyncClient(base_url=server.base, timeout=60) as client:
                dry = [await client.post(f"/v1/{path}", json=body, headers=DRY) for path, body, _ in CALLS]
                assert runway.requests == []
                answers = await asyncio.gather(*(client.post(f"/v1/{path}", json=body) for path, body, _ in CALLS))
                rows = await asyncio.gather(*(ended(client, answer) for answer in answers))
                whole = (await client.get("/global/spend")).json()
        reported = sum(each["credits"] for each in runway.ledger) * 0.01
    for (path, body, usd), quote, answer, found in zip(CALLS, dry, answers, rows, strict=True):
        assert answer.status_code == 200, (body, answer.text)
        own = body["model"] == "own-price"
        assert quote.json()["cost"]["usd"] == (None if usd is None else pytest.approx(usd, rel=0.01)), body
        assert found["spend"] == pytest.approx(0.5 if usd is None else usd, rel=0.01), body
        assert found["certainty"] == ("computed" if own else "reported"), body
        # A film's is what Runway says that it will be.
        now = "expected" if path == "videos" else found["certainty"]
        assert told(answer) == (pytest.approx(found["spend"]), now), body
    assert whole["spend"] == pytest.approx(reported + 0.45)  # what was priced at 0.5 is charged at 0.05


async def test_what_fails_at_runway_costs_what_it_says(tmp_path: Path) -> None:
    with Runway(seconds=0.2) as runway:
        entry = '  - {{model_name: "{0}", params: {{model: runwayml/{0}, api_key: {1}, api_base: "{2}"}}}}'
        models = "\n".join(entry.format(name, runway.key, runway.base) for name in NAMES)
        text = RUNWAY.format(models=models, key=runway.key, base=runway.base, data=tmp_path)
        body = {"model": "gen4_image", "prompt": "x", "size": "1280x720"}
        with serving(config_of(text)) as server:
            async with httpx.AsyncClient(base_url=server.base, timeout=60) as client:

                async def post() -> httpx.Response:
                    return await client.post("/v1/images/generations", json=body)

                runway.next(invalid())
                refused = await post()
                runway.next(DROP_AFTER)
                lost = await post()
                film = {"model": "gen4.5", "prompt": "x", "seconds": 5}
                runway.next(takes(600))
                cancelled = await client.post("/v1/videos", json=film)
                assert (await client.delete(f"/v1/videos/{cancelled.json()['id']}")).status_code == 200
                runway.next(fails("SAFETY.INPUT.TEXT"))
                runway.next(fails("SAFETY.OUTPUT.VIDEO"))
                first, second = await asyncio.gather(post(), post())
                rows = [await ended(client, each) for each in (refused, lost, cancelled, first, second)]
    assert [each["status_code"] for each in rows] == [400, 502, 200, 400, 400]
    assert [each["spend"] for each in rows[:3]] == [0.0, 0.05, pytest.approx(0.6)]
    assert [each["certainty"] for each in rows[:3]] == ["computed", "possible", "possible"]
    # The one is charged, the other given back.
    assert sorted(each["spend"] for each in rows[3:]) == [0.0, 0.05]
    assert {each["certainty"] for each in rows[3:]} == {"reported"}


KILLED = """
model_list:
  - {model_name: voice, params: {model: local/espeak, input_cost_per_character: 0.001}}
  - {model_name: film, params: {model: sandbox/video, seconds: 600, output_cost_per_second: 0.1}}
"""


def test_who_has_an_answer_has_a_row_though_the_process_is_killed(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(KILLED)
    env = {"MEDIA_GATEWAY_DATA_DIR": str(tmp_path / "data")}
    body = {"model": "voice", "input": TEXT, "voice": "alloy", "response_format": "wav"}
    for number in range(3):
        with served(cwd=tmp_path, env=env) as (process, base, _):
            with httpx.Client(base_url=base, timeout=30) as client:
                answer = client.post("/v1/audio/speech", json=body, headers={"x-request-id": f"killed-{number}"})
                os.kill(process.pid, signal.SIGKILL)
                assert answer.content[:4] == b"RIFF"
            process.wait(30)
    with served(cwd=tmp_path, env=env) as (process, base, _):
        film = {"model": "film", "prompt": "x", "seconds": "5", "size": "64x64"}
        assert httpx.post(f"{base}/v1/videos", json=film, headers={"x-request-id": "killed-3"}).status_code == 200
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    with served(cwd=tmp_path, env=env) as (_, base, _lines):
        rows = {each["request_id"]: each for each in httpx.get(f"{base}/spend/logs").json()}
        assert {name: each["spend"] for name, each in rows.items()} == {
            "killed-0": 0.012,
            "killed-1": 0.012,
            "killed-2": 0.012,
            "killed-3": 0.5,
        }
        assert rows["killed-3"]["certainty"] == "expected"
        # While the server runs, from its file.
        asked = ("spend", "--by", "model", "--since", "1h")
        found = json.loads(run(*asked, "--json", cwd=tmp_path, env=env).stdout)
        assert {each["model"]: (each["calls"], round(each["usd"], 6)) for each in found} == {
            "voice": (3, 0.036),
            "film": (1, 0.5),
        }
        (first, *_) = csv.DictReader(io.StringIO(run(*asked, "--csv", cwd=tmp_path, env=env).stdout.decode()))
        assert (first["model"], first["usd"]) == ("film", "0.5")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(KILLED)
    env = {"MEDIA_GATEWAY_DATA_DIR": str(tmp_path / "data")}
    for args, text in (
        ((), "no ledger"),
        (("--by", "colour"), "key, model, user, tag, day"),
        (("--since", "soon"), "2026-11-21"),
    ):
        done = run("spend", *args, cwd=tmp_path, env=env)
        assert (done.returncode, text in done.stderr.decode()) == (1, True), done.stderr
