"""Empties pools: moves every queue to another pool."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from zaqarserver.errors import (
    FlavorNotFound,
    PoolNotFound,
    QueueMoving,
    Unavailable,
    ZaqarServerError,
)
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    DrainState,
    PlacedQueue,
    PlacementCount,
    PlacementGet,
    PlacementList,
    PoolGet,
    PoolPut,
)
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.pooled.mover import Mover
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.routing import Router

LOG = logging.getLogger(__name__)

_PAGE = 100
#: How many passes over the remaining queues a drain makes before it stops. Queues
#: remain while another server moves them, and other servers place new ones until they
#: read the new weight.
_PASSES = 5
_BETWEEN = 1.0  # seconds
#: How far a chain of dead letter queues is followed.
_CHAIN = 8


class _Drain:
    """The drain of one pool by this server."""

    def __init__(self) -> None:
        self.moved = 0
        self.error: str | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


class Drains:
    """Drains pools in the background.

    Args:
        pools: The pools.
        router: Remembers placements.
        mover: Moves queues.
        project_of: Returns the project of a space; flavors belong to projects.
        whole: The store over all pools.
    """

    def __init__(
        self,
        pools: Pools,
        router: Router,
        mover: Mover,
        project_of: Callable[[str], str],
        whole: Storage,
    ) -> None:
        self._whole = whole
        self._pools = pools
        self._router = router
        self._mover = mover
        self._project_of = project_of
        self._drains: dict[str, _Drain] = {}

    async def drain(self, name: str, wait: float) -> DrainState:
        """Take all weight from a pool and move its queues, or continue that.

        Args:
            name: The pool.
            wait: Seconds to wait for the end of the drain before the state is returned.

        Raises:
            PoolNotFound: The pool does not exist.
        """
        catalog = self._pools.home
        pool = await catalog.do(PoolGet(name))
        if pool is None:
            raise PoolNotFound(f"Pool {name} does not exist.")
        if pool.weight:
            await catalog.do(PoolPut(msgspec.structs.replace(pool, weight=0)))
        await self._pools.refresh()
        drain = self._drains.setdefault(name, _Drain())
        if not drain.running:
            drain.moved, drain.error = 0, None
            drain.task = asyncio.create_task(self._empty(name, drain))
        if drain.task is not None:
            await asyncio.wait([drain.task], timeout=wait)
        return DrainState(
            await catalog.do(PlacementCount(name)),
            drain.moved,
            drain.running,
            drain.error,
        )

    async def close(self) -> None:
        """Stop all drains; moves under way are taken over later."""
        drains, self._drains = list(self._drains.values()), {}
        tasks = [drain.task for drain in drains if drain.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _empty(self, name: str, drain: _Drain) -> None:
        LOG.info("pool %s: draining", name)
        for _ in range(_PASSES):
            drain.error = None
            try:
                await self._pass(name, drain)
                left = await self._pools.home.do(PlacementCount(name))
            except Unavailable as error:
                drain.error, left = str(error), 1
            if not left:
                break
            await asyncio.sleep(_BETWEEN)
        LOG.info("pool %s: %d queues moved, %s", name, drain.moved, drain.error or "ok")

    async def _pass(self, name: str, drain: _Drain) -> None:
        """Try once to move each queue of the pool."""
        marker: tuple[str, str] | None = None
        while page := await self._pools.home.do(
            PlacementList(name, marker=marker, limit=_PAGE)
        ):
            for placed in page:
                try:
                    await self._move(placed, drain)
                except ZaqarServerError as error:
                    drain.error = f"queue {placed.queue}: {error}"
                    LOG.warning("pool %s: %s", name, drain.error)
            marker = (page[-1].project, page[-1].queue)

    async def _move(self, placed: PlacedQueue, drain: _Drain) -> None:
        """Move a queue and then its dead letter queues, which need the same pool."""
        project, queue, source = placed.project, placed.queue, placed.placement.pool
        if await self._router.retire(project, queue):
            drain.moved += 1
            return
        chain, beside, waiting = await self._chain(project, queue, source)
        target = beside or await self._choose(project, queue, source)
        for name in chain:
            placement = await self._pools.home.do(PlacementGet(project, name))
            if placement is None or placement.pool != source:
                continue
            if placement.target is not None:
                raise QueueMoving("it is being moved already")
            if await self._mover.move(PlacedQueue(project, name, placement), target):
                drain.moved += 1
        if waiting is not None:
            await self._router.place(project, waiting, beside=target)

    async def _chain(
        self, project: str, queue: str, source: str
    ) -> tuple[list[str], str | None, str | None]:
        """Follow the dead letter queues of a queue within the pool.

        Returns:
            The queue and those dead letter queues; the pool of the next one, if that is
            another pool that takes queues; and the name of the next one, if it is not
            placed yet.
        """
        chain = [queue]
        while len(chain) < _CHAIN:
            last = chain[-1]
            found = await self._whole.do(QueueGet(project, last))
            following = found and found.metadata.get("_dead_letter_queue")
            if not following or following in chain:
                break
            placement = await self._router.look_up(project, following)
            if placement is None:
                return chain, None, following
            if placement.pool != source:
                taking = self._pools.known(placement.pool)
                there = taking is not None and taking.weight > 0
                return chain, placement.pool if there else None, None
            chain.append(following)
        return chain, None, None

    async def _choose(self, project: str, queue: str, source: str) -> str:
        flavor = await self._mover.flavor_of(project, queue)
        owner = self._project_of(project)
        try:
            chosen, _ = await self._pools.choose(owner, flavor, without=source)
        except FlavorNotFound:
            chosen, _ = await self._pools.choose(owner, None, without=source)
        return chosen
