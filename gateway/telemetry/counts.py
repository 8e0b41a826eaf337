"""Counters and histograms with labels that cost one look-up a call; what Prometheus gets is made when it asks.

Those of ``prometheus_client`` take a lock and eight function calls for each count, and a call makes ten. Names, labels
and samples are as there.
"""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_CREATED = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "false").lower() not in ("true", "1", "t")
"""Whether each series says since when it has been counted: ``prometheus_client``'s own switch."""


class _Counted(Collector):
    kind = ""

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._cells: dict[tuple[str, ...], list[float]] = {}
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Its name."""
        return [Metric(self._name, self._text, self.kind)]

    def collect(self) -> Iterable[Metric]:
        """What was counted by now. Another thread may be counting."""
        metric = Metric(self._name, self._text, self.kind)
        for labels, cell in self._cells.copy().items():
            named = dict(zip(self._labels, labels, strict=True))
            self._show(metric, named, cell)
            if _CREATED:
                metric.add_sample(f"{self._name}_created", named, cell[0])
        return [metric]

    @abstractmethod
    def _show(self, metric: Metric, labels: dict[str, str], cell: list[float]) -> None:
        """Add the samples of one series."""


class Count(_Counted):
    """A counter. A cell is when it was made, and the sum."""

    kind = "counter"

    def add(self, labels: tuple[str, ...], amount: float = 1.0) -> None:
        """Count ``amount``."""
        if (cell := self._cells.get(labels)) is None:
            cell = self._cells[labels] = [time.time(), 0.0]
        cell[1] += amount

    def _show(self, metric: Metric, labels: dict[str, str], cell: list[float]) -> None:
        metric.add_sample(f"{self._name}_total", labels, cell[1])


class Times(_Counted):
    """A histogram of seconds. A cell is when it was made, the sum, and how many fell into each of ``classes``."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry, classes: Sequence[float]
    ) -> None:
        self._classes = [float(bound) for bound in classes]
        self._shown = [*map(floatToGoString, self._classes), "+Inf"]
        super().__init__(name, text, labels, registry)

    def add(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count one that took ``seconds``."""
        if (cell := self._cells.get(labels)) is None:
            cell = self._cells[labels] = [time.time(), 0.0, *([0.0] * len(self._shown))]
        cell[1] += seconds
        cell[2 + bisect_left(self._classes, seconds)] += 1.0

    def _show(self, metric: Metric, labels: dict[str, str], cell: list[float]) -> None:
        _, whole, *counted = cell
        sums = [*accumulate(counted)]
        for bound, count in zip(self._shown, sums, strict=True):
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": bound}, count)
        metric.add_sample(f"{self._name}_count", labels, sums[-1])
        metric.add_sample(f"{self._name}_sum", labels, whole)
