"""A disk below SQLite that fails, or is slow, on demand."""

from __future__ import annotations

import time
from typing import Any, Literal

import apsw

Kind = Literal["write", "sync"]


class FaultyDisk(apsw.VFS):
    """Passes everything on to the real one, and fails once or from then on.

    It is the default of connections that are opened while it is registered.

    Attributes:
        below: The name of the real one.
        failed: How many writes or flushes failed since the last :meth:`fail`.
        flush_seconds: How long each flush takes at least.
    """

    def __init__(self) -> None:
        self.flush_seconds = 0.0
        self.failed = 0
        self._kind: Kind | None = None
        self._left = 0
        self._lasting = False
        self.below = apsw.vfs_names()[0]
        super().__init__("faulty", self.below, makedefault=True)

    def fail(self, kind: Kind, after: int = 0, *, lasting: bool = False) -> None:
        """Make a write or flush fail.

        Args:
            kind: Which.
            after: How many of them still succeed.
            lasting: Whether nothing is written nor flushed any more from then on.
        """
        self.failed, self._kind, self._left = 0, kind, after
        self._lasting = lasting

    def mend(self) -> None:
        """Fail no more."""
        self._kind = None

    def pass_by(self, kind: Kind) -> None:
        """Fail, if it is time.

        Raises:
            apsw.IOError: It is.
        """
        dead = self._lasting and self.failed > 0 and self._kind is not None
        if kind != self._kind and not dead:
            return
        self._left -= 1
        if self._left < 0:
            self.failed += 1
            if not self._lasting:
                self._kind = None
            raise _Failure(kind)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - theirs
        """Open a file."""
        return _File(self, name, flags)


class _Failure(apsw.IOError):
    def __init__(self, kind: Kind) -> None:
        super().__init__(f"the disk failed to {kind}")
        self.result = apsw.SQLITE_IOERR
        self.extendedresult = (
            apsw.SQLITE_IOERR_WRITE if kind == "write" else apsw.SQLITE_IOERR_FSYNC
        )


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(disk.below, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - theirs
        self._disk.pass_by("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - theirs
        self._disk.pass_by("sync")
        time.sleep(self._disk.flush_seconds)
        super().xSync(flags)
