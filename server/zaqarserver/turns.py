"""Sharing the event loop: long work stops for others after a short time."""

from __future__ import annotations

import asyncio
import time

#: Seconds that one piece of work may keep the loop before others get a turn.
SLICE_SECONDS = 0.003


class Turns:
    """The time that all users of one object have taken of a turn of the loop."""

    def __init__(self) -> None:
        self._until: float | None = None

    async def pause(self) -> None:
        """Let others run for as long as the time of each turn is used up."""
        while self._until is not None:
            if time.perf_counter() < self._until:
                return
            await asyncio.sleep(0)
        self._until = time.perf_counter() + SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._until = None
