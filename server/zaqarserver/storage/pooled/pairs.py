"""Keeps a queue and its dead letter queue in one pool.

A claim moves messages that were claimed too often to the dead letter queue, in one
transaction of one store.
"""

from __future__ import annotations

import logging

from zaqarserver.errors import BadRequest
from zaqarserver.storage.base import Metadata
from zaqarserver.storage.catalog import HOME, PlacedQueue, Placement
from zaqarserver.storage.pooled.mover import Mover
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.routing import Router
from zaqarserver.storage.records import DeadLetter

LOG = logging.getLogger(__name__)


class Pairs:
    """Places queues by their metadata, with their dead letter queue in the same pool.

    Args:
        pools: The pools.
        router: Finds the placements of queues.
        mover: Moves queues.
    """

    def __init__(self, pools: Pools, router: Router, mover: Mover) -> None:
        self._pools = pools
        self._router = router
        self._mover = mover

    async def place(self, space: str, queue: str, metadata: Metadata) -> Placement:
        """Return the placement of a queue with this metadata; place it if it is new.

        A new queue gets the pool of its dead letter queue, or the dead letter queue
        gets the pool of the queue.

        Raises:
            BadRequest: The dead letter queue is in a pool that the queue cannot be in.
            FlavorNotFound: The project does not have the flavor.
            Unavailable: No pool takes it.
        """
        flavor, target = metadata.get("_flavor"), metadata.get("_dead_letter_queue")
        placement = await self._router.find(space, queue)
        if (
            placement is not None
            and not self._suits(placement.pool, flavor)
            # It was deleted, or was placed and never created.
            and await self._router.retire(space, queue)
        ):
            placement = None
        if placement is None:
            there = await self._router.find(space, target) if target else None
            beside = None if there is None else there.pool
            if beside is not None and not self._suits(beside, flavor):
                beside = None
            placement = await self._router.place(
                space, queue, flavor=flavor, beside=beside
            )
        if target:
            await self._pair(space, queue, target, placement)
        return placement

    async def find(
        self, space: str, queue: str, metadata: Metadata
    ) -> Placement | None:
        """Return the placement of a queue that gets this metadata, after pairing it.

        Raises:
            BadRequest: The queue and its dead letter queue cannot have one pool.
        """
        target = metadata.get("_dead_letter_queue")
        placement = await self._router.find(space, queue)
        if target and placement is not None:
            await self._pair(space, queue, target, placement)
            placement = await self._router.find(space, queue)
        return placement

    async def _pair(
        self, space: str, queue: str, target: str, placement: Placement
    ) -> None:
        there = await self._router.place(space, target, beside=placement.pool)
        if there.pool == placement.pool:
            return
        if await self._router.retire(space, target):
            await self._router.place(space, target, beside=placement.pool)
        elif not await self._join(space, queue, target):
            raise BadRequest(
                f"_dead_letter_queue: {target} is kept in another pool than {queue}, "
                "and neither can be moved now. Name a queue that does not exist yet."
            )

    async def reachable(
        self, space: str, queue: str, dead_letter: DeadLetter
    ) -> DeadLetter | None:
        """Return the dead letter settings if both queues share a pool, or ``None``."""
        placement = await self._router.find(space, queue)
        if placement is None:
            return dead_letter
        there = await self._router.place(
            space, dead_letter.queue, beside=placement.pool
        )
        if there.pool == placement.pool or await self._join(
            space, queue, dead_letter.queue
        ):
            return dead_letter
        # While a pool is drained, one of the two may arrive before the other. Then a
        # message is claimed once more than it should be, rather than not at all.
        LOG.warning(
            "queue %s and its dead letter queue %s are in different pools, nothing is "
            "moved there",
            queue,
            dead_letter.queue,
        )
        return None

    async def _join(self, space: str, queue: str, other: str) -> bool:
        """Move a queue to the pool of another one; return True if they share it.

        The first moves if its flavor and the weights allow it, because other queues may
        use the second as their dead letter queue, too.
        """
        mine = await self._router.look_up(space, queue)
        theirs = await self._router.look_up(space, other)
        if mine is None or theirs is None:
            return False
        if mine.pool == theirs.pool:
            return True
        if mine.target is not None or theirs.target is not None:
            return False
        if await self._takes(theirs.pool, space, queue):
            return await self._mover.move(PlacedQueue(space, queue, mine), theirs.pool)
        if await self._takes(mine.pool, space, other):
            return await self._mover.move(PlacedQueue(space, other, theirs), mine.pool)
        return False

    async def _takes(self, name: str, space: str, queue: str) -> bool:
        """Return True if a queue may be moved to a pool."""
        pool = self._pools.known(name)
        if name == HOME or pool is None or pool.weight == 0:
            return False
        return self._suits(name, await self._mover.flavor_of(space, queue))

    def _suits(self, name: str, flavor: str | None) -> bool:
        pool = self._pools.known(name)
        return flavor is None or (pool is not None and pool.flavor == flavor)
