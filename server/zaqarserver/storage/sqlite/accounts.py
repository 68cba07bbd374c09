"""Grants of signed URLs, and the usage of projects."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
    Usage,
    UsageGet,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.memory import Memory

COLUMNS = "id, paths, methods, created, expires, revoked"
FIND = f"""
    SELECT {COLUMNS} FROM signed_url
     WHERE project = ? AND queue = ? AND id = ? AND expires > ?
"""  # noqa: S608 - constants only
COUNT = """
    SELECT count(*) FROM
        (SELECT 1 FROM signed_url
          WHERE project = ? AND queue = ? AND expires > ? LIMIT ?)
"""
LIST = f"""
    SELECT {COLUMNS} FROM signed_url
     WHERE project = ? AND queue = ? AND id > ? AND expires > ?
     ORDER BY id LIMIT ?
"""  # noqa: S608 - constants only
# An expired grant that is not swept yet is replaced by one with the same id.
INSERT = f"""
    INSERT OR REPLACE INTO signed_url (project, queue, {COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""  # noqa: S608 - constants only
REVOKE = """
    UPDATE signed_url SET revoked = 1
     WHERE project = ? AND queue = ? AND id = ? AND expires > ?
    RETURNING 1
"""
EXPIRED = "SELECT 1 FROM signed_url WHERE expires <= ? LIMIT 1"
SWEEP = """
    DELETE FROM signed_url
     WHERE number IN (SELECT number FROM signed_url
                       WHERE expires <= ? ORDER BY expires LIMIT ?)
    RETURNING project, queue, id
"""

_decode = msgspec.json.Decoder(list[str]).decode


def _read(row: Row) -> Grant:
    id_, paths, methods, created, expires, revoked = row
    return Grant(id_, _decode(paths), _decode(methods), created, expires, bool(revoked))


def _encode(texts: Sequence[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()


@writes(GrantAdd, grows=True)
def add(memory: Memory, command: GrantAdd) -> Grant | None:
    """Insert a row unless it exists, or there are too many."""
    space, queue, grant, now = command.space, command.queue, command.grant, command.now
    rows = fetch(memory.db, FIND, (space, queue, grant.id, now))
    if rows:
        return _read(rows[0])
    if fetch(memory.db, COUNT, (space, queue, now, command.most))[0][0] >= command.most:
        return None
    memory.revoked.pending[space, queue, grant.id] = None
    texts = (_encode(grant.paths), _encode(grant.methods))
    row = (space, queue, grant.id, *texts, grant.created, grant.expires)
    memory.db.execute(INSERT, row)
    return msgspec.structs.replace(grant, revoked=False)


@reads(GrantList)
async def list_grants(engine: Engine, command: GrantList) -> list[Grant]:
    """Walk over an index."""
    key = (command.space, command.queue)
    bindings = (*key, command.marker or "", command.now, command.limit)
    return [_read(row) for row in fetch(engine.reader, LIST, bindings)]


@writes(GrantRevoke)
def revoke(memory: Memory, command: GrantRevoke) -> bool:
    """Mark the row."""
    key = (command.space, command.queue, command.grant_id)
    if not fetch(memory.db, REVOKE, (*key, command.now)):
        return False
    memory.revoked.pending[key] = True
    return True


@reads(GrantCheck)
async def check(engine: Engine, command: GrantCheck) -> bool:
    """Read from memory."""
    key = (command.space, command.queue, command.grant_id)
    return key in engine.memory.revoked.committed


@reads(UsageGet)
async def usage(engine: Engine, command: UsageGet) -> Usage:
    """Read from memory."""
    return engine.memory.usage.committed.get(command.space) or Usage()


def expired_grant(db: apsw.Connection, now: float) -> bool:
    """Return True if there is a grant to sweep."""
    return bool(fetch(db, EXPIRED, (now,)))


def sweep_grants(memory: Memory, now: float, limit: int) -> int:
    """Remove grants that have expired; return how many."""
    gone = fetch(memory.db, SWEEP, (now, limit))
    for space, queue, id_ in gone:
        memory.revoked.pending[space, queue, id_] = None
    return len(gone)
