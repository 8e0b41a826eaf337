"""What is counted of a call, under which names and labels."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.jobs.job import Job, State
from gateway.jobs.tally import Tally
from gateway.record import Attempt, Cost, Used, Who
from gateway.telemetry.ended import Ended
from gateway.telemetry.metrics import Metrics
from tests.telemetry.records import ended, spoken


def samples(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def counted(calls: Sequence[Ended], **more: object) -> dict[str, list[tuple[dict[str, str], float]]]:
    metrics = Metrics({"first", "second"}, **more)
    for call in calls:
        metrics(call)
    return samples(metrics)


def test_a_call_that_a_fallback_answered() -> None:
    found = counted([spoken(), spoken()])
    who = {"end_user": "None", "hashed_api_key": "ab" * 32, "api_key_alias": "team-a"}
    asked = {"requested_model": "first", "model_id": "other/two@second", "api_provider": "other", **who}
    assert found["litellm_proxy_total_requests_metric_total"] == [
        ({"route": "/v1/audio/speech", "status_code": "200", **asked}, 2)
    ]
    made = {"model": "second", "requested_model": "first", "api_provider": "other", **who}
    assert "litellm_proxy_failed_requests_metric_total" not in found
    assert found["media_gateway_characters_total"] == [(made, 22)]
    assert found["media_gateway_audio_seconds_total"] == [(made, 3)]
    assert found["litellm_input_tokens_metric_total"] == [(made, 6)]
    assert found["litellm_request_total_latency_metric_sum"] == [(made, 4)]
    # The answering deployment was asked 1.3 s ago, and began after 0.3.
    assert found["litellm_llm_api_latency_metric_sum"][0][1] == pytest.approx(2 * 1.3, abs=0.2)
    assert found["litellm_llm_api_time_to_first_token_metric_sum"] == [(made, 0.6)]
    assert found["media_gateway_first_byte_seconds_sum"][0][1] == pytest.approx(2.2)
    assert found["media_gateway_response_bytes_total"][0][1] == 10_000
    assert {labels["model_id"]: value for labels, value in found["litellm_deployment_total_requests_total"]} == {
        "vendor/one@first": 2,
        "other/two@second": 2,
    }
    [(labels, value)] = found["litellm_deployment_success_responses_total"]
    assert (labels["litellm_model_name"], labels["api_provider"], value) == ("second", "other", 2)
    [(labels, value)] = found["litellm_deployment_failure_responses_total"]
    assert (labels["model_id"], labels["exception_class"], value) == ("vendor/one@first", "provider_unavailable", 2)
    [(labels, value)] = found["litellm_deployment_successful_fallbacks_total"]
    assert (labels["requested_model"], labels["fallback_model"], value) == ("first", "second", 2)


def test_a_call_that_nobody_could_answer() -> None:
    attempts = [Attempt("first", "v/1", "provider_timeout", 1), Attempt("second", "v/2", "engine_overloaded", 1)]
    found = counted([ended(model="first", status=429, code="engine_overloaded", attempts=attempts)])
    [(labels, value)] = found["litellm_proxy_failed_requests_metric_total"]
    assert (labels["exception_status"], labels["exception_class"], value) == ("429", "engine_overloaded", 1)
    assert found["litellm_deployment_failed_fallbacks_total"][0][0]["exception_class"] == "provider_timeout"
    assert "litellm_request_total_latency_metric_sum" not in found


def test_who_hung_up_is_no_fault_of_a_deployment() -> None:
    attempts = [Attempt("first", "v/1", "client_gone", 1)]
    found = counted([ended(model="first", status=0, code="client_gone", attempts=attempts)])
    assert "litellm_deployment_total_requests_total" not in found
    assert found["litellm_proxy_failed_requests_metric_total"][0][0]["exception_status"] == "0"


def test_what_a_caller_invents_is_no_label() -> None:
    calls = [
        ended(model=f"no-such-{number}", status=404, code="model_not_found", who=Who(end_user=f"user-{number}"))
        for number in range(50)
    ]
    found = counted(calls)
    [(labels, value)] = found["litellm_proxy_total_requests_metric_total"]
    assert (labels["requested_model"], labels["end_user"], value) == ("other", "None", 50)


def test_end_users_are_named_where_the_config_says_so() -> None:
    found = counted([spoken()], end_users=True)
    assert found["media_gateway_characters_total"][0][0]["end_user"] == "customer-1"


def test_a_client_s_retry_is_a_double_submit_prevented_and_made_nothing() -> None:
    used = Used(images=2)
    calls = [
        ended("image", model="first", used=used),
        ended("image", model="first", used=used, joined=True),
        ended("image", model="first", status=502, code="submission_unknown"),
    ]
    found = counted(calls)
    assert found["litellm_images_generated_metric_total"][0][1] == 2
    assert {labels["reason"]: value for labels, value in found["media_gateway_double_submits_prevented_total"]} == {
        "client_retry": 1,
        "outcome_unknown": 1,
    }


def test_what_calls_cost() -> None:
    calls = [
        ended("video", model="first", charges={"a": Cost(0.25, "expected"), "b": Cost(0.5)}),
        ended("video", model="first", charges={"a": Cost(0.25), "b": None}),
        ended("video", model="first", joined=True),
    ]
    found = counted(calls)
    assert [value for _, value in found["litellm_spend_metric_total"]] == [0.75]
    assert [value for _, value in found["media_gateway_unknown_cost_calls_total"]] == [1]


def test_films() -> None:
    found = counted([ended("video", model="first", used=Used(video_seconds=8.0))])
    assert found["litellm_video_duration_seconds_metric_total"][0][1] == 8


def test_tasks() -> None:
    tally = Tally()
    job = Job("video_1", "video", "m", "v/m", 0.0)
    for _ in range(3):
        tally.known(job)
        tally.moved(State.CREATED, State.SUBMITTING)
    tally.moved(State.SUBMITTING, State.RUNNING)
    tally.moved(State.SUBMITTING, State.FAILED)
    for lag in (-0.2, 0.01, 0.02, 7000):
        tally.looked(lag)
    tally.kept = {"video": 7}
    metrics = Metrics(())
    metrics.jobs(lambda: tally)
    found = samples(metrics)
    assert {labels["state"]: value for labels, value in found["media_gateway_jobs"]} == {
        "created": 0,
        "submitting": 1,
        "running": 1,
        "storing": 0,
    }
    assert ({"state": "failed"}, 1) in found["media_gateway_jobs_ended_total"]
    lags = {labels["le"]: value for labels, value in found["media_gateway_poll_lag_seconds_bucket"]}
    assert (lags["0.01"], lags["0.05"], lags["600.0"], lags["+Inf"]) == (2, 3, 3, 4)
    assert found["media_gateway_poll_lag_seconds_sum"][0][1] == pytest.approx(7000.03)
    assert found["media_gateway_outputs_bytes_total"] == [({"kind": "video"}, 7)]


def test_where_there_are_no_tasks_yet() -> None:
    metrics = Metrics(())
    metrics.jobs(lambda: None)
    assert "media_gateway_jobs" not in samples(metrics)
