"""The Redis driver keeps the storage contract though each call meets a fault."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from redis_service import RedisServer
from unlucky_storage import QUICK, unlucky_storage
from zaqarserver.storage.base import Storage
from zaqarserver.storage.testing import StorageContract


class TestRedisWithFaults(StorageContract):
    """Each test begins with a fault of its own; ``cluster`` has each fault alone."""

    @pytest.fixture
    def driver(
        self, redis_server: RedisServer, request: pytest.FixtureRequest
    ) -> Iterator[Storage]:
        name = random.Random(request.node.name)
        with unlucky_storage(redis_server.port, name.sample(QUICK, 4)) as made:
            yield made
