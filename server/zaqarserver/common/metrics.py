"""Counters of the server, in the Prometheus format.

Counting a request is a dictionary update; the metric objects are made when a page is
requested.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from zaqarserver import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Timings:
    """The durations of the requests of one operation."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0


def _counter(
    name: str, text: str, labels: Sequence[str], numbers: Mapping[Any, int]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in numbers.items():
        values = key if isinstance(key, tuple) else (key,)
        family.add_metric([str(one) for one in values], count)
    return family


class Metrics(Collector):
    """The counters of the server since it started."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._timings: defaultdict[str, _Timings] = defaultdict(_Timings)
        self._swept = 0
        self._watched: list[
            tuple[str, str, Sequence[str], Callable[[], Mapping[Any, int]]]
        ] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count_request(
        self, transport: str, operation: str, status: int, seconds: float
    ) -> None:
        """Count one answered request."""
        self._requests[transport, operation, status] += 1
        timings = self._timings[operation]
        timings.buckets[bisect.bisect_left(_BOUNDS, seconds)] += 1
        timings.total += seconds

    def count_swept(self, rows: int) -> None:
        """Count expired rows that the sweeper removed."""
        self._swept += rows

    def watch(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        numbers: Callable[[], Mapping[Any, int]],
    ) -> None:
        """Add the counters of another part.

        Args:
            name: The counter's name.
            text: The description of the counter.
            labels: The names of its labels.
            numbers: Returns the counts, by label values.
        """
        self._watched.append((name, text, labels, numbers))

    def collect(self) -> Iterator[Metric]:
        """Yield the metric objects of all counters."""
        info = GaugeMetricFamily(
            "zaqar_server_info", "The version that runs.", labels=["version"]
        )
        info.add_metric([__version__], 1)
        yield info
        yield _counter(
            "zaqar_requests",
            "Answered requests.",
            ("transport", "operation", "status"),
            self._requests,
        )
        yield self._histogram()
        for name, text, labels, numbers in self._watched:
            yield _counter(name, text, labels, numbers())
        yield CounterMetricFamily(
            "zaqar_swept_rows", "Dead rows removed from the store.", value=self._swept
        )

    def _histogram(self) -> Metric:
        seconds = HistogramMetricFamily(
            "zaqar_request_seconds",
            "Time from a request's head to its answer.",
            labels=["operation"],
        )
        for operation, timings in self._timings.items():
            seen = 0
            buckets = []
            for bound, count in zip((*_BOUNDS, "+Inf"), timings.buckets, strict=True):
                seen += count
                buckets.append((str(bound), float(seen)))
            seconds.add_metric([operation], buckets, timings.total)
        return seconds

    def page(self) -> bytes:
        """Return all metrics as text."""
        return generate_latest(self._registry)
