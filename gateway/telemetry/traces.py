"""OpenTelemetry traces: a span for each call, and within it one for each deployment that was asked.

Attributes are those of the semantic conventions for HTTP and for generative AI where these have a word for the thing
(opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans; they are still in development there). Spans are made when a
call has ended, and sent by a thread of OpenTelemetry's own.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gateway.telemetry.ended import Ended
from gateway.telemetry.redaction import Redactor
from gateway.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span

SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables that turn traces on, as ``callbacks: [otel]`` does."""

# Of the conventions' own operations, the one for media of any kind.
_OUTPUTS = {"transcription": "text"}
_OPERATION = "generate_content"


def available() -> bool:
    """Whether the extra ``otel`` is installed."""
    return all(map(find_spec, ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter")))


class Traces:
    """An ``Observer``. What is sent where, and how often, say the variables ``OTEL_…``. ``texts``: the prompts too."""

    def __init__(self, redact: Redactor | None = None, *, texts: bool = False) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        own = Resource({SERVICE_NAME: "media-gateway", "service.version": __version__})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("media-gateway", __version__)
        self._context = TraceContextTextMapPropagator()
        self._redact = redact or Redactor()
        self._texts = texts

    def close(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()

    def __call__(self, ended: Ended) -> None:
        """Make the spans of a call. Probes, and whoever reads the metrics, have none."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        if ended.probe or ended.route.startswith("/metrics"):
            return
        record = ended.record
        parent = self._context.extract({name: ended.header(name.encode()) for name in ("traceparent", "tracestate")})
        name = f"{ended.method} {ended.route}".rstrip()
        start = int(record.at * 1e9)
        attributes = self._known({**_of_http(ended), **_of_call(ended), **(_of_texts(ended) if self._texts else {})})
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes, start_time=start)
        if ended.failed and (record.status >= 500 or not record.status):
            _mark(span, record.code or "error")
        within = set_span_in_context(span)
        for attempt in record.attempts:
            about = {
                "gen_ai.operation.name": _OPERATION,
                "gen_ai.provider.name": attempt.deployment.partition("/")[0],
                "gen_ai.request.model": attempt.group,
                "gen_ai.output.type": _OUTPUTS.get(record.kind, record.kind),
                "media_gateway.deployment": attempt.deployment,
                "media_gateway.sent": attempt.sent,
            }
            begun = int((attempt.ended - attempt.seconds) * 1e9)
            child = self._tracer.start_span(
                f"{_OPERATION} {attempt.group}", within, SpanKind.CLIENT, self._known(about), start_time=begun
            )
            if attempt.outcome != "ok":
                child.set_attribute("error.type", attempt.outcome)
                _mark(child, attempt.outcome)
            child.end(int(attempt.ended * 1e9))
        span.end(start + int(ended.seconds * 1e9))

    def _known(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {name: self._redact.of(value) for name, value in attributes.items() if value not in (None, "")}


def _of_http(ended: Ended) -> dict[str, Any]:
    return {
        "http.request.method": ended.method,
        "http.route": ended.route,
        "http.response.status_code": ended.record.status,
        "url.path": ended.path,
        "url.scheme": "http",
        "user_agent.original": ended.header(b"user-agent"),
        "error.type": ended.record.code,
    }


def _of_call(ended: Ended) -> dict[str, Any]:
    record, used = ended.record, ended.used
    if not record.kind:
        return {"media_gateway.request_id": record.id}
    return {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": record.provider,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.group,
        "gen_ai.output.type": _OUTPUTS.get(record.kind, record.kind),
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.response.time_to_first_chunk": record.first_byte,
        "media_gateway.request_id": record.id,
        "media_gateway.deployment": record.deployment,
        "media_gateway.characters": used.characters,
        "media_gateway.audio_seconds": used.audio_seconds,
        "media_gateway.images": used.images,
        "media_gateway.video_seconds": used.video_seconds,
        "media_gateway.key_alias": record.who.alias,
    }


def _of_texts(ended: Ended) -> dict[str, Any]:
    parts = [{"type": "text", "content": text} for text in ended.record.texts.values()]
    said = json.dumps([{"role": "user", "parts": parts}], ensure_ascii=False)
    return {"gen_ai.input.messages": said if parts else None}


def _mark(span: Span, code: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, code))
