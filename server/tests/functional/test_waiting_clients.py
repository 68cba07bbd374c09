"""Claims, lists and pops of the SDK wait for messages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from zaqarserver.testing.server import InProcessServer

from zaqarclient.queues import client as queues_client
from zaqarclient.queues.v2.aio import AsyncClient, AsyncQueue
from zaqarclient.queues.v2.client import Client
from zaqarclient.queues.v2.queues import Queue

SHORT = {"transport": {"max_wait": 1}}
NONE = {"transport": {"max_wait": 0}}


@pytest.fixture(params=["", "waits", "cannot"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    settings = {"": None, "waits": SHORT, "cannot": NONE}[request.param]
    with InProcessServer(settings) as server:
        conf = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p"}}}
        yield queues_client.Client(server.url, 2, conf)


def post_later(client: Client, seconds: float) -> threading.Timer:
    queue = client.queue("orders")
    timer = threading.Timer(seconds, queue.post, [{"body": "tea", "ttl": 600}])
    timer.start()
    return timer


def test_a_claim_waits(client: Client) -> None:
    post_later(client, 1.5)
    claim = client.queue("orders").claim(wait=20)
    assert [message.body for message in claim] == ["tea"]


def test_a_list_waits(client: Client) -> None:
    post_later(client, 1.5)
    found = client.queue("orders").messages(wait=20, echo=True)
    assert [message.body for message in found] == ["tea"]


def test_a_pop_waits(client: Client) -> None:
    post_later(client, 1.5)
    assert [message.body for message in client.queue("orders").pop(wait=20)] == ["tea"]


def test_a_wait_in_vain_ends(client: Client) -> None:
    began = time.monotonic()
    assert list(client.queue("orders").pop(wait=2)) == []
    assert time.monotonic() - began > 1.9


# -- waits that are given up --------------------------------------------------------

CONF = {"auth_opts": {"backend": "noauth", "options": {"os_project_id": "p"}}}


@pytest.fixture(scope="module")
def server() -> Iterator[InProcessServer]:
    with InProcessServer() as made:
        yield made


@pytest.fixture
def queue(server: InProcessServer, request: pytest.FixtureRequest) -> Iterator[Queue]:
    with Client(server.url, 2, CONF) as client:
        yield client.queue("".join(c for c in request.node.name if c.isalnum()))


def waiters(queue: Queue) -> int:
    return int(queue.client.quotas()["quotas"]["waiters"]["used"])


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def free(queue: Queue) -> list[object]:
    return [message.body for message in queue.messages(echo=True)]


async def claim(queue: AsyncQueue) -> object:
    return await queue.claim(wait=20)


async def read(queue: AsyncQueue) -> object:
    return await queue.messages(wait=20, echo=True)


async def pop(queue: AsyncQueue) -> object:
    return await queue.pop(wait=20)


@pytest.mark.parametrize("call", [claim, read, pop])
def test_a_cancelled_call_waits_no_longer(
    server: InProcessServer,
    queue: Queue,
    call: Callable[[AsyncQueue], Coroutine[Any, Any, object]],
) -> None:
    async def main() -> None:
        async with AsyncClient(server.url, 2, CONF) as client:
            task = asyncio.create_task(call(client.queue(queue._name)))
            await asyncio.to_thread(until, lambda: waiters(queue) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(until, lambda: waiters(queue) == 0)
            queue.post({"body": "tea", "ttl": 600})
            assert free(queue) == ["tea"]

    asyncio.run(main())
    assert free(queue) == ["tea"]


def test_cancelling_as_a_message_comes_loses_none(
    server: InProcessServer, queue: Queue
) -> None:
    async def main() -> None:
        async with AsyncClient(server.url, 2, CONF) as client:
            for turns in range(30):
                task = asyncio.create_task(claim(client.queue(queue._name)))
                await asyncio.to_thread(until, lambda: waiters(queue) == 1)
                post = asyncio.create_task(
                    asyncio.to_thread(queue.post, {"body": turns, "ttl": 600})
                )
                await asyncio.sleep(turns / 10_000)
                task.cancel()
                await asyncio.wait([task, post])
                if not task.cancelled():
                    await task.result().delete()  # type: ignore[attr-defined]
                await asyncio.to_thread(until, lambda: free(queue) == [turns])  # noqa: B023
                queue.purge(["messages"])

    asyncio.run(main())


def test_a_consumer_that_is_stopped_waits_no_longer(queue: Queue) -> None:
    with queue.consume(wait=20) as messages:
        taker = threading.Thread(target=messages.take)
        taker.start()
        until(lambda: waiters(queue) == 1)
        messages.stop()
        until(lambda: waiters(queue) == 0)
        taker.join()
