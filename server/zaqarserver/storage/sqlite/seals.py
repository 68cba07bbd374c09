"""Seals: the queues that this store refuses. Reads use their copy in ``memory``."""

from __future__ import annotations

import apsw

from zaqarserver.storage.moving import Seal, SealKind, SealList
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.engine import Engine, reads
from zaqarserver.storage.sqlite.memory import Memory, QueueKey, Sealed

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
    RETURNING project, queue, epoch
"""


def is_late(memory: Memory, key: QueueKey, epoch: int) -> bool:
    """Return True if a later move put the queue into service."""
    return (memory.opened.get(key) or epoch) > epoch


def put_seal(
    memory: Memory,
    key: QueueKey,
    epoch: int,
    kind: SealKind,
    *,
    backlog: int | None = None,
    until: float | None = None,
) -> None:
    """Seal a queue, or change its seal."""
    row = (*key, epoch, kind.value, backlog, until)
    id_ = fetch(memory.db, SEAL_PUT, row)[0][0]
    memory.seals.pending[key] = Sealed(id_, epoch, kind, backlog)


def remove_seal(memory: Memory, key: QueueKey, sealed: Sealed) -> None:
    """Remove the seal of a queue."""
    memory.db.execute(SEAL_DELETE, key)
    memory.seals.pending[key] = None
    memory.opened.pending[key] = sealed.epoch


def expired_seal(db: apsw.Connection, now: float) -> bool:
    """Return True if a seal has expired."""
    return bool(fetch(db, SEAL_OVER, (now,)))


def sweep_seals(memory: Memory, now: float, limit: int) -> int:
    """Remove some expired seals; return how many."""
    rows = fetch(memory.db, SEAL_SWEEP, (now, limit))
    for space, queue, epoch in rows:
        memory.seals.pending[space, queue] = None
        memory.opened.pending[space, queue] = epoch
    return len(rows)


@reads(SealList)
async def list_seals(engine: Engine, command: SealList) -> list[Seal]:
    """Walk over an index."""
    bindings = (*(command.marker or ("", "")), command.limit)
    return [
        Seal(space, queue, epoch, SealKind(kind))
        for space, queue, epoch, kind in fetch(engine.reader, SEAL_LIST, bindings)
    ]
