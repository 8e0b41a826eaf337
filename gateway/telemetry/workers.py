"""The metrics of all workers of a server, each with its number as a label, read by whichever is asked.

With labels nothing has to be added up here: a worker that is started again begins again at 0, as a process does, and
whoever sums rates gets them right.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.telemetry.telling import Telling
from gateway.workers.crew import Place

LABEL = "worker"

_ASKING_SECONDS = 5.0

_log = logging.getLogger(__name__)


class WorkersMetrics(Collector):
    """``own`` are this worker's. ``collect`` blocks on the others' answers."""

    def __init__(self, own: CollectorRegistry, place: Place) -> None:
        self._own = own
        self._place = place

    @asynccontextmanager
    async def answering(self, telling: Telling) -> AsyncIterator[None]:
        """Between its begin and its end the others are answered, with what ``telling`` has yet to tell."""

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            telling.now()
            await self._answer(writer)

        path = self._path(self._place.number)
        path.unlink(missing_ok=True)  # an earlier one's
        server = await asyncio.start_unix_server(answer, path)
        async with server:
            yield

    def registry(self) -> CollectorRegistry:
        """What is shown, by this worker alone."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def describe(self) -> Iterable[Metric]:
        """Nothing: else all would be asked at once, to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """What there is now, and which of the workers have said so."""
        found: dict[str, Metric] = {}
        up = GaugeMetricFamily("media_gateway_worker_up", "Whether its metrics are here.", labels=[LABEL])
        for number in range(self._place.of):
            try:
                told = _told(self._own) if number == self._place.number else self._ask(number)
            except (OSError, ValueError) as error:
                _log.warning("the metrics of worker %d cannot be read: %s", number, error)
                told = None
            up.add_metric([str(number)], 0 if told is None else 1)
            for name, text, kind, samples in told or ():
                metric = found.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in samples:
                    metric.add_sample(sample, {**labels, LABEL: str(number)}, value)
        return [*found.values(), up]

    def _path(self, number: int) -> Path:
        return Path(self._place.sockets) / str(number)

    def _ask(self, number: int) -> Any:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_ASKING_SECONDS)
            asking.connect(str(self._path(number)))
            parts = []
            while part := asking.recv(1 << 16):
                parts.append(part)
        return json.loads(b"".join(parts))

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await asyncio.to_thread(lambda: json.dumps(_told(self._own)).encode()))
            await writer.drain()
        except OSError:
            pass  # it waits no longer
        finally:
            writer.close()


def _told(registry: CollectorRegistry) -> Any:
    return [
        (
            metric.name,
            metric.documentation,
            metric.type,
            [(each.name, each.labels, each.value) for each in metric.samples],
        )
        for metric in registry.collect()
    ]
