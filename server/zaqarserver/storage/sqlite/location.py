"""Where the store is: its URI, its file, and who may open it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import msgspec

from zaqarserver.errors import SettingsError, StoreRefused, Unavailable

_PREFIX = "sqlite://"
_HEADER = b"SQLite format 3\0"
_FORMS = "sqlite:///ABSOLUTE/PATH, sqlite://RELATIVE/PATH or sqlite://:memory:"


class Location(msgspec.Struct, frozen=True):
    """What a URI and the options say.

    Attributes:
        path: The file, absolute; ``None`` for a store in memory.
        synchronous: ``FULL`` or ``NORMAL``.
    """

    path: Path | None
    synchronous: str


def parse_location(uri: str, options: Mapping[str, str]) -> Location:
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
    return Location(_parse_path(uri), synchronous)


def _parse_path(uri: str) -> Path | None:
    rest = unquote(uri.removeprefix(_PREFIX))
    if not uri.startswith(_PREFIX) or not rest or "\0" in rest or rest.endswith("/"):
        raise SettingsError(f"{uri!r} names no SQLite store; use {_FORMS}")
    if rest == ":memory:":
        return None
    return Path(rest).absolute()


#: The main files that this process has open, by device and number. Opening one a
#: second time would, when closed, drop the locks of SQLite (POSIX has it so).
_open_here: set[tuple[int, int]] = set()


class FileLock:
    """Keeps a second server from the same store.

    A lock of the operating system on the main file itself, whatever its names; it ends
    with the process, however that ends. The file beside it tells who has it, and keeps
    out servers of earlier releases.

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
            note = self._take(self._path.with_name(self._path.name + ".lock"))
            main = self._take(self._path)
        except OSError as error:
            self.release()
            raise Unavailable(f"cannot lock {self._path}: {error.strerror}") from error
        except StoreRefused:
            self.release()
            raise
        self._identity = _identity(os.fstat(main))
        _open_here.add(self._identity)
        os.ftruncate(note, 0)
        with contextlib.suppress(OSError):  # a full disk is no reason not to start
            os.pwrite(note, f"{os.getpid()}\n".encode(), 0)
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
        """Give the lock back, if it is held."""
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
