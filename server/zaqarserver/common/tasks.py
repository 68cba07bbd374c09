"""Work on the event loop: single flight, threads, fair turns, growing waits."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterator
from typing import Any, Generic, TypeVar

from zaqarserver.common import deadline

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Tasks by key: a caller joins the running task of the same key.

    A task continues when its callers give up; their deadlines do not apply to it.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the running task of a key, or start one."""
        return await asyncio.shield(self.begin(key, work))

    def begin(
        self, key: K, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        """Return the running task of a key, or start one; callers must shield it."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(
                work(), context=deadline.unlimited()
            )
            task.add_done_callback(lambda task: self._end(key, task))
        return task

    def _end(self, key: K, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # retrieved, even if no caller waits any more

    def close(self) -> None:
        """Cancel all tasks."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._tasks.clear()


def in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Run blocking work in a thread that does not delay the end of the process.

    The interpreter waits at its exit for the threads of an executor.

    Args:
        work: What to run, with the context variables of the caller.
        name: The thread's name.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(set_it: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            set_it(outcome)

    def run() -> None:
        set_it: Callable[[Any], None] = future.set_result
        outcome: Any
        try:
            outcome = context.run(work)
        except Exception as error:  # noqa: BLE001 - raised where the future is awaited
            set_it, outcome = future.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, set_it, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Threads:
    """Runs blocking work in a bounded number of threads.

    Args:
        name: The threads' name.
        most: How many run at a time; other work waits in order.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return its result."""
        async with self._free:
            return await in_thread(work, self._name)


#: Seconds that long work may occupy the loop before other tasks run.
SLICE_SECONDS = 0.003


#: Seconds that :class:`HalfOfLoop` may occupy a turn of the loop, and more than half.
_SHORT_SLICE = 0.00015
_AHEAD_SECONDS = 0.002


class Turns:
    """Shares one time slice in each turn of the loop among all users of the object.

    However many users there are, they get the slice in turn, so that together they
    delay other tasks no longer than one of them.

    Attributes:
        between: Called between two requests of a long turn; must not raise.
    """

    def __init__(self) -> None:
        self.between: Callable[[], object] = int
        self._until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def pause(self) -> None:
        """Yield to other tasks if the slice is over; it is cheap, call it often."""
        if time.perf_counter() < self._until:
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._next)
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():  # the user may have been cancelled
            turn.set_result(None)
            self._until = time.perf_counter() + SLICE_SECONDS
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


class HalfOfLoop:
    """Keeps callbacks to half of the loop's time, and to short slices of each turn.

    So other work waits for them hardly longer than usual, and the threads of the
    process get the interpreter.
    """

    def __init__(self) -> None:
        self._paid = 0.0  # when the others will have had as much time as the callbacks
        self._ended = 0.0
        self._used = 0.0  # seconds of the slice
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def is_late(self) -> bool:
        """True if nothing ran for twice a slice, in a turn that others make long."""
        return time.perf_counter() > self._ended + 2 * _SHORT_SLICE

    def call(self, work: Callable[[], None], begun: float) -> None:
        """Call a function, now or as soon as others have had their time.

        Args:
            work: Must not raise.
            begun: When its callback began, by ``time.perf_counter``.
        """
        if begun > self._ended + _SHORT_SLICE:
            self._used = 0.0  # others had their turn
        if not self._waiting and self._may_run(begun):
            self._run(work, begun)
            return
        if not self._waiting:
            self._wait(begun)
        self._waiting.append(work)

    def _may_run(self, now: float) -> bool:
        return self._used < _SHORT_SLICE and self._paid < now + _AHEAD_SECONDS

    def _run(self, work: Callable[[], None], begun: float) -> None:
        work()
        self._ended = time.perf_counter()
        self._used += self._ended - begun
        self._paid = max(self._paid, begun) + 2 * (self._ended - begun)

    def _wait(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        if self._paid < now + _AHEAD_SECONDS:
            loop.call_soon(self._go_on)
        else:
            loop.call_later(self._paid - now, self._go_on)

    def _go_on(self) -> None:
        self._used, now = 0.0, time.perf_counter()
        while self._waiting and self._may_run(now):
            self._run(self._waiting.popleft(), now)
            now = self._ended
        if self._waiting:
            self._wait(now)


def doubling(first: float, longest: float = math.inf) -> Iterator[float]:
    """Yield waits without end: each is twice the one before, up to a bound.

    Args:
        first: The first wait, seconds.
        longest: The bound, seconds.
    """
    wait = first
    while True:
        yield wait
        wait = min(2 * wait, longest)
