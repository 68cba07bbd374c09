"""What the driver says of how Redis keeps data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis_groups import wait_until
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


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("--appendonly", "no"), "keeps no log"),
        (("--appendonly", "yes", "--appendfsync", "everysec"), "appendfsync everysec"),
        (
            (
                *("--appendonly", "yes", "--appendfsync", "always"),
                *("--maxmemory-policy", "allkeys-lru"),
            ),
            "throw messages away",
        ),
        (("--appendonly", "yes", "--appendfsync", "always"), None),
    ],
)
async def test_a_replica_that_keeps_less_than_its_master_is_named(
    own_server: RedisServer,
    make_storage: Make,
    tmp_path: Path,
    settings: tuple[str, ...],
    named: str | None,
) -> None:
    own_server.ask("CONFIG", "SET", "appendfsync", "always")
    own_server.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = RedisServer(
        tmp_path / "replica",
        *("--replicaof", "127.0.0.1", str(own_server.port), *settings),
    )
    replica.start()
    try:
        wait_until(
            lambda: b"state=online" in (own_server.ask("INFO", "replication") or b""),
            "the replica follows",
        )
        storage = make_storage(own_server.uri + "?wait_replicas=1")
        await storage.open()
        found = [one for one in storage.warnings if f":{replica.port} " in one]
        if named is None:
            assert not found
        else:
            assert any(named in one for one in found)
        await storage.close()
    finally:
        replica.kill()
