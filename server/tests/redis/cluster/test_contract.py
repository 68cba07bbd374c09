"""The Redis driver keeps the storage contract in a cluster and behind sentinels."""

from __future__ import annotations

import uuid

import pytest
from redis_groups import RedisCluster, RedisSentinels
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.testing import StorageContract


def options() -> str:
    """A prefix of its own is an empty store."""
    return f"?prefix={uuid.uuid4().hex}"


class TestCluster(StorageContract):
    @pytest.fixture
    def driver(self, cluster: RedisCluster) -> RedisStorage:
        return RedisStorage.from_uri(cluster.uri + options(), {})


class TestClusterThatWaitsForReplicas(StorageContract):
    @pytest.fixture
    def driver(self, cluster: RedisCluster) -> RedisStorage:
        uri = cluster.uri + options() + "&wait_replicas=1&wait_timeout=10"
        return RedisStorage.from_uri(uri, {})


class TestSentinels(StorageContract):
    @pytest.fixture
    def driver(self, sentinels: RedisSentinels) -> RedisStorage:
        return RedisStorage.from_uri(sentinels.uri + options(), {})
