"""Commands about all queues of a space or of the store, over all pools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from zaqarserver.common import deadline
from zaqarserver.common.lru import LRU
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import Usage, UsageGet
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import HOME, PlacementPools
from zaqarserver.storage.commands import QueueCount, QueueList, VolumeGet
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.routing import Router
from zaqarserver.storage.records import Queue, Volume

_REMEMBERED_USAGES = 10_000
_USAGE_SECONDS = 1.0


class Totals:
    """Merges the lists and adds up the counts of all pools.

    Args:
        pools: The pools.
        router: Finds the placements of queues.
    """

    def __init__(self, pools: Pools, router: Router) -> None:
        self._pools = pools
        self._router = router
        self._usages: LRU[tuple[str, str], Usage] = LRU(_REMEMBERED_USAGES)

    async def volume(self, command: VolumeGet) -> Volume:
        """Add up what is in the home and in the pools that are open."""
        volumes = [await store.do(command) for store in self._pools.stores()]
        return Volume(
            sum(one.free for one in volumes), sum(one.claimed for one in volumes)
        )

    async def _pools_of(self, space: str) -> list[str]:
        """Return the names of the pools with queues of a space, and the home."""
        placed = await self._pools.catalog.do(PlacementPools(space))
        return [HOME, *(name for name in placed if name != HOME)]

    async def queues(self, command: QueueList) -> list[Queue]:
        """Merge the lists of the pools that have queues of the space."""
        heads: list[tuple[str, Queue, AsyncIterator[Queue]]] = []

        async def advance(pool: str, stream: AsyncIterator[Queue]) -> None:
            # Only queues that the catalogue places here: a queue that was moved is for
            # a moment in two stores.
            async for queue in stream:
                placement = await self._router.find(command.space, queue.name)
                if placement is not None and placement.pool == pool:
                    heads.append((pool, queue, stream))
                    return

        for pool in await self._pools_of(command.space):
            store = await self._pools.storage(pool)
            await advance(pool, _queues(store, command))
        found: list[Queue] = []
        while heads and len(found) < command.limit:
            first = min(heads, key=lambda head: head[1].name)
            heads.remove(first)
            pool, queue, stream = first
            found.append(queue)
            await advance(pool, stream)
        return found

    async def count(self, command: QueueCount) -> int:
        """Return the number of queues of a space in all pools."""

        async def ask(pool: str) -> int:
            return await (await self._pools.storage(pool)).do(command)

        return sum(await asyncio.gather(*map(ask, await self._pools_of(command.space))))

    async def usage(self, command: UsageGet) -> Usage:
        """Return the usage in all pools; an unreachable pool counts as last read."""
        total = Usage()
        pools = await self._pools_of(command.space)
        usages = (self._usage_in(pool, command) for pool in pools)
        for one in await asyncio.gather(*usages):
            total = Usage(
                total.queues + one.queues,
                total.messages + one.messages,
                total.bytes + one.bytes,
                total.subscriptions + one.subscriptions,
            )
        return total

    async def _usage_in(self, pool: str, command: UsageGet) -> Usage:
        key = pool, command.space
        try:
            # One slow pool must not use up the time limit of the request.
            with deadline.within(_USAGE_SECONDS):
                store = await self._pools.storage(pool)
                usage = await store.do(command)
        except Unavailable:
            return self._usages.get(key, Usage())
        self._usages[key] = usage
        return usage


async def _queues(store: Storage, command: QueueList) -> AsyncIterator[Queue]:
    """Yield the queues of a store in order, reading a page at a time."""
    while True:
        page = await store.do(command)
        for queue in page:
            yield queue
        if len(page) < command.limit:
            return
        command = msgspec.structs.replace(command, marker=page[-1].name)
