"""The files of a store: their paths, their lock, and space reserved for them.

A store must be able to shrink when its disk is full, but shrinking needs space, too:
every change is written to the log first, and then copied to the main file. So both
reserve space. The log is made :attr:`Files.log_room` bytes long when the store is
opened, and begins again within that length whenever it was copied. The main file is
always at least as long as what the log will write to it, and writes that grow must
leave some of its pages unused for those that do not. While the store is closed, and
does not have a log, a file beside it reserves the log's space.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import apsw
import msgspec

from zaqarserver.errors import SettingsError, StoreRefused, Unavailable
from zaqarserver.storage.sqlite.database import fetch

_log = logging.getLogger(__name__)

PAGE = 4096

#: Bytes that the log reserves at most; on a small file system a sixteenth of its size.
LOG_ROOM = 4 * 1024 * 1024

#: Pages in the log (4 KiB each) from which on they are copied to the file.
LOG_PAGES = 2_000

#: Pages in the log from which on the writer takes part, between two batches:
#: under constant load the whole log is copied, and begins again, only then.
LOG_LIMIT = 16_000

#: Pages in the log from which on the writer even waits for a checkpoint under
#: way: a slow disk then slows down posts, instead of filling up.
LOG_MAXIMUM = 2 * LOG_LIMIT

_PREFIX = "sqlite://"
_HEADER = b"SQLite format 3\0"
_FORMS = "sqlite:///ABSOLUTE/PATH, sqlite://RELATIVE/PATH or sqlite://:memory:"


class SQLiteLocation(msgspec.Struct, frozen=True):
    """The settings in a URI and the options.

    Attributes:
        path: The file, absolute; ``None`` for a store in memory.
        synchronous: ``FULL`` or ``NORMAL``.
    """

    path: Path | None
    synchronous: str


def parse_location(uri: str, options: Mapping[str, str]) -> SQLiteLocation:
    """Read the URI and the options.

    Args:
        uri: One of the forms named above; ``%20`` and the like are decoded.
        options: ``synchronous``: ``full`` (default) waits for the disk with
            each commit; ``normal`` leaves the last moments to the operating
            system, which loses them only together with the machine.

    Raises:
        SettingsError: The URI or an option is not usable.
    """
    unknown = sorted(set(options) - {"synchronous"})
    if unknown:
        raise SettingsError(
            f"the sqlite store has no option {unknown[0]!r}; it has: synchronous"
        )
    synchronous = options.get("synchronous", "full").upper()
    if synchronous not in {"FULL", "NORMAL"}:
        raise SettingsError(
            f"synchronous is {options['synchronous']!r}; it can be full or normal"
        )
    return SQLiteLocation(_parse_path(uri), synchronous)


def _parse_path(uri: str) -> Path | None:
    rest = unquote(uri.removeprefix(_PREFIX))
    if not uri.startswith(_PREFIX) or not rest or "\0" in rest or rest.endswith("/"):
        raise SettingsError(f"{uri!r} names no SQLite store; use {_FORMS}")
    if rest == ":memory:":
        return None
    return Path(rest).absolute()


#: The main files that this process has open, by device and number. Opening one a
#: second time would, when closed, drop the locks of SQLite (POSIX defines that).
_open_here: set[tuple[int, int]] = set()


class FileLock:
    """Prevents a second server from opening the same store.

    It is a lock of the operating system on the main file itself, by whatever path; it
    ends with the process, however that ends. The file beside it names the process, and
    keeps out servers of earlier releases.

    Args:
        path: The store's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[int] = []
        self._identity: tuple[int, int] | None = None

    def take(self) -> int:
        """Take the lock.

        Returns:
            A descriptor of the main file, open until :meth:`release`.

        Raises:
            StoreRefused: Another server has it.
            Unavailable: The file cannot be opened.
        """
        try:
            beside_it = self._take(beside(self._path, ".lock"))
            main = self._take(self._path)
        except OSError as error:
            self.release()
            raise Unavailable(f"cannot lock {self._path}: {error.strerror}") from error
        except StoreRefused:
            self.release()
            raise
        self._identity = _identity(os.fstat(main))
        _open_here.add(self._identity)
        os.ftruncate(beside_it, 0)
        with contextlib.suppress(OSError):  # a server must also start with a full disk
            os.pwrite(beside_it, f"{os.getpid()}\n".encode(), 0)
        return main

    def _take(self, path: Path) -> int:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._files.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = b"" if path == self._path else os.pread(file, 20, 0)
            raise _in_use(self._path, holder.decode("ascii", "replace")) from error
        return file

    def release(self) -> None:
        """Release the lock, if it was taken."""
        _open_here.discard(self._identity or (0, 0))
        self._identity = None
        while self._files:
            os.close(self._files.pop())


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _in_use(path: Path, holder: str) -> StoreRefused:
    return StoreRefused(
        f"{path} is in use by another server (process {holder.strip() or 'unknown'});"
        " one server can use it at a time"
    )


def prepare_file(path: Path) -> Path:
    """Make the directory (0700) and the file (0600) unless they exist.

    Returns:
        The path without symbolic links, so that one file has one lock.

    Raises:
        StoreRefused: This process has it open, or it is a file of another kind;
            SQLite would overwrite a short one.
        Unavailable: The file cannot be made or read.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and _identity(path.stat()) in _open_here:
            raise _in_use(path, str(os.getpid()))
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            header = os.pread(file, len(_HEADER), 0)
        finally:
            os.close(file)
        path = path.resolve(strict=True)
    except OSError as error:
        raise Unavailable(f"cannot open {path}: {error.strerror}") from error
    if header not in {b"", _HEADER}:
        raise StoreRefused(f"{path} is damaged or not a SQLite file; move it away")
    return path


def beside(path: Path, suffix: str) -> Path:
    """Return the path of a file that belongs to the store."""
    return path.with_name(path.name + suffix)


class Files:
    """Reserves space for the files, and checks them, while the store is open.

    Args:
        path: The main file.
        main: A descriptor of it, open as long as this is used.

    Attributes:
        log_room: Bytes that are reserved for the log.
    """

    def __init__(self, path: Path, main: int) -> None:
        self._path = path
        self._log_path = beside(path, "-wal")
        self._reserve = beside(path, "-reserve")
        self._main = main
        self._identities: dict[str, tuple[int, int]] = {}
        disk = os.fstatvfs(main)
        share = disk.f_blocks * disk.f_frsize // 16 // PAGE * PAGE
        self.log_room = min(LOG_ROOM, share)

    # -- space ----------------------------------------------------------------

    def begin(self) -> None:
        """Release the space that was reserved while the store was closed."""
        self._reserve.unlink(missing_ok=True)

    def end(self) -> None:
        """Reserve space for the next log, as far as the disk has any."""
        if self._path.exists():
            self._lengthen(self._reserve, os.O_CREAT)

    def watch(self) -> None:
        """Lengthen the log that was made, and record the identity of both files."""
        self._lengthen(self._log_path)
        for path in (self._path, self._log_path):
            found = path.stat()
            self._identities[str(path)] = found.st_dev, found.st_ino

    def _lengthen(self, path: Path, flags: int = 0) -> None:
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
            try:
                os.posix_fallocate(file, 0, self.log_room)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("%s: cannot reserve space: %s", path, error.strerror)

    def require(self, db: apsw.Connection, growing: bool) -> None:
        """Make sure that the open transaction can be copied to the main file.

        Args:
            db: The connection of the transaction.
            growing: Whether it must leave the reserve for writes that free space.

        Raises:
            apsw.FullError: The disk is full.
        """
        size = os.fstat(self._main).st_size // PAGE
        needed: int = fetch(db, "PRAGMA page_count")[0][0]
        spare = self.log_room // PAGE // 4
        if size >= needed + spare:
            return
        if growing:
            unused: int = fetch(db, "PRAGMA freelist_count")[0][0]
            needed += max(0, spare - unused)
        if size >= needed:
            return
        try:
            os.posix_fallocate(self._main, 0, (needed + spare) * PAGE)
        except OSError:
            try:
                os.posix_fallocate(self._main, 0, needed * PAGE)
            except OSError as error:
                raise apsw.FullError(f"cannot grow: {error.strerror}") from error

    def keep_room(self, db: apsw.Connection) -> None:
        """Reserve again the space of the main file that copying the log has cut off."""
        try:
            self.require(db, growing=True)
        except apsw.Error as error:
            _log.debug("cannot reserve space: %s", error)

    # -- identity ---------------------------------------------------------------

    def check(self) -> None:
        """Return if the files are still those that were opened.

        Raises:
            Unavailable: One was removed or replaced; what is written now would be
                gone when the server ends.
        """
        for path, identity in self._identities.items():
            try:
                found = os.stat(path)  # noqa: PTH116 - a fifth of the time, for each commit
            except OSError as error:
                raise Unavailable(f"{path} is gone: {error.strerror}") from error
            if (found.st_dev, found.st_ino) != identity:
                raise Unavailable(f"{path} was replaced while the server has it open")


def copy_log(db: apsw.Connection, files: Files) -> bool:
    """Copy what can be copied without waiting for a reader.

    Another checkpoint under way is normal: it does the same work. Other errors
    are logged only: the data is safe in the log, and a commit that cannot be made
    durable reports its own error.

    Returns:
        False if another checkpoint is under way.
    """
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except (apsw.BusyError, apsw.LockedError):
        return False
    except apsw.Error as error:
        _log.warning("checkpoint failed: %s", error)
    files.keep_room(db)
    return True


class Checkpointer(threading.Thread):
    """Copies the log to the file whenever :meth:`wake` is called.

    Args:
        db: Its own connection; closed at the end.
        files: The store's files.
    """

    def __init__(self, db: apsw.Connection, files: Files) -> None:
        super().__init__(name="sqlite-checkpointer", daemon=True)
        self._db = db
        self._files = files
        self._wake = threading.Event()
        self._working = threading.Lock()
        self._ending = False

    def wake(self) -> None:
        """Start a copy: the log has grown."""
        self._wake.set()

    def wait(self) -> None:
        """Wait until no checkpoint is under way."""
        with self._working:
            return

    def finish(self) -> None:
        """End the thread and wait for it."""
        self._ending = True
        self._wake.set()
        self.join()

    def run(self) -> None:
        """Work until :meth:`finish`."""
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._ending:
                break
            with self._working:
                copy_log(self._db, self._files)
        self._db.close()
