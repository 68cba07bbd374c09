"""The suite: what projects use."""

from __future__ import annotations

import asyncio

from zaqarserver.storage.accounts import (
    Usage,
    UsageGet,
)
from zaqarserver.storage.base import Capability, DeadLetter, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    MessageDelete,
    MessageDeleteMany,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueList,
    QueueStatsGet,
)
from zaqarserver.storage.subscriptions import (
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionPurge,
    SubscriptionUpdate,
)
from zaqarserver.storage.testing.life import reopen, sweep_all
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    claim,
    need,
    new,
    post,
)
from zaqarserver.storage.testing.tenancy import elsewhere


async def usage(storage: Storage, now: float = NOW) -> Usage:
    """Return what the project uses."""
    return await storage.do(UsageGet(PROJECT, now))


async def subscribe(
    storage: Storage,
    subscriber: str = "http://a/",
    *,
    ttl: int = 600,
    now: float = NOW,
    volatile: bool = False,
) -> str:
    """Subscribe; return the id."""
    made, _ = await storage.do(
        SubscriptionCreate(
            PROJECT,
            QUEUE,
            subscriber=subscriber,
            ttl=ttl,
            options={},
            now=now,
            volatile=volatile,
        )
    )
    return made.id


class UsageContract(Suite):
    """The usage of a project."""

    async def test_nothing_is_used_at_first(self, storage: Storage) -> None:
        assert await usage(storage) == Usage()

    async def test_what_is_posted_is_counted(self, storage: Storage) -> None:
        await storage.do(QueueCreate(PROJECT, "empty", {}))
        await post(storage, b"12345", b"", b"67")
        await post(storage, "é".encode(), queue="other", delay=60)
        assert await usage(storage) == Usage(queues=3, messages=4, bytes=9)

    async def test_a_large_post_is_counted(self, storage: Storage) -> None:
        await post(storage, *[b"xyz"] * 1001)
        assert await usage(storage) == Usage(queues=1, messages=1001, bytes=3003)

    async def test_what_is_deleted_counts_no_more(self, storage: Storage) -> None:
        one, two, three, *_ = await post(storage, b"1", b"22", b"333", b"4", b"55555")
        await storage.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        await storage.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        assert await usage(storage) == Usage(queues=1, messages=4, bytes=11)
        ids = [one, two, three, three]
        await storage.do(MessageDeleteMany(PROJECT, QUEUE, ids, None, NOW))
        assert await usage(storage) == Usage(queues=1, messages=2, bytes=6)
        await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW))
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=5)
        held = await claim(storage)
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=5)
        (last,) = held.messages
        await storage.do(MessageDelete(PROJECT, QUEUE, last.id, held.id, NOW))
        assert await usage(storage) == Usage(queues=1)
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert await usage(storage) == Usage()

    async def test_what_a_purge_hid_counts_no_more(self, storage: Storage) -> None:
        await post(storage, *[b"xy"] * 700)
        await claim(storage, limit=3)
        await storage.do(MessagePurge(PROJECT, QUEUE))
        assert await usage(storage) == Usage(queues=1)
        await post(storage, b"123")
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=3)
        await sweep_all(storage, NOW)
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=3)

    async def test_a_deleted_queue_counts_no_more(self, storage: Storage) -> None:
        await post(storage, *[b"xy"] * 700)
        await post(storage, b"123", queue="other")
        await storage.do(QueueDelete(PROJECT, QUEUE))
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=3)
        await sweep_all(storage, NOW)
        assert await usage(storage) == Usage(queues=1, messages=1, bytes=3)

    async def test_what_has_expired_counts_no_more_when_it_is_swept(
        self, storage: Storage
    ) -> None:
        await post(storage, *[b"xyz"] * 500, ttl=60)
        await post(storage, b"12", ttl=600)
        await sweep_all(storage, NOW + 60)
        assert await usage(storage, NOW + 60) == Usage(queues=1, messages=1, bytes=2)

    async def test_dead_letters_count_where_they_are(self, storage: Storage) -> None:
        await post(storage, b"12345", b"67", ttl=6000)
        letters = DeadLetter("dead", 1, 60)
        for turn in range(2):
            await storage.do(
                ClaimCreate(
                    PROJECT,
                    QUEUE,
                    ttl=60,
                    grace=60,
                    limit=10,
                    now=NOW + 100 * turn,
                    dead_letter=letters,
                )
            )
        expected = Usage(queues=2, messages=2, bytes=7)
        assert await usage(storage, NOW + 100) == expected
        await storage.do(QueueDelete(PROJECT, QUEUE))
        expected = Usage(queues=1, messages=2, bytes=7)
        assert await usage(storage, NOW + 100) == expected
        await storage.do(MessagePurge(PROJECT, "dead"))
        assert await usage(storage, NOW + 100) == Usage(queues=1)
        await sweep_all(storage, NOW + 160)
        assert await usage(storage, NOW + 160) == Usage(queues=1)

    async def test_subscriptions_are_counted(self, storage: Storage) -> None:
        first = await subscribe(storage)
        assert await subscribe(storage) == first
        await subscribe(storage, "http://b/")
        await subscribe(storage, "http://c/", volatile=True)
        assert await usage(storage) == Usage(queues=1, subscriptions=3)
        for _ in range(2):
            await storage.do(SubscriptionDelete(PROJECT, QUEUE, first))
        assert await usage(storage) == Usage(queues=1, subscriptions=2)
        await sweep_all(storage, NOW)
        assert await usage(storage) == Usage(queues=1, subscriptions=2)
        await storage.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await usage(storage) == Usage(queues=1)
        await sweep_all(storage, NOW)
        assert await usage(storage) == Usage(queues=1)

    async def test_ended_subscriptions_count_no_more_when_they_are_swept(
        self, storage: Storage
    ) -> None:
        for number in range(5):
            await subscribe(storage, f"http://{number}/", ttl=60)
        await subscribe(storage, "http://0/", ttl=600, now=NOW + 60)
        await sweep_all(storage, NOW + 60)
        assert await usage(storage, NOW + 60) == Usage(queues=1, subscriptions=1)

    async def test_a_subscription_that_takes_the_place_of_an_ended_one_counts_once(
        self, storage: Storage
    ) -> None:
        await subscribe(storage, "http://a/", ttl=60)
        other = await subscribe(storage, "http://b/")
        await storage.do(
            SubscriptionUpdate(
                PROJECT,
                QUEUE,
                other,
                SubscriptionChange(subscriber="http://a/"),
                NOW + 60,
            )
        )
        await sweep_all(storage, NOW + 60)
        assert await usage(storage, NOW + 60) == Usage(queues=1, subscriptions=1)

    @elsewhere
    async def test_use_is_counted_for_each_project(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        await storage.do(MessagePost(project, queue, CLIENT, new(b"123"), NOW))
        mine = project == PROJECT
        assert await usage(storage) == (Usage(1, 1, 3) if mine else Usage())
        await post(storage, b"1")
        assert await usage(storage) == (Usage(2, 2, 4) if mine else Usage(1, 1, 1))
        if not mine:
            assert await storage.do(UsageGet(project, NOW)) == Usage(1, 1, 3)

    async def test_use_is_right_when_much_happens_at_once(
        self, storage: Storage
    ) -> None:
        async def producer(number: int) -> None:
            for _ in range(20):
                await post(storage, b"xy", b"z", queue=f"queue{number % 3}")

        async def consumer(number: int) -> None:
            for _ in range(20):
                await storage.do(MessagePop(PROJECT, f"queue{number}", 2, NOW))

        async def cleaner() -> None:
            for _ in range(5):
                await storage.do(MessagePurge(PROJECT, "queue1"))
                await storage.do(QueueDelete(PROJECT, "queue2"))

        await asyncio.gather(
            *(producer(number) for number in range(6)),
            *(consumer(number) for number in range(3)),
            cleaner(),
        )
        queues = await storage.do(QueueList(PROJECT, marker=None, limit=10))
        bodies = [
            one.body
            for queue in queues
            for one in await storage.do(
                MessageList(PROJECT, queue.name, marker=None, limit=1000, now=NOW)
            )
        ]
        expected = Usage(len(queues), len(bodies), sum(map(len, bodies)))
        assert await usage(storage) == expected

    async def test_use_survives_closing(self, storage: Storage) -> None:
        need(storage, Capability.DURABILITY)
        await post(storage, b"123", b"45", ttl=60)
        await post(storage, b"6", queue="other")
        await storage.do(QueueDelete(PROJECT, "other"))
        await subscribe(storage)
        await storage.do(QueueCreate(PROJECT, "empty", {}))
        before = await usage(storage)
        assert before == Usage(2, 2, 5, 1)
        await reopen(storage)
        assert await usage(storage) == before
        await sweep_all(storage, NOW + 60)
        assert await usage(storage, NOW + 60) == Usage(2, 0, 0, 1)

    async def test_a_cancelled_post_is_counted_whole_or_not_at_all(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        task = asyncio.create_task(
            storage.do(MessagePost(PROJECT, QUEUE, CLIENT, new(*[b"x"] * 500), NOW))
        )
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await post(storage, b"2")
        found = await usage(storage)
        assert found in {Usage(1, 2, 2), Usage(1, 502, 502)}
        stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert stats.free == found.messages
