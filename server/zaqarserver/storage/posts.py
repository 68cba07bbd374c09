"""The commands of posts with a key, which are stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from zaqarserver.storage.commands import QueueCommand
from zaqarserver.storage.records import NewMessage, PostOutcome


class MessagePostOnce(QueueCommand[PostOutcome], frozen=True):
    """Store the messages as :class:`MessagePost` does, once for a key.

    The first command with a key stores the messages and, in the same transaction, the
    key: it is as durable as they are. A later one, until ``window`` seconds after the
    first, changes nothing, notifies no subscriber and returns the ids of the first,
    also when the messages are gone. Of two at the same moment one is the first. Keys go
    with the queue when it is deleted, and stay when it is purged or moved.

    Attributes:
        key: Names the post within its queue, 1 to 128 characters.
        digest: Of the content; at most 128 characters.
        window: Seconds.

    Raises:
        KeyReused: The first command with the key had another digest.
    """

    makes_queue: ClassVar[bool] = True
    client_id: str
    messages: Sequence[NewMessage]
    now: float
    key: str
    digest: str
    window: float


class PostGet(QueueCommand[PostOutcome | None], frozen=True):
    """Return what a post with this key has stored, ``None`` without one.

    Raises:
        KeyReused: It had another digest.
    """

    now: float
    key: str
    digest: str

    def missing(self) -> PostOutcome | None:
        return None
