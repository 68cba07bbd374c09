"""The client on asyncio.

It is the synchronous client with its calls awaitable: same flows, same
transports, same arguments. Whatever talks to the service is awaited, also
what is a property there; lists are read by ``async for``.

Calls run in a small pool of threads. HTTP goes through keystoneauth1, which
is what knows tokens, catalogs and the caller's own session, and has no
asyncio side; another HTTP library would need all of that again, and its
connection would not be the session's. To hand a call to a thread and back
takes some 0.1 ms, a call to the service ten times that. Over WebSocket the
calls of all threads share one connection.

A cancelled task does not wait for the answer that is under way, and no
further request of that call is sent. What arrives too late is dropped, except
that messages claimed by it are released at once. Popped messages are gone
once the service has them popped: claim where that matters.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from zaqarclient.queues.v2 import claim as sync_claim
from zaqarclient.queues.v2 import client as sync_client
from zaqarclient.queues.v2 import flavor as sync_flavor
from zaqarclient.queues.v2 import message as sync_message
from zaqarclient.queues.v2 import pool as sync_pool
from zaqarclient.queues.v2 import queues as sync_queues
from zaqarclient.queues.v2 import subscription as sync_subscription
from zaqarclient.queues.v2.aio_calls import (
    AsyncListing,
    Resource,
    StoppableClient,
    Workers,
    awaited,
    awaited_as,
    listed,
)
from zaqarclient.queues.v2.aio_listener import AsyncListener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.queues.v2.listener import Listener
    from zaqarclient.queues.v2.operations.flow import Document

__all__ = [
    "AsyncClaim",
    "AsyncClient",
    "AsyncFlavor",
    "AsyncListener",
    "AsyncListing",
    "AsyncMessage",
    "AsyncPool",
    "AsyncQueue",
    "AsyncSubscription",
]


def _document(_workers: Workers, found: Document) -> Document:
    """Return what is no object as it is."""
    return found


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
    get = awaited(sync_pool.Pool.get)


class AsyncFlavor(Resource[sync_flavor.Flavor]):
    """A kind of pools; see `Flavor`."""

    name: str
    pool_list: Any
    capabilities: Any

    update = awaited(sync_flavor.Flavor.update)
    delete = awaited(sync_flavor.Flavor.delete)
    get = awaited(sync_flavor.Flavor.get)


class AsyncQueue(Resource[sync_queues.Queue]):
    """A queue, whether it exists or not; see `Queue`."""

    name: str
    href: str | None

    def __init__(
        self, workers: Workers, queue: sync_queues.Queue, client: AsyncClient
    ) -> None:
        super().__init__(workers, queue)
        self._client = client

    exists = awaited(sync_queues.Queue.exists)
    is_created = awaited(sync_queues.Queue.is_created)
    ensure_exists = awaited(sync_queues.Queue.ensure_exists)
    metadata = awaited(sync_queues.Queue.metadata)
    patch_metadata = awaited(sync_queues.Queue.patch_metadata)
    delete = awaited(sync_queues.Queue.delete)
    purge = awaited(sync_queues.Queue.purge)
    post = awaited(sync_queues.Queue.post)
    message = awaited_as(AsyncMessage, sync_queues.Queue.message)
    messages = listed(AsyncMessage, sync_queues.Queue.messages)
    iter_messages = listed(AsyncMessage, sync_queues.Queue.iter_messages)
    delete_message = awaited(sync_queues.Queue.delete_message)
    delete_messages = awaited(sync_queues.Queue.delete_messages)
    pop = listed(AsyncMessage, sync_queues.Queue.pop)
    signed_url = awaited(sync_queues.Queue.signed_url)
    signed_urls = listed(_document, sync_queues.Queue.signed_urls)
    revoke_signed_url = awaited(sync_queues.Queue.revoke_signed_url)
    subscriptions = listed(AsyncSubscription, sync_queues.Queue.subscriptions)

    async def stats(self) -> Document:
        """Return the counters; see `Queue.stats`."""
        return await self._run(lambda queue: queue.stats)

    async def claim(
        self,
        id: str | None = None,  # noqa: A002 - the contract's name
        ttl: int | None = None,
        grace: int | None = None,
        limit: int | None = None,
    ) -> AsyncClaim:
        """Claim messages, or return the claim with this id; see `Queue.claim`.

        If the task is cancelled meanwhile, what was claimed is released when
        the answer comes.
        """
        release = sync_claim.Claim.delete if id is None else None
        made = await self._run(
            lambda queue: queue.claim(id, ttl, grace, limit), release
        )
        return AsyncClaim(self._workers, made)

    def listen(
        self,
        *,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_reconnect: Callable[[], object] | None = None,
    ) -> AsyncListener:
        """Listen to this queue; see `AsyncClient.listen`."""
        return self._client.listen(
            str(self.name),
            ttl=ttl,
            options=options,
            timeout=timeout,
            on_reconnect=on_reconnect,
        )


class AsyncClient(Resource[sync_client.Client]):
    """A client of the messaging service for asyncio; see `Client`.

    Making it sends nothing. Close it, or use it in an ``async with``
    statement. It belongs to one event loop.

    Args:
        url: The service, ``http://``, ``https://``, ``ws://`` or ``wss://``.
        version: 2, in any of its spellings.
        conf: As for `Client`.
        session: A keystoneauth1 session.
        most_calls: How many calls run at once; more wait for their turn.
    """

    conf: Mapping[str, Any]
    api_version: int
    client_uuid: str

    def __init__(
        self,
        url: str | None = None,
        version: object = 2,
        conf: Mapping[str, Any] | None = None,
        session: Any = None,
        *,
        most_calls: int = 16,
    ) -> None:
        client = StoppableClient(url, version, conf, session)
        super().__init__(Workers(most_calls), client)
        self._listeners: list[AsyncListener] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    ping = awaited(sync_client.Client.ping)
    health = awaited(sync_client.Client.health)
    homedoc = awaited(sync_client.Client.homedoc)
    quotas = awaited(sync_client.Client.quotas)
    follow = awaited(sync_client.Client.follow)
    subscription = awaited_as(AsyncSubscription, sync_client.Client.subscription)
    subscriptions = listed(AsyncSubscription, sync_client.Client.subscriptions)
    pool = awaited_as(AsyncPool, sync_client.Client.pool)
    pools = listed(AsyncPool, sync_client.Client.pools)
    flavor = awaited_as(AsyncFlavor, sync_client.Client.flavor)
    flavors = listed(AsyncFlavor, sync_client.Client.flavors)

    async def close(self) -> None:
        """Wait for the calls under way and close the connections.

        Listeners are closed too. A given session stays open.
        """
        await asyncio.to_thread(self._shut)

    async def api_url(self) -> str | None:
        """Return the URL of the service; see `Client.api_url`."""
        return await self._run(lambda client: client.api_url)

    def queue(self, ref: str) -> AsyncQueue:
        """Return a queue; nothing is sent.

        Args:
            ref: Its name.
        """
        return self._queue(self._resource.queue(ref))

    async def queues(
        self, **params: Any
    ) -> tuple[AsyncListing[AsyncQueue], int | None]:
        """Return one page of the project's queues; see `Client.queues`."""
        found, count = await self._run(lambda client: client.queues(**params))
        return AsyncListing(self._workers, lambda: found, self._queue), count

    def iter_queues(self, **params: Any) -> AsyncListing[AsyncQueue]:
        """Return all queues, page by page; see `Client.iter_queues`."""
        load = self._resource.iter_queues
        return AsyncListing(self._workers, lambda: load(**params), self._queue).stream()

    def listen(
        self,
        *queue_names: str,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_reconnect: Callable[[], object] | None = None,
    ) -> AsyncListener:
        """Listen to queues: be told of each message when it is posted.

        The arguments are those of `Client.listen`. It subscribes when entered
        by ``async with``, or at the first notification that is awaited;
        `on_reconnect` is called in a thread.
        """

        def start() -> Listener:
            return self._resource.listen(
                *queue_names,
                ttl=ttl,
                options=options,
                timeout=timeout,
                on_reconnect=on_reconnect,
            )

        listener = AsyncListener(start, timeout)
        self._listeners = [one for one in self._listeners if not one.closed]
        self._listeners.append(listener)
        return listener

    def _queue(self, queue: sync_queues.Queue) -> AsyncQueue:
        return AsyncQueue(self._workers, queue, self)

    def _shut(self) -> None:
        for listener in self._listeners:
            listener.shut()
        self._workers.close()
        self._resource.close()
