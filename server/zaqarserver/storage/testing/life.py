"""The suite: opening, closing, sweeping, cancelling."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import Unavailable
from zaqarserver.storage import accounts, commands, subscriptions
from zaqarserver.storage.base import Capability, Durability, Storage
from zaqarserver.storage.commands import (
    ClaimGet,
    MessageDelete,
    MessagePost,
    QueueCount,
    QueueCreate,
    QueueDelete,
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
    claim,
    commands_in,
    everything,
    ids_of,
    need,
    new,
    post,
    post_one,
)


async def reopen(storage: Storage) -> None:
    """Close the store and open it again."""
    await storage.close()
    await storage.open()


async def sweep_all(storage: Storage, now: float) -> int:
    """Sweep until nothing is left; return how many rows were removed."""
    total = 0
    while removed := await storage.sweep(now):
        total += removed
    return total


class LifeContract(Suite):
    """Opening, closing, sweeping, cancelling."""

    async def test_an_open_store_answers_a_ping(self, storage: Storage) -> None:
        await storage.ping()
        assert await storage.do(QueueCount(PROJECT)) == 0

    async def test_the_driver_performs_each_command(self, driver: Storage) -> None:
        modules = (commands, subscriptions, accounts)
        asked = [kind for module in modules for kind in commands_in(module)]
        missing = [kind.__name__ for kind in asked if kind not in driver.commands]
        assert missing == []

    async def test_what_it_promises_is_declared(self, storage: Storage) -> None:
        assert storage.capabilities <= frozenset(Capability)
        lasting = storage.durability is not Durability.MEMORY
        assert (Capability.DURABILITY in storage.capabilities) is lasting

    async def test_a_time_that_was_left_is_told_to_the_next_server(
        self, storage: Storage
    ) -> None:
        """A driver that does not store the time passes, too."""
        await storage.store_time(NOW)
        await reopen(storage)
        found = await storage.store_time()
        assert found.latest is None or found.latest >= NOW
        assert 0 <= found.passed < 60

    @pytest.mark.parametrize("capability", list(Capability))
    async def test_a_capability_that_is_not_declared_is_reported(
        self, storage: Storage, capability: Capability
    ) -> None:
        """Skips, with the name, for each one that the driver lacks."""
        need(storage, capability)
        assert capability in storage.capabilities

    async def test_closing_twice_is_harmless(self, storage: Storage) -> None:
        await storage.close()
        await storage.close()
        with pytest.raises(Unavailable):
            await storage.ping()

    async def test_a_closed_store_is_unavailable(self, storage: Storage) -> None:
        await post_one(storage)
        await storage.close()
        with pytest.raises(Unavailable):
            await post_one(storage)
        with pytest.raises(Unavailable):
            await storage.do(QueueGet(PROJECT, QUEUE))

    async def test_a_store_can_be_opened_again(self, storage: Storage) -> None:
        await reopen(storage)
        await post_one(storage)
        assert len(await everything(storage)) == 1

    async def test_everything_survives_closing(self, storage: Storage) -> None:
        need(storage, Capability.DURABILITY)
        await storage.do(QueueCreate(PROJECT, QUEUE, {"team": "billing"}))
        await post(storage, b"1", b"2", b"3")
        await post(storage, b"4", delay=60)
        held = await claim(storage, limit=1)
        before = (
            await everything(storage),
            await storage.do(QueueGet(PROJECT, QUEUE)),
            await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW)),
            await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW)),
        )
        await reopen(storage)
        after = (
            await everything(storage),
            await storage.do(QueueGet(PROJECT, QUEUE)),
            await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW)),
            await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW)),
        )
        assert after == before

    async def test_ids_after_a_restart_follow_those_before(
        self, storage: Storage
    ) -> None:
        need(storage, Capability.DURABILITY)
        first = await post_one(storage)
        await storage.do(MessageDelete(PROJECT, QUEUE, first, None, NOW))
        await sweep_all(storage, NOW)
        await reopen(storage)
        second = await post_one(storage)
        assert first < second

    async def test_ids_follow_each_other_when_the_clock_goes_back(
        self, storage: Storage
    ) -> None:
        ids = [await post_one(storage, now=NOW - second) for second in range(5)]
        assert ids == sorted(ids)
        assert len(set(ids)) == 5

    async def test_a_sweep_of_nothing_returns_zero(self, storage: Storage) -> None:
        await post_one(storage)
        assert await storage.sweep(NOW) == 0
        assert len(await everything(storage)) == 1

    async def test_a_sweep_removes_what_is_dead_and_nothing_else(
        self, storage: Storage
    ) -> None:
        await post(storage, b"dead", ttl=60)
        await post(storage, b"alive", ttl=600)
        assert await sweep_all(storage, NOW + 60) >= 1
        assert await sweep_all(storage, NOW + 60) == 0
        assert bodies(await everything(storage, now=NOW + 60)) == [b"alive"]

    async def test_a_sweep_ends_with_many_dead_rows(self, storage: Storage) -> None:
        await post(storage, *[b"x"] * 1500, ttl=60)
        await post(storage, b"alive", ttl=600)
        await post(storage, *[b"x"] * 700, queue="other")
        await storage.do(QueueDelete(PROJECT, "other"))
        # A store may remove a deleted queue at once: only the expired ones count.
        assert await sweep_all(storage, NOW + 60) >= 1500
        stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW + 60))
        assert (stats.free, stats.claimed) == (1, 0)

    async def test_a_sweep_keeps_what_a_claim_has_extended(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1", ttl=60)
        held = await claim(storage, ttl=300, grace=60)
        await sweep_all(storage, NOW + 100)
        kept = await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW + 100))
        assert bodies(kept.messages) == [b"1"]

    async def test_what_was_swept_never_comes_back(self, storage: Storage) -> None:
        await post(storage, b"1", ttl=60)
        await sweep_all(storage, NOW + 60)
        assert await everything(storage, now=NOW) == []

    async def test_a_cancelled_post_happens_whole_or_not_at_all(
        self, storage: Storage
    ) -> None:
        for turns in range(6):
            queue = f"queue{turns}"
            task = asyncio.create_task(
                storage.do(MessagePost(PROJECT, queue, CLIENT, new(*[b"x"] * 500), NOW))
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await post(storage, b"after")
            assert len(await everything(storage, queue=queue)) in {0, 500}

    async def test_a_cancelled_call_blocks_no_later_one(self, storage: Storage) -> None:
        tasks = [asyncio.create_task(post_one(storage)) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        answered = [one for one in results if isinstance(one, str)]
        last = await post_one(storage)
        stored = ids_of(await everything(storage))
        assert len(answered) >= 10
        assert {*answered, last} <= set(stored)
