"""What is seen of a running server: /metrics, the panels of the dashboard, and the lines of the log."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.record import Attempt, Cost, Used
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.telemetry.records import ended, spoken

ROOT = Path(__file__).parent.parent.parent
CONFIG = f"""
model_list:
  - {{model_name: voice, params: {{model: scripted/ok}}}}
  - {{model_name: full, params: {{model: scripted/busy}}}}
  - {{model_name: film, params: {{model: scripted/errand}}}}
router_settings: {{model_group_alias: {{tts-1: voice}}}}
general_settings: {{master_key: {KEY}, data_dir: DATA}}
"""
SPEECH = {"model": "voice", "voice": "v", "input": "Hello there.", "response_format": "pcm"}
PICTURE = {"model": "film", "prompt": "A dot"}
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with serving(config_of(CONFIG.replace("DATA", str(tmp_path)))) as running:
        yield running


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base, headers={"authorization": f"Bearer {KEY}"}) as made:
        yield made


def samples(client: httpx.Client) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def traffic(client: httpx.Client) -> None:
    again = {"idempotency-key": "one"}
    assert client.post("/v1/audio/speech", json=SPEECH).status_code == 200
    assert client.post("/audio/speech", json={**SPEECH, "model": "tts-1"}).status_code == 200
    assert client.post("/v1/audio/speech", json={**SPEECH, "model": "full"}).status_code == 429
    assert client.post("/v1/audio/speech", json={**SPEECH, "model": "no-such"}).status_code == 404
    assert client.post("/v1/images/generations", json=PICTURE, headers=again).status_code == 200
    assert client.post("/v1/images/generations", json=PICTURE, headers=again).status_code == 200
    assert client.get("/v1/videos/video_1").status_code == 404
    assert client.get("/v1/videos/video_2").status_code == 404
    assert client.get("/no/such/page").status_code == 404
    assert client.get("/v1/models", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/livez").status_code == 200


def test_metrics_after_some_traffic(client: httpx.Client) -> None:
    traffic(client)
    found = samples(client)
    total: dict[tuple[str, str, str], float] = {}
    for labels, value in found["litellm_proxy_total_requests_metric_total"]:
        key = (labels["route"], labels["status_code"], labels["requested_model"])
        total[key] = total.get(key, 0) + value
    assert total == {
        ("/v1/audio/speech", "200", "voice"): 1,
        ("/audio/speech", "200", "tts-1"): 1,
        ("/v1/audio/speech", "429", "full"): 1,
        ("/v1/audio/speech", "404", "other"): 1,
        ("/v1/images/generations", "200", "film"): 2,
        ("/v1/videos/{video_id}", "404", ""): 2,
        ("", "404", ""): 1,
        ("/v1/models", "401", ""): 1,
    }
    failed = {labels["exception_class"] for labels, _ in found["litellm_proxy_failed_requests_metric_total"]}
    assert failed == {"engine_overloaded", "model_not_found", "video_not_found", "not_found", "invalid_api_key"}
    [(labels, value)] = found["media_gateway_double_submits_prevented_total"]
    assert (labels, value) == ({"kind": "image", "reason": "client_retry"}, 1)
    ends = {labels["state"]: value for labels, value in found["media_gateway_jobs_ended_total"]}
    assert ends == {"completed": 1, "failed": 0, "cancelled": 0}
    assert all(value == 0 for _, value in found["media_gateway_jobs"])
    assert found["media_gateway_poll_lag_seconds_count"][0][1] == 1
    assert {labels["kind"]: value for labels, value in found["media_gateway_outputs_bytes_total"]}["image"] > 0
    bytes_sent = {labels["route"]: value for labels, value in found["media_gateway_response_bytes_total"]}
    assert bytes_sent["/audio/speech"] == 3 * 48_000
    assert found["litellm_in_flight_requests"] == [({}, 1)]  # whoever reads this
    assert found["media_gateway_log_lines_dropped_total"] == [({}, 0)]


def test_tasks_that_a_restart_finds(tmp_path: Path) -> None:
    text = f"""
model_list:
  - {{model_name: slow, params: {{model: sandbox/image, seconds: 600, poll_interval: 300}}}}
general_settings: {{master_key: {KEY}, data_dir: {tmp_path}, task_timeout: 0.05}}
"""
    headers = {"authorization": f"Bearer {KEY}"}
    with serving(config_of(text)) as first, httpx.Client(base_url=first.base, headers=headers) as client:
        assert client.post("/v1/images/generations", json={"model": "slow", "prompt": "A dot"}).status_code == 504
        assert ({"state": "running"}, 1) in samples(client)["media_gateway_jobs"]
    with serving(config_of(text)) as second, httpx.Client(base_url=second.base, headers=headers) as client:
        assert ({"state": "running"}, 1) in samples(client)["media_gateway_jobs"]


def test_who_may_read_metrics(client: httpx.Client, tmp_path: Path) -> None:
    for path in ("/metrics", "/metrics/"):
        assert client.get(path).status_code == 200
        assert httpx.get(str(client.base_url).rstrip("/") + path).status_code == 401
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    text = CONFIG.replace("DATA", str(tmp_path / "other"))
    with serving(config_of(f"{text}litellm_settings: {{require_auth_for_metrics_endpoint: false}}\n")) as running:
        assert httpx.get(f"{running.base}/metrics").status_code == 200


WORDS = {"sum", "rate", "increase", "histogram_quantile"}


def asked(query: str) -> list[tuple[str, set[str]]]:
    """The metrics of a query with the labels that it asks of them. It knows no more of PromQL than the panels use."""
    if values := re.fullmatch(r"label_values\((\w+), (\w+)\)", query):
        return [(values[1], {values[2]})]
    groups = re.findall(r"\bby \(([^)]*)\)", query)
    grouped = {label.strip() for group in groups for label in group.split(",")}
    bare = re.sub(r"\bby \([^)]*\)|\[[^\]]*\]", "", query)
    found = re.findall(r"\b([a-z_]\w*)(?:\{([^}]*)\})?", bare)
    return [(name, grouped | set(re.findall(r"(\w+)=", matchers))) for name, matchers in found if name not in WORDS]


def test_reading_a_query() -> None:
    query = 'histogram_quantile(0.95, sum by (le, a) (rate(x_bucket{b=~"$m", c="1"}[$__rate_interval]))) / sum(y_total) * 60'
    assert asked(query) == [("x_bucket", {"le", "a", "b", "c"}), ("y_total", {"le", "a"})]
    assert asked("label_values(x_total, a)") == [("x_total", {"a"})]


def test_the_dashboard_asks_for_what_there_is(server: Running, client: httpx.Client) -> None:
    traffic(client)
    # What a provider counts, and what more deployments of a group do, is made up.
    lost = [Attempt("first", "v/1", "provider_timeout", 0.1), Attempt("second", "v/2", "provider_error", 0.1)]
    made_up = [
        spoken(),
        ended("image", used=Used(images=1)),
        ended("video", used=Used(video_seconds=4.0), charges={"job": Cost(0.2)}),
        ended(status=502, code="provider_error", attempts=lost),
    ]
    server.call(lambda: [observe(call) for call in made_up for observe in server.server._lane._telling.observers])
    found = samples(client)
    dashboard = json.loads((ROOT / "deploy/grafana/media-gateway.json").read_text())
    queries = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", ())]
    variables = [each for each in dashboard["templating"]["list"] if each["type"] == "query"]
    queries += [(each["name"], each["query"]["query"]) for each in variables]
    assert len(queries) > 20
    for title, query in queries:
        wanted = asked(query)
        assert wanted, title
        for name, labels in wanted:
            assert name in found, f"{title}: {name}"
            assert labels <= set(found[name][0][0]), f"{title}: {name}"


def test_the_dashboard_has_no_two_of_anything() -> None:
    panels = json.loads((ROOT / "deploy/grafana/media-gateway.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)


def run_server(config: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    """A server process, on a port that its log tells."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0", *args],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        cwd=config.parent,
    )


def base_of(process: subprocess.Popen[str], seen: list[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        seen.append(line)
        if found := re.search(r"listening on (http://[\d.:]+)", line):
            return found[1]
    raise AssertionError(seen)


@pytest.mark.parametrize("how", ["option", "config", "variable"])
def test_json_lines(tmp_path: Path, how: str) -> None:
    config = tmp_path / "config.yaml"
    settings = "litellm_settings: {json_logs: true}\n" if how == "config" else ""
    models = "model_list: [{model_name: picture, params: {model: sandbox/image, seconds: 0, poll_interval: 0.05}}]\n"
    config.write_text(f"{models}{settings}general_settings: {{master_key: {KEY}, data_dir: {tmp_path}/data}}\n")
    env = {"MEDIA_GATEWAY_LOG_FORMAT": "json"} if how == "variable" else {}
    process = run_server(config, *(["--log-format", "json"] if how == "option" else []), **env)
    seen: list[str] = []
    base = base_of(process, seen)
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "call-7"}
    body = {"model": "picture", "prompt": "CANARY-of-a-prompt"}
    assert httpx.post(f"{base}/v1/images/generations?x=1", json=body, headers=headers).status_code == 200
    process.send_signal(signal.SIGTERM)
    seen += process.communicate(timeout=30)[1].splitlines()
    lines = [json.loads(line) for line in seen]
    [line] = [each for each in lines if each.get("request_id") == "call-7"]
    assert (line["status"], line["model"], line["provider"], line["kind"]) == (200, "picture", "sandbox", "image")
    assert (line["route"], line["method"], line["path"]) == ("/v1/images/generations", "POST", "/v1/images/generations")
    assert line["deployment"].startswith("sandbox/image@")
    assert 0 < line["first_byte_seconds"] <= line["seconds"]
    assert line["bytes"] > 0
    assert "CANARY" not in "".join(seen)


async def test_a_server_whose_log_nobody_reads_answers(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("model_list: [{model_name: picture, params: {model: sandbox/image}}]\n")
    process = run_server(config)
    seen: list[str] = []
    base = await asyncio.to_thread(base_of, process, seen)
    # From here on nobody reads; a pipe holds 64 KiB.
    page = f"/{'x' * 1000}"
    async with httpx.AsyncClient(base_url=base, timeout=20) as client:
        for _ in range(15):
            answers = await asyncio.gather(*(client.get(page) for _ in range(10)))
            assert {answer.status_code for answer in answers} == {404}
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) is not None  # it ends, too, with a full pipe
    process.stderr.close()


def test_the_console_line(server: Running, client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gateway.access"):
        client.post("/v1/audio/speech", json={**SPEECH, "model": "full"}, headers={"x-request-id": "call-9"})
        server.call(lambda: server.server._lane._telling.later(spoken()))
        server.call(server.server._lane._telling.now)
    first, second = caplog.messages
    assert re.fullmatch(r"POST /v1/audio/speech 429 \d+ms call-9 model='full' code='engine_overloaded'", first)
    assert second == "POST /v1/audio/speech 200 2000ms req_1 model='first' served='other/second' attempts='2'"
    fields = caplog.records[1].fields()
    assert fields["used"] == {"characters": 11, "audio_seconds": 1.5, "input_tokens": 3, "output_tokens": 40}
    assert [each["outcome"] for each in fields["attempts"]] == ["provider_unavailable", "ok"]
    assert "texts" not in fields
