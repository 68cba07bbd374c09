"""One client's connection: answers, pushes, and what it subscribed to.

A push never overtakes an answer that is being produced: the client takes the
next frame after a request for its answer (``websocket-v2`` 8.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

import msgspec

from zaqarserver.common.budget import Budget
from zaqarserver.errors import QuotaExceeded
from zaqarserver.notify.websocket import Hub
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.websocket.binary import answer_to_binary, push_to_binary
from zaqarserver.websocket.login import Login
from zaqarserver.websocket.room import MOST, Room
from zaqarserver.websocket.seat import Seat

LOG = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

#: Requests of one connection that are served side by side at most.
MAX_CONCURRENT = 64
#: Pushes that may wait for a connection.
MAX_WAITING = 1000
#: Bytes of pushes that may wait where connections together keep too much.
MAX_WAITING_FULL = 65536
#: Subscriptions that a connection may have.
MAX_SUBSCRIPTIONS = 1000
TOO_SLOW = 1008
RESTART = 1012
FAILED = 1011
IDLE = 1001
STRANGER = 1008
FULL = 1008
EXPIRED = 4003


class Ended(ConnectionError):
    """The connection has ended: nobody waits for the answer."""


class Wire(Protocol):
    """A connection as it is on the wire."""

    def drop(self, code: int, reason: str) -> None:
        """Close it, also if its peer does not read."""

    def join(self, joins: bool) -> None:
        """Send the answers of one turn of the loop together, or each at once."""

    def unsent(self) -> int:
        """Return how many bytes the peer has not taken."""

    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""

    async def ready(self) -> None:
        """Wait until the peer has taken all that was sent."""


class Connection:
    """One client's socket.

    Attributes:
        uri: What its push subscriptions show as their subscriber.
        subscriptions: The push subscriptions that were made through it, by id.
        heard: When its last frame came, on the monotonic clock.
        admitted: When it last sent a frame that was let in, or was opened.
        login: Who it authenticated as.
        seat: The project that it is counted for.
        room: What it may keep in memory.
    """

    login: Login
    seat: Seat

    def __init__(
        self,
        send: Send,
        hub: Hub,
        base_uri: str,
        wire: Wire,
        budget: Budget,
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        self.uri = f"{base_uri}/{uuid.uuid4()}"
        self.subscriptions: dict[str, Subscription] = {}
        self.heard = self.admitted = time.monotonic()
        self._send = send
        self._hub = hub
        self.room = Room(budget, self.turn)
        self._wire = wire
        self._drop = wire.drop
        self._pause = pause
        self._aside = 0
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._binary_pushes = False
        self._answering = 0
        self._waiting: deque[bytes] = deque()
        self._pusher: asyncio.Task[None] | None = None
        self._closed = False

    # -- answers --------------------------------------------------------------

    async def send(self, text: bytes, *, binary: bool) -> None:
        """Send one frame in the encoding that its request had.

        Raises:
            ConnectionError: It was closed meanwhile.
        """
        # First wait: a frame is one more copy of the answer.
        await self._wire.ready()
        self._check_open()
        if binary:
            data = await answer_to_binary(text, self._pause)
            await self._send({"type": "websocket.send", "bytes": data})
        else:
            await self._send({"type": "websocket.send", "text": text.decode()})

    def _check_open(self) -> None:
        if self._closed or self._wire.is_closed():
            raise Ended

    async def turn(self) -> None:
        """Let others run; go on only if somebody still waits for an answer.

        Raises:
            Ended: The connection was closed.
        """
        await self._pause()
        self._check_open()

    async def run_aside(self, work: Awaitable[None]) -> None:
        """Run a request beside others, once there is a place for it."""
        await self._slots.acquire()
        self._aside += 1
        self._wire.join(self._aside > 1)

        async def run() -> None:
            try:
                await work
            except ConnectionError:
                LOG.debug("a peer went away while it was answered")
            except Exception:
                LOG.exception("an answer could not be sent")
                self.fail()
            finally:
                self._aside -= 1
                self._wire.join(self._aside > 1)
                self._slots.release()

        self._keep(asyncio.create_task(run()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Hold pushes back until the answer has been sent."""
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1
            self._flush()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed from this side."""
        return self._closed

    def close_if_idle(self, since: float) -> bool:
        """Close it if it is silent since a moment and waits for nothing."""
        idle = self.heard < since and not self.subscriptions and not self._tasks
        if idle and not self._answering and not self._closed:
            self._closed = True
            self._drop(IDLE, "Nothing came for too long.")
            return True
        return False

    def close_if_stranger(self, since: float) -> bool:
        """Close it if it proved nothing since a moment."""
        strange = self.login.proofs is None and self.admitted < since
        if strange and not self._closed:
            self._closed = True
            self._drop(STRANGER, "Nobody authenticated.")
            return True
        return False

    def expire(self) -> None:
        """Close it, since who it authenticated as is not let in any more."""
        if not self._closed:
            self._closed = True
            self._drop(EXPIRED, "Authentication expired.")

    def turn_away(self) -> None:
        """Close it, since its project has as many as it may have."""
        if not self._closed:
            self._closed = True
            self._drop(FULL, "The project has as many WebSockets as it may have.")

    def fail(self) -> None:
        """Close it, since an answer is missing that its client waits for."""
        self._closed = True
        self._drop(FAILED, "The server met an error.")

    def restart(self) -> None:
        """Close it, since its subscriptions were lost; the client makes them anew."""
        if not self._closed:
            self._closed = True
            self._drop(RESTART, "The subscriptions were lost. Please connect again.")

    async def drain(self) -> None:
        """Wait until all requests that came are answered and all pushes are sent."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def give_up(self) -> None:
        """End requests under way: the server ends, and waits for them no longer."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Forget what waits; let requests under way end."""
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

    def listener(self, *, binary: bool) -> _Listener:
        """Return what a request of this encoding may subscribe."""
        return _Listener(self, binary=binary)

    def listen(self, subscription: Subscription, *, binary: bool) -> None:
        """Take pushes for a subscription; all pushes have the newest encoding."""
        self._binary_pushes = binary
        if subscription.id in self.subscriptions:
            return
        self.subscriptions[subscription.id] = subscription
        self._hub.add(subscription, self)

    def is_full(self) -> bool:
        """Whether it has as many live subscriptions as it may have."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            for one in list(self.subscriptions.values()):
                if self._hub.is_over(one):
                    self._hub.remove(one)
                    self.forget(one)
        return len(self.subscriptions) >= MAX_SUBSCRIPTIONS

    def listens(self) -> bool:
        """Whether something is pushed to it."""
        return bool(self.subscriptions)

    def leave_others(self, project: str) -> list[Subscription]:
        """Take no more pushes for other projects; return what it had of them."""
        others = [
            one
            for one in self.subscriptions.values()
            if project_of(one.project) != project
        ]
        for subscription in others:
            self._hub.remove(subscription)
            self.forget(subscription)
        return others

    def forget(self, subscription: Subscription) -> None:
        """Leave a subscription alone that belongs to somebody else by now."""
        self.subscriptions.pop(subscription.id, None)

    def push(self, text: bytes) -> None:
        """Queue a push; a client that does not read is dropped."""
        if self._closed:
            return
        self._waiting.append(text)
        self.room.push(len(text))
        if self._is_full():
            self.fall_behind()
            return
        self._flush()

    def fall_behind(self) -> None:
        """Close it, since it misses a push."""
        if not self._closed:
            self._closed = True
            self._forget_pushes()
            self._drop(TOO_SLOW, "The subscriber does not read its messages.")

    def _is_full(self) -> bool:
        """Whether more waits than may wait for a client."""
        waiting = self.room.pushes + self._wire.unsent()
        scarce = self.room.budget.is_full and self.room.pushes > MAX_WAITING_FULL
        return len(self._waiting) > MAX_WAITING or waiting > MOST or scarce

    def _forget_pushes(self) -> None:
        self._waiting.clear()
        self.room.push(-self.room.pushes)

    def _flush(self) -> None:
        if self._waiting and not self._answering and self._pusher is None:
            self._pusher = asyncio.create_task(self._push_all())
            self._keep(self._pusher)

    async def _push_all(self) -> None:
        try:
            while self._waiting and not self._answering:
                await self._pause()
                text = self._waiting.popleft()
                self.room.push(-len(text))
                await self._send(_push_frame(text, binary=self._binary_pushes))
        except Exception:  # noqa: BLE001 - the peer is gone; its reader ends the rest
            self._closed = True
        finally:
            self._pusher = None


class _Listener:
    """A connection as an operation sees it: something that can be subscribed."""

    def __init__(self, connection: Connection, *, binary: bool) -> None:
        self._connection = connection
        self._binary = binary
        self.uri = connection.uri

    def check_room(self) -> None:
        """Return if the connection may have one more subscription.

        Raises:
            QuotaExceeded: It may not.
        """
        if self._connection.is_full():
            raise QuotaExceeded(
                f"A WebSocket may have at most {MAX_SUBSCRIPTIONS} subscriptions."
            )

    def listen(self, subscription: Subscription) -> None:
        """Push what is posted to the subscription's queue from now on."""
        self._connection.listen(subscription, binary=self._binary)


def _push_frame(text: bytes, *, binary: bool) -> Message:
    """Make a push; a payload that is no JSON goes as text, whatever was agreed."""
    if binary:
        try:
            return {"type": "websocket.send", "bytes": push_to_binary(text)}
        except (msgspec.MsgspecError, RecursionError, OverflowError):
            pass  # no JSON, or JSON that has no MessagePack form
    return {"type": "websocket.send", "text": text.decode()}
