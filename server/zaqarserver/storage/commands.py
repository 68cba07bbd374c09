"""The storage contract: what a store is asked to do, one struct a verb.

A store finds and keeps. It knows no roles, no JSON shapes, no HTTP and no
configuration: limits and defaults are applied before it is asked, and a
message body is bytes that it gives back unchanged.

Each command's docstring is the promise, its type parameter the type of the result
of :meth:`~zaqarserver.storage.base.Storage.do`. Rules that hold for every command:

* **Scope.** Everything is looked up by space *and* queue. An id of another
  queue or space does not exist.
* **Time** is passed in as ``now`` (seconds since the epoch, float); a driver
  never reads a clock for a decision. A message is live while
  ``now < created + ttl`` and a claim while ``now < created + ttl``; what is not
  live is never returned, counted or claimable, whether or not it was swept yet.
* **Order** is acceptance order: of two messages of a queue the one whose post
  was answered first comes first, also after a restart. Ids sort as text in that
  order, so an id is a marker.
* **Atomic and durable.** A command did either all or nothing, and returns after
  the change is as durable as :attr:`Storage.durability` says.
* **Missing queues** are empty, not errors, unless a command says otherwise
  (:meth:`QueueCommand.missing`).
* **Malformed ids** are ids of things that do not exist.
* **Errors**: a driver raises the errors named in each docstring, and
  :class:`~zaqarserver.errors.Unavailable` for every failure of its store;
  ``StoreDamaged`` where what it reads is not what it wrote, which it never
  gives back. It translates at its own edge; nothing else leaves it.
* **Cancellation.** A cancelled command either happened or did not; it never
  half-happened and never blocks later ones.

Subscriptions and deliveries are in :mod:`zaqarserver.storage.subscriptions`, grants
and usage in :mod:`~zaqarserver.storage.accounts`; pools in
:mod:`~zaqarserver.storage.catalog` and moves in :mod:`~zaqarserver.storage.moving`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from zaqarserver.errors import ClaimNotFound, QueueChanged
from zaqarserver.storage.records import (
    Claim,
    DeadLetter,
    Message,
    Metadata,
    NewMessage,
    Queue,
    QueueStats,
    Volume,
)

R_co = TypeVar("R_co", covariant=True)


class Command(msgspec.Struct, Generic[R_co], frozen=True):
    """What a store is asked to do; the type parameter is that of the result."""


class SpaceCommand(Command[R_co], frozen=True):
    """A command about a space.

    Attributes:
        space: A project, or the topics of one (:mod:`zaqarserver.spaces`).
    """

    space: str


class QueueCommand(SpaceCommand[R_co], frozen=True):
    """A command about a queue of a space.

    Attributes:
        queue: The queue's name.
        makes_queue: Whether the command makes the queue if it does not exist.
    """

    queue: str
    makes_queue: ClassVar[bool] = False

    def missing(self) -> R_co:
        """Return the result for a queue that does not exist, or raise its error."""
        raise NotImplementedError


class VolumeGet(Command[Volume], frozen=True):
    """Return how many messages there are; from counters, not by looking."""


class QueueCreate(QueueCommand[bool], frozen=True):
    """Make a queue; return False, changing nothing, if it exists."""

    makes_queue: ClassVar[bool] = True
    metadata: Metadata


class QueueGet(QueueCommand[Queue | None], frozen=True):
    """Return the queue, or ``None`` if there is none.

    Asked before nearly every operation: a driver should make it cheap.
    """

    def missing(self) -> Queue | None:
        return None


class QueueUpdate(QueueCommand[None], frozen=True):
    """Replace the metadata if the queue still has ``revision``.

    Raises:
        QueueChanged: It has another one by now, or is gone.
    """

    metadata: Metadata
    revision: int

    def missing(self) -> None:
        raise QueueChanged(f"queue {self.queue!r} was deleted meanwhile")


class QueueDelete(QueueCommand[None], frozen=True):
    """Remove the queue with its messages and claims, if it exists.

    From the answer on nothing of it can be seen, however much there was.
    """

    def missing(self) -> None:
        return None


class QueueList(SpaceCommand[list[Queue]], frozen=True, kw_only=True):
    """Return up to ``limit`` queues of the project, by name.

    Attributes:
        marker: Only names after this one (which need not exist).
        limit: At most so many, at least 1.
        name: Only names that contain this text, literally.
        metadata: Only queues whose stored metadata has, for each key, one
            of the values (compared by JSON type and value).
    """

    marker: str | None
    limit: int
    name: str | None = None
    metadata: Mapping[str, Sequence[Any]] | None = None


class QueueCount(SpaceCommand[int], frozen=True):
    """Return how many queues the project has."""


class QueueStatsGet(QueueCommand[QueueStats], frozen=True):
    """Return the counts; the cost does not grow with the backlog."""

    now: float

    def missing(self) -> QueueStats:
        return QueueStats()


class MessagePost(QueueCommand[list[str]], frozen=True):
    """Store the messages in order, all or none; return their ids.

    The queue is made (with empty metadata) if it does not exist.
    """

    makes_queue: ClassVar[bool] = True
    client_id: str
    messages: Sequence[NewMessage]
    now: float


class MessageList(QueueCommand[list[Message]], frozen=True, kw_only=True):
    """Return up to ``limit`` messages after ``marker``, oldest first.

    The page is full whenever enough matching messages follow, however many
    others lie between. A reader that follows the last id of each page
    misses nothing that was visible before it moved on.

    Attributes:
        marker: A message id (the message may be gone by now); a malformed
            one gives an empty list.
        limit: At most so many, at least 1.
        now: The time.
        exclude_client: Leave out what was posted under this client id.
        include_claimed: With messages under a live claim.
        include_delayed: With messages that are still hidden.
    """

    marker: str | None
    limit: int
    now: float
    exclude_client: str | None = None
    include_claimed: bool = False
    include_delayed: bool = False

    def missing(self) -> list[Message]:
        return []


class MessageGet(QueueCommand[list[Message]], frozen=True):
    """Return the live messages with these ids, in the order of ``ids``.

    Claimed and delayed ones too; unknown ids are skipped, and an id named
    twice is returned once.
    """

    ids: Sequence[str]
    now: float

    def missing(self) -> list[Message]:
        return []


class MessageDelete(QueueCommand[None], frozen=True):
    """Delete a message; nothing happens if it does not exist.

    Raises:
        MessageClaimed: It is under a live claim, and ``claim_id`` is not
            given or is another live claim of the queue.
        ClaimNotLive: ``claim_id`` is given and is no live claim of the
            queue, or the message is under none.
    """

    message_id: str
    claim_id: str | None
    now: float

    def missing(self) -> None:
        return None


class MessageDeleteMany(QueueCommand[None], frozen=True):
    """Delete the messages, whether or not they are claimed.

    Attributes:
        ids: Unknown ones are skipped.
        claim_ids: If given, each existing message must be under a live
            claim out of these.
        now: The time.

    Raises:
        MessageClaimed: A message is not under one of ``claim_ids``; then
            nothing was deleted.
    """

    ids: Sequence[str]
    claim_ids: Sequence[str] | None
    now: float

    def missing(self) -> None:
        return None


class MessagePop(QueueCommand[list[Message]], frozen=True):
    """Remove and return up to ``limit`` free, visible messages, oldest first."""

    limit: int
    now: float
    include_delayed: bool = False

    def missing(self) -> list[Message]:
        return []


class MessagePurge(QueueCommand[None], frozen=True):
    """Remove all messages and claims of the queue; keep it and its metadata.

    From the answer on none can be seen, however many there were.
    """

    def missing(self) -> None:
        return None


class ClaimCreate(QueueCommand[Claim | None], frozen=True, kw_only=True):
    """Claim up to ``limit`` free, visible messages, oldest first.

    Each message's ``claim_count`` goes up by one. A message that would
    expire before ``now + ttl`` has its expiry set to ``now + ttl + grace``
    and its ttl shown as ``ttl + grace`` (``rest-v2`` 5.4); others keep
    theirs. A message belongs to at most one live claim at any time.

    With ``dead_letter``, a message that was claimed ``max_claim_count``
    times already is moved to the dead letter queue instead of being
    claimed: same id, body, checksum and age, free there at once, with a
    claim count of 0. It takes part in the ``limit`` like a claimed one.

    The cost does not grow with the number of messages in the queue.

    Returns:
        The claim, or ``None`` if there was nothing to claim.
    """

    ttl: int
    grace: int
    limit: int
    now: float
    include_delayed: bool = False
    dead_letter: DeadLetter | None = None

    def missing(self) -> Claim | None:
        return None


class ClaimGet(QueueCommand[Claim], frozen=True):
    """Return a live claim that still holds messages.

    Raises:
        ClaimNotFound: There is none.
    """

    claim_id: str
    now: float

    def missing(self) -> Claim:
        raise ClaimNotFound(f"no live claim {self.claim_id!r}")


class ClaimUpdate(QueueCommand[None], frozen=True):
    """Renew a live claim: its clock starts again with this ttl and grace.

    The messages' expiry is extended as in :class:`ClaimCreate`; claim
    counts stay.

    Raises:
        ClaimNotFound: There is no such live claim.
    """

    claim_id: str
    ttl: int
    grace: int
    now: float

    def missing(self) -> None:
        raise ClaimNotFound(f"no live claim {self.claim_id!r}")


class ClaimDelete(QueueCommand[None], frozen=True):
    """Release a claim; its messages are free at once, their counts stay."""

    claim_id: str
    now: float

    def missing(self) -> None:
        return None
