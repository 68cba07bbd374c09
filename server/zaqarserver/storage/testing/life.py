"""The suite: opening, closing, sweeping, cancelling."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import Unavailable
from zaqarserver.storage import accounts, commands, posts, releases, subscriptions
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
    commands_in,
    ids_of,
    new,
)


class LifeContract(Suite):
    """Opening, closing, sweeping, cancelling."""

    async def test_an_open_store_answers_a_ping(self) -> None:
        await self.store.ping()
        assert await self.do(QueueCount(PROJECT)) == 0

    async def test_the_driver_performs_each_command(self, driver: Storage) -> None:
        modules = (commands, posts, releases, subscriptions, accounts)
        asked = [kind for module in modules for kind in commands_in(module)]
        missing = [kind.__name__ for kind in asked if kind not in driver.commands]
        assert missing == []

    async def test_what_it_promises_is_declared(self) -> None:
        assert self.store.capabilities <= frozenset(Capability)
        lasting = self.store.durability is not Durability.MEMORY
        assert (Capability.DURABILITY in self.store.capabilities) is lasting

    async def test_a_time_that_was_left_is_told_to_the_next_server(self) -> None:
        """A driver that does not store the time passes, too."""
        await self.store.store_time(NOW)
        await self.reopen()
        found = await self.store.store_time()
        assert found.latest is None or found.latest >= NOW
        assert 0 <= found.passed < 60

    @pytest.mark.parametrize("capability", list(Capability))
    async def test_a_capability_that_is_not_declared_is_reported(
        self, capability: Capability
    ) -> None:
        """Skips, with the name, for each one that the driver lacks."""
        self.need(capability)
        assert capability in self.store.capabilities

    async def test_closing_twice_is_harmless(self) -> None:
        await self.store.close()
        await self.store.close()
        with pytest.raises(Unavailable):
            await self.store.ping()

    async def test_a_closed_store_is_unavailable(self) -> None:
        await self.post_one()
        await self.store.close()
        with pytest.raises(Unavailable):
            await self.post_one()
        with pytest.raises(Unavailable):
            await self.do(QueueGet(PROJECT, QUEUE))

    async def test_a_store_can_be_opened_again(self) -> None:
        await self.reopen()
        await self.post_one()
        assert len(await self.everything()) == 1

    async def test_everything_survives_closing(self) -> None:
        self.need(Capability.DURABILITY)
        await self.do(QueueCreate(PROJECT, QUEUE, {"team": "billing"}))
        await self.post(b"1", b"2", b"3")
        await self.post(b"4", delay=60)
        held = await self.claim(limit=1)
        before = (
            await self.everything(),
            await self.do(QueueGet(PROJECT, QUEUE)),
            await self.do(QueueStatsGet(PROJECT, QUEUE, NOW)),
            await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW)),
        )
        await self.reopen()
        after = (
            await self.everything(),
            await self.do(QueueGet(PROJECT, QUEUE)),
            await self.do(QueueStatsGet(PROJECT, QUEUE, NOW)),
            await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW)),
        )
        assert after == before

    async def test_ids_after_a_restart_follow_those_before(self) -> None:
        self.need(Capability.DURABILITY)
        first = await self.post_one()
        await self.do(MessageDelete(PROJECT, QUEUE, first, None, NOW))
        await self.sweep_all(NOW)
        await self.reopen()
        second = await self.post_one()
        assert first < second

    async def test_ids_follow_each_other_when_the_clock_goes_back(self) -> None:
        ids = [await self.post_one(now=NOW - second) for second in range(5)]
        assert ids == sorted(ids)
        assert len(set(ids)) == 5

    async def test_a_sweep_of_nothing_returns_zero(self) -> None:
        await self.post_one()
        assert await self.store.sweep(NOW) == 0
        assert len(await self.everything()) == 1

    async def test_a_sweep_removes_what_is_dead_and_nothing_else(self) -> None:
        await self.post(b"dead", ttl=60)
        await self.post(b"alive", ttl=600)
        assert await self.sweep_all(NOW + 60) >= 1
        assert await self.sweep_all(NOW + 60) == 0
        assert bodies(await self.everything(now=NOW + 60)) == [b"alive"]

    async def test_a_sweep_ends_with_many_dead_rows(self) -> None:
        await self.post(*[b"x"] * 1500, ttl=60)
        await self.post(b"alive", ttl=600)
        await self.post(*[b"x"] * 700, queue="other")
        await self.do(QueueDelete(PROJECT, "other"))
        # A store may remove a deleted queue at once: only the expired ones count.
        assert await self.sweep_all(NOW + 60) >= 1500
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW + 60))
        assert (stats.free, stats.claimed) == (1, 0)

    async def test_a_sweep_keeps_what_a_claim_has_extended(self) -> None:
        await self.post(b"1", ttl=60)
        held = await self.claim(ttl=300, grace=60)
        await self.sweep_all(NOW + 100)
        kept = await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW + 100))
        assert bodies(kept.messages) == [b"1"]

    async def test_what_was_swept_never_comes_back(self) -> None:
        await self.post(b"1", ttl=60)
        await self.sweep_all(NOW + 60)
        assert await self.everything(now=NOW) == []

    async def test_a_cancelled_post_happens_whole_or_not_at_all(self) -> None:
        for turns in range(6):
            queue = f"queue{turns}"
            task = asyncio.create_task(
                self.do(MessagePost(PROJECT, queue, CLIENT, new(*[b"x"] * 500), NOW))
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.post(b"after")
            assert len(await self.everything(queue=queue)) in {0, 500}

    async def test_a_cancelled_call_blocks_no_later_one(self) -> None:
        tasks = [asyncio.create_task(self.post_one()) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        answered = [one for one in results if isinstance(one, str)]
        last = await self.post_one()
        stored = ids_of(await self.everything())
        assert len(answered) >= 10
        assert {*answered, last} <= set(stored)
