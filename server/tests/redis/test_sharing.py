"""Several servers on one store, each a driver of its own here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from redis_service import RedisServer
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.commands import (
    ClaimCreate,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.redis.registration import LOOKS, ServerRegistration
from zaqarserver.storage.subscriptions import DeliveryDue, Post, SubscriptionDelete
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]

PATIENCE = 10.0


class Ears:
    """Whom a server tells of posts."""

    def __init__(self, storage: RedisStorage) -> None:
        self.heard: list[Post] = []
        self.woken = asyncio.Event()
        self._changed = asyncio.Event()
        storage.watch(self._hear, self.woken.set)

    def _hear(self, posted: Post) -> None:
        self.heard.append(posted)
        self._changed.set()

    @property
    def bodies(self) -> list[bytes]:
        return [one.body for posted in self.heard for one in posted.messages]

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.heard) < count:
                self._changed.clear()
                await self._changed.wait()


async def vanish(storage: RedisStorage) -> None:
    """End a server as a crash would: nobody says goodbye."""
    for chore in storage._chores:
        chore.cancel()
    await asyncio.gather(*storage._chores, return_exceptions=True)
    storage._chores = []
    await storage._store.channel.close()
    storage._store.client.close()


async def let_time_pass(server: RedisServer, storage: RedisStorage) -> None:
    """Let Redis forget the last sign of life of a server, as it does after a while."""
    alive, _ = storage._store.keyspace.server(storage._store.registration.uid)
    server.ask("DEL", alive)


async def test_servers_never_share_a_claimed_message(
    uri: str, make_storage: Make
) -> None:
    servers = [make_storage(uri) for _ in range(3)]
    await asyncio.gather(*(server.open() for server in servers))
    ids = await Bench.on(servers[0]).post(*[b"x"] * 200)
    claimed: Counter[str] = Counter()

    async def work(server: RedisStorage) -> None:
        while claim := await server.do(
            ClaimCreate(PROJECT, QUEUE, ttl=60, grace=60, limit=7, now=NOW)
        ):
            claimed.update(message.id for message in claim.messages)

    await asyncio.gather(*(work(server) for server in servers for _ in range(3)))
    assert claimed == Counter(ids)


async def test_servers_agree_on_order_whatever_their_clocks_say(
    uri: str, make_storage: Make
) -> None:
    servers = [make_storage(uri) for _ in range(2)]
    await asyncio.gather(*(server.open() for server in servers))
    posted = []
    for number in range(10):
        server = servers[number % 2]
        posted += await Bench.on(server).post(b"x", now=NOW + 60 * (number % 2))
    assert posted == sorted(posted)
    assert ids_of(await Bench.on(servers[0]).everything()) == posted


async def test_a_change_on_one_server_is_seen_on_the_other_at_once(
    uri: str, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    await one.open()
    await other.open()
    for number in range(20):
        await one.do(QueueCreate(PROJECT, QUEUE, {"n": number}))
        found = await other.do(QueueGet(PROJECT, QUEUE))
        assert found is not None
        assert found.metadata == {"n": number}
        assert await other.do(QueueCount(PROJECT)) == 1
        await other.do(QueueDelete(PROJECT, QUEUE))
        assert await one.do(QueueGet(PROJECT, QUEUE)) is None
        assert await one.do(QueueCount(PROJECT)) == 0


async def test_sums_of_a_project_follow_every_server(
    uri: str, make_storage: Make
) -> None:
    servers = [make_storage(uri) for _ in range(2)]
    await asyncio.gather(*(server.open() for server in servers))
    for server in servers:
        await Bench.on(server).post(b"123")
        await server.do(UsageGet(PROJECT, NOW))  # tells what it has gathered
    for server in servers:
        found = await server.do(UsageGet(PROJECT, NOW))
        assert (found.messages, found.bytes) == (2, 6)


async def test_a_post_reaches_the_connections_of_every_server_in_order(
    uri: str, make_storage: Make
) -> None:
    servers = [make_storage(uri) for _ in range(3)]
    ears = [Ears(server) for server in servers]
    await asyncio.gather(*(server.open() for server in servers))
    made = [
        await Bench.on(server).subscribe(f"http://socket{number}/", volatile=True)
        for number, server in enumerate(servers)
    ]
    await asyncio.gather(
        *(Bench.on(server).post(b"%d" % n) for n in range(20) for server in servers)
    )
    for ear in ears:
        await ear.wait(60)
    order = bodies(await Bench.on(servers[0]).everything())
    for ear in ears:
        assert ear.bodies == order
        assert set(ear.heard[0].subscriptions) == {one.id for one in made}


async def test_own_connections_hear_a_post_while_the_channel_is_down(
    uri: str, redis_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(uri)
    ears = Ears(storage)
    await storage.open()
    await Bench.on(storage).subscribe(volatile=True)
    redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    for number in range(5):
        await Bench.on(storage).post(b"%d" % number)
    assert ears.bodies == [b"0", b"1", b"2", b"3", b"4"]


async def test_the_channel_comes_back_by_itself(
    uri: str, redis_server: RedisServer, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    ears = Ears(other)
    await one.open()
    await other.open()
    await Bench.on(other).subscribe(volatile=True)
    redis_server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    async with asyncio.timeout(PATIENCE):
        while not ears.heard:
            await Bench.on(one).post(b"x")


async def test_connections_end_with_their_server(
    uri: str, redis_server: RedisServer, make_storage: Make
) -> None:
    dead, other = make_storage(uri), make_storage(uri)
    await dead.open()
    await other.open()
    lasting = await Bench.on(dead).subscribe("http://hook/")
    await Bench.on(dead).subscribe("http://socket/", volatile=True)
    kept = await Bench.on(other).subscribe("http://other/", volatile=True)
    await vanish(dead)
    await let_time_pass(redis_server, dead)
    for _ in range(LOOKS):
        assert len(await Bench.on(other).listed()) == 3, "it may only be slow"
        await other._store.registration.remove_dead()
    assert await Bench.on(other).listed() == [lasting, kept]
    assert (await other.do(UsageGet(PROJECT, NOW))).subscriptions == 2


async def test_connections_outlive_an_absence_of_the_store(
    uri: str, redis_server: RedisServer, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    await one.open()
    await other.open()
    kept = await Bench.on(one).subscribe(volatile=True)
    for _ in range(2 * LOOKS):
        await let_time_pass(redis_server, one)
        await other._store.registration.remove_dead()
        await other._store.registration.remove_dead()
        await one._store.registration.renew()
        await other._store.registration.remove_dead()
    assert await Bench.on(other).listed() == [kept]


async def test_a_server_that_closes_takes_its_connections_along(
    uri: str, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    await one.open()
    await other.open()
    await Bench.on(one).subscribe("http://socket/", volatile=True)
    await one.close()
    assert await Bench.on(other).listed() == []


async def test_what_a_server_keeps_of_connections_goes_with_them(
    uri: str, make_storage: Make
) -> None:
    storage = make_storage(uri)
    await storage.open()
    presence: ServerRegistration = storage._store.registration
    _, queues = storage._store.keyspace.server(presence.uid)
    for number in range(3):
        made = await Bench.on(storage).subscribe(source=f"queue{number}", volatile=True)
        await storage.do(SubscriptionDelete(PROJECT, f"queue{number}", made.id))
    await storage._store.finish_leftovers()
    assert await storage._store.client.do("SCARD", queues) == 0


async def test_deliveries_are_given_to_one_server_and_taken_over(
    uri: str, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    await one.open()
    await other.open()
    for number in range(20):
        await Bench.on(one).subscribe(f"http://h{number}/")
    await Bench.on(one).post_one()
    both = await asyncio.gather(
        Bench.on(one).take(limit=12), Bench.on(other).take(limit=12)
    )
    taken = [delivery.subscription.id for some in both for delivery in some]
    assert len(taken) == len(set(taken)) == 20
    for delivery in both[1]:
        await Bench.on(other).done(delivery)
    await vanish(one)
    assert await Bench.on(other).take(now=NOW + 29) == []
    again = await Bench.on(other).take(now=NOW + 30)
    assert {delivery.key for delivery in again} == {
        delivery.key for delivery in both[0]
    }


async def test_a_server_hears_of_deliveries_that_another_left(
    uri: str, make_storage: Make
) -> None:
    one, other = make_storage(uri), make_storage(uri)
    ears = Ears(other)
    await one.open()
    await other.open()
    await Bench.on(one).subscribe()
    assert await other.do(DeliveryDue(NOW)) is None
    await Bench.on(one).post_one()
    await vanish(one)
    async with asyncio.timeout(PATIENCE):
        await ears.woken.wait()
    assert len(await Bench.on(other).take()) == 1
