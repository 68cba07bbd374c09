"""What is done to queues inside a transaction, how they are read, and the sweep."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw
import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.base import Edge, Metadata, Queue, QueueStats
from zaqarserver.storage.sqlite import deliveries, grants
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ids import encode_id
from zaqarserver.storage.sqlite.ledger import Entry, Ledger
from zaqarserver.storage.sqlite.messages import settle
from zaqarserver.storage.sqlite.walks import WALK_NEWEST, WALK_OLDEST, Step, Walk

#: How many backlogs one sweep visits at most, how many rows it removes, and
#: about how many bytes of bodies in one visit.
SWEEP_VISITS = 20
SWEEP_ROWS = 200
SWEEP_BYTES = 1_000_000

#: How many expired rows are counted in one statement (half a millisecond).
COUNT_STEP = 10_000

#: How many queues, and about how many bytes of metadata, a list looks at
#: before it lets others run.
LIST_STEP = 500
LIST_BYTES = 262_144

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_FIRST, _LAST = 0, 2**63 - 1


def pulse(ledger: Ledger) -> None:
    """Write something."""
    ledger.db.execute(sql.STORE_PULSE)


# -- changing ---------------------------------------------------------------


@grows
def create(ledger: Ledger, project: str, queue: str, metadata: Metadata) -> bool:
    """Make a queue unless it exists."""
    if ledger.entry(project, queue) is not None:
        return False
    ledger.create(project, queue, metadata)
    return True


@grows
def update(
    ledger: Ledger, project: str, queue: str, metadata: Metadata, revision: int
) -> None:
    """Replace the metadata of the revision that the caller has read."""
    entry = ledger.entry(project, queue)
    if entry is None or entry.revision != revision:
        raise QueueChanged(f"queue {queue!r} was changed or deleted meanwhile")
    ledger.replace(
        project, queue, Entry(entry.backlog, ledger.sequence.secret(), metadata)
    )


def delete(ledger: Ledger, project: str, queue: str) -> None:
    """Remove a queue."""
    entry = ledger.entry(project, queue)
    if entry is not None:
        ledger.remove(project, queue, entry)


def purge(ledger: Ledger, project: str, queue: str) -> None:
    """Give a queue an empty backlog."""
    entry = ledger.entry(project, queue)
    if entry is not None:
        ledger.bury(project, entry.backlog)
        fresh = msgspec.structs.replace(entry, backlog=ledger.new_backlog(project))
        ledger.replace(project, queue, fresh)


# -- reading ----------------------------------------------------------------


async def list_queues(
    db: apsw.Connection,
    project: str,
    marker: str,
    limit: int,
    name: str,
    metadata: Mapping[str, Sequence[Any]],
) -> list[Queue]:
    """Find queues by name, letting others run between steps."""
    found: list[Queue] = []
    last: str | None = marker
    while last is not None:
        last = _list_step(db, project, last, limit, name, metadata, found)
        if last is not None:
            await asyncio.sleep(0)
    return found


def _list_step(
    db: apsw.Connection,
    project: str,
    after: str,
    limit: int,
    name: str,
    metadata: Mapping[str, Sequence[Any]],
    found: list[Queue],
) -> str | None:
    """Look at some queues; return where to go on, ``None`` when done."""
    seen = size = 0
    rows = db.execute(sql.QUEUE_LIST, (project, after, name, LIST_STEP))
    try:
        for one, text, revision in rows:
            seen += 1
            if text is not None:
                size += len(text)
                stored = _decode(text)
                if _has(stored, metadata):
                    found.append(Queue(one, stored, revision))
            if len(found) == limit:
                return None
            if size > LIST_BYTES:
                return str(one)
        return str(one) if seen == LIST_STEP else None
    finally:
        rows.close()


def _has(stored: Metadata, wanted: Mapping[str, Sequence[Any]]) -> bool:
    return all(
        key in stored and any(_same(stored[key], value) for value in values)
        for key, values in wanted.items()
    )


def _same(left: Any, right: Any) -> bool:
    """Compare by JSON type and value: ``true`` is not ``1``."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


# -- statistics -------------------------------------------------------------


class _View(NamedTuple):
    """What one look at a backlog gives.

    Attributes:
        messages: Rows.
        claimed: Rows under a claim.
        expired: Rows that have expired, :data:`COUNT_STEP` if there may be more.
        oldest: What the walk from the oldest end gave.
        newest: What the walk from the newest end gave.
    """

    messages: int
    claimed: int
    expired: int
    oldest: Step
    newest: Step


async def stats(
    db: apsw.Connection, ledger: Ledger, backlog: int, now: float
) -> QueueStats:
    """Count the live messages of a settled backlog.

    The counters include expired rows that were not swept; those are counted and
    taken off. Usually there are few and one look is enough.
    """
    view = _look(db, backlog, now, -math.inf)
    if view.expired == COUNT_STEP:
        # The sweeper must not take rows away while we count them in steps; all
        # else leaves expired rows alone.
        with ledger.no_sweep(backlog):
            expired = await count_messages(db, backlog, -math.inf, now)
            view = _look(db, backlog, now, now)._replace(expired=expired)
    if view.messages == view.expired:
        return QueueStats()
    return QueueStats(
        free=view.messages - view.expired - view.claimed,
        claimed=view.claimed,
        oldest=await _edge(db, WALK_OLDEST, backlog, now, view.oldest),
        newest=await _edge(db, WALK_NEWEST, backlog, now, view.newest),
    )


def _look(db: apsw.Connection, backlog: int, now: float, since: float) -> _View:
    """Read the counters, what expired after ``since``, and the ends, at one moment."""
    with Snapshot(db):
        rows = sql.fetch(db, sql.BACKLOG_VOLUME, (backlog,))
        bindings = (backlog, since, now, COUNT_STEP)
        expired = sql.fetch(db, sql.MESSAGE_COUNT_EXPIRED, bindings)[0][0]
        oldest = WALK_OLDEST.step(db, backlog, (_FIRST, _FIRST), now, 1)
        newest = WALK_NEWEST.step(db, backlog, (_LAST, _LAST), now, 1)
    messages, claimed = rows[0] if rows else (0, 0)
    return _View(messages, claimed, expired, oldest, newest)


async def count_messages(
    db: apsw.Connection, backlog: int, since: float, now: float
) -> int:
    """Count all rows that expire after ``since`` and up to ``now``, some at a time."""
    total = 0
    while True:
        bindings = (backlog, since, now, COUNT_STEP)
        found, last = sql.fetch(db, sql.MESSAGE_COUNT_EXPIRED, bindings)[0]
        if found < COUNT_STEP:
            return total + int(found)
        # Rows may share their expiry: count each time as a whole.
        bindings_all = (backlog, since, last)
        total += sql.fetch(db, sql.MESSAGE_COUNT_BETWEEN, bindings_all)[0][0]
        since = last
        await asyncio.sleep(0)


async def _edge(
    db: apsw.Connection, walk: Walk, backlog: int, now: float, first: Step
) -> Edge | None:
    """Walk on from the first step until a live message is found."""
    rows, position = first
    while position is not None and not rows:
        await asyncio.sleep(0)
        rows, position = walk.step(db, backlog, (position, position), now, 1)
    if not rows:
        return None
    seq, secret, created = rows[0]
    return Edge(encode_id(seq, secret), created, max(0, int(now - created)))


class Snapshot:
    """Several reads that see one moment, on a connection with no transaction.

    Where reads use the writer's own connection (a store in memory) no
    transaction is ever left open, so the same holds there.
    """

    __slots__ = ("_db",)

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *_error: object) -> None:
        if self._db.in_transaction:  # damage ends it
            self._db.execute("COMMIT")


# -- sweeping ---------------------------------------------------------------


def sweep(ledger: Ledger, now: float, wall: float) -> Generator[None, None, int]:
    """Remove some dead rows; return how many, at least 1 if more is to be done."""
    removed = deliveries.sweep(ledger, now, SWEEP_ROWS)
    removed += grants.sweep(ledger, wall, SWEEP_ROWS)
    removed += ledger.seals.sweep(now, SWEEP_ROWS)
    for _ in range(SWEEP_VISITS):
        if removed >= SWEEP_ROWS:
            break
        ledger.write_due()
        rows = sql.fetch(ledger.db, sql.BACKLOG_NEXT_DUE, (now,))
        if not rows or ledger.unsweepable(rows[0][0]):
            return removed
        backlog, dead, project = rows[0]
        room = SWEEP_ROWS - removed
        if dead:
            removed += _sweep_dead(ledger, backlog, room)
        elif settle(ledger, backlog, now):
            removed += _sweep_live(ledger, project, backlog, now, room)
        else:
            break
        yield
    return max(removed, 1)


def leave_alone(ledger: Ledger, now: float) -> bool:
    """Have the backlog that is due first swept no more, until it changes."""
    rows = sql.fetch(ledger.db, sql.BACKLOG_NEXT_DUE, (now,))
    if rows:
        ledger.set_due(rows[0][0], math.inf)
    return bool(rows)


def _sweep_dead(ledger: Ledger, backlog: int, room: int) -> int:
    gone, _ = _remove(ledger, sql.MESSAGE_ANY, (backlog,), room)
    if gone:
        return gone
    claims = sql.fetch(ledger.db, sql.CLAIM_ANY, (backlog, room))
    ledger.db.executemany(sql.CLAIM_DELETE, claims)
    if not claims:
        ledger.db.execute(sql.BACKLOG_DELETE, (backlog,))
    return len(claims)


def _sweep_live(
    ledger: Ledger, project: str, backlog: int, now: float, room: int
) -> int:
    gone, size = _remove(ledger, sql.MESSAGE_EXPIRED, (backlog, now), room)
    ledger.keep(project, backlog, -gone, -size)
    ledger.find_due(backlog)
    return gone


def _remove(
    ledger: Ledger, find: str, bindings: tuple[Any, ...], room: int
) -> tuple[int, int]:
    """Delete the first rows that ``find`` gives, up to so many rows and bytes.

    Returns:
        How many rows, and bytes of bodies, are gone.
    """
    chosen: list[tuple[int]] = []
    size = 0
    for seq, length in sql.fetch(ledger.db, find, (*bindings, room)):
        chosen.append((seq,))
        size += length
        if size > SWEEP_BYTES:
            break
    ledger.db.executemany(sql.MESSAGE_DELETE, chosen)
    return len(chosen), size
