"""The catalogue of pools, as several servers use it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from zaqarserver.errors import CatalogChanged, Unavailable
from zaqarserver.storage.catalog import (
    CatalogRevision,
    PlacementAdd,
    PlacementCount,
    PlacementGet,
    PlacementList,
    PlacementMove,
    PlacementPools,
    Pool,
    PoolDelete,
    PoolGet,
    PoolPut,
)
from zaqarserver.storage.redis import RedisStorage

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]
PROJECT = "project"


@pytest.fixture
async def two(uri: str, make_storage: Make) -> tuple[RedisStorage, RedisStorage]:
    """Two servers with one catalogue."""
    one, other = make_storage(uri), make_storage(uri)
    await one.open()
    await other.open()
    return one, other


Two = tuple[RedisStorage, RedisStorage]


async def place(store: RedisStorage, queue: str, pool: str) -> str:
    revision = await store.do(CatalogRevision())
    return (await store.do(PlacementAdd(PROJECT, queue, pool, revision))).pool


async def test_a_change_is_seen_by_all_servers_at_once(two: Two) -> None:
    one, other = two
    await one.do(PoolPut(Pool("a", "x://a", 1)))
    before = await other.do(CatalogRevision())
    await one.do(PoolPut(Pool("a", "x://a", 0)))
    assert await other.do(CatalogRevision()) != before
    with pytest.raises(CatalogChanged):
        await other.do(PlacementAdd(PROJECT, "q", "a", before))
    found = await other.do(PoolGet("a"))
    assert found is not None
    assert found.weight == 0


async def test_servers_that_race_place_each_queue_once(two: Two) -> None:
    await two[0].do(PoolPut(Pool("a", "x://a", 1)))
    await two[0].do(PoolPut(Pool("b", "x://b", 1)))
    queues = [f"q{number}" for number in range(50)]
    first, second = await asyncio.gather(
        asyncio.gather(*(place(two[0], queue, "a") for queue in queues)),
        asyncio.gather(*(place(two[1], queue, "b") for queue in reversed(queues))),
    )
    assert first == second[::-1]
    counts = [await two[0].do(PlacementCount(pool)) for pool in "ab"]
    assert counts == [first.count("a"), first.count("b")]
    listed = [
        one.queue
        for pool in "ab"
        for one in await two[1].do(PlacementList(pool, marker=None, limit=100))
    ]
    assert sorted(listed) == sorted(queues)


async def test_a_lost_pool_with_many_queues_is_forgotten_in_steps(two: Two) -> None:
    """The server dies after a step; nothing new comes, and another one ends it."""
    dying, other = two
    await dying.do(PoolPut(Pool("a", "x://a", 1)))
    await dying.do(PoolPut(Pool("b", "x://b", 1)))
    await asyncio.gather(*(place(dying, f"q{number}", "a") for number in range(1500)))
    kept = await other.do(CatalogRevision())
    placed = await other.do(PlacementAdd(PROJECT, "returns", "b", kept))
    await other.do(PlacementMove(PROJECT, "returns", placed.epoch, "a", 1.0))
    run = dying._store.client.run
    steps = 0

    async def run_once(script: str, keys: Any, *args: Any, **name: Any) -> Any:
        nonlocal steps
        if script == "pool_delete":
            steps += 1
            if steps > 1:
                raise Unavailable("it died")
        return await run(script, keys, *args, **name)

    dying._store.client.run = run_once  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await dying.do(PoolDelete("a", forget=True))
    assert 0 < await other.do(PlacementCount("a")) < 1500
    with pytest.raises(CatalogChanged):
        await other.do(PlacementAdd(PROJECT, "new", "a", kept))
    await other.do(PoolDelete("a", forget=True))
    assert await other.do(PoolGet("a")) is None
    assert await other.do(PlacementCount("a")) == 0
    assert await other.do(PlacementPools(PROJECT)) == ["b"]
    back = await other.do(PlacementGet(PROJECT, "returns"))
    assert back is not None
    assert (back.pool, back.target) == ("b", None)
