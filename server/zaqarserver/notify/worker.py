"""The notifier: takes deliveries from the outbox, sends and settles them.

Theory of operation. The store keeps the schedule: :meth:`Notifier._take` asks it for
deliveries that are due, as many as :class:`~zaqarserver.notify.slots.Slots` has room
for, and then waits until a post, a free slot or the next due time wakes it.

A taken delivery is under a lease, which is renewed while this process lives. If the
process dies, the lease ends and the store gives the delivery out again, to any server.
So each message is sent at least once: a crash between sending and settling sends it
twice. A delivery whose lease has ended is not sent any further, because another server
may have it.

A failed attempt ends the lease: the delivery is settled with its position, its number
of attempts and the time of the next one, and holds no memory or slot here until then.
Of one subscription only the oldest delivery is given out, so its messages stay in
order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from zaqarserver.clock import Clock, sleep
from zaqarserver.common.tasks import Turns, doubling
from zaqarserver.errors import Unavailable
from zaqarserver.notify.deliverer import (
    Delivered,
    Failed,
    Gone,
    Notification,
    Outcome,
    Retry,
)
from zaqarserver.notify.dispatch import Dispatcher, load_deliverers, log_defect, named
from zaqarserver.notify.leases import LEASE, STORE_WAITS, LeasedDelivery, Leases
from zaqarserver.notify.readable import ReadBody
from zaqarserver.notify.sending import Dropped, QueueMetadata, Sender
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.slots import Slots
from zaqarserver.storage.base import Storage
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliveryTake,
    Subscription,
    SubscriptionDelete,
)

LOG = logging.getLogger(__name__)

_BATCH = 100
_IDLE = 1.0  # seconds; the store reported due work but returned none


class Notifier:
    """Sends notifications to subscribers.

    Args:
        storage: The store; pass :meth:`wake` to its ``watch``.
        settings: The settings.
        queue_metadata: Returns the metadata of a queue by space and name, for
            its retry policy, or ``None``; may raise ``Unavailable``.
        readable: Returns the body of a message as JSON text, by project, queue
            and message: decrypted, and through the stages. ``None`` drops it.
        clock: The clock.
        turns: Slices work that waits for nothing.
        dispatcher: The deliverers; by default all that are installed.

    Raises:
        SettingsError: A deliverer refuses its settings.
    """

    def __init__(
        self,
        storage: Storage,
        settings: NotifySettings,
        *,
        queue_metadata: QueueMetadata,
        readable: ReadBody,
        clock: Clock | None = None,
        turns: Turns | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self.clock: Clock = clock or Clock()
        self._turns = turns or Turns()
        self.dispatcher = dispatcher or Dispatcher(load_deliverers(settings))
        self._sender = Sender(self.dispatcher, self.clock, queue_metadata, readable)
        self.slots = Slots(
            settings.max_notifier_workers,
            settings.max_deliveries_per_endpoint,
            self.clock,
            self.wake,
        )
        workers = settings.max_notifier_workers
        self._leases = Leases(storage, self.clock, 2 * workers)
        self._wake = asyncio.Event()
        self._chores: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Check for due deliveries; call it on the event loop."""
        self._wake.set()

    def counters(self) -> dict[tuple[str, str], int]:
        """Return the numbers of messages by event and kind of subscriber.

        The events are those of :class:`zaqarserver.notify.dispatch.NotificationCounts`.
        """
        return self.dispatcher.counts.numbers()

    async def start(self) -> None:
        """Start the background tasks; the store is open."""
        await self.dispatcher.open()
        self._turns.between = self.dispatcher.proceed
        self._chores = [
            asyncio.create_task(self._forever(self._take_and_wait)),
            asyncio.create_task(self._forever(self._leases.renew)),
        ]

    async def stop(self) -> None:
        """Stop taking; give running sends ``drain_timeout`` seconds to end.

        Unsent deliveries stay in the store and are due at once. Safe to repeat.
        """
        chores, self._chores = self._chores, []
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self.slots.close(self._settings.drain_timeout)
        await self._leases.close()
        await self.dispatcher.close()

    # -- taking -------------------------------------------------------------

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step; with growing pauses while the store is unavailable."""
        waits = doubling(*STORE_WAITS)
        while True:
            try:
                await step()
            except Unavailable as error:
                LOG.warning("notifications wait for the store: %s", error)
            # Drivers may be third-party code; a defect must not end all deliveries.
            except Exception as error:  # noqa: BLE001
                log_defect("notifications pause", error)
            else:
                waits = doubling(*STORE_WAITS)
                continue
            await sleep(self.clock, next(waits))

    async def _take_and_wait(self) -> None:
        self._wake.clear()
        await self._until(await self._take())

    async def _take(self) -> float | None:
        """Take as many due deliveries as fit; return when to check again."""
        while free := min(self.slots.free, _BATCH):
            now = self.clock.now()
            taken = await self._storage.do(
                DeliveryTake(
                    now,
                    limit=free,
                    lease=LEASE,
                    confirmed_only=self._settings.require_confirmation,
                )
            )
            for delivery in taken:
                self._offer(delivery, now + LEASE)
            if len(taken) == free:
                continue
            due = await self._storage.do(DeliveryDue(now))
            if due is None or due > now:
                return due
            if not taken:
                return now + _IDLE
        return None  # a slot that becomes free wakes us

    def _offer(self, delivery: Delivery, lease: float) -> None:
        taken = self._leases.add(delivery, lease, self._send_all)
        if taken is not None:
            self.slots.offer(self.dispatcher.endpoint(delivery.subscription), taken)

    async def _until(self, due: float | None) -> None:
        """Wait until :meth:`wake` is called, or until ``due``."""
        if due is None:
            await self._wake.wait()
            return
        timer = self.clock.call_at(due, self.wake)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    # -- sending ------------------------------------------------------------

    async def _send_all(self, taken: LeasedDelivery) -> bool:
        """Send the messages of a delivery in order, in a slot.

        Returns:
            True if the endpoint is healthy.
        """
        try:
            healthy = await self._deliver(taken)
        # After any defect the lease ends, and the delivery is given out again.
        except Exception as error:  # noqa: BLE001
            log_defect(named(taken.delivery.subscription), error)
            healthy = False
        # Not reached when cancelled: stop() returns the rest to the store.
        self._leases.drop(taken)
        return healthy

    async def _deliver(self, taken: LeasedDelivery) -> bool:
        healthy = True
        await self._turns.pause()
        while (found := self._prepare(taken)) is not None:
            if isinstance(found, Dropped):
                self._count(found.event, taken.delivery.subscription)
                self._leases.advance(taken)
                await self._turns.pause()
                continue
            outcome = await self._send(taken, found)
            healthy = not isinstance(outcome, Retry)
            if not isinstance(outcome, Delivered):
                # Such an outcome may have come without waiting for the network.
                await self._turns.pause()
                if await self._is_over(taken, outcome):
                    return healthy
        if taken.is_done:
            await self._leases.settle(taken, None)
        return healthy

    def _prepare(
        self, taken: LeasedDelivery
    ) -> Notification | Dropped | Failed | Retry | None:
        """Prepare the next message; ``None`` at the end, or without a lease."""
        if taken.is_done or self.clock.now() >= taken.lease:
            return None  # another server may have it by now
        return self._sender.prepare(
            taken.delivery.subscription, taken.filter, taken.message, taken.attempt + 1
        )

    async def _send(
        self, taken: LeasedDelivery, found: Notification | Failed | Retry
    ) -> Outcome:
        """Send the next message, and those after it as long as all goes well."""
        if not isinstance(found, Notification):
            return found

        def following() -> Notification | None:
            self._leases.advance(taken)
            after = self._prepare(taken)
            return after if isinstance(after, Notification) else None

        return await self.dispatcher.send(found, following)

    async def _is_over(
        self, taken: LeasedDelivery, outcome: Failed | Gone | Retry
    ) -> bool:
        """Plan the next attempt, or give up; return True if the delivery is over."""
        subscription, attempt = taken.delivery.subscription, taken.attempt + 1
        if isinstance(outcome, Gone):
            await self._remove(subscription)
            return True
        if isinstance(outcome, Retry):
            due = await self._sender.next_attempt(
                subscription, taken.message, attempt, outcome.after
            )
            if due is not None:
                self._count("retried", subscription)
                taken.attempt = attempt
                await self._leases.settle(taken, due)
                return True
        self._give_up(taken, attempt, outcome.reason)
        self._leases.advance(taken)
        return False

    def _count(self, event: str, subscription: Subscription) -> None:
        self.dispatcher.counts.add(event, self.dispatcher.kind(subscription))

    def _give_up(self, taken: LeasedDelivery, attempt: int, reason: str) -> None:
        subscription = taken.delivery.subscription
        self._count("failed", subscription)
        # One warning for the many messages of a subscriber that takes none.
        LOG.log(
            logging.DEBUG if taken.gave_up else logging.WARNING,
            "gave up on message %s for %s after attempt %d: %s",
            taken.message.id,
            named(subscription),
            attempt,
            reason,
        )
        taken.gave_up = True

    async def _remove(self, subscription: Subscription) -> None:
        """Delete a subscription whose subscriber is gone."""
        self._count("gone", subscription)
        LOG.info("%s: its subscriber is gone, it is removed", named(subscription))
        await self._leases.repeat(
            lambda: self._storage.do(
                SubscriptionDelete(
                    subscription.space, subscription.queue, subscription.id
                )
            )
        )
        self.dispatcher.ended(subscription)
