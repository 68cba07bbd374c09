"""Group commit: many writes, one transaction, one disk flush.

Writes run on the event loop's thread inside an open transaction; only the ``COMMIT``,
which waits for the disk, runs in a thread unless the disk is quick (``committing``)::

    submit > waiting > _begin > _execute > _commit > COMMIT > _committed
                ^                                                 |
                +------ the next batch: what came meanwhile ------+

A batch does not wait for a timer: a lone write is committed at once, and under load the
speed of the disk decides how large a batch grows. (A writer thread that also executes
the statements competes with the loop for the interpreter: more than ten times the
latency at 64 connections in our measurements.) A long batch is executed in slices, so
that the loop serves other requests in between.

When the disk is full, writes that do not grow are tried once more after the log was
copied and can begin again, so that consumers can always free space. Writes that grow
are refused for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from types import GeneratorType
from typing import Any, Final, TypeVar, TypeVarTuple, overload

import apsw
import msgspec

from zaqarserver.errors import (
    OutcomeUnknown,
    StoreDamaged,
    Unavailable,
    ZaqarServerError,
)
from zaqarserver.storage.sqlite.committing import Committer
from zaqarserver.storage.sqlite.database import failure, is_full, is_store_failure
from zaqarserver.storage.sqlite.files import Files
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.subscriptions import Post, ignore

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: A write of several steps yields this to continue in another transaction, after the
#: writes that wait; what it has done so far is committed and must be consistent.
POSTPONE: Final = True

#: A write of several steps. It yields ``None`` where the loop may serve other requests:
#: no other write runs in between. Or it yields :data:`POSTPONE`.
Steps = Generator[bool | None, None, T]

#: Seconds that a batch may hold the loop at a time.
SLICE = 0.003

#: Seconds for which writes that grow are not tried after the disk was full, and how
#: many writes a batch has then: the log has space for those.
SHORT_SECONDS = 1.0
SHORT_BATCH = 16

#: Seconds to wait for a program that has locked the store, and between attempts.
BUSY_SECONDS = 5.0
BUSY_PAUSE = 0.02

_OVERWRITE = "BEGIN IMMEDIATE; UPDATE store SET pulse = pulse + 1; COMMIT"


OnCommit = Callable[[list[Post], bool, set[QueueKey]], None]


class _Job(msgspec.Struct, eq=False):
    """A write that waits for its commit.

    Attributes:
        function: Takes the memory, reads and checks first, then writes, and raises
            only while it has written nothing. A generator function does so in
            :data:`Steps`.
        args: What it takes after the memory.
        grows: Whether it makes the store larger.
        tried: Whether it has failed once because the disk was full.
        started: Whether it must end in this transaction.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    future: asyncio.Future[Any]
    grows: bool
    tried: bool = False
    steps: Generator[bool | None, None, Any] | None = None
    started: bool = False
    result: Any = None
    error: BaseException | None = None

    def reset(self) -> None:
        """Begin again: what was done was rolled back."""
        self.steps = self.result = self.error = None
        self.started = False

    def step(self, memory: Memory) -> bool:
        """Run the next step; return True if it was the last."""
        if self.steps is None:
            result = self.function(memory, *self.args)
            if not isinstance(result, GeneratorType):
                self.result = result
                return True
            self.steps = result
        try:
            self.started = next(self.steps) is not POSTPONE
        except StopIteration as stop:
            self.result = stop.value
            return True
        return False

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def finish(self) -> None:
        if self.error is not None:
            self.fail(self.error)
        elif not self.future.done():
            self.future.set_result(self.result)


class GroupCommit:
    """Runs writes on the writer's connection and commits them together.

    Args:
        memory: The writer's memory and connection.
        committer: Runs the commits; ``None`` if they cost nothing (a store in memory):
            then batches are not sliced.
        between: Called in its thread between two batches while nothing else
            uses the connection, if :attr:`wants_between` is set: it copies the log.
        files: The files, ``None`` for a store in memory.
        on_commit: Called after each commit with what it posted to volatile
            subscriptions, whether it made something due for delivery, and the queues
            of which it freed messages.
    """

    def __init__(
        self,
        memory: Memory,
        committer: Committer | None,
        between: Callable[[], object],
        files: Files | None = None,
        on_commit: OnCommit = ignore,
    ) -> None:
        self.wants_between = False
        self.damage: str | None = None
        self._loop = asyncio.get_running_loop()
        self._memory = memory
        self._db = memory.db
        self._committer = committer
        self._between = between
        self._files = files
        self._on_commit = on_commit
        self._short_until = 0.0
        self._short_of = ""
        self._busy_since = 0.0
        self._waiting: deque[_Job] = deque()
        self._executed: list[_Job] = []
        self._changes = 0
        self._busy = False

    @overload
    def submit(
        self,
        function: Callable[[Memory, *Ts], Steps[T]],
        *args: *Ts,
        grows: bool = False,
    ) -> asyncio.Future[T]: ...

    @overload
    def submit(
        self,
        function: Callable[[Memory, *Ts], T],
        *args: *Ts,
        grows: bool = False,
    ) -> asyncio.Future[T]: ...

    def submit(
        self, function: Callable[[Memory, *Ts], Any], *args: *Ts, grows: bool = False
    ) -> asyncio.Future[Any]:
        """Queue a write; the future is done when it is committed.

        The future fails with what the function raised, or with ``Unavailable`` if the
        transaction could not be committed, or with ``OutcomeUnknown`` if it may
        reappear after a crash. Cancelling it before the function has run means that it
        never runs.

        The arguments are described at :class:`_Job`.
        """
        job = _Job(function, args, self._loop.create_future(), grows)
        self._waiting.append(job)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._begin)
        return job.future

    async def drain(self) -> None:
        """Wait until everything that was submitted is committed."""
        while self._busy:
            with contextlib.suppress(ZaqarServerError):
                await self.submit(ignore)

    # -- one batch, step by step --------------------------------------------

    def _begin(self) -> None:
        if not self._waiting:
            self._busy = False
            return
        if self.wants_between and self._committer is not None:
            self.wants_between = False
            self._committer.run(self._between, lambda _error: self._begin())
            return
        batch = self._choose()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            self._wait(batch, error)
            return
        except apsw.Error as error:
            self._give_up(batch, error)
            return
        self._busy_since = 0.0
        self._changes = self._db.total_changes()
        self._execute(batch)

    def _choose(self) -> deque[_Job]:
        """Choose the next batch; if the disk is full, a few writes that do not grow."""
        batch, self._waiting = self._waiting, deque()
        if time.monotonic() >= self._short_until:
            return batch
        for job in batch:
            if job.grows:
                job.fail(Unavailable(self._short_of))
        rest = [job for job in batch if not job.grows]
        self._waiting.extend(rest[SHORT_BATCH:])
        return deque(rest[:SHORT_BATCH])

    def _wait(self, batch: deque[_Job], error: apsw.BusyError) -> None:
        """Schedule another attempt: another program has locked the store."""
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        if now - self._busy_since > BUSY_SECONDS:
            self._busy_since = 0.0
            self._give_up(batch, error)
            return
        self._waiting.extendleft(reversed(batch))
        self._loop.call_later(BUSY_PAUSE, self._begin)

    def _execute(self, batch: deque[_Job]) -> None:
        end = time.monotonic() + SLICE
        while batch:
            job = batch[0]
            if not job.started and job.future.cancelled():
                batch.popleft()
                continue
            try:
                finished = job.step(self._memory)
            except ZaqarServerError as error:
                job.error = error
                finished = True
            except Exception as error:  # noqa: BLE001 - handed to the caller's future
                self._abandon(batch, error)
                return
            if finished:
                self._executed.append(batch.popleft())
            elif not job.started:
                self._waiting.append(batch.popleft())
            if batch and self._committer is not None and time.monotonic() > end:
                self._loop.call_soon(self._execute, batch)
                return
        self._commit()

    def _commit(self) -> None:
        try:
            self._memory.flush()
            unchanged = self._db.total_changes() == self._changes
            if self._files is not None and not unchanged:
                self._files.check()
                self._files.require(self._db, any(job.grows for job in self._executed))
            if unchanged or self._committer is None:
                self._db.execute("COMMIT")
        except (apsw.Error, Unavailable) as error:
            self._give_up(self._executed, error)
            return
        if unchanged or self._committer is None:
            self._committed(None)
        else:
            self._committer.commit(self._db, self._committed)

    def _committed(self, error: BaseException | None) -> None:
        if error is not None:
            self._overwrite(error)
            return
        self._memory.commit()
        executed, self._executed = self._executed, []
        for job in executed:
            job.finish()
        memory = self._memory
        if memory.posts or memory.has_due or memory.freed:
            self._on_commit(*memory.take_posts(), memory.take_freed())
        if self._waiting:  # not at once: a write may have been postponed again
            self._loop.call_soon(self._begin)
        else:
            self._begin()

    # -- failures ------------------------------------------------------------

    def _overwrite(self, error: BaseException) -> None:
        """Overwrite what a failed commit has left in the log.

        If all of it was written and only the flush failed, SQLite would read it as
        committed after a crash. Once another change has overwritten it, it is certain
        that nothing was done; if that change cannot be written, the outcome is unknown.
        """
        self._roll_back()
        no_room = is_full(error)

        def overwritten(failure: BaseException | None) -> None:
            unknown = failure is not None and not no_room
            failed = OutcomeUnknown(f"the store failed: {error}") if unknown else error
            # The rest of it must not look like damage: begin the log again.
            self.wants_between = failure is None or self.wants_between
            self._give_up(self._executed, failed)

        if no_room or self._committer is None:
            overwritten(None)
        else:
            self._committer.run(self._db.execute, overwritten, _OVERWRITE)

    def _abandon(self, rest: deque[_Job], error: Exception) -> None:
        """Undo the batch because of its first unfinished write.

        If the store failed, all writes fail. Otherwise only that write failed (a value
        too big for the store, a defect), and the others run again, which is safe
        because they were rolled back.
        """
        if is_store_failure(error):
            self._give_up([*self._executed, *rest], error)
            return
        failed = rest.popleft()
        others = [*self._executed, *rest]
        for job in others:
            job.reset()
        self._waiting.extendleft(reversed(others))
        self._give_up([failed], error)

    def _give_up(self, jobs: Iterable[_Job], error: BaseException) -> None:
        failed = list(jobs)
        self._executed = []
        self._roll_back()
        full = is_full(error)
        if isinstance(error, apsw.Error):
            cause, error = error, failure(error)
            error.__cause__ = cause
        if isinstance(error, StoreDamaged):
            self.damage = str(error)
        if full:
            failed = self._make_room(failed, str(error))
        for job in failed:
            job.fail(error)
        # Not at once: it would fail again in a tight loop.
        self._loop.call_soon(self._begin)

    def _make_room(self, jobs: list[_Job], reason: str) -> list[_Job]:
        """Copy the log; then try writes that do not grow once more.

        Returns:
            The writes that fail.
        """
        self._short_until = time.monotonic() + SHORT_SECONDS
        self._short_of = reason
        self.wants_between = True
        kept = [job for job in jobs if not (job.grows or job.tried)]
        for job in kept:
            job.reset()
            job.tried = True
        self._waiting.extendleft(reversed(kept))
        return [job for job in jobs if job not in kept]

    def _roll_back(self) -> None:
        self._memory.roll_back()
        if self._db.in_transaction:
            # If even that fails, the callers still get their errors; the next batch
            # cannot begin then, and fails with the store's reason.
            with contextlib.suppress(apsw.Error):
                self._db.execute("ROLLBACK")
