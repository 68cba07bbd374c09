"""Torture of whole deployments: ``make torture``, ``tox -e torture``.

Each scenario runs real servers, breaks parts of them at random moments, and checks
what clients and webhooks saw, as ``zaqar-torture`` does. All keep every promise but the
last three: stores that may lose what was acknowledged last, and show how much.

    python testing/torture_scenarios.py --seconds 75 --only cluster sentinels
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
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ports import free_port
from redis_groups import RedisCluster, RedisSentinels
from redis_service import RedisServer
from zaqarserver.torture.faults import Action, Faults, Frozen, Process, Proxy
from zaqarserver.torture.history import PROMISES, Finding, History
from zaqarserver.torture.load import Clients, Plan, Subscribers

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
WAIT = "?wait_replicas=1&wait_timeout=5"
WAIT_BOTH = "?wait_replicas=2&wait_timeout=5"
_FAILOVER_SECONDS = 6.0
_BATCH = 3  # messages a post
_WEBHOOKS = 2  # a queue; the second is slow
#: Shorter and longer than a takeover takes.
_FREEZES = (0.7, 6.0)


@dataclass
class Deployment:
    """The endpoints for clients, and the possible faults.

    Attributes:
        endpoints: URLs of the servers.
        actions: Faults by what they are.
    """

    endpoints: list[str]
    actions: list[tuple[str, Action]]


Deploy = Callable[[Path], contextlib.AbstractAsyncContextManager[Deployment]]


#: Seconds by which the servers' system clocks are set, and how long they stay so.
_STEPS = (3600, -3600, 86400, -86400)
_STAYS = 3.0


def _fake_clock(directory: Path) -> tuple[str, list[tuple[str, Action]]]:
    """Set the servers' system clocks, if Debian's faketime is installed.

    Returns:
        What their command line begins with, and the fault.
    """
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        return "", []
    file, steps = directory / "step", itertools.cycle(_STEPS)
    file.write_text("+0")

    async def step() -> None:
        file.write_text(f"{next(steps):+d}")
        await asyncio.sleep(_STAYS)
        file.write_text("+0")

    variables = (
        f"LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{file}' FAKETIME_NO_CACHE=1 "
        "DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1"
    )
    return f"env {variables} ", [("set the servers' clocks", step)]


@contextlib.asynccontextmanager
async def servers(
    directory: Path, store: str, count: int, prefix: str = "", settings: str = ""
) -> AsyncIterator[tuple[list[str], list[Process]]]:
    """Run servers on one store; each comes back when it is killed."""
    urls, processes = [], []
    for number in range(count):
        port = free_port()
        config = directory / f"server{number}.conf"
        config.write_text(
            f"[server]\nport = {port}\n[websocket]\nport = 0\n"
            f"[storage]\nuri = {store}\n{settings}"
        )
        command = f"'{sys.executable}' -m zaqarserver --config-file '{config}'"
        log = directory / f"server{number}.log"
        # Its log goes to a file: what it says of faults would fill the screen.
        shell = f"sh -c \"exec {prefix}{command} 2>>'{log}'\""
        processes.append(Process(f"server {number}", shell))
        urls.append(f"http://127.0.0.1:{port}")
    try:
        for process in processes:
            await process.start()
        yield urls, processes
    finally:
        for process in processes:
            await process.end()


def _kill(server: RedisServer, down: float) -> Action:
    """Return the fault that kills a Redis server and starts it again."""

    async def kill() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(down)
        await asyncio.to_thread(server.start)

    return kill


def _freeze(find: Callable[[], RedisServer], seconds: float) -> Action:
    """Return the fault that stops a Redis server for a while."""

    async def freeze() -> None:
        server = await asyncio.to_thread(find)
        await Frozen("redis", server.pid).freeze(seconds)

    return freeze


def _fail_over(find: Callable[[], RedisServer], is_well: Callable[[], bool]) -> Action:
    """Return the fault that kills a master until another one has its place."""

    async def fail_over() -> None:
        master = await asyncio.to_thread(find)
        await _kill(master, _FAILOVER_SECONDS)()
        # The next one must not die before this one has what was written meanwhile.
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(is_well):  # noqa: ASYNC110 - processes
                await asyncio.sleep(0.2)

    return fail_over


# -- scenarios ------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def sqlite(directory: Path) -> AsyncIterator[Deployment]:
    """One server on a file, killed and stopped."""
    prefix, steps = _fake_clock(directory)
    store = f"sqlite:///{directory}/zaqar.db"
    async with servers(directory, store, 1, prefix) as (urls, (process,)):
        yield Deployment(
            urls,
            [
                *(("kill", process.kill), ("kill", process.kill)),
                *(("stop", process.freeze), *steps),
            ],
        )


@contextlib.asynccontextmanager
async def _on_redis(
    directory: Path, *settings: str, kill_redis: bool
) -> AsyncIterator[Deployment]:
    redis = RedisServer(directory / "redis", *settings)
    await asyncio.to_thread(redis.start)
    try:
        prefix, steps = _fake_clock(directory)
        async with servers(directory, redis.uri, 2, prefix) as (urls, processes):
            actions: list[tuple[str, Action]] = [
                (f"{what} {one.name}", deed)
                for one in processes
                for what, deed in (("kill", one.kill), ("stop", one.freeze))
            ] + steps
            if kill_redis:
                actions = [
                    ("kill Redis", _kill(redis, 0.5)),
                    ("freeze Redis", _freeze(lambda: redis, 3.0)),
                ]
            yield Deployment(urls, actions)
    finally:
        await asyncio.to_thread(redis.kill)


def two_servers(directory: Path) -> Any:
    """Two servers on one Redis; either is killed or stopped."""
    return _on_redis(directory, *ALWAYS, kill_redis=False)


def redis_killed(directory: Path) -> Any:
    """Two servers on one Redis that flushes each change, and is killed itself."""
    return _on_redis(directory, *ALWAYS, kill_redis=True)


def redis_snapshots(directory: Path) -> Any:
    """The same with snapshots only: what came after the last one is lost."""
    return _on_redis(directory, "--save", "1", "1", kill_redis=True)


def redis_everysec(directory: Path) -> Any:
    """The same with a flush each second: a killed process loses nothing of it."""
    settings = ("--appendonly", "yes", "--appendfsync", "everysec")
    return _on_redis(directory, *settings, kill_redis=True)


@contextlib.asynccontextmanager
async def answers_lost(directory: Path) -> AsyncIterator[Deployment]:
    """Two servers on one Redis, of which requests arrive and answers get lost."""
    redis = RedisServer(directory / "redis", *ALWAYS)
    await asyncio.to_thread(redis.start)
    port = free_port()
    proxy = Proxy("redis", port, ("127.0.0.1", redis.port))
    try:
        await proxy.start()
        store = f"redis://127.0.0.1:{port}"
        async with servers(directory, store, 2) as (urls, processes):
            actions: list[tuple[str, Action]] = [
                *(("lose answers", proxy.lose_answers),) * 4,
                ("cut the network", proxy.partition),
                *((f"kill {one.name}", one.kill) for one in processes),
            ]
            yield Deployment(urls, actions)
    finally:
        await proxy.end()
        await asyncio.to_thread(redis.kill)


@contextlib.asynccontextmanager
async def _on_cluster(directory: Path, options: str) -> AsyncIterator[Deployment]:
    cluster = RedisCluster(directory, *ALWAYS)
    await asyncio.to_thread(cluster.start)
    try:
        async with servers(directory, cluster.uri + options, 2) as (urls, _):

            def is_well() -> bool:
                return len(cluster.masters()) == 3 and cluster.is_well()

            action = _fail_over(lambda: cluster.masters()[0], is_well)
            actions: list[tuple[str, Action]] = [("kill a master", action)]
            for seconds in _FREEZES:
                frozen = _freeze(lambda: cluster.masters()[0], seconds)
                actions.append((f"freeze a master for {seconds:g} s", frozen))
            yield Deployment(urls, actions)
    finally:
        await asyncio.to_thread(cluster.stop)


@contextlib.asynccontextmanager
async def _on_sentinels(
    directory: Path, options: str, *, freeze: bool = False
) -> AsyncIterator[Deployment]:
    group = RedisSentinels(directory, *ALWAYS)
    await asyncio.to_thread(group.start)
    try:
        async with servers(directory, group.uri + options, 2) as (urls, _):

            def is_well() -> bool:
                info = group.master().ask("INFO", "replication") or b""
                return info.count(b"state=online") == 2

            action = _fail_over(group.master, is_well)
            actions: list[tuple[str, Action]] = [("kill the master", action)]
            if freeze:
                actions = [
                    (f"freeze the master for {one:g} s", _freeze(group.master, one))
                    for one in _FREEZES
                ]
            yield Deployment(urls, actions)
    finally:
        await asyncio.to_thread(group.stop)


def cluster(directory: Path) -> Any:
    """A cluster whose masters are killed; a replica confirms each change."""
    return _on_cluster(directory, WAIT)


def sentinels(directory: Path) -> Any:
    """A master behind Sentinels is killed; a replica confirms each change."""
    return _on_sentinels(directory, WAIT)


def sentinels_frozen(directory: Path) -> Any:
    """A master behind Sentinels stands still; both replicas confirm each change."""
    return _on_sentinels(directory, WAIT_BOTH, freeze=True)


def sentinels_unconfirmed(directory: Path) -> Any:
    """The same without confirmation: what the replicas lack is lost."""
    return _on_sentinels(directory, "")


@dataclass(frozen=True)
class Scenario:
    """A deployment to break.

    Attributes:
        deploy: Runs it.
        every: Seconds between two faults.
        may_lose: Whether acknowledged messages may be lost with it.
    """

    deploy: Deploy
    every: float
    may_lose: bool = False


SCENARIOS = {
    "sqlite": Scenario(sqlite, 3.0),
    "two-servers": Scenario(two_servers, 3.0),
    "redis-killed": Scenario(redis_killed, 4.0),
    "answers-lost": Scenario(answers_lost, 2.0),
    "cluster": Scenario(cluster, 4.0),
    "sentinels": Scenario(sentinels, 4.0),
    "sentinels-frozen": Scenario(sentinels_frozen, 8.0),
    "redis-everysec": Scenario(redis_everysec, 4.0, may_lose=True),
    "redis-snapshots": Scenario(redis_snapshots, 4.0, may_lose=True),
    "sentinels-unconfirmed": Scenario(sentinels_unconfirmed, 4.0, may_lose=True),
}


# -- running them ---------------------------------------------------------------------


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)


async def _answers(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.closing(writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 300")


async def run(
    scenario: Scenario, directory: Path, seconds: float, rate: float
) -> tuple[History, list[Finding], Clients]:
    """Run a scenario; return what was seen and found."""
    history = History(_BATCH)
    subscribers = Subscribers(history)
    async with subscribers.listening(), scenario.deploy(directory) as deployment:
        plan = Plan(
            endpoints=deployment.endpoints,
            headers={"X-Project-ID": "torture"},
            queues=[f"torture-{number}" for number in range(6)],
            rate=rate,
            batch=_BATCH,
        )
        for url in plan.endpoints:
            await _until(functools.partial(_answers, url))
        clients = Clients(plan, history)
        if not scenario.may_lose:
            # Of one queue messages are deleted, of the other they are not.
            for queue in plan.queues[:2]:
                await subscribers.subscribe(clients, queue, _WEBHOOKS)
        faults = Faults(deployment.actions, scenario.every, history.faults.append)
        breaking = asyncio.create_task(faults.run())
        try:
            await clients.run(seconds)
        finally:
            faults.end()
            await breaking
        await clients.look()
        await subscribers.finish()
    return history, history.findings(), clients


def report(name: str, history: History, findings: list[Finding]) -> dict[str, Any]:
    """Return a scenario's figures."""
    counts = Counter(finding.promise for finding in findings)
    windows = [one.window for one in findings if one.window is not None]
    return {
        "scenario": name,
        "accepted": len(history.accepted),
        "claimed": len(history.held),
        "deleted": sum(one.done is not None for one in history.deleted),
        "notified": sum(map(len, history.heard.values())),
        "faults": len(history.faults),
        **{promise: counts[promise] for promise in PROMISES},
        "loss_window": max(windows, default=None),
    }


def main() -> int:
    """Run the scenarios; return 1 if one broke a promise that it has to keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="each (20)")
    parser.add_argument("--rate", type=float, default=20.0, help="posts/s a producer")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    good = True
    for name in args.only:
        scenario = SCENARIOS[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="zaqar-torture-") as directory:
            history, findings, clients = asyncio.run(
                run(scenario, Path(directory), args.seconds, args.rate)
            )
        figures = report(name, history, findings)
        broken = [one for one in findings if not scenario.may_lose]
        good = good and not broken and bool(history.accepted)
        if args.json:
            print(json.dumps(figures), flush=True)
        else:
            print(f"{name}: {', '.join(clients.progress())}")
            rest = {key: figures[key] for key in ("notified", *PROMISES, "loss_window")}
            print(f"  {rest}  ({time.monotonic() - began:.0f} s)", flush=True)
        for finding in findings[:10]:
            print(f"  {finding.promise}: {finding.queue} {finding.id}: {finding.text}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
