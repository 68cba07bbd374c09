"""Begins the server's time where its store's servers are, and keeps it on course."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from zaqarserver.clock import Clock
from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import Storage

LOG = logging.getLogger(__name__)

_EVERY: Final = 1.0  # seconds between two looks
_JUMP: Final = 1.0  # seconds between two looks that no clock drifts by itself


class _ReferenceClock:
    """A clock of somebody else, and whether it was set.

    Args:
        name: What to call it in the log.
        clock: The server's time.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._lead: float | None = None

    def look(self, shown: float) -> None:
        """Compare what it shows with the steady clock; log a jump."""
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
    """Looks after the clock of a server.

    Args:
        clock: The clock.
        storage: The store, which is open.
    """

    def __init__(self, clock: Clock, storage: Storage) -> None:
        self._clock = clock
        self._storage = storage
        self._system = _ReferenceClock("the system's clock", clock)
        self._shared = _ReferenceClock("the clock of the store's server", clock)

    async def begin(self) -> None:
        """Set the clock, before anything is served.

        Raises:
            Unavailable: The store cannot be read.
        """
        found = await self._storage.store_time()
        shown = self._clock.wall() if found.reference is None else found.reference
        moment = shown if found.latest is None else found.latest + found.passed
        self._clock.begin(moment)
        self._system.look(self._clock.wall())
        if abs(moment - shown) >= _JUMP:
            LOG.warning(
                "the store's time goes on, %+.1f s off the %s clock",
                moment - shown,
                "system's" if found.reference is None else "store's server's",
            )

    async def keep(self) -> None:
        """Look at the other clocks, for ever."""
        while True:
            self._system.look(self._clock.wall())
            try:
                await self._steer()
            except Unavailable as error:
                LOG.debug("the time was not kept: %s", error)
            await asyncio.sleep(_EVERY)

    async def _steer(self) -> None:
        found = await self._storage.store_time(self._clock.now())
        if found.reference is None:
            self._clock.steer(self._clock.wall())
            return
        self._shared.look(found.reference)
        self._clock.steer(found.reference, found.latest or 0.0)
