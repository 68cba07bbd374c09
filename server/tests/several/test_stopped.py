"""Parts that stand still instead of ending; ``make cluster`` has the longer ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_groups import RedisCluster, RedisSentinels
from redis_service import RedisServer
from stopped import check, serve, stop
from zaqarserver.storage.redis.names import slot_of

pytestmark = pytest.mark.anyio

QUEUES = [f"queue{number}" for number in range(9)]

#: Other tests share the machine: where nothing may stand still longer than a second,
#: half a second more is theirs.
GAP = 1.5


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--appendonly", "yes")
    server.start()
    yield server
    server.go_on()
    server.kill()


@pytest.mark.parametrize("seconds", [1.0, 5.0])
async def test_a_store_that_stands_still_is_said_to_be_away_and_used_when_it_goes_on(
    redis: RedisServer, tmp_path: Path, seconds: float
) -> None:
    with serve(tmp_path, redis.uri) as url:
        found = await stop([url], redis.pid, seconds, QUEUES, [])
    check(found)
    if seconds < 4:
        assert set(found.load.statuses()) == {201}, "a short stop is only a delay"


async def test_a_sentinel_that_stands_still_is_not_waited_for(tmp_path: Path) -> None:
    sentinels = RedisSentinels(tmp_path)
    try:
        sentinels.start()
        with serve(tmp_path, sentinels.uri) as url:
            pid = sentinels.sentinel_pids[0]
            found = await stop([url], pid, 3.0, QUEUES, QUEUES)
    finally:
        sentinels.stop()
    check(found, gap=GAP)
    assert set(found.load.statuses()) == {201}


async def test_a_master_of_a_cluster_that_stands_still_stops_its_own_queues_only(
    tmp_path: Path,
) -> None:
    cluster = RedisCluster(tmp_path)
    try:
        cluster.start()
        others = [one for one in QUEUES if cluster.shard(slot_of(f"{{p:{one}}}"))]
        assert 0 < len(others) < len(QUEUES)
        with serve(tmp_path, cluster.uri) as url:
            found = await stop([url], cluster.nodes[0].pid, 4.0, QUEUES, others)
    finally:
        cluster.stop()
    check(found, gap=GAP)
