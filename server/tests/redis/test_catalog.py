"""The catalogue of pools, as several servers use it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from zaqarserver.errors import CatalogChanged, Unavailable
from zaqarserver.storage.catalog import Pool
from zaqarserver.storage.redis import RedisStorage, scripts
from zaqarserver.storage.redis.scripts import Script

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
    revision = await store.catalog_revision()
    return (await store.placement_add(PROJECT, queue, pool, revision)).pool


async def test_a_change_is_seen_by_all_servers_at_once(two: Two) -> None:
    one, other = two
    await one.pool_put(Pool("a", "x://a", 1))
    before = await other.catalog_revision()
    await one.pool_put(Pool("a", "x://a", 0))
    assert await other.catalog_revision() != before
    with pytest.raises(CatalogChanged):
        await other.placement_add(PROJECT, "q", "a", before)
    found = await other.pool_get("a")
    assert found is not None
    assert found.weight == 0


async def test_servers_that_race_place_each_queue_once(two: Two) -> None:
    await two[0].pool_put(Pool("a", "x://a", 1))
    await two[0].pool_put(Pool("b", "x://b", 1))
    queues = [f"q{number}" for number in range(50)]
    first, second = await asyncio.gather(
        asyncio.gather(*(place(two[0], queue, "a") for queue in queues)),
        asyncio.gather(*(place(two[1], queue, "b") for queue in reversed(queues))),
    )
    assert first == second[::-1]
    counts = [await two[0].placement_count(pool) for pool in "ab"]
    assert counts == [first.count("a"), first.count("b")]
    listed = [
        one.queue
        for pool in "ab"
        for one in await two[1].placement_list(pool, marker=None, limit=100)
    ]
    assert sorted(listed) == sorted(queues)


async def test_a_lost_pool_with_many_queues_is_forgotten_in_steps(two: Two) -> None:
    """The server dies after a step; nothing new comes, and another one ends it."""
    dying, other = two
    await dying.pool_put(Pool("a", "x://a", 1))
    await dying.pool_put(Pool("b", "x://b", 1))
    await asyncio.gather(*(place(dying, f"q{number}", "a") for number in range(1500)))
    kept = await other.catalog_revision()
    placed = await other.placement_add(PROJECT, "returns", "b", kept)
    await other.placement_move(PROJECT, "returns", placed.epoch, "a", 1.0)
    run = dying._link.run
    steps = 0

    async def run_once(script: Script, keys: Any, *args: Any, **name: Any) -> Any:
        nonlocal steps
        if script is scripts.POOL_DELETE:
            steps += 1
            if steps > 1:
                raise Unavailable("it died")
        return await run(script, keys, *args, **name)

    dying._link.run = run_once  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await dying.pool_delete("a", forget=True)
    assert 0 < await other.placement_count("a") < 1500
    with pytest.raises(CatalogChanged):
        await other.placement_add(PROJECT, "new", "a", kept)
    await other.pool_delete("a", forget=True)
    assert await other.pool_get("a") is None
    assert await other.placement_count("a") == 0
    assert await other.placement_pools(PROJECT) == ["b"]
    back = await other.placement_get(PROJECT, "returns")
    assert back is not None
    assert (back.pool, back.target) == ("b", None)
