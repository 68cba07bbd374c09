"""Empty stores on a real Redis server."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis_service import RedisServer
from zaqarserver.storage.redis import RedisStorage

pytest.register_assert_rewrite("zaqarserver.storage.testing")


@pytest.fixture
def uri(redis_server: RedisServer) -> str:
    """The URI of an empty store."""
    redis_server.ask("FLUSHALL")
    return redis_server.uri


@pytest.fixture
def driver(uri: str) -> RedisStorage:
    """A driver of an empty store, closed."""
    return RedisStorage.from_uri(uri, {})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suites of several servers to those who name their directory."""
    named = any("cluster" in argument for argument in config.args)
    return True if collection_path.name == "cluster" and not named else None
