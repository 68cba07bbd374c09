"""The suite: a queue that moves from one store to another, for drivers that can."""

from __future__ import annotations

import pytest

from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import Message, NewMessage
from zaqarserver.storage.commands import (
    ClaimGet,
    MessagePost,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
)
from zaqarserver.storage.moving import (
    QueueContents,
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
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Bench,
    Suite,
    bodies,
    ids_of,
    new,
)

AWAY = "away"
#: Space and name of a queue.
Key = tuple[str, str]
#: The epochs of a queue's first placement and of a first move.
PLACED, MOVED = 1, 2


class MovingBench(Bench):
    """Moves a queue between two projects of a store: to the store other queues."""

    def need_moves(self) -> None:
        """Skip the test if the driver does not move queues."""
        if QueueSeal not in self.store.commands:
            pytest.skip("the driver does not move queues")

    async def sealed(self, project: str = PROJECT, epoch: int = MOVED) -> None:
        """Seal the queue."""
        self.need_moves()
        assert await self.do(QueueSeal(project, QUEUE, SealKind.LEAVING, epoch, NOW))

    async def exported(self, project: str = PROJECT, limit: int = 3) -> list[Record]:
        """Read a sealed queue to its end."""
        found: list[Record] = []
        following: str | None = None
        while True:
            page = await self.do(QueueExport(project, QUEUE, following, limit=limit))
            found += page.records
            following = page.following
            if following is None:
                return found

    async def received(self, records: list[Record], epoch: int = MOVED) -> None:
        """Receive a queue in the project :data:`AWAY`."""
        assert await self.do(QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, epoch, NOW))
        await self.do(QueueImport(AWAY, QUEUE, epoch, records))

    async def copied(self) -> None:
        """Seal the queue, and receive it in the project :data:`AWAY`."""
        await self.sealed()
        await self.received(await self.exported())

    async def moved(self, epoch: int = MOVED) -> None:
        """Move the queue to the project :data:`AWAY`."""
        self.need_moves()
        await self.move((PROJECT, QUEUE), (AWAY, QUEUE), epoch)

    async def move(
        self, source: Key, target: Key, epoch: int, now: float = NOW, limit: int = 3
    ) -> None:
        """Do all steps of a move from one queue of the store to another.

        Args:
            source: Space and name of the queue that leaves.
            target: The same of the queue that arrives.
            epoch: The epoch of the move.
            now: The time.
            limit: The records of a page.
        """
        assert await self.do(QueueSeal(*source, SealKind.LEAVING, epoch, now))
        assert await self.do(QueueSeal(*target, SealKind.ARRIVING, epoch, now))
        following: str | None = ""
        while following is not None:
            page = await self.do(QueueExport(*source, following or None, limit))
            await self.do(QueueImport(*target, epoch, page.records))
            following = page.following
        leaving = await self.do(QueueContents(*source, now))
        arrived = await self.do(QueueContents(*target, now))
        assert leaving.missing_from(arrived) == ""
        assert await self.do(QueueOpen(*target, epoch, epoch))
        assert await self.do(QueueDrop(*source, epoch, now))

    async def found_there(self, now: float = NOW) -> list[Message]:
        """Return all messages of the queue that was moved."""
        return await self.everything(project=AWAY, now=now)

    async def fill(self, *, posts: int = 40, listeners: int = 12) -> None:
        """Give the queue of the suite many of each kind.

        Messages, a claim for each third post, subscriptions of which the first did not
        settle any delivery, and the notices of all posts for it and of the last posts
        for all.
        """
        for number in range(listeners):
            await self.subscribe(f"http://h{number:02}/")
        for number in range(posts):
            await self.post(b"%d a" % number, b"%d b" % number)
            if number % 3 == 0:
                await self.claim(limit=2, ttl=300)
            if number == posts * 3 // 4:
                await self.hear(but="http://h00/")

    async def hear(self, *, but: str = "", now: float = NOW) -> dict[str, list[bytes]]:
        """Settle all deliveries; return the bodies for each subscriber, in order.

        Args:
            but: A subscriber that does not answer: its delivery is due 10 s later.
            now: The time.
        """
        heard: dict[str, list[bytes]] = {}
        while taken := await self.take(now=now, limit=100):
            for delivery in taken:
                subscriber = delivery.subscription.subscriber
                if subscriber == but:
                    await self.do(
                        DeliverySettle(
                            delivery.key, position=1, attempt=1, due=now + 10
                        )
                    )
                    continue
                heard.setdefault(subscriber, []).extend(
                    told(delivery)[delivery.position :]
                )
                await self.done(delivery)
        return heard


class MovingContract(MovingBench, Suite):
    """Moves a queue into another project of the same store, step by step."""

    async def test_a_queue_moves_with_its_metadata_and_messages_in_order(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"team": "x", "n": [1]}))
        sent = [NewMessage(b"%d" % n, 600, 0, f"MD5:{n}") for n in range(10)]
        await self.do(MessagePost(PROJECT, QUEUE, CLIENT, sent, NOW))
        before = await self.everything(now=NOW + 7)
        await self.moved()
        assert await self.found_there(now=NOW + 7) == before
        there = await self.do(QueueGet(AWAY, QUEUE))
        assert there is not None
        assert there.metadata == {"team": "x", "n": [1]}
        assert await self.do(QueueCount(AWAY)) == 1
        usage = await self.do(UsageGet(AWAY, NOW))
        assert (usage.queues, usage.messages, usage.bytes) == (1, 10, 10)

    async def test_what_is_posted_after_a_move_comes_after_it(self) -> None:
        old = await self.post(b"1", b"2")
        await self.moved()
        late = await self.do(MessagePost(AWAY, QUEUE, CLIENT, new(b"3"), NOW - 5))
        assert ids_of(await self.found_there()) == [*old, *late]
        assert sorted([*old, *late]) == [*old, *late]

    async def test_subscriptions_of_a_queue_that_came_back_are_listed_once(
        self,
    ) -> None:
        """The subscriptions that the store had before are not swept yet."""
        made = [await self.subscribe(f"http://h{n}/") for n in range(4)]
        await self.moved()
        await self.move((AWAY, QUEUE), (PROJECT, QUEUE), 3)
        for place, one in enumerate(made):
            page = await self.do(
                SubscriptionList(PROJECT, QUEUE, marker=one.id, limit=10, now=NOW)
            )
            assert [found.id for found in page] == [
                found.id for found in made[place + 1 :]
            ]

    async def test_many_of_each_kind_move_in_their_order(self) -> None:
        await self.fill()
        before = await self.everything()
        subscribed = [one.id for one in await self.listed()]
        await self.moved()
        assert await self.found_there() == before
        for held in {one.claim_id for one in before if one.claim_id is not None}:
            there = await self.do(ClaimGet(AWAY, QUEUE, held, NOW))
            assert there.messages == [one for one in before if one.claim_id == held]
        page = await self.do(
            SubscriptionList(AWAY, QUEUE, marker=None, limit=100, now=NOW)
        )
        assert [one.id for one in page] == subscribed
        heard = await self.hear(now=NOW + 10)
        posted = bodies(before)
        assert heard.pop("http://h00/") == posted[1:]
        last = posted[2 * 31 :]
        assert heard == {f"http://h{number:02}/": last for number in range(1, 12)}

    # -- subscriptions and notices ----------------------------------------------

    async def test_subscriptions_move_with_their_ids_in_order(self) -> None:
        made = [await self.subscribe(f"http://h{n}/") for n in range(5)]
        await self.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made[1].id, SubscriptionChange(confirmed=True), NOW
            )
        )
        before = await self.listed(now=NOW + 9)
        await self.moved()
        seen = []
        marker: str | None = None
        while page := await self.do(
            SubscriptionList(AWAY, QUEUE, marker=marker, limit=2, now=NOW + 9)
        ):
            seen += page
            marker = page[-1].id
        assert [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in seen
        ] == [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in before
        ]
        _, created = await self.do(
            SubscriptionCreate(
                AWAY, QUEUE, subscriber="http://h0/", ttl=60, options={}, now=NOW
            )
        )
        assert created is False
        assert (await self.do(UsageGet(AWAY, NOW))).subscriptions == 5
        assert (await self.do(UsageGet(PROJECT, NOW))).subscriptions == 0

    async def test_what_is_to_be_told_is_told_once_from_there(self) -> None:
        await self.subscribe()
        await self.post(b"1", b"2")
        await self.post(b"3")
        (first,) = await self.take()
        await self.do(DeliverySettle(first.key, position=1, attempt=2, due=NOW + 5))
        await self.post(b"4")  # not spread over the subscriptions yet
        await self.sealed()
        assert await self.take(now=NOW + 100) == []
        assert await self.do(DeliveryDue(NOW)) is None
        await self.received(await self.exported())
        assert await self.take(now=NOW + 100) == []
        assert await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await self.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert await self.take(now=NOW + 4) == []
        heard: list[bytes] = []
        attempts = []
        while taken := await self.take(now=NOW + 100):
            (delivery,) = taken
            assert delivery.subscription.space == AWAY
            heard += told(delivery)[delivery.position :]
            attempts.append(delivery.attempt)
            await self.done(delivery)
        assert heard == [b"2", b"3", b"4"]
        assert attempts[0] == 2
        assert not any(attempts[1:])

    async def test_one_who_subscribed_after_a_post_is_not_told_of_it(self) -> None:
        await self.subscribe("http://early/")
        await self.post(b"1")
        await self.subscribe("http://late/")
        await self.moved()
        (delivery,) = await self.take()
        assert delivery.subscription.subscriber == "http://early/"

    async def test_a_subscription_without_its_queue_moves(self) -> None:
        made = await self.subscribe()
        await self.do(QueueDelete(PROJECT, QUEUE))
        await self.moved()
        assert await self.do(QueueGet(AWAY, QUEUE)) is None
        (there,) = await self.do(
            SubscriptionList(AWAY, QUEUE, marker=None, limit=10, now=NOW)
        )
        assert there.id == made.id
