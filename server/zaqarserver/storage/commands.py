"""The commands of the storage contract, one struct for each verb.

A store finds and keeps data. It does not know roles, JSON shapes, HTTP or
configuration: limits and defaults are applied before a command reaches it, and a
message body is bytes that it returns unchanged.

Each command's docstring is the promise, its type parameter the type of the result
of :meth:`~zaqarserver.storage.base.Storage.do`. Rules that hold for every command:

* **Scope.** Everything is looked up by space *and* queue. An id of another
  queue or space does not exist.
* **Time** is passed in as ``now`` (seconds since the epoch, float); a driver never
  reads a clock for a decision. A message is live while ``now < created + ttl`` and a
  claim while ``now < created + ttl``; what is not live is never returned, counted or
  claimable, swept or not.
* **Order** is acceptance order: of two messages of a queue, the one that was
  acknowledged first comes first, also after a restart. Ids sort as text in that order,
  so an id is a marker.
* **Atomic and durable.** A command does either all or nothing, and returns when the
  change is as durable as :attr:`Storage.durability` says.
* **Missing queues** count as empty, not as errors, unless a command says otherwise
  (:meth:`QueueCommand.missing`).
* **Malformed ids** are ids of things that do not exist.
* **Errors**: a driver raises the errors named in each docstring, and
  :class:`~zaqarserver.errors.Unavailable` for every failure of its store;
  ``StoreDamaged`` if it reads other data than it wrote, and it never returns such data.
  It translates all other exceptions before they leave it.
* **Cancellation.** A cancelled command is executed completely or not at all, and never
  blocks later ones.

Posts with a key are in :mod:`zaqarserver.storage.posts`, releases and redrives in
:mod:`zaqarserver.storage.releases`, subscriptions and deliveries in
:mod:`zaqarserver.storage.subscriptions`, grants and usage in
:mod:`~zaqarserver.storage.accounts`; pools in :mod:`~zaqarserver.storage.catalog` and
moves in :mod:`~zaqarserver.storage.moving`.
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
    """A command to a store; the type parameter is the type of its result."""


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
        """Return the result, or raise the error, where the queue does not exist.

        Also where the claim or subscription that the command names does not.
        """
        raise NotImplementedError


class VolumeGet(Command[Volume], frozen=True):
    """Return how many messages the store has, from counters without counting."""


class QueueCreate(QueueCommand[bool], frozen=True):
    """Make a queue; return False, changing nothing, if it exists."""

    makes_queue: ClassVar[bool] = True
    metadata: Metadata


class QueueGet(QueueCommand[Queue | None], frozen=True):
    """Return the queue, or ``None`` if it does not exist.

    Executed before nearly every operation, so a driver should make it cheap.
    """

    def missing(self) -> Queue | None:
        return None


class QueueUpdate(QueueCommand[None], frozen=True):
    """Replace the metadata if the queue still has ``revision``.

    Raises:
        QueueChanged: It has another revision now, or does not exist.
    """

    metadata: Metadata
    revision: int

    def missing(self) -> None:
        raise QueueChanged(f"queue {self.queue!r} was deleted meanwhile")


class QueueDelete(QueueCommand[None], frozen=True):
    """Remove the queue with its messages and claims, if it exists.

    After the answer none of its data is visible, however much there was.
    """

    def missing(self) -> None:
        return None


class QueueList(SpaceCommand[list[Queue]], frozen=True, kw_only=True):
    """Return up to ``limit`` queues of the project, by name.

    Attributes:
        marker: Only names after this one (which need not exist).
        limit: At most so many, at least 1.
        name: Only names that contain this text, literally.
        metadata: Only queues that have, for each key of it, one of the given values in
            their stored metadata (compared by JSON type and value).
    """

    marker: str | None
    limit: int
    name: str | None = None
    metadata: Mapping[str, Sequence[Any]] | None = None


class QueueCount(SpaceCommand[int], frozen=True):
    """Return how many queues the project has."""


class QueueWatch(QueueCommand[float | None], frozen=True):
    """Watch a queue: report what becomes free to ``on_free`` until a time.

    Returns:
        The next time at which something of it becomes free because of the time
        (a claim or a delay ends), infinity for none; ``None`` if it cannot be watched.
    """

    now: float
    until: float

    def missing(self) -> float | None:
        return None


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

    The page is full whenever enough matching messages follow, however many others are
    between them. A reader that continues after the last id of each page misses nothing
    that was visible before.

    Attributes:
        marker: A message id (the message need not exist any more); a malformed one
            gives an empty list.
        limit: At most so many, at least 1.
        now: The time.
        exclude_client: Leave out messages that were posted under this client id.
        include_claimed: Also return messages under a live claim.
        include_delayed: Also return delayed messages that are still hidden.
        include_postponed: Also return messages that were released or redriven with a
            delay that has not ended.
    """

    marker: str | None
    limit: int
    now: float
    exclude_client: str | None = None
    include_claimed: bool = False
    include_delayed: bool = False
    include_postponed: bool = False

    def missing(self) -> list[Message]:
        return []


class MessageGet(QueueCommand[list[Message]], frozen=True):
    """Return the live messages with these ids, in the order of ``ids``.

    Claimed and delayed ones are returned, too. Unknown ids are skipped, and a message
    that is named twice is returned once.
    """

    ids: Sequence[str]
    now: float

    def missing(self) -> list[Message]:
        return []


class MessageDelete(QueueCommand[None], frozen=True):
    """Delete a message; do nothing if it does not exist.

    Raises:
        MessageClaimed: It is under a live claim, and ``claim_id`` is not given or is
            another live claim of the queue.
        ClaimNotLive: ``claim_id`` is given and is not a live claim of the queue, or the
            message is not under a live claim.
    """

    message_id: str
    claim_id: str | None
    now: float

    def missing(self) -> None:
        return None


class MessageDeleteMany(QueueCommand[None], frozen=True):
    """Delete the messages, whether or not they are claimed.

    Attributes:
        ids: The messages; unknown ids are skipped.
        claim_ids: If given, each existing message must be under one of these claims,
            and that claim live.
        now: The time.

    Raises:
        MessageClaimed: A message is not under one of ``claim_ids``; then nothing is
            deleted.
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

    After the answer none of them is visible, however many there were.
    """

    def missing(self) -> None:
        return None


class ClaimCreate(QueueCommand[Claim | None], frozen=True, kw_only=True):
    """Claim up to ``limit`` free, visible messages, oldest first.

    Each message's ``claim_count`` rises by one. A message that would
    expire before ``now + ttl`` has its expiry set to ``now + ttl + grace``
    and its ttl shown as ``ttl + grace`` (``rest-v2`` 5.4); others keep
    theirs. A message belongs to at most one live claim at any time.

    With ``dead_letter``, a message that was already claimed ``max_claim_count`` times
    is moved to the dead letter queue instead of being claimed. It keeps its id, body,
    checksum, age and reason, is free there at once, and has a claim count of 0. A
    :class:`~zaqarserver.storage.records.DeadLetterOrigin` is kept with it. It counts
    against the ``limit`` like a claimed one.

    The cost does not grow with the number of messages in the queue.

    Returns:
        The claim, or ``None`` if nothing could be claimed.
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
        ClaimNotFound: The claim is not live, or holds nothing.
    """

    claim_id: str
    now: float

    def missing(self) -> Claim:
        raise ClaimNotFound(f"no live claim {self.claim_id!r}")


class ClaimUpdate(QueueCommand[None], frozen=True):
    """Renew a live claim: its time starts again, with this ttl and grace.

    The messages' expiry is extended as by :class:`ClaimCreate`; claim counts stay.

    Raises:
        ClaimNotFound: The claim is not live.
    """

    claim_id: str
    ttl: int
    grace: int
    now: float

    def missing(self) -> None:
        raise ClaimNotFound(f"no live claim {self.claim_id!r}")


class ClaimDelete(QueueCommand[None], frozen=True):
    """Release a claim; its messages keep their counts.

    They are free at once, or after ``delay`` seconds as in
    :class:`~zaqarserver.storage.releases.MessageRelease`.
    """

    claim_id: str
    now: float
    delay: int = 0

    def missing(self) -> None:
        return None
