"""How RunwayML's tasks can end and its answers can fail, each as what a caller is told over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engines.synthetic import labelled_picture
from providers.runwayml import Runway as Adapter
from tests.conftest import KEY
from tests.serving import Running, config_of, serving
from tests.upstreams import runway as upstream
from tests.upstreams.runway import Fault, Plan, Runway

CONFIG = """
model_list:
  - model_name: image
    litellm_params: &runway {{model: runwayml/gen4_image, api_key: {vendor_key}, api_base: "{base}"}}
  - model_name: speech
    litellm_params: {{<<: *runway, model: runwayml/eleven_v3}}
  - model_name: video
    litellm_params: {{<<: *runway, model: runwayml/gen4_turbo}}
  - model_name: hasty
    litellm_params: {{<<: *runway, polling_timeout: 0.2}}
router_settings: {{num_retries: 0}}
general_settings: {{master_key: {key}, data_dir: {data}, max_request_size_mb: 8}}
"""
HEADERS = {"Authorization": f"Bearer {KEY}"}
PICTURE = "https://media.example.com/a.png"


@pytest.fixture(scope="module")
def runway() -> Iterator[Runway]:
    """Its five seconds between two looks are a moment here."""
    with pytest.MonkeyPatch.context() as patch, Runway(seconds=0.1) as server:
        patch.setattr(Adapter, "poll_interval", property(lambda self: 0.05, lambda self, _: None), raising=False)
        yield server


@pytest.fixture(scope="module")
def server(runway: Runway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("data")
    with serving(config_of(CONFIG.format(vendor_key=runway.key, base=runway.base, key=KEY, data=data))) as running:
        yield running


def ask(server: Running, model: str = "image", headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    path, body = "/v1/images/generations", {"prompt": "A lake"}
    if model == "speech":
        path, body = "/v1/audio/speech", {"input": "A lake", "voice": "alloy"}
    body = {"model": model, **body, **more}
    return httpx.post(server.base + path, json=body, headers=HEADERS | (headers or {}), timeout=60)


def told(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    assert error["message"]
    assert error["type"]
    return answer.status_code, error["code"], error["param"]


ENDS = [
    (upstream.fails("SAFETY.INPUT.TEXT"), 400, "content_policy_violation", "prompt"),
    (upstream.fails("SAFETY.INPUT.IMAGE"), 400, "content_policy_violation", "prompt"),
    (upstream.fails("SAFETY.OUTPUT.VIDEO"), 400, "content_policy_violation", "prompt"),
    (upstream.fails("SAFETY"), 400, "content_policy_violation", "prompt"),
    (upstream.fails("INPUT_PREPROCESSING.SAFETY.TEXT"), 400, "content_policy_violation", "prompt"),
    (upstream.fails("ASSET.INVALID"), 400, "invalid_value", "referenceImages"),
    (upstream.fails("THIRD_PARTY.UNAVAILABLE"), 502, "provider_unavailable", None),
    (upstream.fails("INPUT_PREPROCESSING.INTERNAL"), 500, "generation_failed", None),
    (upstream.fails("INTERNAL.BAD_OUTPUT.CODE01"), 500, "generation_failed", None),
    (upstream.fails("INTERNAL.BAD_OUTPUT.01"), 500, "generation_failed", None),
    (upstream.fails("INTERNAL"), 500, "generation_failed", None),
    (upstream.fails(None), 500, "generation_failed", None),
    (upstream.fails("SOMETHING.NEW"), 500, "generation_failed", None),
    (upstream.cancelled(), 500, "generation_failed", None),
]


@pytest.mark.parametrize(("plan", "status", "code", "param"), ENDS, ids=lambda value: getattr(value, "code", None))
def test_how_a_task_ends_without_an_output(
    runway: Runway, server: Running, plan: Plan, status: int, code: str, param: str | None
) -> None:
    before = len(runway.ledger)
    runway.next(plan)
    answer = ask(server)
    assert told(answer) == (status, code, param)
    assert "Runway" in answer.json()["error"]["message"]
    assert len(runway.ledger) == before + 1
    if plan.code:
        assert plan.code not in answer.text  # Runway asks not to show them
    runway.next(plan)
    named = {"prompt": "input", "referenceImages": "voice"}
    assert told(ask(server, "speech")) == (status, code, None if param is None else named[param])
    assert len(runway.ledger) == before + 2


@pytest.mark.parametrize(("plan", "status", "code", "param"), ENDS, ids=lambda value: getattr(value, "code", None))
def test_the_same_for_a_film(
    runway: Runway, server: Running, plan: Plan, status: int, code: str, param: str | None
) -> None:
    runway.next(plan)
    body = {"model": "video", "prompt": "A lake", "input_reference": PICTURE}
    with httpx.Client(base_url=server.base, headers=HEADERS) as client:
        video = client.post("/v1/videos", json=body).json()
        while video["status"] in ("queued", "in_progress"):
            video = client.get(f"/v1/videos/{video['id']}").json()
    assert (video["status"], video["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize("plan", [upstream.throttled(0.1), Plan(), upstream.takes(0.3)])
def test_every_other_state_leads_to_an_output(runway: Runway, server: Running, plan: Plan) -> None:
    """THROTTLED, PENDING and RUNNING, then SUCCEEDED."""
    runway.next(plan)
    assert ask(server).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "code", "param", "says"),
    [
        (upstream.OUT_OF_CREDITS, 402, "insufficient_quota", None, "account at Runway"),
        (upstream.DAILY_LIMIT, 429, "rate_limit_exceeded", None, "daily task limit"),
        (upstream.UNAUTHORIZED, 502, "provider_auth", None, "credentials of this gateway"),
        (upstream.BAD_GATEWAY, 502, "provider_unavailable", None, "Runway failed"),
        (upstream.UNAVAILABLE, 502, "provider_unavailable", None, "shedding load"),
        (upstream.OVERLOADED, 502, "submission_unknown", None, "not repeated"),
        (upstream.DROP_BEFORE, 502, "submission_unknown", None, "not repeated"),
        (upstream.CUT, 502, "submission_unknown", None, "not repeated"),
        (upstream.GARBAGE, 502, "submission_unknown", None, "not repeated"),
        (upstream.invalid({"path": ["promptText"], "message": "Odd"}), 400, "invalid_value", "prompt", "Odd"),
        (upstream.invalid({"path": ["ratio"], "message": "Odd"}), 400, "invalid_value", "size", "Odd"),
        (upstream.invalid({"path": []}), 400, "invalid_value", None, "Validation"),
        (Fault(405, {"error": "No"}), 502, "provider_bad_answer", None, "405"),
        (Fault(500, {"error": "No"}), 502, "submission_unknown", None, "may have taken it"),
    ],
)
def test_how_a_create_is_refused(
    runway: Runway, server: Running, fault: Fault, status: int, code: str, param: str | None, says: str
) -> None:
    runway.next(fault)
    answer = ask(server)
    assert told(answer) == (status, code, param)
    assert says in answer.json()["error"]["message"]
    assert runway.key not in answer.text
    assert answer.headers.get("x-should-retry") == ("false" if code == "submission_unknown" else None)


def test_a_pause_that_runway_asks_for_is_passed_on(runway: Runway, server: Running) -> None:
    runway.next(Fault(429, {"error": "Slow down"}, headers={"Retry-After": "7"}))
    assert ask(server).headers["retry-after"] == "7"


def test_a_look_that_fails_is_nothing_to_the_caller(runway: Runway, server: Running) -> None:
    runway.next(upstream.BAD_GATEWAY, where="poll")
    assert ask(server).status_code == 200


def test_a_task_that_takes_too_long_can_still_be_fetched(runway: Runway, server: Running) -> None:
    before = len(runway.ledger)
    runway.next(upstream.takes(999))
    key = {"Idempotency-Key": "the-lake"}
    first = ask(server, "hasty", key)
    assert told(first) == (504, "task_timeout", None)
    assert "img_" in first.json()["error"]["message"]
    assert not runway.deleted
    runway.advance(999)
    while (again := ask(server, "hasty", key)).status_code == 504:
        assert told(again)[1] == "task_timeout"
    assert again.status_code == 200
    assert httpx.get(again.json()["data"][0]["url"]).content[:4] == b"\x89PNG"
    assert len(runway.ledger) == before + 1


# Pictures to look at.


def test_references_reach_runway_as_they_were_given(runway: Runway, server: Running) -> None:
    uri = "data:image/png;base64," + "A" * 4_000_000
    given = [{"uri": PICTURE, "tag": "lake"}, {"uri": uri, "tag": "house_2"}, {"uri": "runway://upload/1"}]
    answer = ask(server, prompt="@lake behind @house_2", referenceImages=given)
    assert answer.status_code == 200, answer.text
    assert runway.ledger[-1]["body"]["referenceImages"] == given
    assert runway.ledger[-1]["body"]["promptText"] == "@lake behind @house_2"


@pytest.mark.parametrize(
    "reference",
    [
        {"uri": "http://media.example.com/a.png"},
        {"uri": "https://127.0.0.1/a.png"},
        {"uri": "data:image/gif;base64,R0lGODlh"},
        {"uri": "data:image/png;base64," + "A" * 5_242_880},
        {"uri": PICTURE, "tag": "NO"},
        {"url": PICTURE},
        PICTURE,
    ],
    ids=range(7),
)
def test_references_that_never_reach_runway(runway: Runway, server: Running, reference: object) -> None:
    before = len(runway.requests)
    answer = ask(server, referenceImages=[reference])
    assert told(answer) == (400, "invalid_value", "referenceImages")
    assert len(answer.text) < 500
    assert len(runway.requests) == before


def test_a_size_may_be_called_ratio(runway: Runway, server: Running) -> None:
    assert ask(server, ratio="1280:720").status_code == 200
    assert runway.ledger[-1]["body"]["ratio"] == "1280:720"
    assert told(ask(server, ratio="1:1")) == (400, "invalid_value", "size")


def test_an_edit_is_a_picture_with_a_reference(runway: Runway, server: Running) -> None:
    png = labelled_picture("A lake", 64, 64)
    files = {"image": ("lake.png", png, "image/png")}
    form = {"model": "image", "prompt": "In winter", "size": "1280x720"}
    answer = httpx.post(f"{server.base}/v1/images/edits", data=form, files=files, headers=HEADERS, timeout=60)
    assert answer.status_code == 200, answer.text
    (reference,) = runway.ledger[-1]["body"]["referenceImages"]
    assert base64.b64decode(reference["uri"].removeprefix("data:image/png;base64,")) == png
    masked = httpx.post(
        f"{server.base}/v1/images/edits",
        data=form,
        files=files | {"mask": ("mask.png", png, "image/png")},
        headers=HEADERS,
        timeout=60,
    )
    assert told(masked)[::2] == (400, "mask")
