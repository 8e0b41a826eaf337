"""Who observes the calls of a server, as its config says."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.config import Config
from gateway.telemetry.callbacks import Callbacks
from gateway.telemetry.ended import Observer
from gateway.telemetry.line import CallLine
from gateway.telemetry.logs import Sink
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.redaction import Redactor, secrets_of
from gateway.telemetry.traces import SWITCHES, Traces, available

_log = logging.getLogger(__name__)


def metrics_of(config: Config) -> Metrics:
    """The metrics of a config: its own names become labels."""
    names = {name for entry in config.models for name in (entry.model_name, f"{entry.vendor}/{entry.model}")}
    metrics = Metrics(
        names | set(config.aliases), end_users=config.litellm.enable_end_user_cost_tracking_prometheus_only
    )
    text = "Lines of the log that nobody read fast enough."
    metrics.counted("media_gateway_log_lines_dropped", text, _dropped_lines)
    return metrics


@asynccontextmanager
async def open_observers(
    config: Config, metrics: Metrics, env: Mapping[str, str] = os.environ
) -> AsyncIterator[tuple[Observer, ...]]:
    """The line of the log, the metrics, and what else the config or the environment asks for. Raises ``HookError``."""
    texts = not config.litellm.turn_off_message_logging
    observers: list[Observer] = [CallLine(texts=texts), metrics]
    loggers = [each for each in config.litellm.callbacks if each.path != "otel"]
    callbacks = Callbacks(loggers, config.path.parent, texts=texts) if loggers else None
    traces = _traces(config, env, texts=texts)
    try:
        if callbacks is not None:
            await callbacks.load()
            observers.append(callbacks)
            metrics.callbacks(callbacks)
        if traces is not None:
            observers.append(traces)
        yield tuple(observers)
    finally:
        if callbacks is not None:
            await callbacks.close()
        if traces is not None:
            await asyncio.to_thread(traces.close)


def _traces(config: Config, env: Mapping[str, str], *, texts: bool) -> Traces | None:
    asked = [name for name in SWITCHES if env.get(name)]
    named = any(each.path == "otel" for each in config.litellm.callbacks)
    if asked and not named and not available():
        _log.warning('%s is set, but traces need: pip install "media-gateway[otel]"', asked[0])
        return None
    return Traces(Redactor(secrets_of(config, env)), texts=texts) if asked or named else None


def _dropped_lines() -> int:
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, Sink))
