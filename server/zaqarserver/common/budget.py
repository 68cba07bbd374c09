"""The memory budget of all connections of a process.

REST and WebSocket share one :class:`Budget`. Each connection has an
:class:`Account` in it, for the bytes that it keeps: received requests, and answers
that its peer has not read. A request whose answer may be large takes memory with an
:class:`Allocation` before the answer is made.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from zaqarserver.common.tasks import Turns
from zaqarserver.errors import Overloaded

MIB = 1024 * 1024
#: Bytes that all connections may keep, unless configured otherwise.
MOST = 256 * MIB
#: Bytes per second that a peer has to read of its unread answers.
SLOWEST = 16384
#: Seconds without reading after which peers are dropped if others need memory.
PATIENCE = 1.0
#: Seconds that a request waits for memory before it is refused.
WAIT = 2.0
_CHECK_SECONDS = 0.1


class Budget:
    """Counts the memory of connections; requests wait while it is exhausted.

    Args:
        most: The limit in bytes.

    Attributes:
        most: The limit in bytes.
        held: Bytes that connections keep, and that answers being made may need.
        turns: Slices the work on large answers and on frames.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.held = 0
        self.turns = Turns()
        self._unread: set[Account] = set()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._checked = 0.0

    @property
    def is_full(self) -> bool:
        """True if the limit is reached."""
        return self.held >= self.most

    def account(self, unsent: Callable[[], int], drop: Callable[[], None]) -> Account:
        """Return the account of a new connection.

        Args:
            unsent: Returns the number of bytes that wait in its transport.
            drop: Closes the connection at once, although its peer does not read.
        """
        return Account(self, self._unread, unsent, drop)

    def allocate(self) -> Allocation:
        """Return a context manager that takes memory for an answer."""
        return Allocation(self)

    def change(self, size: int) -> None:
        """Count more or fewer bytes; with fewer, wake the waiting requests that fit."""
        self.held += size
        while self._waiting:
            waiting, turn = self._waiting[0]
            if not turn.done():
                if self.held + waiting > self.most:
                    break
                self.held += waiting
                turn.set_result(None)
            self._waiting.popleft()

    async def take(self, size: int) -> None:
        """Count bytes as soon as they fit.

        Raises:
            Overloaded: They did not fit for :data:`WAIT` seconds.
        """
        if not size or (not self._waiting and self.held + size <= self.most):
            self.held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._drop_slow()
        try:
            async with asyncio.timeout(WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.change(-size)
            self.change(0)  # wake requests that wait behind this one
            if isinstance(error, TimeoutError):
                raise Overloaded("out of memory for connections") from None
            raise

    def _drop_slow(self) -> None:
        """Drop peers that do not read, at most every 0.1 seconds."""
        now = time.monotonic()
        if now - self._checked > _CHECK_SECONDS:
            self._checked = now
            self.drop_slow(PATIENCE)

    def drop_slow(self, older_than: float) -> int:
        """Drop peers that leave answers unread.

        Args:
            older_than: Seconds that an answer may stay unread; each
                :data:`SLOWEST` bytes read extend it by a second.

        Returns:
            The number of dropped peers.
        """
        since = time.monotonic() - older_than
        slow = [one for one in list(self._unread) if one.is_unread_since(since)]
        for account in slow:
            account.drop()
        return len(slow)


class Account:
    """The memory of one connection; made by :meth:`Budget.account`."""

    def __init__(
        self,
        budget: Budget,
        unread: set[Account],
        unsent: Callable[[], int],
        drop: Callable[[], None],
    ) -> None:
        self.drop = drop
        self._budget = budget
        self._unread = unread
        self._measure = unsent
        self._kept = 0
        self._unsent = 0
        self._since = 0.0

    @property
    def size(self) -> int:
        """Bytes that the connection keeps."""
        return self._kept + self._unsent

    def keep(self, size: int) -> None:
        """Count more bytes, or fewer, in addition to the transport's buffer."""
        self._kept += size
        self._budget.change(size)

    def measure(self) -> None:
        """Count the bytes in the transport's buffer; called when it changed."""
        before, self._unsent = self._unsent, self._measure()
        if not self._unsent:
            self._unread.discard(self)
        elif not before:
            self._since = time.monotonic()
            self._unread.add(self)
        elif self._unsent < before:
            read = (before - self._unsent) / SLOWEST
            self._since = min(self._since + read, time.monotonic())
        self._budget.change(self._unsent - before)

    def is_unread_since(self, since: float) -> bool:
        """Return True if the transport's buffer is not empty since before a time."""
        self.measure()
        return bool(self._unsent) and self._since < since

    def close(self) -> None:
        """Release everything: the connection is closed."""
        self._unread.discard(self)
        self._budget.change(-self.size)
        self._kept = self._unsent = 0


class Allocation:
    """Memory for one answer while it is made; made by :meth:`Budget.allocate`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    async def take(self, size: int) -> None:
        """Take memory for an answer of at most this size.

        An answer larger than the whole budget takes all of it.

        Raises:
            Overloaded: The budget is exhausted.
        """
        size = min(size, self._budget.most)
        await self._budget.take(size)
        self._size += size
        if size:
            await self._budget.turns.pause()

    def hold(self, size: int) -> None:
        """Count bytes that exist already."""
        self._budget.change(size)
        self._size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._size:
            self._budget.change(-self._size)
            self._size = 0
