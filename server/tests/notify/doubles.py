"""A clock that tests move, a store that goes by it, and a deliverer that obeys."""

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
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    Subscription,
    SubscriptionCreate,
    SubscriptionList,
    ignore,
)

NOW = 1_000_000.0
PROJECT = "4f2a"
SOURCE = "orders"
_NUMBERS = itertools.count(1)
TURNS = 10_000  # of the loop: a bound on what may happen at one moment


async def turns():
    """Run everything that does not wait for the clock or a socket."""
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


def subscription_of(subscriber, source=SOURCE, *, confirmed=True, **options):
    """Make a subscription that is in no store."""
    return Subscription(
        id=f"s{next(_NUMBERS)}",
        space=PROJECT,
        queue=source,
        subscriber=subscriber,
        ttl=3600,
        age=0,
        options=options,
        confirmed=confirmed,
    )


def notification_of(subscriber, *, body=b'{"event": "started"}', attempt=1, **options):
    """Make a notification for a subscriber with these options."""
    return Notification(
        subscription=subscription_of(subscriber, "backups", **options),
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
    """A clock that only moves on demand, and runs its timers."""

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


class Store:
    """An SQLite store in memory: all that it does is done in turns of the loop.

    Attributes:
        away: Whether the notifier cannot reach it.
        noticed: Called when there may be a delivery that is due earlier.
    """

    def __init__(self, clock):
        self.away = False
        self.noticed = ignore
        self._clock = clock
        self._sqlite = SQLiteStorage.from_uri("sqlite://:memory:", {})
        self._sqlite.watch(ignore, self._notice)

    async def open(self):
        await self._sqlite.open()

    async def close(self):
        await self._sqlite.close()

    def _notice(self):
        self.noticed()

    async def do(self, command):
        if self.away:
            raise Unavailable("the store is away")
        return await self._sqlite.do(command)

    async def subscribe(self, subscriber, *, confirmed=True, **options):
        made, is_new = await self._sqlite.do(
            SubscriptionCreate(
                PROJECT,
                SOURCE,
                subscriber=subscriber,
                ttl=3600,
                options=options,
                now=self._clock.now(),
                confirmed=confirmed,
            )
        )
        assert is_new
        return made

    async def subscribers(self):
        """Return who subscribes still."""
        command = SubscriptionList(
            PROJECT, SOURCE, marker=None, limit=20, now=self._clock.now()
        )
        return [one.subscriber for one in await self._sqlite.do(command)]

    async def post(self, *bodies, ttl=300):
        """Store messages and what is to be told of them; return their ids."""
        messages = [NewMessage(body, ttl, 0) for body in bodies]
        now = self._clock.now()
        return await self._sqlite.do(
            MessagePost(PROJECT, SOURCE, "client", messages, now)
        )

    async def is_settled(self):
        """Return whether nothing is to be told any more."""
        return await self._sqlite.do(DeliveryDue(self._clock.now())) is None


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
