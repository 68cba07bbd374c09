"""The part of the storage contract about time: how the servers of a store share one."""

from __future__ import annotations

import msgspec


class StoreTime(msgspec.Struct, frozen=True):
    """What a store knows of the time.

    Attributes:
        latest: The latest time that a server has left; ``None`` if none ever has.
        passed: Seconds since then, by a clock that has most likely not been set
            meanwhile; 0 where that cannot be known.
        reference: What a clock shows that all servers of the store can see, for all
            to go by; ``None`` if each goes by the system's.
    """

    latest: float | None = None
    passed: float = 0.0
    reference: float | None = None


class TimedStorage:
    """Keeps the time from one server to the next."""

    async def store_time(self, _now: float | None = None) -> StoreTime:
        """Say what the store knows of the time, and leave a server's time with it.

        So that the servers of a store, one after the other or together, go by one
        time, whatever their machines' clocks show. A driver that knows nothing lets
        each begin with the system's time.

        Args:
            _now: The server's time; ``None`` before it has one. A driver may keep it
                now and then only, and never keeps an earlier one than it has.

        Raises:
            Unavailable: It cannot be read or kept now.
        """
        return StoreTime()
