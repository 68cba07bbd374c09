"""The stores on which the promises are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis_service import RedisServer

StoreUri = Callable[[], str]


@pytest.fixture
def sqlite_uri(tmp_path: Path) -> StoreUri:
    """Return the URI of an SQLite store that is empty at first."""
    return lambda: f"sqlite:///{tmp_path}/zaqar.db"


@pytest.fixture(scope="session")
def durable_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that has each change on disk before it answers."""
    server = RedisServer(
        tmp_path_factory.mktemp("durable"),
        *("--appendonly", "yes", "--appendfsync", "always"),
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_uri(durable_redis: RedisServer) -> StoreUri:
    """Return the URI of a Redis store that is empty at first."""
    durable_redis.ask("FLUSHALL")
    return lambda: durable_redis.uri


@pytest.fixture
def store_uri(request: pytest.FixtureRequest) -> StoreUri:
    """Return the URI of a store; SQLite unless a test names another."""
    name: str = getattr(request, "param", "sqlite")
    uri: StoreUri = request.getfixturevalue(f"{name}_uri")
    return uri
