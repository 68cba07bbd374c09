"""The outbox worker: takes deliveries from the store, sends and settles them.

The schedule is the store's: what has to wait for a retry is given back with the
time at which it is due, and holds nothing here. What is being sent is under a
lease that is renewed while this process lives; if it dies, the store gives the
delivery out again. So each message is sent at least once: a crash between the
sending and the settling sends it twice.
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
from zaqarserver.notify.dispatch import Dispatch, load_deliverers, log_defect, named
from zaqarserver.notify.known import Admission, Readable
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

LEASE: Final = 10.0  # seconds; what a dead process holds is free after it
_TICK = LEASE / 3
_BATCH = 100
_STORE_WAITS = (0.5, 3.0)  # seconds between tries while the store is away
_STORE_SECONDS = 2.0  # that a store gets to hear of a lease, or of all at the end
_IDLE = 1.0  # seconds; due, the store says, but nothing to be had


class _Taken:
    """A delivery that this process holds: a job for the slots."""

    __slots__ = (
        "_notifier",
        "attempt",
        "delivery",
        "gave_up",
        "lease",
        "position",
        "settled",
        "settling",
        "turn",
    )

    def __init__(self, notifier: Notifier, delivery: Delivery, lease: float) -> None:
        self._notifier = notifier
        self.delivery = delivery
        self.lease = lease
        self.position = delivery.position
        self.attempt = delivery.attempt
        self.settled = False
        self.settling = False
        self.gave_up = False  # on some message
        # One word to the store at a time: a renewal must not overtake the end.
        self.turn = asyncio.Lock()

    async def run(self) -> bool:
        """Send what is left of it."""
        return await self._notifier.work(self)

    async def put_off(self, seconds: float) -> None:
        """Give it back to the store for a while."""
        await self._notifier.give_back(self, seconds)


class Notifier:
    """Tells subscribers of messages.

    Args:
        storage: The store; :meth:`noticed` is to be given to its ``watch``.
        settings: The settings.
        queue_metadata: Returns the metadata of a queue by space and name, for
            its retry policy, or ``None``; may raise ``Unavailable``.
        readable: Returns the body of a message as JSON text, by project, queue
            and message: decrypted, and through the stages. ``None`` drops it.
        clock: The time.
        turns: Slices what is done without sending.
        dispatch: The deliverers; by default all that are installed.

    Raises:
        SettingsError: A deliverer refuses its settings.
    """

    def __init__(
        self,
        storage: Storage,
        settings: NotifySettings,
        *,
        queue_metadata: QueueMetadata,
        readable: Readable,
        clock: Clock | None = None,
        turns: Turns | None = None,
        dispatch: Dispatch | None = None,
    ) -> None:
        self._storage = storage
        self._settings = settings
        self.clock: Clock = clock or Clock()
        self._turns = turns or Turns()
        self.dispatch = dispatch or Dispatch(load_deliverers(settings))
        self._sender = Sender(self.dispatch, self.clock, queue_metadata, readable)
        self.slots = Slots(
            settings.max_notifier_workers,
            settings.max_deliveries_per_endpoint,
            self.clock,
            self.noticed,
        )
        self._held: dict[str, _Taken] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._chores: list[asyncio.Task[None]] = []

    def noticed(self) -> None:
        """Look whether there is something to send; call it on the event loop."""
        self._wake.set()

    def counters(self) -> dict[tuple[str, str], int]:
        """Return how many messages met which end, by event and kind.

        The events are those of :class:`zaqarserver.notify.dispatch.Counts`.
        """
        return self.dispatch.counts.numbers()

    async def start(self) -> None:
        """Begin to send; the store is open."""
        await self.dispatch.open()
        self._chores = [
            asyncio.create_task(self._forever(self._take_and_wait)),
            asyncio.create_task(self._forever(self._renew)),
        ]

    async def stop(self) -> None:
        """Take nothing more, let what is being sent end for a short while.

        What was not sent stays in the store and is due at once. Safe to repeat.
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
            await asyncio.gather(*(self.give_back(taken, 0) for taken in held))
        await self.dispatch.close()

    # -- taking -------------------------------------------------------------

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a chore; while the store is away, less and less often."""
        waits = doubling(*_STORE_WAITS)
        while True:
            try:
                await step()
            except Unavailable as error:
                LOG.warning("notifications wait for the store: %s", error)
            # A driver is anybody's code; one defect must not end all deliveries.
            except Exception as error:  # noqa: BLE001
                log_defect("notifications stand still", error)
            else:
                waits = doubling(*_STORE_WAITS)
                continue
            await self._sleep(next(waits))

    async def _take_and_wait(self) -> None:
        self._wake.clear()
        await self._until(await self._take())

    async def _take(self) -> float | None:
        """Take what there is room for; return when to look again."""
        while room := min(self.slots.room, _BATCH):
            now = self.clock.now()
            taken = await self._storage.do(
                DeliveryTake(
                    now,
                    limit=room,
                    lease=LEASE,
                    confirmed_only=self._settings.require_confirmation,
                )
            )
            for delivery in taken:
                self._place(delivery, now + LEASE)
            if len(taken) == room:
                continue
            due = await self._storage.do(DeliveryDue(now))
            if due is None or due > now:
                return due
            if not taken:
                return now + _IDLE
        return None  # a slot that gets free wakes us

    def _place(self, delivery: Delivery, lease: float) -> None:
        held = self._held.get(delivery.key)
        if held is not None and not held.settled:
            held.lease = lease  # it ran out, and we got it again
            return
        taken = _Taken(self, delivery, lease)
        self._held[delivery.key] = taken
        self.slots.offer(self.dispatch.endpoint(delivery.subscription), taken)

    def _let_go(self, taken: _Taken) -> None:
        if self._held.get(taken.delivery.key) is taken:
            del self._held[taken.delivery.key]

    async def give_back(self, taken: _Taken, seconds: float) -> None:
        """Let a delivery come up again after so many seconds.

        If the store does not hear of it, it comes up when its lease ends.
        """
        self._let_go(taken)
        with contextlib.suppress(Unavailable):
            await self._tell(taken, self.clock.now() + seconds, last=True)

    async def _until(self, due: float | None) -> None:
        """Wait until something was noticed, or until ``due``."""
        if due is None:
            await self._wake.wait()
            return
        timer = self.clock.call_at(due, self.noticed)
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
        """Keep the leases of what is held, after a while."""
        await self._sleep(_TICK)
        await asyncio.gather(*map(self._renew_one, list(self._held.values())))

    async def _renew_one(self, taken: _Taken) -> None:
        """Keep a lease; a store that does not hear it keeps no other one waiting."""
        lease = self.clock.now() + LEASE
        if lease - taken.lease < _TICK:
            return
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_STORE_SECONDS):
                await self._tell(taken, lease)
                taken.lease = lease

    # -- sending ------------------------------------------------------------

    async def work(self, taken: _Taken) -> bool:
        """Send the messages of a delivery in order, in a slot.

        Returns:
            Whether the endpoint is well.
        """
        try:
            well = await self._deliver(taken)
        # Whatever it is: the lease ends and the delivery comes up again.
        except Exception as error:  # noqa: BLE001
            log_defect(named(taken.delivery.subscription), error)
            well = False
        # Not reached when cancelled: stop() gives back what is still held.
        if not taken.settling:
            self._let_go(taken)
        return well

    async def _deliver(self, taken: _Taken) -> bool:
        subscription = taken.delivery.subscription
        admission = Admission(subscription)
        well = True
        for message in taken.delivery.messages[taken.position :]:
            if self.clock.now() >= taken.lease:
                return True  # somebody else may have it by now
            if self._sender.drops(subscription, admission, message):
                taken.position += 1
                taken.attempt = 0
                await self._turns.pause()
                continue
            attempt = taken.attempt + 1
            outcome = await self._sender.send(subscription, admission, message, attempt)
            if not isinstance(outcome, Delivered):
                # What took no time of a subscriber's may have taken ours alone.
                await self._turns.pause()
            if isinstance(outcome, Gone):
                await self._end(subscription)
                return True
            if isinstance(outcome, Retry):
                due = await self._sender.again(
                    subscription, message, attempt, outcome.after
                )
                if due is not None:
                    self._count("retried", subscription)
                    taken.attempt = attempt
                    await self._settle(taken, due)
                    return False
            well = not isinstance(outcome, Retry)
            if isinstance(outcome, Retry | Failed):
                self._give_up(taken, message, attempt, outcome.reason)
            taken.position += 1
            taken.attempt = 0
        await self._settle(taken, None)
        return well

    def _count(self, event: str, subscription: Subscription) -> None:
        self.dispatch.counts.add(event, self.dispatch.kind(subscription))

    def _give_up(
        self, taken: _Taken, message: Noticed, attempt: int, reason: str
    ) -> None:
        subscription = taken.delivery.subscription
        self._count("failed", subscription)
        # One line for the many messages of a subscriber that takes none.
        LOG.log(
            logging.DEBUG if taken.gave_up else logging.WARNING,
            "gave up on message %s for %s after attempt %d: %s",
            message.id,
            named(subscription),
            attempt,
            reason,
        )
        taken.gave_up = True

    async def _end(self, subscription: Subscription) -> None:
        """Remove a subscription whose subscriber wants nothing more."""
        self._count("gone", subscription)
        LOG.info("%s: its subscriber is gone, it is removed", named(subscription))
        await self._insist(
            lambda: self._storage.do(
                SubscriptionDelete(
                    subscription.project, subscription.source, subscription.id
                )
            )
        )
        self.dispatch.ended(subscription)

    async def _settle(self, taken: _Taken, due: float | None) -> None:
        """Tell the store how a delivery went, until it has heard.

        Otherwise what was sent would be sent again. A store that stands still holds
        no slot for long, which deliveries of others may need.
        """
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_STORE_SECONDS):
                return await self._tell(taken, due, last=True)
        if len(self._settling) >= 2 * self._settings.max_notifier_workers:
            return await self._insist(lambda: self._tell(taken, due, last=True))
        taken.settling = True
        task = asyncio.create_task(self._settle_and_let_go(taken, due))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return None

    async def _settle_and_let_go(self, taken: _Taken, due: float | None) -> None:
        try:
            await self._insist(lambda: self._tell(taken, due, last=True))
        except Exception as error:  # noqa: BLE001 - the delivery comes up again
            log_defect(named(taken.delivery.subscription), error)
        self._let_go(taken)

    async def _tell(
        self, taken: _Taken, due: float | None, *, last: bool = False
    ) -> None:
        async with taken.turn:
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

    async def _insist(self, say: Callable[[], Awaitable[None]]) -> None:
        for wait in doubling(*_STORE_WAITS):
            try:
                await say()
            except Unavailable as error:
                LOG.debug("the store has not heard of a delivery: %s", error)
                await self._sleep(wait)
            else:
                return
