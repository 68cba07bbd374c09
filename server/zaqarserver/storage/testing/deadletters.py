"""The suite: dead letter queues."""

from __future__ import annotations

from zaqarserver.storage.base import Claim, DeadLetter
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    MessageGet,
    MessageList,
    QueueCreate,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.records import DeadLetterOrigin, Notes
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    ids_of,
)

DEAD = "dead"


class DeadLetterContract(Suite):
    """Moving messages that were claimed too often to another queue."""

    async def attempt(
        self,
        *,
        now: float = NOW,
        limit: int = 10,
        most: int = 2,
        ttl: int | None = None,
        queue: str = QUEUE,
        project: str = PROJECT,
    ) -> Claim | None:
        """Claim with a dead letter queue, and release the claim."""
        held = await self.do(
            ClaimCreate(
                project,
                queue,
                ttl=60,
                grace=0,
                limit=limit,
                now=now,
                dead_letter=DeadLetter(DEAD, most, ttl),
            )
        )
        if held is not None:
            await self.do(ClaimDelete(project, queue, held.id, now))
        return held

    async def test_a_message_is_moved_by_the_attempt_after_the_last(self) -> None:
        message_id = await self.post_one()
        assert await self.attempt() is not None
        assert await self.attempt() is not None
        assert await self.do(QueueGet(PROJECT, DEAD)) is None
        assert await self.attempt() is None
        assert await self.everything() == []
        assert ids_of(await self.everything(queue=DEAD)) == [message_id]

    async def test_a_moved_message_keeps_all_but_its_count(self) -> None:
        message_id = await self.post_one()
        (before,) = await self.everything()
        await self.attempt(most=1)
        await self.attempt(most=1, now=NOW + 10)
        (after,) = await self.everything(queue=DEAD, now=NOW + 10)
        assert (after.id, after.body) == (message_id, before.body)
        assert (after.ttl, after.age, after.claim_count) == (before.ttl, 10, 0)
        assert after.notes == Notes(origin=DeadLetterOrigin(QUEUE, 1, NOW + 10))
        assert after.claim_id is None
        assert await self.everything(queue=DEAD, now=NOW + 600) == []

    async def test_a_moved_message_can_get_a_new_ttl(self) -> None:
        await self.post_one(ttl=300)
        await self.attempt(most=1)
        await self.attempt(most=1, ttl=120, now=NOW + 100)
        (moved,) = await self.everything(queue=DEAD, now=NOW + 219.99)
        assert moved.ttl == 120
        assert await self.everything(queue=DEAD, now=NOW + 220) == []

    async def test_a_moved_message_is_free_at_once(self) -> None:
        await self.post_one()
        await self.attempt(most=1)
        await self.attempt(most=1)
        assert await self.claimable(queue=DEAD) == [b"1"]
        assert await self.claimable() == []

    async def test_a_move_keeps_the_target_and_its_order(self) -> None:
        await self.do(QueueCreate(PROJECT, DEAD, {"a": 1}))
        await self.post(b"old")
        await self.post(b"between", queue=DEAD, now=NOW + 1)
        assert await self.claimable(queue=DEAD, now=NOW + 1) == [b"between"]
        await self.attempt(most=1, now=NOW + 2)
        await self.attempt(most=1, now=NOW + 2)
        listed = await self.everything(queue=DEAD, now=NOW + 2)
        assert bodies(listed) == [b"old", b"between"]
        assert await self.claimable(queue=DEAD, now=NOW + 2) == [b"old", b"between"]
        target = await self.do(QueueGet(PROJECT, DEAD))
        assert target is not None
        assert target.metadata == {"a": 1}

    async def test_moved_messages_take_part_in_the_limit(self) -> None:
        await self.post(b"old 1", b"old 2")
        await self.attempt(most=1)
        await self.post(b"new 1", b"new 2")
        held = await self.attempt(most=1, limit=3)
        assert held is not None
        assert bodies(held.messages) == [b"new 1"]
        assert bodies(await self.everything(queue=DEAD)) == [b"old 1", b"old 2"]
        assert bodies(await self.everything()) == [b"new 1", b"new 2"]

    async def test_moved_messages_are_counted_where_they_are(self) -> None:
        await self.post(b"1", b"2")
        await self.attempt(most=1, limit=1)
        await self.attempt(most=1, limit=1)
        source = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        target = await self.do(QueueStatsGet(PROJECT, DEAD, NOW))
        assert (source.free, source.claimed) == (1, 0)
        assert (target.free, target.claimed) == (1, 0)

    async def test_a_moved_message_stays_in_its_project(self) -> None:
        await self.post_one()
        for project in ("other", PROJECT):
            await self.attempt(most=1, project=project)
            await self.attempt(most=1, project=project)
        assert await self.everything(queue=DEAD, project="other") == []
        assert await self.do(QueueGet("other", DEAD)) is None
        assert len(await self.everything(queue=DEAD)) == 1

    async def test_a_moved_message_keeps_its_poster_and_id(self) -> None:
        message_id = await self.post_one()
        await self.attempt(most=1)
        await self.attempt(most=1)
        found = await self.do(MessageGet(PROJECT, DEAD, [message_id], NOW))
        assert ids_of(found) == [message_id]
        assert await self.do(MessageGet(PROJECT, QUEUE, [message_id], NOW)) == []
        echo = await self.do(
            MessageList(
                PROJECT, DEAD, marker=None, limit=1, now=NOW, exclude_client=CLIENT
            )
        )
        assert echo == []

    async def test_without_a_dead_letter_queue_claims_go_on(self) -> None:
        await self.post_one()
        for _ in range(5):
            assert await self.claimable() == [b"1"]
