"""Being told of new messages, on asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from zaqarclient.queues.v2.aio_calls import Workers
from zaqarclient.queues.v2.listener import Listener, Notification

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AsyncListener"]


class AsyncListener:
    """Notifications of new messages, for ``async for``; see `Listener`.

    It subscribes when it is entered by ``async with``, or when the first
    notification is awaited. A notification that comes while nobody waits is
    kept for the next who does, also after a cancellation.

    Args:
        start: Subscribes, and returns the listener.
        timeout: Seconds without a notification that end the iteration.

    Attributes:
        closed: Whether it was closed.
    """

    def __init__(self, start: Callable[[], Listener], timeout: float | None) -> None:
        self._start = start
        self._timeout = timeout
        # Waiting for a push may take for ever: that is for no shared thread.
        self._workers = Workers(1)
        self._listener: Listener | None = None
        self._kept: deque[Notification] = deque()
        self.closed = False

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
            timeout: Seconds to wait; None to wait for ever.

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
