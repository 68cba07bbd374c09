"""Messages, claims, subscriptions, pools and flavors on asyncio.

They are those of the synchronous client with their calls awaitable.
"""

from __future__ import annotations

from typing import Any

from zaqarclient.queues.v2 import claim as sync_claim
from zaqarclient.queues.v2 import flavor as sync_flavor
from zaqarclient.queues.v2 import message as sync_message
from zaqarclient.queues.v2 import pool as sync_pool
from zaqarclient.queues.v2 import subscription as sync_subscription
from zaqarclient.queues.v2.aio_calls import AsyncListing, Resource, awaited

__all__ = [
    "AsyncClaim",
    "AsyncFlavor",
    "AsyncMessage",
    "AsyncPool",
    "AsyncSubscription",
]


class AsyncMessage(Resource[sync_message.Message]):
    """A message that came from the service; see `Message`."""

    id: str
    body: Any
    ttl: int
    age: int
    href: str | None
    claim_id: str | None
    claim_count: int
    checksum: str | None
    extra: dict[str, Any]

    delete = awaited(sync_message.Message.delete)


class AsyncClaim(Resource[sync_claim.Claim]):
    """Messages that nobody else gets until the claim ends; see `Claim`.

    ``async for`` yields its messages, as they were when it was made or last
    read.
    """

    id: str | None
    grace: int | None

    update = awaited(sync_claim.Claim.update)
    delete = awaited(sync_claim.Claim.delete)

    def __aiter__(self) -> AsyncListing[AsyncMessage]:
        return AsyncListing(
            self._workers,
            lambda: iter(self._resource),
            lambda message: AsyncMessage(self._workers, message),
        )

    async def messages(self) -> list[AsyncMessage]:
        """Return the messages, oldest first.

        Raises:
            zaqarclient.transport.errors.ResourceNotFound: There is no such
                claim.
        """
        return [message async for message in self]

    async def age(self) -> int | None:
        """Return the seconds since the claim was made or renewed."""
        return await self._run(lambda claim: claim.age)

    async def ttl(self) -> int | None:
        """Return the seconds that the claim lasts, asked for if not known."""
        return await self._run(lambda claim: claim.ttl)


class AsyncSubscription(Resource[sync_subscription.Subscription]):
    """A subscription; see `Subscription`."""

    id: str | None
    queue_name: str
    subscriber: str | None
    ttl: int
    options: dict[str, Any]
    age: int | None
    confirmed: bool | None

    update = awaited(sync_subscription.Subscription.update)
    confirm = awaited(sync_subscription.Subscription.confirm)
    delete = awaited(sync_subscription.Subscription.delete)


class AsyncPool(Resource[sync_pool.Pool]):
    """A store of the service; see `Pool`."""

    name: str
    uri: str | None
    weight: int | None
    flavor: str | None
    options: dict[str, Any]

    update = awaited(sync_pool.Pool.update)
    delete = awaited(sync_pool.Pool.delete)
    drain = awaited(sync_pool.Pool.drain)
    get = awaited(sync_pool.Pool.get)


class AsyncFlavor(Resource[sync_flavor.Flavor]):
    """A kind of pools; see `Flavor`."""

    name: str
    pool_list: Any
    capabilities: Any

    update = awaited(sync_flavor.Flavor.update)
    delete = awaited(sync_flavor.Flavor.delete)
    get = awaited(sync_flavor.Flavor.get)
