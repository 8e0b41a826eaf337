"""Traces, as a collector gets them."""

from __future__ import annotations

import json

import httpx
import pytest

from gateway.config import ConfigError
from gateway.telemetry.traces import Traces
from tests.serving import config_of, serving
from tests.telemetry.collector import Collector, collecting, plain
from tests.telemetry.records import ended, spoken

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONFIG = """
model_list:
  - {model_name: voice, params: {model: scripted/ok}}
"""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch):
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


def sent(collector: Collector, *calls, **more) -> list:
    traces = Traces(**more)
    for call in calls:
        traces(call)
    traces.close()
    return collector.spans


def test_a_call_and_its_attempts(collector: Collector) -> None:
    call, first, second = sorted(sent(collector, spoken()), key=lambda span: span.start_time_unix_nano)
    assert (call.name, call.kind) == ("POST /v1/audio/speech", call.SPAN_KIND_SERVER)
    about = plain(call.attributes)
    assert about["http.route"] == "/v1/audio/speech"
    assert about["http.response.status_code"] == 200
    assert about["gen_ai.operation.name"] == "generate_content"
    assert about["gen_ai.output.type"] == "speech"
    assert (about["gen_ai.request.model"], about["gen_ai.response.model"]) == ("first", "second")
    assert about["gen_ai.provider.name"] == "other"
    assert (about["gen_ai.usage.input_tokens"], about["gen_ai.usage.output_tokens"]) == (3, 40)
    assert about["media_gateway.characters"] == 11
    assert about["media_gateway.request_id"] == "req_1"
    assert not call.parent_span_id
    assert first.name == "generate_content first"
    assert {first.parent_span_id, second.parent_span_id} == {call.span_id}
    assert {first.trace_id, second.trace_id} == {call.trace_id}
    assert first.kind == first.SPAN_KIND_CLIENT
    assert first.status.code == first.status.STATUS_CODE_ERROR
    assert plain(first.attributes)["error.type"] == "provider_unavailable"
    assert plain(first.attributes)["gen_ai.provider.name"] == "vendor"
    assert second.status.code == second.status.STATUS_CODE_UNSET
    assert second.end_time_unix_nano - second.start_time_unix_nano == pytest.approx(0.3e9, rel=0.01)
    assert call.start_time_unix_nano < first.start_time_unix_nano
    assert second.end_time_unix_nano < call.end_time_unix_nano


def test_prompts_only_where_they_are_switched_on(collector: Collector) -> None:
    [call, *_] = [span for span in sent(collector, spoken(attempts=[])) if not span.parent_span_id]
    assert "Say this." not in repr(call)
    collector.raw.clear()
    [call] = sent(collector, spoken(attempts=[]), texts=True)
    [message] = json.loads(plain(call.attributes)["gen_ai.input.messages"])
    assert message == {"role": "user", "parts": [{"type": "text", "content": "Say this."}]}


def test_a_failure(collector: Collector) -> None:
    calls = [ended(status=400, code="invalid_value"), ended(status=502, code="provider_error")]
    refused, broke = sent(collector, *calls)
    assert plain(refused.attributes)["error.type"] == "invalid_value"
    assert refused.status.code == refused.status.STATUS_CODE_UNSET  # the caller's fault is none of ours
    assert (broke.status.code, broke.status.message) == (broke.status.STATUS_CODE_ERROR, "provider_error")


@pytest.mark.parametrize("by_config", [True, False])
def test_the_caller_s_trace_goes_on(collector: Collector, monkeypatch: pytest.MonkeyPatch, by_config: bool) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=media")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    if by_config:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "studio")
    text = f"{CONFIG}litellm_settings: {{callbacks: [otel]}}\n" if by_config else CONFIG
    with serving(config_of(text)) as server:
        body = {"model": "voice", "voice": "v", "input": "Hello.", "response_format": "pcm"}
        for flags in ("01", "00"):  # the second one's caller keeps no traces
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}", "x-request-id": f"call-{flags}"}
            assert httpx.post(f"{server.base}/v1/audio/speech", json=body, headers=headers).status_code == 200
        httpx.get(f"{server.base}/livez")
        httpx.get(f"{server.base}/metrics")
    [call] = [span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER]
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert plain(call.attributes)["media_gateway.request_id"] == "call-01"
    assert collector.headers["x-team"] == "media"
    assert collector.resources[0]["service.name"] == ("studio" if by_config else "media-gateway")
    assert collector.resources[0]["deployment.environment"] == "test"


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("gateway.config.callbacks.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        config_of(f"{CONFIG}litellm_settings: {{callbacks: [otel]}}\n")
    assert 'pip install "media-gateway[otel]"' in str(caught.value.problems[0])
    monkeypatch.setattr("gateway.telemetry.traces.find_spec", lambda name: None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with serving(config_of(CONFIG)) as server:
        assert httpx.get(f"{server.base}/livez").status_code == 200
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces need" in caplog.text
