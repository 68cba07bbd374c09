"""Does a server stay as it is: mixed load for a long time, with much coming and going.

Clients post, claim, delete, let claims expire, list, make and delete queues and topics,
subscribe webhooks and sockets, and go away without a word. Each minute the memory, the
open files and the latencies of the server are noted; at the end the last minutes are
compared with the first ones.

Exit status: 0 if all is flat, 1 if something grew, 2 if the run itself failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from process import Server, running_server

MOST_MEMORY = 1.10  # of the second quarter's, in the last one
MOST_FILES = 1.10
MOST_LATENCY = 1.3  # of the first minute's, in the last one
_WARM = 1  # minutes that are not compared: caches fill
_MOST_FAILURES = 0.001


@dataclass
class Minute:
    """What was seen in one minute.

    Attributes:
        requests: Requests that were answered.
        failures: Those that were answered 5xx or not at all.
        latencies: Seconds, of posts.
        memory: Resident KiB of the server at the end.
        files: Its open files at the end.
    """

    requests: int = 0
    failures: int = 0
    latencies: list[float] = field(default_factory=list)
    memory: int = 0
    files: int = 0

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that a share of the posts stays under."""
        ordered = sorted(self.latencies) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Soak:
    """The clients.

    Args:
        server: What they use.
        hook: Where webhooks go.
        workers: How many clients of each kind.
        pause: Seconds that a client waits between two things, on average.
    """

    def __init__(self, server: Server, hook: str, workers: int, pause: float) -> None:
        self._url = server.url
        self._hook = hook
        self._workers = workers
        self._pause = pause
        self._session: aiohttp.ClientSession
        self.minute = Minute()
        self._steady = [f"steady-{number}" for number in range(8)]

    async def _ask(self, method: str, path: str, document: Any = None) -> Any:
        began = time.perf_counter()
        self.minute.requests += 1
        try:
            async with self._session.request(
                method, self._url + path, json=document
            ) as answer:
                text = await answer.read()
                if answer.status >= 500:
                    self.minute.failures += 1
        except (aiohttp.ClientError, TimeoutError):
            self.minute.failures += 1
            return None
        if method == "POST" and path.endswith("/messages"):
            self.minute.latencies.append(time.perf_counter() - began)
        return json.loads(text) if text and answer.status < 400 else None

    # -- what clients do ---------------------------------------------------------

    async def _post(self) -> None:
        queue = random.choice(self._steady)
        messages = [{"body": {"n": n, "pad": "x" * 200}, "ttl": 300} for n in range(3)]
        await self._ask("POST", f"/v2/queues/{queue}/messages", {"messages": messages})

    async def _work(self) -> None:
        queue = random.choice(self._steady)
        claim = await self._ask(
            "POST", f"/v2/queues/{queue}/claims?limit=10", {"ttl": 60, "grace": 60}
        )
        # One of ten workers dies: its claim expires, others do its work.
        if claim and random.random() > 0.1:
            for message in claim["messages"]:
                await self._ask("DELETE", message["href"])

    async def _pop(self) -> None:
        queue = random.choice(self._steady)
        await self._ask("DELETE", f"/v2/queues/{queue}/messages?pop=20")

    async def _read(self) -> None:
        queue = random.choice(self._steady)
        await self._ask("GET", f"/v2/queues/{queue}/messages?echo=true&limit=20")
        await self._ask("GET", f"/v2/queues/{queue}/stats")
        await self._ask("GET", "/v2/queues?limit=20&detailed=true")

    async def _churn(self) -> None:
        kind = random.choice(("queues", "topics"))
        path = f"/v2/{kind}/churn-{uuid.uuid4().hex}"
        await self._ask("PUT", path, {"note": "x" * 100})
        messages = {"messages": [{"body": n, "ttl": 60} for n in range(20)]}
        await self._ask("POST", f"{path}/messages", messages)
        subscription = {"subscriber": self._hook, "ttl": 60}
        await self._ask("POST", f"{path}/subscriptions", subscription)
        await self._ask("POST", f"{path}/messages", {"messages": [{"body": "told"}]})
        await self._ask("DELETE", path)
        await self._ask("POST", f"{path}/purge", {"resource_types": ["subscriptions"]})

    async def _listen(self) -> None:
        headers = {"Client-ID": uuid.uuid4().hex, "X-Project-ID": "soak"}
        queue = random.choice(self._steady)
        frame = {
            "action": "subscription_create",
            "headers": headers,
            "body": {"queue_name": queue, "ttl": 60},
        }
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = self._url.replace("http", "ws", 1)
            async with self._session.ws_connect(url) as socket:
                await socket.send_json(frame)
                for _ in range(random.randint(1, 20)):
                    await socket.receive(timeout=5)
                if random.random() < 0.3:  # goes away without a word
                    socket._response.close()  # noqa: SLF001 - nothing public cuts it

    # -- a whole run --------------------------------------------------------------

    async def _repeat(self, deed: Callable[[], Awaitable[None]]) -> None:
        while True:
            await deed()
            await asyncio.sleep(random.expovariate(1 / self._pause))

    async def run(
        self, minutes: int, seconds: float, note: Callable[[Minute], None]
    ) -> None:
        """Run for some minutes of so many seconds; each one is noted."""
        headers = {"Client-ID": uuid.uuid4().hex, "X-Project-ID": "soak"}
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(
            headers=headers, connector=connector, timeout=timeout
        ) as self._session:
            deeds = (self._post, self._work, self._pop, self._read, self._churn)
            tasks = [
                asyncio.create_task(self._repeat(deed))
                for deed in (*deeds, self._listen)
                for _ in range(self._workers)
            ]
            try:
                for _ in range(minutes):
                    await asyncio.sleep(seconds)
                    done, self.minute = self.minute, Minute()
                    note(done)
                    for task in tasks:
                        if task.done():
                            task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def resident(pid: int) -> int:
    """Return the resident memory of a process, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def open_files(pid: int) -> int:
    """Return how many files a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def verdicts(minutes: list[Minute]) -> list[tuple[str, float, float]]:
    """Compare the end with the beginning.

    Returns:
        What was compared, the ratio, and what it may be at most.
    """
    seen = minutes[_WARM:]
    quarter = max(1, len(seen) // 4)
    early, late = seen[quarter : 2 * quarter] or seen, seen[-quarter:]

    def ratio(of: Callable[[Minute], float]) -> float:
        before = statistics.median(map(of, early))
        return statistics.median(map(of, late)) / max(before, 1e-9)

    first, last = seen[0], seen[-1]
    requests = sum(minute.requests for minute in minutes)
    return [
        ("memory, last quarter / second", ratio(lambda m: m.memory), MOST_MEMORY),
        ("files, last quarter / second", ratio(lambda m: m.files), MOST_FILES),
        (
            "p50 of posts, last minute / first",
            last.percentile(0.5) / first.percentile(0.5),
            MOST_LATENCY,
        ),
        (
            "p99 of posts, last minute / first",
            last.percentile(0.99) / first.percentile(0.99),
            MOST_LATENCY,
        ),
        (
            "failures / requests",
            sum(minute.failures for minute in minutes) / requests,
            _MOST_FAILURES,
        ),
    ]


async def soak(args: argparse.Namespace, server: Server) -> list[Minute]:
    """Run; print a line for each minute."""
    minutes: list[Minute] = []

    def note(minute: Minute) -> None:
        assert server.pid is not None  # noqa: S101 - it is our own
        minute.memory, minute.files = resident(server.pid), open_files(server.pid)
        minutes.append(minute)
        print(
            f"minute {len(minutes):3}: {minute.requests:7,} requests, "
            f"{minute.failures} failures, p50 {minute.percentile(0.5):6.2f} ms, "
            f"p99 {minute.percentile(0.99):6.2f} ms, {minute.memory / 1024:6.1f} MiB, "
            f"{minute.files} files",
            flush=True,
        )

    async def take(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    receiver = web.Application()
    receiver.router.add_post("/hook", take)
    runner = web.AppRunner(receiver, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        hook = f"http://127.0.0.1:{port}/hook"
        clients = Soak(server, hook, args.workers, args.pause)
        await clients.run(args.minutes, args.minute, note)
    finally:
        await runner.cleanup()
    return minutes


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--minutes", type=int, default=20, help="default: %(default)s")
    option("--minute", type=float, default=60, help="its seconds, default: 60")
    option("--workers", type=int, default=4, help="of each kind, default: 4")
    option("--pause", type=float, default=0.05, help="seconds, default: 0.05")
    option("--store", help="URI of the store (default: an SQLite file)")
    option("--store-dir", help="where that file goes")
    args = parser.parse_args(arguments)
    if args.minutes <= _WARM or args.minute <= 0:
        parser.error(f"needs --minutes above {_WARM} and --minute above 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return the exit status."""
    args = parse(arguments)
    with running_server(args.store_dir, args.store) as server:
        minutes = asyncio.run(soak(args, server))
    good = True
    for what, found, most in verdicts(minutes):
        good = good and found <= most
        verdict = "ok" if found <= most else "TOO MUCH"
        print(f"{what:36}{found:8.3f}  at most {most:6.3f}  {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
