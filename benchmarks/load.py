"""How fast a Zaqar v2 server is, against doing nothing on the same server.

Each round measures all scenarios one after another; the figures are medians
over the rounds, so that a busy moment of the machine spoils none of them. Two
scenarios do nothing: ``head-ping`` (no body, no store) and ``post-nothing`` (a
POST that takes the whole way of a request, with routing, authentication, field
checks and policy, and then has no work). A third, ``bare``, posts to another server,
``bare.py``, which answers without looking. The ratios to them say what the store, or
all of the server, adds, whatever the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvloop
from process import Server, cpu_seconds, running_bare, running_server
from traffic import Crowd, LoadError, Request, Script, Target, Timings, repeated

BARE = "bare"
NOTHING = ("head-ping", "post-nothing", BARE)
SCENARIOS = (*NOTHING, "post", "cycle", "list")


@dataclass
class Figures:
    """One scenario's measurements, one item a round.

    Attributes:
        rates: Requests a second.
        cpu: The server's CPU seconds per request; empty if its process is not
            known.
        latencies: Seconds, by label, over all rounds.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)

    def add(self, timings: Timings, cpu: float | None) -> None:
        """Add a round."""
        self.rates.append(timings.requests / timings.elapsed)
        if cpu is not None:
            self.cpu.append(cpu / timings.requests)
        for label, values in timings.latencies.items():
            self.latencies.setdefault(label, []).extend(values)


class Workload:
    """The scenarios against one target."""

    def __init__(self, target: Target, body_bytes: int) -> None:
        self._target = target
        self._message = {
            "ttl": 3600,
            "body": {"payload": "x" * max(0, body_bytes - 14)},
        }
        self._queues: list[str] = []

    def queue(self) -> str:
        """Return the path of a queue that nobody has used yet."""
        self._queues.append(f"/v2/queues/bench-{uuid.uuid4().hex}")
        return self._queues[-1]

    def cleaning(self) -> list[Request]:
        """Return the requests that remove everything that was made."""
        return [
            self._target.request("clean", "DELETE", path, 204) for path in self._queues
        ]

    def seeding(self, path: str, count: int) -> list[Request]:
        """Return the requests that put ``count`` messages into a queue."""
        document = {"messages": [self._message] * count}
        return [self._target.request("seed", "POST", f"{path}/messages", 201, document)]

    def script(self, scenario: str, path: str) -> Callable[[], Script]:
        """Return what each connection does in a scenario."""
        if scenario == "cycle":
            return lambda: self._cycle(path)
        return lambda: repeated(self._single(scenario, path))

    def _single(self, scenario: str, path: str) -> Request:
        request = self._target.request
        if scenario == "head-ping":
            return request(scenario, "HEAD", "/v2/ping", 204)
        if scenario == "post-nothing":
            nothing: dict[str, list[str]] = {"resource_types": []}
            return request(scenario, "POST", f"{path}/purge", 204, nothing)
        if scenario == "list":
            where = f"{path}/messages?echo=true&limit=10"
            return request(scenario, "GET", where, 200)
        return self._post(scenario, path)

    def _post(self, label: str, path: str) -> Request:
        document = {"messages": [self._message]}
        return self._target.request(label, "POST", f"{path}/messages", 201, document)

    def _cycle(self, path: str) -> Script:
        request = self._target.request
        post = self._post("cycle: post", path)
        claim = request("cycle: claim", "POST", f"{path}/claims?limit=1", 201, {})
        while True:
            yield post
            reply = yield claim
            (message,) = json.loads(reply.body)["messages"]
            href = message["href"].removeprefix(self._target.base)
            yield request("cycle: delete", "DELETE", href, 204)


class Bench:
    """Connections to one server, and what they do there."""

    def __init__(self, server: Server, crowd: Crowd, workload: Workload) -> None:
        self._server = server
        self.crowd = crowd
        self.workload = workload

    @classmethod
    async def connect(cls, server: Server, args: argparse.Namespace) -> Bench:
        """Open the connections."""
        headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": args.project}
        if args.token:
            headers["X-Auth-Token"] = args.token
        target = Target(server.url, headers)
        crowd = await Crowd.connect(target, args.connections)
        return cls(server, crowd, Workload(target, args.body_bytes))

    async def run(self, scenario: str, seconds: float) -> tuple[Timings, float | None]:
        """Run a scenario; return its timings and the server's CPU seconds."""
        path = self.workload.queue()
        if scenario == "list":
            await self.crowd.once(*self.workload.seeding(path, 100))
        pid = self._server.pid
        before = cpu_seconds(pid) if pid else None
        timings = await self.crowd.run(self.workload.script(scenario, path), seconds)
        if pid and before is not None:
            return timings, cpu_seconds(pid) - before
        return timings, None


async def measure(
    args: argparse.Namespace, server: Server, bare: Server | None
) -> tuple[dict[str, Figures], float]:
    """Run all rounds.

    Returns:
        The figures by scenario, and which part of one core this program used.
    """
    bench = await Bench.connect(server, args)
    benches = {BARE: await Bench.connect(bare, args)} if bare else {}
    figures = {scenario: Figures() for scenario in args.scenarios}
    try:
        own, start = time.process_time(), time.perf_counter()
        # Round 0 warms up and is not counted.
        for turn in range(args.rounds + 1):
            for scenario in args.scenarios:
                seconds = args.seconds if turn else min(0.5, args.seconds)
                where = benches.get(scenario, bench)
                timings, spent = await where.run(scenario, seconds)
                if turn:
                    figures[scenario].add(timings, spent)
        share = (time.process_time() - own) / (time.perf_counter() - start)
        if args.url:
            await bench.crowd.once(*bench.workload.cleaning())
    finally:
        for one in (bench, *benches.values()):
            one.crowd.close()
    return figures, share


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(figures: dict[str, Figures]) -> dict[str, dict[str, Any]]:
    """Return the figures as plain numbers: times in the unit that they name."""
    cpu = {
        name: statistics.median(figure.cpu)
        for name, figure in figures.items()
        if figure.cpu
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, figure in figures.items():
        row: dict[str, Any] = {"requests_per_second": statistics.median(figure.rates)}
        if name in cpu:
            row["server_cpu_us"] = cpu[name] * 1e6
            row["ratio"] = {
                base: cpu[name] / cpu[base] for base in NOTHING if base in cpu
            }
        row["latency_ms"] = {
            label: {
                "p50": percentile(values, 0.50) * 1e3,
                "p99": percentile(values, 0.99) * 1e3,
            }
            for label, values in figure.latencies.items()
        }
        rows[name] = row
    return rows


def table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table for people."""
    yield (
        f"{'scenario':<14}{'requests/s':>11}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'CPU µs':>8}{'x head':>8}{'x post':>8}{'x bare':>8}"
    )
    for name, row in rows.items():
        latency = row["latency_ms"]
        alone = latency.get(name)
        yield (
            f"{name:<14}{row['requests_per_second']:>11,.0f}"
            + (f"{alone['p50']:>8.2f}{alone['p99']:>8.2f}" if alone else " " * 16)
            + (f"{row['server_cpu_us']:>8.1f}" if "server_cpu_us" in row else "")
            + "".join(_ratio(row, base) for base in NOTHING)
        )
        if alone is None:
            for label, values in latency.items():
                short = "  " + label.split(": ")[-1]
                yield f"{short:<25}{values['p50']:>8.2f}{values['p99']:>8.2f}"


def _ratio(row: dict[str, Any], base: str) -> str:
    ratio = row.get("ratio", {}).get(base)
    return " " * 8 if ratio is None else f"{ratio:>8.2f}"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--url", help="measure this server (default: start one)")
    option("--server-pid", type=int, help="its process, to measure its CPU time")
    option("--store-dir", help="where the store of a server of our own goes")
    option("--connections", type=int, default=64, help="default: %(default)s")
    option("--seconds", type=float, default=2, help="of each measurement, default: 2")
    option("--rounds", type=int, default=5, help="default: %(default)s")
    option("--body-bytes", type=int, default=200, help="default: %(default)s")
    option("--scenarios", nargs="+", choices=SCENARIOS, help="default: all")
    option("--project", default="benchmark", help="sent as X-Project-ID")
    option("--token", help="sent as X-Auth-Token")
    option("--json", action="store_true", help="print a JSON document")
    args = parser.parse_args(arguments)
    for name in ("connections", "seconds", "rounds"):
        if getattr(args, name) <= 0:
            parser.error(f"--{name} must be above 0")
    # Another machine is not compared with this one.
    args.scenarios = args.scenarios or [
        one for one in SCENARIOS if one != BARE or not args.url
    ]
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    given = Server(args.url, args.server_pid) if args.url else None
    try:
        with contextlib.ExitStack() as stack:
            server = given or stack.enter_context(running_server(args.store_dir))
            wants_bare = BARE in args.scenarios
            bare = stack.enter_context(running_bare()) if wants_bare else None
            figures, share = uvloop.run(measure(args, server, bare))
    except LoadError as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    rows = summary(figures)
    if args.json:
        settings = {
            name: getattr(args, name)
            for name in ("connections", "seconds", "rounds", "body_bytes")
        }
        print(json.dumps({**settings, "generator_share": share, "scenarios": rows}))
        return 0
    print(f"{server.url}: {args.connections} connections, {args.rounds} rounds")
    print("\n".join(table(rows)))
    print(f"The load program itself used {share:.0%} of a core.")
    if not any(figure.cpu for figure in figures.values()):
        print("The server's CPU time is unknown: name its process with --server-pid.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
