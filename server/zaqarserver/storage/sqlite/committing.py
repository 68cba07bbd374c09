"""Where commits wait for the disk: in a thread, or on the loop while they are quick.

A commit in the thread lets the loop go on, but to pass it there and back takes at least
0.1 ms of processor time, about as long as a quick disk needs for the commit. So commits
run on the loop as long as the disk is quick.

A disk is trusted once it has been quick several times. Each commit that holds the loop
for longer makes a *debt* of ten times as long, and each quick one pays off a little. So
a slow disk never holds the loop, one that becomes slow holds it once, and one that is
slow now and then for a small part of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import apsw

#: Seconds that a commit may hold the loop.
QUICK_SECONDS: Final = 0.0005

#: The debt at the start, and for each second that the loop was held for longer.
_FIRST_DEBT: Final = 0.01
_DEBT_FACTOR: Final = 10

#: Called on the loop with the error of the work, ``None`` if it was done.
Then = Callable[[BaseException | None], None]


class Committer:
    """Runs commits and other work that waits for the disk, one at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-commit")
        self._debt = _FIRST_DEBT

    def commit(self, db: apsw.Connection, then: Then) -> None:
        """Commit the open transaction."""
        if self._debt > 0:
            self.run(self._commit, then, db)
            return
        failed: BaseException | None = None
        try:
            self._commit(db, debt_factor=_DEBT_FACTOR)
        except apsw.Error as error:
            failed = error
        then(failed)

    def _commit(self, db: apsw.Connection, debt_factor: int = 0) -> None:
        start = time.perf_counter()
        try:
            db.execute("COMMIT")
        finally:
            took = time.perf_counter() - start
            owed = took * debt_factor if took > QUICK_SECONDS else -QUICK_SECONDS
            self._debt = max(0.0, self._debt + owed)

    def run(self, work: Callable[..., Any], then: Then, *args: Any) -> None:
        """Run other work, in the thread."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
        future.add_done_callback(lambda done: then(done.exception()))

    def finish(self) -> None:
        """End the thread, when nothing is under way."""
        self._thread.shutdown()
