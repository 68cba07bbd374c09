"""Each part of a group stands still, for shorter and longer than a takeover takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis_groups import RedisCluster, RedisSentinels
from stopped import check, serve, stop
from zaqarserver.storage.redis.names import slot_of

pytestmark = pytest.mark.anyio

QUEUES = [f"queue{number}" for number in range(9)]
SECONDS = [0.6, 10.0]  # a takeover takes about two


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("part", ["sentinel", "replica", "master"])
async def test_a_part_of_a_sentinel_group_stands_still(
    safe_sentinels: RedisSentinels, tmp_path: Path, part: str, seconds: float
) -> None:
    pid = {
        "sentinel": safe_sentinels.sentinel_pids[0],
        "replica": safe_sentinels.servers[1].pid,
        "master": safe_sentinels.servers[0].pid,
    }[part]
    untouched = [] if part == "master" else QUEUES
    uri = safe_sentinels.uri + "?wait_replicas=1"
    with serve(tmp_path, uri) as url:
        check(await stop([url], pid, seconds, QUEUES, untouched))


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("node", [0, 1, 2, 3])
async def test_a_node_of_a_cluster_stands_still(
    safe_cluster: RedisCluster, tmp_path: Path, node: int, seconds: float
) -> None:
    # The fourth one is the replica of the first, which is not waited for here.
    others = [
        one
        for one in QUEUES
        if node == 3 or safe_cluster.shard(slot_of(f"{{p:{one}}}")) != node
    ]
    with serve(tmp_path, safe_cluster.uri) as url:
        check(await stop([url], safe_cluster.nodes[node].pid, seconds, QUEUES, others))


async def test_two_of_three_sentinels_stand_still_and_the_master_is_used(
    safe_sentinels: RedisSentinels, tmp_path: Path
) -> None:
    first, second, _ = safe_sentinels.sentinel_pids
    with serve(tmp_path, safe_sentinels.uri) as url:
        outer = stop([url], first, 8.0, QUEUES, QUEUES)
        inner = stop([url], second, 4.0, QUEUES, QUEUES)
        for found in await asyncio.gather(outer, inner):
            check(found)
