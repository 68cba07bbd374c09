"""Consuming from a real server, whose leases may last 1 second."""

from __future__ import annotations

import asyncio
import contextlib
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zaqarclient as zq
from zaqarclient.queues.v2.queues import Queue

SECONDS = 60

#: A worker that prints what it was given, and is slow if its body says so.
WORKER = """
import sys, time
import zaqarclient as zq
from zaqarclient.queues.v2.consumer import Consumer
url, project = sys.argv[1:]
stop = Consumer.stop
def say(line):
    # In one write: threads write at the same time.
    sys.stdout.write(f"{line}\\n")
    sys.stdout.flush()
def told(self, *how):
    stop(self, *how)
    say("stopping")
Consumer.stop = told
zq.stop_on_signals()
def handle(message):
    say(f"begin {message.body}")
    if message.body == "slow":
        sys.stdin.readline()
    word = "lost" if message.lease_lost.is_set() else "end"
    say(f"{word} {message.body}")
with zq.Client(url, project=project) as client:
    client.queue("jobs").consume(handle, lease=2, limit=2)
say("stopped")
"""


@pytest.fixture(scope="module")
def quick_server(server_factory: Callable[..., Any]) -> Any:
    """A server whose claims may last 1 second."""
    least = "min_claim_ttl = 1\nmin_claim_grace = 1\n"
    return server_factory(options=f"[transport]\n{least}")


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, quick_server: Any) -> str:
    known = {"http": quick_server.url, "ws": quick_server.websocket_url}
    return str(known[request.param])


@pytest.fixture
def queue(url: str, project: str) -> Iterator[Queue]:
    with zq.Client(url, project=project) as client:
        yield client.queue("jobs")


def total(queue: Queue) -> int:
    return int(queue.stats["messages"]["total"])


def free(queue: Queue) -> int:
    return int(queue.stats["messages"]["free"])


def post(queue: Queue, count: int) -> None:
    for first in range(0, count, 20):
        queue.post([{"body": n} for n in range(first, min(first + 20, count))])


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


@contextlib.contextmanager
def worker(url: str, project: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, url, project],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def test_each_message_is_given_once_and_deleted(queue: Queue) -> None:
    post(queue, 45)
    with queue.consume(idle_timeout=0) as messages:
        assert [message.body for message in messages] == list(range(45))
    assert total(queue) == 0


def test_a_handler_runs_in_as_many_threads_as_asked(queue: Queue) -> None:
    post(queue, 40)
    meet = threading.Barrier(4)
    names = set()

    def handle(message: zq.Message) -> None:
        names.add(threading.current_thread().name)
        if message.body < 4:
            meet.wait(SECONDS)

    queue.consume(handle, concurrency=4, idle_timeout=0, limit=4)
    assert len(names) == 4
    assert total(queue) == 0


def test_no_more_than_the_limit_is_held(queue: Queue) -> None:
    post(queue, 40)
    with queue.consume(idle_timeout=0, limit=7) as messages:
        for message in messages:
            assert total(queue) - free(queue) <= 7
            assert not message.lease_lost.is_set()
    assert total(queue) == 0


def test_an_exception_in_the_block_releases_what_is_held(queue: Queue) -> None:
    post(queue, 5)

    def work() -> None:
        with queue.consume(on_error="stop") as messages:
            for message in messages:
                if message.body == 2:
                    raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        work()
    assert free(queue) == total(queue) == 3


def test_a_lease_is_renewed_for_as_long_as_the_work_lasts(queue: Queue) -> None:
    post(queue, 2)
    with queue.consume(lease=2, idle_timeout=0) as messages:
        for message in messages:
            # Not a guess: longer than the lease lasts unless it is renewed.
            assert not message.lease_lost.wait(2.5)
    assert total(queue) == 0


def test_a_failed_message_does_not_stop_the_others(queue: Queue) -> None:
    post(queue, 4)
    seen = []

    def handle(message: zq.Message) -> None:
        seen.append(message.body)
        if message.body == 1 and seen.count(1) == 1:
            raise ValueError(message.body)

    queue.consume(handle, lease=1, limit=1, idle_timeout=3, backoff=zq.Backoff(0, 0))
    assert sorted(seen) == [0, 1, 1, 2, 3]
    assert total(queue) == 0


def test_a_function_chooses_after_an_error(queue: Queue) -> None:
    post(queue, 3)
    asked = []

    def choose(message: zq.Message, error: Exception) -> Any:
        asked.append((message.body, type(error)))
        return "stop"

    def handle(message: zq.Message) -> None:
        if message.body == 1:
            raise ValueError("one")

    with pytest.raises(ValueError, match="one"):
        queue.consume(handle, on_error=choose)
    assert asked == [(1, ValueError)]
    assert free(queue) == total(queue) == 2


def test_a_message_of_a_killed_worker_comes_back(
    queue: Queue, url: str, project: str
) -> None:
    queue.post({"body": "slow"})
    with worker(url, project) as first, worker(url, project) as second:
        assert first.stdout
        assert second.stdout
        ready, _, _ = select.select([first.stdout, second.stdout], [], [], SECONDS)
        is_first = first.stdout in ready
        holder, other = (first, second) if is_first else (second, first)
        assert said(holder) == "begin slow"
        holder.kill()
        assert said(other) == "begin slow"
        assert other.stdin
        other.stdin.write("\n")
        other.stdin.flush()
        assert said(other) == "end slow"
        wait_for(lambda: total(queue) == 0)


def test_a_worker_that_was_stopped_is_told_and_deletes_nothing(
    queue: Queue, url: str, project: str
) -> None:
    queue.post({"body": "slow"})
    with worker(url, project) as stopped:
        assert said(stopped) == "begin slow"
        stopped.send_signal(signal.SIGSTOP)
        with queue.consume(lease=60, limit=1) as messages:
            message = next(messages)  # its lease had to end for that
            assert stopped.stdin
            stopped.stdin.write("\n")
            stopped.stdin.flush()
            stopped.send_signal(signal.SIGCONT)
            assert said(stopped) == "lost slow"
            stopped.send_signal(signal.SIGTERM)
            assert said(stopped) == "stopping"
            assert stopped.wait(SECONDS) == 0
            assert total(queue) == 1
            assert message.body == "slow"
    assert total(queue) == 0


def test_a_stopped_worker_finishes_and_releases_the_rest(
    queue: Queue, url: str, project: str
) -> None:
    queue.post([{"body": "slow"}, {"body": "next"}])
    with worker(url, project) as process:
        assert said(process) == "begin slow"
        process.send_signal(signal.SIGTERM)
        assert said(process) == "stopping"
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout
        lines = set(process.stdout.read().splitlines())
        assert lines == {"end slow", "stopping", "stopped"}
    assert free(queue) == total(queue) == 1


def test_tasks_consume_at_the_same_time(url: str, project: str, queue: Queue) -> None:
    post(queue, 40)
    seen = []

    async def main() -> None:
        meet = asyncio.Event()
        inside = 0

        async def handle(message: zq.AsyncMessage) -> None:
            nonlocal inside
            inside += 1
            if inside >= 20:
                meet.set()
            await asyncio.wait_for(meet.wait(), SECONDS)
            seen.append(message.body)

        async with zq.AsyncClient(url, project=project) as client:
            jobs = client.queue("jobs")
            await jobs.consume(handle, concurrency=20, limit=20, idle_timeout=0)

    asyncio.run(main())
    assert sorted(seen) == list(range(40))
    assert total(queue) == 0


def test_a_loop_of_a_task_gets_each_message(
    url: str, project: str, queue: Queue
) -> None:
    post(queue, 25)

    async def main() -> list[Any]:
        async with zq.AsyncClient(url, project=project) as client:
            jobs = client.queue("jobs")
            async with jobs.consume(idle_timeout=0) as messages:
                return [message.body async for message in messages]

    assert asyncio.run(main()) == list(range(25))
    assert total(queue) == 0


def test_a_cancelled_task_releases_what_it_holds(
    url: str, project: str, queue: Queue
) -> None:
    post(queue, 3)

    async def main() -> None:
        begun = asyncio.Event()

        async def handle(_message: zq.AsyncMessage) -> None:
            begun.set()
            await asyncio.Event().wait()

        async with zq.AsyncClient(url, project=project) as client:
            consuming = asyncio.create_task(client.queue("jobs").consume(handle))
            await asyncio.wait_for(begun.wait(), SECONDS)
            consuming.cancel()
            with pytest.raises(asyncio.CancelledError):
                await consuming

    asyncio.run(main())
    assert free(queue) == total(queue) == 3


def test_a_task_that_waits_for_a_message_can_be_cancelled(
    url: str, project: str, queue: Queue
) -> None:
    async def main() -> None:
        async with zq.AsyncClient(url, project=project) as client:
            consuming = client.queue("jobs").consume(wait=20)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5), consuming as messages:
                    async for _ in messages:
                        pytest.fail("there is no message")

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < 15
    post(queue, 1)
    # The wait on the service may still take it, and gives it back.
    wait_for(lambda: free(queue) == total(queue) == 1)


def test_a_delete_is_refused_whose_claims_have_ended(queue: Queue) -> None:
    post(queue, 2)
    first = queue.claim(ttl=60, grace=60, limit=1)
    (held,) = first.messages
    with pytest.raises(zq.Forbidden):
        queue.delete_messages(held.id, claim_ids=["other"], check_claims=True)
    with pytest.raises(zq.BadRequest):
        queue.delete_messages(held.id, check_claims=True)
    assert total(queue) == 2
    queue.delete_messages(held.id, claim_ids=[str(first.id)], check_claims=True)
    assert total(queue) == 1


def test_a_failed_message_is_released_with_its_reason(queue: Queue) -> None:
    post(queue, 1)

    def handle(_message: zq.Message) -> None:
        raise ValueError("no such item")

    queue.consume(handle, idle_timeout=0, backoff=zq.Backoff(600, 600))
    (message,) = queue.messages(echo=True, include_delayed=True)
    assert message.reason == "ValueError: no such item"
    assert (total(queue), list(queue.messages(echo=True))) == (1, [])


def test_a_message_that_is_buried_goes_to_the_dead_letter_queue(queue: Queue) -> None:
    dead = queue.client.queue("dead")
    queue.metadata(new_meta={"_dead_letter_queue": "dead", "_max_claim_count": 5})
    post(queue, 1)

    def handle(_message: zq.Message) -> None:
        raise ValueError("no such item")

    queue.consume(handle, idle_timeout=0, on_error="bury")
    (message,) = dead.messages(echo=True)
    assert message.reason == "ValueError: no such item"
    assert total(queue) == 0


def test_a_message_that_cannot_be_buried_is_released(queue: Queue) -> None:
    post(queue, 1)

    def handle(_message: zq.Message) -> None:
        raise ValueError("no such item")

    rest = zq.Backoff(600, 600)
    queue.consume(handle, idle_timeout=0, on_error="bury", backoff=rest)
    assert total(queue) == 1


def test_waiting_for_messages_costs_few_requests(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    claim = queue.claim

    def count(**how: Any) -> zq.Claim:
        asked.append(how["wait"])
        return claim(**how)

    monkeypatch.setattr(queue, "claim", count)
    queue.consume(print, wait=1, idle_timeout=3)
    # One a wait; polling would make more, and sooner.
    assert 3 <= len(asked) <= 6
