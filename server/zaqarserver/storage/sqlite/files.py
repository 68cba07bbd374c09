"""The files of an open store: whether they are still there, and have room.

A store must be able to shrink when its disk is full, and shrinking takes room as
well: every change is written to the log first, and then copied to the main file. So
both keep room in advance. The log is made :attr:`Files.log_room` long when the store
is opened, and begins anew within that length whenever it was copied. The main file is
always as long as what the log is going to write to it, and what grows has to leave
some pages of it unused for what does not. While the store is closed, and has no log,
a file beside it keeps the log's room.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import apsw

from zaqarserver.errors import Unavailable
from zaqarserver.storage.sqlite.connection import fetch

F = TypeVar("F", bound=Callable[..., object])

_log = logging.getLogger(__name__)

PAGE = 4096

#: Bytes that the log keeps at most; on a small file system it is a sixteenth of that.
LOG_ROOM = 4 * 1024 * 1024


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to the store."""
    return path.with_name(path.name + suffix)


class Files:
    """Looks after the files while the store is open.

    Args:
        path: The main file.
        main: A descriptor of it, open as long as this is used.

    Attributes:
        log_room: Bytes that the log has at least.
    """

    def __init__(self, path: Path, main: int) -> None:
        self._path = path
        self._log_path = beside(path, "-wal")
        self._reserve = beside(path, "-reserve")
        self._main = main
        self._identities: dict[Path, tuple[int, int]] = {}
        disk = os.fstatvfs(main)
        share = disk.f_blocks * disk.f_frsize // 16 // PAGE * PAGE
        self.log_room = min(LOG_ROOM, share)

    # -- room -----------------------------------------------------------------

    def begin(self) -> None:
        """Give back what was kept while the store was closed."""
        self._reserve.unlink(missing_ok=True)

    def end(self) -> None:
        """Keep room for the next log, as far as there is any."""
        if self._path.exists():
            self._lengthen(self._reserve, os.O_CREAT)

    def watch(self) -> None:
        """Lengthen the log that was made, and remember which files these are."""
        self._lengthen(self._log_path)
        for path in (self._path, self._log_path):
            found = path.stat()
            self._identities[path] = found.st_dev, found.st_ino

    def _lengthen(self, path: Path, flags: int = 0) -> None:
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
            try:
                os.posix_fallocate(file, 0, self.log_room)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("%s gets no room in advance: %s", path, error.strerror)

    def require(self, db: apsw.Connection, growing: bool) -> None:
        """Make sure that the open transaction can be copied to the main file.

        Args:
            db: The connection of the transaction.
            growing: Whether it has to leave room for what makes room.

        Raises:
            apsw.FullError: There is no room.
        """
        pages: int = fetch(db, "PRAGMA page_count")[0][0]
        spare = self.log_room // PAGE // 4
        needed = pages
        if growing:
            unused: int = fetch(db, "PRAGMA freelist_count")[0][0]
            needed += max(0, spare - unused)
        if os.fstat(self._main).st_size >= needed * PAGE:
            return
        try:
            os.posix_fallocate(self._main, 0, (needed + spare) * PAGE)
        except OSError:
            try:
                os.posix_fallocate(self._main, 0, needed * PAGE)
            except OSError as error:
                raise apsw.FullError(f"cannot grow: {error.strerror}") from error

    def keep(self, db: apsw.Connection) -> None:
        """Give the main file its room again, which copying the log has cut off."""
        try:
            self.require(db, growing=True)
        except apsw.Error as error:
            _log.debug("no room in advance: %s", error)

    # -- presence ---------------------------------------------------------------

    def check(self) -> None:
        """Return if the files are still those that were opened.

        Raises:
            Unavailable: One was removed or replaced; what is written now would be
                gone when the server ends.
        """
        for path, identity in self._identities.items():
            try:
                found = path.stat()
            except OSError as error:
                raise Unavailable(f"{path} is gone: {error.strerror}") from error
            if (found.st_dev, found.st_ino) != identity:
                raise Unavailable(f"{path} was replaced while the server has it open")
