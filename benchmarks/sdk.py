"""What a call of the SDK costs its own process.

One thread posts one message a call, over HTTP and over WebSocket, to a server on
loopback; ``aio`` posts with 1,000 tasks at once on one event loop. Each way runs in a
process of its own, whose CPU time counts. With ``--against DIR`` the SDK in another
checkout posts in turn with that of this one, so that a busy moment of the machine is
in the figures of both.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from load import percentile
from process import running_server
from traffic import LoadError

WAYS = ("http", "ws", "aio-http", "aio-ws")
_CONF: Mapping[str, Any] = {
    "auth_opts": {"backend": "noauth", "options": {"os_project_id": "benchmark"}}
}
_MESSAGE = {"ttl": 3600, "body": {"payload": "x" * 186}}


# -- the process that posts ----------------------------------------------------


def _post(url: str, seconds: float) -> list[float]:
    """Post one message after the other; return what each call took."""
    from zaqarclient import Client  # noqa: PLC0415 - of the checkout to measure

    took: list[float] = []
    with Client(url, 2, _CONF) as client:
        queue = client.queue(f"bench-{uuid.uuid4().hex}")
        ends = time.perf_counter() + seconds
        while (begun := time.perf_counter()) < ends:
            queue.post(_MESSAGE)
            took.append(time.perf_counter() - begun)
    return took


async def _post_at_once(url: str, seconds: float) -> list[float]:
    """Post with 1,000 tasks at once, again and again."""
    from zaqarclient import AsyncClient  # noqa: PLC0415 - of the checkout to measure

    took: list[float] = []
    async with AsyncClient(url, 2, _CONF) as client:
        queue = client.queue(f"bench-{uuid.uuid4().hex}")

        async def post() -> None:
            begun = time.perf_counter()
            await queue.post(_MESSAGE)
            took.append(time.perf_counter() - begun)

        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            await asyncio.gather(*(post() for _ in range(1000)))
    return took


def post_on_demand(way: str, url: str) -> None:
    """Post for as many seconds as each line of the input says; print the figures."""
    for line in sys.stdin:
        begun, used = time.perf_counter(), time.process_time()
        if way.startswith("aio"):
            took = asyncio.run(_post_at_once(url, float(line)))
        else:
            took = _post(url, float(line))
        used, wall = time.process_time() - used, time.perf_counter() - begun
        print(json.dumps({"took": took, "cpu": used, "wall": wall}), flush=True)


# -- the process that compares -------------------------------------------------


@dataclass
class Figures:
    """What one way cost, by round.

    Attributes:
        rates: Calls a second.
        cpu: CPU seconds of the client a call.
        took: Seconds of each call, of all rounds.
    """

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def add(self, said: Mapping[str, Any]) -> None:
        """Add a round."""
        calls = len(said["took"])
        self.rates.append(calls / said["wall"])
        self.cpu.append(said["cpu"] / calls)
        self.took += said["took"]


@contextlib.contextmanager
def _posting(way: str, url: str, checkout: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that posts by the SDK of a checkout."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--post-to", url, "--ways", way],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process


def _ask(process: subprocess.Popen[str], seconds: float) -> Any:
    assert process.stdin  # noqa: S101 - for mypy
    assert process.stdout  # noqa: S101 - for mypy
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    try:
        return json.loads(process.stdout.readline())
    except ValueError:
        raise LoadError("the client ended; its error is above") from None


def measure(args: argparse.Namespace, url: str) -> dict[str, Figures]:
    """Run all rounds; return the figures by way, those of the other SDK apart."""
    checkouts = {"": Path(__file__).parents[1]}
    if args.against:
        checkouts[" before"] = Path(args.against)
    figures: dict[str, Figures] = {}
    with contextlib.ExitStack() as stack:
        posting: dict[str, subprocess.Popen[str]] = {}
        for way in args.ways:
            at = url.replace("http", "ws", 1) if way.endswith("ws") else url
            for label, checkout in checkouts.items():
                name = way + label
                posting[name] = stack.enter_context(_posting(way, at, checkout))
                figures[name] = Figures()
        # Round 0 warms up and is not counted.
        for turn in range(args.rounds + 1):
            for name, process in posting.items():
                said = _ask(process, args.seconds if turn else 0.3)
                if turn:
                    figures[name].add(said)
    return figures


def summary(figures: Mapping[str, Figures]) -> dict[str, dict[str, float]]:
    """Return the figures as plain numbers."""
    rows: dict[str, dict[str, float]] = {}
    for name, figure in figures.items():
        rows[name] = {
            "calls_per_second": statistics.median(figure.rates),
            "p50_ms": percentile(figure.took, 0.50) * 1e3,
            "p99_ms": percentile(figure.took, 0.99) * 1e3,
            "client_cpu_us": statistics.median(figure.cpu) * 1e6,
        }
        if before := figures.get(f"{name} before"):
            # Of neighbours in one round.
            pairs = list(zip(before.cpu, figure.cpu, strict=True))
            rows[name]["cpu_ratio"] = statistics.median(own / was for was, own in pairs)
    return rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--url", help="post to this server (default: start one)")
    option("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all")
    option("--against", metavar="DIR", help="another checkout, to compare with")
    option("--store-dir", help="where the store of a server of our own goes")
    option("--seconds", type=float, default=1.5, help="of each measurement")
    option("--rounds", type=int, default=5, help="default: %(default)s")
    option("--json", action="store_true", help="print a JSON document")
    option("--post-to", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    if args.post_to:
        post_on_demand(args.ways[0], args.post_to)
        return 0
    try:
        with contextlib.ExitStack() as stack:
            url = args.url or stack.enter_context(running_server(args.store_dir)).url
            rows = summary(measure(args, url))
    except LoadError as error:
        print(f"sdk: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(rows))
        return 0
    print(
        f"{'way':<16}{'calls/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'CPU µs':>8}{'x CPU':>7}"
    )
    for name, row in rows.items():
        ratio = f"{row['cpu_ratio']:>7.2f}" if "cpu_ratio" in row else ""
        print(
            f"{name:<16}{row['calls_per_second']:>9,.0f}{row['p50_ms']:>8.2f}"
            f"{row['p99_ms']:>8.2f}{row['client_cpu_us']:>8.0f}{ratio}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
