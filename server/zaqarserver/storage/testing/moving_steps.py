"""The suite: what a store refuses while a queue moves, and steps that go astray."""

from __future__ import annotations

import pytest

from zaqarserver.errors import QueueChanged, QueueMoving
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import DeadLetter, Durability, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimGet,
    MessageDelete,
    QueueCount,
    QueueDelete,
    QueueGet,
    QueueList,
)
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    Contents,
    QueueContents,
    QueueDrop,
    QueueExport,
    QueueImport,
    QueueOpen,
    QueueSeal,
    Seal,
    SealKind,
    SealList,
)
from zaqarserver.storage.subscriptions import (
    SubscriptionDelete,
)
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
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    claim,
    everything,
    examples,
    ids_of,
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
    """Steps of a move that come late, come twice, or are refused."""

    # -- refusing ---------------------------------------------------------------

    @staticmethod
    async def _refused(storage: Storage, project: str) -> None:
        """Assert that each command about the queue is refused."""
        for command in examples(project, QUEUE):
            with pytest.raises(QueueMoving):
                await storage.do(command)

    async def test_a_sealed_queue_is_refused_but_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        await sealed(storage)
        await self._refused(storage, PROJECT)
        assert await storage.do(QueueCount(PROJECT)) == 1
        (shown,) = await storage.do(QueueList(PROJECT, marker=None, limit=10))
        assert shown.name == QUEUE
        assert (await storage.do(UsageGet(PROJECT, NOW))).messages == 1

    async def test_an_arriving_queue_is_refused_and_not_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        store = await sealed(storage)
        await received(store, await exported(store))
        await self._refused(storage, AWAY)
        assert await storage.do(QueueCount(AWAY)) == 0
        assert await storage.do(QueueList(AWAY, marker=None, limit=10)) == []
        assert (await storage.do(UsageGet(AWAY, NOW))).messages == 0

    async def test_a_queue_that_has_left_is_refused_for_an_hour(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        await moved(storage)
        await self._refused(storage, PROJECT)
        assert await storage.do(QueueCount(PROJECT)) == 0
        assert await storage.do(QueueList(PROJECT, marker=None, limit=10)) == []
        assert await storage.do(UsageGet(PROJECT, NOW)) == await storage.do(
            UsageGet("nobody", NOW)
        )
        while await storage.sweep(NOW + REMEMBERED_SECONDS + 1):
            pass
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_messages_cannot_be_moved_to_a_dead_letter_queue_that_is_sealed(
        self, storage: Storage
    ) -> None:
        await post(storage, b"old", queue="source")
        await claim(storage, queue="source", ttl=1)
        await post(storage, b"dead")
        await sealed(storage)
        with pytest.raises(QueueMoving):
            await storage.do(
                ClaimCreate(
                    PROJECT,
                    "source",
                    ttl=60,
                    grace=60,
                    limit=10,
                    now=NOW + 2,
                    dead_letter=DeadLetter(QUEUE, 1),
                )
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
        assert await store.do(SealList(marker=None, limit=10)) == both
        assert await store.do(SealList(marker=(AWAY, QUEUE), limit=10)) == both[1:]
        if not await survives(storage):
            return
        assert await store.do(SealList(marker=None, limit=10)) == both
        assert await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await store.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert await store.do(SealList(marker=None, limit=10)) == []
        assert bodies(await found_there(storage)) == [b"1"]

    # -- steps that come twice, late or not at all --------------------------------

    async def test_each_step_may_be_repeated(self, storage: Storage) -> None:
        await subscribe(storage)
        ids = await post(storage, *[b"%d" % n for n in range(7)])
        held = await claim(storage, limit=2)
        store = await sealed(storage)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
        records = await exported(store)
        await received(store, records)
        await received(store, records[:4])
        await received(store, records)
        for _ in range(2):
            assert await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await store.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert not await store.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert ids_of(await found_there(storage)) == ids
        there = await storage.do(ClaimGet(AWAY, QUEUE, held.id, NOW))
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
        leaving = await store.do(QueueContents(PROJECT, QUEUE, NOW))
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
            arrived = await store.do(QueueContents(AWAY, QUEUE, NOW))
            assert bool(leaving.missing_from(arrived)) is (end < len(records))
        assert arrived == leaving
        ended = await store.do(QueueContents(AWAY, QUEUE, NOW + 600))
        assert ended == Contents(1, 0, 0, 0, 0, 0, 0)

    async def test_what_neither_leaves_nor_arrives_is_not_counted(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        with pytest.raises(QueueChanged):
            await movable(storage).do(QueueContents(PROJECT, QUEUE, NOW))
        await moved(storage)
        for project in (PROJECT, AWAY):
            with pytest.raises(QueueChanged):
                await movable(storage).do(QueueContents(project, QUEUE, NOW))

    async def test_a_late_page_changes_nothing(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        records = await exported(store)
        await received(store, records)
        await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        await storage.do(MessageDelete(AWAY, QUEUE, ids[0], None, NOW))
        with pytest.raises(QueueChanged):
            await store.do(QueueImport(AWAY, QUEUE, MOVED, records))
        assert ids_of(await found_there(storage)) == ids[1:]

    async def test_steps_of_an_earlier_move_are_refused(self, storage: Storage) -> None:
        await post(storage, b"1")
        store = await sealed(storage, 5)
        records = await exported(store)
        await received(store, records, 5)
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 4, NOW))
        assert not await store.do(QueueDrop(PROJECT, QUEUE, 4, NOW))
        assert not await store.do(QueueOpen(PROJECT, QUEUE, 4, PLACED))
        assert not await store.do(QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, 4, NOW))
        with pytest.raises(QueueChanged):
            await store.do(QueueImport(AWAY, QUEUE, 4, records))
        assert not await store.do(QueueOpen(AWAY, QUEUE, 4, 4))
        assert not await store.do(QueueSeal(AWAY, QUEUE, SealKind.GONE, 4, NOW))
        assert await store.do(QueueOpen(AWAY, QUEUE, 5, 5))
        assert bodies(await found_there(storage)) == [b"1"]

    async def test_a_late_step_cannot_take_a_queue_that_came_back(
        self, storage: Storage
    ) -> None:
        """Its mover was slow; others have moved the queue away and back since."""
        ids = await post(storage, b"1")
        store = await sealed(storage, 5)
        await received(store, await exported(store), 5)
        assert await store.do(QueueOpen(AWAY, QUEUE, 5, 5))
        assert await store.do(QueueDrop(PROJECT, QUEUE, 5, NOW))
        assert await store.do(QueueSeal(AWAY, QUEUE, SealKind.LEAVING, 6, NOW))
        records = await exported(store, AWAY)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 6, NOW))
        await store.do(QueueImport(PROJECT, QUEUE, 6, records))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 6, 6))
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 4, NOW))
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 4, NOW))
        assert ids_of(await everything(storage)) == ids

    async def test_only_a_sealed_queue_is_exported(self, storage: Storage) -> None:
        await post(storage, b"1")
        with pytest.raises(QueueChanged):
            await movable(storage).do(QueueExport(PROJECT, QUEUE, None, limit=10))
        with pytest.raises(QueueChanged):
            await movable(storage).do(QueueImport(AWAY, QUEUE, MOVED, []))

    async def test_a_queue_in_service_is_neither_received_nor_left(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1")
        store = movable(storage)
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 9, NOW))
        assert not await store.do(QueueDrop(PROJECT, QUEUE, 9, NOW))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 9, 9))
        assert ids_of(await everything(storage)) == ids

    async def test_a_move_that_was_given_up_leaves_the_queue_as_it_was(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        await received(store, await exported(store))
        assert await store.do(QueueDrop(AWAY, QUEUE, MOVED, NOW))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 3, PLACED))
        assert ids_of(await everything(storage)) == ids
        (delivery,) = await take(storage)
        assert told(delivery) == [b"1", b"2"]
        await self._refused(storage, AWAY)

    async def test_a_copy_that_was_left_behind_is_not_served_again(
        self, storage: Storage
    ) -> None:
        """The queue came back, or was made again, under a later placement."""
        await subscribe(storage)
        await post(storage, b"old")
        store = await sealed(storage)
        await received(store, await exported(store))
        await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 7, 7))
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None
        assert await everything(storage) == []
        assert await listed(storage) == []
        await post(storage, b"new")
        assert bodies(await everything(storage)) == [b"new"]

    async def test_what_arrived_in_part_is_not_served(self, storage: Storage) -> None:
        await post(storage, b"1", b"2", b"3")
        store = await sealed(storage)
        records = await exported(store)
        await received(store, records[:2])
        assert not await store.do(QueueOpen(AWAY, QUEUE, 9, PLACED))
        assert await store.do(QueueOpen(AWAY, QUEUE, 9, 9))
        assert await storage.do(QueueGet(AWAY, QUEUE)) is None

    async def test_a_later_move_starts_with_nothing(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2")
        store = await sealed(storage)
        await received(store, await exported(store))
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 3, NOW))
        await received(store, (await exported(store))[:2], 3)
        assert await store.do(QueueOpen(AWAY, QUEUE, 3, 3))
        assert ids_of(await found_there(storage)) == ids[:1]

    # -- retiring -----------------------------------------------------------------

    async def test_a_queue_that_has_nothing_can_be_retired(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        await post(storage, b"1")
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        made = await subscribe(storage)
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert not await store.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        await storage.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        for _ in range(2):
            assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        await self._refused(storage, PROJECT)

    async def test_a_queue_that_leaves_or_has_arrived_cannot_be_retired(
        self, storage: Storage
    ) -> None:
        """Its store may have all of it, and the catalogue may name this epoch."""
        ids = await post(storage, b"1")
        store = await sealed(storage)
        await received(store, await exported(store))
        for epoch in (MOVED, MOVED + 1):
            for project in (PROJECT, AWAY):
                gone = QueueSeal(project, QUEUE, SealKind.GONE, epoch, NOW)
                assert not await store.do(gone)
        assert await store.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert ids_of(await found_there(storage)) == ids

    async def test_a_retired_queue_is_served_again_when_it_is_placed_again(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        assert not await store.do(QueueOpen(PROJECT, QUEUE, PLACED, PLACED))
        assert await store.do(QueueOpen(PROJECT, QUEUE, 2, 2))
        await post(storage, b"1")
        assert bodies(await everything(storage)) == [b"1"]

    async def test_a_retired_queue_can_be_sealed_and_is_empty(
        self, storage: Storage
    ) -> None:
        store = movable(storage)
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        assert not await store.do(
            QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, PLACED, NOW)
        )
        assert await store.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 2, NOW))
        assert await exported(store) == []
