"""A Redis server for the tests of the driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from zaqarserver.storage.redis import RedisStorage

from .servers import RedisServer

pytest.register_assert_rewrite("zaqarserver.storage.testing")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a log, shared by the session."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--appendonly", "yes")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def uri(redis_server: RedisServer) -> str:
    """The URI of an empty store."""
    redis_server.ask("FLUSHALL")
    return redis_server.uri


@pytest.fixture
def driver(uri: str) -> RedisStorage:
    """A driver of an empty store, closed."""
    return RedisStorage.from_uri(uri, {})
