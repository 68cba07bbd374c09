"""The suite: nothing is seen, changed or counted across projects and queues."""

from __future__ import annotations

import pytest

from zaqarserver.errors import ClaimNotFound, QueueChanged
from zaqarserver.storage.base import QueueStats, Storage
from zaqarserver.storage.commands import (
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    claim,
    everything,
    ids_of,
    new,
    post,
)

#: Neighbours of the queue that the tests work in: another project with a queue
#: of the same name, another queue of the same project, names with parts that would run
#: together if they were only joined, and the project's topics, which differ by a NUL
#: and more.
ELSEWHERE = [
    ("other", QUEUE),
    (PROJECT, "other"),
    (PROJECT + QUEUE[0], QUEUE[1:]),
    (PROJECT.upper(), QUEUE),
    (PROJECT, QUEUE.upper()),
    (f"{PROJECT}\0topics", QUEUE),
]


elsewhere = pytest.mark.parametrize(("project", "queue"), ELSEWHERE)


class TenancyContract(Suite):
    """Each test looks from one of the neighbours; both queues hold messages."""

    @elsewhere
    async def test_queues_are_their_projects_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        await storage.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        mine = await storage.do(QueueGet(PROJECT, QUEUE))
        assert mine is not None
        assert await storage.do(QueueGet(project, queue)) is None
        with pytest.raises(QueueChanged):
            await storage.do(QueueUpdate(project, queue, {"a": 2}, mine.revision))
        await storage.do(QueueDelete(project, queue))
        assert await storage.do(QueueGet(PROJECT, QUEUE)) == mine
        assert await storage.do(QueueCreate(project, queue, {})) is True
        counted = await storage.do(QueueCount(project))
        assert counted == (2 if project == PROJECT else 1)
        listed = await storage.do(QueueList(project, marker=None, limit=10))
        assert len(listed) == counted

    @elsewhere
    async def test_messages_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        ids = await post(storage, b"1", b"2")
        theirs = await storage.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        assert await storage.do(MessageGet(project, queue, ids, NOW)) == []
        assert ids_of(await everything(storage, project=project, queue=queue)) == theirs
        await storage.do(MessageDelete(project, queue, ids[0], None, NOW))
        await storage.do(MessageDeleteMany(project, queue, ids, None, NOW))
        popped = await storage.do(MessagePop(project, queue, 10, NOW))
        assert ids_of(popped) == theirs
        await storage.do(MessagePurge(project, queue))
        await storage.do(QueueDelete(project, queue))
        assert ids_of(await everything(storage)) == ids

    @elsewhere
    async def test_claims_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        ids = await post(storage, b"1", b"2")
        held = await claim(storage)
        await storage.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        with pytest.raises(ClaimNotFound):
            await storage.do(ClaimGet(project, queue, held.id, NOW))
        with pytest.raises(ClaimNotFound):
            await storage.do(
                ClaimUpdate(project, queue, held.id, ttl=60, grace=60, now=NOW)
            )
        await storage.do(ClaimDelete(project, queue, held.id, NOW))
        await storage.do(MessageDelete(project, queue, ids[0], held.id, NOW))
        kept = await storage.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(kept.messages) == ids

    @elsewhere
    async def test_counts_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        await post(storage, b"1", b"2")
        await claim(storage, limit=1)
        assert await storage.do(QueueStatsGet(project, queue, NOW)) == QueueStats()
        await storage.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        theirs = await storage.do(QueueStatsGet(project, queue, NOW))
        assert (theirs.free, theirs.claimed) == (1, 0)
        mine = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (mine.free, mine.claimed) == (1, 1)

    @elsewhere
    async def test_a_marker_of_another_queue_shows_nothing_of_it(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        theirs = await storage.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        mine = await post(storage, b"1")
        found = await storage.do(
            MessageList(PROJECT, QUEUE, marker=theirs[0], limit=10, now=NOW)
        )
        assert set(ids_of(found)) <= set(mine)
