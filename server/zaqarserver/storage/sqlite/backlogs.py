"""Rows of queues, and backlogs, as writes change them.

Messages belong to a backlog. Deleting or purging a queue gives its name another backlog
or none, and leaves the old one, marked dead, to the sweeper. So both take the same time
whatever the queue holds.
"""

from __future__ import annotations

import math

import msgspec

from zaqarserver.storage.records import Metadata
from zaqarserver.storage.sqlite.connection import Row, fetch
from zaqarserver.storage.sqlite.memory import Memory, QueueRow

QUEUE_INSERT = """
    INSERT INTO queue (project, name, backlog, revision, metadata)
    VALUES (?, ?, ?, ?, ?)
"""
QUEUE_UPDATE = """
    UPDATE queue SET backlog = ?3, revision = ?4, metadata = ?5
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
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 1)
"""


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
    row = QueueRow(backlog, memory.sequence.secret(), metadata or {})
    _store(memory, QUEUE_INSERT, (space, queue), row)
    memory.use(space, queues=1)
    return row


def replace_queue(memory: Memory, space: str, queue: str, row: QueueRow) -> None:
    """Store a changed row of a queue that exists."""
    _store(memory, QUEUE_UPDATE, (space, queue), row)


def _store(memory: Memory, statement: str, key: tuple[str, str], row: QueueRow) -> None:
    metadata = msgspec.json.encode(row.metadata).decode()
    memory.db.execute(statement, (*key, row.backlog, row.revision, metadata))
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
    """Leave a backlog to the sweeper; what is in it does not count any more."""
    row = fetch(memory.db, BACKLOG_END, (backlog,))[0]
    messages, size = _with_uncounted(memory, backlog, row)
    memory.use(space, messages=-messages, size=-size)
    memory.due.pending[backlog] = -math.inf


def hand_over(memory: Memory, backlog: int, old: str, new: str) -> None:
    """Give a backlog, with what is in it, from one space to another."""
    row = fetch(memory.db, BACKLOG_HAND_OVER, (new, backlog))[0]
    messages, size = _with_uncounted(memory, backlog, row)
    memory.use(old, messages=-messages, size=-size)
    memory.use(new, messages=messages, size=size)


def _with_uncounted(memory: Memory, backlog: int, row: Row) -> tuple[int, int]:
    messages, _, size = memory.uncounted(backlog)
    return row[0] + messages, row[1] + size


def find_due(memory: Memory, backlog: int) -> None:
    """Find the time again, after what was due has been done."""
    rows = fetch(memory.db, BACKLOG_FIND_DUE, (backlog,))
    due = min((time for time in rows[0] if time is not None), default=math.inf)
    if due != memory.due_of(backlog):
        memory.due.pending[backlog] = due
