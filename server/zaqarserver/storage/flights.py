"""Work that many wait for and is done once; questions where most answers count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

from zaqarserver import deadline

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
A = TypeVar("A", bound=Hashable)


class Flights(Generic[K, T]):
    """Tasks by key: whoever wants the same while it is under way joins.

    A task goes on when those who wait for it give up; none of their limits binds it.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        """Begin, unless it is under way."""
        self._task(key, work)

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for what is under way, or begin it."""
        return await asyncio.shield(self._task(key, work))

    def _task(
        self, key: K, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T]:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.get_running_loop().create_task(
                work(), context=deadline.unlimited()
            )
            task.add_done_callback(lambda task: self._land(key, task))
        return task

    def _land(self, key: K, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled():
            task.exception()  # those who still wait have it

    def close(self) -> None:
        """End all that is under way."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._tasks.clear()


async def agreed(
    questions: Iterable[Coroutine[Any, Any, A | None]], seconds: float
) -> A | None:
    """Ask at once; return the first answer that more than half of those asked give.

    If there is none when all have answered or the time is over, return the most
    frequent one; ``None`` if nobody said anything.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    votes: Counter[A] = Counter()
    try:
        async with asyncio.timeout(seconds):
            for coming in asyncio.as_completed(tasks):
                answer = await coming
                if answer is None:
                    continue
                votes[answer] += 1
                if 2 * votes[answer] > len(tasks):
                    return answer
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
    return max(votes, key=votes.__getitem__, default=None)
