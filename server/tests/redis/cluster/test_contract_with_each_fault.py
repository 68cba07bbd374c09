"""The Redis driver keeps the storage contract, whichever fault each call meets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_service import RedisServer
from tcp_proxy import Fault
from unlucky_storage import QUICK, unlucky_storage
from zaqarserver.storage.base import Storage
from zaqarserver.storage.testing import StorageContract


class TestRedisWithEachFault(StorageContract):
    """Takes minutes; ``make test`` has each test with the faults by turns."""

    @pytest.fixture(params=QUICK, ids=lambda fault: fault.name)
    def driver(
        self, redis_server: RedisServer, request: pytest.FixtureRequest
    ) -> Iterator[Storage]:
        fault: Fault = request.param
        with unlucky_storage(redis_server.port, [fault]) as made:
            yield made
