"""The server's time: one clock that never goes back and never jumps.

All durations (claims, delays, ttls, retries, leases, rates) are measured with
:meth:`Clock.now`. It starts at the system's time, or at the time of the store's last
server, and advances with the machine's steady clock, which neither administrators nor
NTP set. It slews towards the system's time, by at most :data:`RATE`, like NTP itself.
So a minute lasts a minute, whatever happens to the system's clock.

Points in time that others read or write (signed URLs, tokens, ``created``, the
timestamp of a webhook) are in the system's time, :meth:`Clock.wall`. No other module
of the server reads the system's clock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final, Protocol

#: The maximum difference of speed between the server's time and the steady clock.
RATE: Final = 0.0005
#: Seconds in which a small difference from the system's time is corrected.
_CATCH_UP: Final = 60.0
#: The longest timer, in seconds; longer waits are restarted, since the clocks drift.
_LONGEST: Final = 60.0


def wall() -> float:
    """Return the system's time, which may jump."""
    return time.time()  # noqa: TID251 - the one place


def steady() -> float:
    """Return the seconds since the machine started, those of its sleep included."""
    return time.clock_gettime(_STEADY)


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call, unless it was made already."""


class Clock:
    """The server's time, in seconds since the epoch.

    Args:
        wall: Returns the system's time, which may jump.
        steady: Returns seconds since an arbitrary start, without jumps.
    """

    def __init__(
        self,
        wall: Callable[[], float] = wall,
        steady: Callable[[], float] = steady,
    ) -> None:
        self.wall = wall
        self.steady = steady
        # One tuple, so that threads read consistent values: a time of the steady
        # clock, the server's time then, and its speed.
        self._line = (steady(), self.wall(), 1.0)

    def now(self) -> float:
        """Return the server's time."""
        since, then, rate = self._line
        return then + (self.steady() - since) * rate

    def ahead(self) -> float:
        """Return how many seconds the system's time is ahead of the server's."""
        return self.wall() - self.now()

    def begin(self, moment: float) -> None:
        """Start at a given time; called before the clock is used."""
        self._line = (self.steady(), moment, 1.0)

    def steer(self, reference: float, least: float = -math.inf) -> None:
        """Slew towards a reference time from now on.

        Args:
            reference: The time to reach.
            least: The latest time of other servers of the store: if it is later, the
                clock continues from there.
        """
        moment = self.steady()
        since, then, rate = self._line
        now = max(then + (moment - since) * rate, least)
        drift = (reference - now) / _CATCH_UP
        self._line = (moment, now, 1.0 + min(max(drift, -RATE), RATE))

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop at ``when``, or some time before it.

        The callback must check the time: a long wait ends early.
        """
        seconds = min(max(0.0, when - self.now()), _LONGEST)
        return asyncio.get_running_loop().call_later(seconds, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait for so long, by the server's time."""
    over = asyncio.Event()
    end = clock.now() + seconds
    while clock.now() < end:
        over.clear()
        timer = clock.call_at(end, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()
