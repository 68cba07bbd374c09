"""The part of the storage contract about time: how the servers of a store share one."""

from __future__ import annotations

import msgspec


class StoreTime(msgspec.Struct, frozen=True):
    """The time as a store knows it.

    Attributes:
        latest: The latest time that a server has stored; ``None`` before the first.
        passed: Seconds since ``latest``, by a clock that was most likely not set
            meanwhile; 0 if they cannot be known.
        reference: The reading of a clock that all servers of the store share and
            follow; ``None`` if each follows its system's clock.
    """

    latest: float | None = None
    passed: float = 0.0
    reference: float | None = None
