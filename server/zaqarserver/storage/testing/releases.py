"""The suite: messages that are released, buried and redriven."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zaqarserver.errors import (
    ClaimNotFound,
    ClaimNotLive,
    MessageClaimed,
    MessageNotFound,
)
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import Claim, DeadLetter
from zaqarserver.storage.commands import (
    ClaimDelete,
    ClaimGet,
    MessageDelete,
    MessagePop,
    QueueCreate,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.records import DeadLetterOrigin, Notes
from zaqarserver.storage.releases import (
    HeldCommand,
    MessageBury,
    MessageExport,
    MessageImport,
    MessageRedrive,
    MessageRelease,
    copy_redriven,
)
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    ids_of,
)

DEAD, OTHER = "dead", "other"
TO_DEAD = DeadLetter(DEAD, 3)


class ReleaseContract(Suite):
    """Returning messages, setting them aside, and trying them again."""

    async def release(self, held: Claim, index: int = 0, **given: Any) -> None:
        """Release a message of a claim."""
        members = {"now": NOW, **given}
        id_ = held.messages[index].id
        await self.do(
            MessageRelease(PROJECT, QUEUE, message_id=id_, claim_id=held.id, **members)
        )

    async def bury(self, held: Claim, index: int = 0, **given: Any) -> None:
        """Bury a message of a claim."""
        members = {"now": NOW, "dead_letter": TO_DEAD, **given}
        id_ = held.messages[index].id
        await self.do(
            MessageBury(PROJECT, QUEUE, message_id=id_, claim_id=held.id, **members)
        )

    async def redrive(self, ids: list[str], **given: Any) -> list[str]:
        """Redrive messages of the dead letter queue."""
        members = {"target": QUEUE, "ttl": 300, "now": NOW, **given}
        return await self.do(MessageRedrive(PROJECT, DEAD, ids=ids, **members))

    # -- release ------------------------------------------------------------

    async def test_a_released_message_is_free_at_once(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        held = await self.claim()
        await self.release(held, 1)
        assert await self.claimable() == [b"2"]
        assert (await self.get_one(ids[1])).claim_id is None
        found = await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(found.messages) == [ids[0], ids[2]]

    async def test_a_released_message_keeps_its_count(self) -> None:
        message_id = await self.post_one()
        await self.release(await self.claim())
        assert (await self.get_one(message_id)).claim_count == 1
        assert (await self.claim()).messages[0].claim_count == 2

    async def test_a_claim_of_which_all_is_released_is_gone(self) -> None:
        await self.post_one()
        held = await self.claim()
        await self.release(held)
        with pytest.raises(ClaimNotLive):
            await self.release(held)

    async def test_a_message_released_with_a_delay_is_free_after_it(self) -> None:
        message_id = await self.post_one()
        await self.release(await self.claim(), delay=10)
        for delayed in (False, True):
            early = await self.claimable(now=NOW + 9.99, include_delayed=delayed)
            assert early == []
            pop = MessagePop(PROJECT, QUEUE, 1, NOW + 9.99, include_delayed=delayed)
            assert await self.do(pop) == []
        assert await self.page(include_delayed=True, include_claimed=True) == []
        assert ids_of(await self.page(include_postponed=True)) == [message_id]
        assert (await self.get_one(message_id)).claim_id is None
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (stats.free, stats.claimed) == (1, 0)
        assert await self.claimable(now=NOW + 10) == [b"1"]

    async def test_a_postponed_message_is_deleted_without_a_claim(self) -> None:
        message_id = await self.post_one()
        await self.release(await self.claim(), delay=10)
        await self.do(MessageDelete(PROJECT, QUEUE, message_id, None, NOW))
        assert await self.everything() == []
        assert await self.claimable(now=NOW + 10) == []

    async def test_postponed_messages_take_their_old_place(self) -> None:
        await self.post(b"1", b"2", b"3")
        held = await self.claim(limit=2)
        await self.release(held, 0, delay=20)
        await self.release(held, 1, delay=10)
        assert await self.claimable(now=NOW + 10) == [b"2", b"3"]
        assert await self.visible(now=NOW + 20) == [b"1", b"2", b"3"]

    async def test_a_claim_is_released_with_a_delay(self) -> None:
        await self.post(*[b"x"] * 300)
        held = await self.claim(limit=250)
        await self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW, 10))
        assert len(await self.claimable(now=NOW + 9.99)) == 50
        assert len(await self.claimable(now=NOW + 10)) == 300

    async def test_many_postponed_messages_do_not_hide_the_free_ones(self) -> None:
        await self.post(*[b"x"] * 2500)
        held = await self.claim(limit=2500)
        await self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW, 60))
        await self.post(b"free")
        assert await self.claimable(include_delayed=True) == [b"free"]

    async def test_the_last_reason_is_kept(self) -> None:
        message_id = await self.post_one()
        assert (await self.get_one(message_id)).notes is None
        for reason, shown in [(None, None), ("a", "a"), ("b", "b"), (None, "b")]:
            await self.release(await self.claim(), reason=reason)
            wanted = None if shown is None else Notes(shown)
            assert (await self.get_one(message_id)).notes == wanted
        assert [one.notes for one in (await self.claim()).messages] == [Notes("b")]

    @pytest.mark.parametrize(
        ("kind", "more"),
        [(MessageRelease, {}), (MessageBury, {"dead_letter": TO_DEAD})],
    )
    async def test_only_the_claim_of_a_message_returns_it(
        self, kind: type[HeldCommand], more: dict[str, Any]
    ) -> None:
        await self.post(b"1", b"2", b"3")
        one, two = await self.claim(limit=1), await self.claim(limit=1)
        (mine,) = one.messages
        free = (await self.page())[0].id

        async def attempt(message_id: str, claim_id: str, now: float = NOW) -> None:
            await self.do(kind(PROJECT, QUEUE, message_id, claim_id, now, **more))

        with pytest.raises(MessageClaimed):
            await attempt(mine.id, two.id)
        for claim_id in ("x", mine.id, ""):
            with pytest.raises(ClaimNotLive):
                await attempt(mine.id, claim_id)
        with pytest.raises(ClaimNotLive):
            await attempt(free, one.id)
        with pytest.raises(ClaimNotLive):
            await attempt(mine.id, one.id, NOW + 100)
        for message_id in ("x", one.id):
            with pytest.raises(MessageNotFound):
                await attempt(message_id, one.id)
        with pytest.raises(MessageNotFound):
            await attempt(mine.id, one.id, NOW + 600)
        assert len(await self.everything()) == 3
        assert await self.do(QueueGet(PROJECT, DEAD)) is None

    # -- bury ---------------------------------------------------------------

    async def test_a_buried_message_says_where_it_came_from(self) -> None:
        message_id = await self.post_one()
        await self.release(await self.claim(), reason="first")
        held = await self.claim()
        await self.bury(held, now=NOW + 1.5, reason="second")
        assert await self.everything(now=NOW + 2) == []
        (dead,) = await self.everything(queue=DEAD, now=NOW + 2)
        origin = DeadLetterOrigin(QUEUE, 2, NOW + 1.5, "second")
        assert (dead.id, dead.claim_count) == (message_id, 0)
        assert (dead.claim_id, dead.ttl) == (None, 600)
        assert dead.notes == Notes("second", origin)
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW + 2))
        assert (stats.free, stats.claimed) == (0, 0)
        with pytest.raises(ClaimNotFound):
            await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW + 2))

    async def test_a_buried_message_has_the_last_reason_and_the_ttl(self) -> None:
        await self.post_one()
        await self.release(await self.claim(), reason="why")
        held = await self.claim()
        await self.bury(held, dead_letter=DeadLetter(DEAD, 9, 120))
        (dead,) = await self.everything(queue=DEAD)
        assert (dead.ttl, dead.notes) == (
            120,
            Notes("why", DeadLetterOrigin(QUEUE, 2, NOW, "why")),
        )
        assert await self.everything(queue=DEAD, now=NOW + 120) == []

    # -- redrive ------------------------------------------------------------

    async def test_redriven_messages_are_as_new_in_their_old_order(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        held = await self.claim()
        for index in (2, 0, 1):
            await self.bury(held, index, reason="why")
        assert ids_of(await self.everything(queue=DEAD)) == ids
        assert await self.redrive([*ids, ids[0], "x"], now=NOW + 9) == ids
        assert await self.everything(queue=DEAD, now=NOW + 9) == []
        found = await self.everything(now=NOW + 9)
        assert bodies(found) == [b"1", b"2", b"3"]
        assert ids_of(found) == ids
        assert {(one.ttl, one.age, one.claim_count) for one in found} == {(300, 9, 0)}
        assert {one.notes for one in found} == {None}
        assert await self.everything(now=NOW + 309) == []

    async def test_a_redrive_skips_claimed_messages(self) -> None:
        ids = await self.post(b"1", b"2", b"3", queue=DEAD)
        await self.claim(queue=DEAD, limit=1)
        assert await self.redrive(ids, target=OTHER) == ids[1:]
        assert ids_of(await self.everything(queue=DEAD)) == ids[:1]
        assert ids_of(await self.everything(queue=OTHER)) == ids[1:]

    async def test_redriven_messages_may_be_postponed(self) -> None:
        ids = await self.post(b"1", b"2", queue=DEAD)
        assert await self.redrive(ids, delay=30) == ids
        assert await self.claimable(now=NOW + 29.99, include_delayed=True) == []
        assert await self.claimable(now=NOW + 30) == [b"1", b"2"]

    async def test_a_message_goes_round_as_often_as_it_is_sent(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        message_id = await self.post_one()
        for _ in range(3):
            await self.bury(await self.claim())
            assert ids_of(await self.everything(queue=DEAD)) == [message_id]
            assert await self.redrive([message_id]) == [message_id]
            assert ids_of(await self.everything()) == [message_id]
        queue = await self.do(QueueGet(PROJECT, QUEUE))
        assert queue is not None
        assert queue.metadata == {"a": 1}

    async def test_postponed_and_delayed_messages_are_redriven(self) -> None:
        await self.post(b"1", queue=DEAD)
        held = await self.claim(queue=DEAD)
        await self.do(ClaimDelete(PROJECT, DEAD, held.id, NOW, 60))
        await self.post(b"2", queue=DEAD, delay=60)
        ids = ids_of(await self.everything(queue=DEAD))
        assert await self.redrive(ids) == ids
        assert await self.claimable() == [b"1", b"2"]
        assert await self.claimable(queue=DEAD, now=NOW + 60) == []

    async def test_many_messages_are_redriven_at_once(self) -> None:
        ids = await self.post(*[b"x"] * 1000, queue=DEAD)
        found = await asyncio.gather(*(self.redrive(ids) for _ in range(3)))
        assert sorted(one for some in found for one in some) == ids
        assert ids_of(await self.everything()) == ids

    async def test_a_redrive_of_nothing_makes_no_queue(self) -> None:
        assert await self.redrive(["x"]) == []
        await self.post(b"1", queue=DEAD)
        assert await self.redrive(["x"], target=OTHER) == []
        assert await self.do(QueueGet(PROJECT, OTHER)) is None

    # -- from store to store ------------------------------------------------

    async def copy_back(self, now: float, **given: Any) -> list[str]:
        """Redrive the dead letters as to another store."""
        ids = ids_of(await self.everything(queue=DEAD, now=now))
        members = {"target": QUEUE, "ttl": 300, "now": now, **given}
        command = MessageRedrive(PROJECT, DEAD, ids=ids, **members)
        return await copy_redriven(self.do, command)

    async def test_a_copy_is_as_a_redrive(self) -> None:
        ids = await self.post(*[b"x"] * 150)
        held = await self.claim(limit=150)
        for index in range(150):
            await self.bury(held, index, reason="why")
        await self.post(b"later", now=NOW + 1)
        assert await self.copy_back(NOW + 9) == ids
        assert await self.everything(queue=DEAD, now=NOW + 9) == []
        *found, last = await self.everything(now=NOW + 9)
        assert (ids_of(found), last.body) == (ids, b"later")
        assert {(one.ttl, one.age, one.claim_count) for one in found} == {(300, 9, 0)}
        assert {one.notes for one in found} == {None}
        assert len(await self.claimable(now=NOW + 9)) == 151
        assert ids_of(await self.everything(now=NOW + 309)) == [last.id]

    async def test_a_copy_that_comes_again_is_stored_once(self) -> None:
        ids = await self.post(b"1", b"2", b"3", queue=DEAD)
        await self.claim(queue=DEAD, limit=1)
        found = await self.do(MessageExport(PROJECT, DEAD, ids, NOW))
        assert [one.id for one in found] == ids[1:]
        for _ in range(2):
            await self.do(MessageImport(PROJECT, OTHER, found, NOW))
            assert ids_of(await self.everything(queue=OTHER)) == ids[1:]
        assert await self.copy_back(NOW, delay=30, target="third") == ids[1:]
        assert await self.claimable(queue="third", now=NOW + 29.99) == []
        assert await self.claimable(queue="third", now=NOW + 30) == [b"2", b"3"]
        usage = await self.do(UsageGet(PROJECT, NOW))
        assert usage.messages == 5
