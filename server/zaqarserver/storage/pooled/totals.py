"""Commands about all queues of a space or of the store, over all pools.

The key of a delivery is the slot of its store, a colon, and the key in that store.
"""

from __future__ import annotations

import asyncio
import logging
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
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
)

LOG = logging.getLogger(__name__)

_REMEMBERED_USAGES = 10_000
_USAGE_SECONDS = 1.0

#: Seconds after which pools that cannot be reached are asked for deliveries again.
AWAY_SECONDS = 2.0
#: Seconds for which the deliveries of other pools wait for one that may be unreachable.
REACH_SECONDS = 0.5


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


class Deliveries:
    """Takes deliveries from all stores, and settles each in its own store.

    Args:
        pools: The pools.
    """

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._turn = 0

    async def _stores(self) -> list[tuple[int, Storage]]:
        """Return all stores that can be reached, with their slots; 0 is the home."""

        async def reach(name: str) -> None:
            try:
                with deadline.within(REACH_SECONDS):
                    await self._pools.storage(name)
            except Unavailable as error:
                LOG.debug("deliveries wait: %s", error)

        await asyncio.gather(*map(reach, self._pools.names))
        opened = [(one.slot, one.storage) for one in self._pools.opened()]
        return [(0, self._pools.home), *opened]

    async def take(self, wanted: DeliveryTake) -> list[Delivery]:
        """Take from one store after the other; each call begins at the next store."""
        stores = await self._stores()
        self._turn = (self._turn + 1) % len(stores)
        taken: list[Delivery] = []
        for slot, store in stores[self._turn :] + stores[: self._turn]:
            left = wanted.limit - len(taken)
            if left == 0:
                break
            try:
                with deadline.within(REACH_SECONDS):
                    found = await store.do(msgspec.structs.replace(wanted, limit=left))
            except Unavailable as error:
                LOG.debug("deliveries wait: %s", error)
                continue
            taken += [
                msgspec.structs.replace(one, key=f"{slot}:{one.key}") for one in found
            ]
        return taken

    async def settle(self, settled: DeliverySettle) -> None:
        """Settle a delivery in its store; do nothing if its pool was removed."""
        slot, _, key = settled.key.partition(":")
        own = msgspec.structs.replace(settled, key=key)
        if slot == "0":
            await self._pools.home.do(own)
        for opened in self._pools.opened():
            if str(opened.slot) == slot:
                await opened.storage.do(own)

    async def due(self, asked: DeliveryDue) -> float | None:
        """Return the earliest time of all stores; soon if one cannot be reached."""
        stores = await self._stores()
        times: list[float | None] = []
        if len(stores) <= len(self._pools.names):
            times.append(asked.now + AWAY_SECONDS)
        for _, store in stores:
            try:
                with deadline.within(REACH_SECONDS):
                    times.append(await store.do(asked))
            except Unavailable:
                times.append(asked.now + AWAY_SECONDS)
        return min((time for time in times if time is not None), default=None)
