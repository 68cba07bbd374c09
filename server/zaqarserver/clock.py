"""The server's time: one clock that never goes back and never jumps.

All that lasts (claims, delays, ttls, retries, leases, rates) is counted by
:meth:`Clock.now`. It begins at the system's time, or where the store's last server
was, and advances with the machine's steady clock, which no administrator and no NTP
sets. Towards the system's time it slews, by :data:`RATE` at most, like NTP itself. So
whatever happens to the system's clock, what is to last a minute lasts a minute.

What others read or write as a moment (signed URLs, tokens, ``created``, the
timestamp of a webhook) is the system's time, :meth:`Clock.wall`. Nothing else in the
server reads the system's clock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

#: How much faster or slower than the steady clock the server's time goes at most.
RATE: Final = 0.0005
#: Seconds in which a small difference to the system's time is made up for.
_CATCH_UP: Final = 60.0
#: A timer that runs longer is set anew meanwhile: the two clocks drift apart.
_LONGEST: Final = 60.0


def wall() -> float:
    """Return the system's time, which may jump."""
    return time.time()  # noqa: TID251 - the one place


def steady() -> float:
    """Return the seconds since the machine started, those of its sleep included."""
    return time.clock_gettime(_STEADY)


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Timer(Protocol):
    """A call to come."""

    def cancel(self) -> None:
        """Call it off; nothing happens if it was made already."""


class Clock:
    """Tells the time, in seconds since the epoch.

    Args:
        wall: The system's time, which may jump.
        steady: Seconds since any moment, which may not.
    """

    def __init__(
        self,
        wall: Callable[[], float] = wall,
        steady: Callable[[], float] = steady,
    ) -> None:
        self.wall = wall
        self.steady = steady
        # One tuple, so that threads see all of it or nothing: a moment of the steady
        # clock, the server's time then, and how fast it goes.
        self._line = (steady(), self.wall(), 1.0)

    def now(self) -> float:
        """Return the server's time."""
        since, then, rate = self._line
        return then + (self.steady() - since) * rate

    def ahead(self) -> float:
        """Return by how many seconds the system's time is ahead of the server's."""
        return self.wall() - self.now()

    def begin(self, moment: float) -> None:
        """Start at a moment, before anybody has asked for the time."""
        self._line = (self.steady(), moment, 1.0)

    def steer(self, reference: float, least: float = -math.inf) -> None:
        """Go towards a time from now on, a little faster or slower than real time.

        Args:
            reference: The time to be reached.
            least: What others who share the store have reached: the time goes on
                from there if it is later.
        """
        moment = self.steady()
        since, then, rate = self._line
        now = max(then + (moment - since) * rate, least)
        drift = (reference - now) / _CATCH_UP
        self._line = (moment, now, 1.0 + min(max(drift, -RATE), RATE))

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop at ``when``, or some time before it.

        Who is called must look at the clock: a long wait ends early.
        """
        seconds = min(max(0.0, when - self.now()), _LONGEST)
        return asyncio.get_running_loop().call_later(seconds, callback)
