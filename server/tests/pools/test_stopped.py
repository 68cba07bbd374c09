"""A pool that stands still: the others go on, and so does what visits all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis_service import RedisServer
from zaqarserver.common import deadline
from zaqarserver.errors import Unavailable
from zaqarserver.spaces import project_of
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import NewMessage, Storage
from zaqarserver.storage.catalog import Pool, PoolGet, PoolPut
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.pooled import PooledStorage
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.subscriptions import (
    DeliverySettle,
    DeliveryTake,
    SubscriptionCreate,
)

from .conftest import NOW

pytestmark = pytest.mark.anyio

PROJECT = "p"
#: Seconds that anything may take that visits the pool that stands still as well.
SOON = 3.0


def load(uri: str, _options: Mapping[str, Any]) -> Storage:
    if uri.startswith("redis"):
        return RedisStorage.from_uri(uri, {})
    return SQLiteStorage.from_uri(uri, {"synchronous": "normal"})


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--appendonly", "yes")
    server.start()
    yield server
    server.go_on()
    server.kill()


async def post(storage: Storage, queue: str) -> None:
    message = NewMessage(b"1", 600)
    await storage.do(MessagePost(PROJECT, queue, "c", [message], NOW))


async def test_a_pool_that_stands_still_holds_up_its_own_queues_only(
    redis: RedisServer, tmp_path: Path
) -> None:
    home = f"sqlite://{tmp_path}/home.db"
    storage = PooledStorage(load(home, {}), load, project_of, clock=lambda: NOW)
    await storage.open()
    pools = {"still": redis.uri, "well": f"sqlite://{tmp_path}/well.db"}
    catalog = storage.pools.catalog
    for name in pools:
        for other, uri in pools.items():
            if other == name or await catalog.do(PoolGet(other)):
                await catalog.do(PoolPut(Pool(other, uri, int(other == name))))
        await storage.do(
            SubscriptionCreate(
                PROJECT, name, subscriber="http://x/", ttl=900, options={}, now=NOW
            )
        )
        await post(storage, name)
    redis.pause()
    try:
        for _ in range(2):
            began = time.monotonic()
            await post(storage, "well")
            assert time.monotonic() - began < 1.0
            began = time.monotonic()
            taken = await storage.do(
                DeliveryTake(NOW, limit=10, lease=0, confirmed_only=False)
            )
            assert {one.subscription.queue for one in taken} == {"well"}
            assert time.monotonic() - began < SOON
            await storage.do(
                DeliverySettle(taken[0].key, position=0, attempt=0, due=NOW)
            )
            began = time.monotonic()
            with deadline.within(deadline.ANSWER_SECONDS):
                usage = await storage.do(UsageGet(PROJECT, NOW))
            assert usage.messages >= 1
            assert time.monotonic() - began < SOON
        with deadline.within(0.3), pytest.raises(Unavailable):
            await post(storage, "still")
    finally:
        redis.go_on()
    await post(storage, "still")
    await storage.close()
