"""How long a post takes to reach every one of many subscribed WebSockets.

Opens the sockets, subscribes each to one queue, and posts one message at a time:
the next when all sockets have the one before. The delay of a push is the time
from the sending of the post to the arrival of the frame, so it holds the store's
commit and the sending of all frames before it. The first posts warm up and are
not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import sys
import time
import uuid
from typing import Any

import uvloop
from load import percentile
from process import Server, cpu_seconds, running_server
from sockets import Socket, connect, request, run_all
from traffic import LoadError, Request, once

_WARM_UP = 3  # posts
_PATIENCE = 30.0  # seconds for one post to reach all


class Audience:
    """The subscribed sockets, and when each post reached them.

    Args:
        sockets: The sockets, each subscribed once.
    """

    def __init__(self, sockets: list[Socket]) -> None:
        self._size = len(sockets)
        self._missing = 0
        self._delays: list[float] = []
        self._posted_at = 0.0
        self._all_have_it = asyncio.Event()
        for one in sockets:
            one.on_push = self._pushed

    def _pushed(self) -> None:
        self._delays.append(time.perf_counter() - self._posted_at)
        self._missing -= 1
        if not self._missing:
            self._all_have_it.set()

    async def post(self, poster: Socket, frame: Request) -> list[float]:
        """Post one message and wait until every socket has it.

        Returns:
            The seconds to each push.

        Raises:
            LoadError: Not all have it in time.
        """
        self._delays, self._missing = [], self._size
        self._all_have_it.clear()
        self._posted_at = time.perf_counter()
        answered = run_all([poster], lambda: [once(frame)])
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(answered, self._all_have_it.wait())
        except TimeoutError:
            raise LoadError(
                f"{self._missing} sockets have no push after {_PATIENCE:.0f} s"
            ) from None
        return self._delays


async def measure(args: argparse.Namespace, server: Server) -> dict[str, Any]:
    """Subscribe, post, and return the figures as plain numbers."""
    url = args.websocket_url or server.url
    headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": args.project}
    queue = f"bench-{uuid.uuid4().hex}"
    where = {"queue_name": queue}
    body = {"payload": "x" * max(0, args.body_bytes - 14)}
    message = {"ttl": 3600, "body": body}

    def asked(action: str, expected: int, **more: Any) -> Request:
        return Request(action, request(action, headers, {**where, **more}), expected)

    frame = asked("message_post", 201, messages=[message])
    poster, *sockets = await connect(url, args.sockets + 1)
    try:
        subscribe = asked("subscription_create", 201, ttl=3600)
        await run_all(sockets, lambda: [once(subscribe)])
        audience = Audience(sockets)
        for _ in range(_WARM_UP):
            await audience.post(poster, frame)
        before = cpu_seconds(server.pid) if server.pid else None
        own, start = time.process_time(), time.perf_counter()
        posts = [await audience.post(poster, frame) for _ in range(args.posts)]
        elapsed = time.perf_counter() - start
        figures = _figures(posts, elapsed)
        figures["generator_share"] = (time.process_time() - own) / elapsed
        if server.pid and before is not None:
            spent = cpu_seconds(server.pid) - before
            figures["server_cpu_us_per_push"] = spent / figures["pushes"] * 1e6
        await run_all([poster], lambda: [once(asked("queue_delete", 204))])
    finally:
        for one in (poster, *sockets):
            one.close()
    return figures


def _figures(posts: list[list[float]], elapsed: float) -> dict[str, Any]:
    delays = [delay for post in posts for delay in post]
    return {
        "pushes": len(delays),
        "pushes_per_second": len(delays) / elapsed,
        "latency_ms": {
            "p50": percentile(delays, 0.50) * 1e3,
            "p99": percentile(delays, 0.99) * 1e3,
            "first p50": percentile([min(post) for post in posts], 0.50) * 1e3,
            "last p50": percentile([max(post) for post in posts], 0.50) * 1e3,
        },
    }


def report(figures: dict[str, Any], sockets: int) -> str:
    """Return the figures for people."""
    latency = figures["latency_ms"]
    rate, pushes = figures["pushes_per_second"], figures["pushes"]
    p50, p99 = latency["p50"], latency["p99"]
    first, last = latency["first p50"], latency["last p50"]
    lines = [
        f"{sockets} sockets, {pushes} pushes, {rate:,.0f} pushes/s",
        f"from the post to a push: p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        f"to the first socket {first:.1f} ms, to the last {last:.1f} ms (p50)",
    ]
    if "server_cpu_us_per_push" in figures:
        lines.append(f"server CPU {figures['server_cpu_us_per_push']:.1f} µs a push")
    lines.append(
        f"The load program itself used {figures['generator_share']:.0%} of a core."
    )
    return "\n".join(lines)


def allow_files(count: int) -> None:
    """Raise the limit of open files, for this program and a server that it starts.

    Raises:
        LoadError: The system does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
        except ValueError:
            raise LoadError(
                f"{count} open files are needed, the system allows {hard}"
            ) from None


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
    option("--sockets", type=int, default=1000, help="default: %(default)s")
    option("--posts", type=int, default=50, help="default: %(default)s")
    option("--body-bytes", type=int, default=200, help="default: %(default)s")
    option("--project", default="benchmark", help="sent as X-Project-ID")
    option("--json", action="store_true", help="print a JSON document")
    args = parser.parse_args(arguments)
    for name in ("sockets", "posts"):
        if getattr(args, name) <= 0:
            parser.error(f"--{name} must be above 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    args = parse(arguments)
    given = Server(args.url, args.server_pid) if args.url else None
    try:
        allow_files(args.sockets + 256)
        with contextlib.ExitStack() as stack:
            server = given or stack.enter_context(running_server(args.store_dir))
            figures = uvloop.run(measure(args, server))
    except LoadError as error:
        print(f"push: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps({"sockets": args.sockets, "posts": args.posts, **figures}))
    else:
        print(report(figures, args.sockets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
