"""The suite: grants, and what projects use."""

from __future__ import annotations

import asyncio

import msgspec

from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
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
    QueueGet,
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


def grant(id_: str = "a" * 32, *, expires: float = NOW + 600) -> Grant:
    """Make a grant."""
    paths = [f"/v2/queues/{QUEUE}/claims", f"/v2/queues/{QUEUE}/messages"]
    return Grant(id_, paths, ["GET", "POST"], NOW, expires)


async def add(
    storage: Storage, one: Grant, *, most: int = 10, now: float = NOW
) -> Grant | None:
    """Put a grant on record."""
    return await storage.do(GrantAdd(PROJECT, QUEUE, one, most=most, now=now))


async def listed(storage: Storage, now: float = NOW) -> list[Grant]:
    """Return all grants of the queue."""
    return await storage.do(GrantList(PROJECT, QUEUE, marker=None, limit=100, now=now))


async def is_revoked(storage: Storage, id_: str, now: float = NOW) -> bool:
    """Ask what every request with a signature asks."""
    return await storage.do(GrantCheck(PROJECT, QUEUE, id_, now))


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


class GrantContract(Suite):
    """Grants on record."""

    async def test_a_grant_is_kept_as_it_was_made(self, storage: Storage) -> None:
        one = grant()
        assert await add(storage, one) == one
        assert await listed(storage) == [one]
        assert not await is_revoked(storage, one.id)
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_grants_come_in_pages_by_id(self, storage: Storage) -> None:
        grants = [grant(letter * 32) for letter in "fb0a3"]
        for one in grants:
            await add(storage, one)
        found: list[Grant] = []
        marker = None
        while page := await storage.do(
            GrantList(PROJECT, QUEUE, marker=marker, limit=2, now=NOW)
        ):
            found += page
            marker = page[-1].id
        assert found == sorted(grants, key=lambda one: one.id)

    async def test_a_marker_need_not_exist(self, storage: Storage) -> None:
        for letter in "ac":
            await add(storage, grant(letter * 32))
        page = await storage.do(GrantList(PROJECT, QUEUE, marker="b", limit=9, now=NOW))
        assert [one.id for one in page] == ["c" * 32]

    async def test_a_grant_ends_exactly_when_it_expires(self, storage: Storage) -> None:
        one = grant(expires=NOW + 60)
        await add(storage, one)
        assert await listed(storage, NOW + 59.99) == [one]
        assert await listed(storage, NOW + 60) == []
        assert not await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW + 60))

    async def test_a_revoked_grant_is_listed_as_revoked(self, storage: Storage) -> None:
        one, other = grant("a" * 32), grant("b" * 32)
        await add(storage, one)
        await add(storage, other)
        assert await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await listed(storage) == [revoked, other]
        assert await is_revoked(storage, one.id)
        assert not await is_revoked(storage, other.id)

    async def test_revoking_again_is_no_error(self, storage: Storage) -> None:
        one = grant()
        await add(storage, one)
        for _ in range(2):
            assert await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await is_revoked(storage, one.id)

    async def test_an_unknown_grant_is_not_revoked(self, storage: Storage) -> None:
        for id_ in ("", "x", "a" * 32, "é"):
            assert not await storage.do(GrantRevoke(PROJECT, QUEUE, id_, NOW))
            assert not await is_revoked(storage, id_)

    async def test_a_grant_on_record_stays_as_it_is(self, storage: Storage) -> None:
        one = grant()
        await add(storage, one)
        later = msgspec.structs.replace(one, created=NOW + 5)
        assert await add(storage, later, now=NOW + 5) == one
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await add(storage, one) == revoked
        assert await listed(storage) == [revoked]

    async def test_a_queue_has_no_more_grants_than_it_may(
        self, storage: Storage
    ) -> None:
        one, two, three = (grant(letter * 32) for letter in "abc")
        short = grant("d" * 32, expires=NOW + 60)
        assert await add(storage, one, most=3) == one
        assert await add(storage, short, most=3) == short
        assert await add(storage, two, most=3) == two
        assert await add(storage, three, most=3) is None
        assert await add(storage, one, most=3) == one
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await add(storage, three, most=3) is None, "revoked ones count"
        assert await add(storage, three, most=3, now=NOW + 60) == three

    async def test_of_many_at_once_only_so_many_are_kept(
        self, storage: Storage
    ) -> None:
        made = await asyncio.gather(
            *(add(storage, grant(f"{number:032x}"), most=5) for number in range(20))
        )
        assert sum(one is not None for one in made) == 5
        assert len(await listed(storage)) == 5

    async def test_a_sweep_removes_what_has_ended(self, storage: Storage) -> None:
        ended = [grant(f"{number:032x}", expires=NOW + 60) for number in range(300)]
        for one in ended:
            await add(storage, one, most=1000)
        await storage.do(GrantRevoke(PROJECT, QUEUE, ended[0].id, NOW))
        kept = grant("f" * 32)
        await add(storage, kept, most=1000)
        await storage.do(GrantRevoke(PROJECT, QUEUE, kept.id, NOW))
        await sweep_all(storage, NOW + 60)
        assert await storage.sweep(NOW + 60) == 0
        assert [one.id for one in await listed(storage)] == [kept.id]
        assert await is_revoked(storage, kept.id, NOW + 60)

    async def test_grants_outlive_their_queue(self, storage: Storage) -> None:
        one = grant()
        await storage.do(QueueCreate(PROJECT, QUEUE, {}))
        await add(storage, one)
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert await is_revoked(storage, one.id)
        assert len(await listed(storage)) == 1

    @elsewhere
    async def test_grants_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        one = grant()
        await add(storage, one)
        assert not await storage.do(GrantRevoke(project, queue, one.id, NOW))
        await storage.do(GrantAdd(project, queue, one, most=1, now=NOW))
        assert await storage.do(GrantRevoke(project, queue, one.id, NOW))
        assert await storage.do(GrantCheck(project, queue, one.id, NOW))
        assert not await is_revoked(storage, one.id)
        assert await listed(storage) == [one]

    async def test_grants_survive_closing(self, storage: Storage) -> None:
        need(storage, Capability.DURABILITY)
        one, other = grant("a" * 32), grant("b" * 32)
        await add(storage, one)
        await add(storage, other)
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        before = await listed(storage)
        await reopen(storage)
        assert await listed(storage) == before
        assert await is_revoked(storage, one.id)
        assert not await is_revoked(storage, other.id)


class UsageContract(Suite):
    """What a project uses."""

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
