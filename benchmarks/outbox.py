"""How many notifications reach webhooks while messages are posted, and afterwards.

Connections post single messages to one queue for some seconds, in turns without
subscriptions and with some webhooks. A receiver in this process counts the requests.
Then the posting stops, and the outbox drains.

With ``--aside N`` a few connections post single messages to another queue, in turns
while nothing else happens and while the outbox of N webhooks drains.

The receiver and the posters share the machine with the server, so rates are lower than
those of a machine of its own; the CPU time of the server is not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
import uuid
from typing import Any, cast

import httptools
import uvloop
from load import percentile
from process import Server, cpu_seconds, running_server
from traffic import Crowd, LoadError, Request, Target, repeated

SETTINGS = "[notifications]\nallowed_networks = 127.0.0.1/32\n"

_DRAIN_SECONDS = 120.0
_ASIDE_CONNECTIONS = 4
_ASIDE_MESSAGES = 6000
_PAGE = 100


class Receiver(asyncio.Protocol):
    """A webhook that accepts everything.

    Attributes:
        count: How many requests came, over all connections.
    """

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count and answer."""
        Receiver.count += 1
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _drained(expected: int) -> None:
    end = time.monotonic() + _DRAIN_SECONDS
    while Receiver.count < expected:
        if time.monotonic() > end:
            raise LoadError(f"{expected - Receiver.count} notifications did not come")
        await asyncio.sleep(0.005)


class Queue:
    """A queue of a round, and the requests to it."""

    def __init__(self, args: argparse.Namespace, target: Target) -> None:
        self.path = f"/v2/queues/bench-{uuid.uuid4().hex}"
        self._args = args
        self._target = target

    def post(self, messages: int = 1) -> Request:
        """Return the request that posts messages."""
        one = {"ttl": 3600, "body": "x" * self._args.body_bytes}
        body = {"messages": [one] * messages}
        return self._target.request("post", "POST", f"{self.path}/messages", 201, body)

    def subscribe(self, webhooks: int, port: int) -> list[Request]:
        """Return the requests that subscribe webhooks."""
        hooks = [f"http://127.0.0.1:{port}/{number}" for number in range(webhooks)]
        return [
            self._target.request(
                "",
                "POST",
                f"{self.path}/subscriptions",
                201,
                {"subscriber": hook, "ttl": 3600},
            )
            for hook in hooks
        ]

    def delete(self) -> Request:
        """Return the request that deletes the queue."""
        return self._target.request("", "DELETE", self.path, 204)


def _target(args: argparse.Namespace, server: Server) -> Target:
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": args.project}
    return Target(server.url, headers)


async def _aside(
    args: argparse.Namespace, server: Server, webhooks: int, port: int
) -> dict[str, float]:
    """Post to a queue while the outbox of another one drains, if it has webhooks."""
    target = _target(args, server)
    queue, other = Queue(args, target), Queue(args, target)
    crowd = await Crowd.connect(target, _ASIDE_CONNECTIONS)
    try:
        await crowd.once(*queue.subscribe(webhooks, port))
        first = Receiver.count
        await crowd.once(*[queue.post(_PAGE)] * (_ASIDE_MESSAGES // _PAGE))
        post, begun = other.post(), Receiver.count
        timings = await crowd.run(lambda: repeated(post), args.seconds)
        if webhooks and Receiver.count - first >= webhooks * _ASIDE_MESSAGES:
            raise LoadError("the outbox was empty too soon: fewer --seconds")
        drained = (Receiver.count - begun) / timings.elapsed
        await _drained(first + webhooks * _ASIDE_MESSAGES)
        await crowd.once(queue.delete(), other.delete())
    finally:
        crowd.close()
    return {
        "posts_per_second": timings.requests / timings.elapsed,
        "post_p50_ms": percentile(timings.latencies["post"], 0.5) * 1e3,
        "post_p99_ms": percentile(timings.latencies["post"], 0.99) * 1e3,
        "delivered_meanwhile_per_second": drained,
    }


async def _round(
    args: argparse.Namespace, server: Server, webhooks: int, port: int
) -> dict[str, float]:
    target = _target(args, server)
    queue = Queue(args, target)
    post = queue.post()
    crowd = await Crowd.connect(target, args.connections)
    pid = server.pid or 0
    try:
        await crowd.once(*queue.subscribe(webhooks, port))
        first = Receiver.count
        timings = await crowd.run(lambda: repeated(post), args.seconds)
        meanwhile = Receiver.count - first
        cpu, start = cpu_seconds(pid), time.perf_counter()
        left = webhooks * timings.requests - meanwhile
        await _drained(first + webhooks * timings.requests)
        drained = time.perf_counter() - start
        figures = {
            "posts_per_second": timings.requests / timings.elapsed,
            "post_p99_ms": percentile(timings.latencies["post"], 0.99) * 1e3,
            "delivered_meanwhile_per_second": meanwhile / timings.elapsed,
        }
        if left:
            figures["delivered_then_per_second"] = left / drained
            figures["cpu_us_per_delivery_then"] = (cpu_seconds(pid) - cpu) / left * 1e6
        await crowd.once(queue.delete())
    finally:
        crowd.close()
    return figures


async def measure(args: argparse.Namespace, server: Server) -> dict[str, Any]:
    """Measure in rounds, each with and without webhooks; return medians."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(Receiver, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    once = _aside if args.aside else _round
    try:
        for _ in range(args.rounds):
            webhooks = args.aside or args.webhooks
            found["without"].append(await once(args, server, 0, port))
            found["with"].append(await once(args, server, webhooks, port))
    finally:
        listener.close()
    return {
        case: {
            name: statistics.median(one.get(name, 0.0) for one in rounds)
            for name in max(rounds, key=len)
        }
        for case, rounds in found.items()
    }


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--store", help="the URI of another store than a file")
    option("--store-dir", help="where the store of the server goes")
    option("--webhooks", type=int, default=1, help="default: %(default)s")
    option("--aside", type=int, default=0, metavar="N", help="see above")
    option("--connections", type=int, default=64, help="default: %(default)s")
    option("--seconds", type=float, default=2.0, help="default: %(default)s")
    option("--rounds", type=int, default=3, help="default: %(default)s")
    option("--body-bytes", type=int, default=200, help="default: %(default)s")
    option("--project", default="benchmark", help="sent as X-Project-ID")
    option("--json", action="store_true", help="print a JSON document")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(
                running_server(args.store_dir, args.store, settings=SETTINGS)
            )
            figures = uvloop.run(measure(args, server))
    except LoadError as error:
        print(f"outbox: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(figures))
        return 0
    for case, found in figures.items():
        print(f"{case} webhooks:")
        for name, value in found.items():
            print(f"  {name.replace('_', ' ')}: {value:,.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
