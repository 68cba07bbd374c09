"""Waiting for messages by asking again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zaqarclient.queues.v2.waiting import until_found
from zaqarclient.tests.http_stub import Answer, HttpStub

LACKING = Answer(404)
EMPTY = Answer(200, {"messages": []})
MESSAGE = {"id": "m1", "body": "tea", "ttl": 60, "age": 1}


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def until(self, look: Callable[[], list[str]], patience: float) -> list[str]:
        return until_found(look, patience, self.sleep, lambda: self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_patience_there_is_one_look(clock: Clock) -> None:
    looks = iter([[], ["late"]])
    assert clock.until(lambda: next(looks), 0) == []
    assert clock.pauses == []


def test_pauses_get_longer_until_something_is_found(clock: Clock) -> None:
    looks = iter([*([[]] * 6), ["found"]])
    assert clock.until(lambda: next(looks), 60) == ["found"]
    assert clock.pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]


def test_the_last_look_is_when_the_time_is_over(clock: Clock) -> None:
    looked: list[float] = []

    def look() -> list[str]:
        looked.append(clock.now)
        return []

    assert clock.until(look, 1.0) == []
    assert looked == [0.0, 0.25, 0.75, 1.0]


def test_pop_waits_for_a_message(
    run: Callable[..., tuple[int, str, str]], stub: HttpStub
) -> None:
    stub.answers = [LACKING, EMPTY, Answer(200, {"messages": [MESSAGE]})]
    words = ["message", "pop", "q", "--wait", "9", "-f", "value", "-c", "Body"]
    assert run("--os-queues-endpoint", stub.url, *words) == (0, "tea\n", "")
    asked = [("DELETE", "/v2/queues/q/messages")] * 2
    assert stub.calls() == [("GET", "/v2/limits"), *asked]


def test_claim_create_waits_for_a_message(
    run: Callable[..., tuple[int, str, str]], stub: HttpStub
) -> None:
    claimed = {**MESSAGE, "href": "/v2/queues/q/messages/m1?claim_id=c1"}
    stub.answers = [LACKING, Answer(204), Answer(201, {"messages": [claimed]})]
    words = ["claim", "create", "q", "--wait", "9", "-f", "value", "-c", "Claim_ID"]
    assert run("--os-queues-endpoint", stub.url, *words) == (0, "c1\n", "")
    asked = [("POST", "/v2/queues/q/claims")] * 2
    assert stub.calls() == [("GET", "/v2/limits"), *asked]
    assert stub.seen[1].body == stub.seen[2].body == {"ttl": 300, "grace": 60}


WAITS = Answer(200, {"features": ["wait"], "limits": {"max_wait": 20}})


def test_list_waits_for_its_first_page(
    run: Callable[..., tuple[int, str, str]], stub: HttpStub
) -> None:
    stub.answers = [WAITS, Answer(200, {"messages": [MESSAGE]})]
    words = ["message", "list", "q", "--wait", "9", "-f", "value", "-c", "Body"]
    assert run("--os-queues-endpoint", stub.url, *words) == (0, "tea\n", "")
    assert stub.seen[1].query["wait"] == ["9"]


def test_list_does_not_wait_for_messages_by_id(
    run: Callable[..., tuple[int, str, str]], stub: HttpStub
) -> None:
    words = ["message", "list", "q", "--message-ids", "m1", "--wait", "9"]
    status, _, error = run("--os-queues-endpoint", stub.url, *words)
    assert status != 0
    assert "--message-ids goes with none of the other options" in error
    assert stub.seen == []


def test_a_tail_waits_where_the_service_does_not_push(
    run: Callable[..., tuple[int, str, str]], stub: HttpStub
) -> None:
    page = Answer(200, {"messages": [MESSAGE]})
    stub.answers = [WAITS, Answer(404), EMPTY, EMPTY, page]
    words = ["message", "tail", "q", "--follow", "--limit", "1", "-f", "value"]
    status, out, _ = run("--os-queues-endpoint", stub.url, *words, "-c", "Body")
    assert (status, out) == (0, "tea\n")
    reads = [one.query for one in stub.seen if one.path.endswith("/messages")]
    assert [read.get("wait") for read in reads] == [None, ["20"], ["20"]]
