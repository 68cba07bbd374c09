"""What the HTTP connections of a process share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from zaqarserver.common.budget import Budget
from zaqarserver.http.answers import Answer
from zaqarserver.http.reading import RestRequest


class Responder(Protocol):
    """What answers requests."""

    async def respond(self, request: RestRequest, /) -> Answer:
        """Answer a request, whatever it is."""


class Service:
    """What the connections of a process share.

    Args:
        edge: What answers requests.
        websocket: Makes the protocol that takes over after a handshake.
        budget: What connections may keep.
        request_timeout: Seconds that a request may take to arrive.
        keep_alive: Seconds that an idle connection is kept open.
        max_connections: How many may be open, WebSockets included.

    Attributes:
        connections: All that are open, WebSockets included.
        refused: Those that are told that they are too many.
        tasks: Requests under way.
        draining: Whether each answer is the last one of its connection.
    """

    def __init__(
        self,
        edge: Responder,
        websocket: Callable[[], Any],
        budget: Budget,
        *,
        request_timeout: float,
        keep_alive: float,
        max_connections: int,
    ) -> None:
        self.edge = edge
        self.websocket = websocket
        self.budget = budget
        self.request_timeout = request_timeout
        self.keep_alive = keep_alive
        self.max_connections = max_connections
        self.connections: set[Any] = set()
        self.refused: set[Any] = set()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.draining = False

    def spawn(self, work: Awaitable[object]) -> None:
        """Run something that the end of the server waits for."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def expire(self, now: float) -> int:
        """End the wait of connections whose time is over.

        Args:
            now: The time of the loop.

        Returns:
            How many of them owed a request.
        """
        over = [
            one
            for some in (self.connections, self.refused)
            for one in some
            # WebSockets have clocks of their own.
            if getattr(one, "deadline", now) < now
        ]
        return sum(connection.expire() for connection in over)

    def drain(self) -> None:
        """Let every connection end with its next answer."""
        self.draining = True
        for connection in list(self.connections):
            connection.shutdown()
