"""When the disk fails: nothing half, clear errors, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import Usage
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    bodies,
    claim,
    everything,
    ids_of,
    post,
    post_one,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})
    await store.open()
    yield store
    await store.close()


@contextmanager
def full_disk(tmp_path: Path) -> Iterator[None]:
    """Let the log not grow: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "store.db-wal").stat().st_size
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


async def test_a_full_disk_fails_posts_and_nothing_else(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    kept = await post(storage, b"1", b"2")
    before = await storage.queue_stats(PROJECT, QUEUE, NOW)
    used = await storage.usage(PROJECT, NOW)
    with full_disk(tmp_path):
        for size in (10, 100_000):
            with pytest.raises(Unavailable):
                await post(storage, b"x" * size, queue="new")
        assert ids_of(await everything(storage)) == kept
        assert await storage.queue_get(PROJECT, "new") is None
        assert await storage.queue_stats(PROJECT, QUEUE, NOW) == before
        with pytest.raises(Unavailable):
            await storage.ping()
    assert await storage.queue_get(PROJECT, "new") is None
    await storage.ping()
    assert await storage.usage(PROJECT, NOW) == used


async def test_after_a_full_disk_all_goes_on(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    ids = await post(storage, b"1", b"2", b"3")
    with full_disk(tmp_path):
        with pytest.raises(Unavailable):
            await claim(storage, limit=2)
        with pytest.raises(Unavailable):
            await storage.queue_delete(PROJECT, QUEUE)
        with pytest.raises(Unavailable):
            await storage.message_pop(PROJECT, QUEUE, 1, NOW)
    held = await claim(storage, limit=2)
    assert bodies(held.messages) == [b"1", b"2"]
    assert [one.claim_count for one in held.messages] == [1, 1]
    ids.append(await post_one(storage))
    assert ids == sorted(ids)
    assert ids_of(await everything(storage)) == ids
    stats = await storage.queue_stats(PROJECT, QUEUE, NOW)
    assert (stats.free, stats.claimed) == (2, 2)


async def test_what_survived_a_full_disk_is_there_after_reopening(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    first = await post_one(storage)
    with full_disk(tmp_path), pytest.raises(Unavailable):
        await post_one(storage)
    second = await post_one(storage)
    await storage.close()
    await storage.open()
    assert ids_of(await everything(storage)) == [first, second]
    assert second < await post_one(storage)


async def test_every_operation_of_a_failed_batch_fails(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    await post_one(storage)
    with full_disk(tmp_path):
        results = await asyncio.gather(
            *(post_one(storage) for _ in range(20)), return_exceptions=True
        )
    assert {type(result) for result in results} == {Unavailable}
    assert len(await everything(storage)) == 1


async def test_an_operation_that_cannot_be_stored_fails_alone(
    storage: SQLiteStorage,
) -> None:
    """A value that the store cannot take rolls the batch back, once."""
    good = [asyncio.create_task(post_one(storage)) for _ in range(3)]
    bad = asyncio.create_task(post(storage, b"x", ttl=2**70))
    more = [asyncio.create_task(post_one(storage)) for _ in range(3)]
    results = await asyncio.gather(*good, bad, *more, return_exceptions=True)
    assert isinstance(results.pop(3), OverflowError)
    assert sorted(results) == ids_of(await everything(storage))
    stats = await storage.queue_stats(PROJECT, QUEUE, NOW)
    assert stats.free == 6
    assert await storage.usage(PROJECT, NOW) == Usage(1, 6, 6)
