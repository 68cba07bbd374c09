"""The figures of the matrix: gathered, kept as JSON, and shown as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from traffic import Timings

#: Parts that take CPU time, in the order of the tables. ``client`` is this program.
PARTS = ("server", "redis", "keystone", "client", "others")
#: What one request costs.
COST = ("server", "redis", "keystone")
#: Rows with more of the machine taken by others are marked.
MOST_BY_OTHERS = 0.15


@dataclass
class Figures:
    """The measurements of one operation in one row, one item a round.

    Attributes:
        rates: Requests a second.
        cpu: CPU seconds a request, by part.
        cores: Cores in use, by part.
        busiest: Cores that the busiest server process used.
        latencies: Seconds, over all rounds.
    """

    rates: list[float] = field(default_factory=list)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    cores: dict[str, list[float]] = field(default_factory=dict)
    busiest: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def add(self, timings: Timings, spent: Mapping[str, float], busiest: float) -> None:
        """Add a round.

        Args:
            timings: What the clients saw.
            spent: CPU seconds by part.
            busiest: Those of the busiest server process.
        """
        self.rates.append(timings.requests / timings.elapsed)
        for part, seconds in spent.items():
            self.cpu.setdefault(part, []).append(seconds / timings.requests)
            self.cores.setdefault(part, []).append(seconds / timings.elapsed)
        self.busiest.append(busiest / timings.elapsed)
        for values in timings.latencies.values():
            self.latencies.extend(values)

    def summary(self) -> dict[str, Any]:
        """Return the medians, as plain numbers in the units that they name."""
        self.latencies.sort()
        cpu = {
            part: round(statistics.median(values) * 1e6, 1)
            for part, values in self.cpu.items()
            if part != "others"
        }
        costs = zip(*(self.cpu[part] for part in COST if part in self.cpu), strict=True)
        return {
            "requests_per_second": round(statistics.median(self.rates)),
            "p50_ms": round(self._percentile(0.50) * 1e3, 3),
            "p99_ms": round(self._percentile(0.99) * 1e3, 3),
            "cpu_us": {
                **cpu,
                "total": round(statistics.median(map(sum, costs)) * 1e6, 1),
            },
            "cores": {
                part: round(statistics.median(values), 3)
                for part, values in self.cores.items()
            }
            | {"busiest_process": round(statistics.median(self.busiest), 3)},
        }

    def _percentile(self, share: float) -> float:
        return self.latencies[
            min(len(self.latencies) - 1, int(len(self.latencies) * share))
        ]


#: The columns of the tables: heading, and the unit below it.
COLUMNS = (
    "requests/s",
    "p50 ms",
    "p99 ms",
    "server µs",
    "Redis µs",
    "x rate",
    "x CPU",
    "cores",
    "client",
)


def is_disturbed(row: Mapping[str, Any]) -> bool:
    """Tell whether other programs took much of the machine while it was measured."""
    operations = row["operations"].values()
    others: list[float] = [figures["cores"]["others"] for figures in operations]
    return statistics.mean(others) > MOST_BY_OTHERS


def lines(group: Mapping[str, Any], operation: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and cells of each row of a group that has measured an operation.

    The ratios compare with the group's base: *x rate* the requests a second, *x CPU*
    what servers, Redis and Keystone together spend on a request.
    """
    base: Mapping[str, Any] | None = None
    for name, row in group["rows"].items():
        figures = row["operations"].get(operation)
        if figures is None:
            continue
        base = base or figures
        cpu, cores = figures["cpu_us"], figures["cores"]
        ours = sum(cores.get(part, 0.0) for part in (*COST, "client"))
        yield (
            name + " *" * is_disturbed(row),
            [
                f"{figures['requests_per_second']:,}",
                f"{figures['p50_ms']:.2f}",
                f"{figures['p99_ms']:.2f}",
                f"{cpu['server']:.0f}",
                f"{cpu['redis']:.0f}" if "redis" in cpu else "",
                _ratio(figures, base, "requests_per_second"),
                f"{cpu['total'] / base['cpu_us']['total']:.2f}",
                f"{ours:.2f}",
                f"{cores['client']:.2f}",
            ],
        )


def _ratio(figures: Mapping[str, Any], base: Mapping[str, Any], name: str) -> str:
    ratio: float = figures[name] / base[name]
    return f"{ratio:.2f}"


def operations_of(group: Mapping[str, Any]) -> list[str]:
    """Return what the rows of a group measure, in order."""
    found: dict[str, None] = {}
    for row in group["rows"].values():
        found.update(dict.fromkeys(row["operations"]))
    return list(found)


def text(group_name: str, group: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a group's tables for people at a terminal."""
    yield f"{group_name}: {group['title']}"
    for operation in operations_of(group):
        heads = "".join(f"{head:>11}" for head in COLUMNS)
        yield f"  {operation:<14}{heads}"
        for name, cells in lines(group, operation):
            yield f"  {name:<14}" + "".join(f"{cell:>11}" for cell in cells)


def footprint(group: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield row, bytes in memory and bytes on disk that a message takes."""
    for name, row in group["rows"].items():
        stored = row.get("footprint")
        if stored and stored["messages"] >= 1000:
            count = stored["messages"]
            yield name, stored.get("memory", 0) / count, stored["disk"] / count
