"""Whether the cost of a claim and of statistics grows with the backlog.

Two servers run side by side, one with few messages in its queue and one with
many. Claims of ten messages and statistics are asked of both in turn, so that
whatever else the machine does meets both alike. Each claim is released again:
the backlogs stay what they are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import uvloop
from process import Server, cpu_seconds, running_server
from traffic import Crowd, LoadError, Request, Target

QUEUE = "/v2/queues/backlog"
#: So many small messages fit in one POST of the default size limit.
BATCH = 8_000


@dataclass(frozen=True)
class Side:
    """One of the two servers.

    Attributes:
        size: How many messages its queue has.
        server: The server.
        target: How to ask it.
        crowd: One connection to it.
    """

    size: int
    server: Server
    target: Target
    crowd: Crowd

    async def fill(self) -> None:
        """Post the backlog."""
        left = self.size
        while left:
            count = min(left, BATCH)
            document = {"messages": [{"ttl": 86400, "body": 1}] * count}
            path = f"{QUEUE}/messages"
            await self.crowd.once(
                self.target.request("fill", "POST", path, 201, document)
            )
            left -= count

    async def timed(self, request: Request) -> tuple[float, float, bytes]:
        """Return the latency, the server's CPU time (seconds) and the body."""
        assert self.server.pid is not None  # noqa: S101  for mypy: a server of ours
        cpu, start = cpu_seconds(self.server.pid), time.perf_counter()
        (reply,) = await self.crowd.once(request)
        latency = time.perf_counter() - start
        return latency, cpu_seconds(self.server.pid) - cpu, reply.body

    async def claim(self) -> tuple[float, float]:
        """Claim ten messages, then release them; return the claim's cost."""
        path = f"{QUEUE}/claims?limit=10"
        latency, cpu, body = await self.timed(
            self.target.request("claim", "POST", path, 201, {})
        )
        claim_id = json.loads(body)["messages"][0]["href"].rpartition("=")[2]
        path = f"{QUEUE}/claims/{claim_id}"
        await self.crowd.once(self.target.request("release", "DELETE", path, 204))
        return latency, cpu

    async def stats(self) -> tuple[float, float]:
        """Ask for the statistics; return what that cost."""
        path = f"{QUEUE}/stats"
        latency, cpu, body = await self.timed(
            self.target.request("stats", "GET", path, 200)
        )
        total = json.loads(body)["messages"]["total"]
        if total != self.size:
            raise LoadError(f"{total} messages where {self.size} were posted")
        return latency, cpu


async def measure(
    servers: dict[int, Server], repeats: int
) -> dict[str, dict[int, dict[str, float]]]:
    """Return the median latency and CPU (µs) by operation and backlog."""
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "benchmark"}
    sides = []
    for size, server in servers.items():
        target = Target(server.url, headers)
        sides.append(Side(size, server, target, await Crowd.connect(target, 1)))
    for side in sides:
        await side.fill()
    results: dict[str, dict[int, dict[str, float]]] = {}
    for operation in ("claim", "stats"):
        samples: dict[int, list[tuple[float, float]]] = {size: [] for size in servers}
        for turn in range(repeats + 20):
            for side in sides:
                cost = await getattr(side, operation)()
                if turn >= 20:  # before, caches and connections warm up
                    samples[side.size].append(cost)
        results[operation] = {
            size: {
                "latency_us": statistics.median(cost[0] for cost in costs) * 1e6,
                "server_cpu_us": statistics.median(cost[1] for cost in costs) * 1e6,
            }
            for size, costs in samples.items()
        }
    for side in sides:
        side.crowd.close()
    return results


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--small", type=int, default=1_000, help="messages, default: 1000")
    option("--large", type=int, default=1_000_000, help="messages, default: 1000000")
    option("--repeats", type=int, default=300, help="default: %(default)s")
    option("--store-dir", help="where the stores go")
    option("--json", action="store_true", help="print a JSON document")
    args = parser.parse_args(arguments)
    if not 10 <= args.small < args.large or args.repeats <= 0:
        parser.error("needs 10 <= --small < --large and --repeats above 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    sizes = (args.small, args.large)
    try:
        with contextlib.ExitStack() as stack:
            servers = {
                size: stack.enter_context(running_server(args.store_dir))
                for size in sizes
            }
            results = uvloop.run(measure(servers, args.repeats))
    except LoadError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 1
    report: dict[str, Any] = {}
    for operation, by_size in results.items():
        small, large = (by_size[size] for size in sizes)
        ratio = {unit: large[unit] / small[unit] for unit in small}
        report[operation] = {"messages": by_size, "ratio": ratio}
    if args.json:
        print(json.dumps(report))
        return 0
    for operation, row in report.items():
        for size, costs in row["messages"].items():
            print(
                f"{operation:<6} at {size:>9,} messages: "
                f"latency {costs['latency_us']:>7.0f} µs, "
                f"server CPU {costs['server_cpu_us']:>6.0f} µs"
            )
        ratio = row["ratio"]
        print(
            f"{operation:<6} ratio: latency {ratio['latency_us']:.2f}, "
            f"server CPU {ratio['server_cpu_us']:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
