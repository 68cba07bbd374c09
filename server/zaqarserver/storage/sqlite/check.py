"""Looks for damage in a store that no server has open; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

from zaqarserver.errors import SettingsError, StoreRefused
from zaqarserver.storage.sqlite import recovery
from zaqarserver.storage.sqlite.connection import fetch, is_damage
from zaqarserver.storage.sqlite.location import FileLock
from zaqarserver.storage.sqlite.pages import SUM, bad_pages

#: How many problems of one kind are told one by one.
_MOST = 20

_QUEUES = "SELECT project, name, backlog FROM queue"
_MESSAGES = "SELECT seq FROM message INDEXED BY message_state WHERE backlog = ?"
_MESSAGE = "SELECT * FROM message WHERE seq = ?"
_WRONG_COUNTERS = """
    SELECT b.project, coalesce(q.name, ''), b.messages, count(m.seq), b.claimed,
           total(m.state = 2), b.bytes, total(length(m.body))
      FROM backlog b LEFT JOIN message m ON m.backlog = b.id
                     LEFT JOIN queue q ON q.backlog = b.id
     WHERE b.dead = 0 GROUP BY b.id
    HAVING b.messages <> count(m.seq) OR b.claimed <> total(m.state = 2)
        OR b.bytes <> total(length(m.body))
"""


def find_damage(path: Path) -> Iterator[str]:
    """Tell what is wrong, a line each.

    Args:
        path: The main file.

    Raises:
        SettingsError: There is no such file.
        StoreRefused: A server has it open.
    """
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    lock = FileLock(path.resolve())
    lock.take()
    try:
        yield from _look(path.resolve())
    finally:
        lock.release()


def _look(path: Path) -> Iterator[str]:
    try:
        log = recovery.scan(path)
    except StoreRefused as error:  # SQLite must not see it
        yield str(error)
        return
    head = _head(path)
    pages = int.from_bytes(head[28:32])
    bad = []
    if head[20:21] == bytes([SUM]):
        bad = [number for number, _ in bad_pages(path) if number <= pages]
    db = _connect(path)
    try:
        if log is not None:
            db.execute("PRAGMA schema_version")  # has SQLite read the log
            read, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
            lost = [end for end in log.ends if end > read]
            if lost:
                yield (
                    f"the log {log.path}: {len(lost)} transactions behind byte "
                    f"{log.offset(read)} cannot be read"
                )
        yield from _pages(db, bad)
        found = [str(row[0]) for row in fetch(db, f"PRAGMA integrity_check({_MOST})")]
        yield from (line for line in found if line != "ok")
        if bad or found != ["ok"]:
            yield from _unreadable(path)
        else:
            yield from _counters(db)
    except apsw.Error as error:
        yield f"{path} cannot be read: {error}"
    finally:
        db.close()


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)


def _connect(path: Path, *, verify: bool = False) -> apsw.Connection:
    db = apsw.Connection(str(path), apsw.SQLITE_OPEN_READWRITE)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    if not verify:
        db.execute("PRAGMA checksum_verification = OFF")
    db.execute("PRAGMA query_only = ON")
    return db


def _pages(db: apsw.Connection, bad: list[int]) -> Iterator[str]:
    for number in bad[:_MOST]:
        try:
            names = fetch(db, "SELECT name FROM dbstat WHERE pageno = ?", (number,))
        except apsw.Error:
            names = []
        where = f", part of {names[0][0]}" if names else ""
        yield f"page {number} has a wrong checksum{where}"
    if len(bad) > _MOST:
        yield f"{len(bad) - _MOST} more pages have wrong checksums"


def _unreadable(path: Path) -> Iterator[str]:
    """Tell what cannot be read, queue by queue."""
    db = _connect(path, verify=True)
    try:
        for project, name, backlog in fetch(db, _QUEUES):
            try:
                numbers = fetch(db, _MESSAGES, (backlog,))
            except apsw.Error:
                yield f"queue {name} of project {project}: its list cannot be read"
                continue
            lost = sum(not _is_readable(db, number) for (number,) in numbers)
            if lost:
                yield (
                    f"queue {name} of project {project}: {lost} of {len(numbers)} "
                    "messages cannot be read"
                )
    except apsw.Error as error:
        yield f"the list of queues cannot be read: {error}"
    finally:
        db.close()


def _is_readable(db: apsw.Connection, number: int) -> bool:
    try:
        return bool(fetch(db, _MESSAGE, (number,)))
    except apsw.Error as error:
        if is_damage(error):
            return False
        raise


def _counters(db: apsw.Connection) -> Iterator[str]:
    for project, name, *numbers in fetch(db, _WRONG_COUNTERS)[:_MOST]:
        kept, found = numbers[::2], [int(number) for number in numbers[1::2]]
        yield (
            f"queue {name} of project {project}: counted {kept} messages, claimed, "
            f"bytes; there are {found}"
        )
