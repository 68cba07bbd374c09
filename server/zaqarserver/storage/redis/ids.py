"""Ids of messages, subscriptions and claims: ordered, unguessable.

An id is 30 lower-case hexadecimal digits: 14 of a number and 16 of random bits. The
number is the microsecond of acceptance, or one more than the last one of the queue
if that is later: the script that stores has the last word, this module makes the
proposal. It tells when, which its reader knows anyway, and not how many messages
others have posted.

The random half is looked up as a part of the whole id, in a hash table that Redis
keys with a secret of its own: how long a wrong guess takes says nothing.
"""

from __future__ import annotations

import os
import re

_ID = re.compile(r"[0-9a-f]{30}", re.ASCII)
_TICKS_PER_SECOND = 1_000_000
_POOL = 4096


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


class Sequence:
    """Proposes numbers, each greater than all before it in this process.

    Attributes:
        last: The last number that was proposed or learned of.
    """

    def __init__(self) -> None:
        self.last = 0
        self._secrets: list[str] = []

    def take(self, now: float, count: int) -> int:
        """Propose ``count`` numbers in a row; return the first."""
        first = max(int(now * _TICKS_PER_SECOND), self.last + 1)
        self.last = first + count - 1
        return first

    def learn(self, last: int) -> None:
        """Propose nothing up to a number that the store has given out."""
        self.last = max(self.last, last)

    def secret(self) -> str:
        """Return 64 random bits as 16 digits."""
        if not self._secrets:
            text = os.urandom(_POOL).hex()
            self._secrets = [text[at : at + 16] for at in range(0, len(text), 16)]
        return self._secrets.pop()


def encode_id(number: int, secret: str) -> str:
    """Return the id made of a number and random digits."""
    return f"{number:014x}{secret}"


def claim_id() -> str:
    """Return a new id for a claim, all random: claims are never ordered."""
    return os.urandom(15).hex()


def revision() -> int:
    """Return a new revision of a queue: 63 random bits, which never come back."""
    return int.from_bytes(os.urandom(8), "big") >> 1
