"""Moves queues from pool to pool, by the steps of :mod:`zaqarserver.storage.moving`.

A move is a placement with a target and a lease, and the mover renews the lease between
pages. At each moment the catalogue names the store that serves the queue, so a move may
stop at any step (its process is killed, a store cannot be reached): any server that
finds the expired lease takes the move over, with a higher epoch. Stores refuse steps
with a lower epoch than they have seen, so a mover that was only slow cannot interfere.
:meth:`Mover.tidy` finishes what was stopped after the catalogue changed: it opens
queues that arrived and drops copies that were left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from zaqarserver.errors import QueueChanged, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    HOME,
    PlacedQueue,
    PlacementArrive,
    PlacementGet,
    PlacementMove,
    PlacementMoves,
    PlacementRenew,
)
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.moving import (
    QueueContents,
    QueueExport,
    QueueImport,
    QueueLeave,
    QueueOpen,
    QueueReceive,
    QueueSeal,
    Seal,
    SealKind,
    SealList,
)
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.routing import Router

LOG = logging.getLogger(__name__)

#: Seconds without a renewal after which another mover takes the move over.
LEASE = 15.0
#: How many records are moved at a time.
PAGE = 500
#: How many seals, and moves whose lease has ended, are read in one call.
SEALS_PAGE = 500
MOVES_PAGE = 100


class _Move(NamedTuple):
    """A move under way.

    Attributes:
        project: The project of the queue.
        queue: The queue.
        epoch: The epoch of the move.
        source: The store that the queue leaves.
        target: The store that receives it.
        pool: The name of the pool that receives it.
    """

    project: str
    queue: str
    epoch: int
    source: Storage
    target: Storage
    pool: str


class Mover:
    """Moves queues; no queue twice at the same time.

    Args:
        pools: The pools.
        router: Caches placements.
        clock: Seconds since the epoch.
        whole: The store over all pools.
    """

    def __init__(
        self,
        pools: Pools,
        router: Router,
        clock: Callable[[], float],
        whole: Storage,
    ) -> None:
        self._pools = pools
        self._catalog = pools.home
        self._router = router
        self._clock = clock
        self._whole = whole
        self._moving: set[tuple[str, str]] = set()

    async def _movable(self, pool: str) -> Storage:
        storage: Storage = await self._pools.storage(pool)
        if QueueSeal not in storage.commands:
            raise Unavailable(f"the store of pool {pool} cannot move queues")
        return storage

    # -- one queue --------------------------------------------------------------

    async def move(self, placed: PlacedQueue, target: str) -> bool:
        """Move a queue, beginning with the placement as it was read.

        Returns:
            True if the queue is in the target now; False if the placement changed
            meanwhile: read it again.

        Raises:
            Unavailable: A store cannot serve now. The queue stays where it is; if that
                could not be recorded, the move is taken over later.
        """
        key = (placed.project, placed.queue)
        if key in self._moving:
            return False
        self._moving.add(key)
        try:
            return await self._begin(placed, target)
        finally:
            self._moving.discard(key)
            self._router.forget(*key)

    async def _begin(self, placed: PlacedQueue, target: str) -> bool:
        source = await self._movable(placed.placement.pool)
        destination = await self._movable(target)
        placement = await self._catalog.do(
            PlacementMove(
                placed.project,
                placed.queue,
                placed.placement.epoch,
                target,
                self._clock() + LEASE,
            )
        )
        if placement is None:
            return False
        move = _Move(
            placed.project,
            placed.queue,
            placement.epoch,
            source,
            destination,
            target,
        )
        try:
            return await self._run(move)
        except (QueueChanged, Unavailable) as error:
            LOG.warning("queue %s stays in its pool: %s", placed.queue, error)
            await self._give_up(move)
            raise Unavailable(f"queue {placed.queue} was not moved: {error}") from error

    async def _run(self, move: _Move) -> bool:
        """Do the steps of a move; return True if it still has its epoch at the end."""
        where = (move.project, move.queue)
        if not await move.source.do(QueueSeal(*where, move.epoch)):
            raise QueueChanged("its store has seen a later move")
        if not await move.target.do(QueueReceive(*where, move.epoch)):
            raise QueueChanged(f"pool {move.pool} has a queue of this name")
        renewed = self._clock()
        following: str | None = None
        count = 0
        while True:
            page = await move.source.do(QueueExport(*where, following, limit=PAGE))
            await move.target.do(QueueImport(*where, move.epoch, page.records))
            count += len(page.records)
            following = page.following
            if following is None:
                break
            now = self._clock()
            if now - renewed > LEASE / 3:
                renewed = now
                if not await self._catalog.do(
                    PlacementRenew(*where, move.epoch, now + LEASE)
                ):
                    return False
        await self._compare(move)
        if not await self._catalog.do(PlacementArrive(*where, move.epoch)):
            return False
        LOG.info("queue %s: %d records moved to %s", move.queue, count, move.pool)
        await self._finish(move)
        return True

    async def _compare(self, move: _Move) -> None:
        """Raise an error unless the target has all that the source has.

        Servers with different clocks may sweep what expires in one store and not in the
        other, so what expires within a lease is not counted.
        """
        where = (move.project, move.queue, self._clock() + LEASE)
        there = await move.source.do(QueueContents(*where))
        missing = there.missing_from(await move.target.do(QueueContents(*where)))
        if missing:
            raise QueueChanged(f"pool {move.pool} got {missing}")

    async def _finish(self, move: _Move) -> None:
        """Open the queue and drop the old copy; :meth:`tidy` does what fails here."""
        where = (move.project, move.queue)
        try:
            await move.target.do(QueueOpen(*where, move.epoch, move.epoch))
            await move.source.do(QueueLeave(*where, move.epoch, self._clock()))
        except Unavailable as error:
            LOG.warning("queue %s: to be tidied later: %s", move.queue, error)

    async def _give_up(self, move: _Move) -> None:
        """Serve the queue at its source again, if the catalogue can be changed."""
        where = (move.project, move.queue)
        try:
            back = await self._catalog.do(PlacementMove(*where, move.epoch, None, 0.0))
            if back is not None:
                await move.source.do(QueueOpen(*where, back.epoch, back.since))
                await move.target.do(QueueLeave(*where, move.epoch, self._clock()))
        except Unavailable as error:
            LOG.warning("queue %s: to be tidied later: %s", move.queue, error)

    async def flavor_of(self, space: str, queue: str) -> str | None:
        """Return the flavor in the metadata of a queue, or ``None``."""
        found = await self._whole.do(QueueGet(space, queue))
        return None if found is None else found.metadata.get("_flavor")

    # -- what others began --------------------------------------------------------

    async def resume(self, before: float) -> None:
        """Take over the moves whose leases ended before a time, one after the other."""
        for placed in await self._catalog.do(PlacementMoves(before, MOVES_PAGE)):
            target = placed.placement.target
            if target is None or (placed.project, placed.queue) in self._moving:
                continue
            LOG.info("queue %s: a move to %s is taken over", placed.queue, target)
            try:
                await self.move(placed, target)
            except Unavailable as error:
                await self._cancel(placed, error)

    async def _cancel(self, placed: PlacedQueue, reason: Unavailable) -> None:
        """Cancel a move of which a store could not be reached at the takeover."""
        current = await self._catalog.do(PlacementGet(placed.project, placed.queue))
        if current is None or current.epoch != placed.placement.epoch:
            return  # the takeover succeeded and cancelled the move
        LOG.warning("queue %s: its move waits: %s", placed.queue, reason)
        back = await self._catalog.do(
            PlacementMove(placed.project, placed.queue, current.epoch, None, 0.0)
        )
        if back is not None:
            # Its store may be the unreachable one: the next request for it opens it.
            self._router.forget(placed.project, placed.queue)

    async def tidy(self) -> None:
        """Drop the copies, and open the queues, that stopped moves have left."""
        for pool in [HOME, *self._pools.names]:
            try:
                storage = await self._movable(pool)
                await self._tidy(pool, storage)
            except Unavailable as error:
                LOG.debug("pool %s is tidied later: %s", pool, error)

    async def _tidy(self, pool: str, storage: Storage) -> None:
        marker: tuple[str, str] | None = None
        while seals := await storage.do(SealList(marker=marker, limit=SEALS_PAGE)):
            for seal in seals:
                if (seal.project, seal.queue) not in self._moving:
                    await self._tidy_one(pool, storage, seal)
            marker = (seals[-1].project, seals[-1].queue)
            await asyncio.sleep(0)

    async def _tidy_one(self, pool: str, storage: Storage, seal: Seal) -> None:
        where = (seal.project, seal.queue)
        placement = await self._catalog.do(PlacementGet(*where))
        if placement is None:
            # Never on its own: the catalogue may be an old one.
            LOG.warning("pool %s: queue %s is placed nowhere", pool, seal.queue)
            return
        if pool in (placement.pool, placement.target):
            if placement.pool == pool and placement.target is None:
                await storage.do(QueueOpen(*where, placement.epoch, placement.since))
            return
        if seal.kind is not SealKind.GONE:
            LOG.info("pool %s: an old copy of queue %s is dropped", pool, seal.queue)
            await storage.do(QueueLeave(*where, seal.epoch, self._clock()))
