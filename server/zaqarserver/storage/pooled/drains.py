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
    Placement,
    PlacementCount,
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
        space, queue, source = placed.project, placed.queue, placed.placement.pool
        if await self._router.retire(space, queue):
            drain.moved += 1
            return
        chain = await self._chain(placed)
        *_, end = chain.values()
        beside = None if end is None else self._pools.known(end.pool)
        if beside is not None and beside.name != source and beside.weight > 0:
            target = beside.name
        else:
            target = await self._choose(space, queue, source)
        for name, placement in chain.items():
            if placement is None:
                await self._router.place(space, name, beside=target)
            elif placement.pool == source:
                if placement.target is not None:
                    raise QueueMoving("it is being moved already")
                moved = PlacedQueue(space, name, placement)
                drain.moved += await self._mover.move(moved, target)

    async def _chain(self, placed: PlacedQueue) -> dict[str, Placement | None]:
        """Return a queue and its dead letter queues, up to one that is elsewhere.

        Returns:
            Their placements by name, in order. The last queue may be in another pool,
            or not placed yet.
        """
        space, name, placement = placed.project, placed.queue, placed.placement
        chain: dict[str, Placement | None] = {name: placement}
        while len(chain) < _CHAIN:
            found = await self._whole.do(QueueGet(space, name))
            name = found.metadata.get("_dead_letter_queue", "") if found else ""
            if not name or name in chain:
                break
            chain[name] = there = await self._router.look_up(space, name)
            if there is None or there.pool != placement.pool:
                break
        return chain

    async def _choose(self, project: str, queue: str, source: str) -> str:
        flavor = await self._mover.flavor_of(project, queue)
        owner = self._project_of(project)
        try:
            chosen, _ = await self._pools.choose(owner, flavor, without=source)
        except FlavorNotFound:
            chosen, _ = await self._pools.choose(owner, None, without=source)
        return chosen
