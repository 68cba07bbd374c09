"""Cursors: the seam between a store and its posts, whatever arrives when."""

from __future__ import annotations

import asyncio
import json

import pytest
from zaqarserver.common.budget import Budget
from zaqarserver.errors import Unavailable
from zaqarserver.notify import cursors
from zaqarserver.notify.cursors import BacklogReader
from zaqarserver.notify.websocket import Hub
from zaqarserver.storage.base import Message
from zaqarserver.storage.subscriptions import NoticeMessage, Post, Subscription

pytestmark = pytest.mark.anyio


def id_of(number):
    return f"{number:014x}{'5' * 16}"


def before(number):
    """Return how the id of a message begins."""
    return f"{number:014x}"


def subscription(options):
    return Subscription("s", "p", "q", "http://s/", 60, 0, options, True)


async def until(condition):
    """Run the loop of the cursors until something is so."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


class Memory:
    budget = Budget()


class Peer:
    """A connection that takes pushes when a test lets it."""

    memory = Memory()

    def __init__(self):
        self.numbers = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.failed = False

    def push(self, text):
        frame = json.loads(text)
        assert frame["message_id"] == id_of(frame["body"])
        self.numbers.append(frame["body"])

    push_next = push

    async def room(self):
        await self.reads.wait()

    def fail(self):
        self.failed = True


class Store:
    """A store whose messages a test chooses."""

    def __init__(self):
        self.numbers = []
        self.failures = 0
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()

    async def do(self, command):
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        after = command.marker or ""
        numbers = [one for one in sorted(self.numbers) if id_of(one) > after]
        await self.open.wait()
        return [
            Message(id_of(one), b"%d" % one, 60, 0) for one in numbers[: command.limit]
        ]


class Scene:
    """A hub with one subscription that resumes."""

    def __init__(self, after="", **options):
        self.store = Store()
        self.hub = Hub(reader=BacklogReader(self.store, lambda: 0.0, 1000))
        self.peer = Peer()
        self.subscription = Subscription(
            "s", "p", "q", "http://s/", 60, 0, options, True
        )
        self.after = after

    def listen(self):
        self.hub.add(self.subscription, self.peer, self.after)

    def post(self, *numbers, after=None, kept=True):
        """Post messages; ``after`` is the number before, if the store tells it."""
        if kept:
            self.store.numbers += numbers
        messages = [
            NoticeMessage(id_of(one), b"%d" % one, 60, 0, 0.0) for one in numbers
        ]
        told = "" if after is None else before(after)
        self.hub.on_post(Post("p", "q", messages, ["s"], told))

    async def until(self, *numbers):
        await until(lambda: len(self.peer.numbers) >= len(numbers))
        assert self.peer.numbers == list(numbers)

    async def at_rest(self):
        cursor = self.hub._targets["s"].cursor
        await until(lambda: cursor._task is None)


@pytest.fixture
def scene():
    return Scene()


async def test_pages_come_before_posts_and_nothing_comes_twice(scene):
    scene.store.numbers = list(range(1, 45))
    scene.store.open.clear()
    scene.listen()
    await asyncio.sleep(0)
    scene.post(45, 46)
    scene.store.open.set()
    await scene.at_rest()
    scene.post(47)
    await scene.until(*range(1, 48))


async def test_a_post_that_nobody_else_has_seen_is_pushed_in_its_place(scene):
    """It is gone from the store before the next page is read."""
    scene.store.numbers = [1, 2, 3]
    scene.store.open.clear()
    scene.listen()
    await asyncio.sleep(0)
    scene.post(4, kept=False)
    scene.post(5)
    scene.post(6, kept=False)
    scene.store.open.set()
    await scene.at_rest()
    scene.post(7, kept=False)
    await scene.until(1, 2, 3, 4, 5, 6, 7)


async def test_a_post_that_was_not_heard_is_read_before_the_next(scene):
    scene.listen()
    await scene.at_rest()
    scene.post(1)
    scene.store.numbers.append(2)
    scene.post(3, after=2, kept=False)
    await scene.until(1, 2, 3)
    asked = scene.store.asked
    scene.post(4, after=3)
    await scene.until(1, 2, 3, 4)
    assert scene.store.asked == asked


async def test_a_post_that_was_not_heard_while_a_page_was_read_is_read_too(scene):
    scene.store.numbers = [1]
    scene.store.open.clear()
    scene.listen()
    await asyncio.sleep(0)
    scene.post(2, after=1)
    scene.store.numbers.append(3)
    scene.post(4, after=3)
    scene.store.open.set()
    await scene.until(1, 2, 3, 4)


async def test_posts_are_read_again_when_they_may_have_been_missed(scene):
    scene.listen()
    await scene.at_rest()
    scene.store.numbers = [1, 2]
    scene.hub.read_again()
    await scene.until(1, 2)


async def test_what_is_not_wanted_leads_to_no_reading():
    scene = Scene(filter={"": {"at_least": 10}})
    scene.listen()
    await scene.at_rest()
    asked = scene.store.asked
    scene.post(1)
    for number in range(2, 20):
        scene.post(number, after=number - 1)
    await scene.until(*range(10, 20))
    assert scene.store.asked == asked


async def test_what_a_slow_peer_cannot_take_is_read_when_it_can(scene, monkeypatch):
    monkeypatch.setattr(cursors, "MOST_KEPT", 300)
    scene.store.numbers = [1, 2]
    scene.peer.reads.clear()
    scene.listen()
    for number in range(3, 100):
        scene.post(number, after=number - 1)
        await asyncio.sleep(0)
    scene.peer.reads.set()
    await scene.until(*range(1, 100))
    await scene.at_rest()
    scene.post(100, after=99)
    await scene.until(*range(1, 101))
    assert scene.peer.memory.budget.held == 0


async def test_a_store_that_is_away_is_asked_again(scene, monkeypatch):
    monkeypatch.setattr(cursors, "_FIRST_PAUSE", 0.0)
    scene.store.numbers = [1]
    scene.store.failures = 3
    scene.listen()
    scene.post(2)
    await scene.until(1, 2)


async def test_a_subscription_that_ended_reads_nothing_more(scene):
    scene.store.numbers = [1]
    scene.store.open.clear()
    scene.listen()
    await asyncio.sleep(0)
    scene.post(2)
    task = scene.hub._targets["s"].cursor._task
    scene.hub.remove(scene.subscription)
    await asyncio.gather(task, return_exceptions=True)
    assert scene.peer.numbers == []
    assert scene.peer.memory.budget.held == 0


async def test_a_defect_closes_the_connection_that_would_miss_messages(scene):
    async def broken(_command):
        raise RuntimeError("a defect")

    scene.store.do = broken
    scene.listen()
    await until(lambda: scene.peer.failed)


async def test_changed_options_hold_from_then_on(scene):
    scene.listen()
    await scene.at_rest()
    scene.post(1)
    scene.hub.change(subscription({"filter": {"": {"equals": 3}}}))
    scene.post(2, 3)
    await scene.until(1, 3)
