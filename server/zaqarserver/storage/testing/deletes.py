"""The suite: deleting, popping, purging."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import ClaimNotFound, ClaimNotLive, MessageClaimed
from zaqarserver.storage.base import QueueStats, Storage
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
    claim,
    everything,
    ids_of,
    post,
    post_one,
    visible,
)


class DeleteContract(Suite):
    """Deleting, popping and purging messages."""

    # -- one ----------------------------------------------------------------

    async def test_a_free_message_is_deleted(self, storage: Storage) -> None:
        one, _ = await post(storage, b"1", b"2")
        await storage.do(MessageDelete(PROJECT, QUEUE, one, None, NOW))
        assert bodies(await everything(storage)) == [b"2"]

    async def test_deleting_a_missing_message_does_nothing(
        self, storage: Storage
    ) -> None:
        gone = await post_one(storage)
        await storage.do(MessageDelete(PROJECT, QUEUE, gone, None, NOW))
        await post(storage, b"kept")
        for message_id in [*MALFORMED, gone]:
            for claim_id in [None, "unknown"]:
                await storage.do(
                    MessageDelete(PROJECT, QUEUE, message_id, claim_id, NOW)
                )
        await storage.do(MessageDelete(PROJECT, "missing", gone, None, NOW))
        assert bodies(await everything(storage)) == [b"kept"]

    async def test_an_expired_message_is_missing_to_a_delete(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage, ttl=60)
        await storage.do(MessageDelete(PROJECT, QUEUE, message_id, "any", NOW + 60))
        stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW + 60))
        assert stats == QueueStats()

    async def test_a_claim_named_for_a_free_message_is_refused(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        for claim_id in [*MALFORMED, message_id]:
            with pytest.raises(ClaimNotLive):
                await storage.do(
                    MessageDelete(PROJECT, QUEUE, message_id, claim_id, NOW)
                )
        assert len(await everything(storage)) == 1

    async def test_a_claimed_message_is_deleted_with_its_claim_only(
        self, storage: Storage
    ) -> None:
        one, two = await post(storage, b"1", b"2")
        mine = await claim(storage, limit=1)
        other = await claim(storage, limit=1)
        for claim_id in [None, other.id]:
            with pytest.raises(MessageClaimed):
                await storage.do(MessageDelete(PROJECT, QUEUE, one, claim_id, NOW))
        for claim_id in [*MALFORMED, one]:
            with pytest.raises(ClaimNotLive):
                await storage.do(MessageDelete(PROJECT, QUEUE, one, claim_id, NOW))
        await storage.do(MessageDelete(PROJECT, QUEUE, one, mine.id, NOW))
        assert ids_of(await everything(storage)) == [two]

    async def test_an_expired_claim_deletes_nothing(self, storage: Storage) -> None:
        message_id = await post_one(storage)
        held = await claim(storage, ttl=60)
        with pytest.raises(ClaimNotLive):
            await storage.do(
                MessageDelete(PROJECT, QUEUE, message_id, held.id, NOW + 60)
            )
        await storage.do(MessageDelete(PROJECT, QUEUE, message_id, None, NOW + 60))
        assert await everything(storage, now=NOW + 60) == []

    async def test_a_claim_deletes_no_message_that_moved_to_another(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        old = await claim(storage, ttl=60)
        await claim(storage, now=NOW + 60)
        with pytest.raises(ClaimNotLive):
            await storage.do(
                MessageDelete(PROJECT, QUEUE, message_id, old.id, NOW + 60)
            )
        assert len(await everything(storage, now=NOW + 60)) == 1

    # -- several ------------------------------------------------------------

    async def test_several_are_deleted_claimed_or_not(self, storage: Storage) -> None:
        one, two, three = await post(storage, b"1", b"2", b"3")
        held = await claim(storage, limit=2)
        ids = [one, three, *MALFORMED, one]
        await storage.do(MessageDeleteMany(PROJECT, QUEUE, ids, None, NOW))
        assert ids_of(await everything(storage)) == [two]
        left = await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(left.messages) == [two]

    async def test_several_are_deleted_under_the_claims_named(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        held = [await claim(storage, limit=1) for _ in ids]
        claim_ids = [one.id for one in held]
        await storage.do(MessageDeleteMany(PROJECT, QUEUE, ids[:2], claim_ids, NOW))
        assert ids_of(await everything(storage)) == ids[2:]

    @pytest.mark.parametrize("flaw", ["free", "other claim", "no claim", "expired"])
    async def test_one_outside_the_claims_named_keeps_all(
        self, storage: Storage, flaw: str
    ) -> None:
        ids = await post(storage, b"1", b"2")
        first = await claim(storage, limit=1)
        claim_ids = [first.id, "unknown"]
        now = NOW
        if flaw == "other claim":
            await claim(storage, limit=1)
        elif flaw == "no claim":
            claim_ids = []
        elif flaw == "expired":
            now = NOW + 100
        with pytest.raises(MessageClaimed):
            await storage.do(MessageDeleteMany(PROJECT, QUEUE, ids, claim_ids, now))
        assert ids_of(await everything(storage, now=now)) == ids

    async def test_deleting_several_missing_does_nothing(
        self, storage: Storage
    ) -> None:
        await post_one(storage)
        await storage.do(MessageDeleteMany(PROJECT, QUEUE, MALFORMED, ["x"], NOW))
        await storage.do(MessageDeleteMany(PROJECT, "missing", ["x"], None, NOW))
        assert len(await everything(storage)) == 1

    # -- pop ----------------------------------------------------------------

    async def test_pop_removes_the_oldest_first(self, storage: Storage) -> None:
        ids = await post(storage, b"1", b"2", b"3")
        popped = await storage.do(MessagePop(PROJECT, QUEUE, 2, NOW))
        assert ids_of(popped) == ids[:2]
        assert bodies(popped) == [b"1", b"2"]
        assert ids_of(await everything(storage)) == ids[2:]
        assert ids_of(await storage.do(MessagePop(PROJECT, QUEUE, 2, NOW))) == ids[2:]
        assert await storage.do(MessagePop(PROJECT, QUEUE, 2, NOW)) == []

    async def test_pop_of_a_missing_queue_gives_nothing(self, storage: Storage) -> None:
        assert await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW)) == []
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_pop_takes_free_and_visible_messages_only(
        self, storage: Storage
    ) -> None:
        await post(storage, b"claimed")
        await claim(storage)
        await post(storage, b"delayed", delay=10)
        await post(storage, b"expired", ttl=5)
        await post(storage, b"free")
        popped = await storage.do(MessagePop(PROJECT, QUEUE, 10, NOW + 5))
        assert bodies(popped) == [b"free"]
        popped = await storage.do(MessagePop(PROJECT, QUEUE, 10, NOW + 10))
        assert bodies(popped) == [b"delayed"]
        popped = await storage.do(MessagePop(PROJECT, QUEUE, 10, NOW + 100))
        assert bodies(popped) == [b"claimed"]

    async def test_pop_takes_delayed_messages_on_request(
        self, storage: Storage
    ) -> None:
        await post(storage, b"late", delay=60)
        await post(storage, b"now")
        popped = await storage.do(
            MessagePop(PROJECT, QUEUE, 10, NOW, include_delayed=True)
        )
        assert bodies(popped) == [b"late", b"now"]

    async def test_concurrent_pops_never_share_a_message(
        self, storage: Storage
    ) -> None:
        ids = await post(storage, *[b"x"] * 100)
        pops = await asyncio.gather(
            *(storage.do(MessagePop(PROJECT, QUEUE, 7, NOW)) for _ in range(20))
        )
        popped = [message.id for one in pops for message in one]
        assert sorted(popped) == ids

    # -- purge --------------------------------------------------------------

    async def test_a_purge_removes_every_message(self, storage: Storage) -> None:
        await storage.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        before = await storage.do(QueueGet(PROJECT, QUEUE))
        claimed = await post(storage, b"claimed")
        held = await claim(storage)
        await post(storage, b"delayed", delay=60)
        await post(storage, b"free")
        await storage.do(MessagePurge(PROJECT, QUEUE))
        assert await everything(storage) == []
        assert await storage.do(MessageGet(PROJECT, QUEUE, claimed, NOW)) == []
        assert await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW)) == QueueStats()
        with pytest.raises(ClaimNotFound):
            await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert await storage.do(QueueGet(PROJECT, QUEUE)) == before

    async def test_a_purged_queue_takes_new_messages(self, storage: Storage) -> None:
        (old,) = await post(storage, b"old")
        await storage.do(MessagePurge(PROJECT, QUEUE))
        (fresh,) = await post(storage, b"new")
        assert await visible(storage) == [b"new"]
        assert old < fresh
        while await storage.sweep(NOW):
            pass
        assert await visible(storage) == [b"new"]

    async def test_a_purge_of_a_missing_queue_makes_none(
        self, storage: Storage
    ) -> None:
        await storage.do(MessagePurge(PROJECT, QUEUE))
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None
