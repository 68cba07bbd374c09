"""Seals: the queues that leave for another store, come from one, or are gone.

Reads use the copy of the seals in ``memory``. What arrives is stored in its final
tables, so that it can be counted before the queue is opened, but under a name of its
own: the space :data:`ARRIVING` and the number of the seal. Its subscriptions are
parked, like those of a queue that leaves. Opening the queue gives all of it the queue's
name.
"""

from __future__ import annotations

import apsw
import msgspec

from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    QueueDrop,
    QueueOpen,
    QueueSeal,
    Seal,
    SealKind,
    SealList,
)
from zaqarserver.storage.sqlite.backlogs import delete_queue, rename_queue
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.layers import ARRIVING, NumberedSeal, QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.subscriptions import delete_all
from zaqarserver.storage.sqlite.writer import Steps

#: How many rows one step changes at most.
STEP = 500

SEAL_PUT = """
    INSERT INTO seal (project, queue, epoch, kind, until) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (project, queue) DO UPDATE SET epoch = ?3, kind = ?4, until = ?5
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
PARK = """
    UPDATE subscription SET parked = due, due = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ? AND source = ? AND due IS NOT NULL
                    ORDER BY seq LIMIT ?)
    RETURNING seq
"""
UNPARK = """
    UPDATE subscription SET project = ?3, source = ?4, due = parked, parked = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ?1 AND source = ?2 AND seq > ?5
                    ORDER BY seq LIMIT ?6)
    RETURNING seq
"""
NOTICES_NAME = """
    UPDATE notice SET project = ?3, source = ?4
     WHERE project = ?1 AND source = ?2
       AND number IN (SELECT number FROM notice WHERE project = ?1 AND source = ?2
                       ORDER BY number LIMIT ?5)
    RETURNING number
"""
NOTICES_DROP = """
    DELETE FROM notice
     WHERE project = ?1 AND source = ?2
       AND number IN (SELECT number FROM notice WHERE project = ?1 AND source = ?2
                       ORDER BY number LIMIT ?3)
    RETURNING number
"""
LIVE_SUBSCRIPTION = """
    SELECT 1 FROM subscription
     WHERE project = ? AND source = ? AND expires > ? LIMIT 1
"""


def stored_name(key: QueueKey, seal: NumberedSeal | None) -> QueueKey:
    """Return the name under which the store has what belongs to a queue."""
    if seal is None or seal.kind is not SealKind.ARRIVING:
        return key
    return QueueKey(ARRIVING, str(seal.number))


# -- sealing ----------------------------------------------------------------------


@writes(QueueSeal)
def seal_queue(memory: Memory, command: QueueSeal) -> Steps[bool]:
    """Freeze a queue that leaves; drop what is left of one that arrives."""
    key, kind, epoch = _key(command), command.kind, command.epoch
    seal = memory.seals.get(key)
    if (memory.opened.get(key) or epoch) > epoch:
        return False
    if seal is not None and not seal.allows(kind, epoch):
        return False
    in_service = seal is None or seal.kind is SealKind.GONE
    if in_service and kind is not SealKind.LEAVING and _is_used(memory, command):
        return False
    if kind is SealKind.LEAVING:
        if in_service:
            yield from _freeze(memory, key)
    elif seal is None or (seal.kind, seal.epoch) != (kind, epoch):
        yield from _drop(memory, stored_name(key, seal))
    _put(memory, command, kind)
    return True


@writes(QueueDrop)
def drop(memory: Memory, command: QueueDrop) -> Steps[bool]:
    """Leave the queue to the sweeper."""
    key = _key(command)
    seal = memory.seals.get(key)
    if seal is None or seal.kind is SealKind.GONE or seal.epoch != command.epoch:
        return False
    yield from _drop(memory, stored_name(key, seal))
    _put(memory, command, SealKind.GONE)
    return True


def _key(command: QueueSeal | QueueDrop | QueueOpen) -> QueueKey:
    return QueueKey(command.space, command.queue)


def _put(memory: Memory, command: QueueSeal | QueueDrop, kind: SealKind) -> None:
    key, epoch = _key(command), command.epoch
    until = command.now + REMEMBERED_SECONDS if kind is SealKind.GONE else None
    number = fetch(memory.db, SEAL_PUT, (*key, epoch, kind.value, until))[0][0]
    memory.seals.pending[key] = NumberedSeal(*key, epoch, kind, number)


def _is_used(memory: Memory, command: QueueSeal) -> bool:
    """Return True if a queue that is not sealed cannot arrive, or cannot be gone."""
    key = _key(command)
    has_arrived = memory.opened.get(key) == command.epoch
    if memory.sealed_queue(*key) is not None:
        return True
    if command.kind is SealKind.ARRIVING and has_arrived:
        return True
    bindings = (*key, command.now)
    return command.kind is SealKind.GONE and bool(
        fetch(memory.db, LIVE_SUBSCRIPTION, bindings)
    )


def _freeze(memory: Memory, key: QueueKey) -> Steps[None]:
    while fetch(memory.db, PARK, (*key, STEP)):
        yield None


def _drop(memory: Memory, name: QueueKey) -> Steps[None]:
    """Leave what is stored under a name to the sweeper."""
    row = memory.sealed_queue(*name)
    if row is not None:
        delete_queue(memory, *name, row)
    yield from delete_all(memory, *name)
    while fetch(memory.db, NOTICES_DROP, (*name, STEP)):
        yield None


# -- opening ----------------------------------------------------------------------


@reads(QueueOpen)
async def open_queue(engine: Engine, command: QueueOpen) -> bool:
    """Return without a transaction if the queue is not sealed."""
    if _key(command) not in engine.memory.seals.committed:
        return True
    return await engine.writer.submit(_open_queue, command)


def _open_queue(memory: Memory, command: QueueOpen) -> Steps[bool]:
    """Remove the seal, and put what is stored into service or drop it."""
    key = _key(command)
    seal = memory.seals.get(key)
    if seal is None:
        return True
    if seal.epoch > command.epoch:
        return False
    name = stored_name(key, seal)
    is_left = seal.kind is SealKind.LEAVING and seal.epoch > command.since
    has_arrived = seal.kind is SealKind.ARRIVING and seal.epoch == command.since
    if is_left or has_arrived:
        yield from _put_into_service(memory, name, key)
    elif seal.epoch >= command.since:
        return False
    else:
        yield from _drop(memory, name)
    memory.db.execute(SEAL_DELETE, key)
    memory.seals.pending[key] = None
    memory.opened.pending[key] = seal.epoch
    memory.listeners.pop(key, None)
    memory.has_due = True
    # Those who wait for a queue that has left continue at its new place.
    memory.freed.add(QueueKey(*key))
    return True


def _put_into_service(memory: Memory, name: QueueKey, key: QueueKey) -> Steps[None]:
    """Give what is stored under a name the queue's name, and let it be due."""
    row = memory.sealed_queue(*name)
    if row is not None and name != key:
        rename_queue(memory, name, key, row)
    last = 0
    while rows := fetch(memory.db, UNPARK, (*name, *key, last, STEP)):
        last = max(seq for (seq,) in rows)
        memory.use(name.space, subscriptions=-len(rows))
        memory.use(key.space, subscriptions=len(rows))
        yield None
    while name != key and fetch(memory.db, NOTICES_NAME, (*name, *key, STEP)):
        yield None
    memory.unseen[key] = None


# -- the seals --------------------------------------------------------------------


@reads(SealList)
async def list_seals(engine: Engine, command: SealList) -> list[Seal]:
    """Walk over an index."""
    bindings = (*(command.marker or ("", "")), command.limit)
    return msgspec.convert(fetch(engine.reader, SEAL_LIST, bindings), list[Seal])


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
