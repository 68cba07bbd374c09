"""The suite: queues that are watched for messages that become free."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

from zaqarserver.storage.base import DeadLetter
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimUpdate,
    QueueWatch,
)
from zaqarserver.storage.releases import MessageRelease
from zaqarserver.storage.subscriptions import ignore
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Suite

#: Seconds until a store must have reported what became free.
_SOON = 10.0


class WatchContract(Suite):
    """Watching queues."""

    async def due(self, queue: str = QUEUE) -> float | None:
        """Watch a queue for a minute; return when it is to be looked at."""
        return await self.do(QueueWatch(PROJECT, queue, NOW, NOW + 60))

    async def listen(self) -> None:
        """Hear what becomes free; the store is opened again for that."""
        self._reported: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        await self.store.close()
        hear = self._reported.put_nowait
        self.store.watch(
            ignore, ignore, ignore, ignore, lambda space, queue: hear((space, queue))
        )
        await self.store.open()

    async def frees(
        self, action: Callable[[], Awaitable[object]], queue: str = QUEUE
    ) -> None:
        """Check that an action is reported to who watches a queue."""
        if await self.due(queue) is None:
            return
        while not self._reported.empty():
            self._reported.get_nowait()
        await action()
        async with asyncio.timeout(_SOON):
            while await self._reported.get() != (PROJECT, queue):
                pass

    async def test_a_watch_has_no_time_where_nothing_ends(self) -> None:
        assert await self.due("missing") in {math.inf, None}
        await self.post(b"1")
        assert await self.due() in {math.inf, None}

    async def test_a_watch_returns_when_the_first_claim_or_delay_ends(self) -> None:
        await self.post(b"1", b"2", b"3")
        await self.claim(limit=1, ttl=200)
        await self.claim(limit=1, ttl=100)
        assert await self.due() in {NOW + 100, None}
        held = await self.claim(limit=1, ttl=300)
        await self.do(
            MessageRelease(
                PROJECT,
                QUEUE,
                message_id=held.messages[0].id,
                claim_id=held.id,
                now=NOW,
                delay=50,
            )
        )
        assert await self.due() in {NOW + 50, None}

    async def test_a_watched_queue_reports_a_post(self) -> None:
        await self.listen()
        await self.frees(lambda: self.post(b"1"))

    async def test_a_watched_queue_reports_a_claim_that_ends_early(self) -> None:
        await self.listen()
        await self.post(b"1", b"2")
        held = await self.claim(limit=1)
        await self.frees(lambda: self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW)))
        held = await self.claim(limit=1)
        update = ClaimUpdate(PROJECT, QUEUE, held.id, 60, 60, NOW)
        await self.frees(lambda: self.do(update))

    async def test_a_watched_queue_reports_a_dead_letter(self) -> None:
        await self.listen()
        await self.post(b"1")
        await self.claim(ttl=10)
        move = ClaimCreate(
            PROJECT,
            QUEUE,
            ttl=60,
            grace=60,
            limit=1,
            now=NOW + 20,
            dead_letter=DeadLetter("dead", 1),
        )
        await self.frees(lambda: self.do(move), "dead")
