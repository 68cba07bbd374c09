"""Finds the store of a queue, places queues, and follows them when they move."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from zaqarserver.common.lru import LRU
from zaqarserver.errors import CatalogChanged, QueueMoving, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    HOME,
    CatalogRevision,
    Placement,
    PlacementAdd,
    PlacementDrop,
    PlacementGet,
)
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.moving import QueueOpen, QueueSeal, SealKind
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.subscriptions import SubscriptionList

#: How many placements are cached, and for how many seconds: by far shorter than
#: a store remembers that a queue has left it.
REMEMBERED = 50_000
REMEMBERED_SECONDS = 600.0

_TRIES = 20


class Router:
    """Finds the store of a queue.

    A cached placement may be old: then its store refuses the queue
    (:class:`~zaqarserver.errors.QueueMoving`), and the placement is read from the
    catalogue again.

    Args:
        pools: The pools.
        project_of: Returns the project of a space; flavors belong to projects.
        clock: Seconds since the epoch, for what callers pass no time for.
    """

    def __init__(
        self,
        pools: Pools,
        project_of: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self._pools = pools
        self._catalog = pools.home
        self._project_of = project_of
        self._clock = clock
        self._remembered: LRU[tuple[str, str], tuple[Placement, float]] = LRU(
            REMEMBERED
        )

    async def find(self, space: str, queue: str) -> Placement | None:
        """Return the placement of a queue, ``None`` if it does not have one."""
        known = self._remembered.get((space, queue))
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        return await self.look_up(space, queue)

    async def look_up(self, space: str, queue: str) -> Placement | None:
        """Read the placement of a queue from the catalogue."""
        placement = await self._catalog.do(PlacementGet(space, queue))
        if placement is None:
            placement = await self._adopt(space, queue)
        if placement is None:
            self._remembered.pop((space, queue), None)
        else:
            self._remember(space, queue, placement)
        return placement

    def _remember(self, space: str, queue: str, placement: Placement) -> None:
        until = time.monotonic() + REMEMBERED_SECONDS
        self._remembered[space, queue] = (placement, until)

    def forget(self, space: str, queue: str) -> None:
        """Remove a queue from the cache, so that the catalogue is read next time."""
        self._remembered.pop((space, queue), None)

    async def _adopt(self, space: str, queue: str) -> Placement | None:
        """Place a queue that was in the home before there were pools."""
        home = self._pools.home
        first = SubscriptionList(space, queue, marker=None, limit=1, now=0.0)
        try:
            there = await home.do(QueueGet(space, queue)) is not None
            there = there or bool(await home.do(first))
        except QueueMoving:
            return None  # it has left the home
        return await self._add(space, queue, HOME) if there else None

    async def _add(self, space: str, queue: str, pool: str) -> Placement:
        """Place a queue in a given pool, if it is not placed yet."""

        async def given() -> tuple[str, int]:
            return pool, await self._catalog.do(CatalogRevision())

        return await self._add_chosen(space, queue, given)

    async def _add_chosen(
        self, space: str, queue: str, choose: Callable[[], Awaitable[tuple[str, int]]]
    ) -> Placement:
        for _ in range(_TRIES):
            pool, revision = await choose()
            try:
                placement = await self._catalog.do(
                    PlacementAdd(space, queue, pool, revision)
                )
            except CatalogChanged:
                continue
            self._remember(space, queue, placement)
            return placement
        raise Unavailable("the pools are being changed")

    async def place(
        self,
        space: str,
        queue: str,
        *,
        flavor: str | None = None,
        beside: str | None = None,
    ) -> Placement:
        """Return the placement of a queue; place it if it does not have one.

        Args:
            space: The space.
            queue: The queue.
            flavor: The flavor that its pool must have.
            beside: The pool to use; without it one is chosen.

        Raises:
            FlavorNotFound: The project does not have the flavor.
            Unavailable: No pool takes it.
        """
        placement = await self.find(space, queue)
        if placement is not None:
            return placement
        if beside is not None:
            return await self._add(space, queue, beside)
        project = self._project_of(space)
        return await self._add_chosen(
            space, queue, lambda: self._pools.choose(project, flavor)
        )

    async def retire(self, space: str, queue: str) -> bool:
        """Remove the placement of a queue that neither exists nor has subscriptions.

        Returns:
            True if the queue does not have a placement now.
        """
        placement = await self.look_up(space, queue)
        if placement is None:
            return True
        storage = await self._pools.storage_of(placement)
        if placement.target is not None or QueueSeal not in storage.commands:
            return False
        epoch, now = placement.epoch, self._clock()
        if not await storage.do(QueueSeal(space, queue, SealKind.GONE, epoch, now)):
            return False
        self.forget(space, queue)
        return await self._catalog.do(PlacementDrop(space, queue, placement.epoch))

    async def follow(
        self, space: str, queue: str, old: Placement, storage: Storage
    ) -> bool:
        """Find out why a store refuses a queue; return True to try again at once."""
        self.forget(space, queue)
        placement = await self.look_up(space, queue)
        if placement is None or placement.pool != old.pool:
            return True
        if placement.target is not None or QueueSeal not in storage.commands:
            return False
        # It is there and is not being moved. Either a server placed or moved it and did
        # not open it there, or a server retired it and did not change the catalogue.
        opened = QueueOpen(space, queue, placement.epoch, placement.since)
        return await storage.do(opened) or await self.retire(space, queue)
