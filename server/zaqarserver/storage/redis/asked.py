"""Names requests, so that the store recognizes one that is sent again.

Some operations must not be done twice: a post, a pop, a claim. Where nobody knows
whether such a request was executed it is sent again with the same name, and the
script answers as it did the first time (``lua/asked.lua``). A request has a key
beside its queue that no other one of this process has at the same time, and a number
that rises: so a queue keeps one record for each request that is under way at a time,
not for each request that there was, and what comes late is recognized as well.
"""

from __future__ import annotations

import itertools
import math
import os

from zaqarserver.storage.redis.location import Location


class Name:
    """The name of a request.

    Args:
        head: The key of the queue.
        process: Tells the names of this process from others.
        place: Tells it from other requests to the queue that are under way.
        number: Rises from request to request.
        seconds: For how long the store remembers it.

    Attributes:
        head: See above.
        place: See above.
        key: Where it is remembered.
    """

    __slots__ = ("_number", "_seconds", "head", "key", "place")

    def __init__(
        self, head: str, process: str, place: int, number: int, seconds: int
    ) -> None:
        self.head = head
        self.place = place
        self.key = f"{head}:asked:{process}:{place}"
        self._number = number
        self._seconds = seconds

    def word(self, *, again: bool) -> str:
        """Return what its script gets.

        Args:
            again: Whether it may have been executed before.
        """
        return f"{self._number:016d}{'+' if again else '-'}{self._seconds}"


class _Places:
    """The places of a queue: those that are free again, and how many there are."""

    __slots__ = ("free", "made")

    def __init__(self) -> None:
        self.free: list[int] = []
        self.made = 0


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
        self._places: dict[str, _Places] = {}

    def take(self, head: str) -> Name:
        """Name a request to a queue; to be given back when it is not under way."""
        places = self._places.get(head)
        if places is None:
            places = self._places[head] = _Places()
        if places.free:
            place = places.free.pop()
        else:
            place = places.made
            places.made += 1
        number = next(self._numbers)
        return Name(head, self._process, place, number, self._seconds)

    def give_back(self, name: Name) -> None:
        """Let another request have the place."""
        places = self._places[name.head]
        places.free.append(name.place)
        if len(places.free) == places.made:
            del self._places[name.head]
