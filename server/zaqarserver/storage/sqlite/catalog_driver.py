"""Pools, flavors and placements of the contract, on SQLite."""

from __future__ import annotations

from zaqarserver.storage.catalog import (
    Flavor,
    PlacedQueue,
    Placement,
    Pool,
)
from zaqarserver.storage.sqlite import catalog
from zaqarserver.storage.sqlite.access import Access
from zaqarserver.storage.sqlite.catalog import Place


class CatalogOnSQLite(Access):
    """What each method promises is in the contract."""

    async def catalog_revision(self) -> int:
        """Read the one row."""
        with self._translated:
            return catalog.revision(self._reader)

    # -- pools --------------------------------------------------------------

    async def pool_put(self, pool: Pool) -> None:
        """Replace the row."""
        await self._run(catalog.put_pool, pool)

    async def pool_get(self, name: str) -> Pool | None:
        """Read by primary key."""
        with self._translated:
            return catalog.get_pool(self._reader, name)

    async def pool_list(self, *, marker: str | None, limit: int) -> list[Pool]:
        """Walk over the primary key."""
        with self._translated:
            return catalog.list_pools(self._reader, marker, limit)

    async def pool_delete(self, name: str, *, forget: bool = False) -> None:
        """Delete the row, and the placements that are forgotten."""
        await self._run(catalog.delete_pool, name, forget)

    # -- flavors ------------------------------------------------------------

    async def flavor_put(self, project: str, name: str, pools: list[str]) -> None:
        """Insert a row, and note the flavor in those of the pools."""
        await self._run(catalog.put_flavor, project, name, pools)

    async def flavor_get(self, project: str, name: str) -> Flavor | None:
        """Read by primary key."""
        with self._translated:
            return catalog.get_flavor(self._reader, project, name)

    async def flavor_list(
        self, project: str, *, marker: str | None, limit: int
    ) -> list[Flavor]:
        """Walk over the primary key."""
        with self._translated:
            return catalog.list_flavors(self._reader, project, marker, limit)

    async def flavor_delete(self, project: str, name: str) -> None:
        """Delete the row."""
        await self._run(catalog.delete_flavor, project, name)

    # -- placements ---------------------------------------------------------

    async def placement_get(self, project: str, queue: str) -> Placement | None:
        """Read by primary key."""
        with self._translated:
            return catalog.get_placement(self._reader, Place(project, queue))

    async def placement_add(
        self, project: str, queue: str, pool: str, revision: int
    ) -> Placement:
        """Insert a row."""
        place = Place(project, queue)
        return await self._run(catalog.add_placement, place, pool, revision)

    async def placement_drop(self, project: str, queue: str, epoch: int) -> bool:
        """Delete the row."""
        return await self._run(catalog.drop_placement, Place(project, queue), epoch)

    async def placement_move(
        self, project: str, queue: str, epoch: int, target: str | None, lease: float
    ) -> Placement | None:
        """Change the row."""
        place = Place(project, queue)
        return await self._run(catalog.move_placement, place, epoch, target, lease)

    async def placement_renew(
        self, project: str, queue: str, epoch: int, lease: float
    ) -> bool:
        """Change the row."""
        place = Place(project, queue)
        return await self._run(catalog.renew_placement, place, epoch, lease)

    async def placement_arrive(self, project: str, queue: str, epoch: int) -> bool:
        """Change the row."""
        return await self._run(catalog.arrive_placement, Place(project, queue), epoch)

    async def placement_list(
        self, pool: str, *, marker: tuple[str, str] | None, limit: int
    ) -> list[PlacedQueue]:
        """Walk over an index."""
        with self._translated:
            return catalog.list_placements(self._reader, pool, marker, limit)

    async def placement_moves(self, before: float, limit: int) -> list[PlacedQueue]:
        """Walk over an index."""
        with self._translated:
            return catalog.list_moves(self._reader, before, limit)

    async def placement_pools(self, project: str) -> list[str]:
        """Read the maintained counters of the project."""
        with self._translated:
            return catalog.pools_of_project(self._reader, project)

    async def placement_count(self, pool: str) -> int:
        """Add up the maintained counters of the pool."""
        with self._translated:
            return catalog.count_placements(self._reader, pool)
