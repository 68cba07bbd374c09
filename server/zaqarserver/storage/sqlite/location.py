"""Where the store is: its URI, its file, and who may open it."""

from __future__ import annotations

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


class FileLock:
    """Keeps a second server from the same store.

    A lock of the operating system on a file beside the store: it ends with the
    process, however that ends. The file itself stays.

    Args:
        path: The store's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            StoreRefused: Another server has it.
            Unavailable: The file cannot be made.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"cannot open {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            os.close(file)
            raise StoreRefused(
                f"{self._path.with_suffix('')} is in use by another server"
                f" (process {holder or 'unknown'}); one server can use it at a time"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def prepare_file(path: Path) -> Path:
    """Make the directory (0700) and the file (0600) unless they exist.

    Returns:
        The path without symbolic links, so that one file has one lock.

    Raises:
        StoreRefused: It is a file of another kind; SQLite would overwrite a
            short one.
        Unavailable: The file cannot be made or read.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
