"""Queues: create, get, update, delete, list, count, and statistics."""

from __future__ import annotations

import asyncio
import math
from typing import Any, NamedTuple

import apsw
import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.commands import (
    MessagePurge,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueStatsGet,
    QueueUpdate,
    QueueWatch,
    VolumeGet,
)
from zaqarserver.storage.records import (
    Metadata,
    Queue,
    QueueStats,
    StatsMessage,
    Volume,
)
from zaqarserver.storage.sqlite.backlogs import (
    WALK_NEWEST,
    WALK_OLDEST,
    Step,
    Walk,
    create_backlog,
    create_queue,
    delete_backlog,
    delete_queue,
    replace_queue,
)
from zaqarserver.storage.sqlite.claims import elapsed
from zaqarserver.storage.sqlite.database import Snapshot, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import encode_id
from zaqarserver.storage.sqlite.memory import Memory

QUEUE_FREE_AT = """
    SELECT (SELECT min(expires) FROM claim WHERE backlog = ?1),
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 1),
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 3)
"""

#: How many expired rows are counted in one statement (half a millisecond).
COUNT_STEP = 10_000

#: How many queues, and about how many bytes of metadata, a list reads before other
#: requests may run.
LIST_STEP = 500
LIST_BYTES = 262_144

QUEUE_LIST = """
    SELECT name, CASE WHEN instr(name, ?3) THEN metadata END, revision
      FROM queue
     WHERE project = ?1 AND name > ?2
     ORDER BY name
     LIMIT ?4
"""
VOLUME = "SELECT messages, claimed FROM backlog WHERE id = ?"
VOLUMES = "SELECT total(messages), total(claimed) FROM backlog WHERE dead = 0"
COUNT_EXPIRED = """
    SELECT count(*), max(expires) FROM
        (SELECT expires FROM message
          WHERE backlog = ?1 AND expires > ?2 AND expires <= ?3
          ORDER BY expires LIMIT ?4)
"""
COUNT_BETWEEN = """
    SELECT count(*) FROM message
     WHERE backlog = ? AND expires > ? AND expires <= ?
"""

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_FIRST, _LAST = 0, 2**63 - 1


# -- changing ---------------------------------------------------------------


@reads(QueueCreate)
async def create(engine: Engine, command: QueueCreate) -> bool:
    """Return without a transaction if the queue exists."""
    if engine.queue(command) is not None:
        return False
    return await engine.writer.submit(_create, command, grows=True)


def _create(memory: Memory, command: QueueCreate) -> bool:
    """Insert a row and its backlog."""
    if memory.queue(command.space, command.queue) is not None:
        return False
    create_queue(memory, command.space, command.queue, command.metadata)
    return True


@writes(QueueUpdate, grows=True)
def update(memory: Memory, command: QueueUpdate) -> None:
    """Replace the row if it has the revision."""
    row = memory.queue(command.space, command.queue)
    if row is None or row.revision != command.revision:
        raise QueueChanged(f"queue {command.queue!r} was changed or deleted meanwhile")
    new = msgspec.structs.replace(
        row, revision=memory.sequence.secret(), metadata=command.metadata
    )
    replace_queue(memory, command.space, command.queue, new)


@reads(QueueDelete)
async def delete(engine: Engine, command: QueueDelete) -> None:
    """Return without a transaction if the queue does not exist."""
    if engine.queue(command) is not None:
        await engine.writer.submit(_delete, command)


def _delete(memory: Memory, command: QueueDelete) -> None:
    """Remove the row; the sweeper removes what was in the queue."""
    row = memory.queue(command.space, command.queue)
    if row is not None:
        delete_queue(memory, command.space, command.queue, row)


@writes(MessagePurge)
def purge(memory: Memory, command: MessagePurge) -> None:
    """Give the queue an empty backlog; the sweeper removes the old one."""
    space, queue = command.space, command.queue
    row = memory.queue(space, queue)
    if row is not None:
        delete_backlog(memory, space, row.backlog)
        new = msgspec.structs.replace(row, backlog=create_backlog(memory, space))
        replace_queue(memory, space, queue, new)


# -- reading ----------------------------------------------------------------


@reads(QueueGet)
async def get(engine: Engine, command: QueueGet) -> Queue | None:
    """Read from memory mostly, also about a queue that does not exist."""
    row = engine.queue(command)
    if row is None:
        return None
    return Queue(command.queue, dict(row.metadata), row.revision)


@reads(QueueCount)
async def count(engine: Engine, command: QueueCount) -> int:
    """Read from memory."""
    usage = engine.memory.usage.committed.get(command.space)
    return 0 if usage is None else usage.queues


@reads(QueueList)
async def list_queues(engine: Engine, command: QueueList) -> list[Queue]:
    """Walk over the primary key; other requests may run between steps."""
    found: list[Queue] = []
    last: str | None = command.marker or ""
    while last is not None:
        last = _list_step(engine.reader, command, last, found)
        if last is not None:
            await asyncio.sleep(0)
    return found


def _list_step(
    db: apsw.Connection, command: QueueList, after: str, found: list[Queue]
) -> str | None:
    """Read some queues; return where the next step begins, ``None`` at the end."""
    seen = size = 0
    bindings = (command.space, after, command.name or "", LIST_STEP)
    rows = db.execute(QUEUE_LIST, bindings)
    try:
        for name, text, revision in rows:
            seen += 1
            if text is not None:
                size += len(text)
                metadata = _decode(text)
                if _matches(metadata, command):
                    found.append(Queue(name, metadata, revision))
            if len(found) == command.limit:
                return None
            if size > LIST_BYTES:
                return str(name)
        return str(name) if seen == LIST_STEP else None
    finally:
        rows.close()


def _matches(metadata: Metadata, command: QueueList) -> bool:
    return all(
        key in metadata and any(_same(metadata[key], value) for value in values)
        for key, values in (command.metadata or {}).items()
    )


def _same(left: Any, right: Any) -> bool:
    """Compare by JSON type and value: ``true`` is not ``1``."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


@reads(VolumeGet)
async def volume(engine: Engine, _command: VolumeGet) -> Volume:
    """Add up the counters of the backlogs."""
    messages, claimed = fetch(engine.reader, VOLUMES)[0]
    return Volume(int(messages - claimed), int(claimed))


# -- statistics -------------------------------------------------------------


class _View(NamedTuple):
    """The result of one read of a backlog.

    Attributes:
        messages: Rows.
        claimed: Rows under a claim.
        expired: Rows that have expired, :data:`COUNT_STEP` if there may be more.
        oldest: The first step of the walk from the oldest end.
        newest: The first step of the walk from the newest end.
    """

    messages: int
    claimed: int
    expired: int
    oldest: Step
    newest: Step


@reads(QueueWatch)
async def watch(engine: Engine, command: QueueWatch) -> float:
    """Read the ends of claims and delays; the commits of this process are all."""
    queue = engine.queue(command)
    if queue is None:
        return math.inf
    times = fetch(engine.reader, QUEUE_FREE_AT, (queue.backlog,))[0]
    return min((time for time in times if time is not None), default=math.inf)


@reads(QueueStatsGet)
async def stats(engine: Engine, command: QueueStatsGet) -> QueueStats:
    """Read the maintained counters and subtract the expired messages.

    The counters include expired rows that are not swept yet. Usually there are few, and
    one read counts them.
    """
    now, db = command.now, engine.reader
    queue = await elapsed(engine, command, now)
    if queue is None:
        return command.missing()
    backlog = queue.backlog
    view = _look(db, backlog, now, -math.inf)
    if view.expired == COUNT_STEP:
        # The sweeper must not remove rows while they are counted in steps; nothing else
        # removes expired rows.
        with engine.memory.no_sweep(backlog):
            expired = await count_messages(db, backlog, -math.inf, now)
            view = _look(db, backlog, now, now)._replace(expired=expired)
    if view.messages == view.expired:
        return QueueStats()
    return QueueStats(
        free=view.messages - view.expired - view.claimed,
        claimed=view.claimed,
        oldest=await _end_of(db, WALK_OLDEST, backlog, now, view.oldest),
        newest=await _end_of(db, WALK_NEWEST, backlog, now, view.newest),
    )


def _look(db: apsw.Connection, backlog: int, now: float, since: float) -> _View:
    """Read the counters, what expired after ``since``, and the ends, at one moment."""
    with Snapshot(db):
        rows = fetch(db, VOLUME, (backlog,))
        bindings = (backlog, since, now, COUNT_STEP)
        expired = fetch(db, COUNT_EXPIRED, bindings)[0][0]
        oldest = WALK_OLDEST.step(db, backlog, (_FIRST, _FIRST), now, 1)
        newest = WALK_NEWEST.step(db, backlog, (_LAST, _LAST), now, 1)
    messages, claimed = rows[0] if rows else (0, 0)
    return _View(messages, claimed, expired, oldest, newest)


async def count_messages(
    db: apsw.Connection, backlog: int, since: float, now: float
) -> int:
    """Count all rows that expire after ``since`` and up to ``now``, in steps."""
    total = 0
    while True:
        bindings = (backlog, since, now, COUNT_STEP)
        found, last = fetch(db, COUNT_EXPIRED, bindings)[0]
        if found < COUNT_STEP:
            return total + int(found)
        # Rows may share their expiry: count each time as a whole.
        bindings_all = (backlog, since, last)
        total += fetch(db, COUNT_BETWEEN, bindings_all)[0][0]
        since = last
        await asyncio.sleep(0)


async def _end_of(
    db: apsw.Connection, walk: Walk, backlog: int, now: float, first: Step
) -> StatsMessage | None:
    """Walk on from the first step until a live message is found."""
    rows, position = first
    while position is not None and not rows:
        await asyncio.sleep(0)
        rows, position = walk.step(db, backlog, (position, position), now, 1)
    if not rows:
        return None
    seq, secret, created = rows[0]
    return StatsMessage(encode_id(seq, secret), created, max(0, int(now - created)))
