"""How messages are read: by id, and walking over a backlog.

A walk goes through the rows of some states in their order. One statement looks at a
bounded number of rows, so that a long run of expired ones blocks nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from zaqarserver.storage.records import Message
from zaqarserver.storage.sqlite.connection import Row, fetch
from zaqarserver.storage.sqlite.ids import ById, decode_seq, encode_id

#: How many rows one statement looks at (well below a millisecond).
STEP = 1000

STATES = FREE, DELAYED, CLAIMED = 0, 1, 2

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
MESSAGE_PLACE = ById(
    "SELECT seq, secret FROM message WHERE {number} = ? AND backlog = ?"
)
MESSAGE_BEFORE = """
    SELECT seq FROM message WHERE backlog = ? AND alias <= ?
     ORDER BY alias DESC LIMIT 1
"""


def read_message(row: Row, now: float) -> Message:
    """Make a message of a row of ``MESSAGE_COLUMNS``."""
    _, secret, body, ttl, created, claims, checksum = row[:7]
    claim_number, claim_secret, number = row[9:12]
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
    )


def _walk(states: Iterable[int], newest_first: bool) -> str:
    """Return the rows of some states, merged in order, at most ?7 of them."""
    order = "DESC" if newest_first else "ASC"
    beyond = "<" if newest_first else ">"
    # The legs are merged lazily, each straight from its index range. Delayed
    # rows start at a place of their own: see Memory.floor.
    legs = " UNION ALL ".join(
        f"SELECT seq, expires, client FROM message"  # noqa: S608 - constants only
        f" WHERE backlog = ?1 AND state = {state}"
        f" AND seq {beyond} {'?3' if state == DELAYED else '?2'}"
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


#: What a step of a walk gives: rows, and where to go on, ``None`` at its end.
Step = tuple[list[Row], int | None]


class Walk:
    """A way through the messages of a backlog, some states of it.

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
            The rows, and where to go on, ``None`` if they are as many as asked
            for or nothing is left.
        """
        bindings = (backlog, *after, now, exclude_client, limit, max(STEP, limit))
        rows = fetch(db, self._scan, bindings)
        if len(rows) >= limit:
            return rows, None
        end = fetch(db, self._end, bindings)
        return rows, end[0][0] if end else None


WALK_FREE = Walk(FREE)
WALK_FREE_DELAYED = Walk(FREE, DELAYED)
WALK_FREE_CLAIMED = Walk(FREE, CLAIMED)
WALK_ALL = Walk(*STATES)
WALK_OLDEST = Walk(*STATES, columns=EDGE_COLUMNS)
WALK_NEWEST = Walk(*STATES, columns=EDGE_COLUMNS, newest_first=True)


def choose_walk(*, claimed: bool, delayed: bool) -> Walk:
    """Return the walk for a list."""
    if claimed:
        return WALK_ALL if delayed else WALK_FREE_CLAIMED
    return WALK_FREE_DELAYED if delayed else WALK_FREE


def position_of(db: apsw.Connection, backlog: int, marker: str) -> int | None:
    """Return where a walk goes on after a marker, ``None`` if that is malformed.

    The message may be gone: then it is where it would be.
    """
    number = decode_seq(marker)
    if number is None:
        return None
    found = MESSAGE_PLACE.find(db, marker, backlog)
    if found is not None:
        return int(found[0])
    # What came from another store may have lower numbers in its ids than in its rows.
    before = fetch(db, MESSAGE_BEFORE, (backlog, number))
    return max(number, before[0][0]) if before else number
