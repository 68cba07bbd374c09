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
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from zaqarserver.clock import Clock
from zaqarserver.common import deadline
from zaqarserver.common.tasks import Turns, doubling
from zaqarserver.errors import Unavailable
from zaqarserver.notify.deliverer import Delivered, Failed, Gone, Retry
from zaqarserver.notify.dispatch import Dispatcher, load_deliverers, log_defect, named
from zaqarserver.notify.readable import ReadBody, SubscriptionFilter
from zaqarserver.notify.sending import QueueMetadata, Sender
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.slots import Slots
from zaqarserver.storage.base import Storage
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Noticed,
    Subscription,
    SubscriptionDelete,
)

LOG = logging.getLogger(__name__)

LEASE: Final = 10.0  # seconds; deliveries of a dead process are free after it
_TICK = LEASE / 3
_BATCH = 100
_PROGRESS = 0.1  # seconds between two records of how far a delivery got
_STORE_WAITS = (0.5, 3.0)  # seconds between tries while the store is unavailable
_STORE_SECONDS = 2.0  # time limit of a renewal, of a settle, and of all at the end
_IDLE = 1.0  # seconds; the store reported due work but returned none


class _LeasedDelivery:
    """A delivery under a lease of this process: a job for the slots."""

    __slots__ = (
        "_notifier",
        "attempt",
        "delivery",
        "gave_up",
        "lease",
        "lock",
        "position",
        "recorded",
        "settled",
        "settling",
    )

    def __init__(self, notifier: Notifier, delivery: Delivery, lease: float) -> None:
        self._notifier = notifier
        self.delivery = delivery
        self.lease = lease
        self.position = delivery.position
        self.recorded = lease - LEASE
        self.attempt = delivery.attempt
        self.settled = False
        self.settling = False
        self.gave_up = False  # on some message
        # One call of the store at a time: a renewal must not overtake the settle.
        self.lock = asyncio.Lock()

    async def run(self) -> bool:
        """Send the messages that are left."""
        return await self._notifier.send_all(self)

    async def postpone(self, seconds: float) -> None:
        """Return it to the store, due again after some seconds."""
        await self._notifier.postpone(self, seconds)


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
        self._held: dict[str, _LeasedDelivery] = {}
        self._settling: set[asyncio.Task[None]] = set()
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
        self._chores = [
            asyncio.create_task(self._forever(self._take_and_wait)),
            asyncio.create_task(self._forever(self._renew)),
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
        for task in self._settling:
            task.cancel()
        with deadline.within(_STORE_SECONDS):
            held = list(self._held.values())
            await asyncio.gather(*(self.postpone(taken, 0) for taken in held))
        await self.dispatcher.close()

    # -- taking -------------------------------------------------------------

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step; with growing pauses while the store is unavailable."""
        waits = doubling(*_STORE_WAITS)
        while True:
            try:
                await step()
            except Unavailable as error:
                LOG.warning("notifications wait for the store: %s", error)
            # Drivers may be third-party code; a defect must not end all deliveries.
            except Exception as error:  # noqa: BLE001
                log_defect("notifications pause", error)
            else:
                waits = doubling(*_STORE_WAITS)
                continue
            await self._sleep(next(waits))

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
        held = self._held.get(delivery.key)
        if held is not None and not held.settled:
            held.lease = lease  # the lease had ended, and we took it again
            return
        taken = _LeasedDelivery(self, delivery, lease)
        self._held[delivery.key] = taken
        self.slots.offer(self.dispatcher.endpoint(delivery.subscription), taken)

    def _drop(self, taken: _LeasedDelivery) -> None:
        if self._held.get(taken.delivery.key) is taken:
            del self._held[taken.delivery.key]

    async def postpone(self, taken: _LeasedDelivery, seconds: float) -> None:
        """Return a delivery to the store, due again after some seconds.

        If the store is unavailable, it is due when its lease ends.
        """
        self._drop(taken)
        with contextlib.suppress(Unavailable):
            await self._record(taken, self.clock.now() + seconds, last=True)

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

    async def _sleep(self, seconds: float) -> None:
        """Wait for so long, whatever is noticed."""
        over = asyncio.Event()
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            over.clear()
            timer = self.clock.call_at(end, over.set)
            try:
                await over.wait()
            finally:
                timer.cancel()

    async def _renew(self) -> None:
        """Wait for a tick, then renew the leases of all deliveries."""
        await self._sleep(_TICK)
        await asyncio.gather(*map(self._renew_one, list(self._held.values())))

    async def _renew_one(self, taken: _LeasedDelivery) -> None:
        """Renew a lease, within a time limit, so that none delays the others."""
        lease = self.clock.now() + LEASE
        if lease - taken.lease >= _TICK:
            await self._extend(taken, lease)

    async def _extend(self, taken: _LeasedDelivery, lease: float) -> None:
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_STORE_SECONDS):
                await self._record(taken, lease)
                taken.lease = lease

    # -- sending ------------------------------------------------------------

    async def send_all(self, taken: _LeasedDelivery) -> bool:
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
        if not taken.settling:
            self._drop(taken)
        return healthy

    async def _deliver(self, taken: _LeasedDelivery) -> bool:
        subscription = taken.delivery.subscription
        filter_ = SubscriptionFilter(subscription)
        healthy = True
        for message in taken.delivery.messages[taken.position :]:
            if self.clock.now() >= taken.lease:
                return True  # another server may have it by now
            if self._sender.drops(subscription, filter_, message):
                self._advance(taken)
                await self._turns.pause()
                continue
            attempt = taken.attempt + 1
            outcome = await self._sender.send(subscription, filter_, message, attempt)
            if not isinstance(outcome, Delivered):
                # Such an outcome may have come without waiting for the network.
                await self._turns.pause()
            if isinstance(outcome, Gone):
                await self._remove(subscription)
                return True
            if isinstance(outcome, Retry):
                due = await self._sender.next_attempt(
                    subscription, message, attempt, outcome.after
                )
                if due is not None:
                    self._count("retried", subscription)
                    taken.attempt = attempt
                    await self._settle(taken, due)
                    return False
            healthy = not isinstance(outcome, Retry)
            if isinstance(outcome, Retry | Failed):
                self._give_up(taken, message, attempt, outcome.reason)
            self._advance(taken)
        await self._settle(taken, None)
        return healthy

    def _advance(self, taken: _LeasedDelivery) -> None:
        """Go on to the next message, and have the progress recorded now and then.

        Nothing waits for the record: a crash repeats what was sent since the last.
        """
        taken.position += 1
        taken.attempt = 0
        now = self.clock.now()
        if now < taken.recorded + _PROGRESS or taken.lock.locked():
            return
        taken.recorded = now
        task = asyncio.create_task(self._extend(taken, now + LEASE))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _count(self, event: str, subscription: Subscription) -> None:
        self.dispatcher.counts.add(event, self.dispatcher.kind(subscription))

    def _give_up(
        self, taken: _LeasedDelivery, message: Noticed, attempt: int, reason: str
    ) -> None:
        subscription = taken.delivery.subscription
        self._count("failed", subscription)
        # One warning for the many messages of a subscriber that takes none.
        LOG.log(
            logging.DEBUG if taken.gave_up else logging.WARNING,
            "gave up on message %s for %s after attempt %d: %s",
            message.id,
            named(subscription),
            attempt,
            reason,
        )
        taken.gave_up = True

    async def _remove(self, subscription: Subscription) -> None:
        """Delete a subscription whose subscriber is gone."""
        self._count("gone", subscription)
        LOG.info("%s: its subscriber is gone, it is removed", named(subscription))
        await self._repeat(
            lambda: self._storage.do(
                SubscriptionDelete(
                    subscription.project, subscription.source, subscription.id
                )
            )
        )
        self.dispatcher.ended(subscription)

    async def _settle(self, taken: _LeasedDelivery, due: float | None) -> None:
        """Record in the store how far a delivery got; repeat until it succeeds.

        Otherwise sent messages would be sent again. After a time limit this goes on
        in the background, so that a store that hangs keeps no slots occupied.
        """
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_STORE_SECONDS):
                return await self._record(taken, due, last=True)
        if len(self._settling) >= 2 * self._settings.max_notifier_workers:
            return await self._repeat(lambda: self._record(taken, due, last=True))
        taken.settling = True
        task = asyncio.create_task(self._settle_and_drop(taken, due))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return None

    async def _settle_and_drop(self, taken: _LeasedDelivery, due: float | None) -> None:
        try:
            await self._repeat(lambda: self._record(taken, due, last=True))
        except Exception as error:  # noqa: BLE001 - the delivery is given out again
            log_defect(named(taken.delivery.subscription), error)
        self._drop(taken)

    async def _record(
        self, taken: _LeasedDelivery, due: float | None, *, last: bool = False
    ) -> None:
        async with taken.lock:
            if taken.settled:
                return
            await self._storage.do(
                DeliverySettle(
                    taken.delivery.key,
                    position=taken.position,
                    attempt=taken.attempt,
                    due=due,
                )
            )
            taken.settled = last

    async def _repeat(self, call: Callable[[], Awaitable[None]]) -> None:
        for wait in doubling(*_STORE_WAITS):
            try:
                await call()
            except Unavailable as error:
                LOG.debug("a delivery is not settled yet: %s", error)
                await self._sleep(wait)
            else:
                return
