"""What operations cost does not grow with what is stored.

Counted in commands that Redis runs, those in scripts included, not in time: each
takes a logarithm of the queue at most.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from redis_service import RedisServer
from store_actions import (
    claim_ten,
    delete,
    first_page,
    get,
    middle_page,
    pop,
    purge,
    stats,
)
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import (
    MessagePost,
    MessagePurge,
)
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, new

pytestmark = pytest.mark.anyio

SMALL, LARGE = 500, 5_000

Make = Callable[[str], RedisStorage]
Action = Callable[[RedisStorage, list[str]], Awaitable[object]]


async def post_one(storage: RedisStorage, _ids: list[str]) -> object:
    return await storage.do(MessagePost(PROJECT, QUEUE, "c", new(b"x"), NOW))


async def usage(storage: RedisStorage, _ids: list[str]) -> object:
    return await storage.do(UsageGet(PROJECT, NOW))


async def fill(
    storage: RedisStorage, count: int, *, delay: int = 0, queue: str = QUEUE
) -> list[str]:
    message = NewMessage(b"body", 600, delay)
    return await storage.do(MessagePost(PROJECT, queue, "c", [message] * count, NOW))


@pytest.fixture
async def storage(own_server: RedisServer, make_storage: Make) -> RedisStorage:
    made = make_storage(own_server.uri)
    await made.open()
    # Nothing else is to be counted.
    for chore in (*made._chores, made._store.channel._task):
        if chore is not None:
            chore.cancel()
    return made


async def commands(
    server: RedisServer, storage: RedisStorage, action: Action, ids: list[str]
) -> int:
    """Count the commands of everything that an action runs."""
    server.ask("CONFIG", "RESETSTAT")
    await action(storage, ids)
    await storage._store.finish_leftovers()
    told = (server.ask("INFO", "commandstats") or b"").decode()
    return sum(int(calls) for calls in re.findall(r"calls=(\d+)", told))


@pytest.mark.parametrize(
    "action",
    [
        post_one,
        stats,
        claim_ten,
        pop,
        first_page,
        middle_page,
        get,
        delete,
        usage,
        purge,
    ],
)
async def test_the_cost_does_not_grow_with_the_backlog(
    own_server: RedisServer, storage: RedisStorage, action: Action
) -> None:
    counted = []
    for size in (SMALL, LARGE):
        ids = await fill(storage, size)
        counted.append(await commands(own_server, storage, action, ids))
        await storage.do(MessagePurge(PROJECT, QUEUE))
        await storage.do(UsageGet(PROJECT, NOW))
    small, large = counted
    assert 0 < large <= small


@pytest.mark.parametrize("others", ["claimed", "delayed"])
@pytest.mark.parametrize("action", [post_one, stats, claim_ten, pop, first_page])
async def test_the_cost_does_not_grow_with_what_cannot_be_taken(
    own_server: RedisServer, storage: RedisStorage, action: Action, others: str
) -> None:
    counted = []
    for size in (SMALL, LARGE):
        ids = await fill(storage, size, delay=300 if others == "delayed" else 0)
        if others == "claimed":
            for _ in range(size // 500):
                await Bench.on(storage).claim(limit=500)
        ids += await fill(storage, 20)
        counted.append(await commands(own_server, storage, action, ids))
        await storage.do(MessagePurge(PROJECT, QUEUE))
    small, large = counted
    assert 0 < large <= small


async def test_one_queue_costs_nothing_for_others(
    own_server: RedisServer, storage: RedisStorage
) -> None:
    ids = await fill(storage, 20)
    before = await commands(own_server, storage, usage, ids)
    for number in range(200):
        await fill(storage, 1, queue=f"queue{number}")
    while await storage.sweep(NOW):
        pass
    await storage.do(UsageGet(PROJECT, NOW))
    assert await commands(own_server, storage, usage, ids) <= before
    assert await storage.sweep(NOW) == 0
    assert await commands(own_server, storage, sweep, ids) < 10


async def sweep(storage: RedisStorage, _ids: list[str]) -> object:
    return await storage.sweep(NOW)
