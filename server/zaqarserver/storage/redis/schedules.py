"""Schedules: queues by the time of their next visit, in slots of their own.

There is one of queues to sweep, one of queues with deliveries and one of queues that
leave or arrive. An entry is made *before* the queue changes (``lua/promise.lua``), and
removed only if its score is still the one that was there before the queue's slot was
asked: every :meth:`Schedule.add` changes the score. So a schedule may name a queue that
has nothing to do or does not exist; the next visitor finds out and removes the entry.
It never misses one, whichever process dies, and when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zaqarserver.common import deadline
from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.names import QueueKeys

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that one visit may take, since many others wait for it; and seconds after
#: which it is tried again.
VISIT_SECONDS = 0.5
RETRY_SECONDS = 2.0

#: A queue's tag, and its score when the schedule was read.
Entry = tuple[str, bytes]


class Schedule:
    """Queues by the time of their next visit.

    Args:
        client: The servers of the store.
        key: The sorted set of tags by time.
    """

    def __init__(self, client: RedisClient, key: str) -> None:
        self._client = client
        self.key = key

    async def add(self, keys: QueueKeys, due: Word) -> None:
        """Enter a queue at a time, or earlier."""
        await self._client.run("schedule_add", (self.key,), keys.tag, due)

    async def move(self, tag: str, read: bytes, due: Word) -> bool:
        """Set the next time of a queue, unless it was entered again meanwhile.

        Args:
            tag: The queue.
            read: The score that was there before its slot was asked.
            due: The next time; empty for none.

        Returns:
            Whether the queue is there at that time now.
        """
        moved = await self._client.run("schedule_move", (self.key,), tag, read, due)
        return bool(moved)

    async def due(self, now: float, limit: int) -> list[Entry]:
        """Return up to ``limit`` queues that are due, the longest due first."""
        found = await self._client.do(
            "ZRANGEBYSCORE", self.key, "-inf", now, "WITHSCORES", "LIMIT", 0, limit
        )
        return [
            (tag.decode(), score)
            for tag, score in zip(found[::2], found[1::2], strict=True)
        ]

    async def next_due(self) -> float | None:
        """Return the first time, ``None`` if there is no entry."""
        first = await self._client.do("ZRANGE", self.key, 0, 0, "WITHSCORES")
        return float(first[1]) if first else None

    async def visit_each(
        self,
        due: list[Entry],
        now: float,
        visit: Callable[[str, bytes], Awaitable[T]],
    ) -> list[T]:
        """Visit queues that are due, all at once.

        A queue whose server does not answer soon is due again a moment later, so that
        the others do not wait for it.
        """

        async def attempt(tag: str, read: bytes) -> list[T]:
            try:
                with deadline.within(VISIT_SECONDS):
                    return [await visit(tag, read)]
            except Unavailable as error:
                LOG.debug("%s waits: %s", tag, error)
            await self.move(tag, read, now + RETRY_SECONDS)
            return []

        found = await asyncio.gather(*(attempt(tag, read) for tag, read in due))
        return [one for some in found for one in some]
