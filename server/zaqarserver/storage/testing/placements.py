"""The suite: placements, for drivers that keep them."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import CatalogChanged, PoolInUse
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    HOME,
    CatalogStorage,
    Flavor,
    PlacedQueue,
    Placement,
)
from zaqarserver.storage.testing.catalog import CatalogSuite, made
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE


async def place(
    kept: CatalogStorage, pool: str, queue: str = QUEUE, project: str = PROJECT
) -> Placement:
    """Place a queue."""
    revision = await kept.catalog_revision()
    return await kept.placement_add(project, queue, pool, revision)


class PlacementContract(CatalogSuite):
    """Where queues are, as a server with pools asks."""

    # -- placements -------------------------------------------------------------

    async def test_a_queue_is_placed_once(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        assert await kept.placement_get(PROJECT, QUEUE) is None
        first = await place(kept, "a")
        pool = await kept.pool_get("a")
        assert pool is not None
        assert first == Placement("a", first.epoch, first.epoch, pool.revision)
        assert await place(kept, "b") == first
        assert await kept.placement_get(PROJECT, QUEUE) == first
        assert await kept.placement_get("other", QUEUE) is None
        assert await kept.placement_get(PROJECT, "other") is None

    async def test_of_many_who_place_a_queue_one_does(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        placed = await asyncio.gather(
            *(place(kept, "ab"[number % 2]) for number in range(10))
        )
        assert len(set(placed)) == 1
        assert await kept.placement_pools(PROJECT) == [placed[0].pool]

    async def test_a_pool_chosen_from_old_knowledge_is_refused(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        revision = await kept.catalog_revision()
        await kept.pool_put(made("a", 0))
        with pytest.raises(CatalogChanged):
            await kept.placement_add(PROJECT, QUEUE, "a", revision)
        assert await kept.placement_get(PROJECT, QUEUE) is None
        there = await place(kept, "a")
        assert await kept.placement_add(PROJECT, QUEUE, "a", revision) == there

    async def test_a_queue_can_be_placed_in_the_home(
        self, kept: CatalogStorage
    ) -> None:
        placed = await place(kept, HOME)
        assert (placed.pool, placed.revision) == (HOME, 0)
        assert await kept.placement_pools(PROJECT) == [HOME]
        assert await kept.placement_count(HOME) == 1

    async def test_epochs_only_rise(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        last = 0
        for _ in range(3):
            placed = await place(kept, "a")
            assert placed.epoch > last
            last = placed.epoch
            other = await place(kept, "a", "other")
            assert other.epoch > last
            last = other.epoch
            assert await kept.placement_drop(PROJECT, QUEUE, placed.epoch)
            assert await kept.placement_drop(PROJECT, "other", other.epoch)

    async def test_only_the_placement_that_was_read_is_dropped(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        placed = await place(kept, "a")
        assert not await kept.placement_drop(PROJECT, QUEUE, placed.epoch + 1)
        assert not await kept.placement_drop(PROJECT, "other", placed.epoch)
        assert await kept.placement_drop(PROJECT, QUEUE, placed.epoch)
        assert not await kept.placement_drop(PROJECT, QUEUE, placed.epoch)
        assert await kept.placement_get(PROJECT, QUEUE) is None
        assert await kept.placement_pools(PROJECT) == []
        assert await kept.placement_count("a") == 0

    async def test_a_pool_with_queues_stays(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        placed = await place(kept, "a")
        with pytest.raises(PoolInUse):
            await kept.pool_delete("a")
        await kept.placement_drop(PROJECT, QUEUE, placed.epoch)
        await kept.pool_delete("a")

    async def test_a_lost_pool_is_removed_with_its_placements(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        await place(kept, "a")
        stays = await place(kept, "b", "stays")
        returns = await place(kept, "b", "returns")
        await kept.placement_move(PROJECT, "returns", returns.epoch, "a", NOW)
        await kept.pool_delete("a", forget=True)
        assert await kept.placement_get(PROJECT, QUEUE) is None
        assert await kept.placement_get(PROJECT, "stays") == stays
        back = await kept.placement_get(PROJECT, "returns")
        assert back is not None
        assert (back.pool, back.target, back.since) == ("b", None, returns.since)
        assert back.epoch > returns.epoch
        assert await kept.placement_count("a") == 0

    async def test_a_move_goes_from_pool_to_target(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        placed = await place(kept, "a")
        moving = await kept.placement_move(PROJECT, QUEUE, placed.epoch, "b", NOW)
        assert moving is not None
        assert moving.epoch > placed.epoch
        assert (moving.pool, moving.target, moving.lease) == ("a", "b", NOW)
        assert moving.since == placed.since
        assert await kept.placement_get(PROJECT, QUEUE) == moving
        assert await kept.placement_pools(PROJECT) == ["a", "b"]
        assert [await kept.placement_count(name) for name in "ab"] == [1, 1]
        assert not await kept.placement_drop(PROJECT, QUEUE, moving.epoch)
        assert await kept.placement_renew(PROJECT, QUEUE, moving.epoch, NOW + 5)
        assert await kept.placement_arrive(PROJECT, QUEUE, moving.epoch)
        there = await kept.placement_get(PROJECT, QUEUE)
        assert there is not None
        assert (there.pool, there.target, there.lease) == ("b", None, 0)
        assert (there.epoch, there.since) == (moving.epoch, moving.epoch)
        assert await kept.placement_pools(PROJECT) == ["b"]
        assert [await kept.placement_count(name) for name in "ab"] == [0, 1]
        assert not await kept.placement_arrive(PROJECT, QUEUE, moving.epoch)
        assert not await kept.placement_renew(PROJECT, QUEUE, moving.epoch, NOW)

    async def test_a_move_needs_the_placement_that_was_read_and_a_target(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        placed = await place(kept, "a")
        wrong = placed.epoch + 1
        assert await kept.placement_move(PROJECT, QUEUE, wrong, HOME, NOW) is None
        gone = await kept.placement_move(PROJECT, QUEUE, placed.epoch, "none", NOW)
        assert gone is None
        assert await kept.placement_move(PROJECT, "no", 1, HOME, NOW) is None
        assert await kept.placement_get(PROJECT, QUEUE) == placed

    async def test_a_move_is_taken_over_by_a_later_epoch(
        self, kept: CatalogStorage
    ) -> None:
        for name in "abc":
            await kept.pool_put(made(name))
        placed = await place(kept, "a")
        first = await kept.placement_move(PROJECT, QUEUE, placed.epoch, "b", NOW)
        assert first is not None
        second = await kept.placement_move(PROJECT, QUEUE, first.epoch, "c", NOW + 9)
        assert second is not None
        assert not await kept.placement_arrive(PROJECT, QUEUE, first.epoch)
        assert not await kept.placement_renew(PROJECT, QUEUE, first.epoch, NOW)
        assert [await kept.placement_count(name) for name in "abc"] == [1, 0, 1]
        assert await kept.placement_arrive(PROJECT, QUEUE, second.epoch)

    async def test_a_move_can_be_given_up(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        placed = await place(kept, "a")
        moving = await kept.placement_move(PROJECT, QUEUE, placed.epoch, "b", NOW)
        assert moving is not None
        back = await kept.placement_move(PROJECT, QUEUE, moving.epoch, None, 0.0)
        assert back is not None
        assert (back.pool, back.target, back.since) == ("a", None, placed.since)
        assert back.epoch > moving.epoch
        assert not await kept.placement_arrive(PROJECT, QUEUE, moving.epoch)
        assert await kept.placement_count("b") == 0

    async def test_moves_are_found_by_their_lease(self, kept: CatalogStorage) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        expected = []
        for number in (3, 1, 2):
            placed = await place(kept, "a", f"q{number}")
            moving = await kept.placement_move(
                PROJECT, f"q{number}", placed.epoch, "b", NOW + number
            )
            assert moving is not None
            expected.append(PlacedQueue(PROJECT, f"q{number}", moving))
        await place(kept, "a", "still")
        in_order = [expected[1], expected[2], expected[0]]
        assert await kept.placement_moves(NOW + 99, 10) == in_order
        assert await kept.placement_moves(NOW + 99, 2) == in_order[:2]
        assert await kept.placement_moves(NOW + 3, 10) == in_order[:2]
        assert await kept.placement_moves(NOW + 1, 10) == []

    async def test_the_queues_of_a_pool_are_listed_by_project_and_name(
        self, kept: CatalogStorage
    ) -> None:
        await kept.pool_put(made("a"))
        await kept.pool_put(made("b"))
        where = [("p", "b"), ("p\0topics", "a"), ("o", "z"), ("p", "a")]
        for project, queue in where:
            await place(kept, "a", queue, project)
        await place(kept, "b", "c", "p")
        found: list[tuple[str, str]] = []
        marker: tuple[str, str] | None = None
        while page := await kept.placement_list("a", marker=marker, limit=2):
            found += [(one.project, one.queue) for one in page]
            marker = found[-1]
        assert found == sorted(where)
        (one,) = await kept.placement_list("b", marker=None, limit=10)
        assert one.placement == await kept.placement_get("p", "c")

    async def test_what_is_placed_survives_a_restart(
        self, kept: CatalogStorage, storage: Storage
    ) -> None:
        if storage.durability == "memory":
            pytest.skip("the store forgets all when it is closed")
        await kept.pool_put(made("a", 3, "fast"))
        await kept.flavor_put(PROJECT, "fast", ["a"])
        placed = await place(kept, "a")
        revision = await kept.catalog_revision()
        await storage.close()
        await storage.open()
        assert await kept.placement_get(PROJECT, QUEUE) == placed
        assert await kept.flavor_get(PROJECT, "fast") == Flavor("fast", ["a"])
        assert await kept.catalog_revision() == revision
        later = await place(kept, "a", "later")
        assert later.epoch > placed.epoch
