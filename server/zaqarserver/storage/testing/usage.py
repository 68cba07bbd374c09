"""The suite: what projects use."""

from __future__ import annotations

import asyncio

from zaqarserver.storage.accounts import (
    Usage,
    UsageGet,
)
from zaqarserver.storage.base import Capability, DeadLetter
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
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    new,
)
from zaqarserver.storage.testing.tenancy import elsewhere


class UsageContract(Suite):
    """The usage of a project."""

    async def usage(self, now: float = NOW) -> Usage:
        """Return what the project uses."""
        return await self.do(UsageGet(PROJECT, now))

    async def subscribed(
        self,
        subscriber: str = "http://a/",
        *,
        ttl: int = 600,
        now: float = NOW,
        volatile: bool = False,
    ) -> str:
        """Subscribe; return the id."""
        made, _ = await self.do(
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

    async def test_nothing_is_used_at_first(self) -> None:
        assert await self.usage() == Usage()

    async def test_what_is_posted_is_counted(self) -> None:
        await self.do(QueueCreate(PROJECT, "empty", {}))
        await self.post(b"12345", b"", b"67")
        await self.post("é".encode(), queue="other", delay=60)
        assert await self.usage() == Usage(queues=3, messages=4, bytes=9)

    async def test_a_large_post_is_counted(self) -> None:
        await self.post(*[b"xyz"] * 1001)
        assert await self.usage() == Usage(queues=1, messages=1001, bytes=3003)

    async def test_what_is_deleted_counts_no_more(self) -> None:
        one, two, three, *_ = await self.post(b"1", b"22", b"333", b"4", b"55555")
        await self.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        await self.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        assert await self.usage() == Usage(queues=1, messages=4, bytes=11)
        ids = [one, two, three, three]
        await self.do(MessageDeleteMany(PROJECT, QUEUE, ids, None, NOW))
        assert await self.usage() == Usage(queues=1, messages=2, bytes=6)
        await self.do(MessagePop(PROJECT, QUEUE, 1, NOW))
        assert await self.usage() == Usage(queues=1, messages=1, bytes=5)
        held = await self.claim()
        assert await self.usage() == Usage(queues=1, messages=1, bytes=5)
        (last,) = held.messages
        await self.do(MessageDelete(PROJECT, QUEUE, last.id, held.id, NOW))
        assert await self.usage() == Usage(queues=1)
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.usage() == Usage()

    async def test_what_a_purge_hid_counts_no_more(self) -> None:
        await self.post(*[b"xy"] * 700)
        await self.claim(limit=3)
        await self.do(MessagePurge(PROJECT, QUEUE))
        assert await self.usage() == Usage(queues=1)
        await self.post(b"123")
        assert await self.usage() == Usage(queues=1, messages=1, bytes=3)
        await self.sweep_all(NOW)
        assert await self.usage() == Usage(queues=1, messages=1, bytes=3)

    async def test_a_deleted_queue_counts_no_more(self) -> None:
        await self.post(*[b"xy"] * 700)
        await self.post(b"123", queue="other")
        await self.do(QueueDelete(PROJECT, QUEUE))
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.usage() == Usage(queues=1, messages=1, bytes=3)
        await self.sweep_all(NOW)
        assert await self.usage() == Usage(queues=1, messages=1, bytes=3)

    async def test_what_has_expired_counts_no_more_when_it_is_swept(self) -> None:
        await self.post(*[b"xyz"] * 500, ttl=60)
        await self.post(b"12", ttl=600)
        await self.sweep_all(NOW + 60)
        assert await self.usage(NOW + 60) == Usage(queues=1, messages=1, bytes=2)

    async def test_dead_letters_count_where_they_are(self) -> None:
        await self.post(b"12345", b"67", ttl=6000)
        letters = DeadLetter("dead", 1, 60)
        for turn in range(2):
            await self.do(
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
        assert await self.usage(NOW + 100) == expected
        await self.do(QueueDelete(PROJECT, QUEUE))
        expected = Usage(queues=1, messages=2, bytes=7)
        assert await self.usage(NOW + 100) == expected
        await self.do(MessagePurge(PROJECT, "dead"))
        assert await self.usage(NOW + 100) == Usage(queues=1)
        await self.sweep_all(NOW + 160)
        assert await self.usage(NOW + 160) == Usage(queues=1)

    async def test_subscriptions_are_counted(self) -> None:
        first = await self.subscribed()
        assert await self.subscribed() == first
        await self.subscribed("http://b/")
        await self.subscribed("http://c/", volatile=True)
        assert await self.usage() == Usage(queues=1, subscriptions=3)
        for _ in range(2):
            await self.do(SubscriptionDelete(PROJECT, QUEUE, first))
        assert await self.usage() == Usage(queues=1, subscriptions=2)
        await self.sweep_all(NOW)
        assert await self.usage() == Usage(queues=1, subscriptions=2)
        await self.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await self.usage() == Usage(queues=1)
        await self.sweep_all(NOW)
        assert await self.usage() == Usage(queues=1)

    async def test_ended_subscriptions_count_no_more_when_they_are_swept(self) -> None:
        for number in range(5):
            await self.subscribed(f"http://{number}/", ttl=60)
        await self.subscribed("http://0/", ttl=600, now=NOW + 60)
        await self.sweep_all(NOW + 60)
        assert await self.usage(NOW + 60) == Usage(queues=1, subscriptions=1)

    async def test_a_subscription_that_takes_the_place_of_an_ended_one_counts_once(
        self,
    ) -> None:
        await self.subscribed("http://a/", ttl=60)
        other = await self.subscribed("http://b/")
        await self.do(
            SubscriptionUpdate(
                PROJECT,
                QUEUE,
                other,
                SubscriptionChange(subscriber="http://a/"),
                NOW + 60,
            )
        )
        await self.sweep_all(NOW + 60)
        assert await self.usage(NOW + 60) == Usage(queues=1, subscriptions=1)

    @elsewhere
    async def test_use_is_counted_for_each_project(
        self, project: str, queue: str
    ) -> None:
        await self.do(MessagePost(project, queue, CLIENT, new(b"123"), NOW))
        mine = project == PROJECT
        assert await self.usage() == (Usage(1, 1, 3) if mine else Usage())
        await self.post(b"1")
        assert await self.usage() == (Usage(2, 2, 4) if mine else Usage(1, 1, 1))
        if not mine:
            assert await self.do(UsageGet(project, NOW)) == Usage(1, 1, 3)

    async def test_use_is_right_when_much_happens_at_once(self) -> None:
        async def producer(number: int) -> None:
            for _ in range(20):
                await self.post(b"xy", b"z", queue=f"queue{number % 3}")

        async def consumer(number: int) -> None:
            for _ in range(20):
                await self.do(MessagePop(PROJECT, f"queue{number}", 2, NOW))

        async def cleaner() -> None:
            for _ in range(5):
                await self.do(MessagePurge(PROJECT, "queue1"))
                await self.do(QueueDelete(PROJECT, "queue2"))

        await asyncio.gather(
            *(producer(number) for number in range(6)),
            *(consumer(number) for number in range(3)),
            cleaner(),
        )
        queues = await self.do(QueueList(PROJECT, marker=None, limit=10))
        bodies = [
            one.body
            for queue in queues
            for one in await self.do(
                MessageList(PROJECT, queue.name, marker=None, limit=1000, now=NOW)
            )
        ]
        expected = Usage(len(queues), len(bodies), sum(map(len, bodies)))
        assert await self.usage() == expected

    async def test_use_survives_closing(self) -> None:
        self.need(Capability.DURABILITY)
        await self.post(b"123", b"45", ttl=60)
        await self.post(b"6", queue="other")
        await self.do(QueueDelete(PROJECT, "other"))
        await self.subscribed()
        await self.do(QueueCreate(PROJECT, "empty", {}))
        before = await self.usage()
        assert before == Usage(2, 2, 5, 1)
        await self.reopen()
        assert await self.usage() == before
        await self.sweep_all(NOW + 60)
        assert await self.usage(NOW + 60) == Usage(2, 0, 0, 1)

    async def test_a_cancelled_post_is_counted_whole_or_not_at_all(self) -> None:
        await self.post(b"1")
        task = asyncio.create_task(
            self.do(MessagePost(PROJECT, QUEUE, CLIENT, new(*[b"x"] * 500), NOW))
        )
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.post(b"2")
        found = await self.usage()
        assert found in {Usage(1, 2, 2), Usage(1, 502, 502)}
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert stats.free == found.messages
