"""Queues of the contract, on Redis, and the sweep."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.base import Edge, Metadata, Queue, QueueStats
from zaqarserver.storage.redis.access import queue_moving
from zaqarserver.storage.redis.ids import revision as new_revision
from zaqarserver.storage.redis.message_driver import MessagesOnRedis

#: How many queues a sweep visits at most, and how many rows it removes of each.
SWEEP_VISITS = 20
SWEEP_ROWS = 200

#: How many queues a list reads at a time.
LIST_STEP = 500

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class QueuesOnRedis(MessagesOnRedis):
    """What each method promises is in the contract."""

    async def queue_create(self, project: str, queue: str, metadata: Metadata) -> bool:
        """List the name, then make the queue."""
        keys = self._names.queue(project, queue)
        made = await self._run_prepared(
            "create",
            keys,
            (keys.head,),
            0.0,
            new_revision(),
            _encode(metadata),
        )
        return bool(made)

    async def queue_get(self, project: str, queue: str) -> Queue | None:
        """Read three fields."""
        head = self._names.queue(project, queue).head
        *fields, seal = await self._link.do("HMGET", head, "rev", "metadata", "seal")
        if seal is not None:
            raise queue_moving(head)
        return _read(queue, fields)

    async def queue_update(
        self, project: str, queue: str, metadata: Metadata, revision: int
    ) -> None:
        """Replace the metadata if the queue has the revision."""
        keys = self._names.queue(project, queue)
        changed = await self._run(
            "update", (keys.head,), revision, new_revision(), _encode(metadata)
        )
        if not changed:
            raise QueueChanged(f"queue {queue!r} was changed or deleted meanwhile")

    async def queue_delete(self, project: str, queue: str) -> None:
        """Unlink a handful of keys; Redis frees them in the background."""
        keys = self._names.queue(project, queue)
        volume = await self._run_prepared(
            "delete_queue", keys, keys.messages, 0.0, removing=True
        )
        self._volumes.messages(keys, volume)

    async def queue_list(
        self,
        project: str,
        *,
        marker: str | None,
        limit: int,
        name: str | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Queue]:
        """Walk over the project's list; each queue is looked up."""
        found: list[Queue] = []
        step = limit if not (name or metadata) else LIST_STEP
        while len(found) < limit:
            names = await self._listed(project, marker, min(step, LIST_STEP))
            wanted = [one for one in names if name is None or name in one]
            queues = await asyncio.gather(*(self._look(project, one) for one in wanted))
            found += [
                queue
                for queue in queues
                if queue is not None and _matches(queue, metadata or {})
            ]
            if not names:
                break
            marker = names[-1]
        return found[:limit]

    async def _look(self, project: str, queue: str) -> Queue | None:
        """Read a queue that may be sealed: until it has left it is listed."""
        head = self._names.queue(project, queue).head
        return _read(queue, await self._link.do("HMGET", head, "rev", "metadata"))

    async def _listed(self, project: str, marker: str | None, limit: int) -> list[str]:
        index, _ = self._names.index(project)
        start = "-" if marker is None else f"({marker}"
        names = await self._link.do("ZRANGEBYLEX", index, start, "+", "LIMIT", 0, limit)
        return [name.decode() for name in names]

    async def queue_count(self, project: str) -> int:
        """Count the list; what is being made or removed is looked up."""
        index, pending = self._names.index(project)
        total, unsure = await asyncio.gather(
            self._link.do("ZCARD", index), self._link.do("HKEYS", pending)
        )
        heads = [self._names.queue(project, name.decode()).head for name in unsure]
        exist = await asyncio.gather(
            *(self._link.do("HEXISTS", head, "rev") for head in heads)
        )
        return int(total) - exist.count(0)

    async def queue_stats(self, project: str, queue: str, now: float) -> QueueStats:
        """Count sets; the ends of three sets are the edges."""
        keys = self._names.queue(project, queue)
        free, held, *edges = await self._run("stats", keys.messages, repr(now))
        if not edges:
            return QueueStats()
        return QueueStats(free, held, _edge(edges[:2], now), _edge(edges[2:], now))

    # -- sweeping -----------------------------------------------------------

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Visit some of the queues that are due."""
        wall = now if wall is None else wall
        due = await self._agenda_due(self._names.sweep, now, SWEEP_VISITS)
        visit = functools.partial(self._visit, now=now, wall=wall)
        removed = sum(await self._visit_each(self._names.sweep, due, now, visit))
        # There may be more to do where nothing was found so far.
        return removed or (1 if len(due) == SWEEP_VISITS else 0)

    async def _visit(self, tag: str, read: bytes, *, now: float, wall: float) -> int:
        """Sweep a queue, verify that it is listed rightly, set its next time."""
        keys = self._names.by_tag(tag)
        _, pending = self._names.index(keys.project)
        token = await self._link.do("HGET", pending, keys.queue)
        removed, due, exists, moving, volume, subscribed = await self._run(
            "sweep", keys.everything, repr(now), repr(wall), "", SWEEP_ROWS
        )
        self._volumes.messages(keys, volume)
        self._volumes.subscriptions(keys, subscribed)
        if token is not None:
            await self._end_index(keys, token.decode(), exists=bool(exists))
        if moving:
            await self._finish_moves(keys, now)
        if not due or float(due) > now:
            await self._agenda_move(self._names.sweep, keys.tag, read, due)
        return int(removed)


def _read(name: str, fields: list[bytes | None]) -> Queue | None:
    revision, metadata = fields
    if revision is None or metadata is None:
        return None
    return Queue(name, _decode(metadata), int(revision))


def _matches(queue: Queue, wanted: Mapping[str, Sequence[Any]]) -> bool:
    return all(
        key in queue.metadata
        and any(_same(queue.metadata[key], value) for value in values)
        for key, values in wanted.items()
    )


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON: true is not 1, nor is 1 the text of it."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _edge(end: list[bytes], now: float) -> Edge:
    id_, created = end
    moment = float(created)
    return Edge(id_.decode(), moment, max(0, int(now - moment)))
