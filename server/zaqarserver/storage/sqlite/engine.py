"""The open store, and the table of the functions that execute commands on it.

A function is beside its SQL, and its decorator names the command that it executes. One
that ``reads`` takes the open store and is a coroutine function; one that ``writes``
takes the memory of the writer and runs in its transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from zaqarserver.errors import StoreRefused, Unavailable
from zaqarserver.storage.commands import Command, QueueCommand
from zaqarserver.storage.performing import CommandTable
from zaqarserver.storage.sqlite import damage
from zaqarserver.storage.sqlite.committing import Committer
from zaqarserver.storage.sqlite.database import (
    END_OF_LAST_RUN,
    check_library,
    is_damage,
    prepare_schema,
)
from zaqarserver.storage.sqlite.files import (
    LOG_LIMIT,
    LOG_MAXIMUM,
    LOG_PAGES,
    Checkpointer,
    FileLock,
    Files,
    SQLiteLocation,
    copy_log,
    prepare_file,
)
from zaqarserver.storage.sqlite.layers import QueueRow
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.writer import GroupCommit, OnCommit, Steps

R = TypeVar("R")
C_co = TypeVar("C_co", bound=Command[Any], covariant=True)


#: The functions by their commands.
PERFORMERS: CommandTable[Engine] = CommandTable()

#: Registers a coroutine function that executes a command on committed data; before or
#: after that it may submit writes to the writer.
reads = PERFORMERS.performs


class writes(Generic[C_co]):  # noqa: N801 - a decorator
    """Registers a function that executes a command in a transaction of the writer.

    A generator function executes it in
    :data:`~zaqarserver.storage.sqlite.writer.Steps`.

    Args:
        command: The command.
        grows: Whether it makes the store larger: such commands are refused first when
            the disk is full.
    """

    def __init__(self, command: type[C_co], *, grows: bool = False) -> None:
        self._command = command
        self._grows = grows

    def __call__(
        self: writes[Command[R]], function: Callable[[Memory, C_co], R | Steps[R]]
    ) -> Callable[[Memory, C_co], R | Steps[R]]:
        """Register the function and return it."""
        grows = self._grows

        def perform(engine: Engine, command: Any) -> Any:
            return engine.writer.submit(function, command, grows=grows)

        PERFORMERS[self._command] = perform
        return function


#: Page cache of the writer and of the reader, in KiB.
_CACHE = 32_768

#: Milliseconds to wait for another program that has locked the file, at the start.
_OPEN_MILLISECONDS = 5_000


class Engine:
    """An open store: opens everything, and closes it in the right order.

    Args:
        location: Where the store is.
        on_commit: See :class:`~zaqarserver.storage.sqlite.writer.GroupCommit`.

    Attributes:
        memory: The writer's memory.
        writer: Takes writes.
        reader: For reads: sees what is committed. In memory it is the writer's
            own connection, which never has a transaction open when a read runs.
        log_pages: The length of the log after the last commit, in pages.
    """

    def __init__(
        self,
        location: SQLiteLocation,
        on_commit: OnCommit,
    ) -> None:
        self._lock: FileLock | None = None
        self._files: Files | None = None
        self._checkpointer: Checkpointer | None = None
        self._committer: Committer | None = None
        self._connections: list[apsw.Connection] = []
        self.log_pages = 0
        self._copied_at = 0
        check_library(apsw.sqlite_lib_version())
        try:
            if location.path is None:
                db = self._open_memory()
            else:
                db = self._open_file(location.path, location.synchronous)
            self.memory = Memory(db)
        except apsw.Error as error:
            self.release()
            if is_damage(error):
                raise StoreRefused(
                    f"{location.path} is damaged ({error}): restore it from a backup or"
                    " move it away; zaqarserver check shows more"
                ) from error
            raise Unavailable(f"cannot open the store: {error}") from error
        except OSError as error:
            self.release()
            raise Unavailable(f"cannot open the store: {error}") from error
        except BaseException:
            self.release()
            raise
        self.writer = GroupCommit(
            self.memory, self._committer, self._copy_log, self._files, on_commit
        )

    def _open_memory(self) -> apsw.Connection:
        db = self._connect(":memory:")
        prepare_schema(db, "the store in memory")
        self.reader = db
        return db

    def _open_file(self, path: Path, synchronous: str) -> apsw.Connection:
        path = prepare_file(path)
        self._lock = FileLock(path)
        self._files = Files(path, self._lock.take())
        self._files.begin()
        stale = damage.look_at(path)
        log = damage.scan_log(path)
        db = self._connect(str(path))
        db.set_busy_timeout(_OPEN_MILLISECONDS)
        if log is not None:
            _read_log(db, log, flushed=synchronous == "FULL")
        damage.keep_sums(db, str(path), again=stale)
        prepare_schema(db, str(path))
        db.execute("PRAGMA journal_mode = WAL")
        # The log of a killed server is copied first, so that it can begin again.
        copy_log(db, self._files)
        self._files.watch()
        db.execute(END_OF_LAST_RUN)
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute(f"PRAGMA cache_size = -{_CACHE}")
        # A log that has begun again is shortened to the limit.
        db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT * 4096}")
        # Replaces SQLite's own hook, which would copy the log in a commit.
        db.set_wal_hook(self._log_grew)
        self.reader = self._connect(str(path), apsw.SQLITE_OPEN_READONLY)
        self.reader.execute(f"PRAGMA cache_size = -{_CACHE}")
        keeper = self._connect(str(path))
        keeper.execute(f"PRAGMA synchronous = {synchronous}")
        self._checkpointer = Checkpointer(keeper, self._files)
        self._checkpointer.start()
        db.set_busy_timeout(0)  # from here on the loop's thread writes, see GroupCommit
        self._committer = Committer()
        return db

    def _connect(
        self,
        name: str,
        flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
    ) -> apsw.Connection:
        db = apsw.Connection(name, flags)
        self._connections.append(db)
        # Otherwise SQLite plans a statement anew for each value that might decide
        # whether a partial index can be used. That takes several times as long as to
        # run it.
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        return db

    def _log_grew(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        """Record the length of the log; called in the thread of the commit."""
        self.log_pages = pages
        if pages < self._copied_at:
            self._copied_at = 0  # the log began again
        if pages - self._copied_at >= LOG_PAGES:
            if pages >= LOG_LIMIT:
                self.writer.wants_between = True
            elif self._checkpointer is not None:
                self._copied_at = pages
                self._checkpointer.wake()
        return apsw.SQLITE_OK

    def _copy_log(self) -> None:
        """Copy the log while nothing is added; called between two batches.

        While the checkpointer is still copying, the next batch tries again, and finally
        waits for it. If a long read prevents the copy, it tries again after some more
        growth.
        """
        if self.log_pages >= LOG_MAXIMUM and self._checkpointer is not None:
            self._checkpointer.wait()
        if self._files is not None and copy_log(self.memory.db, self._files):
            self._copied_at = self.log_pages

    def queue(self, command: QueueCommand[Any]) -> QueueRow | None:
        """Return the row of a queue as committed.

        Raises:
            QueueMoving: The store refuses it.
        """
        self.check_seal(command)
        return self.memory.committed_queue(self.reader, command.space, command.queue)

    def check_seal(self, command: QueueCommand[Any]) -> None:
        """Raise an error if the queue is sealed as committed.

        Raises:
            QueueMoving: The queue is sealed.
        """
        seals = self.memory.seals.committed
        if seals and (seal := seals.get((command.space, command.queue))):
            seal.refuse()

    def release(self) -> None:
        """Close everything; the last connection to close empties the log."""
        if self._checkpointer is not None:
            self._checkpointer.finish()
        if self._committer is not None:
            self._committer.finish()
        for db in reversed(self._connections):
            db.close()
        if self._files is not None:
            self._files.end()
        if self._lock is not None:
            self._lock.release()


def _read_log(db: apsw.Connection, log: damage.Log, *, flushed: bool) -> None:
    """Make SQLite read the log, and refuse it if that leaves out too much.

    Raises:
        StoreRefused: It is damaged; it stays as it is.
    """
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.execute("PRAGMA schema_version")
    read, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    found = damage.damage_of(log, read, flushed=flushed)
    if found is not None:
        raise StoreRefused(found)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
