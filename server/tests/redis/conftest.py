"""Empty stores on a real Redis server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis_service import RedisServer
from zaqarserver.storage.redis import RedisStorage

pytest.register_assert_rewrite("zaqarserver.storage.testing")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suites of several servers to those who name their directory."""
    named = any("cluster" in argument for argument in config.args)
    return True if collection_path.name == "cluster" and not named else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def uri(redis_server: RedisServer) -> str:
    """The URI of an empty store: it has a prefix of its own."""
    return f"{redis_server.uri}?prefix={uuid.uuid4().hex}"


@pytest.fixture
def driver(uri: str) -> RedisStorage:
    """A driver of an empty store, closed."""
    return RedisStorage.from_uri(uri, {})


@pytest.fixture
async def make_storage() -> AsyncIterator[Callable[[str], RedisStorage]]:
    """Make drivers of a URI; those that are open are closed at the end."""
    made: list[RedisStorage] = []

    def make(uri: str) -> RedisStorage:
        storage = RedisStorage.from_uri(uri, {})
        made.append(storage)
        return storage

    yield make
    await asyncio.gather(*(storage.close() for storage in made))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may end; nothing that it answered is lost then.

    With ``everysec`` it would put off its writes for up to 2 s while the disk is slow.
    """
    settings = ("--appendonly", "yes", "--appendfsync", "always")
    server = RedisServer(tmp_path / "redis", *settings)
    server.start()
    yield server
    server.go_on()
    server.kill()
