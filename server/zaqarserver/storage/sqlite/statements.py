"""The SQL of the driver, one name a statement; the tables are in ``schema.sql``.

``scan_messages`` and ``scan_end`` are built because they exist once for each
set of states that can be asked for; everything else is a constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apsw

from zaqarserver.storage.sqlite.ids import decode_seq, same_id

Row = tuple[Any, ...]

_DAMAGE = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS}


def fetch(
    db: apsw.Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[Row]:
    """Run a statement to its end and return its rows."""
    return db.execute(statement, bindings).fetchall()


def is_damage(error: BaseException) -> bool:
    """Tell that what was read is not what was written."""
    code = getattr(error, "extendedresult", None)
    return isinstance(error, apsw.CorruptError | apsw.NotADBError) or code in _DAMAGE


STATES = FREE, DELAYED, CLAIMED = 0, 1, 2


class ById:
    """The two statements that find a row by what its id says.

    A row that came from another store has a number of its own here: what its id
    says is its alias.

    Args:
        statement: With ``{number}`` for the column; the first binding is the number
            and the second column of the result the random part of the id.
    """

    def __init__(self, statement: str) -> None:
        self._statements = [
            statement.format(number=column) for column in ("seq", "alias")
        ]

    def find(self, db: apsw.Connection, id_: str, *bindings: Any) -> Row | None:
        """Return the row of an id, ``None`` if there is none or it is malformed."""
        number = decode_seq(id_)
        if number is None:
            return None
        for statement in self._statements:
            for row in db.execute(statement, (number, *bindings)).fetchall():
                if same_id(id_, number, int(row[1])):  # type: ignore[arg-type]
                    return row
        return None


# -- the store --------------------------------------------------------------

STORE_RESERVED = "SELECT reserved FROM store"
STORE_RESERVE = "UPDATE store SET reserved = ?"
STORE_PULSE = "UPDATE store SET pulse = pulse + 1"

# -- queues -----------------------------------------------------------------

QUEUE_FIND = (
    "SELECT backlog, revision, metadata FROM queue WHERE project = ? AND name = ?"
)
QUEUE_INSERT = (
    "INSERT INTO queue (project, name, backlog, revision, metadata)"
    " VALUES (?, ?, ?, ?, ?)"
)
QUEUE_UPDATE = (
    "UPDATE queue SET backlog = ?3, revision = ?4, metadata = ?5"
    " WHERE project = ?1 AND name = ?2"
)
QUEUE_DELETE = "DELETE FROM queue WHERE project = ? AND name = ?"
QUEUE_LIST = """
    SELECT name, CASE WHEN instr(name, ?3) THEN metadata END, revision
      FROM queue
     WHERE project = ?1 AND name > ?2
     ORDER BY name
     LIMIT ?4
"""

# -- backlogs ---------------------------------------------------------------

BACKLOG_INSERT = "INSERT INTO backlog (project, due) VALUES (?, NULL) RETURNING id"
BACKLOG_BURY = "UPDATE backlog SET dead = 1 WHERE id = ? RETURNING messages, bytes"
BACKLOG_HAND_OVER = (
    "UPDATE backlog SET project = ? WHERE id = ? RETURNING messages, bytes"
)
BACKLOG_DELETE = "DELETE FROM backlog WHERE id = ?"
BACKLOG_COUNT = """
    UPDATE backlog SET messages = messages + ?, claimed = claimed + ?,
                       bytes = bytes + ?
     WHERE id = ?
"""
BACKLOG_VOLUME = "SELECT messages, claimed FROM backlog WHERE id = ?"
BACKLOG_VOLUMES = "SELECT total(messages), total(claimed) FROM backlog WHERE dead = 0"
BACKLOG_DUE = "SELECT due FROM backlog WHERE id = ?"
BACKLOG_SET_DUE = "UPDATE backlog SET due = ? WHERE id = ?"
BACKLOG_NEXT_DUE = (
    "SELECT id, dead, project FROM backlog WHERE due <= ? ORDER BY due LIMIT 1"
)
BACKLOG_FIND_DUE = """
    SELECT (SELECT min(expires) FROM message WHERE backlog = ?1),
           (SELECT min(expires) FROM claim WHERE backlog = ?1),
           (SELECT min(visible) FROM message WHERE backlog = ?1 AND state = 1)
"""

# -- messages ---------------------------------------------------------------

MESSAGE_INSERT = """
    INSERT INTO message (seq, backlog, state, claims, secret, created, expires,
                         visible, ttl, client, checksum, body)
    VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MESSAGE_COLUMNS = (
    "m.seq, m.secret, m.body, m.ttl, m.created, m.claims, m.checksum,"
    " m.state, m.expires, coalesce(c.alias, c.seq), c.secret,"
    " coalesce(m.alias, m.seq)"
)
EDGE_COLUMNS = "coalesce(m.alias, m.seq), m.secret, m.created"
MESSAGE_GET = ById(f"""
    SELECT {MESSAGE_COLUMNS}
      FROM message m LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?3
     WHERE m.{{number}} = ?1 AND m.backlog = ?2 AND m.expires > ?3
""")  # noqa: S608 - constants only
MESSAGE_HOLDER = ById("""
    SELECT m.seq, m.secret, length(m.body), m.claim, coalesce(c.alias, c.seq), c.secret
      FROM message m LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?3
     WHERE m.{number} = ?1 AND m.backlog = ?2 AND m.expires > ?3
""")
MESSAGE_PLACE = ById(
    "SELECT seq, secret FROM message WHERE {number} = ? AND backlog = ?"
)
MESSAGE_BEFORE = """
    SELECT seq FROM message WHERE backlog = ? AND alias <= ?
     ORDER BY alias DESC LIMIT 1
"""
MESSAGE_DELETE = "DELETE FROM message WHERE seq = ?"
MESSAGE_CLAIM = (
    "UPDATE message SET state = 2, claim = ?, claims = claims + 1 WHERE seq = ?"
)
MESSAGE_CLAIM_EXTEND = """
    UPDATE message SET state = 2, claim = ?, claims = claims + 1,
                       ttl = ?, expires = ?
     WHERE seq = ?
"""
MESSAGE_MOVE = """
    UPDATE message SET backlog = ?2, state = 0, claim = NULL, claims = 0,
                       visible = NULL, ttl = ?3, expires = ?4
     WHERE seq = ?1
"""
MESSAGE_SHOW = """
    UPDATE message SET state = 0, visible = NULL
     WHERE seq IN (SELECT seq FROM message
                    WHERE backlog = ? AND state = 1 AND visible <= ?
                    ORDER BY visible LIMIT ?)
    RETURNING seq
"""
MESSAGE_EXPIRED = """
    SELECT seq, length(body) FROM message
     WHERE backlog = ? AND expires <= ? ORDER BY expires LIMIT ?
"""
MESSAGE_ANY = "SELECT seq, length(body) FROM message WHERE backlog = ? LIMIT ?"
MESSAGE_COUNT_EXPIRED = """
    SELECT count(*), max(expires) FROM
        (SELECT expires FROM message
          WHERE backlog = ?1 AND expires > ?2 AND expires <= ?3
          ORDER BY expires LIMIT ?4)
"""
MESSAGE_COUNT_BETWEEN = """
    SELECT count(*) FROM message
     WHERE backlog = ? AND expires > ? AND expires <= ?
"""

# -- claims -----------------------------------------------------------------

CLAIM_INSERT = """
    INSERT INTO claim (seq, backlog, secret, ttl, grace, created, expires)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
CLAIM_FIND = ById("""
    SELECT seq, secret, ttl, grace, created FROM claim
     WHERE {number} = ?1 AND backlog = ?2 AND expires > ?3
""")
CLAIM_RENEW = """
    UPDATE claim SET ttl = ?2, grace = ?3, created = ?4, expires = ?5 WHERE seq = ?1
"""
CLAIM_EXTEND = """
    UPDATE message SET ttl = ?3, expires = ?4 WHERE claim = ?1 AND expires < ?2
"""
CLAIM_MESSAGES = f"""
    SELECT {MESSAGE_COLUMNS}
      FROM message m JOIN claim c ON c.seq = m.claim
     WHERE m.claim = ? AND m.expires > ?
     ORDER BY m.seq
"""  # noqa: S608 - constants only
CLAIM_RELEASE = """
    UPDATE message SET claim = NULL, state = (visible IS NOT NULL)
     WHERE claim = ?
    RETURNING seq, visible
"""
CLAIM_HOLDS = "SELECT 1 FROM message WHERE claim = ? LIMIT 1"
CLAIM_DELETE = "DELETE FROM claim WHERE seq = ?"
CLAIM_DUE = """
    SELECT seq FROM claim WHERE backlog = ? AND expires <= ? ORDER BY expires LIMIT ?
"""
CLAIM_ANY = "SELECT seq FROM claim WHERE backlog = ? LIMIT ?"


# -- walking over a queue ---------------------------------------------------


def _walk(states: Iterable[int], newest_first: bool) -> str:
    """Return the rows of some states, merged in order, at most ?7 of them."""
    order = "DESC" if newest_first else "ASC"
    beyond = "<" if newest_first else ">"
    # The legs are merged lazily, each straight from its index range. Delayed
    # rows start at a place of their own: see Ledger.floor.
    legs = " UNION ALL ".join(
        f"SELECT seq, expires, client FROM message"  # noqa: S608 - constants only
        f" WHERE backlog = ?1 AND state = {state}"
        f" AND seq {beyond} {'?3' if state == DELAYED else '?2'}"
        for state in sorted(states)
    )
    return f"{legs} ORDER BY seq {order} LIMIT ?7"


def scan_messages(
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


def scan_end(states: Iterable[int], *, newest_first: bool = False) -> str:
    """Return the statement that tells where :func:`scan_messages` stopped.

    Same bindings; the row is the last one looked at, missing at the end.
    """
    return f"""
        SELECT seq FROM ({_walk(states, newest_first)}) LIMIT 1 OFFSET ?7 - 1
    """  # noqa: S608 - constants only
