"""The suite: statistics."""

from __future__ import annotations

from zaqarserver.storage.base import QueueStats, StatsMessage, Volume
from zaqarserver.storage.commands import (
    ClaimDelete,
    MessageDelete,
    MessageDeleteMany,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCreate,
    QueueGet,
    QueueStatsGet,
    VolumeGet,
)
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    ids_of,
    new,
)


class StatsContract(Suite):
    """Counts and ends, exact at any moment."""

    async def stats(self, now: float = NOW) -> QueueStats:
        """Return the counts of the queue."""
        return await self.do(QueueStatsGet(PROJECT, QUEUE, now))

    async def counts(self, now: float = NOW) -> tuple[int, int]:
        """Return how many messages are free and claimed."""
        found = await self.stats(now)
        return found.free, found.claimed

    async def test_a_missing_queue_counts_zero(self) -> None:
        assert await self.stats() == QueueStats()
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_the_volume_of_the_store_adds_up_all_queues(self) -> None:
        assert await self.do(VolumeGet()) == Volume()
        await self.post(b"1", b"2", b"3")
        await self.do(MessagePost("other", "another", CLIENT, new(b"4"), NOW))
        held = await self.claim(limit=2)
        assert await self.do(VolumeGet()) == Volume(free=2, claimed=2)
        await self.do(MessageDelete(PROJECT, QUEUE, held.messages[0].id, held.id, NOW))
        await self.do(MessagePop("other", "another", 1, NOW))
        assert await self.do(VolumeGet()) == Volume(free=1, claimed=1)
        await self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
        assert await self.do(VolumeGet()) == Volume(free=2)
        await self.do(MessagePurge(PROJECT, QUEUE))
        assert await self.do(VolumeGet()) == Volume()

    async def test_an_empty_queue_has_no_ends(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        assert await self.stats() == QueueStats()

    async def test_the_ends_are_the_first_and_last_live_message(self) -> None:
        (first,) = await self.post(b"1", now=NOW)
        await self.post(b"2", now=NOW + 1)
        (last,) = await self.post(b"3", now=NOW + 2.5)
        assert await self.stats(NOW + 10) == QueueStats(
            free=3,
            claimed=0,
            oldest=StatsMessage(first, NOW, 10),
            newest=StatsMessage(last, NOW + 2.5, 7),
        )

    async def test_claimed_and_delayed_messages_are_ends_too(self) -> None:
        (first,) = await self.post(b"1")
        await self.claim()
        await self.post(b"2")
        (last,) = await self.post(b"3", delay=60)
        found = await self.stats()
        assert found.oldest is not None
        assert found.newest is not None
        assert (found.oldest.id, found.newest.id) == (first, last)
        assert (found.free, found.claimed) == (2, 1)

    async def test_counts_follow_claims(self) -> None:
        ids = await self.post(*[b"x"] * 10)
        first = await self.claim(limit=3, ttl=60)
        second = await self.claim(limit=4, ttl=90)
        assert await self.counts() == (3, 7)
        await self.do(MessageDelete(PROJECT, QUEUE, ids[0], first.id, NOW))
        assert await self.counts() == (3, 6)
        await self.do(ClaimDelete(PROJECT, QUEUE, second.id, NOW))
        assert await self.counts() == (7, 2)
        assert await self.counts(NOW + 59.99) == (7, 2)
        assert await self.counts(NOW + 60) == (9, 0)

    async def test_expired_messages_are_not_counted(self) -> None:
        await self.post(b"1", b"2", ttl=60)
        (alive,) = await self.post(b"3", ttl=120)
        await self.post(b"4", b"5", ttl=60)
        assert await self.counts(NOW + 59.99) == (5, 0)
        for _ in range(2):
            found = await self.stats(NOW + 60)
            assert (found.free, found.claimed) == (1, 0)
            assert found.oldest == found.newest == StatsMessage(alive, NOW, 60)
            await self.sweep_all(NOW + 60)
        assert await self.stats(NOW + 120) == QueueStats()

    async def test_counts_are_exact_with_very_many_expired(self) -> None:
        for turn in range(3):
            await self.post(*[b"x"] * 4500, ttl=60, now=NOW + turn)
        await self.post(b"claimed", b"free", ttl=600)
        await self.claim(limit=1, now=NOW + 62, ttl=100)
        found = await self.stats(NOW + 62)
        assert (found.free, found.claimed) == (1, 1)
        assert found.oldest is not None
        assert found.oldest.created == NOW
        assert await self.counts(NOW + 61) == (4501, 1)

    async def test_a_claim_keeps_what_would_expire_in_it(self) -> None:
        await self.post(b"1", b"2", ttl=60)
        await self.claim(limit=1, ttl=100, grace=10)
        assert await self.counts(NOW + 60) == (0, 1)
        assert await self.counts(NOW + 100) == (1, 0)
        assert await self.counts(NOW + 110) == (0, 0)

    async def test_counts_follow_deletes(self) -> None:
        ids = await self.post(*[b"x"] * 10)
        await self.claim(limit=4)
        await self.do(MessageDeleteMany(PROJECT, QUEUE, [ids[0], ids[9]], None, NOW))
        assert await self.counts() == (5, 3)
        await self.do(MessagePop(PROJECT, QUEUE, 2, NOW))
        assert await self.counts() == (3, 3)
        await self.do(MessageDeleteMany(PROJECT, QUEUE, ids, None, NOW))
        assert await self.stats() == QueueStats()

    async def test_counts_agree_with_the_list(self) -> None:
        for turn in range(20):
            await self.post(b"x", b"y", ttl=60 + turn, now=NOW + turn)
            await self.claim(limit=1, ttl=60, grace=turn, now=NOW + turn)
        for now in (NOW + 20, NOW + 70, NOW + 85, NOW + 95, NOW + 200):
            listed = await self.everything(now=now)
            found = await self.stats(now)
            claimed = sum(one.claim_id is not None for one in listed)
            assert (found.free, found.claimed) == (len(listed) - claimed, claimed)
            ends = [end.id for end in (found.oldest, found.newest) if end]
            assert ends == ids_of(listed[:1] + listed[-1:])
