"""The suite: what a store refuses while a queue moves, and steps that go astray."""

from __future__ import annotations

import pytest

from zaqarserver.errors import QueueChanged, QueueMoving
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import DeadLetter, Durability
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
from zaqarserver.storage.testing.moving import (
    AWAY,
    MOVED,
    PLACED,
    MovingBench,
)
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    examples,
    ids_of,
)


class MovingStepsContract(MovingBench, Suite):
    """Steps of a move that come late, come twice, or are refused."""

    async def survives(self) -> bool:
        """Open the store again, if it keeps what it has."""
        if self.store.durability is Durability.MEMORY:
            return False
        await self.store.close()
        await self.store.open()
        return True

    # -- refusing ---------------------------------------------------------------

    async def _refused(self, project: str) -> None:
        """Assert that each command about the queue is refused."""
        for command in examples(project, QUEUE):
            with pytest.raises(QueueMoving):
                await self.do(command)

    async def test_a_sealed_queue_is_refused_but_counted(self) -> None:
        await self.post(b"1")
        await self.sealed()
        await self._refused(PROJECT)
        assert await self.do(QueueCount(PROJECT)) == 1
        (shown,) = await self.do(QueueList(PROJECT, marker=None, limit=10))
        assert shown.name == QUEUE
        assert (await self.do(UsageGet(PROJECT, NOW))).messages == 1

    async def test_an_arriving_queue_is_refused_and_not_counted(self) -> None:
        await self.post(b"1")
        await self.copied()
        await self._refused(AWAY)
        assert await self.do(QueueCount(AWAY)) == 0
        assert await self.do(QueueList(AWAY, marker=None, limit=10)) == []
        assert (await self.do(UsageGet(AWAY, NOW))).messages == 0

    async def test_a_queue_that_has_left_is_refused_for_an_hour(self) -> None:
        await self.post(b"1")
        await self.moved()
        await self._refused(PROJECT)
        assert await self.do(QueueCount(PROJECT)) == 0
        assert await self.do(QueueList(PROJECT, marker=None, limit=10)) == []
        assert await self.do(UsageGet(PROJECT, NOW)) == await self.do(
            UsageGet("nobody", NOW)
        )
        while await self.store.sweep(NOW + REMEMBERED_SECONDS + 1):
            pass
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_messages_cannot_be_moved_to_a_dead_letter_queue_that_is_sealed(
        self,
    ) -> None:
        await self.post(b"old", queue="source")
        await self.claim(queue="source", ttl=1)
        await self.post(b"dead")
        await self.sealed()
        with pytest.raises(QueueMoving):
            await self.do(
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
        assert bodies(await self.everything(queue="source")) == [b"old"]
        again = await self.claim(queue="source", now=NOW + 3)
        assert bodies(again.messages) == [b"old"]

    async def test_other_queues_are_served_meanwhile(self) -> None:
        await self.post(b"1")
        await self.sealed()
        await self.post(b"2", queue="other")
        assert bodies(await self.everything(queue="other")) == [b"2"]

    async def test_seals_are_listed_and_survive_a_restart(self) -> None:
        await self.post(b"1")
        await self.copied()
        both = [
            Seal(AWAY, QUEUE, MOVED, SealKind.ARRIVING),
            Seal(PROJECT, QUEUE, MOVED, SealKind.LEAVING),
        ]
        assert await self.do(SealList(marker=None, limit=10)) == both
        assert await self.do(SealList(marker=(AWAY, QUEUE), limit=10)) == both[1:]
        if not await self.survives():
            return
        assert await self.do(SealList(marker=None, limit=10)) == both
        assert await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await self.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert await self.do(SealList(marker=None, limit=10)) == []
        assert bodies(await self.found_there()) == [b"1"]

    # -- steps that come twice, late or not at all --------------------------------

    async def test_each_step_may_be_repeated(self) -> None:
        await self.subscribe()
        ids = await self.post(*[b"%d" % n for n in range(7)])
        held = await self.claim(limit=2)
        await self.sealed()
        assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, MOVED, NOW))
        records = await self.exported()
        await self.received(records)
        await self.received(records[:4])
        await self.received(records)
        for _ in range(2):
            assert await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await self.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert not await self.do(QueueDrop(PROJECT, QUEUE, MOVED, NOW))
        assert ids_of(await self.found_there()) == ids
        there = await self.do(ClaimGet(AWAY, QUEUE, held.id, NOW))
        assert ids_of(there.messages) == ids[:2]
        arrived: list[str] = []
        while taken := await self.take():
            (delivery,) = taken
            arrived += [message.id for message in delivery.messages]
            await self.done(delivery)
        assert len(arrived) == len(set(arrived)) == 7

    async def test_what_has_arrived_is_counted_like_what_leaves(self) -> None:
        await self.fill()
        await self.sealed()
        leaving = await self.do(QueueContents(PROJECT, QUEUE, NOW))
        assert leaving == Contents(
            queues=1,
            posts=0,
            messages=80,
            claims=14,
            claimed=28,
            subscriptions=12,
            waiting=12,
            notices=40,
        )
        records = await self.exported()
        for end in (0, len(records) // 4, len(records) // 2, len(records)):
            await self.received(records[:end])
            arrived = await self.do(QueueContents(AWAY, QUEUE, NOW))
            assert bool(leaving.missing_from(arrived)) is (end < len(records))
        assert arrived == leaving
        ended = await self.do(QueueContents(AWAY, QUEUE, NOW + 600))
        assert ended == Contents(1, 0, 0, 0, 0, 0, 0, 0)

    async def test_what_neither_leaves_nor_arrives_is_not_counted(self) -> None:
        await self.post(b"1")
        with pytest.raises(QueueChanged):
            await self.do(QueueContents(PROJECT, QUEUE, NOW))
        await self.moved()
        for project in (PROJECT, AWAY):
            with pytest.raises(QueueChanged):
                await self.do(QueueContents(project, QUEUE, NOW))

    async def test_a_late_page_changes_nothing(self) -> None:
        ids = await self.post(b"1", b"2")
        await self.sealed()
        records = await self.exported()
        await self.received(records)
        await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        await self.do(MessageDelete(AWAY, QUEUE, ids[0], None, NOW))
        with pytest.raises(QueueChanged):
            await self.do(QueueImport(AWAY, QUEUE, MOVED, records))
        assert ids_of(await self.found_there()) == ids[1:]

    async def test_steps_of_an_earlier_move_are_refused(self) -> None:
        await self.post(b"1")
        await self.sealed(epoch=5)
        records = await self.exported()
        await self.received(records, 5)
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 4, NOW))
        assert not await self.do(QueueDrop(PROJECT, QUEUE, 4, NOW))
        assert not await self.do(QueueOpen(PROJECT, QUEUE, 4, PLACED))
        assert not await self.do(QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, 4, NOW))
        with pytest.raises(QueueChanged):
            await self.do(QueueImport(AWAY, QUEUE, 4, records))
        assert not await self.do(QueueOpen(AWAY, QUEUE, 4, 4))
        assert not await self.do(QueueSeal(AWAY, QUEUE, SealKind.GONE, 4, NOW))
        assert await self.do(QueueOpen(AWAY, QUEUE, 5, 5))
        assert bodies(await self.found_there()) == [b"1"]

    async def test_a_late_step_cannot_take_a_queue_that_came_back(self) -> None:
        """Its mover was slow; others have moved the queue away and back since."""
        ids = await self.post(b"1")
        await self.moved(5)
        await self.move((AWAY, QUEUE), (PROJECT, QUEUE), 6)
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 4, NOW))
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 4, NOW))
        assert ids_of(await self.everything()) == ids

    async def test_a_late_step_does_not_seal_what_arrived_and_was_deleted(self) -> None:
        await self.post(b"1")
        await self.moved()
        await self.do(QueueDelete(AWAY, QUEUE))
        late = QueueSeal(AWAY, QUEUE, SealKind.ARRIVING, MOVED, NOW)
        assert not await self.do(late)
        assert await self.do(QueueGet(AWAY, QUEUE)) is None

    async def test_only_a_sealed_queue_is_exported(self) -> None:
        self.need_moves()
        await self.post(b"1")
        with pytest.raises(QueueChanged):
            await self.do(QueueExport(PROJECT, QUEUE, None, limit=10))
        with pytest.raises(QueueChanged):
            await self.do(QueueImport(AWAY, QUEUE, MOVED, []))

    async def test_a_queue_in_service_is_neither_received_nor_left(self) -> None:
        ids = await self.post(b"1")
        self.need_moves()
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.ARRIVING, 9, NOW))
        assert not await self.do(QueueDrop(PROJECT, QUEUE, 9, NOW))
        assert await self.do(QueueOpen(PROJECT, QUEUE, 9, 9))
        assert ids_of(await self.everything()) == ids

    async def test_a_move_that_was_given_up_leaves_the_queue_as_it_was(self) -> None:
        await self.subscribe()
        ids = await self.post(b"1", b"2")
        await self.copied()
        assert await self.do(QueueDrop(AWAY, QUEUE, MOVED, NOW))
        assert await self.do(QueueOpen(PROJECT, QUEUE, 3, PLACED))
        assert ids_of(await self.everything()) == ids
        (delivery,) = await self.take()
        assert told(delivery) == [b"1", b"2"]
        await self._refused(AWAY)

    async def test_a_copy_that_was_left_behind_is_not_served_again(self) -> None:
        """The queue came back, or was made again, under a later placement."""
        await self.subscribe()
        await self.post(b"old")
        await self.copied()
        await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert await self.do(QueueOpen(PROJECT, QUEUE, 7, 7))
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None
        assert await self.everything() == []
        assert await self.listed() == []
        await self.post(b"new")
        assert bodies(await self.everything()) == [b"new"]

    async def test_what_arrived_in_part_is_not_served(self) -> None:
        await self.post(b"1", b"2", b"3")
        await self.sealed()
        records = await self.exported()
        await self.received(records[:2])
        assert not await self.do(QueueOpen(AWAY, QUEUE, 9, PLACED))
        assert await self.do(QueueOpen(AWAY, QUEUE, 9, 9))
        assert await self.do(QueueGet(AWAY, QUEUE)) is None

    async def test_a_later_move_starts_with_nothing(self) -> None:
        ids = await self.post(b"1", b"2")
        await self.copied()
        assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 3, NOW))
        await self.received((await self.exported())[:2], 3)
        assert await self.do(QueueOpen(AWAY, QUEUE, 3, 3))
        assert ids_of(await self.found_there()) == ids[:1]

    # -- retiring -----------------------------------------------------------------

    async def test_a_queue_that_has_nothing_can_be_retired(self) -> None:
        self.need_moves()
        await self.post(b"1")
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        made = await self.subscribe()
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert not await self.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        await self.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        for _ in range(2):
            assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        await self._refused(PROJECT)

    async def test_a_queue_that_leaves_or_has_arrived_cannot_be_retired(self) -> None:
        """Its store may have all of it, and the catalogue may name this epoch."""
        ids = await self.post(b"1")
        await self.copied()
        for epoch in (MOVED, MOVED + 1):
            for project in (PROJECT, AWAY):
                gone = QueueSeal(project, QUEUE, SealKind.GONE, epoch, NOW)
                assert not await self.do(gone)
        assert await self.do(QueueOpen(AWAY, QUEUE, MOVED, MOVED))
        assert ids_of(await self.found_there()) == ids

    async def test_a_retired_queue_is_served_again_when_it_is_placed_again(
        self,
    ) -> None:
        self.need_moves()
        assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        assert not await self.do(QueueOpen(PROJECT, QUEUE, PLACED, PLACED))
        assert await self.do(QueueOpen(PROJECT, QUEUE, 2, 2))
        await self.post(b"1")
        assert bodies(await self.everything()) == [b"1"]

    async def test_a_retired_queue_can_be_sealed_and_is_empty(self) -> None:
        self.need_moves()
        assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.GONE, PLACED, NOW))
        assert not await self.do(
            QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, PLACED, NOW)
        )
        assert await self.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 2, NOW))
        assert await self.exported() == []
