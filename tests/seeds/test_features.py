"""What LiteLLM's pages tick in their tables of features: for speech, pictures and films each."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import load_config
from tests.config.litellm import call_logger
from tests.seeds.conftest import KEYED
from tests.serving import Running, serving
from tests.upstreams.runway import UNAUTHORIZED, Runway

FIRST, SECOND = ("key_" + digits * 8 for digits in ("0123456789abcdef", "fedcba9876543210"))
MODELS = {"speech": "eleven_multilingual_v2", "image": "gen4_image", "video": "gen4_turbo"}
SPARE = {
    "speech": "local/espeak",
    "image": "sandbox/image, seconds: 0.05, poll_interval: 0.02",
    "video": "sandbox/video, seconds: 0.05, poll_interval: 0.02",
}
ENTRY = """
  - model_name: {group}-{kind}
    litellm_params: {{model: runwayml/{model}, api_key: {key}, rpm: {rpm}}}"""
SPARE_ENTRY = """
  - model_name: spare-{kind}
    litellm_params: {{model: {model}}}"""
YAML = (
    "model_list:"
    + "".join(
        ENTRY.format(group=group, kind=kind, model=model, key=key, rpm=rpm)
        for kind, model in MODELS.items()
        for group, key, rpm in (("runway", FIRST, 1000), ("shared", FIRST, 2), ("shared", SECOND, 3))
    )
    + "".join(SPARE_ENTRY.format(kind=kind, model=model) for kind, model in SPARE.items())
    + """
router_settings:
  disable_cooldowns: true
  fallbacks: [{runway-speech: [spare-speech]}, {runway-image: [spare-image]}, {runway-video: [spare-video]}]
litellm_settings:
  callbacks: ["call_logger.instance"]
  turn_off_message_logging: false
guardrails:
  - guardrail_name: words
    litellm_params:
      guardrail: litellm_content_filter
      mode: pre_call
      default_on: true
      blocked_words: [{keyword: nightshade, action: BLOCK}]
"""
)
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "speech": ("/v1/audio/speech", {"input": "Hello, world!", "voice": "alloy"}),
    "image": ("/v1/images/generations", {"prompt": "A serene mountain landscape at sunset", "size": "1920x1080"}),
    "video": (
        "/v1/videos",
        {
            "prompt": "A scenic mountain view",
            "input_reference": "https://example.com/mountain.jpg",
            "seconds": 5,
            "size": "1280x720",
        },
    ),
}
kinds = pytest.mark.parametrize("kind", MODELS)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the logger of the config writes."""
    return tmp_path_factory.mktemp("told") / "calls"


@pytest.fixture(scope="module")
def proxy(environment: pytest.MonkeyPatch, runway: Runway, told: Path) -> Iterator[Running]:
    runway.key = None  # both accounts
    environment.setenv("CALL_LOG", str(told))
    shutil.copy(call_logger.__file__, told.parent)
    (told.parent / "config.yaml").write_text(YAML + KEYED)
    with serving(load_config(told.parent / "config.yaml")) as running:
        yield running


@pytest.fixture
def client(proxy: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.base, headers={"x-litellm-api-key": "sk-1234"}, timeout=30) as made:
        yield made


def ask(client: httpx.Client, kind: str, group: str = "runway", **more: Any) -> httpx.Response:
    path, body = BODIES[kind]
    return client.post(path, json={"model": f"{group}-{kind}", **body, **more})


def row(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The ledger's line of a call."""
    (found,) = client.get("/spend/logs", params={"request_id": answer.headers["x-litellm-call-id"]}).json()
    return found  # type: ignore[no-any-return]


@kinds
def test_cost_tracking(client: httpx.Client, runway: Runway, kind: str) -> None:
    answer = ask(client, kind)
    cost = runway.ledger[-1]["credits"] / 100
    assert float(answer.headers["x-litellm-response-cost"]) == pytest.approx(cost)
    assert row(client, answer)["spend"] == pytest.approx(cost)


@kinds
def test_logging(client: httpx.Client, told: Path, kind: str) -> None:
    """A logger as one writes it for LiteLLM hears of what went well and of what did not."""
    told.write_text("")
    assert ask(client, kind).status_code == 200
    assert ask(client, kind, size="7x7", voice="nobody").status_code == 400
    end = time.monotonic() + 10
    while len(lines := [json.loads(line) for line in told.read_text().splitlines()]) < 2:
        assert time.monotonic() < end  # it is told when the answer has gone already
    assert [line[:2] for line in lines] == [["success", f"runway-{kind}"], ["failure", f"runway-{kind}"]]
    assert lines[0][2] > 0
    assert next(iter(BODIES[kind][1].values())) in lines[0][3]


@kinds
def test_fallbacks(client: httpx.Client, runway: Runway, kind: str) -> None:
    made = len(runway.ledger)
    runway.next(UNAUTHORIZED)
    answer = ask(client, kind)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-media-gateway-model"] == f"spare-{kind}"
    assert answer.headers["x-media-gateway-fallback"].startswith(f"runway-{kind}; reason=")
    assert len(runway.ledger) == made


@kinds
def test_load_balancing(client: httpx.Client, runway: Runway, kind: str) -> None:
    """Two accounts share the calls, each as many as it may take in a minute."""
    runway.ledger.clear()
    for _ in range(5):
        assert ask(client, kind, "shared").status_code == 200
    assert Counter(entry["key"] for entry in runway.ledger) == {FIRST: 2, SECOND: 3}


@kinds
def test_guardrails(client: httpx.Client, runway: Runway, kind: str) -> None:
    field = next(iter(BODIES[kind][1]))
    made = len(runway.ledger)
    answer = ask(client, kind, **{field: "A bit of nightshade"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert answer.headers["x-litellm-applied-guardrails"] == "words"
    assert len(runway.ledger) == made


@kinds
def test_end_user_tracking(client: httpx.Client, kind: str) -> None:
    answer = ask(client, kind, user=f"ann-{kind}")
    assert row(client, answer)["end_user"] == f"ann-{kind}"
    users = client.get("/spend/users").json()
    assert f"ann-{kind}" in str(users)
