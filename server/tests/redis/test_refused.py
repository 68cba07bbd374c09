"""Redis answers, and takes no changes: full, its disk full, alone, a replica."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from answers import HEADERS
from ports import free_port
from redis_service import RedisServer
from warm import WarmProcess, start_server
from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.redis.registration import LIFE_MILLISECONDS, LOOKS
from zaqarserver.storage.subscriptions import DeliveryTake, SubscriptionCreate
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]
HASTY = "?retry=0.1"


def fill_memory(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "1")


def fill_disk(server: RedisServer) -> None:
    # A snapshot cannot replace a directory; Redis takes no changes then.
    (server.directory / "dump.rdb").mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    server.ask("BGSAVE")
    deadline = time.monotonic() + 20
    while b"rdb_last_bgsave_status:err" not in (server.ask("INFO") or b""):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # polling another process


def lose_replicas(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")


def be_replica(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")


def recover(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "0")
    server.ask("CONFIG", "SET", "save", "")
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    server.ask("REPLICAOF", "NO", "ONE")


STATES = pytest.mark.parametrize(
    "refuse", [fill_memory, fill_disk, lose_replicas, be_replica]
)


@STATES
async def test_a_server_starts_reads_and_answers_ping_where_nothing_can_be_written(
    own_server: RedisServer, make_storage: Make, refuse: Callable[[RedisServer], None]
) -> None:
    before = make_storage(own_server.uri + HASTY)
    await before.open()
    ids = await Bench.on(before).post(b"1", b"2")
    refuse(own_server)
    started = make_storage(own_server.uri + HASTY)
    await started.open()
    for storage in (before, started):
        await storage.ping()
        assert ids_of(await Bench.on(storage).everything()) == ids
        with pytest.raises(Unavailable):
            await Bench.on(storage).post(b"3")
    recover(own_server)
    await Bench.on(started).post(b"4")
    await started._store.registration.renew()
    assert await started._store.client.do(
        "SISMEMBER", started._store.keyspace.servers, started._store.registration.uid
    )


@STATES
async def test_nobody_is_taken_for_dead_for_what_the_store_refuses(
    own_server: RedisServer, make_storage: Make, refuse: Callable[[RedisServer], None]
) -> None:
    one, other = make_storage(own_server.uri), make_storage(own_server.uri)
    forgotten: list[bool] = []
    one.watch(lambda _post: None, lambda: None, lambda: forgotten.append(True))
    await one.open()
    await other.open()
    for storage in (one, other):
        for chore in storage._chores:
            chore.cancel()
    refuse(own_server)
    for _ in range(2 * LOOKS):
        for storage in (one, other):
            with contextlib.suppress(Unavailable):
                await storage._keep_registered()
    if refuse is fill_memory:
        left = await one._store.client.do(
            "PTTL", one._store.keyspace.server(one._store.registration.uid)[0]
        )
        assert left > LIFE_MILLISECONDS / 2, "it could be renewed"
    recover(own_server)
    for storage in (one, other):
        await storage._keep_registered()
    assert await one._store.client.do("SCARD", one._store.keyspace.servers) == 2
    assert not forgotten


async def test_a_server_hears_that_it_was_taken_for_dead(
    own_server: RedisServer, make_storage: Make
) -> None:
    one = make_storage(own_server.uri)
    forgotten: list[bool] = []
    one.watch(lambda _post: None, lambda: None, lambda: forgotten.append(True))
    await one.open()
    await one._store.registration.renew()
    assert not forgotten
    other = make_storage(own_server.uri)
    await other.open()
    await other._store.registration._remove(one._store.registration.uid)
    await one._store.registration.renew()
    assert forgotten == [True]


@STATES
async def test_notifications_go_on_when_the_store_takes_changes_again(
    own_server: RedisServer, make_storage: Make, refuse: Callable[[RedisServer], None]
) -> None:
    storage = make_storage(own_server.uri + HASTY)
    await storage.open()
    await storage.do(
        SubscriptionCreate(
            PROJECT, QUEUE, subscriber="http://x/", ttl=900, options={}, now=NOW
        )
    )
    (posted,) = await Bench.on(storage).post(b"1")
    refuse(own_server)

    async def take(now: float) -> list[str]:
        taken = await storage.do(
            DeliveryTake(now, limit=10, lease=10, confirmed_only=False)
        )
        return [message.id for one in taken for message in one.messages]

    try:
        meanwhile = await take(NOW)
    except Unavailable:
        meanwhile = []
    recover(own_server)
    later = await take(NOW + 60)
    assert later == [posted], (meanwhile, later)


@pytest.mark.parametrize("refuse", [fill_memory, fill_disk])
def test_a_process_starts_answers_ping_and_survives_sighup_where_nothing_is_written(
    own_server: RedisServer, tmp_path: Path, refuse: Callable[[RedisServer], None]
) -> None:
    refuse(own_server)
    port = free_port()
    config = tmp_path / "zaqarserver.conf"
    config.write_text(
        f"[DEFAULT]\nworkers = 2\n[server]\nport = {port}\n[websocket]\nport = 0\n"
        f"[storage]\nuri = {own_server.uri}\n"
    )
    log = tmp_path / "log"
    process = start_server(config, log)
    try:
        _until(lambda: "2 workers serve" in log.read_text(), process, log)
        assert answers_ping(port)
        process.send_signal(signal.SIGHUP)
        _until(lambda: "replaced all workers" in log.read_text(), process, log)
        _until(lambda: answers_ping(port), process, log)
    finally:
        process.terminate()
        assert process.wait(120) == 0


def _until(reached: Callable[[], bool], process: WarmProcess, log: Path) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)  # polling another process


def answers_ping(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/v2/ping"
        return requests.get(url, headers=HEADERS, timeout=5).status_code == 204
    except requests.ConnectionError:
        return False
