"""What is done to grants inside a transaction, and how they are read."""

from __future__ import annotations

import apsw
import msgspec

from zaqarserver.storage.accounts import Grant
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import Row, fetch

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
# One that has ended, and was not swept, makes room for one of the same id.
INSERT = f"""
    INSERT OR REPLACE INTO signed_url (project, queue, {COLUMNS})
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""  # noqa: S608 - constants only
REVOKE = """
    UPDATE signed_url SET revoked = 1
     WHERE project = ? AND queue = ? AND id = ? AND expires > ?
    RETURNING 1
"""
DEAD = "SELECT 1 FROM signed_url WHERE expires <= ? LIMIT 1"
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


@grows
def add(
    ledger: Ledger, project: str, queue: str, grant: Grant, most: int, now: float
) -> Grant | None:
    """Put a grant on record unless it is, or there are too many."""
    rows = fetch(ledger.db, FIND, (project, queue, grant.id, now))
    if rows:
        return _read(rows[0])
    if fetch(ledger.db, COUNT, (project, queue, now, most))[0][0] >= most:
        return None
    ledger.revoked.discard((project, queue, grant.id))
    paths, methods = (
        msgspec.json.encode(list(texts)).decode()
        for texts in (grant.paths, grant.methods)
    )
    ledger.db.execute(
        INSERT,
        (project, queue, grant.id, paths, methods, grant.created, grant.expires),
    )
    return msgspec.structs.replace(grant, revoked=False)


def list_grants(
    db: apsw.Connection,
    project: str,
    queue: str,
    marker: str | None,
    limit: int,
    now: float,
) -> list[Grant]:
    """Read a page."""
    rows = fetch(db, LIST, (project, queue, marker or "", now, limit))
    return [_read(row) for row in rows]


def revoke(ledger: Ledger, project: str, queue: str, grant_id: str, now: float) -> bool:
    """Revoke a grant, if it is on record."""
    if not fetch(ledger.db, REVOKE, (project, queue, grant_id, now)):
        return False
    ledger.revoked.add((project, queue, grant_id))
    return True


def any_dead(db: apsw.Connection, now: float) -> bool:
    """Tell whether there is something to sweep."""
    return bool(fetch(db, DEAD, (now,)))


def sweep(ledger: Ledger, now: float, room: int) -> int:
    """Remove grants that have ended; return how many."""
    gone = fetch(ledger.db, SWEEP, (now, room))
    for project, queue, id_ in gone:
        ledger.revoked.discard((project, queue, id_))
    return len(gone)
