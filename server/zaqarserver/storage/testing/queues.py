"""The suite: queues."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zaqarserver.errors import ClaimNotFound, QueueChanged
from zaqarserver.storage.base import Queue, QueueStats
from zaqarserver.storage.commands import (
    ClaimGet,
    ClaimUpdate,
    MessageGet,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
)


class QueueContract(Suite):
    """Queues and their metadata."""

    async def queue_names(self, **filters: Any) -> list[str]:
        """List the names of the project's queues."""
        args = {"marker": None, "limit": 100} | filters
        return [queue.name for queue in await self.do(QueueList(PROJECT, **args))]

    async def read_queue(self, name: str = QUEUE) -> Queue:
        """Return a queue that exists."""
        queue = await self.do(QueueGet(PROJECT, name))
        assert queue is not None
        return queue

    async def test_a_missing_queue_is_none(self) -> None:
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_a_queue_is_made_once(self) -> None:
        assert await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1})) is True
        assert await self.do(QueueCreate(PROJECT, QUEUE, {"a": 2})) is False
        assert (await self.read_queue()).metadata == {"a": 1}

    async def test_of_many_that_make_a_queue_one_succeeds(self) -> None:
        made = await asyncio.gather(
            *(self.do(QueueCreate(PROJECT, QUEUE, {"n": n})) for n in range(10))
        )
        assert sorted(made) == [False] * 9 + [True]
        assert (await self.read_queue()).metadata == {"n": made.index(True)}
        assert await self.do(QueueCount(PROJECT)) == 1

    async def test_metadata_comes_back_as_stored(self) -> None:
        metadata = {
            "text": 'é\u2028"\\',
            "number": -(2**63),
            "real": 0.1,
            "none": None,
            "yes": True,
            "nested": {"list": [1, [], {}]},
            "": "",
        }
        await self.do(QueueCreate(PROJECT, QUEUE, metadata))
        assert (await self.read_queue()).metadata == metadata

    async def test_changing_returned_metadata_changes_nothing(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        (await self.read_queue()).metadata["a"] = 2
        assert (await self.read_queue()).metadata == {"a": 1}

    async def test_an_update_replaces_the_metadata(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1, "b": 2}))
        old = await self.read_queue()
        await self.do(QueueUpdate(PROJECT, QUEUE, {"c": 3}, old.revision))
        assert (await self.read_queue()).metadata == {"c": 3}
        assert (await self.read_queue()).revision != old.revision

    async def test_an_update_of_an_old_revision_changes_nothing(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        old = await self.read_queue()
        await self.do(QueueUpdate(PROJECT, QUEUE, {"a": 1}, old.revision))
        with pytest.raises(QueueChanged):
            await self.do(QueueUpdate(PROJECT, QUEUE, {"a": 2}, old.revision))
        assert (await self.read_queue()).metadata == {"a": 1}

    async def test_of_concurrent_updates_one_succeeds(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        revision = (await self.read_queue()).revision
        results = await asyncio.gather(
            *(
                self.do(QueueUpdate(PROJECT, QUEUE, {"n": n}, revision))
                for n in range(10)
            ),
            return_exceptions=True,
        )
        assert sum(result is None for result in results) == 1
        assert sum(isinstance(result, QueueChanged) for result in results) == 9

    async def test_an_update_of_a_missing_queue_is_refused(self) -> None:
        with pytest.raises(QueueChanged):
            await self.do(QueueUpdate(PROJECT, QUEUE, {}, 1))
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_a_revision_does_not_come_back_with_the_name(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        old = await self.read_queue()
        await self.do(QueueDelete(PROJECT, QUEUE))
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        with pytest.raises(QueueChanged):
            await self.do(QueueUpdate(PROJECT, QUEUE, {"a": 1}, old.revision))

    async def test_deleting_a_queue_removes_all_of_it(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
        ids = await self.post(b"1", b"2")
        held = await self.claim(limit=1)
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None
        assert await self.queue_names() == []
        assert await self.do(QueueCount(PROJECT)) == 0
        assert await self.everything() == []
        assert await self.do(MessageGet(PROJECT, QUEUE, ids, NOW)) == []
        assert await self.do(QueueStatsGet(PROJECT, QUEUE, NOW)) == QueueStats()
        with pytest.raises(ClaimNotFound):
            await self.do(ClaimGet(PROJECT, QUEUE, held.id, NOW))

    async def test_deleting_a_missing_queue_does_nothing(self) -> None:
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.do(QueueCount(PROJECT)) == 0

    async def test_nothing_comes_back_with_a_deleted_name(self) -> None:
        old = await self.post(b"old")
        held = await self.claim()
        await self.do(QueueDelete(PROJECT, QUEUE))
        await self.post(b"new")
        assert [message.body for message in await self.everything()] == [b"new"]
        assert await self.do(MessageGet(PROJECT, QUEUE, old, NOW)) == []
        with pytest.raises(ClaimNotFound):
            await self.do(
                ClaimUpdate(PROJECT, QUEUE, held.id, ttl=60, grace=60, now=NOW)
            )
        stats = await self.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (stats.free, stats.claimed) == (1, 0)

    # -- lists --------------------------------------------------------------

    async def test_queues_are_listed_by_name(self) -> None:
        for name in ("b", "A", "a", "10", "9", "b.c", "_"):
            await self.do(QueueCreate(PROJECT, name, {}))
        assert await self.queue_names() == ["10", "9", "A", "_", "a", "b", "b.c"]

    async def test_a_page_begins_after_the_marker(self) -> None:
        for name in "abcde":
            await self.do(QueueCreate(PROJECT, name, {}))
        assert await self.queue_names(limit=2) == ["a", "b"]
        assert await self.queue_names(limit=2, marker="b") == ["c", "d"]
        assert await self.queue_names(limit=2, marker="bb") == ["c", "d"]
        assert await self.queue_names(limit=2, marker="e") == []

    async def test_listed_queues_carry_their_metadata(self) -> None:
        await self.do(QueueCreate(PROJECT, QUEUE, {"a": [1]}))
        listed = await self.do(QueueList(PROJECT, marker=None, limit=1))
        assert listed == [await self.read_queue()]

    async def test_a_name_filter_is_literal_text(self) -> None:
        for name in ("a.b", "axb", "a_b", "a-b", "ab"):
            await self.do(QueueCreate(PROJECT, name, {}))
        assert await self.queue_names(name=".") == ["a.b"]
        assert await self.queue_names(name="_") == ["a_b"]
        assert await self.queue_names(name="%") == []
        assert await self.queue_names(name="A") == []
        assert await self.queue_names(name="ab") == ["ab"]

    async def test_a_metadata_filter_compares_type_and_value(self) -> None:
        values = {"int": 1, "text": "1", "true": True, "none": None, "zero": 0}
        for name, value in values.items():
            await self.do(QueueCreate(PROJECT, name, {"v": value}))
        await self.do(QueueCreate(PROJECT, "unset", {}))
        for name, value in values.items():
            assert await self.queue_names(metadata={"v": [value]}) == [name]
        assert await self.queue_names(metadata={"v": [1, "1"]}) == ["int", "text"]
        assert await self.queue_names(metadata={"w": [1]}) == []

    async def test_metadata_filters_hold_together(self) -> None:
        await self.do(QueueCreate(PROJECT, "one", {"a": 1, "b": 1}))
        await self.do(QueueCreate(PROJECT, "two", {"a": 1, "b": 2}))
        assert await self.queue_names(metadata={"a": [1], "b": [2]}) == ["two"]
        assert await self.queue_names(metadata={"a": [1]}, name="on") == ["one"]

    async def test_a_filtered_page_is_full_however_many_lie_between(self) -> None:
        await asyncio.gather(
            *(self.do(QueueCreate(PROJECT, f"n{n:04}", {})) for n in range(1200))
        )
        for name in ("n0000x", "n0600x", "n1199x"):
            await self.do(QueueCreate(PROJECT, name, {"keep": True}))
        found = await self.queue_names(limit=3, metadata={"keep": [True]})
        assert found == ["n0000x", "n0600x", "n1199x"]
        assert await self.queue_names(limit=3, name="x", marker="n0001") == found[1:]

    async def test_queues_are_counted(self) -> None:
        for name in "abc":
            await self.do(QueueCreate(PROJECT, name, {}))
        await self.do(QueueDelete(PROJECT, "b"))
        await self.post(b"1", queue="d")
        assert await self.do(QueueCount(PROJECT)) == 3
