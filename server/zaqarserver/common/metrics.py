"""Counters of the server; :mod:`zaqarserver.common.exposition` shows them.

Counting a request is a dictionary update.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: The upper bounds of the buckets of durations, in seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Timings:
    """The durations of the requests of one operation."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


class Metrics:
    """The counters of the server since it started.

    Attributes:
        requests: Answered requests by transport, operation and status.
        timings: Their durations by operation.
        swept: Expired rows that the sweeper removed.
        watched: The counters of other parts: see :meth:`watch`.
        gauges: Numbers that rise and fall, with name and text: see :meth:`show`.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.timings: defaultdict[str, Timings] = defaultdict(Timings)
        self.swept = 0
        self.watched: list[
            tuple[str, str, Sequence[str], Callable[[], Mapping[Any, int]]]
        ] = []
        self.gauges: list[tuple[str, str, Callable[[], float]]] = []

    def count_request(
        self, transport: str, operation: str, status: int, seconds: float
    ) -> None:
        """Count one answered request."""
        self.requests[transport, operation, status] += 1
        timings = self.timings[operation]
        timings.buckets[bisect.bisect_left(BOUNDS, seconds)] += 1
        timings.total += seconds

    def count_swept(self, rows: int) -> None:
        """Count expired rows that the sweeper removed."""
        self.swept += rows

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
        self.watched.append((name, text, labels, numbers))

    def show(self, name: str, text: str, number: Callable[[], float]) -> None:
        """Add a number that rises and falls.

        Args:
            name: Its name.
            text: Its description.
            number: Returns its value.
        """
        self.gauges.append((name, text, number))
