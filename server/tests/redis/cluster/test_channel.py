"""Posts are heard where the connection lives and tells nothing any more."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis_groups import RedisCluster, wait_until
from redis_service import RedisServer
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.subscriptions import Post, SubscriptionCreate

pytestmark = pytest.mark.anyio

BOUND = 5.0


def fail_over_and_forget(cluster: RedisCluster, old: RedisServer) -> None:
    """Remove a master from the cluster as an administrator would."""
    replica = next(
        node
        for node in cluster.nodes[3:]
        if str(old.port).encode() in (node.ask("INFO", "replication") or b"")
    )
    assert b"+OK" in (replica.ask("CLUSTER", "FAILOVER") or b"")
    wait_until(lambda: replica.is_master and not old.is_master, "the roles change")
    name = (old.ask("CLUSTER", "MYID") or b"").split()[1].decode()
    for node in cluster.nodes:
        if node is not old:
            node.ask("CLUSTER", "FORGET", name)
    assert b"+OK" in (old.ask("CLUSTER", "RESET", "HARD") or b"")


async def test_a_node_that_leaves_the_cluster_takes_no_ears_along(
    safe_cluster: RedisCluster,
) -> None:
    heard: list[Post] = []
    storages = [RedisStorage.from_uri(safe_cluster.uri, {}) for _ in range(2)]
    ears, poster = storages
    ears.watch(heard.append, lambda: None)
    for storage in storages:
        await storage.open()
    for number in range(6):
        await ears.do(
            SubscriptionCreate(
                "p",
                f"q{number}",
                subscriber=f"http://socket{number}/",
                ttl=900,
                options={},
                now=time.time(),
                volatile=True,
            )
        )

    async def post(number: int) -> float:
        began = time.monotonic()
        message = NewMessage(b"1", 60)
        await poster.do(MessagePost("p", f"q{number}", "c", [message], time.time()))
        return time.monotonic() - began

    masters = sorted(safe_cluster.masters(), key=lambda node: str(node.port))
    # Both listen at the first one.
    await asyncio.to_thread(fail_over_and_forget, safe_cluster, masters[0])

    async with asyncio.timeout(3 * BOUND):
        while True:  # until all queues are heard again
            heard.clear()
            for number in range(6):
                await post(number)
            await asyncio.sleep(0.2)  # pushes are not waited for by anybody
            if len({one.queue for one in heard}) == 6:
                break
    slowest = max([await post(number % 6) for number in range(30)])
    assert slowest < 0.5, "a post waits in vain to be heard"
    for storage in storages:
        await storage.close()
