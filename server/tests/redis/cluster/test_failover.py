"""A master is killed under load: nothing that was acknowledged is lost.

With ``appendfsync always`` and a replica that confirms, what a caller was told holds
whichever single server dies.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from redis_groups import RedisCluster, RedisSentinels, wait_until
from redis_service import RedisServer
from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import Durability, NewMessage
from zaqarserver.storage.commands import ClaimCreate, MessagePost
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing.suite import Bench

pytestmark = pytest.mark.anyio

PROJECT = "p"
QUEUES = [f"queue{number}" for number in range(6)]
WAIT = "?wait_replicas=1&wait_timeout=5"
BEFORE, AFTER = 200, 200  # posts acknowledged before the kill, and after all is well


class History:
    """What callers were told.

    Attributes:
        acknowledged: Ids of posted messages by queue, in order of their posts.
        claimed: How many claims have given out a message.
        refused: How often the store could not serve.
    """

    def __init__(self) -> None:
        self.acknowledged: dict[str, list[str]] = {queue: [] for queue in QUEUES}
        self.claimed: Counter[str] = Counter()
        self.refused = 0
        self.over = asyncio.Event()
        self._progress = asyncio.Event()

    @property
    def posts(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def produce(self, storage: RedisStorage, queue: str) -> None:
        while not self.over.is_set():
            message = NewMessage(b"x" * 100, 3600)
            try:
                ids = await storage.do(
                    MessagePost(PROJECT, queue, "c", [message], time.time())
                )
            except Unavailable:
                self.refused += 1
            else:
                self.acknowledged[queue] += ids
                self._progress.set()

    async def consume(self, storage: RedisStorage, queue: str) -> None:
        while not self.over.is_set():
            try:
                claim = await storage.do(
                    ClaimCreate(
                        PROJECT, queue, ttl=3600, grace=60, limit=3, now=time.time()
                    )
                )
            except Unavailable:
                self.refused += 1
                continue
            if claim is None:
                await asyncio.sleep(0.01)
            else:
                self.claimed.update(message.id for message in claim.messages)

    async def reach(self, posts: int) -> None:
        """Wait until so many posts were acknowledged."""
        async with asyncio.timeout(60):
            while self.posts < posts:
                self._progress.clear()
                await self._progress.wait()


async def survive(storage: RedisStorage, victim: RedisServer) -> History:
    """Kill a server in the middle; return what callers were told."""
    history = History()
    tasks = [
        asyncio.create_task(work(storage, queue))
        for queue in QUEUES
        for work in (history.produce, history.produce, history.consume)
    ]
    await history.reach(BEFORE)
    victim.kill()
    await asyncio.to_thread(time.sleep, 3.0)  # longer than anybody needs to notice
    await history.reach(history.posts + AFTER)
    history.over.set()
    await asyncio.gather(*tasks)
    return history


async def check(storage: RedisStorage, history: History) -> None:
    for queue, acknowledged in history.acknowledged.items():
        stored = await Bench.on(storage).everything(
            project=PROJECT, queue=queue, now=time.time()
        )
        ids = [message.id for message in stored]
        assert ids == sorted(set(ids))
        assert set(acknowledged) <= set(ids), "an acknowledged message is lost"
        held = {message.id for message in stored if message.claim_id is not None}
        claimed = set(history.claimed) & set(ids)
        assert claimed <= held, "an acknowledged claim is lost"
    assert set(history.claimed.values()) == {1}, "a message is in two live claims"


async def test_a_cluster_loses_nothing_acknowledged_with_a_master(
    safe_cluster: RedisCluster,
) -> None:
    storage = RedisStorage.from_uri(safe_cluster.uri + WAIT, {})
    await storage.open()
    assert storage.durability is Durability.POWER_LOSS
    victim = safe_cluster.nodes[0]
    history = await survive(storage, victim)
    wait_until(lambda: len(safe_cluster.masters()) == 3, "a replica takes over")
    await check(storage, history)
    victim.start()
    wait_until(safe_cluster.is_well, "the old master is back")
    await check(storage, history)
    await storage.close()


async def test_sentinels_lose_nothing_acknowledged_with_the_master(
    safe_sentinels: RedisSentinels,
) -> None:
    storage = RedisStorage.from_uri(safe_sentinels.uri + WAIT, {})
    await storage.open()
    assert storage.durability is Durability.POWER_LOSS
    victim = safe_sentinels.master()
    history = await survive(storage, victim)
    await check(storage, history)
    victim.start()
    wait_until(lambda: not victim.is_master, "the old master follows the new one")
    await check(storage, history)
    await storage.close()


async def test_a_paused_master_that_lost_its_role_takes_nothing(
    safe_sentinels: RedisSentinels,
) -> None:
    # One of two replicas would not do: for a moment the old master keeps the one that
    # was not promoted.
    uri = safe_sentinels.uri + "?wait_replicas=2&wait_timeout=5"
    storage = RedisStorage.from_uri(uri, {})
    await storage.open()
    old = safe_sentinels.master()
    await storage.do(
        MessagePost(PROJECT, "q", "c", [NewMessage(b"1", 3600)], time.time())
    )
    old.pause()
    wait_until(
        lambda: any(one.is_master for one in safe_sentinels.servers if one is not old),
        "a replica takes over",
    )
    old.go_on()
    acknowledged: list[str] = []
    async with asyncio.timeout(30):
        while len(acknowledged) < 20:
            try:
                acknowledged += await storage.do(
                    MessagePost(
                        PROJECT, "q", "c", [NewMessage(b"2", 3600)], time.time()
                    )
                )
            except Unavailable:
                continue
    wait_until(lambda: not old.is_master, "the old master follows the new one")
    stored = await Bench.on(storage).everything(
        project=PROJECT, queue="q", now=time.time()
    )
    assert set(acknowledged) <= {message.id for message in stored}
    await storage.close()
