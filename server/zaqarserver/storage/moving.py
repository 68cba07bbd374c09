"""The part of the storage contract about moving a queue from store to store.

A queue moves with its metadata, messages, claims, subscriptions and notices, under
the ids that clients know. It is always in one store only. A store that is not to serve
it has a *seal* of one of three kinds: the queue is leaving, arriving or gone. A move
is::

    at the source       at the target
    QueueSeal leaving   QueueSeal arriving
    QueueExport      →  QueueImport        page by page
    QueueContents    =  QueueContents
    PlacementArrive: the catalogue places the queue in the target
                        QueueOpen
    QueueDrop

Each step may be repeated and may come late: it carries the epoch of the placement
(:mod:`zaqarserver.storage.catalog`), and a store refuses a step with a lower epoch than
the highest that it has seen for this queue. So a mover that was stopped and continues
after another one took over changes nothing.

While a queue is sealed, every command of the contract that names it raises
:class:`~zaqarserver.errors.QueueMoving`, also those that read, and its deliveries
cannot be taken (those that are taken already may be settled). So a server with an old
placement in its cache cannot use it. ``QueueList``, ``QueueCount`` and ``UsageGet``
count a queue that leaves, but not one that arrives or is gone.

**Ids.** Stores that exchange queues have ids of one form: 30 lower-case hexadecimal
digits, of which the first 14 are a number that gives the order, in practice the
microsecond of acceptance, and the others are random. After an import all new ids of the
queue sort after the imported ones.

The rules of :mod:`zaqarserver.storage.commands` hold here, too.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from zaqarserver.storage.commands import Command, QueueCommand
from zaqarserver.storage.subscriptions import NoticeMessage

#: How long a store remembers that a queue has left it, in seconds. Caches of placements
#: must be shorter.
REMEMBERED_SECONDS = 3600.0


class QueueRecord(msgspec.Struct, frozen=True, array_like=True):
    """The queue itself; missing if it was deleted and only subscriptions are left.

    Attributes:
        metadata: As stored, as JSON text.
    """

    metadata: str


class PostRecord(msgspec.Struct, frozen=True, array_like=True):
    """An idempotency key with its post; comes after the queue.

    Attributes:
        key: The key.
        digest: Of the content.
        ids: The ids of the messages, with blanks between.
        expires: When the key ends.
    """

    key: str
    digest: str
    ids: str
    expires: float


class ClaimRecord(msgspec.Struct, frozen=True, array_like=True):
    """A claim; comes before the messages that it holds.

    Attributes:
        id: The claim's id.
        ttl: Seconds.
        grace: Seconds.
        created: When it was made or renewed, seconds since the epoch.
    """

    id: str
    ttl: int
    grace: int
    created: float


class MessageRecord(msgspec.Struct, frozen=True, array_like=True):
    """A message; they come in their order.

    Attributes:
        id: The message's id.
        body: As stored.
        ttl: As shown.
        created: When it was posted, seconds since the epoch.
        expires: When it ends.
        visible: Until when it is hidden, ``None`` if it is not delayed.
        client_id: The client id of its post.
        checksum: As posted, or ``None``.
        claim_count: How many claims have taken it.
        claim_id: The claim that holds it, or ``None``.
        notes: As JSON text, or ``None``.
        postponed: Whether it is hidden since it was released or redriven.
    """

    id: str
    body: bytes
    ttl: int
    created: float
    expires: float
    visible: float | None
    client_id: str
    checksum: str | None
    claim_count: int
    claim_id: str | None
    notes: str | None = None
    postponed: bool = False


class SubscriptionRecord(msgspec.Struct, frozen=True, array_like=True):
    """A subscription; they come in their order, after the messages.

    Attributes:
        id: The subscription's id.
        subscriber: The URI.
        ttl: Seconds.
        created: When it was made.
        expires: When it ends.
        options: As given, as JSON text.
        confirmed: Whether the subscriber agreed.
        volatile: Whether it belongs to a connection.
        due: When its next delivery is due if that is out or waits for a retry, else
            ``None``.
        cursor: The number of the last notice that it has finished.
        position: How many messages of the next notice are settled.
        attempt: Failures so far of the one at ``position``.
    """

    id: str
    subscriber: str
    ttl: int
    created: float
    expires: float
    options: str
    confirmed: bool
    volatile: bool
    due: float | None
    cursor: int
    position: int
    attempt: int


class NoticeRecord(msgspec.Struct, frozen=True, array_like=True):
    """A notice of a post; they come last, in their order.

    Attributes:
        number: One more than that of the notice before it.
        messages: The messages.
    """

    number: int
    messages: list[NoticeMessage]


Record = (
    QueueRecord
    | PostRecord
    | ClaimRecord
    | MessageRecord
    | SubscriptionRecord
    | NoticeRecord
)


class ExportPage(msgspec.Struct, frozen=True):
    """Some of what a sealed queue has.

    Attributes:
        records: What to import, in this order.
        following: Where the next page begins; ``None`` after the last one.
    """

    records: Sequence[Record]
    following: str | None


class Contents(msgspec.Struct, frozen=True):
    """The number of records of a queue that do not expire before some time.

    Attributes:
        queues: 1, or 0 if only subscriptions of it are left.
        posts: Idempotency keys.
        messages: Messages.
        claims: Claims that hold messages.
        claimed: Messages under these claims.
        subscriptions: Subscriptions that are not volatile.
        waiting: Those of them that have not finished the newest notice.
        notices: Notices, if there are subscriptions.
    """

    queues: int
    posts: int
    messages: int
    claims: int
    claimed: int
    subscriptions: int
    waiting: int
    notices: int

    def missing_from(self, other: Contents) -> str:
        """Return how another store's counts differ, as a text; empty if they agree.

        More may wait in the other store: deliveries of a sealed queue that were taken
        before may still be settled.
        """
        return ", ".join(
            f"{there} {name} of {here}"
            for name in self.__struct_fields__
            if (there := getattr(other, name)) != (here := getattr(self, name))
            and not (name == "waiting" and there > here)
        )


class SealKind(enum.StrEnum):
    """The reasons why a store refuses a queue."""

    LEAVING = "leaving"
    ARRIVING = "arriving"
    GONE = "gone"


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """A queue that a store refuses.

    Attributes:
        space: The space.
        queue: The queue.
        epoch: Of the placement that it was sealed for.
        kind: Why it is refused.
    """

    space: str
    queue: str
    epoch: int
    kind: SealKind

    def allows(self, kind: SealKind, epoch: int) -> bool:
        """Return True if a :class:`QueueSeal` may replace this seal, or repeat it."""
        if self.epoch == epoch:
            return kind is self.kind
        replaces = self.kind is SealKind.GONE or kind in (self.kind, SealKind.ARRIVING)
        return self.epoch < epoch and replaces


class QueueSeal(QueueCommand[bool], frozen=True):
    """Seal a queue, or replace its seal; return whether that was done.

    ``LEAVING`` freezes the queue, or what is left of it, to be exported. Only the
    sweeper removes what has expired. A queue that was gone leaves empty.

    ``ARRIVING`` prepares the store for :class:`QueueImport`. What it has of the queue
    is dropped: an earlier move may not have been finished. Refused if the queue is in
    service here, or has arrived by this epoch. A repetition keeps what was imported.

    ``GONE`` marks a queue that neither exists nor has live subscriptions. Refused
    otherwise. The store remembers it for :data:`REMEMBERED_SECONDS`.

    Refused if a step with a higher epoch was seen, and by :meth:`Seal.allows`: a seal
    of the same epoch is only repeated; what leaves or arrives is not gone, and what
    arrives by an earlier epoch may not be complete, so it does not leave.

    Attributes:
        kind: The seal.
        epoch: The epoch of the queue's placement.
        now: The time.
    """

    kind: SealKind
    epoch: int
    now: float


class QueueDrop(QueueCommand[bool], frozen=True):
    """Drop a queue that leaves, or what has arrived of one so far; it is ``GONE`` then.

    Refused if the queue does not leave or arrive by this epoch.
    """

    epoch: int
    now: float


class QueueOpen(QueueCommand[bool], frozen=True):
    """Remove the seal of a queue that the catalogue places here, not to be moved.

    The data that the store has is the queue's if it came with ``since`` or was sealed
    after it. Older data is left from a move that was not finished: it is dropped, and
    the queue is empty. If there is no seal, nothing is done.

    Refused if a step with a higher epoch than ``epoch`` was seen; and if the queue is
    gone, or being received, by a step with the epoch ``since`` or later, except one
    received with ``since`` itself.

    Attributes:
        epoch: The epoch of its placement.
        since: The epoch with which it came here, from the placement.
    """

    epoch: int
    since: int


class QueueExport(QueueCommand[ExportPage], frozen=True):
    """Return a page of the records of a sealed queue.

    Messages that are not live may be left out. A call is short: a page may be smaller
    than ``limit``, or empty, before the last page.

    Attributes:
        following: Where the page begins, ``None`` for the first.
        limit: At most about so many records.

    Raises:
        QueueChanged: The queue does not leave.
    """

    following: str | None
    limit: int


class QueueImport(QueueCommand[None], frozen=True):
    """Store the records of an exported page.

    Records that are there already stay as they are, so a page may be imported again.
    Claim counts, ages, expiry and all else are stored as in the records.

    Raises:
        QueueChanged: The queue does not arrive by this epoch.
    """

    epoch: int
    records: Sequence[Record]


class QueueContents(QueueCommand[Contents], frozen=True):
    """Count the records of a queue that leaves, or of one that arrives, so far.

    They are counted in the store, not derived from what was imported or exported.

    Attributes:
        now: Records that expire until then are left out.

    Raises:
        QueueChanged: The queue neither leaves nor arrives.
    """

    now: float


class SealList(Command[list[Seal]], frozen=True, kw_only=True):
    """Return up to ``limit`` queues that leave or arrive, by space and name.

    Queues that are gone are not among them.

    Attributes:
        marker: Only those after this space and queue.
        limit: At most so many, at least 1.
    """

    marker: tuple[str, str] | None
    limit: int
