"""Deliveries of the contract, taken from the home and all pools.

The key of a delivery is the slot of its store, a colon, and the key in that store.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from zaqarserver.common import deadline
from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
)

LOG = logging.getLogger(__name__)

#: Seconds after which pools that cannot be reached are asked for deliveries again.
AWAY_SECONDS = 2.0
#: Seconds for which the deliveries of other pools wait for one that may be unreachable.
REACH_SECONDS = 0.5


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
