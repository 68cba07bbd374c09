"""Queues that leave and arrive: races between servers, and what is large or full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis_service import RedisServer
from zaqarserver.errors import QueueMoving, Unavailable
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import DeadLetter, NewMessage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    MessagePost,
    QueueCount,
    QueueGet,
)
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    QueueDrop,
    QueueImport,
    QueueOpen,
    QueueRecord,
    QueueSeal,
    Record,
    Seal,
    SealKind,
    SealList,
    SubscriptionRecord,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.subscriptions import (
    Post,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionList,
)
from zaqarserver.storage.testing.moving import AWAY, MOVED, MovingBench
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


@pytest.fixture
async def two(uri: str, make_storage: Make) -> tuple[RedisStorage, RedisStorage]:
    """Two servers with one store; they do nothing by themselves."""
    one, other = make_storage(uri), make_storage(uri)
    for storage in (one, other):
        await storage.open()
        for chore in storage._chores:
            chore.cancel()
    return one, other


Two = tuple[RedisStorage, RedisStorage]


def before(
    storage: RedisStorage, script: str, action: Callable[[], Any], times: int = 1
) -> None:
    """Do something whenever a server is about to run a script, at most so often."""
    run = storage._store.client.run
    left = times

    async def run_later(one: str, keys: Any, *args: Any, **name: Any) -> Any:
        nonlocal left
        if one == script and left > 0:
            left -= 1
            await action()
        return await run(one, keys, *args, **name)

    storage._store.client.run = run_later  # type: ignore[method-assign]


# -- seals ------------------------------------------------------------------------


async def test_a_seal_is_listed_whoever_tidies_the_list_meanwhile(two: Two) -> None:
    slow, other = two

    async def tidy() -> None:
        assert await other.do(SealList(marker=None, limit=10)) == []

    await Bench.on(slow).post(b"1")
    before(slow, "seal", tidy, times=3)
    assert await slow.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
    sealed = [Seal(PROJECT, QUEUE, MOVED, SealKind.LEAVING)]
    assert await other.do(SealList(marker=None, limit=10)) == sealed
    assert await slow.do(QueueOpen(PROJECT, QUEUE, 3, 1))
    await slow._store.finish_leftovers()
    assert await other._store.client.do("ZCARD", other._store.keyspace.seals) == 0


async def test_a_late_step_cannot_take_a_queue_that_came_back(two: Two) -> None:
    """Its mover was slow; others have moved the queue away and back since."""
    one, _ = two
    ids = await Bench.on(one).post(b"1")
    await MovingBench.on(one).moved(5)
    await MovingBench.on(one).move((AWAY, QUEUE), (PROJECT, QUEUE), 6)
    assert not await one.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 4, NOW))
    assert not await one.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 6, NOW))
    assert await one.do(QueueOpen(PROJECT, QUEUE, 6, 6))
    assert ids_of(await Bench.on(one).everything()) == ids


async def test_a_queue_that_has_left_leaves_next_to_nothing(
    two: Two, uri: str, redis_server: RedisServer
) -> None:
    one, _ = two
    await Bench.on(one).post(b"1", b"2")
    await MovingBench.on(one).moved()
    await Bench.on(one).sweep_all(NOW + REMEMBERED_SECONDS - 1)
    with pytest.raises(QueueMoving):
        await one.do(QueueGet(PROJECT, QUEUE))
    await Bench.on(one).sweep_all(NOW + REMEMBERED_SECONDS)
    assert await one.do(QueueGet(PROJECT, QUEUE)) is None
    await one._store.finish_leftovers()
    await one.do(UsageGet(PROJECT, NOW))
    prefix = uri.partition("prefix=")[2]
    keys = redis_server.ask("KEYS", f"{prefix}:{{{PROJECT}:*") or b""
    left = [line for line in keys.split(b"\r\n") if line.startswith(prefix.encode())]
    assert left
    assert all(redis_server.ask("TTL", key.decode()) != b":-1\r\n" for key in left)


async def test_what_arrives_is_swept_when_it_is_there(two: Two) -> None:
    one, other = two
    await Bench.on(one).post(b"short", ttl=60)
    await Bench.on(one).post(b"long")
    assert await one.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
    records = await MovingBench.on(one).exported()
    assert await one.do(QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, MOVED, NOW))
    await one.do(QueueImport(AWAY, QUEUE, MOVED, records))
    assert await Bench.on(other).sweep_all(NOW + 60) == 1  # of the old copy
    assert await one.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
    assert await one.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
    assert await Bench.on(other).sweep_all(NOW + 60) == 1
    assert (await other.do(UsageGet(AWAY, NOW + 60))).messages == 1
    assert bodies(await Bench.on(other).everything(project=AWAY, now=NOW + 60)) == [
        b"long"
    ]


# -- dead letters -----------------------------------------------------------------

DEAD = DeadLetter("dead", 1)


async def send_two(storage: RedisStorage) -> None:
    """Let two messages go to the dead letter queue."""
    await Bench.on(storage).post(b"1", b"2")
    held = await Bench.on(storage).claim()
    await storage.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
    await storage.do(
        ClaimCreate(
            PROJECT, QUEUE, ttl=60, grace=60, limit=10, now=NOW, dead_letter=DEAD
        )
    )


async def test_what_is_on_its_way_arrives_before_its_queue_is_exported(
    two: Two,
) -> None:
    dying, other = two

    async def die() -> None:
        raise Unavailable("it died")

    before(dying, "moves", die)
    await send_two(dying)
    assert await other.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
    assert [type(one) for one in await MovingBench.on(other).exported()] == [
        QueueRecord
    ]
    assert bodies(await Bench.on(other).everything(queue="dead")) == [b"1", b"2"]


async def test_what_cannot_arrive_goes_back_and_is_counted_as_before(
    two: Two,
) -> None:
    one, _ = two
    await Bench.on(one).post(b"old", queue="dead")
    assert await one.do(QueueSeal(PROJECT, "dead", SealKind.LEAVING, MOVED, NOW))
    with pytest.raises(QueueMoving):
        await send_two(one)
    found = await Bench.on(one).everything()
    assert bodies(found) == [b"1", b"2"]
    assert [message.claim_count for message in found] == [1, 1]
    assert (await one.do(UsageGet(PROJECT, NOW))).messages == 3
    assert await one.do(QueueOpen(PROJECT, "dead", 3, 1))
    assert (
        await one.do(
            ClaimCreate(
                PROJECT, QUEUE, ttl=60, grace=60, limit=10, now=NOW, dead_letter=DEAD
            )
        )
        is None
    )
    assert await Bench.on(one).everything() == []
    there = await Bench.on(one).everything(queue="dead")
    assert sorted(bodies(there)) == [b"1", b"2", b"old"]


async def test_who_is_late_with_a_dead_letter_does_not_double_it(two: Two) -> None:
    """It has arrived; then its queue is sealed, and a slow server brings it again."""
    slow, other = two

    async def overtake() -> None:
        await Bench.on(other).sweep_all(NOW)
        assert await other.do(QueueSeal(PROJECT, "dead", SealKind.LEAVING, MOVED, NOW))

    before(slow, "put", overtake)
    await send_two(slow)
    assert await Bench.on(other).everything() == []
    assert await other.do(QueueOpen(PROJECT, "dead", 3, 1))
    assert bodies(await Bench.on(other).everything(queue="dead")) == [b"1", b"2"]


# -- large, full, connected ---------------------------------------------------------


async def test_a_queue_with_many_subscriptions_is_opened_whole(two: Two) -> None:
    one, _ = two
    many = 2500
    records: list[Record] = [
        SubscriptionRecord(
            id=f"{number:030x}",
            subscriber=f"http://h{number}/",
            ttl=600,
            created=NOW,
            expires=NOW + 600,
            options="{}",
            confirmed=True,
            volatile=False,
            due=None,
            cursor=7,
            position=0,
            attempt=0,
        )
        for number in range(many)
    ]
    assert await one.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, MOVED, NOW))
    await one.do(QueueImport(PROJECT, QUEUE, MOVED, [QueueRecord("{}"), *records]))
    assert (await one.do(UsageGet(PROJECT, NOW))).subscriptions == 0
    assert await one.do(QueueOpen(PROJECT, QUEUE, MOVED, MOVED))
    assert (await one.do(UsageGet(PROJECT, NOW))).subscriptions == many
    assert await Bench.on(one).take() == []
    await Bench.on(one).post(b"1")
    heard = []
    while taken := await Bench.on(one).take():
        heard += [delivery.subscription.id for delivery in taken]
    assert sorted(heard) == [record.id for record in records if hasattr(record, "id")]


async def test_a_websocket_hears_of_posts_wherever_its_queue_is(two: Two) -> None:
    one, other = two
    heard: list[Post] = []
    other.watch(heard.append, lambda: None)
    await other.close()
    await other.open()
    made, _ = await other.do(
        SubscriptionCreate(
            PROJECT,
            QUEUE,
            subscriber="websocket",
            ttl=600,
            options={},
            now=NOW,
            volatile=True,
        )
    )
    await MovingBench.on(one).moved()
    await one.do(MessagePost(AWAY, QUEUE, "c", [NewMessage(b"1", 60)], NOW))
    # An own post is heard after all before it.
    await other.do(
        SubscriptionCreate(
            PROJECT, "o", subscriber="w", ttl=600, options={}, now=NOW, volatile=True
        )
    )
    await Bench.on(other).post(b"2", queue="o")
    assert (heard[0].space, heard[0].subscriptions) == (AWAY, [made.id])
    # Whoever moved it may end: the connection is not its.
    await one.close()
    await other.do(MessagePost(AWAY, QUEUE, "c", [NewMessage(b"3", 60)], NOW))
    assert heard[-1].messages[0].body == b"3"
    await other.do(SubscriptionDelete(AWAY, QUEUE, made.id))
    assert (
        await other.do(SubscriptionList(AWAY, QUEUE, marker=None, limit=9, now=NOW))
        == []
    )


async def test_a_queue_can_leave_a_store_that_is_full(
    own_server: RedisServer, uri: str, make_storage: Make
) -> None:
    full, target = make_storage(own_server.uri), make_storage(uri)
    await full.open()
    await target.open()
    ids = await Bench.on(full).post(*[b"x" * 1000] * 200)
    await Bench.on(full).claim()
    own_server.ask("CONFIG", "SET", "maxmemory", "100000")
    with pytest.raises(Unavailable):
        await Bench.on(full).post(b"y")
    assert await full.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
    assert await target.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, MOVED, NOW))
    records = await MovingBench.on(full).exported(PROJECT, limit=100)
    await target.do(QueueImport(PROJECT, QUEUE, MOVED, records))
    assert await target.do(QueueOpen(PROJECT, QUEUE, MOVED, MOVED))
    assert await full.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
    assert ids_of(await Bench.on(target).everything()) == ids
    await full._store.finish_leftovers()
    assert await full.do(QueueCount(PROJECT)) == 0
