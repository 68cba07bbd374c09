"""Following a queue: order, pauses, failures and ends, by a clock of the test."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from zaqarclient.queues.v2.cli.paging import Pause, Tail, newest
from zaqarclient.transport import errors


class Message(NamedTuple):
    id: str


class Page(list[Message]):
    """A page as the client gives it."""

    def __init__(self, items: list[Message], *, linked: bool) -> None:
        super().__init__(items)
        self.next_marker = items[-1].id if linked and items else None


class Queue:
    """A queue with messages that come at given times, and a clock.

    Args:
        arrivals: When each message comes, in seconds, in order.
        away: Between which times the queue cannot be reached.
    """

    most = 5.0
    on_service = 0

    def __init__(
        self,
        *arrivals: float,
        away: tuple[float, float] = (0, 0),
        linked: bool = True,
        rings: bool = False,
    ) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.looks = 0
        self._arrivals = arrivals
        self._away = away
        self._linked = linked
        self._rings = rings

    def clock(self) -> float:
        return self.now

    def fetch(
        self, *, limit: int, marker: str | None = None, wait: int | None = None
    ) -> Page:
        self.looks += 1
        assert self.looks < 500, "it goes on for ever"
        if self._away[0] < self.now < self._away[1]:
            raise errors.ConnectionFailed(description="http://x: refused")
        start = 0 if marker is None else int(marker) + 1
        if wait and len(self._arrivals) > start:
            self.now = min(max(self._arrivals[start], self.now), self.now + wait)
        elif wait:
            self.now += wait
        there = [n for n, when in enumerate(self._arrivals) if when <= self.now]
        items = [Message(f"{n:03}") for n in there[start : start + limit]]
        return Page(items, linked=self._linked)

    def wait(self, seconds: float) -> bool:
        """Let time pass, up to the next message where the queue tells of it."""
        came = [
            when for when in self._arrivals if self.now < when <= self.now + seconds
        ]
        rings = self._rings and bool(came)
        self.pauses.append(seconds)
        self.now = min(came) if rings else self.now + seconds
        return rings


def everything(_message: Any) -> bool:
    return True


def followed(queue: Queue, idle: float = 20, **given: Any) -> list[str]:
    tail = Tail(queue.fetch, given.pop("wanted", everything), **given)
    return [message.id for message in tail.follow(queue, queue.clock, idle)]


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 40, 65])
def test_a_queue_is_read_to_its_end_in_order(count: int, linked: bool) -> None:
    queue = Queue(*[0.0] * count, linked=linked)
    ids = [message.id for message in Tail(queue.fetch, everything)]
    assert ids == [f"{n:03}" for n in range(count)]
    assert queue.pauses == []


def test_reading_begins_behind_the_marker() -> None:
    queue = Queue(*[0.0] * 30)
    ids = [message.id for message in Tail(queue.fetch, everything, "026")]
    assert ids == ["027", "028", "029"]


def test_each_message_comes_once_whenever_it_is_posted() -> None:
    queue = Queue(*[n * 0.37 for n in range(100)])
    assert followed(queue) == [f"{n:03}" for n in range(100)]


def test_pauses_double_up_to_the_most_and_begin_anew_after_a_message() -> None:
    queue = Queue(12.0)
    followed(queue, idle=15)
    assert queue.pauses[:7] == [0.25, 0.5, 1, 2, 4, 5, 0.25]
    assert max(queue.pauses) == 5


def test_a_message_that_is_not_wanted_shortens_the_pause_but_is_not_given() -> None:
    queue = Queue(12.0)
    assert followed(queue, idle=15, wanted=lambda _message: False) == []
    assert queue.pauses[6] == 0.25
    assert queue.now == 15


def test_it_ends_when_nothing_was_given_for_so_long() -> None:
    queue = Queue(1.0, 3.0)
    assert followed(queue, idle=4) == ["000", "001"]
    assert 7 <= queue.now <= 8


def test_an_idle_time_of_nothing_looks_once() -> None:
    queue = Queue(0.0, 1.0)
    assert followed(queue, idle=0) == ["000"]
    assert queue.pauses == []


def test_a_push_ends_the_pause() -> None:
    queue = Queue(10.0, 11.5, rings=True)
    tail = Tail(queue.fetch, everything)
    came = [
        (message.id, queue.now) for message in tail.follow(queue, queue.clock, idle=11)
    ]
    assert came == [("000", 10.0), ("001", 11.5)]


def test_a_service_that_goes_away_and_comes_back_loses_and_repeats_nothing() -> None:
    queue = Queue(*[float(n) for n in range(30)], away=(4.9, 22))
    warnings: list[str] = []
    assert followed(queue, warn=warnings.append) == [f"{n:03}" for n in range(30)]
    assert len(warnings) == 1
    assert "http://x: refused" in warnings[0]


def test_a_service_that_was_never_there_is_an_error() -> None:
    queue = Queue(away=(-1, 9))
    with pytest.raises(errors.ConnectionFailed):
        followed(queue)
    assert queue.looks == 1


def test_an_error_that_does_not_pass_ends_it() -> None:
    def fetch(**_params: Any) -> Page:
        raise errors.ForbiddenError(description="not yours")

    queue = Queue()
    with pytest.raises(errors.ForbiddenError):
        list(Tail(fetch, everything).follow(queue, queue.clock, None))


def test_a_service_that_waits_is_asked_seldom_and_tells_at_once() -> None:
    queue = Queue(300.0, 301.0)
    queue.on_service = 20
    tail = Tail(queue.fetch, everything)
    came = [(m.id, queue.now) for m in tail.follow(queue, queue.clock, idle=300.5)]
    assert came == [("000", 300), ("001", 301)]
    # Three a minute, one at the beginning, and the messages.
    assert queue.looks <= 3 * 10 + 5
    assert queue.pauses == [0.25, 0.25]
    assert queue.now == 601.5


def test_a_service_that_waits_but_is_away_is_asked_in_pauses() -> None:
    queue = Queue(50.0, away=(10, 60))
    queue.on_service = 20
    assert followed(queue, idle=70) == ["000"]
    assert queue.pauses[:5] == [0.25, 0.5, 1, 2, 4]


def test_without_push_only_time_ends_a_pause() -> None:
    slept: list[float] = []
    pause = Pause(slept.append)
    assert pause.wait(1.5) is False
    assert slept == [1.5]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"href": "/v2/queues/q/messages/m7?claim_id=c"}, "m7"),
        ({"href": "/v2/queues/q/messages/m7"}, "m7"),
        ({"id": "m7"}, "m7"),
        (None, None),
    ],
)
def test_the_newest_message_is_named_by_the_counters(
    message: dict[str, str] | None, expected: str | None
) -> None:
    counters = {"free": 1} if message is None else {"newest": message}
    assert newest({"messages": counters}) == expected
