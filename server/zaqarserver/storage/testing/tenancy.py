"""The suite: nothing is seen, changed or counted across projects and queues."""

from __future__ import annotations

import pytest

from zaqarserver.errors import ClaimNotFound, QueueChanged
from zaqarserver.storage.base import QueueStats, Storage
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
#: of the same name, another queue of the same project, names whose parts
#: would run together if they were only joined, and the project's topics, which
#: differ by a NUL and more.
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
        await storage.queue_create(PROJECT, QUEUE, {"a": 1})
        mine = await storage.queue_get(PROJECT, QUEUE)
        assert mine is not None
        assert await storage.queue_get(project, queue) is None
        with pytest.raises(QueueChanged):
            await storage.queue_update(project, queue, {"a": 2}, mine.revision)
        await storage.queue_delete(project, queue)
        assert await storage.queue_get(PROJECT, QUEUE) == mine
        assert await storage.queue_create(project, queue, {}) is True
        counted = await storage.queue_count(project)
        assert counted == (2 if project == PROJECT else 1)
        listed = await storage.queue_list(project, marker=None, limit=10)
        assert len(listed) == counted

    @elsewhere
    async def test_messages_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        ids = await post(storage, b"1", b"2")
        theirs = await storage.message_post(project, queue, CLIENT, new(b"3"), NOW)
        assert await storage.message_get(project, queue, ids, NOW) == []
        assert ids_of(await everything(storage, project=project, queue=queue)) == theirs
        await storage.message_delete(project, queue, ids[0], None, NOW)
        await storage.message_delete_many(project, queue, ids, None, NOW)
        popped = await storage.message_pop(project, queue, 10, NOW)
        assert ids_of(popped) == theirs
        await storage.message_purge(project, queue)
        await storage.queue_delete(project, queue)
        assert ids_of(await everything(storage)) == ids

    @elsewhere
    async def test_claims_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        ids = await post(storage, b"1", b"2")
        held = await claim(storage)
        await storage.message_post(project, queue, CLIENT, new(b"3"), NOW)
        with pytest.raises(ClaimNotFound):
            await storage.claim_get(project, queue, held.id, NOW)
        with pytest.raises(ClaimNotFound):
            await storage.claim_update(
                project, queue, held.id, ttl=60, grace=60, now=NOW
            )
        await storage.claim_delete(project, queue, held.id, NOW)
        await storage.message_delete(project, queue, ids[0], held.id, NOW)
        kept = await storage.claim_get(PROJECT, QUEUE, held.id, NOW)
        assert ids_of(kept.messages) == ids

    @elsewhere
    async def test_counts_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        await post(storage, b"1", b"2")
        await claim(storage, limit=1)
        assert await storage.queue_stats(project, queue, NOW) == QueueStats()
        await storage.message_post(project, queue, CLIENT, new(b"3"), NOW)
        theirs = await storage.queue_stats(project, queue, NOW)
        assert (theirs.free, theirs.claimed) == (1, 0)
        mine = await storage.queue_stats(PROJECT, QUEUE, NOW)
        assert (mine.free, mine.claimed) == (1, 1)

    @elsewhere
    async def test_a_marker_of_another_queue_shows_nothing_of_it(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        theirs = await storage.message_post(project, queue, CLIENT, new(b"3"), NOW)
        mine = await post(storage, b"1")
        found = await storage.message_list(
            PROJECT, QUEUE, marker=theirs[0], limit=10, now=NOW
        )
        assert set(ids_of(found)) <= set(mine)
