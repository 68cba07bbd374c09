"""Sharing the event loop: long work stops for others after a short time."""

from __future__ import annotations

import asyncio
import time
from collections import deque

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
