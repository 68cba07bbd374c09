"""Sending one message to one subscription: filter, payload, next attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from zaqarserver.clock import Clock
from zaqarserver.errors import BadRequest, Unavailable
from zaqarserver.notify.deliverer import Failed, Notification, Outcome, Retry
from zaqarserver.notify.dispatch import Dispatcher, log_defect, named
from zaqarserver.notify.readable import MessageCache, ReadBody, SubscriptionFilter
from zaqarserver.storage.subscriptions import NoticeMessage, Subscription
from zaqarserver.subscribers.retry import DEFAULT, choose, schedule

QueueMetadata = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


class Dropped(msgspec.Struct, frozen=True):
    """The message was not sent: it has expired or is filtered out."""


class Sender:
    """Sends single messages.

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

    def drops(
        self,
        subscription: Subscription,
        filter_: SubscriptionFilter,
        message: NoticeMessage,
    ) -> bool:
        """Drop a message that has expired, or is cached and filtered out.

        :meth:`send` does the same; this needs no turn of the loop for each message.
        """
        if message.expires <= self._clock.now():
            self._drop("expired", subscription)
            return True
        known = self._cache.seen(subscription.space, subscription.queue, message)
        try:
            dropped = known is not None and not filter_.selects(known)
        except BadRequest:
            return False
        if dropped:
            self._drop("filtered", subscription)
        return dropped

    async def send(
        self,
        subscription: Subscription,
        filter_: SubscriptionFilter,
        message: NoticeMessage,
        attempt: int,
    ) -> Outcome | Dropped:
        """Send a message unless it has expired or is filtered out.

        Args:
            subscription: The subscription.
            filter_: Its filter.
            message: The message.
            attempt: The number of the attempt, from 1.
        """
        if message.expires <= self._clock.now():
            return self._drop("expired", subscription)
        try:
            known = await self._cache.of(
                subscription.space, subscription.queue, message
            )
            if known is None or not filter_.selects(known):
                return self._drop("filtered", subscription)
            content = known.content
        except BadRequest as error:
            return Failed(error.description)
        # Stages may be third-party code, and a missing key may be restored later.
        except Exception as error:  # noqa: BLE001
            log_defect(f"{named(subscription)}: unreadable message", error)
            return Retry("the message cannot be read")
        return await self._dispatcher.send(
            Notification(
                subscription=subscription,
                id=message.id,
                payload=content,
                attempt=attempt,
                now=self._clock.wall(),
            )
        )

    def _drop(self, event: str, subscription: Subscription) -> Dropped:
        self._dispatcher.counts.add(event, self._dispatcher.kind(subscription))
        return Dropped()

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
