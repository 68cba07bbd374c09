"""Compares the outbox of a driver with a model, in random steps.

Use it like :func:`zaqarserver.storage.testing.machine.state_machine`.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from zaqarserver.storage.base import Durability, NewMessage, Storage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.subscriptions import (
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionPurge,
)

T = TypeVar("T")

LEASE = 30.0

#: More than there are subscriptions and messages.
MOST_TAKES = 200

# Most steps are about one queue with some subscriptions, and what ends all is rare.
queues = st.sampled_from(["a"] * 5 + ["b"])
subscribers = st.sampled_from(["http://a/", "http://b/", "http://c/"])
ttls = st.sampled_from([60, 600, 600])
rarely = st.sampled_from([False] * 5 + [True])


@dataclass
class ModelReceiver:
    """A subscription, and what it has still to get.

    Attributes:
        ends: When it expires.
        pending: Bodies and ends of messages, in order.
        due: When it is due again, while a delivery is out or waits for a retry.
        attempt: Failures of the first message.
    """

    ends: float
    pending: list[tuple[bytes, float]] = field(default_factory=list)
    due: float | None = None
    attempt: int = 0


class OutboxMachine(RuleBasedStateMachine):
    """The steps; each delivery is compared with what the subscription has to get."""

    #: Makes a closed driver with its files, if any, in the directory.
    make: Callable[[Path], Storage]

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner()
        self.storage = type(self).make(Path(self._directory.name))
        self._run(self.storage.open())
        self._numbers = itertools.count(1)
        self.now = 1_000_000.0
        self.receivers: dict[tuple[str, str], tuple[str, ModelReceiver]] = {}
        self.out: list[tuple[ModelReceiver, Delivery]] = []

    def teardown(self) -> None:
        self._run(self.storage.close())
        self._runner.close()
        self._directory.cleanup()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    # -- posts and subscriptions ----------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.subscribe("a", "http://a/", 6000)
        self.subscribe("a", "http://b/", 6000)

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for key, (_, receiver) in list(self.receivers.items()):
            if receiver.ends <= self.now:
                del self.receivers[key]

    @rule(queue=queues, count=st.integers(1, 5), ttl=ttls)
    def post(self, queue: str, count: int, ttl: int) -> None:
        bodies = [b"%d" % next(self._numbers) for _ in range(count)]
        messages = [NewMessage(body, ttl) for body in bodies]
        self._run(self.storage.do(MessagePost("p", queue, "c", messages, self.now)))
        for (of_queue, _), (_, receiver) in self.receivers.items():
            if of_queue == queue:
                receiver.pending += [(body, self.now + ttl) for body in bodies]

    @rule(queue=queues, subscriber=subscribers, ttl=st.sampled_from([90, 6000, 6000]))
    def subscribe(self, queue: str, subscriber: str, ttl: int) -> None:
        made, is_new = self._run(
            self.storage.do(
                SubscriptionCreate(
                    "p",
                    queue,
                    subscriber=subscriber,
                    ttl=ttl,
                    options={},
                    now=self.now,
                )
            )
        )
        key = (queue, subscriber)
        assert is_new is (key not in self.receivers)
        if is_new:
            self.receivers[key] = (made.id, ModelReceiver(self.now + ttl))

    @rule(queue=queues, subscriber=subscribers, wanted=rarely)
    def unsubscribe(self, queue: str, subscriber: str, wanted: bool) -> None:
        if not wanted:
            return
        found = self.receivers.pop((queue, subscriber), None)
        if found is not None:
            self._run(self.storage.do(SubscriptionDelete("p", queue, found[0])))

    @rule(queue=queues, wanted=rarely, really=rarely)
    def purge(self, queue: str, wanted: bool, really: bool) -> None:
        if wanted and really:
            self._run(self.storage.do(SubscriptionPurge("p", queue)))
            for key in [key for key in self.receivers if key[0] == queue]:
                del self.receivers[key]

    # -- deliveries -------------------------------------------------------------

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        command = DeliveryTake(self.now, limit=limit, lease=LEASE, confirmed_only=False)
        # A take may find only such as have nothing left to get, and give nothing.
        for _ in range(MOST_TAKES):
            taken = self._run(self.storage.do(command))
            assert len(taken) <= limit
            for delivery in taken:
                self._taken(delivery)
            due = self._run(self.storage.do(DeliveryDue(self.now)))
            if due is None or due > self.now:
                break
        left = [
            receiver
            for _, receiver in self.receivers.values()
            if self._live(receiver)
            and (receiver.due is None or receiver.due <= self.now)
        ]
        assert left == []

    def _taken(self, delivery: Delivery) -> None:
        subscription = delivery.subscription
        id_, receiver = self.receivers[subscription.queue, subscription.subscriber]
        assert subscription.id == id_
        assert receiver.due is None or receiver.due <= self.now
        given = delivery.messages[delivery.position :]
        bodies = [one.body for one in given if one.expires > self.now]
        live = self._live(receiver)
        assert given
        assert bodies == live[: len(bodies)]
        if given[0].body == receiver.pending[0][0]:
            assert delivery.attempt == receiver.attempt
        receiver.due = self.now + LEASE
        self.out.append((receiver, delivery))

    def _live(self, receiver: ModelReceiver) -> list[bytes]:
        return [body for body, ends in receiver.pending if ends > self.now]

    @precondition(lambda self: self.out)
    @rule(
        data=st.data(),
        attempt=st.integers(0, 2),
        wait=st.sampled_from([0, 5, 60]),
        posts=st.integers(0, 2),
        again=st.booleans(),
    )
    def settle(
        self, data: Any, attempt: int, wait: float, posts: int, again: bool
    ) -> None:
        """Settle a delivery, also one whose lease has ended.

        There may be posts before, and a take after it, as often in a server.
        """
        at = data.draw(st.integers(0, len(self.out) - 1))
        receiver, delivery = self.out[at]
        for _ in range(posts):
            self.post(delivery.subscription.queue, 1, 600)
        count = len(delivery.messages)
        ends = st.just(count) | st.integers(delivery.position, count)
        due: float | None = self.now + wait
        if any(one is receiver for one, _ in self.out[at + 1 :]):
            # It was taken again since. A store may ignore what is behind that.
            ends = st.integers(delivery.position, count - 1)
            due, attempt = receiver.due, receiver.attempt
        elif all(one.expires <= self.now for one in delivery.messages):
            # A take may have found that since, and have gone on behind them.
            ends = st.just(count)
        position = data.draw(ends)
        due = None if position == count else due
        self._run(
            self.storage.do(
                DeliverySettle(
                    delivery.key, position=position, attempt=attempt, due=due
                )
            )
        )
        self.out = [one for one in self.out if one[0] is not receiver]
        done = {one.body for one in delivery.messages[:position]}
        receiver.pending = [one for one in receiver.pending if one[0] not in done]
        receiver.due = due
        receiver.attempt = 0 if due is None else attempt
        if again:
            self.take(2)

    @rule()
    def sweep(self) -> None:
        while self._run(self.storage.sweep(self.now)):
            pass

    @precondition(lambda self: self.storage.durability is not Durability.MEMORY)
    @rule(wanted=rarely)
    def reopen(self, wanted: bool) -> None:
        """Restart, and wait until all leases have ended."""
        if not wanted:
            return
        self._run(self.storage.close())
        self._run(self.storage.open())
        self.now += LEASE
        self.time_passes(0.0)
        self.out = []

    @invariant()
    def what_is_due_is_known(self) -> None:
        due = self._run(self.storage.do(DeliveryDue(self.now)))
        times = [
            self.now if receiver.due is None else receiver.due
            for _, receiver in self.receivers.values()
            if self._live(receiver)
        ]
        assert not times or (due is not None and due <= min(times))


def outbox_machine(make: Callable[[Path], Storage]) -> type[OutboxMachine]:
    """Return the machine for a driver.

    Args:
        make: Makes a closed driver; gets a fresh directory for its files.
    """
    return type("DriverOutbox", (OutboxMachine,), {"make": staticmethod(make)})
