"""The records of the storage contract, which drivers store and return."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Any

import msgspec

Metadata = dict[str, Any]


class Capability(enum.StrEnum):
    """A promise that a store can make (``rest-v2`` 2.13)."""

    FIFO = "FIFO"
    CLAIMS = "CLAIMS"
    DURABILITY = "DURABILITY"
    AOD = "AOD"
    HIGH_THROUGHPUT = "HIGH_THROUGHPUT"


class Durability(enum.StrEnum):
    """The failures that acknowledged data survives.

    ``POWER_LOSS``: it survives the machine losing power. ``PROCESS_CRASH``: it
    survives the server being killed, but the last moments may be lost with the
    machine. ``MEMORY``: it is gone when the process ends.
    """

    POWER_LOSS = "power_loss"
    PROCESS_CRASH = "process_crash"
    MEMORY = "memory"


class Queue(msgspec.Struct, frozen=True):
    """A stored queue.

    Attributes:
        name: The queue's name.
        metadata: The stored metadata only, without defaults. Nested values may
            be shared with the driver: copy before changing them.
        revision: Changes with every change of the metadata. A value is never used
            again, not even when the queue is deleted and made again.
    """

    name: str
    metadata: Metadata
    revision: int


class NewMessage(msgspec.Struct, frozen=True, gc=False):
    """A message to store.

    Attributes:
        body: The body's bytes, returned unchanged.
        ttl: Seconds to live from ``now``.
        delay: Seconds from ``now`` during which the message is hidden on a
            delayed queue; 0 is not delayed.
        checksum: Stored with the message and returned, or ``None``.
    """

    body: bytes
    ttl: int
    delay: int = 0
    checksum: str | None = None


_ID = re.compile(r"[0-9a-f]{30}", re.ASCII)


def is_id(text: str) -> bool:
    """Return True if a text has the form of the id of a message."""
    return _ID.fullmatch(text) is not None


class PostOutcome(msgspec.Struct, frozen=True, gc=False):
    """The result of a post with an idempotency key.

    Attributes:
        ids: The ids of the messages, in order.
        is_replay: True if an earlier post with the key stored them.
    """

    ids: list[str]
    is_replay: bool = False


class DeadLetterOrigin(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a message in a dead letter queue came from.

    Attributes:
        source: The queue that it was in.
        claims: How many claims had taken it there.
        at: When it was moved, seconds since the epoch.
        reason: The last reason that it was released or buried for, or ``None``.
    """

    source: str
    claims: int
    at: float
    reason: str | None = None


class Notes(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The history of a message that was returned by a consumer; others have none.

    Attributes:
        reason: The last reason that it was released or buried for, or ``None``.
        origin: Where it came from, if it is in a dead letter queue.
    """

    reason: str | None = None
    origin: DeadLetterOrigin | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """A stored message as it is at ``now``.

    Attributes:
        id: Opaque, URL-safe, unguessable, sorts in acceptance order.
        body: As posted.
        ttl: Seconds; claims may raise it, see
            :class:`~zaqarserver.storage.commands.ClaimCreate`.
        age: Whole seconds since posting, never negative.
        claim_id: The live claim that holds the message, or ``None``.
        claim_count: How many claims have taken the message so far.
        checksum: As posted, or ``None``.
        notes: Why it was returned, or ``None`` if no reason is known.
    """

    id: str
    body: bytes
    ttl: int
    age: int
    claim_id: str | None = None
    claim_count: int = 0
    checksum: str | None = None
    notes: Notes | None = None


class Claim(msgspec.Struct, frozen=True):
    """A live claim and the messages that it still holds, oldest first.

    Attributes:
        id: Opaque, URL-safe, unguessable.
        ttl: Seconds from creation or the last renewal.
        grace: Seconds that the messages outlive the claim.
        age: Whole seconds since creation or the last renewal.
        messages: What the claim holds now; never empty.
    """

    id: str
    ttl: int
    grace: int
    age: int
    messages: Sequence[Message]


class StatsMessage(msgspec.Struct, frozen=True, gc=False):
    """The oldest or newest live message of a queue, in its statistics.

    Attributes:
        id: The message's id.
        created: When it was posted, seconds since the epoch.
        age: Whole seconds since then.
    """

    id: str
    created: float
    age: int


class QueueStats(msgspec.Struct, frozen=True, gc=False):
    """Counts of the live messages of a queue.

    Attributes:
        free: Not under a live claim; delayed messages count here.
        claimed: Under a live claim.
        oldest: The first live message in order, claimed or not.
        newest: The last one.
    """

    free: int = 0
    claimed: int = 0
    oldest: StatsMessage | None = None
    newest: StatsMessage | None = None


class Volume(msgspec.Struct, frozen=True, gc=False):
    """The number of messages in a whole store.

    Expired or deleted messages that are not swept yet may count for about a second.

    Attributes:
        free: Not under a claim.
        claimed: Under a claim.
    """

    free: int = 0
    claimed: int = 0


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """The treatment of messages that were claimed too often (``rest-v2`` 5.6).

    Attributes:
        queue: The queue, of the same project, that takes them; made on demand.
        max_claim_count: How many claims a message may get, at least 1.
        ttl: Seconds to live from the move, or ``None`` to leave the expiry alone.
    """

    queue: str
    max_claim_count: int
    ttl: int | None = None
