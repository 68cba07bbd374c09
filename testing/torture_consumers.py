"""Torture of work queues: ``queue.consume`` while everything around it breaks.

Producers repeat each post with its key until it is answered, through proxies that drop
answers; workers are killed, stopped for longer than their lease, or cut off; messages
fail, are released later or buried, and redriven; servers are killed. The logs of the
workers prove what became of each message.

    python testing/torture_consumers.py --seconds 90 --store redis

It prints what was done and, as ``left``, ``lost``, ``stored_twice``, ``two_leases`` and
``after_delete``, how many messages are wrong, with all that the logs have of some.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import logged_worker
from logged_worker import DEAD_LETTERS, PROJECT, QUEUE
from ports import free_port
from redis_service import RedisServer
from torture_scenarios import servers
from zaqarserver.torture.faults import Action, Faults, Process, Proxy

import zaqarclient
from zaqarclient.errors import ZaqarError

_SETTINGS = "[transport]\nmin_claim_ttl = 1\nmin_claim_grace = 1\n"
_METADATA = {"_dead_letter_queue": DEAD_LETTERS, "_max_claim_count": 6}
_BATCH = 3
_PAUSE = 0.2
_PATIENCE = 60.0


@dataclass
class Run:
    """A run.

    Attributes:
        producers: How many threads post.
        workers: How many processes consume.
        every: Seconds between two faults of a kind; servers take four times as long.
        accepted: The bodies of the posts that were answered, by id.
        left: What was left in the queues at the end.
        counts: What was posted, replayed, redriven and broken.
    """

    producers: int
    workers: int
    every: float
    accepted: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    is_posted: threading.Event = field(default_factory=threading.Event)
    bodies: Iterator[int] = field(default_factory=itertools.count)

    def produce(self, url: str) -> None:
        """Post until the time is over, each batch until it is answered."""
        with _client(url) as client:
            while not self.over.wait(_PAUSE):
                bodies = [next(self.bodies) for _ in range(_BATCH)]
                messages = [{"body": body, "ttl": 3600} for body in bodies]
                key = uuid.uuid4().hex
                post = functools.partial(client.queue(QUEUE).post, messages)
                posted = _until_answered(functools.partial(post, idempotency_key=key))
                self.accepted.update(zip(posted.ids, bodies, strict=True))
                self.counts["replays"] += posted.is_replay

    def redrive(self, url: str) -> None:
        """Return dead letters now and then, until no message is left anywhere."""
        patience = float("inf")
        with _client(url) as client:
            dead, live = client.queue(DEAD_LETTERS), client.queue(QUEUE)
            while time.monotonic() < patience:
                moved = _until_answered(dead.redrive).moved
                self.counts["redriven"] += moved
                if self.is_posted.wait(5 * _PAUSE):
                    patience = min(patience, time.monotonic() + _PATIENCE)
                    self.left = [*_ids(live), *_ids(dead)]
                    if not self.left:
                        return
                    time.sleep(_PAUSE)


def _client(url: str) -> zaqarclient.Client:
    return zaqarclient.Client(url, project=PROJECT, conf={"timeout": 1})


def _until_answered(call: Callable[[], Any]) -> Any:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            return call()
        except ZaqarError:
            if time.monotonic() > ends:
                raise
            time.sleep(_PAUSE)


def _ids(queue: Any) -> list[str]:
    """Return the first ids of all messages in a queue."""
    how = {"echo": True, "include_claimed": True, "include_delayed": True}
    return [one.id for one in _until_answered(lambda: list(queue.messages(**how)))]


def _proxies(urls: Sequence[str]) -> tuple[list[Proxy], list[str]]:
    """Return a proxy for each server, and where it listens."""
    ports = [free_port() for _ in urls]
    targets = [("127.0.0.1", int(url.rpartition(":")[2])) for url in urls]
    proxies = [
        Proxy("proxy", port, to) for port, to in zip(ports, targets, strict=True)
    ]
    return proxies, [f"http://127.0.0.1:{port}" for port in ports]


async def run(
    plan: Run, directory: Path, store: str, count: int, seconds: float
) -> None:
    """Post, consume and break for some seconds, then wait until all messages are gone.

    Args:
        plan: The run.
        directory: For the logs of the workers, ``*.jsonl``, and the servers.
        store: The URI of the store.
        count: How many servers use it.
        seconds: How long to post and break.
    """
    async with servers(directory, store, count, settings=_SETTINGS) as (urls, served):
        for url in urls:
            await asyncio.to_thread(_prepare, url)
        (posting, to_post), (taking, to_take) = _proxies(urls), _proxies(urls)
        workers = [
            Process(
                f"worker {number}",
                f"'{sys.executable}' '{logged_worker.__file__}' "
                f"{to_take[number % count]} '{directory}/{number}.jsonl'",
            )
            for number in range(plan.workers)
        ]
        lanes: list[tuple[float, list[tuple[str, Action]]]] = [
            (4, [("server killed", one.kill) for one in served]),
            (1, [("worker killed", one.kill) for one in workers[::2]]),
            (1, [("worker stopped", one.freeze) for one in workers[1::2]]),
            (1, [("answers dropped", one.lose_answers) for one in posting + taking]),
            (4, [("workers cut off", one.partition) for one in taking]),
        ]
        async with contextlib.AsyncExitStack() as stack:
            parts: list[Proxy | Process] = [*posting, *taking, *workers]
            for part in parts:
                stack.push_async_callback(part.end)
                await part.start()
            await _torture(plan, to_post, urls[0], lanes, seconds)


def _prepare(url: str) -> None:
    with _client(url) as client:
        _until_answered(lambda: client.queue(QUEUE).metadata(_METADATA))
        _until_answered(lambda: client.queue(DEAD_LETTERS).ensure_exists(True))


async def _torture(
    plan: Run,
    to_post: Sequence[str],
    to_redrive: str,
    lanes: Sequence[tuple[float, list[tuple[str, Action]]]],
    seconds: float,
) -> None:
    loop = asyncio.get_running_loop()
    faults = [
        Faults(actions, plan.every * factor, lambda one: plan.counts.update([one.what]))
        for factor, actions in lanes
    ]
    loop.set_default_executor(ThreadPoolExecutor(plan.producers + 1))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(plan.redrive, to_redrive))
            for one in faults:
                group.create_task(one.run())
            async with asyncio.TaskGroup() as posting:
                for url in itertools.islice(itertools.cycle(to_post), plan.producers):
                    posting.create_task(asyncio.to_thread(plan.produce, url))
                await asyncio.sleep(seconds)
                for one in faults:
                    one.end()
                plan.over.set()
            # All are stored: only now can the queues be empty for good.
            plan.is_posted.set()
    finally:
        plan.over.set()
        plan.is_posted.set()


def main() -> int:
    """Run it; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--store", choices=("sqlite", "redis"), default="sqlite")
    parser.add_argument("--producers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--every", type=float, default=1.0)
    args = parser.parse_args()
    plan = Run(args.producers, args.workers, args.every)
    with tempfile.TemporaryDirectory(prefix="zaqar-torture-") as name:
        home, began = Path(name), time.monotonic()
        with contextlib.ExitStack() as stack:
            uri, count = f"sqlite:///{home}/zaqar.db", 1
            if args.store == "redis":
                redis = RedisServer(home / "redis", "--appendonly", "yes")
                redis.start()
                stack.callback(redis.kill)
                uri, count = redis.uri, 2
            asyncio.run(run(plan, home, uri, count, args.seconds))
        records = logged_worker.read_logs(home.glob("*.jsonl"))
    found = {"left": plan.left, **logged_worker.findings(records, plan.accepted)}
    whats = Counter(record["what"] for record in records)
    figures = {
        "posted": len(plan.accepted),
        **{what: whats[what] for what in ("claimed", "handled", "renewed", "refused")},
        **plan.counts,
        **{what: len(ids) for what, ids in found.items()},
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(figures))
    for what, ids in found.items():
        for one in ids[:5]:
            print(f"{what}: {one}")
            for record in records:
                if one in (record.get("ids") or [record.get("id")]):
                    print(f"  {record}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
