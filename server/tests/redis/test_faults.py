"""What the store does to the driver: away, silent, full, restarted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis_service import RedisServer
from zaqarserver.errors import ClaimNotFound, OutcomeUnknown, StoreRefused, Unavailable
from zaqarserver.storage.base import Durability, NewMessage
from zaqarserver.storage.commands import (
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessagePop,
    MessagePost,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]

#: Gives up soon, so that tests are quick.
HASTY = "?retry=0.1&timeout=0.3&wait_timeout=0.01"


async def test_what_was_acknowledged_is_there_after_a_crash(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    ids = await Bench.on(storage).post(b"1", b"2", b"3")
    held = await Bench.on(storage).claim(limit=1)
    own_server.kill()
    own_server.start()
    assert ids_of(await Bench.on(storage).everything()) == ids
    kept = await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
    assert ids_of(kept.messages) == ids[:1]
    (fresh,) = await Bench.on(storage).post(b"4")
    assert fresh > ids[-1]


async def test_a_store_that_is_away_is_unavailable_soon_and_comes_back_by_itself(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri + HASTY)
    await storage.open()
    await Bench.on(storage).post_one()
    own_server.kill()
    for _ in range(100):  # until the loop has heard of it
        await asyncio.sleep(0)
    begun = time.monotonic()
    for ask in (
        lambda: Bench.on(storage).post_one(),
        lambda: storage.do(QueueGet(PROJECT, QUEUE)),
        lambda: storage.do(QueueStatsGet(PROJECT, QUEUE, NOW)),
        lambda: storage.sweep(NOW),
        storage.ping,
    ):
        with pytest.raises(Unavailable) as caught:
            await ask()
        assert type(caught.value) is Unavailable  # none of them was executed
        assert caught.value.retry_after == 1
    assert time.monotonic() - begun < 5
    own_server.start()
    await storage.ping()
    assert len(await Bench.on(storage).everything()) == 1


async def test_a_short_absence_is_not_noticed(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri + "?retry=20")
    await storage.open()
    own_server.kill()
    asked = asyncio.create_task(Bench.on(storage).post_one())
    await asyncio.to_thread(own_server.start)
    message_id = await asked
    assert ids_of(await Bench.on(storage).everything()) == [message_id]


async def test_a_store_that_is_silent_is_given_up_and_nothing_is_sent_twice(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri + HASTY)
    await storage.open()
    await Bench.on(storage).post(b"before")
    own_server.pause()
    with pytest.raises(OutcomeUnknown, match="no answer within"):
        await Bench.on(storage).post(b"in the silence")
    own_server.go_on()
    await storage.ping()
    stored = bodies(await Bench.on(storage).everything())
    assert stored.count(b"in the silence") <= 1


async def test_answers_that_nobody_waits_for_go_to_nobody_else(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    own_server.pause()
    tasks = [asyncio.create_task(Bench.on(storage).post(b"%d" % n)) for n in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.sleep(0)
    own_server.go_on()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    stored = {
        message.id: message.body for message in await Bench.on(storage).everything()
    }
    for number in range(1, 10, 2):
        (message_id,) = answers[number]
        assert stored[message_id] == b"%d" % number


async def test_connections_that_were_cut_while_idle_are_made_anew(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    await Bench.on(storage).post_one()
    own_server.ask("CLIENT", "KILL", "TYPE", "normal")
    for _ in range(100):  # until the loop has heard of it
        await asyncio.sleep(0)
    assert len(await Bench.on(storage).everything()) == 1


async def test_scripts_that_the_server_forgot_are_sent_again(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    own_server.ask("SCRIPT", "FLUSH")
    posted = await asyncio.gather(
        *(Bench.on(storage).post(b"%d" % n) for n in range(5))
    )
    assert len(await Bench.on(storage).everything()) == len(posted)


async def test_out_of_memory_refuses_posts_and_lets_consumers_drain(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    ids = await Bench.on(storage).post(*[b"x"] * 6)
    own_server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unavailable, match="out of memory") as caught:
        await Bench.on(storage).post_one()
    assert caught.value.retry_after > 1
    held = await Bench.on(storage).claim(limit=3, ttl=900)
    assert ids_of(held.messages) == ids[:3]
    await storage.do(
        ClaimUpdate(PROJECT, QUEUE, held.id, ttl=60, grace=60, now=NOW + 1)
    )
    await storage.do(MessageDelete(PROJECT, QUEUE, ids[0], held.id, NOW + 1))
    await storage.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW + 1))
    with pytest.raises(ClaimNotFound):
        await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW + 1))
    popped = await storage.do(MessagePop(PROJECT, QUEUE, 2, NOW + 1))
    assert ids_of(popped) == ids[1:3]
    await storage.do(MessageDeleteMany(PROJECT, QUEUE, ids[3:5], None, NOW + 1))
    own_server.ask("CONFIG", "SET", "maxmemory", "0")
    assert ids_of(await Bench.on(storage).everything(now=NOW + 1)) == ids[5:]
    stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW + 1))
    assert (stats.free, stats.claimed) == (1, 0)


async def test_a_server_that_becomes_a_replica_takes_nothing(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri + HASTY)
    await storage.open()
    await Bench.on(storage).post(b"before")
    own_server.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(Unavailable, match="READONLY"):
        await Bench.on(storage).post(b"refused")
    own_server.ask("REPLICAOF", "NO", "ONE")
    await Bench.on(storage).post(b"after")
    assert bodies(await Bench.on(storage).everything()) == [b"before", b"after"]


async def test_a_store_that_cannot_be_reached_cannot_be_opened_and_can_later(
    own_server: RedisServer, make_storage: Make
) -> None:
    own_server.kill()
    storage = make_storage(own_server.uri + HASTY)
    with pytest.raises(Unavailable, match="cannot connect"):
        await storage.open()
    own_server.start()
    await storage.open()
    await storage.ping()


@pytest.mark.parametrize(
    ("login", "why"), [("", "NOAUTH"), (":wrong@", "invalid|WRONGPASS")]
)
async def test_a_wrong_password_is_said_and_not_shown(
    own_server: RedisServer, make_storage: Make, login: str, why: str
) -> None:
    own_server.ask("CONFIG", "SET", "requirepass", "s3cret")
    uri = f"redis://{login}127.0.0.1:{own_server.port}{HASTY}"
    with pytest.raises(Unavailable, match=why) as caught:
        await make_storage(uri).open()
    assert "wrong" not in str(caught.value)
    right = make_storage(uri.replace(login or "//", "//:s3cret@"[2 * bool(login) :]))
    await right.open()
    await right.ping()


async def test_the_rights_that_the_guide_gives_are_enough(
    own_server: RedisServer, make_storage: Make
) -> None:
    guide = Path(__file__).parents[3] / "doc/source/admin/redis.rst"
    _, _, text = guide.read_text().partition("ACL SETUSER ")
    rights, _, _ = text.partition("\n\n")
    words = rights.replace("\\\n", " ").replace("'", "").split()
    answer = own_server.ask("ACL", "SETUSER", *words)
    assert answer == b"+OK\r\n"
    storage = make_storage(f"redis://zaqar:PASSWORD@127.0.0.1:{own_server.port}")
    await storage.open()
    assert storage.durability is Durability.POWER_LOSS
    await Bench.on(storage).post_one()
    assert len(await Bench.on(storage).everything()) == 1


async def test_memory_that_is_freed_by_force_is_refused(
    own_server: RedisServer, make_storage: Make
) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreRefused, match="noeviction"):
        await make_storage(own_server.uri).open()


async def test_a_socket_in_the_file_system_will_do(
    tmp_path: Path, make_storage: Make
) -> None:
    path = tmp_path / "s"
    server = RedisServer(
        tmp_path / "redis", "--unixsocket", str(path), "--appendonly", "yes"
    )
    server.start()
    try:
        storage = make_storage(f"redis://{path}?database=3")
        await storage.open()
        await storage.do(MessagePost("p", "q", "c", [NewMessage(b"1", 60)], NOW))
        assert len(await Bench.on(storage).everything(project="p", queue="q")) == 1
        assert b"db3:" in (server.ask("INFO", "keyspace") or b"")
        await storage.close()
    finally:
        server.kill()
