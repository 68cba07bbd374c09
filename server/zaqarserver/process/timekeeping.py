"""Starts the server's clock at the time of the store's servers, and steers it."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from zaqarserver.clock import Clock
from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import Storage

LOG = logging.getLogger(__name__)

_EVERY: Final = 1.0  # seconds between two readings
_JUMP: Final = 1.0  # seconds; between two readings a clock never drifts that much


class _ReferenceClock:
    """Another clock; notices when it is set.

    Args:
        name: Its name in the log.
        clock: The server's clock.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._lead: float | None = None

    def observe(self, shown: float) -> None:
        """Compare a reading with the steady clock; log a jump."""
        lead, last = shown - self._clock.steady(), self._lead
        self._lead = lead
        if last is None or abs(lead - last) < _JUMP:
            return
        LOG.warning(
            "%s was set %s by %.1f s; the server's time does not jump and is now "
            "%+.1f s off it",
            self._name,
            "forward" if lead > last else "back",
            abs(lead - last),
            self._clock.now() - shown,
        )


class Timekeeper:
    """Starts and steers the clock of a server.

    Args:
        clock: The clock.
        storage: The open store.
    """

    def __init__(self, clock: Clock, storage: Storage) -> None:
        self._clock = clock
        self._storage = storage
        self._system = _ReferenceClock("the system's clock", clock)
        self._shared = _ReferenceClock("the clock of the store's server", clock)

    async def begin(self) -> None:
        """Start the clock, before requests are served.

        Raises:
            Unavailable: The store cannot be read.
        """
        found = await self._storage.store_time()
        shown = self._clock.wall() if found.reference is None else found.reference
        moment = shown if found.latest is None else found.latest + found.passed
        self._clock.begin(moment)
        self._system.observe(self._clock.wall())
        if abs(moment - shown) >= _JUMP:
            LOG.warning(
                "the store's time goes on, %+.1f s off the %s clock",
                moment - shown,
                "system's" if found.reference is None else "store's server's",
            )

    async def keep(self) -> None:
        """Steer the clock, forever."""
        while True:
            self._system.observe(self._clock.wall())
            try:
                await self._steer()
            except Unavailable as error:
                LOG.debug("the clock was not steered: %s", error)
            await asyncio.sleep(_EVERY)

    async def _steer(self) -> None:
        found = await self._storage.store_time(self._clock.now())
        if found.reference is None:
            self._clock.steer(self._clock.wall())
            return
        self._shared.observe(found.reference)
        self._clock.steer(found.reference, found.latest or 0.0)
