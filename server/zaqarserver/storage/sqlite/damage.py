"""Finding damage: in the log, in the pages, and in a store that is closed.

**The log.** SQLite reads the log up to the last transaction with right checksums and
ignores the rest silently. That is right for a transaction that was being written when
the machine stopped, and wrong for a flipped bit: all acknowledged transactions after it
would be gone. The headers of frames (sqlite.org/fileformat2.html, "the WAL file
format") distinguish the two: each run of the log has its own salts, and each
transaction was flushed before the next one began, so only one can be incomplete.

**Pages.** SQLite's extension ``cksumvfs`` keeps a checksum in the last bytes of a page,
and verifies it whenever the page is read, so it covers everything: bodies, metadata,
claims, indexes. It is loaded with this module, for the whole process; files without
checksums are not touched by it.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import apsw
import apsw.sqlite_extra

from zaqarserver.errors import SettingsError, StoreRefused
from zaqarserver.storage.sqlite.database import APPLICATION_ID, fetch, is_damage
from zaqarserver.storage.sqlite.files import PAGE, FileLock, beside

_log = logging.getLogger(__name__)

#: Bytes of a page that hold its checksum.
SUM = 8

#: The first version of the schema whose files have checksums.
SINCE = 5

_memory = apsw.Connection(":memory:")
_is_available = apsw.sqlite_extra.has("cksumvfs")
if _is_available:
    apsw.sqlite_extra.load(_memory, "cksumvfs")

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}

#: How many problems of one kind are listed singly.
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


# -- the log ----------------------------------------------------------------


class Log(NamedTuple):
    """The content of the log's headers.

    Attributes:
        path: The log.
        frame: Bytes of a frame.
        last: The last frame of the present run, counted from 1.
        ends: The frames of it that end a transaction.
    """

    path: Path
    frame: int
    last: int
    ends: list[int]

    def offset(self, frames: int) -> int:
        """Return the offset in the file at which so many frames end."""
        return _HEADER.size + frames * self.frame


def scan_log(main: Path) -> Log | None:
    """Read the headers of the log of a store, ``None`` if there is nothing in it.

    Raises:
        StoreRefused: Its own header is damaged, or the main file that it belongs to
            is empty: SQLite would throw the log away.
    """
    path = beside(main, "-wal")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return None
        if not any(head) and not any(file.read(_FRAME.size)):
            return None  # reserved space that was never used
        magic, _, page, _, *salts, first, second = _HEADER.unpack(head)
        order = _MAGIC.get(magic)
        if order is None or _checksum(head[:24], order) != (first, second):
            raise StoreRefused(
                f"the header of the log {path} is damaged: nothing in it can be read."
                f" Nothing was changed. {_advice(path, 0)}"
            )
        log = _read_frames(file.fileno(), path, page, salts)
    if log.ends and not main.stat().st_size:
        raise StoreRefused(
            f"{main} is empty, but its log {path} holds {len(log.ends)} transactions:"
            " put the file back that belongs to it, or move the log away"
        )
    return log


def _read_frames(file: int, path: Path, page: int, salts: list[int]) -> Log:
    size = _FRAME.size + page
    last, ends = 0, []
    for number in range(1, (os.fstat(file).st_size - _HEADER.size) // size + 1):
        at = _HEADER.size + (number - 1) * size
        _, pages, one, other, *_ = _FRAME.unpack(os.pread(file, _FRAME.size, at))
        if one == salts[0] or other == salts[1]:  # a bit may have flipped in either
            last = number
            if pages:
                ends.append(number)
    return Log(path, size, last, ends)


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    first = second = 0
    for left, right in zip(words[::2], words[1::2], strict=True):
        first = first + left + second & 0xFFFFFFFF
        second = second + right + first & 0xFFFFFFFF
    return first, second


def _advice(path: Path, offset: int) -> str:
    return (
        "Restore a backup, or give up what is behind the damage: copy the log away,"
        f" then run: truncate -s {offset} {path}"
    )


def damage_of(log: Log, read: int, *, flushed: bool) -> str | None:
    """Return the damage of a log, or ``None``; report an incomplete transaction.

    Args:
        log: The content of its headers.
        read: The last frame that SQLite reads.
        flushed: Whether each transaction was flushed before the next one.
    """
    lost = [end for end in log.ends if end > read]
    if not lost:
        return None
    count = f"{len(lost)} transaction{'s' * (len(lost) > 1)}"
    if flushed and lost != [log.last]:
        return (
            f"the log {log.path} is damaged behind byte {log.offset(read)} (frame"
            f" {read + 1} of {log.last}): {count} behind it cannot be read."
            f" Nothing was changed. {_advice(log.path, log.offset(read))}"
        )
    copy = log.path.with_name(log.path.name + ".lost")
    with log.path.open("rb") as source, copy.open("wb") as target:
        copy.chmod(0o600)
        source.seek(log.offset(read))
        shutil.copyfileobj(source, target)
    _log.error(
        "the log %s ends with %s that cannot be read (from byte %d on): left out, a "
        "copy is in %s. After a crash of the machine this is what was being written, "
        "which was not acknowledged; otherwise the log is damaged",
        log.path,
        count,
        log.offset(read),
        copy,
    )
    return None


# -- pages ------------------------------------------------------------------


def bad_pages(path: Path) -> Iterator[tuple[int, bool]]:
    """Find the pages of a file that have wrong checksums.

    Yields:
        The number of the page, and True if it has a checksum at all.
    """
    with path.open("rb") as file:
        number = 0
        while len(page := file.read(PAGE)) == PAGE:
            number += 1
            if not fetch(_memory, "SELECT verify_checksum(?)", (page,))[0][0]:
                yield number, any(page[-SUM:])


def look_at(path: Path) -> bool:
    """Check the first page of a file before SQLite opens it.

    Returns:
        True if the checksums have to be made again: a copy by another program lacks
        them, or has a wrong one on the first page.

    Raises:
        StoreRefused: The page is damaged, or checksums cannot be kept.
    """
    if not _is_available:
        raise StoreRefused("the package apsw lacks cksumvfs: install one of its wheels")
    with path.open("rb") as file:
        head = file.read(PAGE)
    if len(head) < PAGE:
        return False
    if head[20] != SUM:
        if int.from_bytes(head[60:64]) >= SINCE:
            raise StoreRefused(
                f"{path} is damaged: according to its header it has no sums"
            )
        return False
    if fetch(_memory, "SELECT verify_checksum(?)", (head,))[0][0]:
        return False
    damaged = [number for number, summed in bad_pages(path) if summed and number > 1]
    if damaged:
        raise StoreRefused(
            f"{path} is damaged: the checksums of {len(damaged) + 1} pages are wrong."
            " Restore a backup; zaqarserver check shows what is in them"
        )
    return True


def keep_sums(db: apsw.Connection, name: str, *, again: bool) -> None:
    """Make each page contain its checksum.

    Args:
        db: A connection that may write.
        name: The name of the store in errors.
        again: Whether existing checksums are to be made again.

    Raises:
        StoreRefused: The file is damaged.
    """
    if not again and db.reserve_bytes() == SUM:
        return
    db.execute("PRAGMA checksum_verification = OFF")
    filled = fetch(db, "PRAGMA page_count")[0][0] > 0
    if filled and fetch(db, "PRAGMA application_id")[0][0] != APPLICATION_ID:
        return  # the caller refuses the file, and nothing of it changed
    if again:
        found = fetch(db, "PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise StoreRefused(f"{name} is damaged: {found}; restore a backup")
        _log.warning("%s was written by another program: its sums are made again", name)
    db.reserve_bytes(None, SUM)
    if filled:
        _log.info("%s is rewritten with a checksum on each page", name)
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("VACUUM")
    db.execute("PRAGMA checksum_verification = ON")


# -- checking a closed store ------------------------------------------------


def find_damage(path: Path) -> Iterator[str]:
    """Find the damage of a closed store; yield each problem as a line.

    Args:
        path: The main file.

    Raises:
        SettingsError: The file does not exist.
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
        log = scan_log(path)
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
            db.execute("PRAGMA schema_version")  # makes SQLite read the log
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
    """Find the messages that cannot be read, queue by queue."""
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
        counted, found = numbers[::2], [int(number) for number in numbers[1::2]]
        yield (
            f"queue {name} of project {project}: counted {counted} messages, claimed, "
            f"bytes; there are {found}"
        )
