"""Until when an answer has to be there.

A request has one limit for everything that it waits for, however many servers it asks
and however often it tries again. What it starts and leaves behind is not bound by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from contextvars import Context, ContextVar, copy_context

#: Seconds that the stores have for all that one request asks of them; with the rest
#: of the way an answer takes 5 seconds at most.
ANSWER_SECONDS = 4.0


class _Limit:
    """A limit in force.

    Attributes:
        ends: When it ends, on the clock of the event loop.
    """

    __slots__ = ("ends",)

    def __init__(self, ends: float) -> None:
        self.ends = ends


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit what is waited for inside, unless an earlier limit is in force already."""
    limit = _Limit(min(asyncio.get_running_loop().time() + seconds, ends()))
    token = _limit.set(limit)
    try:
        yield
    finally:
        limit.ends = math.inf  # tasks that were started inside may go on
        _limit.reset(token)


def ends() -> float:
    """Return when the limit ends, on the clock of the event loop; infinity for none."""
    limit = _limit.get()
    return math.inf if limit is None else limit.ends


def timeout() -> asyncio.Timeout:
    """Return the context manager that raises ``TimeoutError`` when the limit ends."""
    at = ends()
    return asyncio.timeout_at(None if at == math.inf else at)


def unlimited() -> Context:
    """Return the context for a task that others wait for too: no limit is in force."""
    context = copy_context()
    context.run(_limit.set, None)
    return context
