"""Looks at the log before SQLite uses it: what SQLite leaves out is told.

SQLite reads the log up to the last transaction whose checksums are right and forgets
the rest without a word. That is right for what was being written when the machine went
down, and wrong for a bit that has flipped: all that was acknowledged behind it would be
gone. The headers of frames (sqlite.org/fileformat2.html, "the WAL file format") tell
the two apart: a run of the log has salts of its own, and each transaction was flushed
before the next one began, so only one can be incomplete.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

from zaqarserver.errors import StoreRefused
from zaqarserver.storage.sqlite.files import beside

_log = logging.getLogger(__name__)

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}


class Log(NamedTuple):
    """What the headers say.

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
        """Return where in the file so many frames end."""
        return _HEADER.size + frames * self.frame


def scan(main: Path) -> Log | None:
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
            return None  # room that was never used
        magic, _, page, _, *salts, first, second = _HEADER.unpack(head)
        order = _MAGIC.get(magic)
        if order is None or _checksum(head[:24], order) != (first, second):
            raise StoreRefused(
                f"the header of the log {path} is damaged: nothing in it can be read."
                f" Nothing was changed. {_way_out(path, 0)}"
            )
        log = _walk(file.fileno(), path, page, salts)
    if log.ends and not main.stat().st_size:
        raise StoreRefused(
            f"{main} is empty, but its log {path} holds {len(log.ends)} transactions:"
            " put the file back that belongs to it, or move the log away"
        )
    return log


def _walk(file: int, path: Path, page: int, salts: list[int]) -> Log:
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


def _way_out(path: Path, offset: int) -> str:
    return (
        "Restore a backup, or give up what is behind the damage: copy the log away,"
        f" then run: truncate -s {offset} {path}"
    )


def damage_of(log: Log, read: int, *, flushed: bool) -> str | None:
    """Return what is wrong with a log, if anything is; tell what is left out.

    Args:
        log: What the headers say.
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
            f" Nothing was changed. {_way_out(log.path, log.offset(read))}"
        )
    copy = log.path.with_name(log.path.name + ".lost")
    with log.path.open("rb") as source, copy.open("wb") as target:
        copy.chmod(0o600)
        source.seek(log.offset(read))
        shutil.copyfileobj(source, target)
    _log.error(
        "the log %s ends with %s that cannot be read (from byte %d on): left out, a "
        "copy is in %s. After a crash of the machine this is what was being written, "
        "which nobody was told of; otherwise the log is damaged",
        log.path,
        count,
        log.offset(read),
        copy,
    )
    return None
