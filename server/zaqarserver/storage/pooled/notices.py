"""Subscriptions of the contract in the pools of their queues; deliveries of all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from zaqarserver.common import deadline
from zaqarserver.errors import SubscriptionNotFound, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.methods import ByMethods
from zaqarserver.storage.pooled.pools import Pools
from zaqarserver.storage.pooled.routing import Router
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Posted,
    Subscription,
    SubscriptionChange,
    SubscriptionCount,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionGet,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
    ignore,
)

LOG = logging.getLogger(__name__)

#: Seconds after which deliveries of pools that are away are looked for again.
AWAY_SECONDS = 2.0
#: Seconds for which the deliveries of other pools wait for one that may be away.
REACH_SECONDS = 0.5


class Ears:
    """Whom the stores tell of posts: nobody until ``watch`` was called."""

    def __init__(self) -> None:
        self._posted: Callable[[Posted], None] = ignore
        self._noticed: Callable[[], None] = ignore
        self._forgotten: Callable[[], None] = ignore

    def listen(
        self,
        posted: Callable[[Posted], None],
        noticed: Callable[[], None],
        forgotten: Callable[[], None] = ignore,
    ) -> None:
        """Tell these from now on."""
        self._posted, self._noticed = posted, noticed
        self._forgotten = forgotten

    def posted(self, post: Posted) -> None:
        """Pass a post on."""
        self._posted(post)

    def noticed(self) -> None:
        """Pass on that there may be a delivery."""
        self._noticed()

    def forgotten(self) -> None:
        """Pass on that subscriptions of connections may be gone."""
        self._forgotten()


class NoticesInPools(ByMethods):
    """What each method promises is in the contract."""

    _router: Router
    _pools: Pools
    _ears: Ears
    _turn = 0

    # -- subscriptions ------------------------------------------------------

    async def subscription_create(
        self,
        project: str,
        source: str,
        *,
        subscriber: str,
        ttl: int,
        options: dict[str, Any],
        now: float,
        confirmed: bool = False,
        volatile: bool = False,
    ) -> tuple[Subscription, bool]:
        """Place the queue if it is nowhere, and ask its pool."""
        return await self._router.run_made(
            project,
            source,
            lambda store: store.do(
                SubscriptionCreate(
                    project,
                    source,
                    subscriber=subscriber,
                    ttl=ttl,
                    options=options,
                    now=now,
                    confirmed=confirmed,
                    volatile=volatile,
                )
            ),
        )

    async def subscription_list(
        self,
        project: str,
        source: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
    ) -> list[Subscription]:
        """Ask the queue's pool."""
        return await self._router.run(
            project,
            source,
            lambda store: store.do(
                SubscriptionList(project, source, marker=marker, limit=limit, now=now)
            ),
            list[Subscription],
        )

    async def subscription_count(self, project: str, source: str, now: float) -> int:
        """Ask the queue's pool."""
        return await self._router.run(
            project,
            source,
            lambda store: store.do(SubscriptionCount(project, source, now)),
            int,
        )

    async def subscription_get(
        self, project: str, source: str, subscription_id: str, now: float
    ) -> Subscription | None:
        """Ask the queue's pool."""
        return await self._router.run(
            project,
            source,
            lambda store: store.do(
                SubscriptionGet(project, source, subscription_id, now)
            ),
            lambda: None,
        )

    async def subscription_update(
        self,
        project: str,
        source: str,
        subscription_id: str,
        change: SubscriptionChange,
        now: float,
    ) -> Subscription:
        """Ask the queue's pool."""

        def missing() -> Subscription:
            raise SubscriptionNotFound(
                f"Subscription {subscription_id} for queue {source} does not exist."
            )

        return await self._router.run(
            project,
            source,
            lambda store: store.do(
                SubscriptionUpdate(project, source, subscription_id, change, now)
            ),
            missing,
        )

    async def subscription_delete(
        self, project: str, source: str, subscription_id: str
    ) -> None:
        """Ask the queue's pool."""
        await self._router.run(
            project,
            source,
            lambda store: store.do(
                SubscriptionDelete(project, source, subscription_id)
            ),
            lambda: None,
        )

    async def subscription_purge(self, project: str, source: str) -> None:
        """Ask the queue's pool."""
        await self._router.run(
            project,
            source,
            lambda store: store.do(SubscriptionPurge(project, source)),
            lambda: None,
        )

    # -- notifications ------------------------------------------------------

    def watch(
        self,
        posted: Callable[[Posted], None],
        noticed: Callable[[], None],
        forgotten: Callable[[], None] = ignore,
    ) -> None:
        """Pass on what the stores of all pools tell."""
        self._ears.listen(posted, noticed, forgotten)

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

    async def delivery_take(
        self, now: float, *, limit: int, lease: float, confirmed_only: bool
    ) -> list[Delivery]:
        """Ask one store after the other, beginning with another one each time."""
        stores = await self._stores()
        self._turn = (self._turn + 1) % len(stores)
        taken: list[Delivery] = []
        for slot, store in stores[self._turn :] + stores[: self._turn]:
            room = limit - len(taken)
            if room == 0:
                break
            try:
                with deadline.within(REACH_SECONDS):
                    found = await store.do(
                        DeliveryTake(
                            now, limit=room, lease=lease, confirmed_only=confirmed_only
                        )
                    )
            except Unavailable as error:
                LOG.debug("deliveries wait: %s", error)
                continue
            taken += [
                msgspec.structs.replace(one, key=f"{slot}:{one.key}") for one in found
            ]
        return taken

    async def delivery_settle(
        self, key: str, *, position: int, attempt: int, due: float | None
    ) -> None:
        """Tell the store that gave it out, unless that is a pool no more."""
        slot, _, own_key = key.partition(":")
        for one, store in [(0, self._pools.home)] + [
            (opened.slot, opened.storage) for opened in self._pools.opened()
        ]:
            if str(one) == slot:
                await store.do(
                    DeliverySettle(own_key, position=position, attempt=attempt, due=due)
                )

    async def delivery_due(self, now: float) -> float | None:
        """Return the least of all stores; look again if one cannot be asked."""
        stores = await self._stores()
        times: list[float | None] = []
        if len(stores) <= len(self._pools.names):
            times.append(now + AWAY_SECONDS)
        for _, store in stores:
            try:
                with deadline.within(REACH_SECONDS):
                    times.append(await store.do(DeliveryDue(now)))
            except Unavailable:
                times.append(now + AWAY_SECONDS)
        return min((time for time in times if time is not None), default=None)
