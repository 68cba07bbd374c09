"""The part of the storage contract about moving a queue from store to store.

A queue moves with its metadata, messages, claims, subscriptions and notices, under
the ids that clients know. It is always in one store only: the old one is *sealed*,
which freezes what it has, the new one *receives*, and says nothing of what it got
until it is *opened*; then the old one lets go of its copy (*leaves*)::

    source.queue_seal     target.queue_receive
    source.queue_export → target.queue_import     page by page
    source.queue_contents = target.queue_contents
                 (the catalogue: the queue is in the target now)
                          target.queue_open
    source.queue_leave

Each step may be repeated and may come late: it carries the epoch of the placement
(:mod:`zaqarserver.storage.catalog`), and a store refuses a step of an older epoch
than the last that it has seen of this queue.

While a queue is sealed, being received, or gone by :meth:`~Storage.queue_leave`
or :meth:`~Storage.queue_retire`, every method of the contract that names it
raises :class:`~zaqarserver.errors.QueueMoving`, also those that read, and its
deliveries are not given out (one that was may be settled). That is what keeps a
server that remembers an old placement from using it. ``queue_list``, ``queue_count``
and ``usage`` count a sealed queue, and not one that is being received or gone.

**Ids.** Stores that exchange queues have ids of one form: 30 lower-case hexadecimal
digits, of which the first 14 are a number that orders, in practice the microsecond of
acceptance, and the others are random. After an import all new ids of the queue sort
behind the imported ones.

The rules of :mod:`zaqarserver.storage.base` hold here as well.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from zaqarserver.storage.commands import Command, QueueCommand
from zaqarserver.storage.records import Metadata
from zaqarserver.storage.subscriptions import NoticeMessage

#: How long a store remembers that a queue has left it, in seconds. Nobody may
#: remember a placement for as long as that.
REMEMBERED_SECONDS = 3600.0


class QueueRecord(msgspec.Struct, frozen=True, tag="queue"):
    """The queue itself; missing if it was deleted and only subscriptions are left.

    Attributes:
        metadata: As stored.
    """

    metadata: Metadata


class ClaimRecord(msgspec.Struct, frozen=True, tag="claim"):
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


class MessageRecord(msgspec.Struct, frozen=True, tag="message"):
    """A message; they come in their order.

    Attributes:
        id: The message's id.
        body: As stored.
        ttl: As shown.
        created: When it was posted, seconds since the epoch.
        expires: When it ends.
        visible: Until when it is hidden, ``None`` if it is not delayed.
        client_id: Who posted it.
        checksum: As posted, or ``None``.
        claim_count: How many claims have taken it.
        claim_id: The claim that holds it, or ``None``.
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


class SubscriptionRecord(msgspec.Struct, frozen=True, tag="subscription"):
    """A subscription; they come in their order, after the messages.

    Attributes:
        id: The subscription's id.
        subscriber: The URI.
        ttl: Seconds.
        created: When it was made.
        expires: When it ends.
        options: As given.
        confirmed: Whether the subscriber agreed.
        volatile: Whether it belongs to a connection.
        due: When to look at its oldest delivery, ``None`` if it has none.
    """

    id: str
    subscriber: str
    ttl: int
    created: float
    expires: float
    options: dict[str, Any]
    confirmed: bool
    volatile: bool
    due: float | None


class PendingDelivery(msgspec.Struct, frozen=True, array_like=True):
    """How far the notice of a post got with one subscription.

    Attributes:
        subscription_id: The subscription.
        position: How many of the messages are settled.
        attempt: Failures so far of the one at ``position``.
    """

    subscription_id: str
    position: int
    attempt: int


class NoticeRecord(msgspec.Struct, frozen=True, tag="notice"):
    """The notice of a post; they come in the order of the posts, at last.

    Attributes:
        id: Names it among those of the queue, so that it is imported once.
        messages: All messages of the post.
        deliveries: The deliveries made of it that are not ended.
        after: The id of the last subscription that it was made a delivery for, empty
            if there was none yet; ``None`` if all are made.
        until: The id of the last subscription that was there when the post came;
            those later are not to be told of it.
    """

    id: str
    messages: list[NoticeMessage]
    deliveries: list[PendingDelivery]
    after: str | None
    until: str


Record = QueueRecord | ClaimRecord | MessageRecord | SubscriptionRecord | NoticeRecord


class ExportPage(msgspec.Struct, frozen=True):
    """Some of what a sealed queue has.

    Attributes:
        records: What to import, in this order.
        following: Where the next page begins; ``None`` after the last one.
    """

    records: Sequence[Record]
    following: str | None


class Contents(msgspec.Struct, frozen=True):
    """How much a queue has, of what does not end before some time.

    Attributes:
        queues: 1, or 0 if only subscriptions of it are left.
        messages: Messages.
        claims: Claims that hold some.
        claimed: Messages under those.
        subscriptions: Subscriptions that are not volatile.
        waiting: Those of them that are to be told something.
        deliveries: What they are to be told: each notice, once for each of them.
    """

    queues: int
    messages: int
    claims: int
    claimed: int
    subscriptions: int
    waiting: int
    deliveries: int

    def missing_from(self, other: Contents) -> str:
        """Say what another store has of it that differs, empty if nothing does.

        It may have more deliveries: where a store remembers of a subscription only
        the first notice that it waits for, it waits for all later ones, too.
        """
        return ", ".join(
            f"{there} {name} of {here}"
            for name in self.__struct_fields__
            if (there := getattr(other, name)) != (here := getattr(self, name))
            and not (name == "deliveries" and there > here)
        )


class SealKind(enum.StrEnum):
    """Why a store refuses a queue."""

    LEAVING = "leaving"
    ARRIVING = "arriving"
    GONE = "gone"


class Seal(msgspec.Struct, frozen=True):
    """A queue that a store refuses.

    Attributes:
        project: The project.
        queue: The queue.
        epoch: Of the placement that it was sealed, received or left for.
        kind: Why it is refused.
    """

    project: str
    queue: str
    epoch: int
    kind: SealKind


class QueueSeal(QueueCommand[bool], frozen=True):
    """Freeze a queue, or what is left of it, to be exported.

    From the answer on no other command changes anything of it but the sweeper,
    which removes what has expired.

    Refused if a step of a higher epoch was seen, if the queue is being received,
    or if it is gone by a step of this epoch. Sealing a sealed queue raises its
    epoch; a gone one is sealed with nothing in it.
    """

    epoch: int


class QueueReceive(QueueCommand[bool], frozen=True):
    """Get ready for a queue, dropping what the store has of it.

    The store may have some if an earlier move did not come to its end. Refused
    if a step of a higher epoch was seen, or the queue is in service here.
    Repeated with the same epoch it keeps what was imported.
    """

    epoch: int


class QueueOpen(QueueCommand[bool], frozen=True):
    """Put a queue into service that the catalogue says is here and is not moved.

    What the store has of it is the queue if it came with ``since`` or was sealed
    after it. If it is older than that, something between has not come to its end:
    it is dropped, and the queue is empty. With nothing to open nothing is done.

    Refused if a step of a higher epoch than ``epoch`` was seen; and if the queue
    is gone, or being received, by a step of ``since`` or later, but for one
    received with ``since`` itself.

    Attributes:
        epoch: The epoch of its placement.
        since: The epoch with which it came here, as the placement says.
    """

    epoch: int
    since: int


class QueueLeave(QueueCommand[bool], frozen=True):
    """Drop what a sealed queue has, or what was received so far of one.

    The store remembers for :data:`REMEMBERED_SECONDS` that it is gone. Refused
    if it is neither, or was sealed or received for another epoch.
    """

    epoch: int
    now: float


class QueueRetire(QueueCommand[bool], frozen=True):
    """Make a queue gone that does not exist and has no live subscriptions.

    Refused otherwise, and if it is sealed or being received, or a step of a higher
    epoch was seen. May be repeated.
    """

    epoch: int
    now: float


class QueueExport(QueueCommand[ExportPage], frozen=True):
    """Return what a sealed queue has, some at a time.

    Messages that are not live may be left out. A call is short: a page may be
    smaller than ``limit``, or empty, before the last.

    Attributes:
        following: Where to go on, ``None`` at the beginning.
        limit: At most about so many records.

    Raises:
        QueueChanged: The queue is not sealed for leaving.
    """

    following: str | None
    limit: int


class QueueImport(QueueCommand[None], frozen=True):
    """Keep the records of an exported page.

    What is there already is left alone, so that a page may be imported again.
    Claim counts, ages, expiry and all else stay as they are in the records.

    Raises:
        QueueChanged: The queue is not being received for this epoch.
    """

    epoch: int
    records: Sequence[Record]


class QueueContents(QueueCommand[Contents], frozen=True):
    """Count what the store has of a queue that leaves, or arrived so far.

    It is counted where it is kept, not told from what was imported or exported.

    Attributes:
        now: What ends until then is left out.

    Raises:
        QueueChanged: The queue neither leaves nor arrives.
    """

    now: float


class SealList(Command[list[Seal]], frozen=True, kw_only=True):
    """Return up to ``limit`` queues that leave or arrive, by project and name.

    Those that are gone are not among them.

    Attributes:
        marker: Only those after this project and queue.
        limit: At most so many, at least 1.
    """

    marker: tuple[str, str] | None
    limit: int
