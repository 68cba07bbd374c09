"""The suite: a queue that moves from one store to another, for drivers that can."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarserver.errors import ClaimNotFound, QueueChanged, QueueMoving
from zaqarserver.storage.base import (
    DeadLetter,
    Durability,
    Message,
    NewMessage,
    Storage,
)
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    MovableStorage,
    Record,
    Seal,
    SealKind,
)
from zaqarserver.storage.subscriptions import SubscriptionChange
from zaqarserver.storage.testing.deliveries import bodies as told
from zaqarserver.storage.testing.deliveries import take
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


def movable(storage: Storage) -> MovableStorage:
    """Return the store as one that moves queues; skip if it does not."""
    if not isinstance(storage, MovableStorage):
        pytest.skip("the driver does not move queues")
    return storage


async def sealed(storage: Storage, epoch: int = MOVED) -> MovableStorage:
    """Seal the queue."""
    store = movable(storage)
    assert await store.queue_seal(PROJECT, QUEUE, epoch)
    return store


async def exported(
    store: MovableStorage, project: str = PROJECT, limit: int = 3
) -> list[Record]:
    """Read a sealed queue to its end."""
    found: list[Record] = []
    following: str | None = None
    while True:
        page = await store.queue_export(project, QUEUE, following, limit=limit)
        found += page.records
        following = page.following
        if following is None:
            return found


async def received(
    store: MovableStorage, records: list[Record], epoch: int = MOVED
) -> None:
    """Take a queue in, in the project :data:`AWAY`."""
    assert await store.queue_receive(AWAY, QUEUE, epoch)
    await store.queue_import(AWAY, QUEUE, epoch, records)


async def moved(storage: Storage, epoch: int = MOVED) -> None:
    """Move the queue of the suite into another project of the same store.

    To a store, two queues of one store are as different as two of two stores.
    """
    store = await sealed(storage, epoch)
    await received(store, await exported(store), epoch)
    assert await store.queue_open(AWAY, QUEUE, epoch, epoch)
    assert await store.queue_leave(PROJECT, QUEUE, epoch, NOW)


async def found_there(storage: Storage, now: float = NOW) -> list[Message]:
    """Return all messages of the queue that was moved."""
    return await everything(storage, project=AWAY, now=now)


class MovingContract(Suite):
    """Moves a queue into another project of the same store, step by step."""

    async def test_a_queue_moves_with_its_metadata_and_messages_in_order(
        self, storage: Storage
    ) -> None:
        await storage.queue_create(PROJECT, QUEUE, {"team": "x", "n": [1]})
        sent = [NewMessage(b"%d" % n, 600, 0, f"MD5:{n}") for n in range(10)]
        await storage.message_post(PROJECT, QUEUE, CLIENT, sent, NOW)
        before = await everything(storage, now=NOW + 7)
        await moved(storage)
        assert await found_there(storage, now=NOW + 7) == before
        there = await storage.queue_get(AWAY, QUEUE)
        assert there is not None
        assert there.metadata == {"team": "x", "n": [1]}
        assert await storage.queue_count(AWAY) == 1
        usage = await storage.usage(AWAY, NOW)
        assert (usage.queues, usage.messages, usage.bytes) == (1, 10, 10)

    async def test_what_is_posted_after_a_move_comes_after_it(
        self, storage: Storage
    ) -> None:
        old = await post(storage, b"1", b"2")
        await moved(storage)
        late = await storage.message_post(AWAY, QUEUE, CLIENT, new(b"3"), NOW - 5)
        assert ids_of(await found_there(storage)) == [*old, *late]
        assert sorted([*old, *late]) == [*old, *late]

    async def test_every_id_is_a_marker_after_a_move(self, storage: Storage) -> None:
        ids = await post(storage, *[b"%d" % n for n in range(6)])
        await moved(storage)
        ids += await storage.message_post(AWAY, QUEUE, CLIENT, new(b"6", b"7"), NOW)
        await storage.message_delete(AWAY, QUEUE, ids[2], None, NOW)
        for place, marker in enumerate(ids):
            page = await storage.message_list(
                AWAY, QUEUE, marker=marker, limit=10, now=NOW
            )
            following = [one for one in ids[place + 1 :] if one != ids[2]]
            assert ids_of(page) == following, place

    async def test_moved_messages_are_read_and_deleted_by_id(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        await moved(storage)
        found = await storage.message_get(AWAY, QUEUE, ids, NOW)
        assert bodies(found) == [b"1", b"2", b"3"]
        await storage.message_delete(AWAY, QUEUE, ids[0], None, NOW)
        await storage.message_delete_many(AWAY, QUEUE, [ids[1]], None, NOW)
        assert ids_of(await found_there(storage)) == [ids[2]]
        stats = await storage.queue_stats(AWAY, QUEUE, NOW)
        assert stats.oldest is not None
        assert (stats.free, stats.oldest.id) == (1, ids[2])

    async def test_a_claim_holds_on_and_ends_where_it_would(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        held = await claim(storage, limit=2, ttl=100, grace=50)
        await moved(storage)
        there = await storage.claim_get(AWAY, QUEUE, held.id, NOW + 10)
        assert (there.ttl, there.grace, there.age) == (100, 50, 10)
        assert there.messages == await storage.message_get(
            AWAY, QUEUE, ids[:2], NOW + 10
        )
        assert [message.claim_count for message in there.messages] == [1, 1]
        free = await storage.message_list(
            AWAY, QUEUE, marker=None, limit=10, now=NOW + 10
        )
        assert ids_of(free) == [ids[2]]
        await storage.message_delete(AWAY, QUEUE, ids[0], held.id, NOW + 10)
        await storage.claim_update(
            AWAY, QUEUE, held.id, ttl=200, grace=10, now=NOW + 10
        )
        with pytest.raises(ClaimNotFound):
            await storage.claim_get(AWAY, QUEUE, held.id, NOW + 210)
        again = await storage.claim_create(
            AWAY, QUEUE, ttl=60, grace=60, limit=10, now=NOW + 210
        )
        assert again is not None
        assert ids_of(again.messages) == ids[1:]

    async def test_delays_and_expiry_go_on(self, storage: Storage) -> None:
        await post(storage, b"hidden", delay=60)
        await post(storage, b"short", ttl=100)
        await moved(storage)

        async def seen(now: float) -> list[bytes]:
            page = await storage.message_list(
                AWAY, QUEUE, marker=None, limit=10, now=now
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
        page = await storage.message_list(
            AWAY, QUEUE, marker=None, limit=10, now=NOW, exclude_client="me"
        )
        assert bodies(page) == [b"other"]

    async def test_a_moved_queue_moves_again(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        held = await claim(storage, limit=1)
        await moved(storage)
        store = movable(storage)
        assert await store.queue_seal(AWAY, QUEUE, 3)
        records = await exported(store, AWAY)
        assert await store.queue_receive(PROJECT, QUEUE, 3)
        await store.queue_import(PROJECT, QUEUE, 3, records)
        assert await store.queue_open(PROJECT, QUEUE, 3, 3)
        assert await store.queue_leave(AWAY, QUEUE, 3, NOW)
        assert ids_of(await everything(storage)) == ids
        back = await storage.claim_get(PROJECT, QUEUE, held.id, NOW)
        assert ids_of(back.messages) == ids[:1]

    # -- subscriptions and notices ----------------------------------------------

    async def test_subscriptions_move_with_their_ids_in_order(
        self, storage: Storage
    ) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(5)]
        await storage.subscription_update(
            PROJECT, QUEUE, made[1].id, SubscriptionChange(confirmed=True), NOW
        )
        before = await listed(storage, now=NOW + 9)
        await moved(storage)
        seen = []
        marker: str | None = None
        while page := await storage.subscription_list(
            AWAY, QUEUE, marker=marker, limit=2, now=NOW + 9
        ):
            seen += page
            marker = page[-1].id
        assert [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in seen
        ] == [
            (one.id, one.subscriber, one.ttl, one.age, one.confirmed) for one in before
        ]
        _, created = await storage.subscription_create(
            AWAY, QUEUE, subscriber="http://h0/", ttl=60, options={}, now=NOW
        )
        assert created is False
        assert (await storage.usage(AWAY, NOW)).subscriptions == 5
        assert (await storage.usage(PROJECT, NOW)).subscriptions == 0

    async def test_what_is_to_be_told_is_told_once_from_there(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        await post(storage, b"1", b"2")
        await post(storage, b"3")
        (first,) = await take(storage)
        await storage.delivery_settle(first.key, position=1, attempt=2, due=NOW + 5)
        await post(storage, b"4")  # not spread over the subscriptions yet
        store = await sealed(storage)
        assert await take(storage, now=NOW + 100) == []
        assert await storage.delivery_due(NOW) is None
        await received(store, await exported(store))
        assert await take(storage, now=NOW + 100) == []
        assert await store.queue_open(AWAY, QUEUE, MOVED, MOVED)
        assert await store.queue_leave(PROJECT, QUEUE, MOVED, NOW)
        assert await take(storage, now=NOW + 4) == []
        heard = []
        while taken := await take(storage, now=NOW + 100):
            (delivery,) = taken
            assert delivery.subscription.project == AWAY
            heard.append((told(delivery), delivery.position, delivery.attempt))
            await storage.delivery_settle(
                delivery.key,
                position=len(delivery.messages),
                attempt=0,
                due=None,
            )
        assert heard == [([b"1", b"2"], 1, 2), ([b"3"], 0, 0), ([b"4"], 0, 0)]

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
        await storage.queue_delete(PROJECT, QUEUE)
        await moved(storage)
        assert await storage.queue_get(AWAY, QUEUE) is None
        (there,) = await storage.subscription_list(
            AWAY, QUEUE, marker=None, limit=10, now=NOW
        )
        assert there.id == made.id

    # -- refusing ---------------------------------------------------------------

    @staticmethod
    async def _refused(storage: Storage, project: str) -> None:
        """See that every method that names the queue is refused."""
        queue, now = QUEUE, NOW
        calls: list[Any] = [
            storage.queue_create(project, queue, {}),
            storage.queue_get(project, queue),
            storage.queue_update(project, queue, {}, 1),
            storage.queue_delete(project, queue),
            storage.queue_stats(project, queue, now),
            storage.message_post(project, queue, CLIENT, new(b"x"), now),
            storage.message_list(project, queue, marker=None, limit=1, now=now),
            storage.message_get(project, queue, ["x"], now),
            storage.message_delete(project, queue, "x", None, now),
            storage.message_delete_many(project, queue, ["x"], None, now),
            storage.message_pop(project, queue, 1, now),
            storage.message_purge(project, queue),
            storage.claim_create(project, queue, ttl=1, grace=0, limit=1, now=now),
            storage.claim_get(project, queue, "x", now),
            storage.claim_update(project, queue, "x", ttl=1, grace=0, now=now),
            storage.claim_delete(project, queue, "x", now),
            storage.subscription_create(
                project, queue, subscriber="http://h/", ttl=60, options={}, now=now
            ),
            storage.subscription_list(project, queue, marker=None, limit=1, now=now),
            storage.subscription_get(project, queue, "x", now),
            storage.subscription_update(
                project, queue, "x", SubscriptionChange(ttl=60), now
            ),
            storage.subscription_delete(project, queue, "x"),
            storage.subscription_purge(project, queue),
        ]
        for call in calls:
            with pytest.raises(QueueMoving):
                await call

    async def test_a_sealed_queue_is_refused_but_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        await sealed(storage)
        await self._refused(storage, PROJECT)
        assert await storage.queue_count(PROJECT) == 1
        (shown,) = await storage.queue_list(PROJECT, marker=None, limit=10)
        assert shown.name == QUEUE
        assert (await storage.usage(PROJECT, NOW)).messages == 1

    async def test_an_arriving_queue_is_refused_and_not_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        store = await sealed(storage)
        await received(store, await exported(store))
        await self._refused(storage, AWAY)
        assert await storage.queue_count(AWAY) == 0
        assert await storage.queue_list(AWAY, marker=None, limit=10) == []
        assert (await storage.usage(AWAY, NOW)).messages == 0

    async def test_a_queue_that_has_left_is_refused_for_an_hour(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        await moved(storage)
        await self._refused(storage, PROJECT)
        assert await storage.queue_count(PROJECT) == 0
        assert await storage.queue_list(PROJECT, marker=None, limit=10) == []
        assert await storage.usage(PROJECT, NOW) == await storage.usage("nobody", NOW)
        while await storage.sweep(NOW + REMEMBERED_SECONDS + 1):
            pass
        assert await storage.queue_get(PROJECT, QUEUE) is None

    async def test_messages_cannot_be_moved_to_a_dead_letter_queue_that_is_sealed(
        self, storage: Storage
    ) -> None:
        await post(storage, b"old", queue="source")
        await claim(storage, queue="source", ttl=1)
        await post(storage, b"dead")
        await sealed(storage)
        with pytest.raises(QueueMoving):
            await storage.claim_create(
                PROJECT,
                "source",
                ttl=60,
                grace=60,
                limit=10,
                now=NOW + 2,
                dead_letter=DeadLetter(QUEUE, 1),
            )
        assert bodies(await everything(storage, queue="source")) == [b"old"]
        again = await claim(storage, queue="source", now=NOW + 3)
        assert bodies(again.messages) == [b"old"]

    async def test_other_queues_are_served_meanwhile(self, storage: Storage) -> None:
        await post(storage, b"1")
        await sealed(storage)
        await post(storage, b"2", queue="other")
        assert bodies(await everything(storage, queue="other")) == [b"2"]

    async def test_seals_are_listed_and_survive_a_restart(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        store = await sealed(storage)
        await received(store, await exported(store))
        both = [
            Seal(AWAY, QUEUE, MOVED, SealKind.ARRIVING),
            Seal(PROJECT, QUEUE, MOVED, SealKind.LEAVING),
        ]
        assert await store.queue_seals(marker=None, limit=10) == both
        assert await store.queue_seals(marker=(AWAY, QUEUE), limit=10) == both[1:]
        if not await survives(storage):
            return
        assert await store.queue_seals(marker=None, limit=10) == both
        assert await store.queue_open(AWAY, QUEUE, MOVED, MOVED)
        assert await store.queue_leave(PROJECT, QUEUE, MOVED, NOW)
        assert await store.queue_seals(marker=None, limit=10) == []
        assert bodies(await found_there(storage)) == [b"1"]

    # -- steps that come twice, late or not at all --------------------------------

    async def test_each_step_may_be_repeated(self, storage: Storage) -> None:
        await subscribe(storage)
        ids = await post(storage, *[b"%d" % n for n in range(7)])
        held = await claim(storage, limit=2)
        store = await sealed(storage)
        assert await store.queue_seal(PROJECT, QUEUE, MOVED)
        records = await exported(store)
        await received(store, records)
        await received(store, records[:4])
        await received(store, records)
        for _ in range(2):
            assert await store.queue_open(AWAY, QUEUE, MOVED, MOVED)
        assert await store.queue_leave(PROJECT, QUEUE, MOVED, NOW)
        assert not await store.queue_leave(PROJECT, QUEUE, MOVED, NOW)
        assert ids_of(await found_there(storage)) == ids
        there = await storage.claim_get(AWAY, QUEUE, held.id, NOW)
        assert ids_of(there.messages) == ids[:2]
        (delivery,) = await take(storage)
        assert len(delivery.messages) == 7

    async def test_a_late_page_changes_nothing(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        records = await exported(store)
        await received(store, records)
        await store.queue_open(AWAY, QUEUE, MOVED, MOVED)
        await storage.message_delete(AWAY, QUEUE, ids[0], None, NOW)
        with pytest.raises(QueueChanged):
            await store.queue_import(AWAY, QUEUE, MOVED, records)
        assert ids_of(await found_there(storage)) == ids[1:]

    async def test_steps_of_an_earlier_move_are_refused(self, storage: Storage) -> None:
        await post(storage, b"1")
        store = await sealed(storage, 5)
        records = await exported(store)
        await received(store, records, 5)
        assert not await store.queue_seal(PROJECT, QUEUE, 4)
        assert not await store.queue_leave(PROJECT, QUEUE, 4, NOW)
        assert not await store.queue_open(PROJECT, QUEUE, 4, PLACED)
        assert not await store.queue_receive(AWAY, QUEUE, 4)
        with pytest.raises(QueueChanged):
            await store.queue_import(AWAY, QUEUE, 4, records)
        assert not await store.queue_open(AWAY, QUEUE, 4, 4)
        assert not await store.queue_retire(AWAY, QUEUE, 4, NOW)
        assert await store.queue_open(AWAY, QUEUE, 5, 5)
        assert bodies(await found_there(storage)) == [b"1"]

    async def test_only_a_sealed_queue_is_exported(self, storage: Storage) -> None:
        await post(storage, b"1")
        with pytest.raises(QueueChanged):
            await movable(storage).queue_export(PROJECT, QUEUE, None, limit=10)
        with pytest.raises(QueueChanged):
            await movable(storage).queue_import(AWAY, QUEUE, MOVED, [])

    async def test_a_queue_in_service_is_neither_received_nor_left(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1")
        store = movable(storage)
        assert not await store.queue_receive(PROJECT, QUEUE, 9)
        assert not await store.queue_leave(PROJECT, QUEUE, 9, NOW)
        assert await store.queue_open(PROJECT, QUEUE, 9, 9)
        assert ids_of(await everything(storage)) == ids

    async def test_a_move_that_was_given_up_leaves_the_queue_as_it_was(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        await received(store, await exported(store))
        assert await store.queue_leave(AWAY, QUEUE, MOVED, NOW)
        assert await store.queue_open(PROJECT, QUEUE, 3, PLACED)
        assert ids_of(await everything(storage)) == ids
        (delivery,) = await take(storage)
        assert told(delivery) == [b"1", b"2"]
        await self._refused(storage, AWAY)

    async def test_a_copy_that_was_left_behind_is_not_served_again(
        self, storage: Storage
    ) -> None:
        """The queue came back, or was made anew, under a later placement."""
        await subscribe(storage)
        await post(storage, b"old")
        store = await sealed(storage)
        await received(store, await exported(store))
        await store.queue_open(AWAY, QUEUE, MOVED, MOVED)
        assert await store.queue_open(PROJECT, QUEUE, 7, 7)
        assert await storage.queue_get(PROJECT, QUEUE) is None
        assert await everything(storage) == []
        assert await listed(storage) == []
        await post(storage, b"new")
        assert bodies(await everything(storage)) == [b"new"]

    async def test_what_arrived_in_part_is_not_served(self, storage: Storage) -> None:
        await post(storage, b"1", b"2", b"3")
        store = await sealed(storage)
        records = await exported(store)
        await received(store, records[:2])
        assert not await store.queue_open(AWAY, QUEUE, 9, PLACED)
        assert await store.queue_open(AWAY, QUEUE, 9, 9)
        assert await storage.queue_get(AWAY, QUEUE) is None

    async def test_a_later_move_starts_with_nothing(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        await received(store, await exported(store))
        assert await store.queue_seal(PROJECT, QUEUE, 3)
        await received(store, (await exported(store))[:2], 3)
        assert await store.queue_open(AWAY, QUEUE, 3, 3)
        assert ids_of(await found_there(storage)) == ids[:1]

    # -- retiring -----------------------------------------------------------------

    async def test_a_queue_that_has_nothing_can_be_retired(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        await post(storage, b"1")
        assert not await store.queue_retire(PROJECT, QUEUE, PLACED, NOW)
        made = await subscribe(storage)
        await storage.queue_delete(PROJECT, QUEUE)
        assert not await store.queue_retire(PROJECT, QUEUE, PLACED, NOW)
        await storage.subscription_delete(PROJECT, QUEUE, made.id)
        for _ in range(2):
            assert await store.queue_retire(PROJECT, QUEUE, PLACED, NOW)
        await self._refused(storage, PROJECT)

    async def test_a_retired_queue_is_served_again_when_it_is_placed_again(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        assert await store.queue_retire(PROJECT, QUEUE, PLACED, NOW)
        assert not await store.queue_open(PROJECT, QUEUE, PLACED, PLACED)
        assert await store.queue_open(PROJECT, QUEUE, 2, 2)
        await post(storage, b"1")
        assert bodies(await everything(storage)) == [b"1"]

    async def test_a_retired_queue_can_be_sealed_and_is_empty(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        assert await store.queue_retire(PROJECT, QUEUE, PLACED, NOW)
        assert not await store.queue_seal(PROJECT, QUEUE, PLACED)
        assert await store.queue_seal(PROJECT, QUEUE, 2)
        assert await exported(store) == []


async def survives(storage: Storage) -> bool:
    """Open the store again, if it keeps what it has."""
    if storage.durability is Durability.MEMORY:
        return False
    await storage.close()
    await storage.open()
    return True
