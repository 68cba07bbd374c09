"""Server processes with pools on Redis, while clients go on."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_service import RedisServer

from ..several.test_workers import Workers  # noqa: TID252 - tests are not installed
from .test_api import OPTIONS, Caller
from .test_drain import QUEUES, Load, check_nothing_lost, drained, fill


class MixedCaller(Caller):
    """Calls a server whose pools are on Redis, but for those named after SQLite."""

    def __init__(self, port: int, directory: Path, server: RedisServer) -> None:
        super().__init__(port, directory)
        self._redis = f"{server.uri}?prefix={uuid.uuid4().hex}"

    def uri(self, name: str) -> str:
        return super().uri(name) if name == "sqlite" else f"{self._redis}{name}"


def wait_for_load(load: Load, count: int) -> None:
    """Wait until so many messages more have been posted."""
    wanted, end = len(load.posted) + count, time.monotonic() + 20
    while len(load.posted) < wanted:
        assert time.monotonic() < end, "nothing can be posted"
        threading.Event().wait(0.01)  # other threads post


def test_queues_go_from_sqlite_to_redis_and_back_while_clients_go_on(
    server_factory: Callable[..., Any], tmp_path: Path, redis_server: RedisServer
) -> None:
    """The catalogue is on SQLite; the server is killed on both ways."""
    process = server_factory(options=OPTIONS)
    call = MixedCaller(process.port, tmp_path, redis_server)
    assert call.pool("sqlite").status == 201
    fill(call)
    with Load(call) as load:
        wait_for_load(load, 60)
        for source, target in (("sqlite", "redis"), ("redis", "sqlite")):
            assert call.pool(target).status in (201, 204)
            call("POST", f"/pools/{source}/drain?wait=0")
            # Somewhere in the middle; where does not matter.
            threading.Event().wait(0.02)
            process.kill()
            process.start()
            drained(call, source)
            wait_for_load(load, 30)
    check_nothing_lost(call, load)
    assert call("DELETE", "/pools/redis").status == 204
    process.stop()


@pytest.fixture
def workers(redis_server: RedisServer, tmp_path: Path) -> Iterator[Workers]:
    """Two processes on one port that share a catalogue on Redis."""
    home = f"{redis_server.uri}?prefix={uuid.uuid4().hex}"
    made = Workers(tmp_path, home, OPTIONS)
    yield made
    assert made.stop() == 0, made.log.read_text()


def test_workers_follow_each_other_while_pools_come_and_go(
    workers: Workers, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Each asks whichever process answers; one of them is killed in the middle."""
    call = MixedCaller(workers.port, tmp_path, redis_server)
    assert call.pool("a").status == 201
    fill(call)
    with Load(call) as load:
        wait_for_load(load, 60)
        assert call.pool("b").status == 201
        call("POST", "/pools/a/drain?wait=0")
        os.kill(min(workers.pids), signal.SIGKILL)
        drained(call, "a")
        assert call("DELETE", "/pools/a").status == 204
        wait_for_load(load, 60)
    check_nothing_lost(call, load)
    # Both processes know what has become of the pools.
    for number in range(12):
        assert call("GET", "/pools/a").status == 404
        assert call("PUT", f"/queues/new{number}").status == 201
    for number in range(12):
        assert call("GET", f"/queues/new{number}").status == 200
    listed = {queue["name"] for queue in call("GET", "/queues?limit=20").json["queues"]}
    assert listed == {*QUEUES, *(f"new{number}" for number in range(12))}
    assert "18 queues" in call("DELETE", "/pools/b").json["description"]
