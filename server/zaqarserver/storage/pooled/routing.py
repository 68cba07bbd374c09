"""Finds the store of a queue, and follows the queue when it moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zaqarserver.common.lru import LRU
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import (
    BadRequest,
    CatalogChanged,
    QueueMoving,
    Unavailable,
    nothing_done,
)
from zaqarserver.storage.base import Metadata, Storage
from zaqarserver.storage.catalog import (
    HOME,
    CatalogRevision,
    Placement,
    PlacementAdd,
    PlacementDrop,
    PlacementGet,
)
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.moving import QueueOpen, QueueRetire, QueueSeal
from zaqarserver.storage.pooled.pools import PoolGone, Pools
from zaqarserver.storage.subscriptions import SubscriptionList

T = TypeVar("T")

#: How many placements are remembered, and for how many seconds: by far shorter than
#: a store remembers that a queue has left it.
REMEMBERED = 50_000
REMEMBERED_SECONDS = 600.0

#: How long a request waits for a queue that is being moved, before a 503.
PATIENCE = 2.0
_FIRST_WAIT = 0.02
_TRIES = 20

Key = tuple[str, str]


async def _never(_project: str, _queue: str, _other: str) -> bool:
    """Stand in for the mover."""
    return False


class Router:
    """Runs what is asked of a queue in the store that has it.

    A placement that is remembered may be old. That shows when its store refuses the
    queue (:class:`~zaqarserver.errors.QueueMoving`): then the catalogue is asked.

    Args:
        pools: The pools.
        project_of: Returns the project, which has the flavors, of what callers
            name as the project of a queue.
        clock: Seconds since the epoch, for what callers pass no time for.
    """

    def __init__(
        self,
        pools: Pools,
        project_of: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self.pools = pools
        self._clock = clock
        #: Brings two queues into one pool, see :class:`Mover`.
        self.join: Callable[[str, str, str], Awaitable[bool]] = _never
        self._catalog = pools.catalog
        self._project_of = project_of
        self._remembered: LRU[Key, tuple[Placement, float]] = LRU(REMEMBERED)

    # -- placements -----------------------------------------------------------

    async def find(self, project: str, queue: str) -> Placement | None:
        """Return where a queue is, ``None`` if it is nowhere."""
        known = self._remembered.get((project, queue))
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        return await self.look_up(project, queue)

    async def look_up(self, project: str, queue: str) -> Placement | None:
        """Ask the catalogue where a queue is."""
        placement = await self._catalog.do(PlacementGet(project, queue))
        if placement is None:
            placement = await self._adopt(project, queue)
        if placement is None:
            self._remembered.pop((project, queue), None)
        else:
            self._remember(project, queue, placement)
        return placement

    def _remember(self, project: str, queue: str, placement: Placement) -> None:
        until = time.monotonic() + REMEMBERED_SECONDS
        self._remembered[project, queue] = (placement, until)

    def forget(self, project: str, queue: str) -> None:
        """Ask the catalogue the next time."""
        self._remembered.pop((project, queue), None)

    async def _adopt(self, project: str, queue: str) -> Placement | None:
        """Place a queue that was in the home before there were pools."""
        home = self.pools.home
        try:
            there = await home.do(QueueGet(project, queue)) is not None
            if not there:
                there = bool(
                    await home.do(
                        SubscriptionList(project, queue, marker=None, limit=1, now=0.0)
                    )
                )
        except QueueMoving:
            return None  # it has left the home
        if not there:
            return None
        return await self._add(project, queue, HOME)

    async def _add(self, project: str, queue: str, pool: str) -> Placement:
        """Place a queue in a given pool, if it is placed nowhere yet."""
        for _ in range(_TRIES):
            revision = await self._catalog.do(CatalogRevision())
            try:
                placement = await self._catalog.do(
                    PlacementAdd(project, queue, pool, revision)
                )
            except CatalogChanged:
                continue
            self._remember(project, queue, placement)
            return placement
        raise Unavailable("the pools are being changed")

    async def place(
        self,
        project: str,
        queue: str,
        *,
        flavor: str | None = None,
        beside: str | None = None,
    ) -> Placement:
        """Return where a queue is, after placing it if it is nowhere.

        Args:
            project: The project.
            queue: The queue.
            flavor: The flavor that its pool must have.
            beside: A pool to take rather than to choose.

        Raises:
            FlavorNotFound: The project has no such flavor.
            Unavailable: No pool takes it.
        """
        placement = await self.find(project, queue)
        if placement is not None:
            return placement
        if beside is not None:
            return await self._add(project, queue, beside)
        for _ in range(_TRIES):
            pool, revision = await self.pools.choose(self._project_of(project), flavor)
            try:
                placement = await self._catalog.do(
                    PlacementAdd(project, queue, pool, revision)
                )
            except CatalogChanged:
                continue
            self._remember(project, queue, placement)
            return placement
        raise Unavailable("the pools are being changed")

    async def place_new(
        self, project: str, queue: str, metadata: Metadata
    ) -> Placement:
        """Return where a queue with this metadata is or is to be made.

        A queue and its dead letter queue need the same pool: it is placed where that
        one is, or takes that one along.

        Raises:
            BadRequest: The dead letter queue is in a pool that the queue cannot be in.
            FlavorNotFound: The project has no such flavor.
            Unavailable: No pool takes it.
        """
        flavor, target = metadata.get("_flavor"), metadata.get("_dead_letter_queue")
        placement = await self.find(project, queue)
        if placement is not None and not self._suits(placement.pool, flavor):
            # It was deleted, or never made where it was to be.
            placement = None if await self.retire(project, queue) else placement
        if placement is None:
            beside = None
            if target:
                there = await self.find(project, target)
                beside = None if there is None else there.pool
            if beside is not None and not self._suits(beside, flavor):
                beside = None
            placement = await self.place(project, queue, flavor=flavor, beside=beside)
        if target:
            await self.pair(project, queue, target, placement)
        return placement

    async def pair(
        self, project: str, queue: str, target: str, placement: Placement
    ) -> None:
        """See that a dead letter queue is where its queue is.

        Raises:
            BadRequest: It is elsewhere, and the two cannot be brought together.
        """
        there = await self.place(project, target, beside=placement.pool)
        if there.pool == placement.pool:
            return
        if await self.retire(project, target):
            await self.place(project, target, beside=placement.pool)
        elif not await self.join(project, queue, target):
            raise BadRequest(
                f"_dead_letter_queue: {target} is kept in another pool than {queue}, "
                "and neither can be moved now. Name a queue that does not exist yet."
            )

    def _suits(self, pool: str, flavor: str | None) -> bool:
        known = self.pools.known(pool)
        return flavor is None or (known is not None and known.flavor == flavor)

    async def retire(self, project: str, queue: str) -> bool:
        """Forget where a queue was that does not exist and has no subscriptions.

        Returns:
            Whether it is nowhere now.
        """
        placement = await self.look_up(project, queue)
        if placement is None:
            return True
        storage = await self.pools.storage_of(placement)
        if placement.target is not None or QueueSeal not in storage.commands:
            return False
        if not await storage.do(
            QueueRetire(project, queue, placement.epoch, self._clock())
        ):
            return False
        self.forget(project, queue)
        return await self._catalog.do(PlacementDrop(project, queue, placement.epoch))

    # -- running ----------------------------------------------------------------

    async def run(
        self,
        project: str,
        queue: str,
        action: Callable[[Storage], Awaitable[T]],
        absent: Callable[[], T],
    ) -> T:
        """Do something in the store that has a queue.

        Args:
            project: The project.
            queue: The queue.
            action: What to do there; done again elsewhere if the store refuses.
            absent: Returns or raises what a missing queue comes to.

        Raises:
            QueueMoving: The queue is being moved, for longer than a moment.
            Unavailable: Its store cannot serve now.
        """

        async def find() -> Placement | None:
            return await self.find(project, queue)

        return await self._run(project, queue, find, action, absent)

    async def run_made(
        self,
        project: str,
        queue: str,
        action: Callable[[Storage], Awaitable[T]],
        metadata: Metadata | None = None,
    ) -> T:
        """Do the same for what makes a queue: it is placed first.

        Args:
            project: The project.
            queue: The queue.
            action: What to do.
            metadata: The metadata that it will have.
        """

        async def place() -> Placement | None:
            if metadata is None:
                return await self.place(project, queue)
            return await self.place_new(project, queue, metadata)

        def unplaced() -> T:
            raise Unavailable(f"queue {queue} could not be placed")

        return await self._run(project, queue, place, action, unplaced)

    async def _run(
        self,
        project: str,
        queue: str,
        find: Callable[[], Awaitable[Placement | None]],
        action: Callable[[Storage], Awaitable[T]],
        absent: Callable[[], T],
    ) -> T:
        waits, end = doubling(_FIRST_WAIT), time.monotonic() + PATIENCE
        while True:
            with nothing_done():
                placement = await find()
            if placement is None:
                return absent()
            try:
                storage = await self.pools.storage_of(placement)
            except PoolGone:
                if await self.look_up(project, queue) == placement:
                    raise
                continue
            try:
                return await action(storage)
            except QueueMoving:
                if time.monotonic() >= end:
                    raise
            with nothing_done():
                followed = await self._follow(project, queue, placement, storage)
            if not followed:
                await asyncio.sleep(next(waits))

    async def _follow(
        self, project: str, queue: str, old: Placement, storage: Storage
    ) -> bool:
        """Find out why a store refuses a queue; return whether to ask again at once."""
        self.forget(project, queue)
        placement = await self.look_up(project, queue)
        if placement is None or placement.pool != old.pool:
            return True
        if placement.target is not None:
            return False
        # It is there, and nobody moves it: whoever placed or moved it there has
        # not said so to the store; or whoever retired it, not to the catalogue.
        if QueueSeal not in storage.commands:
            return False
        return await storage.do(
            QueueOpen(project, queue, placement.epoch, placement.since)
        ) or await self.retire(project, queue)
