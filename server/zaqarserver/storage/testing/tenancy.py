"""The suite: nothing is seen, changed or counted across projects and queues."""

from __future__ import annotations

import pytest

from zaqarserver.errors import ClaimNotFound, QueueChanged
from zaqarserver.storage.base import QueueStats
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
    ids_of,
    new,
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
        self, project: str, queue: str
    ) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        mine = await self.do(QueueGet(PROJECT, QUEUE))
        assert mine is not None
        assert await self.do(QueueGet(project, queue)) is None
        with pytest.raises(QueueChanged):
            await self.do(QueueUpdate(project, queue, {"a": 2}, mine.revision))
        await self.do(QueueDelete(project, queue))
        assert await self.do(QueueGet(PROJECT, QUEUE)) == mine
        assert await self.do(QueueCreate(project, queue, {})) is True
        counted = await self.do(QueueCount(project))
        assert counted == (2 if project == PROJECT else 1)
        listed = await self.do(QueueList(project, marker=None, limit=10))
        assert len(listed) == counted

    @elsewhere
    async def test_messages_are_their_queues_own(
        self, project: str, queue: str
    ) -> None:
        ids = await self.post(b"1", b"2")
        theirs = await self.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        assert await self.do(MessageGet(project, queue, ids, NOW)) == []
        assert ids_of(await self.everything(project=project, queue=queue)) == theirs
        await self.do(MessageDelete(project, queue, ids[0], None, NOW))
        await self.do(MessageDeleteMany(project, queue, ids, None, NOW))
        popped = await self.do(MessagePop(project, queue, 10, NOW))
        assert ids_of(popped) == theirs
        await self.do(MessagePurge(project, queue))
        await self.do(QueueDelete(project, queue))
        assert ids_of(await self.everything()) == ids

    @elsewhere
    async def test_claims_are_their_queues_own(self, project: str, queue: str) -> None:
        ids = await self.post(b"1", b"2")
        held = await self.claim()
        await self.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        with pytest.raises(ClaimNotFound):
            await self.do(ClaimGet(project, queue, held.id, NOW))
        with pytest.raises(ClaimNotFound):
            await self.do(
                ClaimUpdate(project, queue, held.id, ttl=60, grace=60, now=NOW)
            )
        await self.do(ClaimDelete(project, queue, held.id, NOW))
        await self.do(MessageDelete(project, queue, ids[0], held.id, NOW))
        kept = await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))
        assert ids_of(kept.messages) == ids

    @elsewhere
    async def test_counts_are_their_queues_own(self, project: str, queue: str) -> None:
        await self.post(b"1", b"2")
        await self.claim(limit=1)
        assert await self.do(QueueStatsGet(project, queue, NOW)) == QueueStats()
        await self.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        theirs = await self.do(QueueStatsGet(project, queue, NOW))
        assert (theirs.free, theirs.claimed) == (1, 0)
        mine = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (mine.free, mine.claimed) == (1, 1)

    @elsewhere
    async def test_a_marker_of_another_queue_shows_nothing_of_it(
        self, project: str, queue: str
    ) -> None:
        theirs = await self.do(MessagePost(project, queue, CLIENT, new(b"3"), NOW))
        mine = await self.post(b"1")
        found = await self.do(
            MessageList(PROJECT, QUEUE, marker=theirs[0], limit=10, now=NOW)
        )
        assert set(ids_of(found)) <= set(mine)
