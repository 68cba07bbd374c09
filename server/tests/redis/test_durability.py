"""What the driver says of how Redis keeps data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis_service import RedisServer
from zaqarserver.storage.base import Capability, Durability
from zaqarserver.storage.redis import RedisStorage

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


@pytest.mark.parametrize(
    ("appendonly", "appendfsync", "durability"),
    [
        ("no", "everysec", Durability.MEMORY),
        ("yes", "no", Durability.PROCESS_CRASH),
        ("yes", "everysec", Durability.PROCESS_CRASH),
        ("yes", "always", Durability.POWER_LOSS),
    ],
)
async def test_the_log_decides_what_an_acknowledgement_means(
    own_server: RedisServer,
    make_storage: Make,
    caplog: pytest.LogCaptureFixture,
    appendonly: str,
    appendfsync: str,
    durability: Durability,
) -> None:
    own_server.ask("CONFIG", "SET", "appendonly", appendonly)
    own_server.ask("CONFIG", "SET", "appendfsync", appendfsync)
    storage = make_storage(own_server.uri)
    await storage.open()
    assert storage.durability is durability
    lasting = durability is not Durability.MEMORY
    assert (Capability.DURABILITY in storage.capabilities) is lasting
    warned = "an acknowledged message can be lost" in caplog.text
    assert warned is (durability is not Durability.POWER_LOSS)


async def test_servers_may_share_the_store(driver: RedisStorage) -> None:
    assert driver.shareable
