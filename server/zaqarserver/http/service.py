"""The state that all HTTP connections of a process share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from zaqarserver.common.budget import Budget
from zaqarserver.http.edge import RestEdge


@dataclass(eq=False)
class Service:
    """The state that all HTTP connections of a process share.

    Attributes:
        edge: Answers requests.
        websocket: Makes the protocol that takes over after a handshake.
        budget: The memory of connections.
        request_timeout: Seconds that a request may take to arrive.
        keep_alive: Seconds that an idle connection is kept open.
        max_connections: How many may be open, WebSockets included.
        connections: All open ones, WebSockets included.
        refused: Those beyond the limit, which are being answered 503.
        tasks: Requests under way.
        draining: True if each answer is the last one of its connection.
    """

    edge: RestEdge
    websocket: Callable[[], Any]
    budget: Budget
    _: KW_ONLY
    request_timeout: float
    keep_alive: float
    max_connections: int
    connections: set[Any] = field(default_factory=set)
    refused: set[Any] = field(default_factory=set)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    draining: bool = False

    def spawn(self, work: Awaitable[object]) -> None:
        """Run a task that the server waits for before it ends."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def expire(self, now: float) -> int:
        """End the states that timed out.

        Args:
            now: The time of the loop.

        Returns:
            The number of peers with an incomplete request.
        """
        over = [
            one
            for some in (self.connections, self.refused)
            for one in some
            # WebSockets have their own time limits.
            if getattr(one, "deadline", now) < now
        ]
        return sum(connection.expire() for connection in over)

    def drain(self) -> None:
        """Close every connection after its next answer."""
        self.draining = True
        self.edge.drain()
        for connection in list(self.connections):
            connection.shutdown()
