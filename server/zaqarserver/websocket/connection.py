"""One client's WebSocket connection: answers, pushes and subscriptions.

Theory of operation. Frames without ``X-Request-ID`` are served one after the other by
the connection's reader. Frames with it run concurrently (:meth:`run_concurrently`), at
most :data:`MAX_CONCURRENT` at a time, so that posts of one connection share a commit
of the store; their answers then leave in one system call for each turn of the loop
(``BoundedWebSocket.join``).

A push must not overtake an answer: a client takes the next frame after its request for
the answer (``websocket-v2`` 8.2). So pushes are queued while any request is being
answered, and one task sends the queue when none is. The queue is bounded; a client
that does not read its pushes is disconnected, because it would miss some.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec

from zaqarserver.common.budget import Budget
from zaqarserver.errors import QuotaExceeded
from zaqarserver.notify.websocket import Hub
from zaqarserver.operations.waiting import Peer, Waiter
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.websocket.binary import answer_to_binary, push_to_binary
from zaqarserver.websocket.limits import MAX_MEMORY, ConnectionMemory, SocketQuota

if TYPE_CHECKING:
    from zaqarserver.websocket.authentication import Login
    from zaqarserver.websocket.protocol import BoundedWebSocket

LOG = logging.getLogger(__name__)

Message = MutableMapping[str, Any]

#: Requests of one connection that are served concurrently, at most.
MAX_CONCURRENT = 64
#: Pushes that may be queued for a connection.
MAX_WAITING = 1000
#: Bytes of pushes that are queued of a backlog, which waits for the peer to read.
_PACED = 32768
#: Bytes of pushes that may be queued while the budget of the process is full.
MAX_WAITING_FULL = 65536
#: Subscriptions that a connection may have.
MAX_SUBSCRIPTIONS = 1000
#: Why this side closes a connection: code and text of the close frame.
TOO_SLOW = 1008, "The subscriber does not read its messages."
RESTART = 1012, "The subscriptions were lost. Please connect again."
FAILED = 1011, "Unexpected error in the server."
IDLE = 1001, "Nothing was received for too long."
ANONYMOUS = 1008, "The connection did not authenticate in time."
OVER_QUOTA = 1008, "The project has reached its quota of WebSockets."
EXPIRED = 4003, "Authentication expired."


class ConnectionEnded(ConnectionError):
    """The connection has ended: the answer cannot be sent."""


class WebSocketConnection(Peer):
    """The WebSocket connection of one client.

    Attributes:
        uri: The subscriber of its push subscriptions.
        subscriptions: The push subscriptions made through it, by id.
        last_frame: When the last frame arrived, on the monotonic clock.
        last_admitted: When the last authorized frame arrived, or it was opened.
        login: Its authentication.
        socket_quota: The project that it is counted for.
        memory: The bytes that it keeps in memory.
    """

    login: Login
    socket_quota: SocketQuota

    def __init__(
        self,
        hub: Hub,
        base_uri: str,
        transport: BoundedWebSocket,
        budget: Budget,
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        self.uri = f"{base_uri}/{uuid.uuid4()}"
        self.subscriptions: dict[str, Subscription] = {}
        self.last_frame = self.last_admitted = time.monotonic()
        self._hub = hub
        self.memory = ConnectionMemory(budget, self.turn)
        self._transport = transport
        self._drop = transport.drop
        transport.on_end = self.leave
        self._pause = pause
        self._concurrent = 0
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._binary_pushes = False
        self._answering = 0
        self._waiting: deque[bytes] = deque()
        self._pusher: asyncio.Task[None] | None = None
        self._closed = False
        self._drains = False

    # -- answers --------------------------------------------------------------

    async def send(self, text: bytes, *, binary: bool, proven: bool = False) -> None:
        """Send one frame in the encoding of its request.

        Args:
            text: The JSON text of the answer.
            binary: True to send it as MessagePack.
            proven: True to fail if the peer is known not to read it.

        Raises:
            ConnectionError: The connection is closed.
        """
        # Wait before encoding: the frame is one more copy of the answer.
        await self._transport.ready()
        self._check_open()
        if binary:
            text = await answer_to_binary(text, self._pause)
            await self._transport.ready()
        self._transport.send_frame(text, binary=binary, proven=proven)

    def _check_open(self) -> None:
        if self._closed or self._transport.is_closed():
            raise ConnectionEnded

    async def turn(self) -> None:
        """Yield to other tasks; return if the connection is still open.

        Raises:
            ConnectionEnded: The connection is closed.
        """
        await self._pause()
        self._check_open()

    async def run_concurrently(self, work: Awaitable[None]) -> None:
        """Run a request in a task, as soon as fewer than the limit run."""
        await self._slots.acquire()
        self._concurrent += 1
        self._transport.join(self._concurrent > 1)

        async def run() -> None:
            try:
                await work
            except ConnectionError:
                LOG.debug("the peer disconnected before it got its answer")
            except Exception:
                LOG.exception("an answer could not be sent")
                self.fail()
            finally:
                self._concurrent -= 1
                self._transport.join(self._concurrent > 1)
                self._slots.release()

        self._keep(asyncio.create_task(run()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def begin_answer(self) -> None:
        """Delay pushes until :meth:`end_answer`."""
        self._answering += 1

    def end_answer(self) -> None:
        """Send the pushes that were delayed: an answer was sent, or failed."""
        self._answering -= 1
        self._flush()

    # -- waiting --------------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""
        return self._closed or self.has_left or self._transport.is_gone()

    def keep(self, waiter: Waiter) -> None:
        """Send pushes while a request waits."""
        super().keep(waiter)
        self.end_answer()

    def drop(self, waiter: Waiter) -> None:
        """Delay pushes again until the answer."""
        super().drop(waiter)
        self.begin_answer()

    @property
    def is_closed(self) -> bool:
        """True if this side closed it."""
        return self._closed

    def is_idle(self, since: float) -> bool:
        """Return True if it sent nothing since a time, and has nothing to receive."""
        busy = self.subscriptions or self._tasks or self._answering or self._waiters
        return self.last_frame < since and not busy

    def is_anonymous(self, since: float) -> bool:
        """Return True if it has not authenticated, nor sent anything signed since."""
        return self.login.proofs is None and self.last_admitted < since

    def close(self, reason: tuple[int, str]) -> None:
        """Close it for one of the reasons of this module, unless it is closed."""
        if not self._closed:
            self._closed = True
            self._drop(*reason)

    def fail(self) -> None:
        """Close it because an answer that its client waits for cannot be sent."""
        self._closed = True
        self._drop(*FAILED)

    async def drain(self) -> None:
        """Wait until all received requests are answered and all pushes are sent.

        A backlog is not: its subscriber resumes it.
        """
        self._drains = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel the requests under way, because the server ends."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Discard queued pushes; wait for the requests under way."""
        self._closed = True
        self.login.stop()
        self._forget_pushes()
        for subscription in self.subscriptions.values():
            self._hub.remove(subscription)
        if self._pusher is not None:
            self._pusher.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- pushes ---------------------------------------------------------------

    def listen(
        self, subscription: Subscription, after: str | None, *, binary: bool
    ) -> None:
        """Receive pushes for a subscription; all use the encoding set last.

        Args:
            subscription: The subscription.
            after: Begin with the messages behind this id, see ``Hub.add``.
            binary: True for MessagePack.
        """
        self._binary_pushes = binary
        if subscription.id in self.subscriptions:
            return
        self.subscriptions[subscription.id] = subscription
        self._hub.add(subscription, self, after)

    def is_full(self) -> bool:
        """Return True if it has the maximum number of live subscriptions."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            for one in list(self.subscriptions.values()):
                if self._hub.is_over(one):
                    self._hub.remove(one)
                    self.forget(one)
        return len(self.subscriptions) >= MAX_SUBSCRIPTIONS

    def listens(self) -> bool:
        """Return True if it has push subscriptions."""
        return bool(self.subscriptions)

    def end_other_projects(self, project: str) -> list[Subscription]:
        """Stop the pushes of other projects; return their subscriptions."""
        others = [
            one
            for one in self.subscriptions.values()
            if project_of(one.space) != project
        ]
        for subscription in others:
            self._hub.remove(subscription)
            self.forget(subscription)
        return others

    def forget(self, subscription: Subscription) -> None:
        """Drop a subscription that another subscriber has taken over."""
        self.subscriptions.pop(subscription.id, None)

    def push(self, text: bytes) -> None:
        """Queue a push; disconnect a client that does not read."""
        if self._closed:
            return
        self._queue(text)
        if self._is_full():
            self.close_slow()
            return
        self._flush()

    def push_next(self, text: bytes) -> None:
        """Queue a push of a backlog; wait for :meth:`room` first."""
        self._queue(text)
        self._flush()

    async def room(self) -> None:
        """Wait until the peer has taken most of what was pushed.

        Raises:
            ConnectionEnded: The connection is closed, or ends soon.
        """
        await self.memory.pushed(_PACED)
        await self.turn()
        if self._drains:
            raise ConnectionEnded

    def _queue(self, text: bytes) -> None:
        self._waiting.append(text)
        self.memory.push(len(text))

    def close_slow(self) -> None:
        """Close it because it misses a push."""
        if not self._closed:
            self._forget_pushes()
            self.close(TOO_SLOW)

    def _is_full(self) -> bool:
        """Return True if more pushes are queued than allowed."""
        waiting = self.memory.pushes + self._transport.unsent()
        scarce = self.memory.budget.is_full and self.memory.pushes > MAX_WAITING_FULL
        return len(self._waiting) > MAX_WAITING or waiting > MAX_MEMORY or scarce

    def _forget_pushes(self) -> None:
        self._waiting.clear()
        self.memory.push(-self.memory.pushes)

    def _flush(self) -> None:
        if self._waiting and not self._answering and self._pusher is None:
            self._pusher = asyncio.create_task(self._push_all())
            self._keep(self._pusher)

    async def _push_all(self) -> None:
        try:
            while True:
                await self._pause()
                await self._transport.ready()
                if self._answering or not self._waiting:
                    break
                text = self._waiting.popleft()
                self.memory.push(-len(text))
                data, binary = _push_frame(text, binary=self._binary_pushes)
                self._transport.send_frame(data, binary=binary)
        except Exception:  # noqa: BLE001 - the peer is gone; its reader ends the rest
            self._closed = True
        finally:
            self._pusher = None


class ConnectionListener:
    """The listener that an operation gets: a connection that can be subscribed."""

    def __init__(self, connection: WebSocketConnection, *, binary: bool) -> None:
        self._connection = connection
        self._binary = binary
        self.uri = connection.uri

    def check_limit(self) -> None:
        """Return if the connection may have one more subscription.

        Raises:
            QuotaExceeded: It has the maximum number.
        """
        if self._connection.is_full():
            raise QuotaExceeded(
                f"A WebSocket may have at most {MAX_SUBSCRIPTIONS} subscriptions."
            )

    def listen(self, subscription: Subscription, after: str | None) -> None:
        """Push messages posted to the subscription's queue from now on.

        With ``after``, those behind this id come first (:meth:`Hub.add`).
        """
        self._connection.listen(subscription, after, binary=self._binary)


def _push_frame(text: bytes, *, binary: bool) -> tuple[bytes, bool]:
    """Return a push, and True if it is binary; what is not JSON is sent as text."""
    if binary:
        try:
            return push_to_binary(text), True
        except (msgspec.MsgspecError, RecursionError, OverflowError):
            pass  # not JSON, or JSON without a MessagePack form
    return text, False
