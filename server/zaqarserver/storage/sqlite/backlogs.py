"""Backlogs: where the messages of queues are, and how they are read.

Messages belong to a backlog, not to a queue. Deleting or purging a queue gives its name
another backlog or none, and leaves the old one, marked dead, to the sweeper. So both
take the same time, whatever the queue holds.

A walk reads the rows of some states in their order. One statement reads a bounded
number of rows, so that a long run of expired ones does not block other requests.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apsw
import msgspec

from zaqarserver.storage.records import (
    DeadLetter,
    DeadLetterOrigin,
    Message,
    Metadata,
    Notes,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.ids import ById, OrderedRows, encode_id
from zaqarserver.storage.sqlite.layers import QueueKey, QueueRow
from zaqarserver.storage.sqlite.memory import Memory

#: How many rows one statement reads (much less than a millisecond).
STEP = 1000

STATES = FREE, DELAYED, CLAIMED, POSTPONED = 0, 1, 2, 3

MESSAGE_COLUMNS = (
    "m.seq, m.secret, m.body, m.ttl, m.created, m.claims, m.checksum,"
    " m.state, m.expires, coalesce(c.alias, c.seq), c.secret,"
    " coalesce(m.alias, m.seq), m.notes"
)
STATS_COLUMNS = "coalesce(m.alias, m.seq), m.secret, m.created"
MESSAGE_GET = ById(f"""
    SELECT {MESSAGE_COLUMNS}
      FROM message m LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?3
     WHERE m.{{number}} = ?1 AND m.backlog = ?2 AND +m.expires > ?3
""")  # noqa: S608 - constants only
MESSAGE_ROWS = OrderedRows("message", "backlog = ?")

QUEUE_INSERT = """
    INSERT INTO queue (project, name, backlog, revision, metadata, origin)
    VALUES (?, ?, ?, ?, ?, ?)
"""
QUEUE_UPDATE = """
    UPDATE queue SET backlog = ?3, revision = ?4, metadata = ?5, origin = ?6
     WHERE project = ?1 AND name = ?2
"""
QUEUE_DELETE = "DELETE FROM queue WHERE project = ? AND name = ?"

BACKLOG_INSERT = "INSERT INTO backlog (project, due) VALUES (?, NULL) RETURNING id"
BACKLOG_END = "UPDATE backlog SET dead = 1 WHERE id = ? RETURNING messages, bytes"
BACKLOG_HAND_OVER = (
    "UPDATE backlog SET project = ? WHERE id = ? RETURNING messages, bytes"
)
BACKLOG_FIND_DUE = """
    SELECT (SELECT min(expires) FROM message WHERE backlog = ?1),
           (SELECT min(expires) FROM claim WHERE backlog = ?1),
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 1),
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 3)
"""
MESSAGE_MOVE = """
    UPDATE message SET backlog = ?2, state = ?3, claim = NULL, claims = 0,
                       visible = ?4, ttl = ?5, expires = ?6, notes = ?7
     WHERE seq = ?1
"""

_decode_notes = msgspec.json.Decoder(Notes).decode

# -- rows of queues, and backlogs --------------------------------------------


def create_queue(
    memory: Memory,
    space: str,
    queue: str,
    metadata: Metadata | None = None,
    backlog: int | None = None,
) -> QueueRow:
    """Make a queue that does not exist, on a new backlog if none is given."""
    if backlog is None:
        backlog = create_backlog(memory, space)
    row = QueueRow(backlog, memory.sequence.secret(), metadata or {}, backlog)
    _store(memory, QUEUE_INSERT, (space, queue), row)
    memory.use(space, queues=1)
    return row


def replace_queue(memory: Memory, space: str, queue: str, row: QueueRow) -> None:
    """Store a changed row of a queue that exists."""
    _store(memory, QUEUE_UPDATE, (space, queue), row)


def _store(memory: Memory, statement: str, key: tuple[str, str], row: QueueRow) -> None:
    metadata = msgspec.json.encode(row.metadata).decode()
    values = (row.backlog, row.revision, metadata, row.origin)
    memory.db.execute(statement, (*key, *values))
    memory.queues.pending[key] = row


def delete_queue(memory: Memory, space: str, queue: str, row: QueueRow) -> None:
    """Remove a queue that exists; what is in it is left to the sweeper."""
    memory.db.execute(QUEUE_DELETE, (space, queue))
    memory.queues.pending[space, queue] = None
    memory.use(space, queues=-1)
    delete_backlog(memory, space, row.backlog)


def create_backlog(memory: Memory, space: str) -> int:
    """Make an empty backlog and return its number."""
    number: int = fetch(memory.db, BACKLOG_INSERT, (space,))[0][0]
    memory.due.pending[number] = math.inf
    return number


def delete_backlog(memory: Memory, space: str, backlog: int) -> None:
    """Leave a backlog to the sweeper; its messages do not count any more."""
    messages, size = fetch(memory.db, BACKLOG_END, (backlog,))[0]
    memory.counts.pop(backlog, None)
    memory.use(space, messages=-messages, size=-size)
    memory.due.pending[backlog] = -math.inf


def rename_queue(memory: Memory, old: QueueKey, new: QueueKey, row: QueueRow) -> None:
    """Give a queue, with its messages, another space and name."""
    backlog = row.backlog
    memory.db.execute(QUEUE_DELETE, old)
    memory.queues.pending[old] = None
    messages, size = fetch(memory.db, BACKLOG_HAND_OVER, (new.space, backlog))[0]
    memory.use(old.space, queues=-1, messages=-messages, size=-size)
    memory.use(new.space, messages=messages, size=size)
    memory.count(new.space, backlog, 0, 0)  # also the counts that are not written yet
    create_queue(memory, *new, row.metadata, backlog)


def find_due(memory: Memory, backlog: int) -> None:
    """Return the next time, after what was due has been done."""
    rows = fetch(memory.db, BACKLOG_FIND_DUE, (backlog,))
    due = min((time for time in rows[0] if time is not None), default=math.inf)
    if due != memory.due_of(backlog):
        memory.due.pending[backlog] = due


# -- moving messages --------------------------------------------------------


class MessageRow(NamedTuple):
    """A live message as stored.

    Attributes:
        seq: Its row.
        size: Bytes of its body.
        claim: The claim in its row, live or not.
        claim_id: The id of the live claim that holds it, or ``None``.
        ttl: As shown.
        claims: How many claims have taken it.
        expires: When it ends.
        notes: As JSON text, or ``None``.
    """

    seq: int
    size: int
    claim: int | None = None
    claim_id: str | None = None
    ttl: int = 0
    claims: int = 0
    expires: float = 0.0
    notes: str | None = None


class Transfer(NamedTuple):
    """The changes of a message that goes to another queue.

    Attributes:
        seq: Its row.
        size: Bytes of its body.
        ttl: As shown then.
        expires: When it ends then.
        notes: The notes that it has then.
        visible: Until when it is postponed; ``None`` if it is free.
    """

    seq: int
    size: int
    ttl: int
    expires: float
    notes: str | None = None
    visible: float | None = None


def with_reason(notes: str | None, reason: str | None) -> Notes:
    """Return stored notes with another reason, unless that is ``None``."""
    known = Notes() if notes is None else _decode_notes(notes)
    if reason is None:
        return known
    return msgspec.structs.replace(known, reason=reason)


def buried(
    row: MessageRow,
    source: str,
    dead_letter: DeadLetter,
    now: float,
    reason: str | None = None,
) -> Transfer:
    """Return how a message goes to a dead letter queue."""
    ttl, expires = row.ttl, row.expires
    if dead_letter.ttl is not None:
        ttl, expires = dead_letter.ttl, now + dead_letter.ttl
    known = with_reason(row.notes, reason).reason
    notes = Notes(known, DeadLetterOrigin(source, row.claims, now, known))
    return Transfer(row.seq, row.size, ttl, expires, encode_notes(notes))


def encode_notes(notes: Notes) -> str | None:
    """Return notes as JSON text, ``None`` for empty ones."""
    return None if notes == Notes() else msgspec.json.encode(notes).decode()


def transfer(
    memory: Memory, space: str, backlog: int, target: str, moved: Sequence[Transfer]
) -> None:
    """Move rows from a backlog to another queue of the space, made on demand."""
    to = (memory.queue(space, target) or create_queue(memory, space, target)).backlog
    for one in moved:
        state = FREE if one.visible is None else POSTPONED
        values = (state, one.visible, one.ttl, one.expires, one.notes)
        memory.db.execute(MESSAGE_MOVE, (one.seq, to, *values))
        memory.lower_due(to, min(one.expires, one.visible or one.expires))
        if state == FREE:
            memory.lower_floor(to, one.seq)
    memory.freed.add(QueueKey(space, target))
    size = sum(one.size for one in moved)
    memory.count(space, backlog, -len(moved), -size)
    memory.count(space, to, len(moved), size)


# -- reading messages -------------------------------------------------------


def read_message(row: Row, now: float) -> Message:
    """Make a message of a row of ``MESSAGE_COLUMNS``."""
    _, secret, body, ttl, created, claims, checksum = row[:7]
    claim_number, claim_secret, number, notes = row[9:13]
    return Message(
        id=encode_id(number, secret),
        body=body,
        ttl=ttl,
        age=max(0, int(now - created)),
        claim_id=(
            None if claim_number is None else encode_id(claim_number, claim_secret)
        ),
        claim_count=claims,
        checksum=checksum,
        notes=None if notes is None else _decode_notes(notes),
    )


def _walk(states: Iterable[int], newest_first: bool) -> str:
    """Return the rows of some states, merged in order, at most ?7 of them."""
    order = "DESC" if newest_first else "ASC"
    beyond = "<" if newest_first else ">"
    # The legs are merged lazily, each straight from its index range. Delayed
    # rows have their own start: see claims.take_free.
    legs = " UNION ALL ".join(
        f"SELECT seq, expires, client FROM message"  # noqa: S608 - constants only
        f" WHERE backlog = ?1 AND state = {state}"
        f" AND seq {beyond} {'?3' if state in (DELAYED, POSTPONED) else '?2'}"
        for state in sorted(states)
    )
    return f"{legs} ORDER BY seq {order} LIMIT ?7"


def _scan(
    states: Iterable[int],
    *,
    newest_first: bool = False,
    columns: str = MESSAGE_COLUMNS,
) -> str:
    """Return the statement that finds live messages among the next ?7 rows.

    Bindings: backlog, after (free and claimed), after (delayed), now, client id
    to leave out or NULL, how many to find, how many to look at.
    """
    return f"""
        SELECT {columns}
          FROM ({_walk(states, newest_first)}) w
          CROSS JOIN message m ON m.seq = w.seq
          LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?4
         WHERE w.expires > ?4 AND (?5 IS NULL OR w.client <> ?5)
         LIMIT ?6
    """  # noqa: S608 - constants only


def _scan_end(states: Iterable[int], *, newest_first: bool = False) -> str:
    """Return the statement that finds where :func:`_scan` stopped.

    Same bindings; the row is the last one looked at, missing at the end.
    """
    return f"""
        SELECT seq FROM ({_walk(states, newest_first)}) LIMIT 1 OFFSET ?7 - 1
    """  # noqa: S608 - constants only


#: The result of a step of a walk: rows, and where the next begins, ``None`` at the end.
Step = tuple[list[Row], int | None]


class Walk:
    """Reads the messages of a backlog that are in some states, step by step.

    Args:
        states: Which states.
        newest_first: Walk backwards.
        columns: What to read of each message.
    """

    def __init__(
        self,
        *states: int,
        newest_first: bool = False,
        columns: str = MESSAGE_COLUMNS,
    ) -> None:
        self._scan = _scan(states, newest_first=newest_first, columns=columns)
        self._end = _scan_end(states, newest_first=newest_first)

    def step(
        self,
        db: apsw.Connection,
        backlog: int,
        after: tuple[int, int],
        now: float,
        limit: int,
        exclude_client: str | None = None,
    ) -> Step:
        """Find live messages among the next :data:`STEP` rows.

        Args:
            db: The connection.
            backlog: The backlog.
            after: Where to start, for free and claimed rows and for delayed.
            now: The time.
            limit: How many to find.
            exclude_client: Leave out what this client has posted.

        Returns:
            The rows, and where the next step begins, ``None`` if ``limit`` rows were
            found or nothing is left.
        """
        bindings = (backlog, *after, now, exclude_client, limit, max(STEP, limit))
        rows = fetch(db, self._scan, bindings)
        if len(rows) >= limit:
            return rows, None
        end = fetch(db, self._end, bindings)
        return rows, end[0][0] if end else None


WALK_OLDEST = Walk(*STATES, columns=STATS_COLUMNS)
WALK_NEWEST = Walk(*STATES, columns=STATS_COLUMNS, newest_first=True)


@functools.cache
def choose_walk(
    *, claimed: bool = False, delayed: bool = False, postponed: bool = False
) -> Walk:
    """Return the walk over the free messages, and others."""
    wanted = (True, delayed, claimed, postponed)
    return Walk(*itertools.compress(STATES, wanted))
