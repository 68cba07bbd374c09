"""Whole deployments to measure: servers, their store, and Keystone."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cases import Case
from machine import resident_bytes
from process import children, cpu_seconds, running_server
from traffic import LoadError

# What the tests start, too; it is in no distribution.
sys.path.append(str(Path(__file__).parents[1] / "testing"))

import keystone_template
from keystone_service import Keystone
from redis_service import RedisServer, find_program

__all__ = ["Deployment", "RedisServer", "deployed", "find_program"]


@dataclass
class Deployment:
    """What serves a case.

    Attributes:
        url: The server's.
        headers: Who asks.
        pids: The processes by part: ``server``, ``redis``, ``keystone``.
        home: Where the files of an SQLite store are.
        redis: The Redis server.
    """

    url: str
    headers: Mapping[str, str]
    pids: Mapping[str, list[int]]
    home: Path
    redis: RedisServer | None = None

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that each part has used so far."""
        return {
            part: sum(cpu_seconds(pid) for pid in pids)
            for part, pids in self.pids.items()
        }

    def workers_cpu(self) -> list[float]:
        """Return the CPU seconds of each server process."""
        return [cpu_seconds(pid) for pid in self.pids["server"]]

    def sizes(self) -> dict[str, int]:
        """Return how many bytes the store and the server have by now.

        ``memory`` is that of Redis, ``disk`` that of its log, or of SQLite's file
        without its log, which has a bound; ``server`` is the largest server
        process's memory.
        """
        server = max(resident_bytes(pid) for pid in self.pids["server"])
        if self.redis is None:
            return {"server": server, "disk": (self.home / "store.db").stat().st_size}
        told = self.redis.ask("INFO") or b""
        lines = (line.split(":", 1) for line in told.decode().splitlines())
        facts = dict(pair for pair in lines if len(pair) == 2)
        return {
            "server": server,
            "memory": int(facts["used_memory"]),
            "disk": int(facts.get("aof_current_size", 0)),
        }


def _redis_settings(store: str) -> list[str]:
    fsync = store.removeprefix("redis-")
    if fsync == "none":
        return []
    # Rewriting the log now and then is not what a request costs.
    return [
        *("--appendonly", "yes", "--appendfsync", fsync),
        *("--auto-aof-rewrite-percentage", "0"),
    ]


@contextlib.contextmanager
def _redis(case: Case, home: Path) -> Iterator[RedisServer | None]:
    if not case.store.startswith("redis"):
        yield None
        return
    server = RedisServer(home / "redis", *_redis_settings(case.store))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def _keystone(case: Case, home: Path) -> Iterator[Keystone | None]:
    if case.identity == "none":
        yield None
        return
    try:
        service = keystone_template.from_template(home / "keystone")
    except keystone_template.NoKeystone as error:
        raise LoadError(str(error)) from None
    service.start()
    service.publish(identity=service.url)
    try:
        yield service
    finally:
        service.stop()


def _settings(case: Case, keystone: Keystone | None) -> str:
    lines = []
    if case.store == "sqlite-normal":
        lines.append("synchronous = normal")
    lines.append("[DEFAULT]")
    if case.pooled:
        lines += ["pooling = true", "admin_mode = true"]
    text = "\n".join(lines) + "\n"
    if keystone is None:
        return text
    text += keystone.server_options()
    if case.identity == "uncached":
        text += "[keystone_authtoken]\ntoken_cache_time = 0\n"
    return text


def _register_pool(url: str, headers: Mapping[str, str], uri: str) -> None:
    """Let all queues go to one pool."""
    request = urllib.request.Request(  # noqa: S310 - our own server, by http
        f"{url}/v2/pools/only",
        json.dumps({"uri": uri, "weight": 100}).encode(),
        {**headers, "Content-Type": "application/json", "X-Roles": "admin"},
        method="PUT",
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        raise LoadError(f"the pool is refused: {error.read()[:300]!r}") from None


@contextlib.contextmanager
def deployed(case: Case, directory: str | None) -> Iterator[Deployment]:
    """Start what serves a case, on an empty store, and stop it in the end.

    Args:
        case: The case.
        directory: Where the stores go.

    Raises:
        LoadError: Something does not start.
    """
    with contextlib.ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="zaqar-bench-", dir=directory)
        home = Path(stack.enter_context(made))
        redis = stack.enter_context(_redis(case, home))
        keystone = stack.enter_context(_keystone(case, home))
        # Pools are databases of the same Redis, or files beside the first one.
        uri = redis.uri if redis else f"sqlite:///{home}/store.db"
        pool = f"{redis.uri}/1" if redis else f"sqlite:///{home}/pool-store.db"
        server = stack.enter_context(
            running_server(
                str(home),
                uri,
                workers=case.workers,
                settings=_settings(case, keystone),
            )
        )
        headers = {"Client-ID": str(uuid.uuid4()), "X-Project-ID": "benchmark"}
        if keystone is not None:
            headers = {
                "Client-ID": headers["Client-ID"],
                "X-Auth-Token": keystone.token("alice"),
            }
        if case.pooled:
            _register_pool(server.url, headers, pool)
        assert server.pid is not None  # noqa: S101 - for mypy: a server of ours
        pids = {"server": children(server.pid) or [server.pid]}
        if redis is not None:
            pids["redis"] = [redis.pid]
        if keystone is not None:
            pids["keystone"] = [keystone.pid]
        yield Deployment(server.url, headers, pids, home, redis)
