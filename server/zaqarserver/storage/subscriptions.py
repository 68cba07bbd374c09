"""The part of the storage contract about subscriptions and notifications.

The *notices* of a queue are a log: a post to a queue with subscriptions adds, in the
same transaction, a notice of its messages, or several if it has more than
:data:`NOTICE_MESSAGES`, numbered one after the other. Each subscription has a *cursor*,
the last notice that it has finished, which begins at the newest notice. The notifier
takes the next messages of the subscriptions that are due as *deliveries*, sends them,
and settles them. So a notification survives whatever the messages survive, and is sent
at least once. A notice is removed by the sweeper, at the latest, when all subscriptions
have finished it or its messages have expired.

A *volatile* subscription belongs to a connection, not to the store, and does not have
deliveries. The store calls ``on_post`` for it (:meth:`Storage.watch`) right after the
commit of a post, and it is gone when the store is opened again.

The rules of :mod:`zaqarserver.storage.commands` hold here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from zaqarserver.errors import SubscriptionNotFound
from zaqarserver.storage.commands import Command, QueueCommand

#: How many messages a notice has at most.
NOTICE_MESSAGES: Final = 500
#: How many messages a delivery of several notices has at most.
DELIVERY_MESSAGES: Final = 100
#: About how many bytes of bodies it has at most.
DELIVERY_BYTES: Final = 1_000_000


class Subscription(msgspec.Struct, frozen=True):
    """A live subscription.

    Attributes:
        id: Opaque, URL-safe; sorts in the order of creation.
        space: The space of its queue.
        queue: The queue or topic.
        subscriber: The URI as given.
        ttl: Seconds from creation, or from the last change of the ttl.
        age: Whole seconds since creation.
        options: As given.
        confirmed: True if the subscriber confirmed.
    """

    id: str
    space: str
    queue: str
    subscriber: str
    ttl: int
    age: int
    options: dict[str, Any]
    confirmed: bool


class SubscriptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a subscription; ``None`` keeps a member as it is.

    Attributes:
        subscriber: The new URI.
        ttl: Seconds from now.
        options: Replaces the options as a whole.
        confirmed: True if the subscriber confirmed.
    """

    subscriber: str | None = None
    ttl: int | None = None
    options: dict[str, Any] | None = None
    confirmed: bool | None = None


class NoticeMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as its notice keeps it.

    Attributes:
        id: The message's id.
        body: The body's bytes, as stored.
        ttl: Seconds, as posted.
        delay: Seconds, as posted; 0 is not delayed.
        expires: When the message expires; after that it is not delivered.
    """

    id: str
    body: bytes
    ttl: int
    delay: int
    expires: float


class Post(msgspec.Struct, frozen=True, gc=False):
    """A committed post, for the volatile subscriptions of its queue.

    Attributes:
        space: The space.
        queue: The queue.
        messages: The posted messages, in order.
        subscriptions: The ids of the live volatile subscriptions of the queue.
        after: How the id of the message that was posted before begins, where a post of
            another server may not have been heard; empty if that cannot be.
    """

    space: str
    queue: str
    messages: Sequence[NoticeMessage]
    subscriptions: Sequence[str]
    after: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """Messages on their way to one subscription.

    Attributes:
        key: Opaque text for :class:`DeliverySettle`.
        subscription: The subscription to send it to, as it is now.
        messages: Those of the next notice, and of as many following ones as make up to
            :data:`DELIVERY_MESSAGES` and about :data:`DELIVERY_BYTES`. Deliveries of
            the same notices that are taken together share them.
        position: How many of them are settled already.
        attempt: How many times sending the one at ``position`` has failed.
    """

    key: str
    subscription: Subscription
    messages: Sequence[NoticeMessage]
    position: int
    attempt: int


def ignore(*_news: object) -> None:
    """Default callback: does nothing."""


class SubscriptionCreate(
    QueueCommand[tuple[Subscription, bool]], frozen=True, kw_only=True
):
    """Make a subscription, and the queue if it does not exist.

    Space, queue and subscriber together are unique: if a live one exists already, it is
    returned unchanged, with False.
    """

    makes_queue: ClassVar[bool] = True
    subscriber: str
    ttl: int
    options: dict[str, Any]
    now: float
    confirmed: bool = False
    volatile: bool = False


class SubscriptionList(QueueCommand[list[Subscription]], frozen=True, kw_only=True):
    """Return up to ``limit`` live subscriptions after the id ``marker``."""

    marker: str | None
    limit: int
    now: float

    def missing(self) -> list[Subscription]:
        return []


class SubscriptionCount(QueueCommand[int], frozen=True):
    """Return how many live subscriptions a queue has."""

    now: float

    def missing(self) -> int:
        return 0


class SubscriptionGet(QueueCommand[Subscription | None], frozen=True):
    """Return a live subscription of this queue, or ``None``."""

    subscription_id: str
    now: float

    def missing(self) -> Subscription | None:
        return None


class SubscriptionUpdate(QueueCommand[Subscription], frozen=True):
    """Change a live subscription and return it.

    A new subscriber also applies to deliveries under way, and the subscription is not
    volatile any more.

    Raises:
        SubscriptionNotFound: The subscription does not exist or has expired.
        SubscriptionExists: The queue has the new subscriber already.
    """

    subscription_id: str
    change: SubscriptionChange
    now: float

    def missing(self) -> Subscription:
        raise SubscriptionNotFound(
            f"Subscription {self.subscription_id} for queue {self.queue} "
            "does not exist."
        )


class SubscriptionDelete(QueueCommand[None], frozen=True):
    """Remove a subscription and its deliveries, if it exists."""

    subscription_id: str

    def missing(self) -> None:
        return None


class SubscriptionPurge(QueueCommand[None], frozen=True):
    """Remove all subscriptions of a queue and their deliveries."""

    def missing(self) -> None:
        return None


class DeliveryTake(Command[list[Delivery]], frozen=True):
    """Take deliveries that are due, the longest due first.

    A delivery that was taken is not returned again before ``now + lease`` (then its
    taker counts as dead) or before it is settled. Only one delivery of a subscription,
    with its oldest messages, is taken at a time: later messages wait, so that a
    subscriber gets messages in order.

    Attributes:
        now: The time.
        limit: At most so many.
        lease: Seconds after which another call may return them again.
        confirmed_only: Drop the deliveries of subscriptions that are unconfirmed now.
    """

    now: float
    limit: int
    lease: float
    confirmed_only: bool


class DeliverySettle(Command[None], frozen=True):
    """Record how far a taken delivery got; may be repeated while it is being sent.

    Nothing happens if its subscription was deleted meanwhile, or if a later position is
    recorded already.

    Attributes:
        key: The key of the delivery.
        position: How many of its messages are settled now; all of them
            ends the delivery.
        attempt: Failures so far of the one at ``position``.
        due: When it may be taken again; ``None`` together with the last position.
    """

    key: str
    position: int
    attempt: int
    due: float | None


class DeliveryDue(Command[float | None], frozen=True):
    """Return when the next delivery is due (maybe past), ``None`` without one."""

    now: float
