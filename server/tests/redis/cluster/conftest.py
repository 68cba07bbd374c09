"""Stores of several servers; run by ``make cluster``, too long for every run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_groups import RedisCluster, RedisSentinels

pytest.register_assert_rewrite("zaqarserver.storage.testing")

ALWAYS = ("--appendfsync", "always")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three masters with a replica each, shared by tests that end nothing."""
    made = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSentinels]:
    """A master with two replicas, shared by tests that end nothing."""
    made = RedisSentinels(tmp_path_factory.mktemp("sentinels"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def safe_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster of its own that flushes each change."""
    made = RedisCluster(tmp_path_factory.mktemp("cluster"), *ALWAYS)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def safe_sentinels(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RedisSentinels]:
    """Servers of its own that flush each change."""
    made = RedisSentinels(tmp_path_factory.mktemp("sentinels"), *ALWAYS)
    try:
        made.start()
        yield made
    finally:
        made.stop()
