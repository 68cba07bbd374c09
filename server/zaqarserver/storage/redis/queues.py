"""Queues, and the sweep."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.commands import (
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
    QueueWatch,
)
from zaqarserver.storage.records import Queue, QueueStats, StatsMessage
from zaqarserver.storage.redis.channel import free_frame
from zaqarserver.storage.redis.claims import finish_moves
from zaqarserver.storage.redis.names import new_revision
from zaqarserver.storage.redis.store import Store, performs, queue_moving
from zaqarserver.storage.redis.usage import Held

#: How many queues a sweep visits at most, and how many rows it removes of each.
SWEEP_VISITS = 20
SWEEP_ROWS = 200

#: How many queues a list reads at a time.
LIST_STEP = 500

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@performs(QueueCreate)
async def create(store: Store, command: QueueCreate) -> bool:
    """List the name, then make the queue."""
    keys, metadata = store.keys(command), _encode(command.metadata)
    made = await store.run_prepared(
        "create", keys, (keys.head,), 0.0, new_revision(), metadata
    )
    return bool(made)


@performs(QueueGet)
async def get(store: Store, command: QueueGet) -> Queue | None:
    """Read the fields without a script: it is asked most often."""
    head = store.keys(command).head
    *fields, seal = await store.client.do("HMGET", head, "rev", "metadata", "seal")
    if seal is not None:
        raise queue_moving(head)
    return _read(command.queue, fields)


@performs(QueueUpdate)
async def update(store: Store, command: QueueUpdate) -> None:
    """Replace the metadata if the queue has the revision."""
    changed = await store.run(
        "update",
        (store.keys(command).head,),
        command.revision,
        new_revision(),
        _encode(command.metadata),
    )
    if not changed:
        raise QueueChanged(f"queue {command.queue!r} was changed or deleted meanwhile")


@performs(QueueDelete)
async def delete(store: Store, command: QueueDelete) -> None:
    """Unlink a handful of keys; Redis frees them in the background."""
    keys = store.keys(command)
    held = await store.run_prepared(
        "delete_queue", keys, keys.posting, 0.0, removing=True
    )
    store.usage.messages(keys, held)


@performs(QueueList)
async def list_queues(store: Store, command: QueueList) -> list[Queue]:
    """Walk over the space's list, and read each queue."""
    space, limit, marker = command.space, command.limit, command.marker
    name, metadata = command.name, command.metadata or {}
    found: list[Queue] = []
    step = min(LIST_STEP if name or metadata else limit, LIST_STEP)
    while len(found) < limit:
        start = "-" if marker is None else f"({marker}"
        names = await _names(store, space, start, step)
        wanted = [one for one in names if name is None or name in one]
        queues = await asyncio.gather(*(_look(store, space, one) for one in wanted))
        found += [queue for queue in queues if queue and _matches(queue, metadata)]
        if not names:
            break
        marker = names[-1]
    return found[:limit]


async def _names(store: Store, space: str, start: str, limit: int) -> list[str]:
    index, _ = store.keyspace.index(space)
    names = await store.client.do("ZRANGEBYLEX", index, start, "+", "LIMIT", 0, limit)
    return [name.decode() for name in names]


async def _look(store: Store, space: str, queue: str) -> Queue | None:
    """Read a queue that may be sealed: it is listed until it has left."""
    head = store.keyspace.queue(space, queue).head
    return _read(queue, await store.client.do("HMGET", head, "rev", "metadata"))


@performs(QueueCount)
async def count(store: Store, command: QueueCount) -> int:
    """Count the list; look up the queues that are being made or removed."""
    index, pending = store.keyspace.index(command.space)
    total, unsure = await asyncio.gather(
        store.client.do("ZCARD", index), store.client.do("HKEYS", pending)
    )
    heads = [store.keyspace.queue(command.space, name.decode()).head for name in unsure]
    exist = await asyncio.gather(
        *(store.client.do("HEXISTS", head, "rev") for head in heads)
    )
    return int(total) - exist.count(0)


@performs(QueueWatch)
async def watch(store: Store, command: QueueWatch) -> float:
    """Leave in the queue's head what to publish, and read the ends of two sets."""
    keys = store.keys(command)
    found = await store.run(
        "watch",
        keys.messages,
        command.now,
        command.until,
        store.keyspace.channel,
        free_frame(keys),
    )
    return float(found) if found else math.inf


@performs(QueueStatsGet)
async def stats(store: Store, command: QueueStatsGet) -> QueueStats:
    """Count the sets; the ends of three sets are the oldest and newest."""
    now = command.now
    found = await store.run("stats", store.keys(command).messages, now)
    free, claimed, *ends = found
    if not ends:
        return QueueStats()
    return QueueStats(free, claimed, _end_of(ends[:2], now), _end_of(ends[2:], now))


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
    """Compare as JSON: true differs from 1, and 1 from the text of it."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _end_of(end: list[bytes], now: float) -> StatsMessage:
    id_, created = end
    moment = float(created)
    return StatsMessage(id_.decode(), moment, max(0, int(now - moment)))


# -- sweeping -------------------------------------------------------------------


class _SweepReply(NamedTuple):
    """The reply of ``lua/sweep.lua``.

    Attributes:
        removed: How many rows were removed.
        due: The next time; empty for none.
        exists: Whether the queue exists.
        moving: Whether messages are on their way to a dead letter queue.
        held: What the queue holds now.
        subscribed: The number of its subscriptions now.
    """

    removed: int
    due: bytes
    exists: int
    moving: int
    held: Held
    subscribed: Held


async def sweep(store: Store, now: float, wall: float) -> int:
    """Visit some of the queues that are due."""
    due = await store.sweeps.due(now, SWEEP_VISITS)
    visit = functools.partial(_visit, store, now=now, wall=wall)
    removed = sum(await store.sweeps.visit_each(due, now, visit))
    # There may be more to do although nothing was found so far.
    return removed or (1 if len(due) == SWEEP_VISITS else 0)


async def _visit(
    store: Store, tag: str, read: bytes, *, now: float, wall: float
) -> int:
    """Sweep a queue, correct its entry in the list, set its next time."""
    keys = store.keyspace.by_tag(tag)
    _, pending = store.keyspace.index(keys.space)
    token = await store.client.do("HGET", pending, keys.queue)
    reply = _SweepReply(
        *await store.run("sweep", keys.everything, now, wall, "", SWEEP_ROWS)
    )
    store.usage.messages(keys, reply.held)
    store.usage.subscriptions(keys, reply.subscribed)
    if token is not None:
        await store.end_index(keys, token.decode(), exists=bool(reply.exists))
    if reply.moving:
        await finish_moves(store, keys, now)
    if not reply.due or float(reply.due) > now:
        await store.sweeps.move(tag, read, reply.due)
    return reply.removed
