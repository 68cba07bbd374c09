"""What consuming costs: messages a second, and CPU of the server a message.

One thread takes small messages from a full queue by ``queue.consume(limit=20)`` over
HTTP, from a server on loopback. A round is one queue; its messages are posted before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import uuid
from typing import NamedTuple

from process import Server, cpu_seconds, running_server
from traffic import LoadError

from zaqarclient import Client
from zaqarclient.queues.v2.queues import Queue

_MESSAGE = {"ttl": 3600, "body": {"payload": "x" * 86}}
_BATCH = 20


class Round(NamedTuple):
    """One run over a full queue.

    Attributes:
        rate: Messages a second, from the first claim to the last delete.
        server_us: CPU of the server a message, in millionths of a second.
        client_us: CPU of the consumer a message.
    """

    rate: float
    server_us: float
    client_us: float


def consume(queue: Queue, server: Server, count: int) -> Round:
    """Fill a queue, and take everything from it again.

    Raises:
        LoadError: Not every message came and was deleted.
    """
    for _ in range(0, count, _BATCH):
        queue.post([_MESSAGE] * _BATCH)
    assert server.pid  # noqa: S101 - for mypy
    used, own = cpu_seconds(server.pid), time.process_time()
    began, taken = time.perf_counter(), 0
    with queue.consume(limit=_BATCH, wait=0, idle_timeout=0) as messages:
        for _ in messages:
            taken += 1
    wall = time.perf_counter() - began
    used, own = cpu_seconds(server.pid) - used, time.process_time() - own
    left = queue.stats["messages"]["total"]
    if taken != count or left:
        raise LoadError(f"{taken} of {count} messages were taken, {left} are left")
    return Round(count / wall, used / count * 1e6, own / count * 1e6)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--store-dir", help="where the store of the server goes")
    option("--messages", type=int, default=10_000, help="a round; default: %(default)s")
    option("--rounds", type=int, default=5, help="default: %(default)s")
    option("--json", action="store_true", help="print a JSON document")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(running_server(args.store_dir))
            client = stack.enter_context(Client(server.url, project="benchmark"))
            rounds = [
                consume(client.queue(uuid.uuid4().hex), server, args.messages)
                for _ in range(args.rounds)
            ]
    except LoadError as error:
        print(f"consume: {error}", file=sys.stderr)
        return 1
    row = {
        name: statistics.median(getattr(one, name) for one in rounds)
        for name in Round._fields
    }
    if args.json:
        print(json.dumps(row))
    else:
        print(
            f"{row['rate']:,.0f} messages/s; CPU a message: server "
            f"{row['server_us']:.0f} µs, client {row['client_us']:.0f} µs"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
