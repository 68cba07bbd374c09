"""Statements on a connection of apsw, and what its errors mean."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import apsw

from zaqarserver.errors import StoreDamaged, Unavailable

_log = logging.getLogger(__name__)

Row = tuple[Any, ...]

_DAMAGE = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS}


def fetch(
    db: apsw.Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[Row]:
    """Run a statement to its end and return its rows."""
    return db.execute(statement, bindings).fetchall()


class Snapshot:
    """Several reads that see one moment, on a connection with no transaction.

    Where reads use the writer's own connection (a store in memory) no
    transaction is ever left open, so the same holds there.
    """

    __slots__ = ("_db",)

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *_error: object) -> None:
        if self._db.in_transaction:  # damage ends it
            self._db.execute("COMMIT")


def is_damage(error: BaseException) -> bool:
    """Return True if what was read is not what was written."""
    code = getattr(error, "extendedresult", None)
    return isinstance(error, apsw.CorruptError | apsw.NotADBError) or code in _DAMAGE


def is_full(error: BaseException) -> bool:
    """Return True if there was no room: the transaction's end is not in the log."""
    code = getattr(error, "extendedresult", None)
    return isinstance(error, apsw.FullError) or code == apsw.SQLITE_IOERR_WRITE


def is_store_failure(error: Exception) -> bool:
    """Return True if the disk or file fails, not the statement."""
    return (
        isinstance(error, apsw.Error)
        and not isinstance(
            error, apsw.TooBigError | apsw.ConstraintError | apsw.MismatchError
        )
        and not is_damage(error)  # only the page that the statement read
    )


def failure(error: apsw.Error) -> Unavailable:
    """Return the error of the contract for one of SQLite."""
    if is_damage(error):
        why = f"the store is damaged ({error}): run zaqarserver check"
        _log.error("%s", why)
        return StoreDamaged(why)
    return Unavailable(f"the store failed: {error}")
