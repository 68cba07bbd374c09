"""The notifier's time: a clock that can also call back, so that tests drive both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

# A clock that is set must not leave a timer asleep for long.
_LONGEST = 60.0


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Call it off; nothing happens if it was made already."""


class Clock(Protocol):
    """Tells the time, seconds since the epoch."""

    def now(self) -> float:
        """Return the time."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop at ``when``, or some time before it.

        Who is called must look at the clock: a long wait ends early, so that a
        change of the system's time does no harm.
        """


class SystemClock:
    """The time of the system and the timers of the running loop."""

    def now(self) -> float:
        """Return the time."""
        return time.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back at ``when``, at the latest in a minute."""
        seconds = min(max(0.0, when - self.now()), _LONGEST)
        return asyncio.get_running_loop().call_later(seconds, callback)
