"""The database: statements, the meaning of SQLite's errors, library, schema."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import apsw
import msgspec

from zaqarserver.errors import StoreDamaged, StoreRefused, Unavailable

_log = logging.getLogger(__name__)

Row = tuple[Any, ...]

_DAMAGE = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_CORRUPTFS}

#: The version after all steps, kept in ``PRAGMA user_version``.
VERSION = 9

#: Kept in ``PRAGMA application_id``: distinguishes our files from other programs'.
APPLICATION_ID = 0x5A617172  # "Zaqr"

#: The SQL that turns a file of a version into the next, by the older version.
STEPS: Mapping[int, str] = {
    version: resources.files(__package__).joinpath(name).read_text()
    for version, name in (
        (1, "migrate_1_2.sql"),
        (2, "migrate_2_3.sql"),
        (3, "migrate_3_4.sql"),
        (4, "migrate_4_5.sql"),
        (5, "migrate_5_6.sql"),
        (6, "migrate_6_7.sql"),
        (7, "migrate_7_8.sql"),
        (8, "migrate_8_9.sql"),
    )
}

#: Ends what belonged to the process that had the file open: volatile subscriptions, and
#: the leases of deliveries that it had taken.
END_OF_LAST_RUN = """
    DELETE FROM subscription WHERE volatile = 1;
    UPDATE subscription SET due = iif(parked IS NULL, 0, NULL),
                            parked = iif(parked IS NULL, NULL, 0), leased = 0
     WHERE leased = 1;
"""

#: Releases before these can damage a file in WAL mode when a checkpoint and a
#: commit meet (sqlite.org/wal.html, "the WAL reset bug"): the first sound
#: release, and the sound ones of older series.
_SOUND = (3, 51, 3)
_SOUND_SERIES = {(3, 50): 7, (3, 44): 6}


def fetch(
    db: apsw.Connection, statement: str, bindings: Sequence[Any] = ()
) -> list[Row]:
    """Run a statement to its end and return its rows."""
    return db.execute(statement, bindings).fetchall()


class Snapshot:
    """Several reads of one moment, on a connection without a transaction.

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
    """Return True if SQLite read other data than was written."""
    code = getattr(error, "extendedresult", None)
    return isinstance(error, apsw.CorruptError | apsw.NotADBError) or code in _DAMAGE


def is_full(error: BaseException) -> bool:
    """Return True if the disk was full: the transaction's end is not in the log."""
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


# -- the schema -------------------------------------------------------------


def check_library(version: str) -> None:
    """Refuse a SQLite library that can damage the store.

    Args:
        version: Such as ``3.51.3``.

    Raises:
        StoreRefused: It is too old.
    """
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    sound = _SOUND_SERIES.get((major, minor))
    if (major, minor, patch) < _SOUND and (sound is None or patch < sound):
        raise StoreRefused(
            f"SQLite {version} can damage the store; 3.51.3 or newer is needed"
            " (upgrade the apsw package)"
        )


def prepare_schema(
    db: apsw.Connection,
    name: str,
    *,
    steps: Mapping[int, str] = STEPS,
    version: int = VERSION,
) -> None:
    """Create the tables in an empty file, or bring older ones up to date.

    Args:
        db: A connection that may write.
        name: The name of the store in errors.
        steps: See :data:`STEPS`.
        version: The version to reach.

    Raises:
        StoreRefused: The file is newer, damaged, or not ours.
        Unavailable: It cannot be read or written now.
    """
    try:
        with db:
            _migrate(db, name, steps, version)
    except apsw.SQLError as error:
        raise StoreRefused(f"{name} lacks tables it should have: {error}") from error
    except apsw.Error as error:
        if is_damage(error):
            raise StoreRefused(
                f"{name} is damaged or not a SQLite file: {error}; restore it from a"
                " backup or move it away"
            ) from error
        raise Unavailable(f"cannot use {name}: {error}") from error


def _migrate(
    db: apsw.Connection, name: str, steps: Mapping[int, str], version: int
) -> None:
    found = _pragma(db, "user_version")
    empty = not fetch(db, "SELECT count(*) FROM sqlite_schema")[0][0]
    if empty and found == 0:
        # A new file gets the same steps as an old one.
        db.execute(resources.files(__package__).joinpath("schema.sql").read_text())
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        found = 1
    elif _pragma(db, "application_id") != APPLICATION_ID:
        raise StoreRefused(f"{name} belongs to another program")
    if found > version:
        raise StoreRefused(
            f"{name} has schema version {found}, this server knows {version}:"
            " it was used by a newer server; upgrade this one"
        )
    db.create_scalar_function("metadata_of", _metadata_of, 1)
    while found < version:
        db.execute(steps[found])
        found += 1
        db.execute(f"PRAGMA user_version = {found}")
    fetch(db, "SELECT reserved FROM store")


def _metadata_of(*record: Any) -> str:
    """Return the metadata of a queue in a record of version 5, as JSON text."""
    return msgspec.json.encode(msgspec.msgpack.decode(record[0])["metadata"]).decode()


def _pragma(db: apsw.Connection, name: str) -> int:
    value: int = fetch(db, f"PRAGMA {name}")[0][0]
    return value
