"""Ids of messages and claims: ordered and unguessable, without revealing others.

An id is 30 lower-case hexadecimal digits: 14 of a sequence number and 16 of
random bits. The sequence number is the primary key; the random part is compared
in constant time, so that a number alone opens nothing.

The sequence is one for the whole store, and it is a clock: the microsecond of
acceptance, or one more than the last number if that is later. So

* the ids of a queue sort as text in acceptance order, and a message that is
  moved to a dead letter queue keeps a number that is unique and sorts there by
  its age;
* a number reveals when a message was posted, which its reader knows anyway, and not how
  many messages other projects have posted in between, as a plain counter would.

If the clock is set back, the numbers rise one by one until the clock has caught up;
they never fall.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Any

import apsw

from zaqarserver.storage.records import is_id
from zaqarserver.storage.sqlite.database import Row, fetch

_PACK = struct.Struct(">Qq").pack
_POOL = 512
_UNPACK = struct.Struct(f"={_POOL}q").unpack
_TICKS_PER_SECOND = 1_000_000

#: How far ahead numbers are reserved in the file: about one write a second.
RESERVED_TICKS = _TICKS_PER_SECOND


def encode_id(seq: int, secret: int) -> str:
    """Return the id of a row: its number and its 64 random bits."""
    return _PACK(seq, secret).hex()[2:]


def decode_seq(text: str) -> int | None:
    """Return the sequence number that an id begins with, ``None`` if malformed."""
    if not is_id(text):
        return None
    return int(text[:14], 16)


def decode_secret(text: str) -> int:
    """Return the random bits of an id as a row has them: 64, signed."""
    bits = int(text[14:], 16)
    return bits - 2**64 if bits >= 2**63 else bits


def same_id(text: str, seq: int, secret: int) -> bool:
    """Compare an id from outside with a row, in constant time."""
    return hmac.compare_digest(text, encode_id(seq, secret))


class Sequence:
    """Assigns sequence numbers and random bits.

    Attributes:
        last: The last assigned number.
        reserved: The number in the file: after a restart all numbers are above it.
    """

    def __init__(self, reserved: int) -> None:
        self.last = reserved
        self.reserved = reserved
        self._secrets: list[int] = []

    def take(self, now: float) -> tuple[int, int]:
        """Return the next number and fresh random bits (64, signed)."""
        seq = int(now * _TICKS_PER_SECOND)
        if seq <= self.last:
            seq = self.last + 1
        self.last = seq
        if not self._secrets:
            self._secrets.extend(_UNPACK(os.urandom(8 * _POOL)))
        return seq, self._secrets.pop()

    def secret(self) -> int:
        """Return 63 random bits, never negative."""
        return int.from_bytes(os.urandom(8), "big") >> 1


class ById:
    """The two statements that find a row by its id.

    A row that came from another store has another number here: the number in its id is
    its alias.

    Args:
        statement: With ``{number}`` for the column; the first binding is the number
            and the second column of the result the random part of the id. A ``+``
            before ``expires`` keeps SQLite from walking over all unexpired rows
            instead.
    """

    def __init__(self, statement: str) -> None:
        self._statements = [
            statement.format(number=column) for column in ("seq", "alias")
        ]

    def find(self, db: apsw.Connection, id_: str, *bindings: Any) -> Row | None:
        """Return the row of an id, ``None`` if it is unknown or malformed."""
        number = decode_seq(id_)
        if number is None:
            return None
        for statement in self._statements:
            for row in fetch(db, statement, (number, *bindings)):
                if same_id(id_, number, int(row[1])):
                    return row
        return None


class OrderedRows(ById):
    """Finds rows of a table by their ids, and where a page of them begins.

    Args:
        table: The table.
        within: A condition, as for one queue; its values are the bindings.
    """

    def __init__(self, table: str, within: str) -> None:
        super().__init__(
            f"SELECT seq, secret FROM {table} WHERE {{number}} = ? AND {within}"  # noqa: S608 - constants only
        )
        self._taken = f"SELECT 1 FROM {table} WHERE seq = ?"  # noqa: S608 - constants only
        self._before = f"""
            SELECT seq FROM {table} WHERE {within} AND alias <= ?
             ORDER BY alias DESC, seq DESC LIMIT 1
        """  # noqa: S608 - constants only

    def is_taken(self, db: apsw.Connection, seq: int) -> bool:
        """Return True if the table has a row of this number."""
        return bool(fetch(db, self._taken, (seq,)))

    def position(
        self, db: apsw.Connection, marker: str | None, *bindings: Any
    ) -> int | None:
        """Return the row after which a page begins, ``None`` for a malformed marker.

        If the row of the marker is gone, the page begins where it would be.
        """
        if marker is None:
            return 0
        number = decode_seq(marker)
        if number is None:
            return None
        found = self.find(db, marker, *bindings)
        if found is not None:
            return int(found[0])
        # What came from another store may have lower numbers in its ids than in its
        # rows.
        before = fetch(db, self._before, (*bindings, number))
        return max(number, before[0][0]) if before else number
