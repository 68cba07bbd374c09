"""Counters of the server, in the Prometheus format.

Counting a request is a dictionary update; the metric objects are made when
somebody asks for them.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

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
    """How long the requests of one operation took."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0


class Metrics(Collector):
    """What the server counted since it started."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._timings: defaultdict[str, _Timings] = defaultdict(_Timings)
        self._swept = 0
        self._notifications: Callable[[], Mapping[tuple[str, str], int]] = dict
        self._refused: Mapping[str, int] = {}
        self._trusts: Callable[[], Mapping[str, int]] = dict
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
        """Count dead rows that the sweeper removed."""
        self._swept += rows

    def watch_notifications(
        self, numbers: Callable[[], Mapping[tuple[str, str], int]]
    ) -> None:
        """Name who knows how many notifications met which end, by end and kind."""
        self._notifications = numbers

    def watch_quotas(self, refused: Mapping[str, int]) -> None:
        """Name where it is counted how often which quota refused something."""
        self._refused = refused

    def watch_trusts(self, numbers: Callable[[], Mapping[str, int]]) -> None:
        """Name who knows what became of how many trusts."""
        self._trusts = numbers

    def collect(self) -> Iterator[Metric]:
        """Make the metric objects of all that was counted."""
        info = GaugeMetricFamily(
            "zaqar_server_info", "The version that runs.", labels=["version"]
        )
        info.add_metric([__version__], 1)
        yield info
        requests = CounterMetricFamily(
            "zaqar_requests",
            "Answered requests.",
            labels=["transport", "operation", "status"],
        )
        for (transport, operation, status), count in self._requests.items():
            requests.add_metric([transport, operation, str(status)], count)
        yield requests
        yield self._histogram()
        notifications = CounterMetricFamily(
            "zaqar_notifications",
            "Messages for subscribers by what became of them.",
            labels=["event", "kind"],
        )
        for (event, kind), count in self._notifications().items():
            notifications.add_metric([event, kind], count)
        yield notifications
        quotas = CounterMetricFamily(
            "zaqar_quota_refusals",
            "Requests and sockets that a quota refused.",
            labels=["quota"],
        )
        for quota, count in self._refused.items():
            quotas.add_metric([quota], count)
        yield quotas
        trusts = CounterMetricFamily(
            "zaqar_trusts",
            "Trusts of subscriptions: made, removed, or left to end by themselves "
            "because they could not be removed.",
            labels=["event"],
        )
        for event, count in self._trusts().items():
            trusts.add_metric([event], count)
        yield trusts
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
