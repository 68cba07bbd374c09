"""The time limit of a request.

A request has one limit for all its waits, whatever the number of servers and retries.
Tasks that outlive the request are not bound by it.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextvars import Context, ContextVar, copy_context

#: Seconds that one request waits for the stores in total; an answer then takes at
#: most 5 seconds.
ANSWER_SECONDS = 4.0


class _Limit:
    """A time limit; in force inside ``with``.

    Attributes:
        ends: When it ends, on the clock of the event loop.
    """

    __slots__ = ("_before", "ends")

    def __init__(self, ends: float) -> None:
        self.ends = ends

    def __enter__(self) -> None:
        self._before = _limit.set(self)

    def __exit__(self, *_error: object) -> None:
        self.ends = math.inf  # tasks started inside may continue
        _limit.reset(self._before)


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def within(seconds: float) -> _Limit:
    """Limit the waits inside, unless an earlier limit applies already."""
    return _Limit(min(time.monotonic() + seconds, ends()))


def ends() -> float:
    """Return when the limit ends, on the clock of the event loop; infinity for none."""
    limit = _limit.get()
    return math.inf if limit is None else limit.ends


def timeout() -> asyncio.Timeout:
    """Return a context manager that raises ``TimeoutError`` when the limit ends."""
    at = ends()
    return asyncio.timeout_at(None if at == math.inf else at)


def unlimited() -> Context:
    """Return a context without limit, for a task that other requests share."""
    context = copy_context()
    context.run(_limit.set, None)
    return context
