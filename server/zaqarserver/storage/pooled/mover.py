"""Moves queues from pool to pool, by the steps of :mod:`zaqarserver.storage.moving`.

A move is a placement with a target and a lease: seal the queue at its source, copy it,
compare, let the catalogue place it in the target, and make both stores follow the
catalogue: one opens the queue, the other drops it. A move that fails is cancelled in
the catalogue, and then the stores follow in the same way.

At each moment the catalogue names the store that serves the queue, so a move may stop
at any step (its process is killed, a store cannot be reached): any server that finds
the expired lease takes the move over, with a higher epoch. Stores refuse steps with a
lower epoch than they have seen, so a mover that was only slow cannot interfere.
:meth:`Mover.tidy` lets stores follow the catalogue where a move was stopped after it
had changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from zaqarserver.errors import QueueChanged, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    HOME,
    PlacedQueue,
    Placement,
    PlacementArrive,
    PlacementGet,
    PlacementMove,
    PlacementMoves,
    PlacementRenew,
)
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.moving import (
    QueueContents,
    QueueDrop,
    QueueExport,
    QueueImport,
    QueueOpen,
    QueueSeal,
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
        where: The space and the queue.
        epoch: The epoch of the move.
        pools: The names of the pools that the queue leaves and goes to.
    """

    where: tuple[str, str]
    epoch: int
    pools: tuple[str, str]


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
        where = (placed.project, placed.queue)
        if where in self._moving:
            return False
        self._moving.add(where)
        try:
            return await self._begin(where, placed.placement, target)
        finally:
            self._moving.discard(where)
            self._router.forget(*where)

    async def _begin(
        self, where: tuple[str, str], placement: Placement, target: str
    ) -> bool:
        pools = (placement.pool, target)
        if placement.target is None:  # a pool that fails now fails before the move
            await asyncio.gather(*map(self._movable, pools))
        lease = self._clock() + LEASE
        begun = await self._catalog.do(
            PlacementMove(*where, placement.epoch, target, lease)
        )
        if begun is None:
            return False
        move = _Move(where, begun.epoch, pools)
        try:
            arrived = await self._run(move)
        except (QueueChanged, Unavailable) as error:
            LOG.warning("queue %s stays in its pool: %s", where[1], error)
            await self._cancel(move)
            raise Unavailable(f"queue {where[1]} was not moved: {error}") from error
        if arrived:
            await self._follow(where, move.epoch, pools[::-1])
        return arrived

    async def _run(self, move: _Move) -> bool:
        """Do the steps of a move; return True if it still has its epoch at the end."""
        where, epoch = move.where, move.epoch
        source, target = [await self._movable(pool) for pool in move.pools]
        if not await source.do(
            QueueSeal(*where, SealKind.LEAVING, epoch, self._clock())
        ):
            raise QueueChanged("its store has seen a later move")
        if not await target.do(
            QueueSeal(*where, SealKind.ARRIVING, epoch, self._clock())
        ):
            raise QueueChanged(f"pool {move.pools[1]} has a queue of this name")
        if not await self._copy(move, source, target):
            return False
        # Servers with different clocks may sweep what expires in one store and not in
        # the other, so what expires within a lease is not counted.
        counted = QueueContents(*where, self._clock() + LEASE)
        there = await source.do(counted)
        missing = there.missing_from(await target.do(counted))
        if missing:
            raise QueueChanged(f"pool {move.pools[1]} got {missing}")
        return await self._catalog.do(PlacementArrive(*where, epoch))

    async def _copy(self, move: _Move, source: Storage, target: Storage) -> bool:
        """Copy all records; return False if the lease was lost meanwhile."""
        where, epoch = move.where, move.epoch
        renewed = self._clock()
        following: str | None = None
        while True:
            page = await source.do(QueueExport(*where, following, limit=PAGE))
            if page.records:
                await target.do(QueueImport(*where, epoch, page.records))
            following = page.following
            if following is None:
                return True
            now = self._clock()
            if now - renewed > LEASE / 3:
                renewed = now
                if not await self._catalog.do(
                    PlacementRenew(*where, epoch, now + LEASE)
                ):
                    return False

    async def _cancel(self, move: _Move) -> None:
        """Place the queue at its source again, if the catalogue can be changed."""
        try:
            stays = PlacementMove(*move.where, move.epoch, None, 0.0)
            if await self._catalog.do(stays) is not None:
                await self._follow(move.where, move.epoch, move.pools)
        except Unavailable as error:
            LOG.warning("queue %s: to be cancelled later: %s", move.where[1], error)

    async def _follow(
        self, where: tuple[str, str], epoch: int, pools: Iterable[str]
    ) -> None:
        """Make stores follow the catalogue; :meth:`tidy` does what fails here.

        A queue that was sealed with an epoch is opened where the catalogue places it,
        and dropped elsewhere.
        """
        try:
            for pool in pools:
                storage = await self._movable(pool)
                placement = await self._catalog.do(PlacementGet(*where))
                if placement is None:
                    # Never on its own: the catalogue may be an old one.
                    LOG.warning("pool %s: queue %s is placed nowhere", pool, where[1])
                elif pool not in (placement.pool, placement.target):
                    await storage.do(QueueDrop(*where, epoch, self._clock()))
                elif placement.target is None:
                    opened = QueueOpen(*where, placement.epoch, placement.since)
                    await storage.do(opened)
        except Unavailable as error:
            LOG.warning("queue %s: to be tidied later: %s", where[1], error)

    async def flavor_of(self, space: str, queue: str) -> str | None:
        """Return the flavor in the metadata of a queue, or ``None``."""
        found = await self._whole.do(QueueGet(space, queue))
        return None if found is None else found.metadata.get("_flavor")

    # -- what others began --------------------------------------------------------

    async def resume(self, before: float) -> None:
        """Take over the moves whose leases ended before a time, one after the other."""
        for placed in await self._catalog.do(PlacementMoves(before, MOVES_PAGE)):
            target = placed.placement.target
            if target is not None:
                LOG.info("queue %s: a move to %s is taken over", placed.queue, target)
                with contextlib.suppress(Unavailable):  # the move is cancelled
                    await self.move(placed, target)

    async def tidy(self) -> None:
        """Open the queues, and drop the copies, that stopped moves have left."""
        for pool in [HOME, *self._pools.names]:
            try:
                await self._tidy(pool, await self._movable(pool))
            except Unavailable as error:
                LOG.debug("pool %s is tidied later: %s", pool, error)

    async def _tidy(self, pool: str, storage: Storage) -> None:
        marker: tuple[str, str] | None = None
        while seals := await storage.do(SealList(marker=marker, limit=SEALS_PAGE)):
            for seal in seals:
                marker = (seal.space, seal.queue)
                await self._follow(marker, seal.epoch, [pool])
            await asyncio.sleep(0)
