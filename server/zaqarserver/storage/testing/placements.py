"""The suite: placements, for drivers that keep them."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import CatalogChanged, PoolInUse
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    HOME,
    CatalogRevision,
    Flavor,
    FlavorGet,
    FlavorPut,
    PlacedQueue,
    Placement,
    PlacementAdd,
    PlacementArrive,
    PlacementCount,
    PlacementDrop,
    PlacementGet,
    PlacementList,
    PlacementMove,
    PlacementMoves,
    PlacementPools,
    PlacementRenew,
    PoolDelete,
    PoolGet,
    PoolPut,
)
from zaqarserver.storage.testing.catalog import CatalogSuite, made, put
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE


async def place(
    kept: Storage, pool: str, queue: str = QUEUE, project: str = PROJECT
) -> Placement:
    """Place a queue."""
    revision = await kept.do(CatalogRevision())
    return await kept.do(PlacementAdd(project, queue, pool, revision))


class PlacementContract(CatalogSuite):
    """Where queues are, as a server with pools asks."""

    # -- placements -------------------------------------------------------------

    async def test_a_queue_is_placed_once(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) is None
        first = await place(kept, "a")
        pool = await kept.do(PoolGet("a"))
        assert pool is not None
        assert first == Placement("a", first.epoch, first.epoch, pool.revision)
        assert await place(kept, "b") == first
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) == first
        assert await kept.do(PlacementGet("other", QUEUE)) is None
        assert await kept.do(PlacementGet(PROJECT, "other")) is None

    async def test_of_many_who_place_a_queue_one_does(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        placed = await asyncio.gather(
            *(place(kept, "ab"[number % 2]) for number in range(10))
        )
        assert len(set(placed)) == 1
        assert await kept.do(PlacementPools(PROJECT)) == [placed[0].pool]

    async def test_a_pool_chosen_from_old_knowledge_is_refused(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a")))
        revision = await kept.do(CatalogRevision())
        await kept.do(PoolPut(made("a", 0)))
        with pytest.raises(CatalogChanged):
            await kept.do(PlacementAdd(PROJECT, QUEUE, "a", revision))
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) is None
        there = await place(kept, "a")
        assert await kept.do(PlacementAdd(PROJECT, QUEUE, "a", revision)) == there

    async def test_a_queue_can_be_placed_in_the_home(self, kept: Storage) -> None:
        placed = await place(kept, HOME)
        assert (placed.pool, placed.revision) == (HOME, 0)
        assert await kept.do(PlacementPools(PROJECT)) == [HOME]
        assert await kept.do(PlacementCount(HOME)) == 1

    async def test_epochs_only_rise(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a")))
        last = 0
        for _ in range(3):
            placed = await place(kept, "a")
            assert placed.epoch > last
            last = placed.epoch
            other = await place(kept, "a", "other")
            assert other.epoch > last
            last = other.epoch
            assert await kept.do(PlacementDrop(PROJECT, QUEUE, placed.epoch))
            assert await kept.do(PlacementDrop(PROJECT, "other", other.epoch))

    async def test_only_the_placement_that_was_read_is_dropped(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a")))
        placed = await place(kept, "a")
        assert not await kept.do(PlacementDrop(PROJECT, QUEUE, placed.epoch + 1))
        assert not await kept.do(PlacementDrop(PROJECT, "other", placed.epoch))
        assert await kept.do(PlacementDrop(PROJECT, QUEUE, placed.epoch))
        assert not await kept.do(PlacementDrop(PROJECT, QUEUE, placed.epoch))
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) is None
        assert await kept.do(PlacementPools(PROJECT)) == []
        assert await kept.do(PlacementCount("a")) == 0

    async def test_a_pool_with_queues_stays(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a")))
        placed = await place(kept, "a")
        with pytest.raises(PoolInUse):
            await kept.do(PoolDelete("a"))
        await kept.do(PlacementDrop(PROJECT, QUEUE, placed.epoch))
        await kept.do(PoolDelete("a"))

    async def test_a_lost_pool_is_removed_with_its_placements(
        self, kept: Storage
    ) -> None:
        await put(kept, "a", "b")
        await place(kept, "a")
        stays = await place(kept, "b", "stays")
        returns = await place(kept, "b", "returns")
        await kept.do(PlacementMove(PROJECT, "returns", returns.epoch, "a", NOW))
        await kept.do(PoolDelete("a", forget=True))
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) is None
        assert await kept.do(PlacementGet(PROJECT, "stays")) == stays
        back = await kept.do(PlacementGet(PROJECT, "returns"))
        assert back is not None
        assert (back.pool, back.target, back.since) == ("b", None, returns.since)
        assert back.epoch > returns.epoch
        assert await kept.do(PlacementCount("a")) == 0

    async def test_a_move_goes_from_pool_to_target(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        placed = await place(kept, "a")
        moving = await kept.do(PlacementMove(PROJECT, QUEUE, placed.epoch, "b", NOW))
        assert moving is not None
        assert moving.epoch > placed.epoch
        assert (moving.pool, moving.target, moving.lease) == ("a", "b", NOW)
        assert moving.since == placed.since
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) == moving
        assert await kept.do(PlacementPools(PROJECT)) == ["a", "b"]
        assert [await kept.do(PlacementCount(name)) for name in "ab"] == [1, 1]
        assert not await kept.do(PlacementDrop(PROJECT, QUEUE, moving.epoch))
        assert await kept.do(PlacementRenew(PROJECT, QUEUE, moving.epoch, NOW + 5))
        assert await kept.do(PlacementArrive(PROJECT, QUEUE, moving.epoch))
        there = await kept.do(PlacementGet(PROJECT, QUEUE))
        assert there is not None
        assert (there.pool, there.target, there.lease) == ("b", None, 0)
        assert (there.epoch, there.since) == (moving.epoch, moving.epoch)
        assert await kept.do(PlacementPools(PROJECT)) == ["b"]
        assert [await kept.do(PlacementCount(name)) for name in "ab"] == [0, 1]
        assert not await kept.do(PlacementArrive(PROJECT, QUEUE, moving.epoch))
        assert not await kept.do(PlacementRenew(PROJECT, QUEUE, moving.epoch, NOW))

    async def test_a_move_needs_the_placement_that_was_read_and_a_target(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a")))
        placed = await place(kept, "a")
        wrong = placed.epoch + 1
        assert await kept.do(PlacementMove(PROJECT, QUEUE, wrong, HOME, NOW)) is None
        gone = await kept.do(PlacementMove(PROJECT, QUEUE, placed.epoch, "none", NOW))
        assert gone is None
        assert await kept.do(PlacementMove(PROJECT, "no", 1, HOME, NOW)) is None
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) == placed

    async def test_a_move_is_taken_over_by_a_later_epoch(self, kept: Storage) -> None:
        await put(kept, "a", "b", "c")
        placed = await place(kept, "a")
        first = await kept.do(PlacementMove(PROJECT, QUEUE, placed.epoch, "b", NOW))
        assert first is not None
        second = await kept.do(PlacementMove(PROJECT, QUEUE, first.epoch, "c", NOW + 9))
        assert second is not None
        assert not await kept.do(PlacementArrive(PROJECT, QUEUE, first.epoch))
        assert not await kept.do(PlacementRenew(PROJECT, QUEUE, first.epoch, NOW))
        assert [await kept.do(PlacementCount(name)) for name in "abc"] == [1, 0, 1]
        assert await kept.do(PlacementArrive(PROJECT, QUEUE, second.epoch))

    async def test_a_move_can_be_given_up(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        placed = await place(kept, "a")
        moving = await kept.do(PlacementMove(PROJECT, QUEUE, placed.epoch, "b", NOW))
        assert moving is not None
        back = await kept.do(PlacementMove(PROJECT, QUEUE, moving.epoch, None, 0.0))
        assert back is not None
        assert (back.pool, back.target, back.since) == ("a", None, placed.since)
        assert back.epoch > moving.epoch
        assert not await kept.do(PlacementArrive(PROJECT, QUEUE, moving.epoch))
        assert await kept.do(PlacementCount("b")) == 0

    async def test_moves_are_found_by_their_lease(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        expected = []
        for number in (3, 1, 2):
            placed = await place(kept, "a", f"q{number}")
            moving = await kept.do(
                PlacementMove(PROJECT, f"q{number}", placed.epoch, "b", NOW + number)
            )
            assert moving is not None
            expected.append(PlacedQueue(PROJECT, f"q{number}", moving))
        await place(kept, "a", "still")
        in_order = [expected[1], expected[2], expected[0]]
        assert await kept.do(PlacementMoves(NOW + 99, 10)) == in_order
        assert await kept.do(PlacementMoves(NOW + 99, 2)) == in_order[:2]
        assert await kept.do(PlacementMoves(NOW + 3, 10)) == in_order[:2]
        assert await kept.do(PlacementMoves(NOW + 1, 10)) == []

    async def test_the_queues_of_a_pool_are_listed_by_project_and_name(
        self, kept: Storage
    ) -> None:
        await put(kept, "a", "b")
        where = [("p", "b"), ("p\0topics", "a"), ("o", "z"), ("p", "a")]
        for project, queue in where:
            await place(kept, "a", queue, project)
        await place(kept, "b", "c", "p")
        found: list[tuple[str, str]] = []
        marker: tuple[str, str] | None = None
        while page := await kept.do(PlacementList("a", marker=marker, limit=2)):
            found += [(one.project, one.queue) for one in page]
            marker = found[-1]
        assert found == sorted(where)
        (one,) = await kept.do(PlacementList("b", marker=None, limit=10))
        assert one.placement == await kept.do(PlacementGet("p", "c"))

    async def test_what_is_placed_survives_a_restart(
        self, kept: Storage, storage: Storage
    ) -> None:
        if storage.durability == "memory":
            pytest.skip("the store forgets all when it is closed")
        await kept.do(PoolPut(made("a", 3, "fast")))
        await kept.do(FlavorPut(PROJECT, "fast", ["a"]))
        placed = await place(kept, "a")
        revision = await kept.do(CatalogRevision())
        await storage.close()
        await storage.open()
        assert await kept.do(PlacementGet(PROJECT, QUEUE)) == placed
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", ["a"])
        assert await kept.do(CatalogRevision()) == revision
        later = await place(kept, "a", "later")
        assert later.epoch > placed.epoch
