"""The memory that the connections of a process may keep, all together.

REST and WebSocket share one :class:`Budget`. Each connection has an
:class:`Account` in it, for the bytes that it keeps: requests that came, and answers
that its peer has not read. A request whose answer may be large asks for room with a
:class:`Lease` before the answer is made.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Self

from zaqarserver.common.turns import Turns
from zaqarserver.errors import Overloaded

MIB = 1024 * 1024
#: Bytes that all connections may keep, unless configured otherwise.
MOST = 256 * MIB
#: Bytes a second that a peer has to read of what waits for it.
SLOWEST = 16384
#: Seconds without reading after which peers are dropped if others find no room.
PATIENCE = 1.0
#: Seconds that a request waits for room before it is refused.
WAIT = 2.0
_LOOK_SECONDS = 0.1


class Budget:
    """Counts what connections keep, and lets requests wait for room.

    Args:
        most: Bytes that they may keep.

    Attributes:
        most: The same.
        held: Bytes that they keep or that answers in the making may need.
        turns: The time that large answers, and all frames, take of the event loop.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.held = 0
        self.turns = Turns()
        self._unread: set[Account] = set()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._looked = 0.0

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be kept."""
        return self.held >= self.most

    def account(self, unsent: Callable[[], int], drop: Callable[[], None]) -> Account:
        """Return the account of a new connection.

        Args:
            unsent: Says how many bytes wait in its transport.
            drop: Ends the connection at once, though its peer does not read.
        """
        return Account(self, self._unread, unsent, drop)

    def lease(self) -> Lease:
        """Return a context in which room for an answer can be taken."""
        return Lease(self)

    def change(self, size: int) -> None:
        """Count more or fewer bytes; with fewer, let requests in that wait."""
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
        """Count bytes once there is room for them.

        Raises:
            Overloaded: There was none for :data:`WAIT` seconds.
        """
        if not size or (not self._waiting and self.held + size <= self.most):
            self.held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._look()
        try:
            async with asyncio.timeout(WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.change(-size)
            self.change(0)  # whoever waits behind this one
            if isinstance(error, TimeoutError):
                raise Overloaded("connections keep too much") from None
            raise

    def _look(self) -> None:
        """Drop those who read nothing, but do not look at all of them each time."""
        now = time.monotonic()
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self.drop_slow(PATIENCE)

    def drop_slow(self, older_than: float) -> int:
        """Drop peers that leave answers unread.

        Args:
            older_than: Seconds that something may wait to be read; each
                :data:`SLOWEST` bytes that were read prolong it by a second.

        Returns:
            How many were dropped.
        """
        since = time.monotonic() - older_than
        slow = [one for one in list(self._unread) if one.is_unread_since(since)]
        for account in slow:
            account.drop()
        return len(slow)


class Account:
    """What one connection keeps; made by :meth:`Budget.account`."""

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
        """Count more bytes, or fewer, that are kept beside the transport's buffer."""
        self._kept += size
        self._budget.change(size)

    def measure(self) -> None:
        """Count what waits in the transport; called when that changed."""
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
        """Whether something has waited in the transport since before this moment."""
        self.measure()
        return bool(self._unsent) and self._since < since

    def close(self) -> None:
        """Keep nothing any more."""
        self._unread.discard(self)
        self._budget.change(-self.size)
        self._kept = self._unsent = 0


class Lease:
    """Room for one answer while it is made; made by :meth:`Budget.lease`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    async def take(self, size: int) -> None:
        """Wait for room for an answer of at most this size.

        A single answer is never refused for its size alone.

        Raises:
            Overloaded: There is none.
        """
        size = min(size, self._budget.most)
        await self._budget.take(size)
        self._size += size
        if size:
            await self._budget.turns.pause()

    def hold(self, size: int) -> None:
        """Count bytes that are kept already."""
        self._budget.change(size)
        self._size += size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._budget.change(-self._size)
        self._size = 0
