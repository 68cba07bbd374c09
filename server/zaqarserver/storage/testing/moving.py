"""The suite: a queue that moves from one store to another, for drivers that can."""

from __future__ import annotations

import pytest

from zaqarserver.errors import ClaimNotFound
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import Message, NewMessage, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePost,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.moving import (
    QueueDrop,
    QueueExport,
    QueueImport,
    QueueOpen,
    QueueSeal,
    Record,
    SealKind,
)
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    DeliverySettle,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionList,
    SubscriptionUpdate,
)
from zaqarserver.storage.testing.deliveries import bodies as told
from zaqarserver.storage.testing.deliveries import done, take
from zaqarserver.storage.testing.subscriptions import listed, subscribe
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    claim,
    everything,
    ids_of,
    new,
    post,
)

AWAY = "away"
#: The epochs of a queue's first placement and of a first move.
PLACED, MOVED = 1, 2


def movable(storage: Storage) -> Storage:
    """Return the store as one that moves queues; skip if it does not."""
    if QueueSeal not in storage.commands:
        pytest.skip("the driver does not move queues")
    return storage


async def sealed(storage: Storage, epoch: int = MOVED) -> Storage:
    """Seal the queue."""
    store = movable(storage)
    assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, epoch, NOW))
    return store


async def exported(
    store: Storage, project: str = PROJECT, limit: int = 3
) -> list[Record]:
    """Read a sealed queue to its end."""
    found: list[Record] = []
    following: str | None = None
    while True:
        page = await store.do(QueueExport(project, QUEUE, following, limit=limit))
        found += page.records
        following = page.following
        if following is None:
            return found


async def received(store: Storage, records: list[Record], epoch: int = MOVED) -> None:
    """Receive a queue in the project :data:`AWAY`."""
    assert await store.do(QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, epoch, NOW))
    await store.do(QueueImport(AWAY, QUEUE, epoch, records))


async def moved(storage: Storage, epoch: int = MOVED) -> None:
    """Move the queue to another project of the store: to the store another queue."""
    store = await sealed(storage, epoch)
    await received(store, await exported(store), epoch)
    assert await store.do(QueueOpen(AWAY, QUEUE, epoch, epoch))
    assert await store.do(QueueDrop(PROJECT, QUEUE, epoch, NOW))


async def found_there(storage: Storage, now: float = NOW) -> list[Message]:
    """Return all messages of the queue that was moved."""
    return await everything(storage, project=AWAY, now=now)


async def fill(storage: Storage, *, posts: int = 40, listeners: int = 12) -> None:
    """Give the queue of the suite many of each kind.

    Messages, a claim for each third post, subscriptions of which the first did not
    settle any delivery, and the notices of all posts for it and of the last posts for
    all.
    """
    for number in range(listeners):
        await subscribe(storage, f"http://h{number:02}/")
    for number in range(posts):
        await post(storage, b"%d a" % number, b"%d b" % number)
        if number % 3 == 0:
            await claim(storage, limit=2, ttl=300)
        if number == posts * 3 // 4:
            await hear(storage, but="http://h00/")


async def hear(
    storage: Storage, *, but: str = "", now: float = NOW
) -> dict[str, list[bytes]]:
    """Settle all deliveries; return the bodies for each subscriber, in order.

    Args:
        storage: The store.
        but: A subscriber that does not answer: its delivery is due again after 10 s.
        now: The time.
    """
    heard: dict[str, list[bytes]] = {}
    while taken := await take(storage, now=now, limit=100):
        for delivery in taken:
            subscriber = delivery.subscription.subscriber
            if subscriber == but:
                await storage.do(
                    DeliverySettle(delivery.key, position=1, attempt=1, due=now + 10)
                )
                continue
            heard.setdefault(subscriber, []).extend(told(delivery)[delivery.position :])
            await done(storage, delivery)
    return heard


class MovingContract(Suite):
    """Moves a queue into another project of the same store, step by step."""

    async def test_a_queue_moves_with_its_metadata_and_messages_in_order(
        self, storage: Storage
    ) -> None:
        await storage.do(QueueCreate(PROJECT, QUEUE, {"team": "x", "n": [1]}))
        sent = [NewMessage(b"%d" % n, 600, 0, f"MD5:{n}") for n in range(10)]
        await storage.do(MessagePost(PROJECT, QUEUE, CLIENT, sent, NOW))
        before = await everything(storage, now=NOW + 7)
        await moved(storage)
        assert await found_there(storage, now=NOW + 7) == before
        there = await storage.do(QueueGet(AWAY, QUEUE))
        assert there is not None
        assert there.metadata == {"team": "x", "n": [1]}
        assert await storage.do(QueueCount(AWAY)) == 1
        usage = await storage.do(UsageGet(AWAY, NOW))
        assert (usage.queues, usage.messages, usage.bytes) == (1, 10, 10)

    async def test_what_is_posted_after_a_move_comes_after_it(
        self, storage: Storage
    ) -> None:
        old = await post(storage, b"1", b"2")
        await moved(storage)
        late = await storage.do(MessagePost(AWAY, QUEUE, CLIENT, new(b"3"), NOW - 5))
        assert ids_of(await found_there(storage)) == [*old, *late]
        assert sorted([*old, *late]) == [*old, *late]

    async def test_every_id_is_a_marker_after_a_move(self, storage: Storage) -> None:
        ids = await post(storage, *[b"%d" % n for n in range(6)])
        await moved(storage)
        ids += await storage.do(MessagePost(AWAY, QUEUE, CLIENT, new(b"6", b"7"), NOW))
        await storage.do(MessageDelete(AWAY, QUEUE, ids[2], None, NOW))
        for place, marker in enumerate(ids):
            page = await storage.do(
                MessageList(AWAY, QUEUE, marker=marker, limit=10, now=NOW)
            )
            following = [one for one in ids[place + 1 :] if one != ids[2]]
            assert ids_of(page) == following, place

    async def test_moved_messages_are_read_and_deleted_by_id(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        await moved(storage)
        found = await storage.do(MessageGet(AWAY, QUEUE, ids, NOW))
        assert bodies(found) == [b"1", b"2", b"3"]
        await storage.do(MessageDelete(AWAY, QUEUE, ids[0], None, NOW))
        await storage.do(MessageDeleteMany(AWAY, QUEUE, [ids[1]], None, NOW))
        assert ids_of(await found_there(storage)) == [ids[2]]
        stats = await storage.do(QueueStatsGet(AWAY, QUEUE, NOW))
        assert stats.oldest is not None
        assert (stats.free, stats.oldest.id) == (1, ids[2])

    async def test_a_claim_holds_on_and_ends_where_it_would(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        held = await claim(storage, limit=2, ttl=100, grace=50)
        await moved(storage)
        there = await storage.do(ClaimGet(AWAY, QUEUE, held.id, NOW + 10))
        assert (there.ttl, there.grace, there.age) == (100, 50, 10)
        assert there.messages == await storage.do(
            MessageGet(AWAY, QUEUE, ids[:2], NOW + 10)
        )
        assert [message.claim_count for message in there.messages] == [1, 1]
        free = await storage.do(
            MessageList(AWAY, QUEUE, marker=None, limit=10, now=NOW + 10)
        )
        assert ids_of(free) == [ids[2]]
        await storage.do(MessageDelete(AWAY, QUEUE, ids[0], held.id, NOW + 10))
        await storage.do(
            ClaimUpdate(AWAY, QUEUE, held.id, ttl=200, grace=10, now=NOW + 10)
        )
        with pytest.raises(ClaimNotFound):
            await storage.do(ClaimGet(AWAY, QUEUE, held.id, NOW + 210))
        again = await storage.do(
            ClaimCreate(AWAY, QUEUE, ttl=60, grace=60, limit=10, now=NOW + 210)
        )
        assert again is not None
        assert ids_of(again.messages) == ids[1:]

    async def test_delays_and_expiry_go_on(self, storage: Storage) -> None:
        await post(storage, b"hidden", delay=60)
        await post(storage, b"short", ttl=100)
        await moved(storage)

        async def seen(now: float) -> list[bytes]:
            page = await storage.do(
                MessageList(AWAY, QUEUE, marker=None, limit=10, now=now)
            )
            return bodies(page)

        assert await seen(NOW + 59) == [b"short"]
        assert await seen(NOW + 60) == [b"hidden", b"short"]
        assert await seen(NOW + 100) == [b"hidden"]
        assert await seen(NOW + 600) == []

    async def test_own_messages_stay_own(self, storage: Storage) -> None:
        await post(storage, b"mine", client="me")
        await post(storage, b"other", client="other")
        await moved(storage)
        page = await storage.do(
            MessageList(
                AWAY, QUEUE, marker=None, limit=10, now=NOW, exclude_client="me"
            )
        )
        assert bodies(page) == [b"other"]

    async def test_a_moved_queue_moves_again(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        held = await claim(storage, limit=1)
        await moved(storage)
        store = movable(storage)
        assert await store.do(QueueSeal(AWAY, QUEUE, SealKind.LEAVING, 3, NOW))
        records = await exported(store, AWAY)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 3, NOW))
        await store.do(QueueImport(PROJECT, QUEUE, 3, records))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 3, 3))
        assert await store.do(QueueDrop(AWAY, QUEUE, 3, NOW))
        assert ids_of(await everything(storage)) == ids
        back = await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(back.messages) == ids[:1]

    async def test_subscriptions_of_a_queue_that_came_back_are_listed_once(
        self, storage: Storage
    ) -> None:
        """The subscriptions that the store had before are not swept yet."""
        made = [await subscribe(storage, f"http://h{n}/") for n in range(4)]
        await moved(storage)
        store = movable(storage)
        assert await store.do(QueueSeal(AWAY, QUEUE, SealKind.LEAVING, 3, NOW))
        records = await exported(store, AWAY)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 3, NOW))
        await store.do(QueueImport(PROJECT, QUEUE, 3, records))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 3, 3))
        for place, one in enumerate(made):
            page = await storage.do(
                SubscriptionList(PROJECT, QUEUE, marker=one.id, limit=10, now=NOW)
            )
            assert [found.id for found in page] == [
                found.id for found in made[place + 1 :]
            ]

    async def test_many_of_each_kind_move_in_their_order(
        self, storage: Storage
    ) -> None:
        await fill(storage)
        before = await everything(storage)
        subscribed = [one.id for one in await listed(storage)]
        await moved(storage)
        assert await found_there(storage) == before
        for held in {one.claim_id for one in before if one.claim_id is not None}:
            there = await storage.do(ClaimGet(AWAY, QUEUE, held, NOW))
            assert there.messages == [one for one in before if one.claim_id == held]
        page = await storage.do(
            SubscriptionList(AWAY, QUEUE, marker=None, limit=100, now=NOW)
        )
        assert [one.id for one in page] == subscribed
        heard = await hear(storage, now=NOW + 10)
        posted = bodies(before)
        assert heard.pop("http://h00/") == posted[1:]
        last = posted[2 * 31 :]
        assert heard == {f"http://h{number:02}/": last for number in range(1, 12)}

    # -- subscriptions and notices ----------------------------------------------

    async def test_subscriptions_move_with_their_ids_in_order(
        self, storage: Storage
    ) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(5)]
        await storage.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made[1].id, SubscriptionChange(confirmed=True), NOW
            )
        )
        before = await listed(storage, now=NOW + 9)
        await moved(storage)
        seen = []
        marker: str | None = None
        while page := await storage.do(
            SubscriptionList(AWAY, QUEUE, marker=marker, limit=2, now=NOW + 9)
        ):
            seen += page
            marker = page[-1].id
        assert [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in seen
        ] == [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in before
        ]
        _, created = await storage.do(
            SubscriptionCreate(
                AWAY, QUEUE, subscriber="http://h0/", ttl=60, options={}, now=NOW
            )
        )
        assert created is False
        assert (await storage.do(UsageGet(AWAY, NOW))).subscriptions == 5
        assert (await storage.do(UsageGet(PROJECT, NOW))).subscriptions == 0

    async def test_what_is_to_be_told_is_told_once_from_there(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        await post(storage, b"1", b"2")
        await post(storage, b"3")
        (first,) = await take(storage)
        await storage.do(DeliverySettle(first.key, position=1, attempt=2, due=NOW + 5))
        await post(storage, b"4")  # not spread over the subscriptions yet
        store = await sealed(storage)
        assert await take(storage, now=NOW + 100) == []
        assert await storage.do(DeliveryDue(NOW)) is None
        await received(store, await exported(store))
        assert await take(storage, now=NOW + 100) == []
        assert await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await store.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert await take(storage, now=NOW + 4) == []
        heard: list[bytes] = []
        attempts = []
        while taken := await take(storage, now=NOW + 100):
            (delivery,) = taken
            assert delivery.subscription.space == AWAY
            heard += told(delivery)[delivery.position :]
            attempts.append(delivery.attempt)
            await done(storage, delivery)
        assert heard == [b"2", b"3", b"4"]
        assert attempts[0] == 2
        assert not any(attempts[1:])

    async def test_one_who_subscribed_after_a_post_is_not_told_of_it(
        self, storage: Storage
    ) -> None:
        await subscribe(storage, "http://early/")
        await post(storage, b"1")
        await subscribe(storage, "http://late/")
        await moved(storage)
        (delivery,) = await take(storage)
        assert delivery.subscription.subscriber == "http://early/"

    async def test_a_subscription_without_its_queue_moves(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage)
        await storage.do(QueueDelete(PROJECT, QUEUE))
        await moved(storage)
        assert await storage.do(QueueGet(AWAY, QUEUE)) is None
        (there,) = await storage.do(
            SubscriptionList(AWAY, QUEUE, marker=None, limit=10, now=NOW)
        )
        assert there.id == made.id
