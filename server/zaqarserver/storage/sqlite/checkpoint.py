"""Keeps the write-ahead log short, away from the event loop and the writer."""

from __future__ import annotations

import logging
import threading

import apsw

from zaqarserver.storage.sqlite.files import Files

_log = logging.getLogger(__name__)

#: Pages in the log (4 KiB each) from which on they are copied to the file.
LOG_PAGES = 2_000

#: Pages in the log from which on the writer takes part, between two batches:
#: under constant load only then the whole log is copied, and begins anew.
LOG_LIMIT = 16_000

#: Pages in the log from which on the writer even waits for a checkpoint under
#: way: a slow disk then slows down posts, instead of filling up.
LOG_MAXIMUM = 2 * LOG_LIMIT


def copy_log(db: apsw.Connection, files: Files) -> bool:
    """Copy what can be copied without waiting for anybody.

    Another checkpoint under way is normal: it does the same work. Other errors
    are logged only; the data is safe in the log, and a commit that cannot be
    made durable fails by itself.

    Returns:
        False if another checkpoint is under way.
    """
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except (apsw.BusyError, apsw.LockedError):
        return False
    except apsw.Error as error:
        _log.warning("checkpoint failed: %s", error)
    files.keep(db)
    return True


class Checkpointer(threading.Thread):
    """Copies the log to the file whenever it is told that there is enough.

    Args:
        db: A connection of its own; closed at the end.
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
        """Tell that the log has grown."""
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
