"""How messages are read: row by row, and walking over a backlog."""

from __future__ import annotations

import apsw

from zaqarserver.storage.base import Message
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.ids import decode_seq, encode_id
from zaqarserver.storage.sqlite.statements import Row

#: How many rows one statement looks at (well below a millisecond).
STEP = 1000


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


#: What a step of a walk gives: rows, and where to go on, ``None`` at its end.
Step = tuple[list[Row], int | None]


class Walk:
    """A way through the messages of a backlog, some states of it.

    Args:
        states: Which states, see :mod:`statements`.
        newest_first: Walk backwards.
        columns: What to read of each message.
    """

    def __init__(
        self,
        *states: int,
        newest_first: bool = False,
        columns: str = sql.MESSAGE_COLUMNS,
    ) -> None:
        self._scan = sql.scan_messages(
            states, newest_first=newest_first, columns=columns
        )
        self._end = sql.scan_end(states, newest_first=newest_first)

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
        rows = sql.fetch(db, self._scan, bindings)
        if len(rows) >= limit:
            return rows, None
        end = sql.fetch(db, self._end, bindings)
        return rows, end[0][0] if end else None


WALK_FREE = Walk(sql.FREE)
WALK_FREE_DELAYED = Walk(sql.FREE, sql.DELAYED)
WALK_FREE_CLAIMED = Walk(sql.FREE, sql.CLAIMED)
WALK_ALL = Walk(*sql.STATES)
WALK_OLDEST = Walk(*sql.STATES, columns=sql.EDGE_COLUMNS)
WALK_NEWEST = Walk(*sql.STATES, columns=sql.EDGE_COLUMNS, newest_first=True)


def choose_walk(*, claimed: bool, delayed: bool) -> Walk:
    """Return the walk for a list."""
    if claimed:
        return WALK_ALL if delayed else WALK_FREE_CLAIMED
    return WALK_FREE_DELAYED if delayed else WALK_FREE


def get_message(
    db: apsw.Connection, backlog: int, message_id: str, now: float
) -> Message | None:
    """Read a live message by its id."""
    row = sql.MESSAGE_GET.find(db, message_id, backlog, now)
    return None if row is None else read_message(row, now)


def position_of(db: apsw.Connection, backlog: int, marker: str) -> int | None:
    """Return where a walk goes on after a marker, ``None`` if that is malformed.

    The message may be gone: then it is where it would be.
    """
    number = decode_seq(marker)
    if number is None:
        return None
    found = sql.MESSAGE_PLACE.find(db, marker, backlog)
    if found is not None:
        return int(found[0])
    # What came from another store may have lower numbers in its ids than in its rows.
    before = sql.fetch(db, sql.MESSAGE_BEFORE, (backlog, number))
    return max(number, before[0][0]) if before else number
