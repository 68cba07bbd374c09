"""Questions to several servers, where the answer of most of them counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Hashable, Iterable
from typing import Any, TypeVar

A = TypeVar("A", bound=Hashable)


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
