"""Pushes of long posts, and to many: in slices, in order, never without a bound."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from zaqarserver.notify import websocket
from zaqarserver.notify.websocket import Hub
from zaqarserver.storage.subscriptions import NoticeMessage, Post, Subscription

pytestmark = pytest.mark.anyio


class Peer:
    """A connection that keeps what it is pushed."""

    def __init__(self):
        self.bodies = []
        self.behind = False

    def push(self, text):
        self.bodies.append(json.loads(text)["body"])

    def forget(self, subscription):
        raise AssertionError("nobody asked for this")

    def close_slow(self):
        self.behind = True


def subscription(name, project="p", **options):
    return Subscription(name, project, "q", f"http://{name}/", 60, 0, options, True)


def listening(hub, name, project="p", **options):
    """Let a new peer listen to a queue of a project."""
    peer = Peer()
    hub.add(subscription(name, project, **options), peer)
    return peer


def post(hub, names, *bodies, project="p"):
    messages = [
        NoticeMessage(f"m{number}", json.dumps(body).encode(), 60, 0, 0.0)
        for number, body in enumerate(bodies)
    ]
    hub.on_post(Post(project, "q", messages, names))


async def at_rest(hub):
    async with asyncio.timeout(60):
        while hub._tasks:
            await asyncio.gather(*hub._tasks)


async def test_a_post_that_is_done_in_a_slice_is_pushed_at_once(monkeypatch):
    monkeypatch.setattr(websocket, "SLICE_SECONDS", 60.0)
    hub = Hub()
    peer = listening(hub, "a")
    post(hub, ["a", "gone"], 1, 2)
    assert peer.bodies == [1, 2]


async def test_a_long_post_leaves_the_loop_to_others_and_keeps_the_order():
    hub = Hub()
    peers = {
        f"s{number}": listening(hub, f"s{number}", filter={"/n": {"at_least": number}})
        for number in range(200)
    }
    began = time.thread_time()
    post(hub, list(peers), *({"n": number} for number in range(200)))
    first = time.thread_time() - began
    gaps, last = [], time.thread_time()
    post(hub, list(peers), {"n": 1000})
    while hub._tasks:
        await asyncio.sleep(0)
        last, before = time.thread_time(), last
        gaps.append(last - before)
    for number, peer in enumerate(peers.values()):
        wanted = [*range(number, 200), 1000]
        assert [body["n"] for body in peer.bodies] == wanted
    assert max(first, *gaps) < (first + sum(gaps)) / 2


async def test_equal_filters_are_asked_once_a_message(monkeypatch):
    asked = []
    selects = websocket.Filter.selects
    monkeypatch.setattr(
        websocket.Filter,
        "selects",
        lambda self, document: (asked.append(document), selects(self, document))[1],
    )
    hub = Hub()
    names = [f"s{number}" for number in range(30)]
    peers = [listening(hub, name, filter={"": {"equals": 2}}) for name in names]
    post(hub, names, 1, 2, 3)
    await at_rest(hub)
    assert asked == [1, 2, 3]
    assert [peer.bodies for peer in peers] == [[2]] * 30


async def test_who_listens_no_more_gets_nothing_more():
    hub = Hub()
    stays, leaves = listening(hub, "a"), listening(hub, "b")
    post(hub, ["a", "b"], *range(5000))
    assert hub._tasks
    hub.remove(subscription("b"))
    got = len(leaves.bodies)
    await at_rest(hub)
    assert stays.bodies == list(range(5000))
    assert len(leaves.bodies) == got


async def test_a_project_with_too_much_waiting_loses_its_own_listeners(monkeypatch):
    monkeypatch.setattr(websocket, "MOST_BEHIND", 2_000_000)
    hub = Hub()
    peer, other = listening(hub, "a"), listening(hub, "b", project="other")
    late = listening(hub, "late")
    post(hub, ["a"], *range(5000))
    post(hub, ["late"], *range(5000))
    post(hub, ["b"], 1, project="other")
    assert (peer.behind, late.behind, other.behind) == (False, True, False)
    await at_rest(hub)
    assert (len(peer.bodies), late.bodies, other.bodies) == (5000, [], [1])


async def test_a_message_that_cannot_be_read_holds_up_no_other():
    def readable(project, source, body):
        if body == b"2":
            raise RuntimeError("no key")
        return body

    hub = Hub(readable)
    peer = listening(hub, "a")
    post(hub, ["a"], 1, 2, 3)
    await at_rest(hub)
    assert peer.bodies == [1, 3]
