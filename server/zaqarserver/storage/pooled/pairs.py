"""Keeps a queue and its dead letter queue in one pool.

A claim moves what was claimed too often to the dead letter queue within one store.
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
    """Places queues by their metadata, and brings pairs together.

    Args:
        pools: The pools.
        router: Knows where queues are.
        mover: Moves queues.
    """

    def __init__(self, pools: Pools, router: Router, mover: Mover) -> None:
        self._pools = pools
        self._router = router
        self._mover = mover

    async def place(self, space: str, queue: str, metadata: Metadata) -> Placement:
        """Return where a queue with this metadata is or is to be made.

        It is placed where its dead letter queue is, or takes that one along.

        Raises:
            BadRequest: The dead letter queue is in a pool that the queue cannot be in.
            FlavorNotFound: The project has no such flavor.
            Unavailable: No pool takes it.
        """
        flavor, target = metadata.get("_flavor"), metadata.get("_dead_letter_queue")
        placement = await self._router.find(space, queue)
        if (
            placement is not None
            and not self._suits(placement.pool, flavor)
            # It was deleted, or never made where it was to be.
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
        """Return where a queue is that gets this metadata; its pair is there as well.

        Raises:
            BadRequest: The two cannot be brought together.
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
        """Return the dead letter settings if messages can be moved so, or ``None``."""
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
        # While a pool is drained, one of them may have arrived before the other. The
        # message is claimed once more than it should be rather than not at all.
        LOG.warning(
            "queue %s and its dead letter queue %s are in different pools, nothing is "
            "moved there",
            queue,
            dead_letter.queue,
        )
        return None

    async def _join(self, space: str, queue: str, other: str) -> bool:
        """Bring two queues into one pool; return whether they are in one.

        The first goes to the other where its flavor and the weights allow it: others
        may share that one.
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
        """Whether a queue may be moved to a pool."""
        pool = self._pools.known(name)
        if name == HOME or pool is None or pool.weight == 0:
            return False
        return self._suits(name, await self._mover.flavor_of(space, queue))

    def _suits(self, name: str, flavor: str | None) -> bool:
        pool = self._pools.known(name)
        return flavor is None or (pool is not None and pool.flavor == flavor)
