"""LiteLLM configs as people have them, unchanged: what each warns of, and that it then does what its keys say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.config import Config, load_config
from gateway.policy.guards import patterns, pii
from tests.conftest import KEY
from tests.serving import Running, serving
from tests.upstreams import elevenlabs, minimax, runway, speaking

FOLDER = Path(__file__).parent.parent / "config" / "litellm"
STUDIO, AGENCY = runway.KEY, "key_" + "fedcba9876543210" * 8
ENV = {
    "RUNWAY_KEY_STUDIO": STUDIO,
    "RUNWAY_KEY_AGENCY": AGENCY,
    "RUNWAYML_API_BASE": "http://127.0.0.1:9",
    "RUNWAY_BASE_NEAR": "http://127.0.0.1:9",
    "RUNWAY_BASE_FAR": "http://127.0.0.1:9",
    "ELEVENLABS_API_KEY": elevenlabs.KEY,
    "ELEVENLABS_API_BASE": "http://127.0.0.1:9",
    "MINIMAX_API_KEY": minimax.KEY,
    "MINIMAX_API_BASE": "http://127.0.0.1:9",
    "PROXY_MASTER_KEY": KEY,
}
"""What the variables of these files hold, but those of databases and caches, which are not even looked up."""

KNOWN = "known to LiteLLM, not acted on here"
NO_EFFECT = "has no effect: what a provider refuses is the caller's to change, never repeated, and cools nobody"

WARNINGS: dict[str, dict[str, str]] = {
    "two_accounts": {"model_list[3].litellm_params.tpm": KNOWN, "litellm_settings.set_verbose": KNOWN},
    "order_and_fallbacks": {
        "litellm_settings.context_window_fallbacks": KNOWN,
        "litellm_settings.telemetry": KNOWN,
    },
    "content_policy": {"router_settings.retry_policy.ContentPolicyViolationErrorRetries": NO_EFFECT},
    "latency_and_cooldowns": {
        f"router_settings.{key}": KNOWN
        for key in ("enable_pre_call_checks", "redis_host", "redis_port", "redis_password")
    },
    "retries": {"router_settings.retry_policy.BadRequestErrorRetries": NO_EFFECT},
    "budgets": {
        "litellm_settings.budget_exceeded_status_code": KNOWN,
        "general_settings.database_url": KNOWN,
        "general_settings.database_connection_pool_limit": KNOWN,
        "general_settings.proxy_batch_write_at": KNOWN,
    },
    "guardrails": {
        "guardrails[1].litellm_params.presidio_language": KNOWN,
        "guardrails[1].guardrail_info": KNOWN,
        "guardrails[2].litellm_params.mode": "post_call is not acted on: media has no text in its answers",
        "guardrails[3].litellm_params.mode": "this guard looks at answers, and media has no text in them: "
        "it does nothing here",
    },
    "callbacks": {
        f"litellm_settings.{key}_callback[0]": f"no callback '{name}' is built in here: nobody is told of calls"
        for key, name in (("success", "langfuse"), ("failure", "sentry"))
    }
    | {
        "litellm_settings.service_callback": KNOWN,
        "litellm_settings.redact_user_api_key_info": KNOWN,
        "callback_settings": KNOWN,
    },
    "speech_cache": {"litellm_settings.cache_params.host": KNOWN},
    "wildcards": {"model_list[1].model_info.access_groups": KNOWN},
    "large_installation": {
        **{
            f"model_list[0].litellm_params.{key}": KNOWN
            for key in ("tpm", "max_budget", "budget_duration", "litellm_credential_name", "extra_headers")
        },
        **{
            f"model_list[0].model_info.{key}": KNOWN
            for key in ("access_groups", "supported_environments", "health_check_model")
        },
        "credential_list": KNOWN,
        "router_settings.routing_strategy": "is not one of ours: simple-shuffle is used instead",
        **{
            f"router_settings.{key}": KNOWN
            for key in ("redis_url", "cache_responses", "enable_pre_call_checks", "optional_pre_call_checks")
        },
        "litellm_settings.num_retries": "router_settings has another value, which wins",
        "litellm_settings.cache_params.type": f"the cache is off: redis is {KNOWN}",
        **{
            f"litellm_settings.{key}": KNOWN
            for key in ("upperbound_key_generate_params", "default_internal_user_params", "default_team_settings")
        },
        "general_settings.master_key": "known from LiteLLM's documentation; anyone can guess it",
        **{
            f"general_settings.{key}": KNOWN
            for key in (
                "database_url store_model_in_db store_prompts_in_spend_logs alerting alerting_threshold "
                "global_max_parallel_requests allowed_routes ui_access_mode key_management_system "
                "pass_through_endpoints"
            ).split()
        },
    },
}

# OpenAI's SDKs call every method of videos deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EXTRAS = pytest.mark.skipif(not (patterns.available() and pii.available()), reason="needs the extras guards and pii")

Serve = Callable[..., Running]


@pytest.fixture
def opened() -> Iterator[Callable[[AbstractContextManager[Any]], Any]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def serve(opened: Callable[[Any], Any]) -> Serve:
    """Serve a file of these, its variables as in ``ENV`` and as given."""
    return lambda name, **env: opened(serving(loaded(name, **env)))


@pytest.fixture
def vendor(opened: Callable[[Any], Any]) -> runway.Runway:
    """RunwayML, letting both accounts in."""
    return opened(runway.Runway(key=None))


def loaded(name: str, **env: str) -> Config:
    return load_config(FOLDER / f"{name}.yaml", env=ENV | env)


def film(server: Running, model: str = "gen4-turbo", **more: Any) -> httpx.Response:
    """A film of Runway's least price: 25 cents."""
    headers = more.pop("headers", None)
    body = {"model": model, "prompt": "A lighthouse", "seconds": 5, "size": "1280x720"}
    body |= {"input_reference": "https://media.example.com/a.jpg"} | more
    return httpx.post(f"{server.base}/v1/videos", json=body, headers=headers, timeout=30)


def say(server: Running, model: str, **more: Any) -> httpx.Response:
    headers = more.pop("headers", None)
    body = {"model": model, "input": "Hello there.", "voice": "alloy", "response_format": "mp3", **more}
    return httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers, timeout=30)


def way(answer: httpx.Response) -> tuple[int, str | None, str | None, str | None]:
    """Status, who answered, retries and fallbacks."""
    told = answer.headers
    names = ("model-id", "attempted-retries", "attempted-fallbacks")
    return (answer.status_code, *(told.get(f"x-litellm-{name}") for name in names))


def test_all_of_them_are_looked_at() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(WARNINGS)
    assert len(WARNINGS) >= 10


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=EXTRAS if name == "guardrails" else ()) for name in WARNINGS]
)
def test_it_loads_and_warns_of_this_alone(name: str) -> None:
    assert {warning.where: warning.message for warning in loaded(name).warnings} == WARNINGS[name]


def test_two_accounts(serve: Serve, vendor: runway.Runway) -> None:
    server = serve("two_accounts", RUNWAYML_API_BASE=vendor.base)
    answers = [film(server) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200}
    asked = Counter(str(entry["key"]) for entry in vendor.ledger)
    assert asked[STUDIO] + asked[AGENCY] == 40
    # Three in four: 15 or fewer are more than five deviations away.
    assert 15 < asked[STUDIO] < 40
    told = Counter(answer.headers["x-litellm-model-id"] for answer in answers)
    assert told == {"runwayml/studio": asked[STUDIO], "runwayml/agency": asked[AGENCY]}
    vendor.ledger.clear()
    for _ in range(15):
        assert film(server, "preview").status_code == 200
    assert Counter(entry["key"] for entry in vendor.ledger) == {STUDIO: 12, AGENCY: 3}  # the rpm of each
    dropped = film(server, style="vivid").headers["x-media-gateway-dropped-params"]
    assert dropped == "style"


def test_order_and_fallbacks(serve: Serve, vendor: runway.Runway) -> None:
    server = serve("order_and_fallbacks", RUNWAYML_API_BASE=vendor.base)
    assert {way(film(server, "film")) for _ in range(5)} == {(200, "runwayml/first", "0", "0")}
    vendor.next(runway.UNAUTHORIZED)
    assert way(film(server, "film")) == (200, "runwayml/second", "1", "0")
    for fault in (runway.DAILY_LIMIT, runway.DAILY_LIMIT):
        vendor.next(fault)
    answer = film(server, "film")
    assert way(answer) == (200, "runwayml/third", "1", "1")
    assert answer.headers["x-media-gateway-fallback"] == "film; reason=rate_limit_exceeded"
    assert answer.headers["x-litellm-model-group"] == "film-gen45"
    for _ in range(3):
        vendor.next(runway.UNAUTHORIZED)
    assert way(film(server, "film"))[:2] == (200, "sandbox/sandbox")
    vendor.next(runway.UNAUTHORIZED)
    assert way(film(server, "film-gen45")) == (200, "sandbox/sandbox", "0", "1")  # by default_fallbacks
    vendor.next(runway.DROP_AFTER)
    made = len(vendor.ledger)
    answer = film(server, "film")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "submission_unknown")
    assert len(vendor.ledger) == made + 1  # it may have been taken: nobody else is asked


def test_content_policy(serve: Serve, opened: Callable[[Any], Any]) -> None:
    strict, lenient = opened(minimax.MiniMax()), opened(elevenlabs.ElevenLabs())
    server = serve("content_policy", MINIMAX_API_BASE=strict.base, ELEVENLABS_API_BASE=lenient.base)
    assert way(say(server, "strict")) == (200, "minimax/strict", "0", "0")
    strict.next(minimax.failing(1026))
    answer = say(server, "strict")
    assert way(answer) == (200, "elevenlabs/lenient", "0", "1")
    assert answer.headers["x-media-gateway-fallback"] == "strict; reason=content_policy_violation"
    assert (len(strict.requests), len(lenient.requests)) == (2, 1)
    strict.next(minimax.failing(1008))  # out of money
    assert way(say(server, "strict")) == (200, "local/spare", "0", "1")
    strict.next(minimax.failing(1026))
    answer = say(server, "strict", disable_fallbacks=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_policy_violation")


def test_latency_and_cooldowns(serve: Serve, opened: Callable[[Any], Any]) -> None:
    near, far = opened(runway.Runway()), opened(runway.Runway())
    far.next(runway.delay(1.5))
    server = serve("latency_and_cooldowns", RUNWAY_BASE_NEAR=near.base, RUNWAY_BASE_FAR=far.base)
    told = [way(film(server)) for _ in range(12)]
    assert {each[0] for each in told} == {200}
    # Each is measured once; then all go to the one that answers sooner.
    assert Counter(each[1] for each in told) == {"runwayml/near": 11, "runwayml/far": 1}
    near.next(runway.UNAUTHORIZED)
    assert way(film(server)) == (200, "runwayml/far", "1", "0")
    asked = len(near.requests)
    assert way(film(server)) == (200, "runwayml/far", "0", "0")  # near cools for a minute
    assert len(near.requests) == asked


@pytest.mark.parametrize(
    ("model", "fault", "asked", "status"),
    [
        ("reader", speaking.BAD_GATEWAY, 2, 502),
        ("once", speaking.BAD_GATEWAY, 1, 502),
        ("stubborn", speaking.BAD_GATEWAY, 3, 502),
        ("reader", elevenlabs.BUSY, 1, 429),
        ("reader", elevenlabs.UNAUTHORIZED, 1, 502),
        ("reader", elevenlabs.VOICE_NEWER, 1, 400),
    ],
)
def test_retries(
    serve: Serve, opened: Callable[[Any], Any], model: str, fault: speaking.Fault, asked: int, status: int
) -> None:
    upstream = opened(elevenlabs.ElevenLabs())
    server = serve("retries", ELEVENLABS_API_BASE=upstream.base)
    for _ in range(asked + 3):
        upstream.next(fault)
    answer = say(server, model)
    assert (answer.status_code, len(upstream.requests)) == (status, asked)
    assert answer.headers["x-litellm-attempted-retries"] == str(asked - 1)


def test_budgets(serve: Serve, vendor: runway.Runway) -> None:
    server = serve("budgets", RUNWAYML_API_BASE=vendor.base)
    assert film(server).status_code == 401
    key = {"X-Studio-Key": KEY}
    ann, ben = key | {"X-Studio-User": "ann"}, key | {"X-Studio-User": "ben"}
    first = film(server, headers=ann)
    assert (first.status_code, first.headers["x-litellm-response-cost"]) == (200, "0.25")
    over = film(server, headers=ann)  # thirty cents of her own
    assert (over.status_code, over.json()["error"]["code"]) == (429, "insufficient_quota")
    assert over.headers["x-should-retry"] == "false"
    assert film(server, headers=ben).status_code == 200
    assert film(server, headers=key | {"X-Studio-User": "eve"}).status_code == 429  # sixty of all
    assert len(vendor.ledger) == 2
    answer = httpx.post(
        f"{server.base}/v1/images/generations", json={"model": "unpriced", "prompt": "A door"}, headers=key
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "price_unknown")


@EXTRAS
def test_guardrails(serve: Serve, vendor: runway.Runway) -> None:
    server = serve("guardrails", RUNWAYML_API_BASE=vendor.base)
    answer = film(server, prompt="A film of ACME for ann@example.org")
    assert (answer.status_code, answer.headers["x-litellm-applied-guardrails"]) == (200, "words,personal-data")
    assert vendor.ledger[-1]["body"]["promptText"] == "A film of [COMPANY] for <EMAIL_ADDRESS>"
    for prompt, guard in (
        ("All of Project Nightjar", "words"),
        ("My number is 123-45-6789", "words"),
        ("Paid with 4111 1111 1111 1111", "personal-data"),
    ):
        answer = film(server, prompt=prompt)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "content_policy_violation", "prompt")
        assert f"'{guard}'" in error["message"]
    assert film(server, guardrails=["house-rules"], prompt="A door").status_code == 200
    assert vendor.ledger[-1]["body"]["promptText"] == "A door, hand-drawn"
    assert film(server, guardrails=["house-rules"], prompt="A door" * 20).status_code == 400
    assert film(server, guardrails=["answers"], prompt="Never seen").status_code == 200  # it looks at no prompts
    assert len(vendor.ledger) == 3


def test_callbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_LOG", str(tmp_path / "calls"))
    with serving(loaded("callbacks")) as server:
        assert say(server, "tts-1", voice=None).status_code == 200
        assert say(server, "tts-1", voice="nobody").status_code == 400
        metrics = httpx.get(f"{server.base}/metrics").text
        counted = re.findall(r"^litellm_proxy_total_requests_metric_total{(.*)} 1.0$", metrics, re.MULTILINE)
        assert sorted(re.findall(r'status_code="(\d+)"', each)[0] for each in counted) == ["200", "400"]
    told = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [each[:2] for each in told] == [["success", "tts-1"], ["failure", "tts-1"]]
    assert told[0][2] == pytest.approx(12 * 0.000015)
    assert "Hello there." not in str(told)  # turn_off_message_logging


def test_speech_cache(serve: Serve, opened: Callable[[Any], Any]) -> None:
    upstream = opened(elevenlabs.ElevenLabs())
    server = serve("speech_cache", ELEVENLABS_API_BASE=upstream.base)
    names = ("x-media-gateway-cache", "x-litellm-response-cost")
    first, again, other = say(server, "tts-1"), say(server, "tts-1-hd"), say(server, "eleven", voice="nova")
    assert [[answer.headers[name] for name in names] for answer in (first, again, other)] == [
        ["miss", "0.00012"],
        ["hit", "0"],
        ["miss", "0.00012"],
    ]
    assert first.content == again.content
    assert len(upstream.ledger) == 2
    dropped = say(server, "tts-1", instructions="Softly").headers["x-media-gateway-dropped-params"]
    assert dropped == "instructions"
    listed = [each["id"] for each in httpx.get(f"{server.base}/v1/models").json()["data"]]
    assert listed == ["eleven", "tts-1"]


def test_wildcards(serve: Serve, vendor: runway.Runway) -> None:
    server = serve("wildcards", RUNWAYML_API_BASE=vendor.base)
    assert film(server, "runwayml/gen4.5").status_code == 200
    assert film(server, "sora-2", seconds=4).status_code == 200
    assert way(film(server, "film")) == (200, "runwayml/agency", "0", "0")
    made = [(entry["model"], entry["key"]) for entry in vendor.ledger]
    assert made == [("gen4.5", STUDIO), ("veo3.1_fast", STUDIO), ("gen4_turbo", AGENCY)]
    vendor.next(runway.UNAUTHORIZED)
    answer = film(server, "film")
    assert (answer.status_code, answer.headers["x-litellm-model-group"]) == (200, "runwayml/gen4.5")
    assert say(server, "voices").status_code == 200
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key="unused") as client:
        listed = {model.id for model in client.models.list()}
    assert {"runwayml/gen4_image", "runwayml/gen4_turbo", "sora-2", "voices"} < listed
    assert not {"runwayml/*", "film"} & listed
    assert film(server, "runwayml/gen9").status_code == 404


def test_large_installation(serve: Serve) -> None:
    server = serve("large_installation")
    assert say(server, "tts-1").status_code == 401
    key = {"Authorization": "Bearer sk-1234"}
    answer = say(server, "tts-1", headers=key, instructions="Softly")
    assert way(answer) == (200, "local/reader", "0", "0")
    assert answer.headers["x-media-gateway-dropped-params"] == "instructions"
    assert "x-media-gateway-cache" not in answer.headers
    made = httpx.post(f"{server.base}/key/generate", json={"models": ["tts-1"]}, headers=key)  # with no database
    assert say(server, "tts-1", headers={"x-api-key": made.json()["key"]}).status_code == 200
    health = httpx.get(f"{server.base}/health", headers=key).json()
    assert (health["healthy_count"], health["unhealthy_count"]) == (1, 0)
