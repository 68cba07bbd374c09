"""Renewals, batches and pauses of a consumer, with a clock that a test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zaqarclient.errors import InvalidOperation, LeaseLost, UnsupportedFeature
from zaqarclient.queues.v2.aio_resources import LeaseEvent
from zaqarclient.queues.v2.client import Client
from zaqarclient.queues.v2.consume import Backoff, ConsumeOptions
from zaqarclient.queues.v2.leases import Keeper, Lease
from zaqarclient.queues.v2.message import Message
from zaqarclient.tests.http_stub import Answer, HttpStub, Seen
from zaqarclient.transport import errors


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Claim:
    """A claim that answers renewals as a test says."""

    id, ttl, grace = "c", 60, 60

    def __init__(self) -> None:
        self.renewed = 0
        self.error: Exception | None = None

    def update(self, ttl: int, grace: int) -> None:
        self.renewed += 1
        if self.error is not None:
            raise self.error


class Bench:
    """A keeper without its thread, a lease of 60 s, and what they report."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.deleted: list[list[str]] = []
        self.lost: list[LeaseLost] = []
        self.refused: Exception | None = None
        self.takes = 0  # seconds that a delete takes
        keeper_queue: Any = self
        self.keeper = Keeper(
            keeper_queue,
            lambda _message, error: self.lost.append(error),
            lambda: None,
            self.clock,
        )
        self.claim = Claim()
        claim: Any = self.claim
        self.lease = Lease(claim, 60, self.clock(), self.clock)

    def delete_messages(self, *ids: str, claim_ids: Any, check_claims: bool) -> None:
        self.clock.now += self.takes
        if self.refused is not None:
            raise self.refused
        self.deleted.append(list(ids))

    def delete_message(self, message_id: str, claim_id: str) -> None:
        if message_id == "m0":
            raise errors.MalformedRequest(description="the claim has ended")
        self.deleted.append([message_id])

    def hold(self, count: int) -> list[Message]:
        queue: Any = self
        made = [
            Message(queue, 60, 0, n, id=f"m{n}", claim_id="c") for n in range(count)
        ]
        for message in made:
            message.lease_lost = self.lease
            self.lease.held.add(message.id)
        self.keeper.add(self.lease)
        return made


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_lease_is_renewed_at_half_time_for_as_long_as_a_message_is_held(
    bench: Bench,
) -> None:
    (message,) = bench.hold(1)
    assert bench.keeper.step() == 1030
    for turn in range(1, 4):
        bench.clock.now += 30
        bench.keeper.step()
        assert bench.claim.renewed == turn
    bench.keeper.drop(message)
    assert bench.keeper.step() == float("inf")


def test_a_lease_that_the_service_has_ended_is_told(bench: Bench) -> None:
    (message,) = bench.hold(1)
    bench.claim.error = errors.ResourceNotFound()
    bench.clock.now += 30
    bench.keeper.step()
    assert message.lease_lost.wait(0)
    bench.keeper.done(message)
    assert [error.message_id for error in bench.lost] == ["m0"]
    assert bench.deleted == []


def test_a_lease_is_lost_by_the_clock_if_it_could_not_be_renewed(bench: Bench) -> None:
    (message,) = bench.hold(1)
    bench.claim.error = errors.ServiceUnavailableError()
    bench.clock.now += 30
    at = bench.keeper.step()
    assert at == pytest.approx(1036)
    bench.clock.now = at
    bench.keeper.step()
    assert bench.claim.renewed == 2
    assert not message.lease_lost.is_set()
    # As if this process had been stopped: no thread has run since.
    bench.clock.now += 60
    assert message.lease_lost.is_set()
    assert bench.keeper.step() == float("inf")


def test_what_is_done_within_20_ms_is_deleted_by_one_request(bench: Bench) -> None:
    messages = bench.hold(3)
    bench.keeper.done(messages[0])
    bench.clock.now += 0.015
    bench.keeper.done(messages[1])
    assert bench.keeper.step() == pytest.approx(1000.02)
    assert bench.deleted == []
    bench.clock.now += 0.01
    bench.keeper.step()
    assert bench.deleted == [["m0", "m1"]]
    assert bench.keeper.held == 1


def test_of_a_refused_batch_each_message_is_deleted_by_itself(bench: Bench) -> None:
    bench.refused = errors.ForbiddenError()
    for message in bench.hold(3)[:1]:
        bench.keeper.done(message)
    bench.keeper.flush()
    bench.keeper.step()
    assert [error.message_id for error in bench.lost] == ["m0"]
    assert isinstance(bench.lost[0].__cause__, errors.MalformedRequest)
    assert bench.lease.is_set()


def test_a_delete_that_fails_is_tried_again(bench: Bench) -> None:
    (message,) = bench.hold(1)
    bench.refused = errors.ServiceUnavailableError()
    bench.keeper.done(message)
    bench.keeper.flush()
    bench.clock.now = bench.keeper.step()
    bench.refused = None
    bench.keeper.step()
    assert (bench.deleted, bench.lost) == ([["m0"]], [])


def test_a_delete_that_is_answered_after_the_lease_does_not_count(
    bench: Bench,
) -> None:
    (message,) = bench.hold(1)
    bench.takes = 60
    bench.keeper.done(message)
    bench.keeper.flush()
    bench.keeper.step()
    assert bench.deleted == [["m0"]]
    assert [error.message_id for error in bench.lost] == ["m0"]
    assert bench.keeper.held == 0


def test_a_task_is_told_of_a_lost_lease(bench: Bench) -> None:
    async def main() -> None:
        event = LeaseEvent(bench.lease)
        waiting = asyncio.create_task(event.wait())
        await asyncio.to_thread(bench.lease.lose)
        await asyncio.wait_for(waiting, 30)
        assert event.is_set()

    asyncio.run(main())


def test_a_backoff_doubles_up_to_its_most() -> None:
    backoff = Backoff(4, 30)
    for claims, most in ((1, 4), (2, 8), (3, 16), (4, 30), (5000, 30)):
        assert most / 2 <= backoff.seconds(claims) <= most
    assert Backoff(0, 0).seconds(3) == 0


@pytest.mark.parametrize(("first", "most"), [(-1, 5), (6, 5), (1, 901)])
def test_a_backoff_out_of_bounds_is_refused(first: float, most: float) -> None:
    with pytest.raises(ValueError, match="0 <= first <= most <= 900"):
        Backoff(first, most)


@pytest.mark.parametrize("name", ["lease", "limit", "wait", "concurrency"])
def test_an_option_out_of_bounds_is_refused(name: str) -> None:
    how: Any = {name: -1}
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        ConsumeOptions(**how)


def test_an_unknown_way_after_errors_is_refused() -> None:
    wrong: Any = "ignore"
    with pytest.raises(ValueError, match="on_error must be one of release"):
        ConsumeOptions(on_error=wrong)


def test_a_loop_needs_a_with_statement(queue: Any) -> None:
    with pytest.raises(InvalidOperation, match="with statement"):
        next(iter(queue.consume()))


def test_a_service_that_does_not_tell_its_least_lease_is_not_claimed_from(
    client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(503)
    with pytest.raises(errors.ServiceUnavailableError):
        client.queue("orders").consume(print, lease=2)
    assert {seen.path for seen in stub.seen} == {"/v2/limits"}


# -- a service without the extensions --------------------------------------------------


def claimed(seen: Seen) -> Answer:
    """Answer as a service does that knows no extension and has one message."""
    if seen.method == "POST":
        href = "/v2/queues/orders/messages/m1?claim_id=c1"
        document = {"href": href, "ttl": 60, "age": 0, "body": 1, "id": "m1"}
        return Answer(201, {"messages": [document]})
    return Answer(404 if seen.path.endswith("limits") else 204)


def test_an_older_service_cannot_bury(client: Client, stub: HttpStub) -> None:
    stub.default = Answer(404)
    with pytest.raises(UnsupportedFeature, match="release"):
        client.queue("orders").consume(print, on_error="bury")


def test_on_an_older_service_a_message_is_released_by_the_least_ttl(
    client: Client, stub: HttpStub
) -> None:
    stub.default = claimed

    def fail(_message: Message) -> None:
        raise RuntimeError

    queue = client.queue("orders")
    # Exactly the two ways: with a delay, and at once.
    with pytest.raises(RuntimeError), queue.consume(lease=300, limit=1) as messages:
        fail(next(messages))
    with pytest.raises(RuntimeError):
        queue.consume(fail, limit=1, on_error="stop")
    ways = [
        (seen.method, (seen.body or {}).get("ttl"))
        for seen in stub.seen
        if seen.path.endswith("/claims/c1")
    ]
    assert ways == [("PATCH", 60), ("DELETE", None)]
