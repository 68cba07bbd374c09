"""A clock that tests move, a store in memory and a deliverer that obeys."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from urllib.parse import urlsplit

import msgspec
from zaqarserver.errors import Unavailable
from zaqarserver.notify import payload
from zaqarserver.notify.deliverer import Delivered, Deliverer, Notification
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Noticed,
    Subscription,
    SubscriptionDelete,
)

NOW = 1_000_000.0
PROJECT = "4f2a"
TURNS = 10_000  # of the loop: a bound on what may happen at one moment


async def turns():
    """Let everything happen that does not wait for the clock or a socket."""
    loop = asyncio.get_running_loop()
    for _ in range(TURNS):
        await asyncio.sleep(0)
        if not loop._ready:
            return
    raise AssertionError("it does not come to rest")


def always(outcome):
    """Return a behaviour that is the same for every notification."""

    def behave(notification):
        return outcome

    return behave


def notification_of(subscriber, *, body=b'{"event": "started"}', attempt=1, **options):
    """Make a notification for a subscriber with these options."""
    return Notification(
        subscription=Subscription(
            id="s1",
            project=PROJECT,
            source="backups",
            subscriber=subscriber,
            ttl=3600,
            age=0,
            options=options,
            confirmed=True,
        ),
        id="m1",
        payload=payload.notification("backups", body, 300),
        attempt=attempt,
        now=NOW,
    )


class _Timer:
    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class FakeClock:
    """Stands still until it is moved; calls back on the way."""

    def __init__(self):
        self.time = NOW
        self._timers = []
        self._number = itertools.count()

    def now(self):
        return self.time

    wall = now

    def ahead(self):
        return 0.0

    def call_at(self, when, callback):
        timer = _Timer(callback)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    async def advance(self, seconds):
        """Go on by so many seconds, stopping at each timer on the way."""
        end = self.time + seconds
        await turns()
        while self._timers and self._timers[0][0] <= end:
            when, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self.time = max(self.time, when)
                timer.callback()
                await turns()
        self.time = end
        await turns()


class _Row(msgspec.Struct):
    subscription: Subscription
    messages: list[Noticed]
    position: int
    attempt: int
    due: float


class MemoryStore:
    """The delivery half of the contract, as simple as can be.

    Attributes:
        away: Whether the store cannot be reached.
    """

    def __init__(self, clock):
        self.clock = clock
        self.away = False
        self.noticed = lambda: None
        self.rows: dict[str, _Row] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self._numbers = itertools.count(1)

    def subscribe(self, subscriber, source="orders", *, confirmed=True, **options):
        subscription = Subscription(
            id=f"s{next(self._numbers):04}",
            project=PROJECT,
            source=source,
            subscriber=subscriber,
            ttl=3600,
            age=0,
            options=options,
            confirmed=confirmed,
        )
        self.subscriptions[subscription.id] = subscription
        return subscription

    def post(self, *bodies, source="orders", ttl=300):
        """Store messages and what is to be told of them, in one step."""
        now = self.clock.now()
        messages = [
            Noticed(f"m{next(self._numbers):04}", body, ttl, 0, now + ttl)
            for body in bodies
        ]
        for subscription in self.subscriptions.values():
            if subscription.source == source:
                row = _Row(subscription, messages, 0, 0, now)
                self.rows[f"{next(self._numbers):04}"] = row
        self.noticed()
        return [message.id for message in messages]

    def _check(self):
        if self.away:
            raise Unavailable("the store is away")

    def _oldest(self):
        seen = set()
        for key, row in self.rows.items():
            if row.subscription.id not in seen:
                seen.add(row.subscription.id)
                yield key, row

    async def do(self, command):
        self._check()
        match command:
            case DeliveryTake():
                return self._take(command)
            case DeliverySettle():
                return self._settle(command)
            case DeliveryDue():
                return min((row.due for _, row in self._oldest()), default=None)
            case SubscriptionDelete(subscription_id=gone):
                return self._delete(gone)

    def _take(self, wanted):
        if wanted.confirmed_only:
            self.rows = {
                key: row for key, row in self.rows.items() if row.subscription.confirmed
            }
        due = sorted(
            (row.due, key) for key, row in self._oldest() if row.due <= wanted.now
        )[: wanted.limit]
        for _, key in due:
            self.rows[key].due = wanted.now + wanted.lease
        return [
            Delivery(key, row.subscription, row.messages, row.position, row.attempt)
            for key, row in ((key, self.rows[key]) for _, key in due)
        ]

    def _settle(self, settled):
        row = self.rows.get(settled.key)
        if row is None:
            return
        if settled.position == len(row.messages):
            del self.rows[settled.key]
        else:
            row.position, row.attempt = settled.position, settled.attempt
            row.due = settled.due
        self.noticed()

    def _delete(self, subscription_id):
        self.subscriptions.pop(subscription_id, None)
        self.rows = {
            key: row
            for key, row in self.rows.items()
            if row.subscription.id != subscription_id
        }


class Obedient(Deliverer):
    """Keeps what it is given, and does what ``behave`` says.

    Attributes:
        sent: The notifications, in the order of the attempts.
        behave: Returns an outcome for a notification, or something to await for one.
    """

    def __init__(self, clock, behave=None):
        super().__init__(NotifySettings())
        self.clock = clock
        self.behave = behave or always(Delivered())
        self.sent = []
        self.times = []

    def endpoint(self, subscription):
        return urlsplit(subscription.subscriber).netloc

    async def deliver(self, notification):
        self.sent.append(notification)
        self.times.append(self.clock.now() - NOW)
        outcome = self.behave(notification)
        return await outcome if asyncio.iscoroutine(outcome) else outcome

    def bodies(self, host=None):
        """Return the bodies of what was sent, maybe to one host only."""
        return [
            msgspec.json.decode(notification.payload)["body"]
            for notification in self.sent
            if host in (None, urlsplit(notification.subscription.subscriber).netloc)
        ]
