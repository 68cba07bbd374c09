"""The memory limit of one connection, within the budget of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from zaqarserver.common.budget import MIB, Allocation, Budget
from zaqarserver.errors import QuotaExceeded
from zaqarserver.operations.limits import Quotas

#: Bytes that a connection may keep: requests under way, answers and pushes. Above
#: that, nothing more is read from it.
MAX_MEMORY = 8 * MIB
#: Copies of a request that exist while it is served: the request and its echo.
COPIES = 2


class ConnectionMemory:
    """Counts the bytes that a connection keeps.

    A single request, and a single answer, always fit, whatever their size: waiting
    would free nothing for them.

    Args:
        budget: The memory that all connections of the process share.
        turn: Lets other tasks run; raises if the connection has ended.

    Attributes:
        requests: Bytes of requests under way.
        answers: Upper bound of the bytes of answers being made, and those not sent.
        pushes: Bytes of queued pushes.
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
        """The sum of all bytes."""
        return self.requests + self.answers + self.pushes

    async def admit(self) -> None:
        """Wait until one more request fits."""
        await self._until(lambda: not self.requests or self.held < MAX_MEMORY)

    async def pushed(self, most: int) -> None:
        """Wait until at most so many bytes of pushes are queued."""
        await self._until(lambda: self.pushes <= most)

    async def take(self, size: int) -> None:
        """Wait until an answer of this size fits, and count it."""
        if size:
            await self._until(
                lambda: not self.answers or self.held + size <= MAX_MEMORY
            )
            self.answers += size

    def allocate(self, request_size: int) -> FrameAllocation:
        """Return a context manager that counts one request and its answer."""
        return FrameAllocation(self, COPIES * request_size)

    def release(self, request: int, answer: int) -> None:
        """Release the bytes of a request that was answered."""
        self.requests -= request
        self.answers -= answer
        self._changed.set()

    def push(self, size: int) -> None:
        """Count a queued push, or with a negative size one that leaves the queue."""
        self.pushes += size
        self.budget.change(size)
        if size < 0:
            self._changed.set()

    async def _until(self, free: Callable[[], bool]) -> None:
        while not free():
            self._changed.clear()
            await self._changed.wait()


class FrameAllocation(Allocation):
    """The memory of one request of a connection, and of its answer."""

    def __init__(self, memory: ConnectionMemory, request: int) -> None:
        super().__init__(memory.budget)
        self._memory = memory
        self._request = request
        self._answer = 0
        memory.requests += request
        self.hold(request)

    async def take(self, size: int) -> None:
        """Take memory for the answer: of the connection, then of the process.

        Raises:
            Overloaded: The budget of the process is exhausted.
        """
        await self._memory.take(size)
        self._answer += size
        await self._memory.turn()
        await super().take(size)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._memory.release(self._request, self._answer)
        self._request = self._answer = 0


class SocketQuota:
    """Counts a connection for one project at a time.

    The project is the one that it authenticated for; without authentication, the one
    of its first authorized frame.

    Attributes:
        is_refused: True if the quota refused it.

    Args:
        quotas: The quotas of projects.
        clock: Returns the time, seconds since the epoch.
    """

    def __init__(self, quotas: Quotas, clock: Callable[[], float]) -> None:
        self.is_refused = False
        self._quotas = quotas
        self._clock = clock
        self._project: str | None = None

    def take(self, project: str) -> None:
        """Count the connection, unless it is counted already.

        Raises:
            QuotaExceeded: The project has reached its quota.
        """
        if self._project is not None:
            return
        try:
            self._quotas.open_socket(project, self._clock())
        except QuotaExceeded:
            self.is_refused = True
            raise
        self._project = project

    def change(self, project: str) -> None:
        """Count the connection for this project only.

        Raises:
            QuotaExceeded: The project has reached its quota.
        """
        if project != self._project:
            self.leave()
            self.take(project)

    def leave(self) -> None:
        """Stop counting the connection."""
        if self._project is not None:
            self._quotas.close_socket(self._project)
            self._project = None
