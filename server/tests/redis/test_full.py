"""When the memory of Redis is full: what frees some goes on, what grows is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis_service import RedisServer
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import Grant, GrantAdd, UsageGet
from zaqarserver.storage.base import DeadLetter
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessagePop,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueUpdate,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionList,
    SubscriptionPurge,
)
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, ids_of

pytestmark = pytest.mark.anyio

LATER = NOW + 10**6


@pytest.fixture
async def storage(
    own_server: RedisServer, make_storage: Callable[[str], RedisStorage]
) -> AsyncIterator[RedisStorage]:
    """A store that has some of everything."""
    store = make_storage(own_server.uri)
    await store.open()
    await Bench.on(store).post(*[b"x" * 100] * 20)
    await Bench.on(store).post(b"1", ttl=60, delay=30)
    for number in range(3):
        await store.do(
            SubscriptionCreate(
                PROJECT,
                QUEUE,
                subscriber=f"http://{number}/",
                ttl=600,
                options={},
                now=NOW,
            )
        )
    await Bench.on(store).post(b"noticed")
    await store.do(QueueCreate(PROJECT, "other", {}))
    yield store
    own_server.ask("CONFIG", "SET", "maxmemory", "0")
    await store.close()


def fill(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "1")


async def consume(store: RedisStorage) -> None:
    while await store.do(
        ClaimCreate(PROJECT, QUEUE, ttl=60, grace=60, limit=5, now=NOW)
    ):
        pass


async def release(store: RedisStorage) -> None:
    held = await Bench.on(store).claim(limit=3)
    found = await store.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
    assert ids_of(found.messages) == ids_of(held.messages)
    await store.do(ClaimUpdate(PROJECT, QUEUE, held.id, ttl=90, grace=60, now=NOW))
    await store.do(MessageDelete(PROJECT, QUEUE, held.messages[0].id, held.id, NOW))
    await store.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
    assert len(await Bench.on(store).everything()) == 21


async def bury(store: RedisStorage) -> None:
    dead_letter = DeadLetter("other", 1, 600)
    for now in (NOW, NOW + 70, NOW + 140):
        await store.do(
            ClaimCreate(
                PROJECT,
                QUEUE,
                ttl=60,
                grace=0,
                limit=3,
                now=now,
                dead_letter=dead_letter,
            )
        )


async def pop(store: RedisStorage) -> None:
    while await store.do(MessagePop(PROJECT, QUEUE, 5, NOW, include_delayed=True)):
        pass
    assert await Bench.on(store).everything() == []


async def delete(store: RedisStorage) -> None:
    first, *rest = ids_of(await Bench.on(store).everything())
    await store.do(MessageDelete(PROJECT, QUEUE, first, None, NOW))
    await store.do(MessageDeleteMany(PROJECT, QUEUE, rest, None, NOW))
    assert await Bench.on(store).everything() == []


async def purge(store: RedisStorage) -> None:
    await store.do(MessagePurge(PROJECT, QUEUE))
    await store.do(SubscriptionPurge(PROJECT, QUEUE))
    assert await Bench.on(store).everything() == []


async def remove(store: RedisStorage) -> None:
    await store.do(QueueDelete(PROJECT, QUEUE))
    await store.do(QueueDelete(PROJECT, "other"))
    assert await store.do(QueueGet(PROJECT, QUEUE)) is None


async def expire(store: RedisStorage) -> None:
    assert await Bench.on(store).sweep_all(LATER) > 20


async def deliver(store: RedisStorage) -> None:
    for now in (NOW + 1, NOW + 100):  # the first ones fail, and are tried again
        taken = await store.do(
            DeliveryTake(now, limit=10, lease=60, confirmed_only=False)
        )
        for one in taken:
            failed = now == NOW + 1
            await store.do(
                DeliverySettle(
                    one.key,
                    position=int(not failed),
                    attempt=int(failed),
                    due=NOW + 50 if failed else None,
                )
            )
        assert len(taken) == 3
    assert await store.do(DeliveryDue(NOW + 300)) is None


async def unsubscribe(store: RedisStorage) -> None:
    while found := await store.do(
        SubscriptionList(PROJECT, QUEUE, marker=None, limit=1, now=NOW)
    ):
        await store.do(SubscriptionDelete(PROJECT, QUEUE, found[0].id))


FREEING: list[Callable[[RedisStorage], Awaitable[None]]] = [
    *(consume, release, bury, pop, delete, purge, remove, expire, deliver),
    unsubscribe,
]


@pytest.mark.parametrize("freeing", FREEING, ids=lambda one: one.__name__)
async def test_what_frees_memory_goes_on_when_it_is_full(
    storage: RedisStorage,
    own_server: RedisServer,
    freeing: Callable[[RedisStorage], Awaitable[None]],
) -> None:
    fill(own_server)
    with pytest.raises(Unavailable, match="out of memory"):
        await Bench.on(storage).post(b"x")
    await freeing(storage)
    await storage.do(UsageGet(PROJECT, NOW))


async def update(store: RedisStorage) -> None:
    found = await store.do(QueueGet(PROJECT, "other"))
    assert found is not None
    await store.do(QueueUpdate(PROJECT, "other", {"a": 1}, found.revision))


GRANT = Grant("a" * 32, ["/p"], ["GET"], NOW, NOW + 60)
GROWING: dict[str, Callable[[RedisStorage], Awaitable[object]]] = {
    "post": lambda store: Bench.on(store).post(b"x", queue="new"),
    "create": lambda store: store.do(QueueCreate(PROJECT, "new", {})),
    "update": update,
    "subscribe": lambda store: store.do(
        SubscriptionCreate(
            PROJECT, QUEUE, subscriber="http://n/", ttl=600, options={}, now=NOW
        )
    ),
    "grant": lambda store: store.do(GrantAdd(PROJECT, QUEUE, GRANT, most=9, now=NOW)),
}


@pytest.mark.parametrize("growing", GROWING)
async def test_what_grows_is_refused_when_memory_is_full(
    storage: RedisStorage, own_server: RedisServer, growing: str
) -> None:
    fill(own_server)
    with pytest.raises(Unavailable, match="out of memory"):
        await GROWING[growing](storage)
    assert len(await Bench.on(storage).everything()) == 22
    assert await storage.do(QueueGet(PROJECT, "new")) is None
