"""Posts over WebSocket against posts over REST, on the same server in turn.

Three ways to post one message a request, each from 1 and from 16 connections:

``rest``       one request at a time on each connection
``frames``     WebSocket, one request at a time on each connection
``pipelined``  WebSocket, several requests under way on each connection, which
               their X-Request-ID tells apart

Each round measures all of them one after another; the figures are medians over
the rounds. The ratio says how many posts the server makes with the CPU time that
one takes over REST from as many connections.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import uvloop
from load import Figures, percentile
from process import Server, cpu_seconds, running_server
from sockets import Socket, connect, request, run_all
from traffic import Crowd, LoadError, Request, Target, Timings, repeated

WAYS = ("rest", "frames", "pipelined")


class Case(NamedTuple):
    """One way to post.

    Attributes:
        way: One of ``WAYS``.
        connections: How many connections post.
    """

    way: str
    connections: int

    def __str__(self) -> str:
        return f"{self.way}-{self.connections}"


class Workload:
    """Posts over both transports of one server.

    Args:
        args: The command line.
        server: The server.
    """

    def __init__(self, args: argparse.Namespace, server: Server) -> None:
        self._args = args
        self._frame_url = args.websocket_url or server.url
        self._headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": args.project}
        self._target = Target(server.url, self._headers)
        body = {"payload": "x" * max(0, args.body_bytes - 14)}
        self._messages = [{"ttl": 3600, "body": body}]
        self._crowds: dict[int, Crowd] = {}
        self._sockets: dict[int, list[Socket]] = {}
        self._queues: list[str] = []

    async def open(self) -> None:
        """Open all connections; they stay open between measurements.

        Raises:
            LoadError: The server cannot be reached.
        """
        for size in self._args.connections:
            self._crowds[size] = await Crowd.connect(self._target, size)
            self._sockets[size] = await connect(self._frame_url, size)

    async def post(self, case: Case, seconds: float) -> Timings:
        """Post to a queue that nobody has used yet, for about ``seconds``."""
        queue = f"bench-{uuid.uuid4().hex}"
        self._queues.append(queue)
        if case.way == "rest":
            return await self._post_over_rest(case, queue, seconds)
        body = {"queue_name": queue, "messages": self._messages}
        ids: Iterable[int | None] = (None,)
        if case.way == "pipelined":
            ids = range(self._args.depth)
        frames = [request("message_post", self._headers, body, one) for one in ids]
        asked = [Request(str(case), frame, 201) for frame in frames]
        return await run_all(
            self._sockets[case.connections],
            lambda: [repeated(one) for one in asked],
            seconds,
        )

    async def _post_over_rest(self, case: Case, queue: str, seconds: float) -> Timings:
        path = f"/v2/queues/{queue}/messages"
        document = {"messages": self._messages}
        one = self._target.request(str(case), "POST", path, 201, document)
        crowd = self._crowds[case.connections]
        return await crowd.run(lambda: repeated(one), seconds)

    async def clean(self) -> None:
        """Remove the queues."""
        crowd = next(iter(self._crowds.values()))
        paths = [f"/v2/queues/{queue}" for queue in self._queues]
        delete = self._target.request
        await crowd.once(*(delete("clean", "DELETE", path, 204) for path in paths))

    def close(self) -> None:
        """Close all connections."""
        for crowd in self._crowds.values():
            crowd.close()
        for sockets in self._sockets.values():
            for one in sockets:
                one.close()


async def measure(
    args: argparse.Namespace, server: Server
) -> tuple[dict[Case, Figures], float]:
    """Run all rounds.

    Returns:
        The figures by case, and which part of one core this program used.
    """
    cases = [Case(way, size) for size in args.connections for way in WAYS]
    figures = {case: Figures() for case in cases}
    workload = Workload(args, server)
    try:
        await workload.open()
        own, start = time.process_time(), time.perf_counter()
        # Round 0 warms up and is not counted.
        for turn in range(args.rounds + 1):
            for case in cases:
                seconds = args.seconds if turn else min(0.5, args.seconds)
                before = cpu_seconds(server.pid) if server.pid else None
                timings = await workload.post(case, seconds)
                spent = None
                if server.pid and before is not None:
                    spent = cpu_seconds(server.pid) - before
                if turn:
                    figures[case].add(timings, spent)
        share = (time.process_time() - own) / (time.perf_counter() - start)
        if args.url:
            await workload.clean()
    finally:
        workload.close()
    return figures, share


def summary(figures: dict[Case, Figures]) -> dict[str, dict[str, Any]]:
    """Return the figures as plain numbers: times in the unit that they name."""
    rows: dict[str, dict[str, Any]] = {}
    for case, figure in figures.items():
        (seconds,) = figure.latencies.values()
        row: dict[str, Any] = {
            "posts_per_second": statistics.median(figure.rates),
            "latency_ms": {
                "p50": percentile(seconds, 0.50) * 1e3,
                "p99": percentile(seconds, 0.99) * 1e3,
            },
        }
        rest = figures[Case("rest", case.connections)]
        row["rate_ratio"] = row["posts_per_second"] / statistics.median(rest.rates)
        if figure.cpu:
            row["server_cpu_us"] = statistics.median(figure.cpu) * 1e6
            # Of neighbours in one round: a busy moment of the machine is in both.
            pairs = zip(rest.cpu, figure.cpu, strict=True)
            row["cpu_ratio"] = statistics.median(theirs / own for theirs, own in pairs)
        rows[str(case)] = row
    return rows


def table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table for people."""
    yield (
        f"{'way':<14}{'posts/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'x rate':>8}"
        f"{'CPU µs':>8}{'x CPU':>7}"
    )
    for name, row in rows.items():
        latency = row["latency_ms"]
        yield (
            f"{name:<14}{row['posts_per_second']:>9,.0f}{latency['p50']:>8.2f}"
            f"{latency['p99']:>8.2f}{row['rate_ratio']:>8.2f}"
            + (f"{row['server_cpu_us']:>8.1f}" if "server_cpu_us" in row else "")
            + (f"{row['cpu_ratio']:>7.2f}" if "cpu_ratio" in row else "")
        )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--url", help="measure this server (default: start one)")
    option("--websocket-url", help="its WebSocket, if not on the same port")
    option("--server-pid", type=int, help="its process, to measure its CPU time")
    option("--store-dir", help="where the store of a server of our own goes")
    option("--connections", type=int, nargs="+", default=[1, 16], help="default: 1 16")
    option("--depth", type=int, default=16, help="pipelined requests, default: 16")
    option("--seconds", type=float, default=2, help="of each measurement, default: 2")
    option("--rounds", type=int, default=5, help="default: %(default)s")
    option("--body-bytes", type=int, default=200, help="default: %(default)s")
    option("--project", default="benchmark", help="sent as X-Project-ID")
    option("--json", action="store_true", help="print a JSON document")
    args = parser.parse_args(arguments)
    for name in ("depth", "seconds", "rounds"):
        if getattr(args, name) <= 0:
            parser.error(f"--{name} must be above 0")
    if min(args.connections) < 1:
        parser.error("--connections must be above 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    given = Server(args.url, args.server_pid) if args.url else None
    try:
        with contextlib.ExitStack() as stack:
            server = given or stack.enter_context(running_server(args.store_dir))
            figures, share = uvloop.run(measure(args, server))
    except LoadError as error:
        print(f"frames: {error}", file=sys.stderr)
        return 1
    rows = summary(figures)
    if args.json:
        settings = {
            name: getattr(args, name)
            for name in ("connections", "depth", "seconds", "rounds", "body_bytes")
        }
        print(json.dumps({**settings, "generator_share": share, "ways": rows}))
        return 0
    print(f"{server.url}: {args.rounds} rounds, {args.depth} requests pipelined")
    print("\n".join(table(rows)))
    print(f"The load program itself used {share:.0%} of a core.")
    if not any(figure.cpu for figure in figures.values()):
        print("The server's CPU time is unknown: name its process with --server-pid.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
