"""Keystone is stopped and started again while callers are busy.

One outage, with everything that happens in it on record; the tests look at the
record.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
import requests
from keystone_service import Keystone

from .conftest import Caller, until

ENOUGH = 10  # answers of each kind of caller, in each part of the story


class Answer(NamedTuple):
    """What is kept of an answer: a whole one keeps its connection open, too."""

    status_code: int
    retry_after: int
    text: str


class Load:
    """Callers of one kind, busy in a thread.

    Attributes:
        answers: What they got in each part of the story.
    """

    def __init__(self, story: Story, ask: Callable[[], requests.Response]) -> None:
        self.answers: dict[str, list[Answer]] = {part: [] for part in Story.PARTS}
        self._story = story
        self._ask = ask
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._story.over:
            part = self._story.part
            answer = self._ask()
            # What began in one part and ended in another belongs to neither.
            if part == self._story.part:
                self.answers[part].append(kept(answer))

    def statuses(self, part: str) -> set[int]:
        """Return the statuses of one part of the story."""
        return {answer.status_code for answer in self.answers[part]}


def kept(answer: requests.Response) -> Answer:
    put_off = int(answer.headers.get("Retry-After", 0))
    return Answer(answer.status_code, put_off, answer.text)


class Story:
    """The outage: what was asked before it, in it and after it."""

    PARTS = ("before", "changing", "in it", "after")

    subscribing: requests.Response
    changing: requests.Response
    deleting: requests.Response
    trust: str
    unchanged: dict[str, Any]
    left: list[Any]

    def __init__(self, keystone: Keystone, url: str, log: Path) -> None:
        self.log = log
        self.part = "before"
        self.over = False
        self._keystone = keystone
        self.queue = f"q-{uuid4().hex}"
        self.known = Caller(url, keystone.token("alice"))
        tokens = [keystone.token("alice") for _ in range(30)]
        self._new = itertools.cycle(tokens)
        self._url = url
        self.loads = {
            "known": Load(self, lambda: self._list(self.known.token)),
            "new": Load(self, lambda: self._list(next(self._new))),
            "forged": Load(self, lambda: self._list(f"gAAAA{uuid4().hex}")),
        }

    def _list(self, token: str) -> requests.Response:
        return Caller(self._url, token)("GET", f"/queues/{self.queue}/messages")

    def _enough(self, part: str, *kinds: str) -> None:
        def busy() -> bool:
            return all(len(self.loads[kind].answers[part]) >= ENOUGH for kind in kinds)

        until(busy, f"{ENOUGH} answers of each kind {part}")

    def _recovered(self) -> bool:
        """Return whether everybody is answered as if nothing had been.

        What asked Keystone while it was away may fail after it is back, and is the
        reason for a second's pause once more: so it is a series that counts.
        """
        wanted = {"known": 200, "new": 200, "forged": 401}
        return all(
            [answer.status_code for answer in self.loads[kind].answers["after"]][
                -ENOUGH:
            ]
            == [status] * ENOUGH
            for kind, status in wanted.items()
        )

    def run(self) -> None:
        """Let it happen."""
        hook = "trust+http://127.0.0.1:9/hook"
        subscription = self.known.subscribe(self.queue, hook)
        shown = self.known.subscription(self.queue, subscription)
        self.trust = shown["options"]["trust_id"]
        for kind in ("known", "forged"):
            self.loads[kind].thread.start()
        self._enough("before", "known", "forged")

        self.part = "changing"
        self._keystone.stop()
        self.part = "in it"
        # Tokens that the server sees for the first time now.
        self.loads["new"].thread.start()
        self._enough("in it", *self.loads)
        path = f"/queues/{self.queue}/subscriptions"
        self.subscribing = self.known("POST", path, {"subscriber": f"{hook}/2"})
        self.changing = self.known("PATCH", f"{path}/{subscription}", {"ttl": 900})
        self.unchanged = self.known.subscription(self.queue, subscription)
        self.deleting = self.known("DELETE", f"{path}/{subscription}")
        self.left = self.known.subscriptions(self.queue)

        self.part = "changing"
        self._keystone.start()
        until(lambda: self._list(next(self._new)).ok, "new tokens are let in")
        self.part = "after"
        until(self._recovered, "all callers are answered as before")

    def end(self) -> None:
        """Stop the callers."""
        self.over = True
        for load in self.loads.values():
            if load.thread.ident is not None:
                load.thread.join()


@pytest.fixture(scope="module")
def story(keystone: Keystone, server_factory: Callable[..., Any]) -> Story:
    """The outage, when it is over."""
    server = server_factory(options=keystone.server_options())
    told = Story(keystone, server.url, server.log)
    try:
        told.run()
    finally:
        told.end()
        if not keystone.is_running:
            keystone.start()
    return told


def test_callers_that_are_known_notice_nothing(story: Story) -> None:
    for part in Story.PARTS:
        for answer in story.loads["known"].answers[part]:
            assert answer.status_code == 200, (part, answer.text)


def test_new_callers_are_put_off_and_let_in_afterwards(story: Story) -> None:
    refused = story.loads["new"].answers["in it"]
    for answer in refused:
        assert answer.status_code == 503
        assert answer.retry_after >= 1
        assert "identity service" in answer.text
    assert story.loads["new"].statuses("after") <= {200, 503}


def test_the_door_is_never_open(story: Story) -> None:
    forged = story.loads["forged"]
    assert forged.statuses("before") == {401}
    assert forged.statuses("in it") == {503}
    assert forged.statuses("after") <= {401, 503}


def test_nothing_is_half_subscribed(story: Story) -> None:
    for answer in (story.subscribing, story.changing):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    assert story.unchanged["options"] == {"trust_id": story.trust}
    assert story.unchanged["ttl"] == 600
    assert story.left == []


def test_a_subscription_deleted_meanwhile_loses_its_trust_afterwards(
    story: Story, keystone: Keystone
) -> None:
    assert story.deleting.status_code == 204
    until(lambda: story.trust not in keystone.trusts(), "the trust is removed")


def test_there_is_no_defect_in_the_log(story: Story) -> None:
    assert "Traceback" not in story.log.read_text()
