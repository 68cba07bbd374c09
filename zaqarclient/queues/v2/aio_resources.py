"""Messages, claims, subscriptions, pools, flavors and listeners on asyncio.

They are those of the synchronous client with their calls awaitable.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from zaqarclient.queues.v2 import claim as sync_claim
from zaqarclient.queues.v2 import flavor as sync_flavor
from zaqarclient.queues.v2 import message as sync_message
from zaqarclient.queues.v2 import pool as sync_pool
from zaqarclient.queues.v2 import subscription as sync_subscription
from zaqarclient.queues.v2.aio_calls import AsyncListing, Resource, Workers, awaited
from zaqarclient.queues.v2.leases import Lease
from zaqarclient.queues.v2.listener import Listener, Notification

if TYPE_CHECKING:
    from collections.abc import Callable


class LeaseEvent(asyncio.Event):
    """The loss of a lease, for tasks of the event loop that runs.

    Args:
        lost: The same for threads.
    """

    def __init__(self, lost: threading.Event) -> None:
        super().__init__()
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        if isinstance(lost, Lease):
            lost.on_lost.append(self._set)
        if lost.is_set():
            self.set()

    def is_set(self) -> bool:
        """Return whether the lease is lost."""
        return self._lost.is_set()

    def _set(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.set)


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
    reason: str | None
    dead_letter: dict[str, Any] | None
    extra: dict[str, Any]

    delete = awaited(sync_message.Message.delete)
    release = awaited(sync_message.Message.release)
    bury = awaited(sync_message.Message.bury)

    @functools.cached_property
    def lease_lost(self) -> asyncio.Event:
        """Of a consumed message: set once its lease is lost; see `Message`."""
        return LeaseEvent(self._resource.lease_lost)


class AsyncClaim(Resource[sync_claim.Claim]):
    """Messages that no other client gets until the claim ends; see `Claim`.

    ``async for`` yields its messages, as they were when it was made or last
    read. ``async with await queue.claim(…)`` releases it after an exception.
    """

    id: str | None
    grace: int | None

    update = awaited(sync_claim.Claim.update)
    delete_messages = awaited(sync_claim.Claim.delete_messages)
    delete = awaited(sync_claim.Claim.delete)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self._run(lambda claim: claim.__exit__(kind))

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


class AsyncListener:
    """Notifications of new messages, for ``async for``; see `Listener`.

    It subscribes when it is entered by ``async with``, or when the first
    notification is awaited. A notification that comes while no task waits is
    kept for the next that does, also after a cancellation.

    Args:
        owner: Closes it at the latest when they are closed.
        start: Subscribes, and returns the listener.
        timeout: Seconds without a notification that end the iteration.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(
        self, owner: Workers, start: Callable[[], Listener], timeout: float | None
    ) -> None:
        self._start = start
        self._timeout = timeout
        # Waiting for a push may never end, so it has a thread of its own.
        self._workers = Workers(1)
        self._listener: Listener | None = None
        self._kept: deque[Notification] = deque()
        self.closed = False
        owner.add(self)

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notification:
        found = await self.get(self._timeout)
        if found is None:
            raise StopAsyncIteration
        return found

    async def get(self, timeout: float | None = None) -> Notification | None:  # noqa: ASYNC109 - the end of a wait is no error here
        """Return the next notification, waiting for it.

        Args:
            timeout: Seconds to wait; None to wait without end.

        Returns:
            The notification; None if none came in time or the listener was
            closed.
        """
        if self.closed:
            return None
        listener = await self._started()
        return await self._workers.run(
            lambda: self._kept.popleft() if self._kept else listener.get(timeout),
            self._keep,
        )

    async def close(self) -> None:
        """End the subscriptions and the connection; an iteration ends too."""
        await asyncio.to_thread(self.shut)

    def shut(self) -> None:
        """Do the same, blocking."""
        self.closed = True
        if self._listener is not None:
            self._listener.close()
        self._workers.close()

    async def _started(self) -> Listener:
        if self._listener is None:
            self._listener = await self._workers.run(self._start, Listener.close)
        return self._listener

    def _keep(self, notification: Notification | None) -> None:
        if notification is not None:
            self._kept.append(notification)
