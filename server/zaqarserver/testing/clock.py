"""A clock that a test moves forward."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future

from zaqarserver import clock
from zaqarserver.clock import Clock, Timer


class MovableClock(Clock):
    """The time of a server in a test: it runs, and :meth:`advance` moves it.

    Ttls, delays, leases and retries follow it.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._timers: set[_EarlyTimer] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            lambda: clock.wall() + self._ahead, lambda: clock.steady() + self._ahead
        )

    def advance(self, seconds: float) -> None:
        """Move the time forward; call it from any thread but the server's.

        Returns when everything that is due by then has been woken.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        if seconds < 0:
            raise ValueError("a clock goes forward only")
        done: Future[None] = Future()
        if self.loop is None or self.loop.is_closed():
            self._jump(seconds, done)
            return
        self.loop.call_soon_threadsafe(self._jump, seconds, done)
        done.result()

    def _jump(self, seconds: float, done: Future[None]) -> None:
        moment = self.now() + seconds
        self._ahead += seconds
        # The whole of it, not slewed towards the system's time.
        self.begin(moment)
        # A timer may end before its time: whoever waits checks the time.
        for timer in list(self._timers):
            timer.fire()
        done.set_result(None)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back at ``when``, or some time before it."""
        timer = _EarlyTimer(self._timers, callback)
        timer.handle = super().call_at(when, timer.fire)
        return timer


class _EarlyTimer:
    """A scheduled call that can be made before its time."""

    handle: Timer

    def __init__(self, timers: set[_EarlyTimer], callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback = callback
        timers.add(self)

    def fire(self) -> None:
        """Make the call."""
        self.cancel()
        self._callback()

    def cancel(self) -> None:
        """Cancel the call, unless it was made already."""
        self._timers.discard(self)
        with contextlib.suppress(AttributeError):
            self.handle.cancel()
