"""The figures of the matrix: gathered, kept as JSON, and shown as tables."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from traffic import Timings

#: Where the figures are kept that the documentation shows.
RESULTS = Path(__file__).parent / "results"
#: The parts whose CPU time is what a request costs.
COST = ("server", "redis", "keystone")
#: Rows with more of the machine taken by others are marked.
MOST_BY_OTHERS = 0.15
#: From how many messages on the size of a store is told by message.
ENOUGH_MESSAGES = 100_000


class Measured(NamedTuple):
    """One measurement.

    Attributes:
        timings: What the clients saw.
        spent: CPU seconds by part, ``others`` those of other programs.
        busiest: CPU seconds of the busiest server process.
    """

    timings: Timings
    spent: Mapping[str, float]
    busiest: float

    @property
    def others(self) -> float:
        """Cores that other programs used."""
        return self.spent["others"] / self.timings.elapsed


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

    def add(self, one: Measured) -> None:
        """Add a round."""
        timings = one.timings
        self.rates.append(timings.requests / timings.elapsed)
        for part, seconds in one.spent.items():
            self.cpu.setdefault(part, []).append(seconds / timings.requests)
            self.cores.setdefault(part, []).append(seconds / timings.elapsed)
        self.busiest.append(one.busiest / timings.elapsed)
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


def columns(group: Mapping[str, Any]) -> list[str]:
    """Return the headings of a group's tables after the rows' names."""
    costs = [_HEADS[part] for part in _parts(group)]
    return ["requests/s", "p50 ms", "p99 ms", *costs, *_RATIOS]


_HEADS = {"server": "server µs", "redis": "Redis µs", "keystone": "Keystone µs"}
_RATIOS = ("x rate", "x CPU", "cores", "client")


def _parts(group: Mapping[str, Any]) -> list[str]:
    operations = [row["operations"].values() for row in group["rows"].values()]
    seen = {
        part for some in operations for figures in some for part in figures["cpu_us"]
    }
    return [part for part in COST if part in seen]


def is_disturbed(row: Mapping[str, Any]) -> bool:
    """Tell whether other programs took much of the machine while it was measured."""
    operations = row["operations"].values()
    others: list[float] = [figures["cores"]["others"] for figures in operations]
    return statistics.mean(others) > MOST_BY_OTHERS


def lines(group: Mapping[str, Any], operation: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and cells of each row of a group that has measured an operation.

    The ratios compare with the group's base: *x rate* the requests a second, *x CPU*
    what servers, Redis and Keystone together spend on a request; if posts have several
    messages, by message.
    """
    parts = _parts(group)
    base: tuple[float, float] | None = None
    for name, row in group["rows"].items():
        figures = row["operations"].get(operation)
        if figures is None:
            continue
        batch = row["case"]["batch"] if operation == "post" else 1
        rate, cpu = figures["requests_per_second"], figures["cpu_us"]
        own = rate * batch, cpu["total"] / batch
        base = base or own
        yield (
            name + " *" * is_disturbed(row),
            [
                f"{rate:,}",
                f"{figures['p50_ms']:.2f}",
                f"{figures['p99_ms']:.2f}",
                *(f"{cpu[part]:.0f}" if part in cpu else "-" for part in parts),
                *(
                    f"{mine / theirs:.2f}"
                    for mine, theirs in zip(own, base, strict=True)
                ),
                f"{cores_of(figures):.2f}",
                f"{figures['cores']['client']:.2f}",
            ],
        )


def cores_of(figures: Mapping[str, Any]) -> float:
    """Return how many cores servers, Redis, Keystone and this program used."""
    cores: Mapping[str, float] = figures["cores"]
    return sum(cores.get(part, 0.0) for part in (*COST, "client"))


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
        heads = "".join(f"{head:>12}" for head in columns(group))
        yield f"  {operation:<18}{heads}"
        for name, cells in lines(group, operation):
            yield f"  {name:<18}" + "".join(f"{cell:>12}" for cell in cells)
    for name, size in footprints(group):
        stored = f"{size.disk:,.0f} bytes on disk, {size.memory:,.0f} in Redis"
        yield f"  {name}: a message takes {stored}; server {size.server:,.0f} MiB"


@dataclass(frozen=True)
class Footprint:
    """What a row's messages take.

    Attributes:
        disk: Bytes a message on disk.
        memory: Bytes a message in the memory of Redis; 0 without one.
        server: MiB in the memory of the largest server process, of all it does.
    """

    disk: float
    memory: float
    server: float


def footprints(group: Mapping[str, Any]) -> Iterator[tuple[str, Footprint]]:
    """Yield row and footprint of rows with many messages."""
    for name, row in group["rows"].items():
        sizes = row["footprint"]
        count = sizes["messages"]
        if count >= ENOUGH_MESSAGES:
            memory, server = sizes.get("memory", 0), sizes["server"]
            yield name, Footprint(sizes["disk"] / count, memory / count, server / 2**20)


@dataclass(frozen=True)
class Projection:
    """What one operation's figures mean for more machines.

    It reckons with the CPU time a request as if that stayed what it is.

    Attributes:
        server_core: Requests a second that one core of servers makes.
        redis: Requests a second at which one Redis is full: it runs scripts on one
            core.
    """

    server_core: float
    redis: float

    def rate(self, machines: int, cores: int) -> float:
        """Return the requests a second of machines that have servers only."""
        return machines * cores * self.server_core

    def masters(self, machines: int, cores: int) -> int:
        """Return how many Redis masters those machines need."""
        return math.ceil(self.rate(machines, cores) / self.redis)


def projection(figures: Mapping[str, Any]) -> Projection:
    """Return what the figures of an operation on Redis mean for more machines."""
    cpu = figures["cpu_us"]
    return Projection(1e6 / cpu["server"], 1e6 / cpu["redis"])


def save(report: Mapping[str, Any]) -> Path:
    """Keep the figures by date, beside those of other groups of the same day.

    Those that were measured on another machine, or otherwise, are not kept.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['machine']['date']}.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if all(kept[told] == report[told] for told in ("machine", "settings")):
            report = {**report, "groups": {**kept["groups"], **report["groups"]}}
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path
