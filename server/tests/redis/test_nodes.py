"""Questions that many wait for, and limits of those who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from redis_service import RedisServer
from zaqarserver.common import deadline
from zaqarserver.common.tasks import SingleFlight
from zaqarserver.errors import Unavailable
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.redis import RedisStorage, location
from zaqarserver.storage.redis.location import Resolver
from zaqarserver.storage.redis.topology import majority
from zaqarserver.storage.testing.suite import PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


async def say(answer: str | None) -> str | None:
    return answer


async def hang() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_a_majority_that_agrees_is_not_kept_waiting_by_the_rest() -> None:
    async with asyncio.timeout(10):
        assert (
            await majority([hang(), say("a"), say("b"), say("a"), say("a")], 60) == "a"
        )


async def test_without_a_majority_the_most_frequent_answer_counts() -> None:
    asked = [hang(), hang(), say("b"), say("a"), say("a"), say(None)]
    assert await majority(asked, 0.05) == "a"
    assert await majority([hang(), say(None)], 0.05) is None
    assert await majority([say(None), say(None)], 60) is None


async def test_what_many_wait_for_is_done_once_and_outlives_who_gives_up() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    begun: list[float] = []
    go = asyncio.Event()

    async def work() -> int:
        begun.append(deadline.ends())
        await go.wait()
        return 7

    with deadline.within(0.01):
        hasty = asyncio.create_task(flights.join("key", work))
        await asyncio.sleep(0)
    patient = [asyncio.create_task(flights.join("key", work)) for _ in range(5)]
    await asyncio.sleep(0)
    hasty.cancel()
    go.set()
    assert await asyncio.gather(*patient) == [7] * 5
    assert begun == [float("inf")], "the limit of one of them binds it"


async def test_a_limit_is_that_of_the_outermost_and_ends_with_it() -> None:
    loop = asyncio.get_running_loop()
    assert deadline.ends() == float("inf")
    with deadline.within(5):
        outer = deadline.ends()
        with deadline.within(60):
            assert deadline.ends() == outer
        with deadline.within(1):
            assert deadline.ends() < outer
        go = asyncio.Event()

        async def left_behind() -> float:
            await go.wait()
            return deadline.ends()

        task = loop.create_task(left_behind())
        await asyncio.sleep(0)
    go.set()
    assert await task == float("inf")


async def test_a_name_server_that_hangs_stops_neither_known_names_nor_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hangs = threading.Event()
    threads: list[str] = []

    def look_up(host: str) -> list[str]:
        threads.append(host)
        if host == "known" and threads.count(host) > 1:
            hangs.wait(30)
        return [f"address of {host}"]

    monkeypatch.setattr(location, "_look_up", look_up)
    monkeypatch.setattr(location, "LOOKUP_SECONDS", 0.05)
    resolver = Resolver()
    try:
        assert await resolver.find("127.0.0.1") == ["127.0.0.1"]
        assert await resolver.find("known") == ["address of known"]
        async with asyncio.timeout(10):
            for _ in range(5):
                assert await resolver.find("known") == ["address of known"]
            assert await resolver.find("other") == ["address of other"]
        assert threads.count("known") == 2, "one thread waits, not one a question"
    finally:
        hangs.set()
        resolver.close()


async def test_all_that_a_request_asks_of_a_silent_store_ends_with_its_limit(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    await Bench.on(storage).post_one()
    own_server.pause()
    began = time.monotonic()
    refused = 0
    with deadline.within(1.0):
        for _ in range(10):
            try:
                await storage.do(QueueGet(PROJECT, QUEUE))
            except Unavailable:
                refused += 1
    assert refused == 10
    assert time.monotonic() - began < 2.5, "it is a sum of waits"
    own_server.go_on()
    await storage.ping()


async def test_a_silent_store_gets_nothing_that_nobody_knows_the_outcome_of(
    own_server: RedisServer, make_storage: Make
) -> None:
    storage = make_storage(own_server.uri)
    await storage.open()
    await Bench.on(storage).post_one()
    own_server.pause()
    asked = asyncio.create_task(storage.do(QueueGet(PROJECT, QUEUE)))
    wires = storage._store.client.topology._connections
    async with asyncio.timeout(10):
        while not any(one.silent for one in wires.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # polling the clock
    with deadline.within(0.3), pytest.raises(Unavailable) as refused:
        await Bench.on(storage).post_one()
    assert type(refused.value) is Unavailable, "it is known not to be done"
    own_server.go_on()
    assert await asked is not None
