"""A store over several: the home keeps the catalogue, the pools keep queues."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from zaqarserver.clock import wall
from zaqarserver.common import deadline
from zaqarserver.common.lru import LRU
from zaqarserver.errors import SettingsError, Unavailable
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
    Usage,
    UsageGet,
)
from zaqarserver.storage.base import (
    Capability,
    Durability,
    Queue,
    Storage,
    StoreTime,
    Volume,
)
from zaqarserver.storage.catalog import HOME, PlacementGet, PlacementPools
from zaqarserver.storage.commands import QueueCount, QueueList, VolumeGet
from zaqarserver.storage.pooled.drains import Drains
from zaqarserver.storage.pooled.mover import Mover
from zaqarserver.storage.pooled.notices import Ears, NoticesInPools
from zaqarserver.storage.pooled.pools import Load, Pools
from zaqarserver.storage.pooled.queues import QueuesInPools
from zaqarserver.storage.pooled.routing import Router

LOG = logging.getLogger(__name__)

_WEAKEST = (Durability.MEMORY, Durability.PROCESS_CRASH, Durability.POWER_LOSS)
_REMEMBERED_USAGES = 10_000
_TIDY_SECONDS = 20.0
_USAGE_SECONDS = 1.0


class PooledStorage(QueuesInPools, NoticesInPools):
    """The whole contract over a home and its pools.

    A pool that cannot be reached makes only what needs its queues unavailable.

    Args:
        home: The store of the catalogue; not opened yet.
        load: Makes the drivers of pools.
        project_of: Returns the project of what callers name as one: flavors belong
            to projects.
        home_uri: The URI of the home, which no pool can have.
        virtual: Whether the home takes new queues while there is no pool.
        clock: Seconds since the epoch, for what callers pass no time for.

    Raises:
        SettingsError: The home's driver keeps no catalogue.
    """

    def __init__(
        self,
        home: Storage,
        load: Load,
        project_of: Callable[[str], str] = str,
        *,
        home_uri: str = "",
        virtual: bool = False,
        clock: Callable[[], float] = wall,
    ) -> None:
        if PlacementGet not in home.commands:
            raise SettingsError("pooling: the store of [storage] uri keeps no pools")
        self._ears = Ears()
        self._home = home
        self._clock = clock
        self._pools = Pools(
            home, home, load, self._ears, home_uri=home_uri, virtual=virtual
        )
        self._router = Router(self._pools, project_of, clock)
        self._mover = Mover(self._pools, self._router, clock)
        self._router.join = self._mover.join
        self._drains = Drains(self._pools, self._router, self._mover, project_of)
        self._chore: asyncio.Task[None] | None = None
        self._tidy_at = 0.0
        self._usages: LRU[tuple[str, str], Usage] = LRU(_REMEMBERED_USAGES)
        home.watch(self._ears.posted, self._ears.noticed, self._ears.forgotten)

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Refuse: pools come from the catalogue, not from a URI."""
        del options
        raise SettingsError(f"{uri!r}: pooling is a setting, not a store's URI")

    @property
    def pools(self) -> Pools:
        """The pools."""
        return self._pools

    @property
    def mover(self) -> Mover:
        """What moves queues."""
        return self._mover

    @property
    def drains(self) -> Drains:
        """What empties pools."""
        return self._drains

    def _all(self) -> list[Storage]:
        return [self._home, *(one.storage for one in self._pools.opened())]

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the home and all pools that are open have in common."""
        common = frozenset(Capability)
        for store in self._all():
            common &= store.capabilities
        return common

    @property
    def durability(self) -> Durability:
        """That of the weakest of the home and the pools that are open."""
        return min((store.durability for store in self._all()), key=_WEAKEST.index)

    @property
    def shareable(self) -> bool:
        """As the home is."""
        return self._home.shareable

    # -- life ---------------------------------------------------------------

    def find_damage(self) -> Iterator[str]:
        """Look at the home; pools are named by their URI."""
        return self._home.find_damage()

    async def open(self) -> None:
        """Open the home, and the pools that can be reached."""
        await self._home.open()
        await self._pools.start()
        # What another process has begun may go on; what ours began may not.
        before = self._clock() if self.shareable else math.inf
        self._look_after(before)

    async def close(self) -> None:
        """Close the pools, then the home."""
        await self._drains.close()
        if self._chore is not None:
            self._chore.cancel()
            await asyncio.gather(self._chore, return_exceptions=True)
        await self._pools.close()
        await self._home.close()

    async def ping(self) -> None:
        """Ask the home: without it no queue is found."""
        await self._home.ping()

    async def volume(self) -> Volume:
        """Add up what is in the home and in the pools that are open."""
        volumes = [await store.do(VolumeGet()) for store in self._all()]
        return Volume(
            sum(one.free for one in volumes), sum(one.claimed for one in volumes)
        )

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Go by the home's time."""
        return await self._home.store_time(now)

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Sweep all that are open, and see whether the pools were changed.

        One that is away keeps the others waiting for a moment, but not from work.
        """
        stores = [self._home, *(one.storage for one in self._pools.opened())]
        results = await asyncio.gather(
            self._pools.refresh(),
            *(store.sweep(now, wall) for store in stores),
            return_exceptions=True,
        )
        self._look_after(self._clock())
        swept = 0
        for result in results[1:]:
            if isinstance(result, int):
                swept += result
            elif isinstance(result, Unavailable):
                LOG.debug("a store is not swept: %s", result)
            elif result is not None:
                raise result
        if isinstance(results[0], BaseException) and not swept:
            raise results[0]
        return swept

    def _look_after(self, before: float) -> None:
        """Take up moves that somebody left, and tidy now and then."""
        if self._chore is None or self._chore.done():
            self._chore = asyncio.create_task(self._mend(before))

    async def _mend(self, before: float) -> None:
        try:
            await self._mover.resume(before)
            if time.monotonic() >= self._tidy_at:
                await self._mover.tidy()
                self._tidy_at = time.monotonic() + _TIDY_SECONDS
        except Unavailable as error:
            LOG.warning("moves of queues wait: %s", error)

    # -- over all pools -------------------------------------------------------

    async def _pools_of(self, project: str) -> list[str]:
        """Return where a project has queues, the home always among it."""
        placed = await self._pools.catalog.do(PlacementPools(project))
        return [HOME, *(name for name in placed if name != HOME)]

    async def queue_list(
        self,
        project: str,
        *,
        marker: str | None,
        limit: int,
        name: str | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Queue]:
        """Merge the lists of the pools that have queues of the project."""
        heads: list[tuple[str, Queue, AsyncIterator[Queue]]] = []

        async def advance(pool: str, stream: AsyncIterator[Queue]) -> None:
            # Only what the catalogue says is there: a queue that was moved is for a
            # moment in two stores.
            async for queue in stream:
                placement = await self._router.find(project, queue.name)
                if placement is not None and placement.pool == pool:
                    heads.append((pool, queue, stream))
                    return

        for pool in await self._pools_of(project):
            store = await self._pools.storage(pool)
            stream = _queues(store, project, marker, limit, name, metadata)
            await advance(pool, stream)
        found: list[Queue] = []
        while heads and len(found) < limit:
            first = min(heads, key=lambda head: head[1].name)
            heads.remove(first)
            pool, queue, stream = first
            found.append(queue)
            await advance(pool, stream)
        return found

    async def queue_count(self, project: str) -> int:
        """Add up."""
        counts = await self._pools.each(
            await self._pools_of(project), lambda store: store.do(QueueCount(project))
        )
        return sum(counts)

    async def usage(self, project: str, now: float) -> Usage:
        """Add up; a pool that is away counts as it last did."""
        total = Usage()
        pools = await self._pools_of(project)
        usages = (self._usage_in(pool, project, now) for pool in pools)
        for one in await asyncio.gather(*usages):
            total = Usage(
                total.queues + one.queues,
                total.messages + one.messages,
                total.bytes + one.bytes,
                total.subscriptions + one.subscriptions,
            )
        return total

    async def _usage_in(self, pool: str, project: str, now: float) -> Usage:
        try:
            # It must not take the time of the others, nor that of the request.
            with deadline.within(_USAGE_SECONDS):
                store = await self._pools.storage(pool)
                usage = await store.do(UsageGet(project, now))
        except Unavailable:
            return self._usages.get((pool, project), Usage())
        self._usages[pool, project] = usage
        return usage

    # -- in the home ------------------------------------------------------------

    async def grant_add(
        self, project: str, queue: str, grant: Grant, *, most: int, now: float
    ) -> Grant | None:
        """Keep it in the home: it is about a name, not about a queue's content."""
        return await self._home.do(GrantAdd(project, queue, grant, most=most, now=now))

    async def grant_list(
        self, project: str, queue: str, *, marker: str | None, limit: int, now: float
    ) -> list[Grant]:
        """Ask the home."""
        return await self._home.do(
            GrantList(project, queue, marker=marker, limit=limit, now=now)
        )

    async def grant_revoke(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Tell the home."""
        return await self._home.do(GrantRevoke(project, queue, grant_id, now))

    async def grant_revoked(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Ask the home."""
        return await self._home.do(GrantCheck(project, queue, grant_id, now))


async def _queues(
    store: Storage,
    project: str,
    marker: str | None,
    limit: int,
    name: str | None,
    metadata: Mapping[str, Sequence[Any]] | None,
) -> AsyncIterator[Queue]:
    """Go through a store's list, a page at a time."""
    while True:
        page = await store.do(
            QueueList(project, marker=marker, limit=limit, name=name, metadata=metadata)
        )
        for queue in page:
            yield queue
        if len(page) < limit:
            return
        marker = page[-1].name
