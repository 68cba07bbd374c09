"""Waiting: requests that are kept until there is something to give.

A request that gives nothing joins the *line* of its queue. It holds nothing of the
store there: the store calls :meth:`Waiters.on_free` when something may have become
free, and a line has one timer for the next moment at which a claim or a delay ends.

Those who take messages have the *turn* one after the other, in the order in which they
came: who has it tries again. If that gives something, the next one has the turn;
otherwise the same one has it again when something becomes free. So a message wakes one
of them, not all. Those who list messages wake all at once.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from zaqarserver.clock import Timer
from zaqarserver.common import deadline
from zaqarserver.errors import ZaqarServerError
from zaqarserver.storage.commands import QueueWatch

if TYPE_CHECKING:
    from zaqarserver.operations.context import Context

#: Seconds after which a line looks again if the store does not watch its queue.
LOOK_SECONDS = 1.0
#: Seconds for which a queue stays watched after the last waiter of a line has left: the
#: next ones need not ask the store again.
LINGER_SECONDS = 20.0
#: The least time between two looks because of the time.
_LEAST = 0.05

Attempt = Callable[["Context"], Awaitable[Any]]


class Waiter:
    """A request that waits.

    Attributes:
        takes: Whether it takes what it gets, so that others cannot have it.
        is_over: True once it has to be answered with what there is.
    """

    __slots__ = ("_called", "is_over", "takes")

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.is_over = False
        self._called = asyncio.get_running_loop().create_future()

    def call(self) -> None:
        """Start another attempt."""
        if not self._called.done():
            self._called.set_result(None)

    def end(self) -> None:
        """End its waiting: the time is over, the peer is gone, or the server stops."""
        self.is_over = True
        self.call()

    @property
    def is_called(self) -> bool:
        """True if it was called since its last attempt began."""
        return self._called.done()

    async def wait(self) -> bool:
        """Wait for a call; return False if the waiting has ended."""
        await self._called
        self._called = asyncio.get_running_loop().create_future()
        return not self.is_over


class Peer:
    """The client of a request, or its connection.

    Attributes:
        has_left: True once it is not known to read an answer.
    """

    __slots__ = ("_waiters", "has_left")

    def __init__(self) -> None:
        self.has_left = False
        self._waiters: list[Waiter] = []

    @property
    def is_gone(self) -> bool:
        """True if it is known not to read the answer."""
        return self.has_left

    def leave(self) -> None:
        """End all waiting of this peer."""
        self.has_left = True
        for waiter in self._waiters:
            waiter.end()

    def keep(self, waiter: Waiter) -> None:
        """End a waiter when the peer leaves."""
        self._waiters.append(waiter)

    def drop(self, waiter: Waiter) -> None:
        """Forget a waiter."""
        self._waiters.remove(waiter)


class _Line:
    """Those who wait for one queue.

    Args:
        ctx: The context of the first of them.
        queue: The queue.
    """

    __slots__ = (
        *("_is_stale", "_listers", "_refresh", "_server", "_timer", "_turn", "_until"),
        *("key", "takers"),
    )

    def __init__(self, ctx: Context, queue: str) -> None:
        self.key = (ctx.space, queue)
        self.takers: dict[Waiter, None] = {}
        self._server = ctx.server
        self._listers: dict[Waiter, None] = {}
        self._turn: Waiter | None = None
        self._timer: Timer | None = None
        self._refresh: asyncio.Task[None] | None = None
        self._is_stale = False
        self._until = -math.inf

    def join(self, waiter: Waiter, seconds: float) -> None:
        """Add a waiter at the end, and look whether anything came meanwhile."""
        (self.takers if waiter.takes else self._listers)[waiter] = None
        if self._server.clock.now() + seconds > self._until:
            self.refresh()
        else:
            self._take_turns() if waiter.takes else waiter.call()

    def leave(self, waiter: Waiter) -> bool:
        """Remove a waiter, and pass its turn on; return True if it was the last."""
        (self.takers if waiter.takes else self._listers).pop(waiter)
        if self._turn is waiter:
            self._turn = None
            self._take_turns()
        if self.takers or self._listers:
            return False
        if self._timer is not None:
            self._timer.cancel()
        if self._refresh is not None:
            self._refresh.cancel()
        return True

    def wake(self) -> None:
        """Start attempts: something may be free."""
        for waiter in self._listers:
            waiter.call()
        self._take_turns()

    def _take_turns(self) -> None:
        if self._turn is None:
            self._turn = next(iter(self.takers), None)
        if self._turn is not None:
            self._turn.call()

    def miss(self, waiter: Waiter) -> None:
        """End the attempt of a waiter that was given nothing."""
        if waiter.is_called:
            return
        if self._turn is waiter:
            self._turn = None
        self.refresh()

    def end(self) -> None:
        """End all waiting."""
        for waiter in (*self.takers, *self._listers):
            waiter.end()

    # -- the store ------------------------------------------------------------

    def refresh(self) -> None:
        """Have the store watch the queue, and set the timer, in the background."""
        self._is_stale = True
        if self._refresh is None:
            loop = asyncio.get_running_loop()
            self._refresh = loop.create_task(
                self._watch(), context=deadline.unlimited()
            )

    async def _watch(self) -> None:
        while self._is_stale:
            self._is_stale = False
            now = self._server.clock.now()
            until = now + self._server.settings.max_wait + LINGER_SECONDS
            try:
                with deadline.within(deadline.ANSWER_SECONDS):
                    due = await self._server.storage.do(
                        QueueWatch(*self.key, now, until)
                    )
            except ZaqarServerError:
                due = None
            # What came before the store watched was told to nobody.
            if due is None:
                due = now + LOOK_SECONDS
            else:
                is_new, self._until = now > self._until, until
                if is_new:
                    self.wake()
            self._look_at(due)
        self._refresh = None

    def _look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due < math.inf:
            clock = self._server.clock
            self._timer = clock.call_at(max(due, clock.now() + _LEAST), self.wake)


class Waiters:
    """All requests that wait in this process.

    Attributes:
        is_draining: True if nothing waits any more.
    """

    def __init__(self) -> None:
        self.is_draining = False
        self._lines: dict[tuple[str, str], _Line] = {}
        self._counts: Counter[str] = Counter()

    def count(self, project: str | None = None) -> int:
        """Return how many requests wait, of a project or of all."""
        return self._counts.total() if project is None else self._counts[project]

    def on_free(self, space: str, queue: str) -> None:
        """Wake those who wait for a queue."""
        line = self._lines.get((space, queue))
        if line is not None:
            line.wake()

    def wake_all(self) -> None:
        """Wake those who wait for any queue: the store may have missed something."""
        for line in self._lines.values():
            line.wake()

    def drain(self) -> None:
        """Answer all that wait, and let nothing wait any more."""
        self.is_draining = True
        for line in self._lines.values():
            line.end()

    async def serve(
        self,
        ctx: Context,
        queue: str,
        seconds: int,
        attempt: Attempt,
        *,
        takes: bool,
        nothing: Any,
    ) -> Any:
        """Attempt an operation until it gives something, or the time is over.

        Args:
            ctx: The context of the request.
            queue: The queue.
            seconds: How long to wait.
            attempt: Executes the operation at the time of a context.
            takes: Whether it takes messages.
            nothing: The result if there is nothing.

        Raises:
            TooManyRequests: So many requests of the project wait already.
        """
        line = self._lines.get((ctx.space, queue))
        if line is None or not (takes and line.takers):
            result = await attempt(ctx)
            if result or self.is_draining or ctx.peer.has_left:
                return result
        ctx.server.quotas.check_waiters(ctx.project, self.count(ctx.project), ctx.now)
        waiter = Waiter(takes=takes)
        timer = asyncio.get_running_loop().call_later(seconds, waiter.end)
        line = self._lines.get((ctx.space, queue))
        if line is None:
            line = self._lines[ctx.space, queue] = _Line(ctx, queue)
        self._counts[ctx.project] += 1
        ctx.peer.keep(waiter)
        line.join(waiter, seconds)
        try:
            while await waiter.wait() and not ctx.peer.is_gone:
                now = ctx.server.clock.now()
                result = await attempt(msgspec.structs.replace(ctx, now=now))
                if result:
                    return result
                line.miss(waiter)
            return nothing
        finally:
            timer.cancel()
            ctx.peer.drop(waiter)
            self._counts[ctx.project] -= 1
            if not self._counts[ctx.project]:
                del self._counts[ctx.project]
            if line.leave(waiter):
                del self._lines[line.key]
