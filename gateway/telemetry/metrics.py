"""Prometheus metrics: LiteLLM's names where it has one for the thing, ours (``media_gateway_``) for the rest.

The names and labels of LiteLLM's are those of its documentation and its types
(``litellm/types/integrations/prometheus.py``), version 1.109. What a caller can invent never becomes a label: a model
that there is not is ``other``, an address that there is not has no route, and end users are named only where the config
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.jobs.tally import LAGS, Tally
from gateway.record import Attempt, Used
from gateway.telemetry.callbacks import Callbacks
from gateway.telemetry.counts import Count, Times
from gateway.telemetry.ended import Ended

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 420, 600)
"""Seconds: LiteLLM's classes."""

NONE = "None"
"""LiteLLM's label for what is not known or not shown."""

_WHO = ("end_user", "hashed_api_key", "api_key_alias")
_DEPLOYMENT = ("requested_model", "litellm_model_name", "model_id", "api_provider", *_WHO[1:])
_FAULT = ("exception_status", "exception_class")
_MADE = ("model", "requested_model", "api_provider", *_WHO)


class Metrics:
    """An ``Observer``. ``models`` are the names that callers may ask for; ``end_users``: they become labels."""

    def __init__(self, models: Collection[str], *, end_users: bool = False) -> None:
        self.registry = CollectorRegistry()
        self._models = frozenset(models)
        self._end_users = end_users
        ProcessCollector(registry=self.registry)
        count, time = self._counter, self._histogram
        whole = ("route", "status_code", "requested_model", "model_id", "api_provider", *_WHO)
        self._total = count("litellm_proxy_total_requests_metric", "Calls that have ended.", whole)
        failed = ("route", "requested_model", "model_id", "api_provider", *_WHO, *_FAULT)
        self._failed = count("litellm_proxy_failed_requests_metric", "Calls that failed, as callers see it.", failed)
        self._latency = time("litellm_request_total_latency_metric", "Seconds from a call to its last byte.", _MADE)
        self._api = time("litellm_llm_api_latency_metric", "Seconds from asking a provider to the last byte.", _MADE)
        first = "Seconds from asking a provider to the first that it made."
        self._first_token = time("litellm_llm_api_time_to_first_token_metric", first, _MADE)
        self._tokens_in = count("litellm_input_tokens_metric", "Tokens that providers counted.", _MADE)
        self._tokens_out = count("litellm_output_tokens_metric", "Tokens that providers counted.", _MADE)
        self._images = count("litellm_images_generated_metric", "Pictures.", _MADE)
        self._video = count("litellm_video_duration_seconds_metric", "Seconds of film.", _MADE)
        self._asked = count("litellm_deployment_total_requests", "Times that a deployment was asked.", _DEPLOYMENT)
        self._good = count("litellm_deployment_success_responses", "Times that it answered.", _DEPLOYMENT)
        bad = (*_DEPLOYMENT, "exception_class")
        self._bad = count("litellm_deployment_failure_responses", "Times that it failed.", bad)
        fallback = ("requested_model", "fallback_model", *_WHO[1:], "exception_class")
        self._rescued = count("litellm_deployment_successful_fallbacks", "Calls that a fallback answered.", fallback)
        self._lost = count("litellm_deployment_failed_fallbacks", "Calls that no fallback could answer.", fallback)
        route = ("route", "model", "api_provider")
        self._first_byte = time("media_gateway_first_byte_seconds", "From a call to its answer's first byte.", route)
        self._sent = count("media_gateway_response_bytes", "Bytes of answers.", route)
        self._characters = count("media_gateway_characters", "Characters that were spoken.", _MADE)
        self._audio = count("media_gateway_audio_seconds", "Seconds of sound.", _MADE)
        self._spend = count("litellm_spend_metric", "US dollars, as far as they were known when the call ended.", _MADE)
        self._unknown = count("media_gateway_unknown_cost_calls", "Calls whose cost nobody knows.", _MADE)
        double = "Submits that were not made a second time: a client's retry, or an outcome that nobody knows."
        self._double = count("media_gateway_double_submits_prevented", double, ("kind", "reason"))

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A number that is read when somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def counted(self, name: str, text: str, value: Callable[[], float]) -> None:
        """The same of one that only grows; it is shown with ``_total`` behind its name."""
        self.registry.register(_Read(lambda: [CounterMetricFamily(name, text, value())]))

    def callbacks(self, callbacks: Callbacks) -> None:
        """Show what loggers did not get."""
        lost = "Calls that callbacks were not told of, since they were too slow."
        self.counted("media_gateway_callbacks_dropped", lost, lambda: callbacks.dropped)
        broken = "Events at which callbacks failed, or took too long."
        self.counted("media_gateway_callbacks_failed", broken, lambda: callbacks.failed)

    def jobs(self, tally: Callable[[], Tally | None]) -> None:
        """Show what is counted of jobs, where there are any."""
        self.registry.register(_Read(lambda: () if (found := tally()) is None else _of_jobs(found)))

    def deployments(self, conditions: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """Show how the deployments do: see ``Fleet.conditions``."""
        self.registry.register(_Read(lambda: _of_deployments(conditions())))

    def __call__(self, ended: Ended) -> None:
        """Count a call. Probes, and whoever reads the metrics, are none."""
        if ended.probe or ended.route.startswith("/metrics"):
            return
        record, who = ended.record, ended.record.who
        requested = record.model if record.model in self._models or not record.model else "other"
        caller = (
            who.end_user if self._end_users and who.end_user else NONE,
            who.key or NONE,
            who.alias or NONE,
        )
        whole = (requested, record.deployment, record.provider, *caller)
        status = str(record.status)
        self._total.add((ended.route, status, *whole))
        if ended.failed:
            self._failed.add((ended.route, *whole, status, record.code or NONE))
        if record.kind:
            self._media(ended, (record.group, requested, record.provider, *caller))

    def _media(self, ended: Ended, made: tuple[str, ...]) -> None:
        record, route = ended.record, (ended.route, made[0], made[2])
        if record.sent:
            self._sent.add(route, record.sent)
        if not ended.failed:
            if record.first_byte is not None:
                self._first_byte.add(route, record.first_byte)
            self._latency.add(made, ended.seconds)
            if (attempt := ended.answering) is not None and (asked := ended.asked) is not None:
                self._api.add(made, asked)
                self._first_token.add(made, attempt.seconds)
        self._units(ended.used, made)
        if (cost := ended.cost) is None:
            self._unknown.add(made)
        elif cost.usd:
            self._spend.add(made, cost.usd)
        for each in record.attempts:
            self._attempt(each, made)
        if record.attempts and record.attempts[-1].group != record.attempts[0].group:
            self._fallback(record.attempts[0], record.attempts[-1], made)
        if record.joined or record.code == "submission_unknown":
            reason = "client_retry" if record.joined else "outcome_unknown"
            self._double.add((record.kind, reason))

    def _units(self, used: Used, made: tuple[str, ...]) -> None:
        for count, amount in (
            (self._characters, used.characters),
            (self._audio, used.audio_seconds),
            (self._images, used.images),
            (self._video, used.video_seconds),
            (self._tokens_in, used.input_tokens),
            (self._tokens_out, used.output_tokens),
        ):
            if amount:
                count.add(made, amount)

    def _attempt(self, attempt: Attempt, made: tuple[str, ...]) -> None:
        if attempt.outcome == "client_gone":
            return
        _, requested, _, _, *key = made
        vendor = attempt.deployment.partition("/")[0]
        where = (requested, attempt.group, attempt.deployment, vendor, *key)
        self._asked.add(where)
        if attempt.outcome == "ok":
            self._good.add(where)
        else:
            self._bad.add((*where, attempt.outcome))

    def _fallback(self, first: Attempt, last: Attempt, made: tuple[str, ...]) -> None:
        _, requested, _, _, *key = made
        metric = self._rescued if last.outcome == "ok" else self._lost
        metric.add((requested, last.group, *key, first.outcome))

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Count:
        return Count(name, text, labels, self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str]) -> Times:
        return Times(name, text, labels, self.registry, BUCKETS)


class _Read(Collector):
    """Metrics that are made when somebody looks."""

    def __init__(self, make: Callable[[], Iterable[Metric]]) -> None:
        self._make = make

    def collect(self) -> Iterable[Metric]:
        """What is there now."""
        return self._make()

    def describe(self) -> Iterable[Metric]:
        """Nothing: else it would be made at once, to learn the names."""
        return ()


def _of_deployments(conditions: Mapping[str, tuple[int, int]]) -> Iterator[Metric]:
    labels = ["model_id", "api_provider"]
    state = GaugeMetricFamily("litellm_deployment_state", "0 works, 1 failed last, 2 is left alone.", labels=labels)
    rests = CounterMetricFamily("litellm_deployment_cooled_down", "Times that it was left alone.", labels=labels)
    for key, (found, rested) in conditions.items():
        where = [key, key.partition("/")[0]]
        state.add_metric(where, found)
        rests.add_metric(where, rested)
    yield state
    yield rests


def _of_jobs(tally: Tally) -> Iterator[Metric]:
    living = GaugeMetricFamily("media_gateway_jobs", "Tasks that have not ended, by state.", labels=["state"])
    for state, count in tally.living.items():
        living.add_metric([state], count)
    yield living
    ended = CounterMetricFamily("media_gateway_jobs_ended", "Tasks that have ended, by state.", labels=["state"])
    for state, count in tally.ended.items():
        ended.add_metric([state], count)
    yield ended
    kept = CounterMetricFamily("media_gateway_outputs_bytes", "Bytes of outputs that were kept.", labels=["kind"])
    for kind, size in tally.kept.items():
        kept.add_metric([kind], size)
    yield kept
    classes = [*(str(float(each)) for each in LAGS), "+Inf"]
    lag = HistogramMetricFamily("media_gateway_poll_lag_seconds", "How late a look at a task began.")
    lag.add_metric([], list(zip(classes, accumulate(tally.lags), strict=True)), tally.lag_seconds)
    yield lag
