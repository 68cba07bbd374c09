"""The client on asyncio.

It is the synchronous client with its calls awaitable: same calls, same
transports, same arguments. Whatever talks to the service is awaited, also
what is a property there; lists are read by ``async for``.

Calls run in a small pool of threads. HTTP goes through keystoneauth1, which
is what knows tokens, catalogs and the caller's own session, and has no
asyncio side; another HTTP library would need all of that again, and its
connection would not be the session's. To hand a call to a thread and back
takes some 0.1 ms, a call to the service ten times that. Over WebSocket the
calls of all threads share one connection.

A cancelled task does not wait for the answer that is under way, and no
further request of that call is sent. A wait for messages ends on the service
too, unless it is over WebSocket, or over a session of the caller's own. What
arrives too late is dropped, except that messages claimed by it are released at
once. Popped messages are gone
once the service has them popped: claim where that matters.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from zaqarclient import names
from zaqarclient.queues.v2 import claim as sync_claim
from zaqarclient.queues.v2 import client as sync_client
from zaqarclient.queues.v2 import queues as sync_queues
from zaqarclient.queues.v2 import topic as sync_topic
from zaqarclient.queues.v2.aio_calls import (
    AsyncListing,
    Resource,
    StoppableClient,
    T,
    Workers,
    awaited,
    awaited_as,
    listed,
)
from zaqarclient.queues.v2.aio_consumer import AsyncConsumer
from zaqarclient.queues.v2.aio_resources import (
    AsyncClaim,
    AsyncFlavor,
    AsyncListener,
    AsyncMessage,
    AsyncPool,
    AsyncSubscription,
)
from zaqarclient.queues.v2.consume import ConsumeOptions
from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping

    from zaqarclient.queues.v2.aio_consumer import AsyncHandler
    from zaqarclient.queues.v2.consume import ConsumeKeywords
    from zaqarclient.queues.v2.documents import Statistics
    from zaqarclient.queues.v2.iterator import Listing
    from zaqarclient.queues.v2.listener import ListenOptions

__all__ = [
    "AsyncClaim",
    "AsyncClient",
    "AsyncConsumer",
    "AsyncFlavor",
    "AsyncListener",
    "AsyncListing",
    "AsyncMessage",
    "AsyncPool",
    "AsyncQueue",
    "AsyncSubscription",
    "AsyncTopic",
]

S_co = TypeVar("S_co", bound=QueueOrTopic, covariant=True)


def _document(_workers: Workers, found: T) -> T:
    """Return a document unchanged."""
    return found


def _release(claim: sync_claim.Claim) -> None:
    if claim.is_new:
        claim.delete()


def _stats(resource: QueueOrTopic) -> Statistics:
    return resource.stats


class AsyncQueueOrTopic(Resource[S_co]):
    """The part that queues and topics share; see `Queue`."""

    name: str
    href: str | None

    exists = awaited(QueueOrTopic.exists)
    is_created = awaited(QueueOrTopic.is_created)
    ensure_exists = awaited(QueueOrTopic.ensure_exists)
    metadata = awaited(QueueOrTopic.metadata)
    patch_metadata = awaited(QueueOrTopic.patch_metadata)
    delete = awaited(QueueOrTopic.delete)
    purge = awaited(QueueOrTopic.purge)
    post = awaited(QueueOrTopic.post)
    message = awaited_as(AsyncMessage, QueueOrTopic.message)
    messages = listed(AsyncMessage, QueueOrTopic.messages)
    iter_messages = listed(AsyncMessage, QueueOrTopic.iter_messages)
    delete_message = awaited(QueueOrTopic.delete_message)
    pop = listed(AsyncMessage, QueueOrTopic.pop)
    subscription = awaited_as(AsyncSubscription, QueueOrTopic.subscription)
    subscriptions = listed(AsyncSubscription, QueueOrTopic.subscriptions)

    async def stats(self) -> Statistics:
        """Return the counters; see `Queue.stats`."""
        return await self._run(_stats)

    def listen(self, **how: Unpack[ListenOptions]) -> AsyncListener:
        """Listen to it alone; see `AsyncClient.listen`."""
        start = functools.partial(self._resource.listen, **how)
        return AsyncListener(self._workers, start, how.get("timeout"))


class AsyncQueue(AsyncQueueOrTopic[sync_queues.Queue]):
    """A queue, whether it exists or not; see `Queue`.

    If a task is cancelled while it claims, what was claimed is released when the answer
    comes.
    """

    delete_messages = awaited(sync_queues.Queue.delete_messages)
    redrive = awaited(sync_queues.Queue.redrive)
    signed_url = awaited(sync_queues.Queue.signed_url)
    signed_urls = listed(_document, sync_queues.Queue.signed_urls)
    revoke_signed_url = awaited(sync_queues.Queue.revoke_signed_url)
    claim = awaited_as(AsyncClaim, sync_queues.Queue.claim, _release)

    @overload
    def consume(
        self, handler: None = None, **how: Unpack[ConsumeKeywords]
    ) -> AsyncConsumer: ...

    @overload
    def consume(
        self, handler: AsyncHandler, **how: Unpack[ConsumeKeywords]
    ) -> Coroutine[Any, Any, None]: ...

    def consume(
        self, handler: AsyncHandler | None = None, **how: Unpack[ConsumeKeywords]
    ) -> AsyncConsumer | Coroutine[Any, Any, None]:
        """Consume messages, in an ``async with`` block or by a coroutine function.

        The arguments are those of `Queue.consume`, with tasks in place of threads;
        `on_error` is called in the thread of the event loop. With a handler, await what
        is returned. Cancelling it cancels the handlers, and releases their messages.
        """
        consumer = AsyncConsumer(self._workers, self._resource, ConsumeOptions(**how))
        return consumer if handler is None else consumer.run(handler)


class AsyncTopic(AsyncQueueOrTopic[sync_topic.Topic]):
    """A topic, whether it exists or not; see `Topic`."""

    delete_messages = awaited(sync_topic.Topic.delete_messages)


def _queues(
    workers: Workers, page: tuple[Listing[sync_queues.Queue], int | None]
) -> tuple[AsyncListing[AsyncQueue], int | None]:
    """Return a page of queues with the number of all."""
    found, count = page
    wrap = functools.partial(AsyncQueue, workers)
    return AsyncListing(workers, lambda: found, wrap), count


@names.checked
class AsyncClient(Resource[sync_client.Client]):
    """A client of the messaging service for asyncio; see `Client`.

    Making it sends nothing. Close it, or use it in an ``async with``
    statement. It belongs to one event loop.

    Args:
        url: The service, ``http://``, ``https://``, ``ws://`` or ``wss://``.
        version: 2, in any of its spellings.
        conf: As for `Client`.
        session: A keystoneauth1 session.
        project: The project, for a service without authentication.
        most_calls: How many calls run at once; more wait for their turn.
    """

    conf: Mapping[str, Any]
    session: Any
    api_version: int
    client_uuid: str

    def __init__(
        self,
        url: str | None = None,
        version: object = 2,
        conf: Mapping[str, Any] | None = None,
        session: Any = None,
        *,
        project: str | None = None,
        most_calls: int = 16,
    ) -> None:
        client = StoppableClient(url, version, conf, session, project=project)
        super().__init__(Workers(most_calls), client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    ping = awaited(sync_client.Client.ping)
    health = awaited(sync_client.Client.health)
    homedoc = awaited(sync_client.Client.homedoc)
    quotas = awaited(sync_client.Client.quotas)
    limits = awaited(sync_client.Client.limits)
    follow = awaited(sync_client.Client.follow)
    subscription = awaited_as(AsyncSubscription, sync_client.Client.subscription)
    subscriptions = listed(AsyncSubscription, sync_client.Client.subscriptions)
    pool = awaited_as(AsyncPool, sync_client.Client.pool)
    pools = listed(AsyncPool, sync_client.Client.pools)
    flavor = awaited_as(AsyncFlavor, sync_client.Client.flavor)
    flavors = listed(AsyncFlavor, sync_client.Client.flavors)

    iter_queues = listed(AsyncQueue, sync_client.Client.iter_queues)
    topics = listed(AsyncTopic, sync_client.Client.topics)
    iter_topics = listed(AsyncTopic, sync_client.Client.iter_topics)

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
        return AsyncQueue(self._workers, self._resource.queue(ref))

    queues = awaited_as(_queues, sync_client.Client.queues)

    def topic(self, ref: str) -> AsyncTopic:
        """Return a topic; nothing is sent.

        Args:
            ref: Its name.
        """
        return AsyncTopic(self._workers, self._resource.topic(ref))

    def listen(
        self,
        *queue_names: str,
        topics: Iterable[str] = (),
        **how: Unpack[ListenOptions],
    ) -> AsyncListener:
        """Listen to queues and topics: get a notification of each message posted.

        The arguments are those of `Client.listen`. It subscribes when entered
        by ``async with``, or at the first notification that is awaited;
        `on_reconnect` is called in a thread.
        """
        start = functools.partial(
            self._resource.listen, *queue_names, topics=topics, **how
        )
        return AsyncListener(self._workers, start, how.get("timeout"))

    def _shut(self) -> None:
        self._workers.close()
        self._resource.close()
