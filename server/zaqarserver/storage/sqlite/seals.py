"""The queues that this store refuses, in memory: every operation asks."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from zaqarserver.common.lru import LRU
from zaqarserver.errors import QueueMoving
from zaqarserver.storage.moving import Seal, SealKind
from zaqarserver.storage.sqlite.statements import fetch

SEALS = "SELECT project, queue, id, epoch, kind, backlog FROM seal"
SEAL_PUT = """
    INSERT INTO seal (project, queue, epoch, kind, backlog, until)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (project, queue) DO UPDATE
       SET epoch = ?3, kind = ?4, backlog = ?5, until = ?6
    RETURNING id
"""
SEAL_DELETE = "DELETE FROM seal WHERE project = ? AND queue = ?"
SEAL_LIST = """
    SELECT project, queue, epoch, kind FROM seal
     WHERE kind <> 'gone' AND (project, queue) > (?, ?)
     ORDER BY project, queue LIMIT ?
"""
SEAL_OVER = "SELECT 1 FROM seal WHERE until <= ? LIMIT 1"
SEAL_SWEEP = """
    DELETE FROM seal
     WHERE id IN (SELECT id FROM seal WHERE until <= ? ORDER BY until LIMIT ?)
    RETURNING project, queue
"""

Key = tuple[str, str]

#: How many queues that were opened are remembered: of recent moves.
_MOST_OPENED = 10_000


class Sealed(NamedTuple):
    """A row of the seal table.

    Attributes:
        id: Its number; what has arrived refers to it.
        epoch: Of the step that sealed.
        kind: Why the queue is refused.
        backlog: Where the messages of an arriving one are gathered.
    """

    id: int
    epoch: int
    kind: SealKind
    backlog: int | None


class Seals:
    """Follows the transactions of the writer.

    Args:
        db: The writer's connection, when nothing has been changed yet.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._kept: dict[Key, Sealed] = {
            (project, queue): Sealed(id_, epoch, SealKind(kind), backlog)
            for project, queue, id_, epoch, kind, backlog in fetch(db, SEALS)
        }
        self._changed: dict[Key, Sealed | None] = {}
        # In memory is enough: only this process moves the queues of its file, so no
        # step of a move that is over comes after a restart.
        self._opened: LRU[Key, int] = LRU(_MOST_OPENED)

    def is_late(self, project: str, queue: str, epoch: int) -> bool:
        """Whether a queue was put into service by a later move than this one's."""
        return self._opened.get((project, queue), epoch) > epoch

    def get(self, project: str, queue: str) -> Sealed | None:
        """Return the seal of a queue as the open transaction sees it."""
        key = (project, queue)
        if key in self._changed:
            return self._changed[key]
        return self._kept.get(key)

    def committed_get(self, project: str, queue: str) -> Sealed | None:
        """Return the seal of a queue as committed."""
        return self._kept.get((project, queue))

    def check(self, project: str, queue: str) -> None:
        """Refuse a queue that is sealed in the open transaction.

        Raises:
            QueueMoving: It is.
        """
        if self._changed or self._kept:
            _refuse(self.get(project, queue), queue)

    def committed_check(self, project: str, queue: str) -> None:
        """Refuse a queue that is sealed as committed.

        Raises:
            QueueMoving: It is.
        """
        if self._kept:
            _refuse(self._kept.get((project, queue)), queue)

    def put(
        self,
        project: str,
        queue: str,
        epoch: int,
        kind: SealKind,
        *,
        backlog: int | None = None,
        until: float | None = None,
    ) -> Sealed:
        """Seal a queue, or seal it otherwise than before."""
        row = (project, queue, epoch, kind.value, backlog, until)
        id_ = fetch(self._db, SEAL_PUT, row)[0][0]
        sealed = Sealed(id_, epoch, kind, backlog)
        self._changed[project, queue] = sealed
        return sealed

    def remove(self, project: str, queue: str) -> None:
        """Take the seal off a queue."""
        self._db.execute(SEAL_DELETE, (project, queue))
        self._changed[project, queue] = None

    def sweep(self, now: float, room: int) -> int:
        """Forget some that are over; return how many."""
        rows = fetch(self._db, SEAL_SWEEP, (now, room))
        for project, queue in rows:
            self._changed[project, queue] = None
        return len(rows)

    def committed(self) -> None:
        """Let readers see what the transaction changed."""
        for key, sealed in self._changed.items():
            if sealed is None:
                self._remember(key, self._kept.pop(key, None))
            else:
                self._kept[key] = sealed
        self._changed.clear()

    def _remember(self, key: Key, sealed: Sealed | None) -> None:
        """Note with which epoch a queue came into service."""
        if sealed is not None:
            self._opened[key] = sealed.epoch

    def rolled_back(self) -> None:
        """Forget what the transaction changed."""
        self._changed.clear()


def _refuse(sealed: Sealed | None, queue: str) -> None:
    if sealed is not None:
        raise QueueMoving(f"queue {queue} is {sealed.kind.value}")


def any_over(db: apsw.Connection, now: float) -> bool:
    """Whether there is a seal to forget."""
    return bool(fetch(db, SEAL_OVER, (now,)))


def list_seals(
    db: apsw.Connection, marker: tuple[str, str] | None, limit: int
) -> list[Seal]:
    """Read a page of the queues that leave or arrive."""
    rows = fetch(db, SEAL_LIST, (*(marker or ("", "")), limit))
    return [
        Seal(project, queue, epoch, SealKind(kind))
        for project, queue, epoch, kind in rows
    ]
