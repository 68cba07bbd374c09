"""A server dies between two steps: what it left is right, or put right by others.

Each test lets one step fail for good and looks through another server's eyes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis_service import RedisServer
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import DeadLetter
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    MessagePop,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueList,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.subscriptions import SubscriptionDelete
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


def fail_before(storage: RedisStorage, *broken: str) -> None:
    """Let a server die whenever it comes to one of these steps."""
    run = storage._store.client.run

    async def run_or_die(script: str, keys: Any, *args: Any, **name: Any) -> Any:
        if script in broken:
            raise Unavailable("it died")
        return await run(script, keys, *args, **name)

    storage._store.client.run = run_or_die  # type: ignore[method-assign]


async def names(storage: RedisStorage) -> list[str]:
    found = await storage.do(QueueList(PROJECT, marker=None, limit=10))
    return [queue.name for queue in found]


async def left_over(storage: RedisStorage) -> int:
    """Return how many names a project's list is unsure of."""
    _, pending = storage._store.keyspace.index(PROJECT)
    return int(await storage._store.client.do("HLEN", pending))


@pytest.fixture
async def two(uri: str, make_storage: Make) -> tuple[RedisStorage, RedisStorage]:
    """A server that dies, and another one."""
    dying, other = make_storage(uri), make_storage(uri)
    await dying.open()
    await other.open()
    return dying, other


Two = tuple[RedisStorage, RedisStorage]


async def test_a_queue_that_was_only_listed_does_not_exist(two: Two) -> None:
    dying, other = two
    fail_before(dying, "create")
    run = dying._store.client.run
    with pytest.raises(Unavailable):
        await dying.do(QueueCreate(PROJECT, QUEUE, {}))
    # It came as far as the list.
    index = dying._store.keyspace.index(PROJECT)
    await run("index_begin", index, QUEUE, "token", 1)
    await dying._store.sweeps.add(dying._store.keyspace.queue(PROJECT, QUEUE), b"0")
    assert await names(other) == []
    assert await other.do(QueueCount(PROJECT)) == 0
    await Bench.on(other).sweep_all(NOW)
    assert await left_over(other) == 0
    assert await other._store.client.do("ZCARD", index[0]) == 0
    assert await other.do(QueueCreate(PROJECT, QUEUE, {})) is True
    assert await names(other) == [QUEUE]


@pytest.mark.parametrize("making", [True, False])
async def test_a_list_that_is_not_sure_is_put_right(two: Two, making: bool) -> None:
    dying, other = two
    if not making:
        await other.do(QueueCreate(PROJECT, QUEUE, {}))
        await Bench.on(other).sweep_all(NOW)
    fail_before(dying, "index_end")
    if making:
        await dying.do(QueueCreate(PROJECT, QUEUE, {}))
    else:
        await dying.do(QueueDelete(PROJECT, QUEUE))
    await dying._store.finish_leftovers()
    expected = [QUEUE] if making else []
    assert await left_over(other) == 1
    assert await names(other) == expected
    assert await other.do(QueueCount(PROJECT)) == len(expected)
    await Bench.on(other).sweep_all(NOW)
    assert await left_over(other) == 0
    assert await names(other) == expected
    assert await other.do(QueueCount(PROJECT)) == len(expected)


async def test_a_slow_maker_of_a_queue_is_not_outrun_by_the_sweeper(
    two: Two,
) -> None:
    """The sweeper tidies the list between the two steps of a maker."""
    slow, other = two
    run = slow._store.client.run
    swept = 0

    async def run_slowly(script: str, keys: Any, *args: Any, **name: Any) -> Any:
        nonlocal swept
        if script == "create" and args[2] and swept < 3:
            swept += 1
            await Bench.on(other).sweep_all(NOW)
        return await run(script, keys, *args, **name)

    slow._store.client.run = run_slowly  # type: ignore[method-assign]
    assert await slow.do(QueueCreate(PROJECT, QUEUE, {})) is True
    assert swept == 3
    await slow._store.finish_leftovers()
    assert await names(other) == [QUEUE]
    await Bench.on(other).sweep_all(NOW)
    assert await names(other) == [QUEUE]
    assert await other.do(QueueCount(PROJECT)) == 1


async def test_what_was_posted_is_swept_whoever_posted_it(two: Two) -> None:
    dying, other = two
    await Bench.on(dying).post_one(ttl=60)
    assert await Bench.on(other).sweep_all(NOW) == 0
    # The sweeper dies after it has removed what is dead, before it says so.
    fail_before(dying, "schedule_move")
    with pytest.raises(Unavailable):
        await dying.sweep(NOW + 60)
    await Bench.on(other).post_one(ttl=60, now=NOW + 60)
    assert await Bench.on(other).sweep_all(NOW + 120) == 1
    assert (await other.do(UsageGet(PROJECT, NOW))).messages == 0


async def test_a_notice_is_found_whoever_left_it(two: Two) -> None:
    dying, other = two
    await Bench.on(other).subscribe()
    for turn in range(3):
        await Bench.on(dying).post(b"%d" % turn)
        (delivery,) = await Bench.on(other).take(now=NOW + turn)
        await Bench.on(other).done(delivery)
    fail_before(dying, "schedule_move")
    await Bench.on(other).post(b"last")
    # It takes the delivery and dies before it says until when.
    with pytest.raises(Unavailable):
        await Bench.on(dying).take(now=NOW + 3)
    assert await Bench.on(other).take(now=NOW + 4) == []
    (delivery,) = await Bench.on(other).take(now=NOW + 40)
    assert [one.body for one in delivery.messages] == [b"last"]


async def exhaust(storage: RedisStorage) -> DeadLetter:
    """Leave two messages in the queue that have had their last claim."""
    await Bench.on(storage).post(b"1", b"2", ttl=3600)
    held = await Bench.on(storage).claim()
    await storage.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
    return DeadLetter("dead", 1)


async def attempt(storage: RedisStorage, dead_letter: DeadLetter) -> None:
    await storage.do(
        ClaimCreate(
            PROJECT, QUEUE, ttl=60, grace=60, limit=10, now=NOW, dead_letter=dead_letter
        )
    )


@pytest.mark.parametrize("step", ["moves", "put", "moved"])
async def test_a_dead_letter_arrives_once_wherever_its_mover_dies(
    two: Two, step: str
) -> None:
    dying, other = two
    dead_letter = await exhaust(dying)
    ids = ids_of(await Bench.on(dying).everything())
    fail_before(dying, step)
    await attempt(dying, dead_letter)  # what is left is not this claim's business
    assert await Bench.on(other).everything() == []
    if step == "moved":
        # It has arrived and is consumed before anybody finishes the move.
        popped = await other.do(MessagePop(PROJECT, "dead", 1, NOW))
        assert bodies(popped) == [b"1"]
        ids = ids[1:]
    await Bench.on(other).sweep_all(NOW)
    assert ids_of(await Bench.on(other).everything(queue="dead")) == ids
    assert await Bench.on(other).everything() == []
    counted = await other.do(UsageGet(PROJECT, NOW))
    assert (counted.queues, counted.messages) == (2, len(ids))


async def test_a_queue_that_is_deleted_lets_its_dead_letters_go_on(two: Two) -> None:
    dying, other = two
    dead_letter = await exhaust(dying)
    fail_before(dying, "moves")
    await attempt(dying, dead_letter)  # what is left is not this claim's business
    await other.do(QueueDelete(PROJECT, QUEUE))
    await Bench.on(other).sweep_all(NOW)
    assert bodies(await Bench.on(other).everything(queue="dead")) == [b"1", b"2"]


async def test_a_store_that_is_emptied_leaves_next_to_nothing(
    uri: str, redis_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(uri)
    await storage.open()
    for number in range(5):
        queue = f"queue{number}"
        await Bench.on(storage).post(b"1", b"2", queue=queue, ttl=60)
        await Bench.on(storage).claim(queue=queue, limit=1, ttl=60)
        made = await Bench.on(storage).subscribe(source=queue)
        await Bench.on(storage).post(b"3", queue=queue, ttl=60)
        await storage.do(SubscriptionDelete(PROJECT, queue, made.id))
        await storage.do(QueueDelete(PROJECT, queue))
    await Bench.on(storage).take(now=NOW + 1000)
    await Bench.on(storage).sweep_all(NOW + 1000)
    await storage.do(UsageGet(PROJECT, NOW))
    await storage._store.finish_leftovers()
    await storage.close()
    prefix = uri.partition("prefix=")[2]
    keys = redis_server.ask("KEYS", f"{prefix}:*") or b""
    left = {line for line in keys.split(b"\r\n") if line.startswith(prefix.encode())}
    # The last numbers of deleted queues, for a day, and the project's sums.
    assert all(redis_server.ask("TTL", key.decode()) != b":-1\r\n" for key in left)
