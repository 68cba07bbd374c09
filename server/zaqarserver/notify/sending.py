"""One message to one subscription: whether, what, and when again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from zaqarserver.clock import Clock
from zaqarserver.errors import BadRequest, Unavailable
from zaqarserver.notify.deliverer import Failed, Outcome, Parcel, Retry
from zaqarserver.notify.dispatch import Dispatch, log_defect, named
from zaqarserver.notify.known import Admission, Knowledge, Readable
from zaqarserver.storage.subscriptions import Noticed, Subscription
from zaqarserver.subscribers.retry import DEFAULT, choose, schedule

QueueMetadata = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


class Dropped(msgspec.Struct, frozen=True):
    """There was nothing to send."""


class Sender:
    """Sends single messages.

    Args:
        dispatch: The deliverers.
        clock: The time.
        queue_metadata: See :class:`zaqarserver.notify.worker.Notifier`.
        readable: See :class:`zaqarserver.notify.worker.Notifier`.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        clock: Clock,
        queue_metadata: QueueMetadata,
        readable: Readable,
    ) -> None:
        self._dispatch = dispatch
        self._clock = clock
        self._queue_metadata = queue_metadata
        self._knowledge = Knowledge(readable)

    def drops(
        self, subscription: Subscription, admission: Admission, message: Noticed
    ) -> bool:
        """Drop a message that has ended, or is known and not wanted.

        :meth:`send` does the same; this takes no turn of the loop for each of many.
        """
        if message.expires <= self._clock.now():
            self._drop("expired", subscription)
            return True
        known = self._knowledge.seen(subscription.project, subscription.source, message)
        try:
            dropped = known is not None and not admission.admits(known)
        except BadRequest:
            return False
        if dropped:
            self._drop("filtered", subscription)
        return dropped

    async def send(
        self,
        subscription: Subscription,
        admission: Admission,
        message: Noticed,
        attempt: int,
    ) -> Outcome | Dropped:
        """Send a message if it is still alive and wanted.

        Args:
            subscription: Where it goes.
            admission: What it wants.
            message: The message.
            attempt: From 1.
        """
        if message.expires <= self._clock.now():
            return self._drop("expired", subscription)
        try:
            known = await self._knowledge.of(
                subscription.project, subscription.source, message
            )
            if known is None or not admission.admits(known):
                return self._drop("filtered", subscription)
            content = known.content
        except BadRequest as error:
            return Failed(error.description)
        # Stages are anybody's code, and a missing key may be back tomorrow.
        except Exception as error:  # noqa: BLE001
            log_defect(f"{named(subscription)}: unreadable message", error)
            return Retry("the message cannot be read")
        return await self._dispatch.send(
            Parcel(
                subscription=subscription,
                id=message.id,
                payload=content,
                attempt=attempt,
                now=self._clock.wall(),
            )
        )

    def _drop(self, event: str, subscription: Subscription) -> Dropped:
        self._dispatch.counts.add(event, self._dispatch.kind(subscription))
        return Dropped()

    async def again(
        self, subscription: Subscription, message: Noticed, failures: int, asked: float
    ) -> float | None:
        """Return when to try again, or ``None`` to give the message up.

        Args:
            subscription: Where it goes.
            message: The message; past its end there is no use in trying.
            failures: Failed attempts so far, at least 1.
            asked: Seconds that the subscriber asked to be left alone.
        """
        policy = DEFAULT
        deliverer = self._dispatch.deliverer(subscription)
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
                subscription.project, subscription.source
            )
        except Unavailable:
            return None
        return (metadata or {}).get("_retry_policy")
