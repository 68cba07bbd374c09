"""Names requests, so that the store recognizes one that is sent again.

Some operations must not be done twice: a post, a pop, a claim. Where nobody knows
whether such a request was executed it is sent again with the same name, and the
script answers as it did the first time (``lua/asked.lua``). A request has a key
beside its queue that no other one of this process has at the same time, and a number
that rises: so a queue keeps one record for each request that is under way at a time,
not for each request that there was, and what comes late is recognized as well.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

from zaqarserver.storage.redis.location import Location


class Name(NamedTuple):
    """The name of a request.

    Attributes:
        key: Where it is remembered.
        first: Its number, when it is sent for the first time.
        again: The same when it may have been executed before.
    """

    key: str
    first: str
    again: str


class Asked:
    """Gives names.

    Args:
        location: The settings: a name is remembered for twice the time for which a
            request may be under way with them.
    """

    def __init__(self, location: Location) -> None:
        longest = location.timeout + location.wait_timeout
        longest += location.connect_timeout + location.retry
        self._seconds = math.ceil(2 * longest)
        self._process = os.urandom(6).hex()
        self._numbers = itertools.count(1)
        #: For each queue with requests under way the places that are free again, and
        #: last the next new one.
        self._free: dict[str, list[int]] = {}
        self._taken: dict[str, int] = {}

    @contextlib.contextmanager
    def named(self, head: str) -> Iterator[Name]:
        """Name a request to a queue for as long as it is under way."""
        free = self._free.setdefault(head, [0])
        self._taken[head] = self._taken.get(head, 0) + 1
        place = free.pop()
        if not free:
            free.append(place + 1)
        number = f"{next(self._numbers):016d}"
        try:
            yield Name(
                f"{head}:asked:{self._process}:{place}",
                f"{number}-{self._seconds}",
                f"{number}+{self._seconds}",
            )
        finally:
            free.append(place)
            self._taken[head] -= 1
            if not self._taken[head]:
                del self._taken[head], self._free[head]
