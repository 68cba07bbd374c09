"""What the tests of costs have a store do, on a queue of which they know the ids."""

from __future__ import annotations

from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import (
    ClaimDelete,
    MessageDelete,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePurge,
    QueueStatsGet,
)
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench


async def stats(storage: Storage, _ids: list[str]) -> object:
    """Count the messages."""
    return await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))


async def claim_ten(storage: Storage, _ids: list[str]) -> object:
    """Claim ten messages."""
    return await Bench.on(storage).claim(limit=10)


async def pop(storage: Storage, _ids: list[str]) -> object:
    """Remove the first ten messages."""
    return await storage.do(MessagePop(PROJECT, QUEUE, 10, NOW))


async def first_page(storage: Storage, _ids: list[str]) -> object:
    """List the first ten messages."""
    return await storage.do(MessageList(PROJECT, QUEUE, marker=None, limit=10, now=NOW))


async def middle_page(storage: Storage, ids: list[str]) -> object:
    """List ten messages in the middle."""
    return await storage.do(
        MessageList(
            PROJECT,
            QUEUE,
            marker=ids[len(ids) // 2],
            limit=10,
            now=NOW,
            include_claimed=True,
            include_delayed=True,
        )
    )


async def get(storage: Storage, ids: list[str]) -> object:
    """Read the first and the last message."""
    return await storage.do(MessageGet(PROJECT, QUEUE, [ids[0], ids[-1]], NOW))


async def missing(storage: Storage, _ids: list[str]) -> object:
    """Read and delete a message, and a claim, that do not exist."""
    unknown = "0" * 30
    await storage.do(MessageDelete(PROJECT, QUEUE, unknown, None, NOW))
    await storage.do(ClaimDelete(PROJECT, QUEUE, unknown, NOW))
    return await storage.do(MessageGet(PROJECT, QUEUE, [unknown], NOW))


async def delete(storage: Storage, ids: list[str]) -> object:
    """Delete a message in the middle."""
    middle = ids[len(ids) // 2]
    return await storage.do(MessageDelete(PROJECT, QUEUE, middle, None, NOW))


async def purge(storage: Storage, _ids: list[str]) -> object:
    """Remove all messages."""
    return await storage.do(MessagePurge(PROJECT, QUEUE))
