"""The page of all metrics, in the Prometheus format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from zaqarserver import __version__
from zaqarserver.common.metrics import BOUNDS, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return _all(self._metrics)


def page_of(metrics: Metrics) -> bytes:
    """Return all metrics as text."""
    registry = CollectorRegistry()
    registry.register(_Collector(metrics))
    # CPU time, memory, open files and start of the process.
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _all(metrics: Metrics) -> Iterator[Metric]:
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
        metrics.requests,
    )
    yield _histogram(metrics)
    for name, text, labels, numbers in metrics.watched:
        yield _counter(name, text, labels, numbers())
    for name, text, number in metrics.gauges:
        yield GaugeMetricFamily(name, text, value=number())
    yield CounterMetricFamily(
        "zaqar_swept_rows", "Dead rows removed from the store.", value=metrics.swept
    )


def _histogram(metrics: Metrics) -> Metric:
    seconds = HistogramMetricFamily(
        "zaqar_request_seconds",
        "Time from a request's head to its answer.",
        labels=["operation"],
    )
    for operation, timings in metrics.timings.items():
        seen = 0
        buckets = []
        for bound, count in zip((*BOUNDS, "+Inf"), timings.buckets, strict=True):
            seen += count
            buckets.append((str(bound), float(seen)))
        seconds.add_metric([operation], buckets, timings.total)
    return seconds


def _counter(
    name: str, text: str, labels: Sequence[str], numbers: Mapping[Any, int]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in numbers.items():
        values = key if isinstance(key, tuple) else (key,)
        family.add_metric([str(one) for one in values], count)
    return family
