"""``/health`` against vendors on real sockets: what it finds out, that it costs nothing, and what it keeps to itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams.runway import BAD_GATEWAY, CUT, Fault, Runway

WRONG = "key_" + "f" * 128
PASSWORD = "CANARY-8d1e"

CONFIG = """
model_list:
  - model_name: film
    litellm_params: &runway {{model: runwayml/gen4_turbo, api_key: {vendor_key}, api_base: "{base}/v1"}}
    model_info: {{id: main, description: A film, output_cost_per_second: 0.05}}
  - {{model_name: film, litellm_params: {{<<: *runway, api_key: {wrong}}}}}
  - {{model_name: picture, litellm_params: {{<<: *runway, model: runwayml/gen4_image}}}}
  - {{model_name: keyless, litellm_params: {{model: runwayml/gen4.5, api_base: "{base}"}}}}
  - {{model_name: nowhere, litellm_params: {{<<: *runway, api_base: "http://127.0.0.1:{closed}"}}}}
  - {{model_name: odd, litellm_params: {{<<: *runway, api_base: "http://user:{password}@127.0.0.1:{closed}"}}}}
  - model_name: silent
    litellm_params: {{<<: *runway, api_base: "http://127.0.0.1:{silent}"}}
    model_info: {{health_check_timeout: 0.2}}
  - {{model_name: sandbox, litellm_params: {{model: sandbox/image}}}}
  - {{model_name: robot, litellm_params: {{model: local/espeak}}}}
  - {{model_name: absent, litellm_params: {{model: local/kokoro-82m, path: /nonexistent}}}}
  - {{model_name: unasked, litellm_params: {{model: scripted/ok}}}}
router_settings: {{model_group_alias: {{movie: film}}}}
general_settings: {{master_key: {key}, {more}}}
"""


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNWAYML_API_SECRET", "RUNWAYML_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def runway() -> Iterator[Runway]:
    with Runway() as made:
        yield made


@pytest.fixture
def text(runway: Runway) -> Iterator[str]:
    """The config, but for ``{more}``. One port takes connections and answers nobody, another one takes none."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield CONFIG.format(
            vendor_key=runway.key,
            base=runway.base,
            wrong=WRONG,
            password=PASSWORD,
            closed=closed.getsockname()[1],
            silent=silent.getsockname()[1],
            key=KEY,
            more="{more}",
        )


@pytest.fixture
def server(text: str) -> Iterator[Running]:
    with serving(config_of(text.replace("{more}", "max_connections: 1000"))) as running:
        yield running


def get(server: Running, path: str, key: str = KEY, **params: str) -> httpx.Response:
    return httpx.get(server.base + path, params=params, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def names(report: dict[str, Any], state: str) -> list[str]:
    assert report[f"{state}_count"] == len(report[f"{state}_endpoints"])
    return [each["model_name"] for each in report[f"{state}_endpoints"]]


def test_each_deployment_is_told_as_it_stands_and_nothing_is_charged(runway: Runway, server: Running) -> None:
    answer = get(server, "/health")
    report = answer.json()
    assert answer.status_code == 200
    assert names(report, "healthy") == ["film", "picture", "sandbox", "robot"]
    assert names(report, "unhealthy") == ["film", "keyless", "nowhere", "odd", "silent", "absent"]
    assert names(report, "unknown") == ["unasked"]
    first, *_ = report["healthy_endpoints"]
    assert first.pop("checked_at") == pytest.approx(time.time(), abs=60)
    assert first == {
        "model": "runwayml/gen4_turbo",
        "api_base": f"{runway.base}/v1",
        "model_name": "film",
        "model_id": "runwayml/main",
        "mode": "video_generation",
        "detail": "12,000 credits are left.",
    }
    refused, keyless, nowhere, odd, silent, absent = (each["error"] for each in report["unhealthy_endpoints"])
    assert "refused the credentials of this gateway" in refused
    assert "no API key" in keyless
    assert "cannot be reached" in nowhere
    assert "malformed" in odd
    assert silent == "No answer within 0.2 s."
    assert absent
    assert "nobody was" in report["unknown_endpoints"][0]["detail"]
    assert runway.ledger == []
    assert {(asked.method, asked.path) for asked in runway.requests} == {("GET", "/v1/organization")}
    for secret in (runway.key, WRONG, PASSWORD, KEY, "Traceback"):
        assert secret not in answer.text


def test_only_with_the_key(runway: Runway, server: Running) -> None:
    for path in ("/health", "/model/info", "/v1/model/info", "/model_group/info"):
        assert httpx.get(server.base + path).status_code == 401
        assert get(server, path, "sk-wrong").status_code == 401
        assert get(server, path).status_code == 200
    assert httpx.get(f"{server.base}/health/liveliness").status_code == 200
    assert httpx.get(f"{server.base}/health/readiness").status_code == 200


def test_of_one_model(runway: Runway, server: Running) -> None:
    for name in ("film", "movie"):
        report = get(server, "/health", model=name).json()
        assert (report["healthy_count"], report["unhealthy_count"], report["unknown_count"]) == (1, 1, 0)
    assert len(runway.requests) == 2  # one a deployment: the second answer is the first one's
    answer = get(server, "/health", model="flim")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_many_callers_share_one_round(runway: Runway, server: Running) -> None:
    with ThreadPoolExecutor(20) as pool:
        reports = [answer.json() for answer in pool.map(lambda _: get(server, "/health"), range(20))]
    assert all(report["healthy_count"] == 4 for report in reports)
    assert len(runway.requests) == 3  # of the deployments that reach it


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(change={"creditBalance": 0}), "out of credits"),
        (BAD_GATEWAY, "502"),
        (CUT, "early"),
        (Fault(200, "<html>a login page</html>"), "not JSON"),
        (Fault(200, {"ok": True}), "no account"),
    ],
    ids=["credits", "gateway", "cut", "page", "other"],
)
def test_an_account_that_would_not_do(runway: Runway, server: Running, fault: Fault, said: str) -> None:
    runway.next(fault, "account")
    report = get(server, "/health", model="picture").json()
    assert names(report, "unhealthy") == ["picture"]
    assert said in report["unhealthy_endpoints"][0]["error"]


def test_in_the_background(runway: Runway, text: str) -> None:
    settings = "background_health_checks: true, health_check_interval: 3600, health_check_concurrency: 2"
    with serving(config_of(text.replace("{more}", settings))) as server:
        end = time.monotonic() + 10
        while len(runway.requests) < 3:  # nobody has called
            assert time.monotonic() < end
            time.sleep(0.005)
        assert names(get(server, "/health").json(), "healthy") == ["film", "picture", "sandbox", "robot"]
        assert len(runway.requests) == 3


def test_model_info(runway: Runway, server: Running) -> None:
    answer = get(server, "/model/info")
    assert answer.text == get(server, "/v1/model/info").text
    found = answer.json()["data"]
    assert found[0] == {
        "model_name": "film",
        "litellm_params": {"model": "runwayml/gen4_turbo", "api_base": f"{runway.base}/v1"},
        "model_info": {
            "id": "runwayml/main",
            "db_model": False,
            "mode": "video_generation",
            "description": "A film",
            "output_cost_per_second": 0.05,
        },
    }
    assert len({each["model_info"]["id"] for each in found}) == len(found) == 11
    assert found[7]["litellm_params"] == {"model": "sandbox/image"}
    for secret in (runway.key, WRONG, PASSWORD, KEY):
        assert secret not in answer.text
    assert runway.requests == []
    for name in ("main", "runwayml/main"):
        assert get(server, "/model/info", litellm_model_id=name).json()["data"] == found[:1]
    assert get(server, "/model/info", litellm_model_id="x").status_code == 404


def test_model_group_info(server: Running) -> None:
    found = get(server, "/model_group/info").json()["data"]
    assert [each["model_group"] for each in found][:3] == ["film", "picture", "keyless"]
    assert found[0] == {"model_group": "film", "providers": ["runwayml"], "mode": "video_generation"}
    assert get(server, "/model_group/info", model_group="movie").json()["data"] == found[:1]
    assert get(server, "/model_group/info", model_group="x").status_code == 404
