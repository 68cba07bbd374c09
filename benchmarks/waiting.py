"""What waiting costs: memory, CPU, and the time from a post to the answer of a waiter.

``crowd``: many claims wait on one queue; each post must answer exactly one of them.
``reset``: a claim that waits is reset, and a message posted: nothing may be claimed.
``one``: a single claim waits, and the message is posted to the same server.
``other``: the same with two servers on one Redis.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import socket
import statistics
import struct
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from deployment import RedisServer
from machine import resident_bytes
from process import Server, cpu_seconds, running_server
from traffic import LoadError

_QUEUE = "/v2/queues/waiting"
_MESSAGE = b'{"messages": [{"ttl": 600, "body": "tea"}]}'
_SETTINGS = (
    "[server]\nmax_connections = 20000\nkeep_alive = 600\n[transport]\nmax_wait = 300\n"
)
_IDLE_SECONDS = 10.0
_NO_LINGER = struct.pack("ii", 1, 0)


class Peer:
    """One connection to a server; it has one request under way."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def of(cls, server: Server) -> Self:
        """Open a connection."""
        place = urlsplit(server.url)
        return cls(*await asyncio.open_connection(place.hostname, place.port))

    def ask(self, method: str, path: str, content: bytes = b"") -> None:
        """Send a request."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: h\r\nX-Project-Id: p\r\n"
            "Client-Id: 3381af922b9e11e3b19171861300734c\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)

    def claim(self) -> None:
        """Wait for a message."""
        self.ask("POST", f"{_QUEUE}/claims?limit=1&wait=300")

    async def answered(self) -> tuple[int, Any]:
        """Return the status and the document of the answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.partition(b":")[2])
        content = await self._reader.readexactly(size)
        return int(head.split()[1]), json.loads(content) if content else None

    async def post(self) -> None:
        """Post one message."""
        self.ask("POST", f"{_QUEUE}/messages", _MESSAGE)
        status, document = await self.answered()
        if status != 201:
            raise LoadError(f"a post was answered {status}: {document}")

    def reset(self) -> None:
        """End the connection with a reset."""
        plain: Any = self._writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection."""
        self._writer.close()


async def _waiting(server: Server, count: int) -> None:
    """Wait until so many requests wait.

    Raises:
        LoadError: They do not within a minute.
    """
    asked = urllib.request.Request(  # noqa: S310 - our own server, by http
        f"{server.url}/v2/quotas", headers={"X-Project-ID": "p", "Client-ID": "0" * 32}
    )
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        with urllib.request.urlopen(asked) as answer:  # noqa: S310, ASYNC210 - nothing else runs
            if json.load(answer)["quotas"]["waiters"]["used"] == count:
                return
        await asyncio.sleep(0.01)
    raise LoadError(f"{count} requests do not wait")


def _times(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": statistics.median(ordered) * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
    }


async def crowd(server: Server, count: int, posts: int) -> dict[str, float]:
    """Have many claims wait on one queue, and post message after message.

    Raises:
        LoadError: A post did not answer exactly one claim.
    """
    assert server.pid  # noqa: S101 - for mypy
    before = resident_bytes(server.pid)
    peers = [await Peer.of(server) for _ in range(count)]
    connected = resident_bytes(server.pid)
    for peer in peers:
        peer.claim()
    await _waiting(server, count)
    waiting = resident_bytes(server.pid)
    used = cpu_seconds(server.pid)
    await asyncio.sleep(_IDLE_SECONDS)
    idle = (cpu_seconds(server.pid) - used) / _IDLE_SECONDS
    poster = await Peer.of(server)
    answers: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

    async def hear(peer: Peer) -> None:
        status, _ = await peer.answered()
        answers.put_nowait((status, time.perf_counter()))

    claims = [asyncio.ensure_future(hear(peer)) for peer in peers]
    await asyncio.sleep(0)
    seconds: list[float] = []
    for _ in range(posts):
        began = time.perf_counter()
        await poster.post()
        status, ended = await asyncio.wait_for(answers.get(), 10)
        if status != 201:
            raise LoadError(f"a claim was answered {status}")
        seconds.append(ended - began)
    await asyncio.sleep(0.5)
    if not answers.empty():
        raise LoadError(f"{posts} posts answered more claims")
    for claim in claims:
        claim.cancel()
    for peer in peers:
        peer.reset()
    await _waiting(server, 0)
    return {
        "waiter_bytes": (waiting - connected) / count,
        "connection_bytes": (connected - before) / count,
        "idle_core": idle,
        **_times(seconds),
    }


async def reset(server: Server, tries: int) -> dict[str, float]:
    """Reset waiting claims while a message comes, and look into the store.

    Raises:
        LoadError: A message was taken for a peer that was gone.
    """
    poster = await Peer.of(server)
    taken = 0
    for _ in range(tries):
        peer = await Peer.of(server)
        peer.claim()
        await _waiting(server, 1)
        peer.reset()
        await poster.post()
        await _waiting(server, 0)
        poster.ask("GET", f"{_QUEUE}/stats")
        _, document = await poster.answered()
        taken += document["messages"]["claimed"]
        poster.ask("DELETE", f"{_QUEUE}/messages?pop=20")
        _, document = await poster.answered()
        taken += len(document["messages"]) != 1
    if taken:
        raise LoadError(f"{taken} of {tries} messages were taken")
    return {"tries": tries, "taken": taken}


async def latency(server: Server, other: Server, rounds: int) -> dict[str, float]:
    """Post to a server, with one claim waiting at another or the same."""
    poster, waiter = await Peer.of(other), await Peer.of(server)
    seconds = []
    for _ in range(rounds):
        waiter.claim()
        await asyncio.sleep(0.005)
        began = time.perf_counter()
        posted = asyncio.ensure_future(poster.post())
        status, document = await waiter.answered()
        seconds.append(time.perf_counter() - began)
        await posted
        if status != 201 or len(document["messages"]) != 1:
            raise LoadError(f"the claim was answered {status}: {document}")
    return _times(seconds)


async def measure(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run all parts."""
    rows = {}
    with running_server(args.store_dir, settings=_SETTINGS) as server:
        rows["one"] = await latency(server, server, args.rounds)
        rows["crowd"] = await crowd(server, args.waiters, args.rounds)
    with running_server(args.store_dir, settings=_SETTINGS) as server:
        rows["reset"] = await reset(server, args.tries)
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="zaqar-bench-"))
        redis = RedisServer(Path(home) / "redis")
        redis.start()
        stack.callback(redis.kill)
        one, two = (
            stack.enter_context(
                running_server(args.store_dir, redis.uri, settings=_SETTINGS)
            )
            for _ in range(2)
        )
        rows["other"] = await latency(one, two, args.rounds)
    return rows


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--store-dir", help="where the store of the server goes")
    option("--waiters", type=int, default=5000, help="default: %(default)s")
    option("--rounds", type=int, default=500, help="posts; default: %(default)s")
    option("--tries", type=int, default=1000, help="resets; default: %(default)s")
    option("--json", action="store_true", help="print a JSON document")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        rows = asyncio.run(measure(args))
    except LoadError as error:
        print(f"waiting: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(rows))
        return 0
    for name, row in rows.items():
        print(name, *(f"{key}={value:,.3f}" for key, value in row.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
