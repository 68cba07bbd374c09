"""Subscriptions and deliveries of the contract, on SQLite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zaqarserver.storage.sqlite import deliveries, subscriptions
from zaqarserver.storage.sqlite.access import Access
from zaqarserver.storage.subscriptions import (
    Delivery,
    Posted,
    Subscription,
    SubscriptionChange,
    ignore,
)


class SubscriptionsOnSQLite(Access):
    """What each method promises is in the contract."""

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
        """Insert a row, and the queue's."""
        wish = subscriptions.Wish(
            project, source, subscriber, ttl, options, confirmed, volatile
        )
        return await self._run(subscriptions.create, wish, now)

    async def subscription_list(
        self,
        project: str,
        source: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
    ) -> list[Subscription]:
        """Walk over an index."""
        self._check_sealed(project, source)
        with self._translated:
            return subscriptions.list_subscriptions(
                self._reader, project, source, marker, limit, now
            )

    async def subscription_count(self, project: str, source: str, now: float) -> int:
        """Walk over an index."""
        self._check_sealed(project, source)
        with self._translated:
            return subscriptions.count(self._reader, project, source, now)

    async def subscription_get(
        self, project: str, source: str, subscription_id: str, now: float
    ) -> Subscription | None:
        """Read by primary key."""
        self._check_sealed(project, source)
        with self._translated:
            row = subscriptions.find(
                self._reader, project, source, subscription_id, now
            )
        return None if row is None else subscriptions.read_subscription(row, now)

    async def subscription_update(
        self,
        project: str,
        source: str,
        subscription_id: str,
        change: SubscriptionChange,
        now: float,
    ) -> Subscription:
        """Change the row."""
        return await self._run(
            subscriptions.update, project, source, subscription_id, change, now
        )

    async def subscription_delete(
        self, project: str, source: str, subscription_id: str
    ) -> None:
        """Mark the row; the sweeper removes its deliveries."""
        await self._run(subscriptions.delete, project, source, subscription_id)

    async def subscription_purge(self, project: str, source: str) -> None:
        """Mark the rows, some at a time."""
        await self._run_steps(subscriptions.purge, project, source)

    def watch(
        self,
        posted: Callable[[Posted], None],
        noticed: Callable[[], None],
        forgotten: Callable[[], None] = ignore,
    ) -> None:
        """Remember whom to tell; nobody else can take this server for dead."""
        del forgotten
        self._posted = posted
        self._noticed = noticed

    async def delivery_take(
        self, now: float, *, limit: int, lease: float, confirmed_only: bool
    ) -> list[Delivery]:
        """Spread notices, then give out what is due."""
        taking = deliveries.Taking(now, limit, lease, confirmed_only)
        return await self._run_steps(deliveries.take, taking)

    async def delivery_settle(
        self, key: str, *, position: int, attempt: int, due: float | None
    ) -> None:
        """Change or remove the row."""
        await self._run(deliveries.settle, key, position, attempt, due)

    async def delivery_due(self, now: float) -> float | None:
        """Read the least of an index."""
        del now
        with self._translated:
            return deliveries.next_due(self._reader)
