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
    """Tasks by key: a caller that wants the same while it is under way joins.

    A task goes on when its callers give up; none of their deadlines binds it.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for what is under way, or begin it."""
        return await asyncio.shield(self.begin(key, work))

    def begin(
        self, key: K, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        """Begin, unless it is under way; return the task, which callers must shield."""
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
            task.exception()  # retrieved, even if nothing waits any more

    def close(self) -> None:
        """Cancel all that is under way."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._tasks.clear()


def in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Run what blocks in a thread that does not delay the end of the process.

    The threads of an executor do: the interpreter waits for them at its exit.

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
    """Runs what blocks, in a bounded number of threads at a time.

    Args:
        name: The threads' name.
        most: How many run at once; the others wait in order.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread and return its result."""
        async with self._free:
            return await in_thread(work, self._name)


#: Seconds that long work may keep the loop before others get a turn.
SLICE_SECONDS = 0.003


class Turns:
    """Shares one slice of time in each turn of the loop among all users of the object.

    However many there are at once, they take it one after the other, so that together
    they hold up others for no longer than one of them.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def pause(self) -> None:
        """Let others run if the slice is over; call it often, it costs little."""
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
        if not turn.done():  # whoever waited may have been cancelled
            turn.set_result(None)
            self._until = time.perf_counter() + SLICE_SECONDS
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


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
