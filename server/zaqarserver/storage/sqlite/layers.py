"""The items in the writer's memory, and the two layers that they are in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

import apsw
import msgspec

from zaqarserver.errors import QueueMoving
from zaqarserver.storage.moving import Seal
from zaqarserver.storage.records import Metadata
from zaqarserver.storage.sqlite.database import fetch

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: The space of arriving records; callers cannot have it.
ARRIVING = "\0arriving"

QUEUE_FIND = (
    "SELECT backlog, revision, metadata, origin FROM queue"
    " WHERE project = ? AND name = ?"
)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class QueueKey(NamedTuple):
    """Names a queue."""

    space: str
    queue: str


class QueueRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the queue table.

    Attributes:
        backlog: Where its messages are.
        revision: As in the contract.
        metadata: As stored; shared, so never changed in place.
        origin: Its first backlog, which tells it from others that had its name.
    """

    backlog: int
    revision: int
    metadata: Metadata
    origin: int


class NumberedSeal(Seal, frozen=True):
    """A row of the seal table.

    Attributes:
        number: Its number; names what has arrived.
    """

    number: int

    def refuse(self) -> NoReturn:
        """Raise QueueMoving for a command that names the queue."""
        raise QueueMoving(f"queue {self.queue} is {self.kind.value}")


class Listeners(msgspec.Struct, gc=False):
    """The members of a queue's subscriptions that a post needs.

    Attributes:
        until: When the last subscription that is not volatile expires; 0 for none.
        volatile: Ids and ends of the volatile ones.
        newest: The number of the newest notice, or of the last one that was deleted.
        all_busy: True if no subscription is idle: a post makes nothing due at once.
    """

    until: float
    volatile: tuple[tuple[str, float], ...]
    newest: int
    all_busy: bool = False


class Layered(Generic[K, V]):
    """A mapping in two layers. A missing item and ``None`` are the same.

    Args:
        committed: The lower layer: all items, or an LRU of those read recently.

    Attributes:
        committed: The items that readers see.
        pending: The changes of the open transaction; ``None`` for a removed item.
    """

    __slots__ = ("committed", "pending")

    def __init__(self, committed: dict[K, V]) -> None:
        self.committed = committed
        self.pending: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        """Return an item as the open transaction sees it."""
        if key in self.pending:
            return self.pending[key]
        return self.committed.get(key)

    def commit(self) -> None:
        """Make the changes of the transaction visible to readers."""
        for key, value in self.pending.items():
            if value is None:
                self.committed.pop(key, None)
            else:
                self.committed[key] = value
        self.pending.clear()


def load_queue(db: apsw.Connection, space: str, queue: str) -> QueueRow | None:
    """Read the row of a queue."""
    rows = fetch(db, QUEUE_FIND, (space, queue))
    if not rows:
        return None
    backlog, revision, metadata, origin = rows[0]
    return QueueRow(backlog, revision, _decode(metadata), origin)
