"""Notifications of messages: what they contain, and when they are sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from zaqarserver.clock import Clock
from zaqarserver.errors import BadRequest, Unavailable
from zaqarserver.notify.deliverer import Failed, Notification, Retry
from zaqarserver.notify.dispatch import Dispatcher, log_defect, named
from zaqarserver.notify.readable import MessageCache, ReadBody, SubscriptionFilter
from zaqarserver.storage.subscriptions import NoticeMessage, Subscription
from zaqarserver.subscribers.retry import DEFAULT, choose, schedule

QueueMetadata = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


class Dropped(msgspec.Struct, frozen=True):
    """A message that is not to be sent.

    Attributes:
        event: ``expired`` or ``filtered``.
    """

    event: str


class Sender:
    """Prepares notifications of messages, and plans their next attempts.

    Args:
        dispatcher: The deliverers.
        clock: The clock.
        queue_metadata: See :class:`zaqarserver.notify.worker.Notifier`.
        readable: See :class:`zaqarserver.notify.worker.Notifier`.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        clock: Clock,
        queue_metadata: QueueMetadata,
        readable: ReadBody,
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._queue_metadata = queue_metadata
        self._cache = MessageCache(readable)

    def prepare(
        self,
        subscription: Subscription,
        filter_: SubscriptionFilter,
        message: NoticeMessage,
        attempt: int,
    ) -> Notification | Dropped | Failed | Retry:
        """Return the notification of a message, or why there is none.

        Args:
            subscription: The subscription.
            filter_: Its filter.
            message: The message.
            attempt: The number of the attempt, from 1.
        """
        if message.expires <= self._clock.now():
            return Dropped("expired")
        try:
            known = self._cache.of(subscription.space, subscription.queue, message)
            if known is None or not filter_.selects(known):
                return Dropped("filtered")
            content = known.content
        except BadRequest as error:
            return Failed(error.description)
        # Stages may be third-party code, and a missing key may be restored later.
        except Exception as error:  # noqa: BLE001
            log_defect(f"{named(subscription)}: unreadable message", error)
            return Retry("the message cannot be read")
        return Notification(
            subscription=subscription,
            id=message.id,
            payload=content,
            attempt=attempt,
            now=self._clock.wall(),
        )

    async def next_attempt(
        self,
        subscription: Subscription,
        message: NoticeMessage,
        failures: int,
        asked: float,
    ) -> float | None:
        """Return the time of the next attempt, or ``None`` to give up.

        Args:
            subscription: The subscription.
            message: The message; it is not sent after it has expired.
            failures: Failed attempts so far, at least 1.
            asked: Minimum wait in seconds that the subscriber asked for.
        """
        policy = DEFAULT
        deliverer = self._dispatcher.deliverer(subscription)
        if deliverer is not None and deliverer.follows_policy:
            policy = choose(
                await self._policy_of_queue(subscription),
                subscription.options.get("_retry_policy"),
            )
        waits = schedule(policy)
        if failures > len(waits):
            return None
        due = self._clock.now() + max(float(waits[failures - 1]), asked)
        return due if due < message.expires else None

    async def _policy_of_queue(self, subscription: Subscription) -> Any:
        try:
            metadata = await self._queue_metadata(
                subscription.space, subscription.queue
            )
        except Unavailable:
            return None
        return (metadata or {}).get("_retry_policy")
