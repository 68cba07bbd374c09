"""What one connection may keep in memory, within the budget of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from zaqarserver.common.budget import MIB, Budget, Lease

#: Bytes that a connection may keep: requests under way, answers and pushes.
MOST = 8 * MIB
#: Copies of a request that exist while it is served: as it came, and its echo.
COPIES = 2


class Room:
    """Counts the bytes that a connection keeps.

    A single request, and a single answer, always find room, whatever their size:
    nothing else could make room for them.

    Args:
        budget: What all connections of the process may keep.
        turn: Waits for the connection's turn; raises if it has ended.

    Attributes:
        requests: Bytes of requests under way.
        answers: Bytes that answers in the making may have, and those not yet sent.
        pushes: Bytes of pushes that wait.
    """

    def __init__(self, budget: Budget, turn: Callable[[], Awaitable[None]]) -> None:
        self.budget = budget
        self.turn = turn
        self.requests = 0
        self.answers = 0
        self.pushes = 0
        self._changed = asyncio.Event()

    @property
    def held(self) -> int:
        """All that is counted."""
        return self.requests + self.answers + self.pushes

    async def admit(self) -> None:
        """Wait until one more request may be taken."""
        await self._until(lambda: not self.requests or self.held < MOST)

    async def take(self, size: int) -> None:
        """Wait for room for an answer, and take it."""
        if size:
            await self._until(lambda: not self.answers or self.held + size <= MOST)
            self.answers += size

    def lease(self, request_size: int) -> FrameLease:
        """Return a context that keeps the room of one request and its answer."""
        return FrameLease(self, COPIES * request_size)

    def give_back(self, request: int, answer: int) -> None:
        """Let others have the room of a request that was answered."""
        self.requests -= request
        self.answers -= answer
        self._changed.set()

    def push(self, size: int) -> None:
        """Count a push that waits, or with a negative size one that waits no more."""
        self.pushes += size
        self.budget.change(size)
        if size < 0:
            self._changed.set()

    async def _until(self, free: Callable[[], bool]) -> None:
        while not free():
            self._changed.clear()
            await self._changed.wait()


class FrameLease(Lease):
    """The room of one request of a connection, and of its answer."""

    def __init__(self, room: Room, request: int) -> None:
        super().__init__(room.budget)
        self._room = room
        self._request = request
        self._answer = 0
        room.requests += request
        self.hold(request)

    async def take(self, size: int) -> None:
        """Wait for room on the connection, then in the process.

        Raises:
            Overloaded: There is none in the process.
        """
        await self._room.take(size)
        self._answer += size
        await self._room.turn()
        await super().take(size)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._room.give_back(self._request, self._answer)
        self._request = self._answer = 0
