"""The suite: dead letter queues."""

from __future__ import annotations

from zaqarserver.storage.base import Claim, DeadLetter, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    MessageGet,
    MessageList,
    QueueCreate,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    claimable,
    everything,
    ids_of,
    post,
    post_one,
)

DEAD = "dead"


async def attempt(
    storage: Storage,
    *,
    now: float = NOW,
    limit: int = 10,
    most: int = 2,
    ttl: int | None = None,
    queue: str = QUEUE,
    project: str = PROJECT,
) -> Claim | None:
    """Claim with a dead letter queue, and release the claim."""
    held = await storage.do(
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
        await storage.do(ClaimDelete(project, queue, held.id, now))
    return held


class DeadLetterContract(Suite):
    """Moving messages that were claimed too often to another queue."""

    async def test_a_message_is_moved_by_the_attempt_after_the_last(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        assert await attempt(storage) is not None
        assert await attempt(storage) is not None
        assert await storage.do(QueueGet(PROJECT, DEAD)) is None
        assert await attempt(storage) is None
        assert await everything(storage) == []
        assert ids_of(await everything(storage, queue=DEAD)) == [message_id]

    async def test_a_moved_message_keeps_all_but_its_count(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        (before,) = await everything(storage)
        await attempt(storage, most=1)
        await attempt(storage, most=1, now=NOW + 10)
        (after,) = await everything(storage, queue=DEAD, now=NOW + 10)
        assert (after.id, after.body) == (message_id, before.body)
        assert (after.ttl, after.age, after.claim_count) == (before.ttl, 10, 0)
        assert after.claim_id is None
        assert await everything(storage, queue=DEAD, now=NOW + 600) == []

    async def test_a_moved_message_can_get_a_new_ttl(self, storage: Storage) -> None:
        await post_one(storage, ttl=300)
        await attempt(storage, most=1)
        await attempt(storage, most=1, ttl=120, now=NOW + 100)
        (moved,) = await everything(storage, queue=DEAD, now=NOW + 219.99)
        assert moved.ttl == 120
        assert await everything(storage, queue=DEAD, now=NOW + 220) == []

    async def test_a_moved_message_is_free_at_once(self, storage: Storage) -> None:
        await post_one(storage)
        await attempt(storage, most=1)
        await attempt(storage, most=1)
        assert await claimable(storage, queue=DEAD) == [b"1"]
        assert await claimable(storage) == []

    async def test_a_move_keeps_the_target_and_its_order(
        self, storage: Storage
    ) -> None:
        await storage.do(QueueCreate(PROJECT, DEAD, {"a": 1}))
        await post(storage, b"old")
        await post(storage, b"between", queue=DEAD, now=NOW + 1)
        assert await claimable(storage, queue=DEAD, now=NOW + 1) == [b"between"]
        await attempt(storage, most=1, now=NOW + 2)
        await attempt(storage, most=1, now=NOW + 2)
        listed = await everything(storage, queue=DEAD, now=NOW + 2)
        assert bodies(listed) == [b"old", b"between"]
        assert await claimable(storage, queue=DEAD, now=NOW + 2) == [b"old", b"between"]
        target = await storage.do(QueueGet(PROJECT, DEAD))
        assert target is not None
        assert target.metadata == {"a": 1}

    async def test_moved_messages_take_part_in_the_limit(
        self, storage: Storage
    ) -> None:
        await post(storage, b"old 1", b"old 2")
        await attempt(storage, most=1)
        await post(storage, b"new 1", b"new 2")
        held = await attempt(storage, most=1, limit=3)
        assert held is not None
        assert bodies(held.messages) == [b"new 1"]
        assert bodies(await everything(storage, queue=DEAD)) == [b"old 1", b"old 2"]
        assert bodies(await everything(storage)) == [b"new 1", b"new 2"]

    async def test_moved_messages_are_counted_where_they_are(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1", b"2")
        await attempt(storage, most=1, limit=1)
        await attempt(storage, most=1, limit=1)
        source = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        target = await storage.do(QueueStatsGet(PROJECT, DEAD, NOW))
        assert (source.free, source.claimed) == (1, 0)
        assert (target.free, target.claimed) == (1, 0)

    async def test_a_moved_message_stays_in_its_project(self, storage: Storage) -> None:
        await post_one(storage)
        for project in ("other", PROJECT):
            await attempt(storage, most=1, project=project)
            await attempt(storage, most=1, project=project)
        assert await everything(storage, queue=DEAD, project="other") == []
        assert await storage.do(QueueGet("other", DEAD)) is None
        assert len(await everything(storage, queue=DEAD)) == 1

    async def test_a_moved_message_keeps_its_poster_and_id(
        self, storage: Storage
    ) -> None:
        message_id = await post_one(storage)
        await attempt(storage, most=1)
        await attempt(storage, most=1)
        found = await storage.do(MessageGet(PROJECT, DEAD, [message_id], NOW))
        assert ids_of(found) == [message_id]
        assert await storage.do(MessageGet(PROJECT, QUEUE, [message_id], NOW)) == []
        echo = await storage.do(
            MessageList(
                PROJECT, DEAD, marker=None, limit=1, now=NOW, exclude_client=CLIENT
            )
        )
        assert echo == []

    async def test_without_a_dead_letter_queue_claims_go_on(
        self, storage: Storage
    ) -> None:
        await post_one(storage)
        for _ in range(5):
            assert await claimable(storage) == [b"1"]
