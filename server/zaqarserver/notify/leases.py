"""The deliveries under a lease of this process, and their records in the store.

A lease is renewed while this process lives. The progress of a delivery is recorded now
and then while it is being sent, and finally when it is settled. Only one call of the
store for a delivery runs at a time, so that a renewal cannot overtake the settle.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from zaqarserver.clock import Clock, sleep
from zaqarserver.common import deadline
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import Unavailable
from zaqarserver.notify.dispatch import log_defect, named
from zaqarserver.notify.readable import SubscriptionFilter
from zaqarserver.storage.base import Storage
from zaqarserver.storage.subscriptions import Delivery, DeliverySettle, NoticeMessage

LOG = logging.getLogger(__name__)

LEASE: Final = 10.0  # seconds; deliveries of a dead process are free after it

#: Seconds between tries while the store is unavailable.
STORE_WAITS: Final = (0.5, 3.0)

_TICK = LEASE / 3
_PROGRESS = 0.1  # seconds between two records of how far a delivery got
_STORE_SECONDS = 2.0  # time limit of a renewal, and of all at the end

Send = Callable[["LeasedDelivery"], Awaitable[bool]]


class LeasedDelivery:
    """A delivery under a lease of this process: a job for the slots.

    Attributes:
        delivery: The delivery.
        filter: The filter of its subscription.
        lease: When the lease ends.
        position: How many of its messages are done.
        attempt: How many times sending the next one has failed.
        gave_up: True if it gave up on some message.
        recorded: When the position was recorded last.
        settled: True if it is settled in the store.
        settling: True while a background task settles it.
        lock: Held during a call of the store.
    """

    __slots__ = (
        "_leases",
        "_send",
        "attempt",
        "delivery",
        "filter",
        "gave_up",
        "lease",
        "lock",
        "position",
        "recorded",
        "settled",
        "settling",
    )

    def __init__(
        self, leases: Leases, send: Send, delivery: Delivery, lease: float
    ) -> None:
        self._leases = leases
        self._send = send
        self.delivery = delivery
        self.filter = SubscriptionFilter(delivery.subscription)
        self.lease = lease
        self.position = delivery.position
        self.attempt = delivery.attempt
        self.gave_up = False
        self.recorded = lease - LEASE
        self.settled = False
        self.settling = False
        self.lock = asyncio.Lock()

    @property
    def is_done(self) -> bool:
        """True if all of its messages are done."""
        return self.position >= len(self.delivery.messages)

    @property
    def message(self) -> NoticeMessage:
        """The next message."""
        return self.delivery.messages[self.position]

    def has(self, delivery: Delivery) -> bool:
        """Return True if a delivery of the same subscription is not what follows it."""
        if not self.settling or self.settled:
            return not self.settled
        following = delivery.messages[delivery.position].id
        done = self.delivery.messages[: self.position]
        return following in {message.id for message in done}

    async def run(self) -> bool:
        """Send the messages that are left."""
        return await self._send(self)

    async def postpone(self, seconds: float) -> None:
        """Return it to the store, due again after some seconds."""
        await self._leases.postpone(self, seconds)


class Leases:
    """Keeps leases, records progress, and settles.

    Args:
        storage: The store.
        clock: The clock.
        background: How many deliveries may be settled in the background.
    """

    def __init__(self, storage: Storage, clock: Clock, background: int) -> None:
        self._storage = storage
        self._clock = clock
        self._background = background
        # Of one subscription only one delivery is out, whatever its key.
        self._held: dict[str, LeasedDelivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(
        self, delivery: Delivery, lease: float, send: Send
    ) -> LeasedDelivery | None:
        """Keep a delivery that was taken; ``None`` if it is being sent already."""
        held = self._held.get(delivery.subscription.id)
        if held is not None and held.has(delivery):
            held.lease = lease  # the lease had ended, and we took it again
            return None
        taken = LeasedDelivery(self, send, delivery, lease)
        self._held[delivery.subscription.id] = taken
        return taken

    def drop(self, taken: LeasedDelivery) -> None:
        """Forget a delivery: it is settled, or its lease is left to end."""
        id_ = taken.delivery.subscription.id
        if not taken.settling and self._held.get(id_) is taken:
            del self._held[id_]

    async def postpone(self, taken: LeasedDelivery, seconds: float) -> None:
        """Return a delivery to the store, due again after some seconds.

        If the store is unavailable, it is due when its lease ends.
        """
        self.drop(taken)
        with contextlib.suppress(Unavailable):
            await self._record(taken, self._clock.now() + seconds, last=True)

    async def close(self) -> None:
        """Return all deliveries to the store, due at once."""
        for task in self._tasks:
            task.cancel()
        with deadline.within(_STORE_SECONDS):
            held = list(self._held.values())
            await asyncio.gather(*(self.postpone(taken, 0) for taken in held))

    # -- while a delivery is being sent ---------------------------------------

    async def renew(self) -> None:
        """Wait for a tick, then renew the leases of all deliveries."""
        await sleep(self._clock, _TICK)
        await asyncio.gather(*map(self._renew_one, list(self._held.values())))

    async def _renew_one(self, taken: LeasedDelivery) -> None:
        lease = self._clock.now() + LEASE
        if lease - taken.lease >= _TICK:
            await self._extend(taken, lease)

    async def _extend(self, taken: LeasedDelivery, lease: float) -> None:
        """Renew a lease, within a time limit, so that none delays the others."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_STORE_SECONDS):
                await self._record(taken, lease)
                taken.lease = lease

    def advance(self, taken: LeasedDelivery) -> None:
        """Go on to the next message, and have the progress recorded now and then.

        Nothing waits for the record: a crash repeats what was sent since the last.
        """
        taken.position += 1
        taken.attempt = 0
        now = self._clock.now()
        # The whole of it is recorded by settle() only: what is taken next must find
        # that this one is over.
        if taken.is_done or now < taken.recorded + _PROGRESS or taken.lock.locked():
            return
        taken.recorded = now
        self._start(self._extend(taken, now + LEASE))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- at its end -------------------------------------------------------------

    async def settle(self, taken: LeasedDelivery, due: float | None) -> None:
        """Record in the store how far a delivery got; repeat until it succeeds.

        Otherwise sent messages would be sent again. This goes on in the background, so
        that the next take joins its commit, and a store that hangs occupies no slots;
        unless too many wait already.
        """
        taken.settling = True
        task = self._start(self._settle(taken, due))
        if len(self._tasks) > self._background:
            await asyncio.wait([task])

    async def _settle(self, taken: LeasedDelivery, due: float | None) -> None:
        try:
            await self.repeat(lambda: self._record(taken, due, last=True))
        except Exception as error:  # noqa: BLE001 - the delivery is given out again
            log_defect(named(taken.delivery.subscription), error)
        taken.settling = False
        self.drop(taken)

    async def _record(
        self, taken: LeasedDelivery, due: float | None, *, last: bool = False
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

    async def repeat(self, call: Callable[[], Awaitable[None]]) -> None:
        """Call the store until it is available."""
        for wait in doubling(*STORE_WAITS):
            try:
                await call()
            except Unavailable as error:
                LOG.debug("a delivery is not settled yet: %s", error)
                await sleep(self._clock, wait)
            else:
                return
