"""The suite: what a store refuses while a queue moves, and steps that go astray."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarserver.errors import QueueChanged, QueueMoving
from zaqarserver.storage.base import DeadLetter, Durability, Storage
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    Contents,
    Seal,
    SealKind,
)
from zaqarserver.storage.subscriptions import SubscriptionChange
from zaqarserver.storage.testing.deliveries import bodies as told
from zaqarserver.storage.testing.deliveries import done, take
from zaqarserver.storage.testing.moving import (
    AWAY,
    MOVED,
    PLACED,
    exported,
    fill,
    found_there,
    movable,
    moved,
    received,
    sealed,
)
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


async def survives(storage: Storage) -> bool:
    """Open the store again, if it keeps what it has."""
    if storage.durability is Durability.MEMORY:
        return False
    await storage.close()
    await storage.open()
    return True


class MovingStepsContract(Suite):
    """Moves a queue into another project of the same store, and is disturbed."""

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
        arrived: list[str] = []
        while taken := await take(storage):
            (delivery,) = taken
            arrived += [message.id for message in delivery.messages]
            await done(storage, delivery)
        assert len(arrived) == len(set(arrived)) == 7

    async def test_what_has_arrived_is_counted_like_what_leaves(
        self, storage: Storage
    ) -> None:
        await fill(storage)
        store = await sealed(storage)
        leaving = await store.queue_contents(PROJECT, QUEUE, NOW)
        assert leaving == Contents(
            queues=1,
            messages=80,
            claims=14,
            claimed=28,
            subscriptions=12,
            waiting=12,
            deliveries=40 + 11 * 9,
        )
        records = await exported(store)
        for end in (0, len(records) // 4, len(records) // 2, len(records)):
            await received(store, records[:end])
            arrived = await store.queue_contents(AWAY, QUEUE, NOW)
            assert bool(leaving.missing_from(arrived)) is (end < len(records))
        assert arrived == leaving
        ended = await store.queue_contents(AWAY, QUEUE, NOW + 600)
        assert ended == Contents(1, 0, 0, 0, 0, 0, 0)

    async def test_what_neither_leaves_nor_arrives_is_not_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        with pytest.raises(QueueChanged):
            await movable(storage).queue_contents(PROJECT, QUEUE, NOW)
        await moved(storage)
        for project in (PROJECT, AWAY):
            with pytest.raises(QueueChanged):
                await movable(storage).queue_contents(project, QUEUE, NOW)

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

    async def test_a_late_step_cannot_take_a_queue_that_came_back(
        self, storage: Storage
    ) -> None:
        """Its mover was slow; others have moved the queue away and back since."""
        ids = await post(storage, b"1")
        store = await sealed(storage, 5)
        await received(store, await exported(store), 5)
        assert await store.queue_open(AWAY, QUEUE, 5, 5)
        assert await store.queue_leave(PROJECT, QUEUE, 5, NOW)
        assert await store.queue_seal(AWAY, QUEUE, 6)
        records = await exported(store, AWAY)
        assert await store.queue_receive(PROJECT, QUEUE, 6)
        await store.queue_import(PROJECT, QUEUE, 6, records)
        assert await store.queue_open(PROJECT, QUEUE, 6, 6)
        assert not await store.queue_seal(PROJECT, QUEUE, 4)
        assert not await store.queue_receive(PROJECT, QUEUE, 4)
        assert ids_of(await everything(storage)) == ids

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
