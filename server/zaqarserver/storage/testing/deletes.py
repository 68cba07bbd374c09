"""The suite: deleting, popping, purging."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import ClaimNotFound, ClaimNotLive, MessageClaimed
from zaqarserver.storage.base import QueueStats
from zaqarserver.storage.commands import (
    ClaimGet,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessagePop,
    MessagePurge,
    QueueCreate,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.testing.messages import MALFORMED
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    ids_of,
)


class DeleteContract(Suite):
    """Deleting, popping and purging messages."""

    # -- one ----------------------------------------------------------------

    async def test_a_free_message_is_deleted(self) -> None:
        one, _ = await self.post(b"1", b"2")
        await self.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        assert bodies(await self.everything()) == [b"2"]

    async def test_deleting_a_missing_message_does_nothing(self) -> None:
        gone = await self.post_one()
        await self.do(MessageDelete(PROJECT, QUEUE, gone, None, NOW))
        await self.post(b"kept")
        for message_id in [*MALFORMED, gone]:
            for claim_id in [None, "unknown"]:
                await self.do(MessageDelete(PROJECT, QUEUE, message_id, claim_id, NOW))
        await self.do(MessageDelete(PROJECT, "missing", gone, None, NOW))
        assert bodies(await self.everything()) == [b"kept"]

    async def test_an_expired_message_is_missing_to_a_delete(self) -> None:
        message_id = await self.post_one(ttl=60)
        await self.do(MessageDelete(PROJECT, QUEUE, message_id, "any", NOW + 60))
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW + 60))
        assert stats == QueueStats()

    async def test_a_claim_named_for_a_free_message_is_refused(self) -> None:
        message_id = await self.post_one()
        for claim_id in [*MALFORMED, message_id]:
            with pytest.raises(ClaimNotLive):
                await self.do(MessageDelete(PROJECT, QUEUE, message_id, claim_id, NOW))
        assert len(await self.everything()) == 1

    async def test_a_claimed_message_is_deleted_with_its_claim_only(self) -> None:
        one, two = await self.post(b"1", b"2")
        mine = await self.claim(limit=1)
        other = await self.claim(limit=1)
        for claim_id in [None, other.id]:
            with pytest.raises(MessageClaimed):
                await self.do(MessageDelete(PROJECT, QUEUE, one, claim_id, NOW))
        for claim_id in [*MALFORMED, one]:
            with pytest.raises(ClaimNotLive):
                await self.do(MessageDelete(PROJECT, QUEUE, one, claim_id, NOW))
        await self.do(MessageDelete(PROJECT, QUEUE, one, mine.id, NOW))
        assert ids_of(await self.everything()) == [two]

    async def test_an_expired_claim_deletes_nothing(self) -> None:
        message_id = await self.post_one()
        held = await self.claim(ttl=60)
        with pytest.raises(ClaimNotLive):
            await self.do(MessageDelete(PROJECT, QUEUE, message_id, held.id, NOW + 60))
        await self.do(MessageDelete(PROJECT, QUEUE, message_id, None, NOW + 60))
        assert await self.everything(now=NOW + 60) == []

    async def test_a_claim_deletes_no_message_that_moved_to_another(self) -> None:
        message_id = await self.post_one()
        old = await self.claim(ttl=60)
        await self.claim(now=NOW + 60)
        with pytest.raises(ClaimNotLive):
            await self.do(MessageDelete(PROJECT, QUEUE, message_id, old.id, NOW + 60))
        assert len(await self.everything(now=NOW + 60)) == 1

    # -- several ------------------------------------------------------------

    async def test_several_are_deleted_claimed_or_not(self) -> None:
        one, two, three = await self.post(b"1", b"2", b"3")
        held = await self.claim(limit=2)
        ids = [one, three, *MALFORMED, one]
        await self.do(MessageDeleteMany(PROJECT, QUEUE, ids, None, NOW))
        assert ids_of(await self.everything()) == [two]
        left = await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(left.messages) == [two]

    async def test_several_are_deleted_under_the_claims_named(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        held = [await self.claim(limit=1) for _ in ids]
        claim_ids = [one.id for one in held]
        await self.do(MessageDeleteMany(PROJECT, QUEUE, ids[:2], claim_ids, NOW))
        assert ids_of(await self.everything()) == ids[2:]

    @pytest.mark.parametrize("flaw", ["free", "other claim", "no claim", "expired"])
    async def test_one_outside_the_claims_named_keeps_all(self, flaw: str) -> None:
        ids = await self.post(b"1", b"2")
        first = await self.claim(limit=1)
        claim_ids = [first.id, "unknown"]
        now = NOW
        if flaw == "other claim":
            await self.claim(limit=1)
        elif flaw == "no claim":
            claim_ids = []
        elif flaw == "expired":
            now = NOW + 100
        with pytest.raises(MessageClaimed):
            await self.do(MessageDeleteMany(PROJECT, QUEUE, ids, claim_ids, now))
        assert ids_of(await self.everything(now=now)) == ids

    async def test_deleting_several_missing_does_nothing(self) -> None:
        await self.post_one()
        await self.do(MessageDeleteMany(PROJECT, QUEUE, MALFORMED, ["x"], NOW))
        await self.do(MessageDeleteMany(PROJECT, "missing", ["x"], None, NOW))
        assert len(await self.everything()) == 1

    # -- pop ----------------------------------------------------------------

    async def test_pop_removes_the_oldest_first(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        popped = await self.do(MessagePop(PROJECT, QUEUE, 2, NOW))
        assert ids_of(popped) == ids[:2]
        assert bodies(popped) == [b"1", b"2"]
        assert ids_of(await self.everything()) == ids[2:]
        assert ids_of(await self.do(MessagePop(PROJECT, QUEUE, 2, NOW))) == ids[2:]
        assert await self.do(MessagePop(PROJECT, QUEUE, 2, NOW)) == []

    async def test_pop_of_a_missing_queue_gives_nothing(self) -> None:
        assert await self.do(MessagePop(PROJECT, QUEUE, 1, NOW)) == []
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_pop_takes_free_and_visible_messages_only(self) -> None:
        await self.post(b"claimed")
        await self.claim()
        await self.post(b"delayed", delay=10)
        await self.post(b"expired", ttl=5)
        await self.post(b"free")
        popped = await self.do(MessagePop(PROJECT, QUEUE, 10, NOW + 5))
        assert bodies(popped) == [b"free"]
        popped = await self.do(MessagePop(PROJECT, QUEUE, 10, NOW + 10))
        assert bodies(popped) == [b"delayed"]
        popped = await self.do(MessagePop(PROJECT, QUEUE, 10, NOW + 100))
        assert bodies(popped) == [b"claimed"]

    async def test_pop_takes_delayed_messages_on_request(self) -> None:
        await self.post(b"late", delay=60)
        await self.post(b"now")
        popped = await self.do(
            MessagePop(PROJECT, QUEUE, 10, NOW, include_delayed=True)
        )
        assert bodies(popped) == [b"late", b"now"]

    async def test_concurrent_pops_never_share_a_message(self) -> None:
        ids = await self.post(*[b"x"] * 100)
        pops = await asyncio.gather(
            *(self.do(MessagePop(PROJECT, QUEUE, 7, NOW)) for _ in range(20))
        )
        popped = [message.id for one in pops for message in one]
        assert sorted(popped) == ids

    # -- purge --------------------------------------------------------------

    async def test_a_purge_removes_every_message(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        before = await self.do(QueueGet(PROJECT, QUEUE))
        claimed = await self.post(b"claimed")
        held = await self.claim()
        await self.post(b"delayed", delay=60)
        await self.post(b"free")
        await self.do(MessagePurge(PROJECT, QUEUE))
        assert await self.everything() == []
        assert await self.do(MessageGet(PROJECT, QUEUE, claimed, NOW)) == []
        assert await self.do(QueueStatsGet(PROJECT, QUEUE, NOW)) == QueueStats()
        with pytest.raises(ClaimNotFound):
            await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert await self.do(QueueGet(PROJECT, QUEUE)) == before

    async def test_a_purged_queue_takes_new_messages(self) -> None:
        (old,) = await self.post(b"old")
        await self.do(MessagePurge(PROJECT, QUEUE))
        (fresh,) = await self.post(b"new")
        assert await self.visible() == [b"new"]
        assert old < fresh
        while await self.store.sweep(NOW):
            pass
        assert await self.visible() == [b"new"]

    async def test_a_purge_of_a_missing_queue_makes_none(self) -> None:
        await self.do(MessagePurge(PROJECT, QUEUE))
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None
