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
