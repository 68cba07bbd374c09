"""When the disk fails: nothing half, clear errors, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import Usage, UsageGet
from zaqarserver.storage.commands import (
    ClaimDelete,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessagePop,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.sqlite import SQLiteStorage, files, writer
from zaqarserver.storage.subscriptions import SubscriptionCreate, SubscriptionDelete
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SQLiteStorage]:
    monkeypatch.setattr(files, "LOG_ROOM", 64 * files.PAGE)
    monkeypatch.setattr(writer, "SHORT_SECONDS", 0.0)
    store = SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})
    await store.open()
    yield store
    await store.close()


@contextmanager
def full_disk(tmp_path: Path, log: int | None = None) -> Iterator[None]:
    """Let no file grow: writes fail as on a full disk.

    Args:
        tmp_path: Where the store is.
        log: Bytes that the log may have, less than it has.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [(tmp_path / name).stat().st_size for name in ("store.db", "store.db-wal")]
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log or max(sizes), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


async def fill(storage: SQLiteStorage) -> list[str]:
    """Post until there is no room; return the ids."""
    ids: list[str] = []
    for size in (10_000, 100):
        while True:
            try:
                ids += await Bench.on(storage).post(b"x" * size)
            except Unavailable:
                break
            assert len(ids) < 1000
    return ids


async def test_a_full_disk_fails_what_grows_and_nothing_else(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    await Bench.on(storage).post_one()
    await storage.do(QueueCreate(PROJECT, "metadata", {}))
    subscription, _ = await storage.do(
        SubscriptionCreate(
            PROJECT, "metadata", subscriber="http://a/", ttl=600, options={}, now=NOW
        )
    )
    with full_disk(tmp_path):
        kept = [*ids_of(await Bench.on(storage).everything()), *(await fill(storage))]
        before = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        used = await storage.do(UsageGet(PROJECT, NOW))
        found = await storage.do(QueueGet(PROJECT, "metadata"))
        assert found is not None
        big = {"a": "x" * 300_000}
        growing: list[Awaitable[object]] = [
            Bench.on(storage).post(b"x" * 300_000, queue="new"),
            storage.do(QueueCreate(PROJECT, "new", big)),
            storage.do(QueueUpdate(PROJECT, "metadata", big, found.revision)),
            storage.do(
                SubscriptionCreate(
                    PROJECT, QUEUE, subscriber="http://b/", ttl=6, options=big, now=NOW
                )
            ),
        ]
        results = await asyncio.gather(*growing, return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 4
        assert all("full" in str(result) or "grow" in str(result) for result in results)
        assert ids_of(await Bench.on(storage).everything()) == kept
        assert await storage.do(QueueGet(PROJECT, "new")) is None
        assert await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW)) == before
        assert await storage.do(UsageGet(PROJECT, NOW)) == used
        # All that frees something goes on, as often as it is wanted.
        await storage.ping()
        for _ in range(5):
            held = await Bench.on(storage).claim(limit=2)
            await storage.do(
                ClaimUpdate(PROJECT, QUEUE, held.id, ttl=60, grace=60, now=NOW)
            )
            await storage.do(MessageDelete(PROJECT, QUEUE, kept.pop(0), held.id, NOW))
            await storage.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
            await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW))
            await storage.do(MessageDeleteMany(PROJECT, QUEUE, kept[1:3], None, NOW))
            del kept[:3]
        assert ids_of(await Bench.on(storage).everything()) == kept
        await storage.do(SubscriptionDelete(PROJECT, "metadata", subscription.id))
        await storage.do(QueueDelete(PROJECT, "metadata"))
        await storage.do(MessagePurge(PROJECT, QUEUE))
        await Bench.on(storage).sweep_all(NOW)
        assert len(await fill(storage)) > 3
    assert await storage.do(QueueGet(PROJECT, "new")) is None


async def test_all_that_fills_a_full_disk_can_be_consumed(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    await Bench.on(storage).post_one()
    with full_disk(tmp_path):
        for _ in range(3):
            filled = len(await fill(storage))
            gone = 0
            while popped := await storage.do(MessagePop(PROJECT, QUEUE, 2, NOW)):
                gone += len(popped)
            assert gone >= filled > 10
        await fill(storage)
        await Bench.on(storage).sweep_all(NOW + 10**7)  # expiry
        assert len(await fill(storage)) > 10
        # Reopened while it is full, whatever is left of the log.
        await storage.close()
        await storage.open()
        assert await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW))


async def test_many_who_consume_at_once_are_served_on_a_full_disk(
    storage: SQLiteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHORT_SECONDS", 1.0)
    await Bench.on(storage).post_one()
    with full_disk(tmp_path):
        await Bench.on(storage).post(*[b"x"] * 500)
        ids = ids_of(await Bench.on(storage).everything())
        await fill(storage)
        asked = [
            storage.do(MessageDelete(PROJECT, QUEUE, one, None, NOW)) for one in ids
        ]
        posted = [Bench.on(storage).post(b"x" * 500_000) for _ in range(5)]
        results = await asyncio.gather(*asked, *posted, return_exceptions=True)
        assert results[: len(ids)] == [None] * len(ids)
        assert {type(result) for result in results[len(ids) :]} == {Unavailable}


async def test_a_log_that_cannot_be_written_fails_all_and_loses_nothing(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    ids = await Bench.on(storage).post(b"1", b"2", b"3")
    with full_disk(tmp_path, log=1):
        for operation in (
            Bench.on(storage).claim(limit=2),
            storage.do(QueueDelete(PROJECT, QUEUE)),
            storage.do(MessagePop(PROJECT, QUEUE, 1, NOW)),
            storage.ping(),
        ):
            with pytest.raises(Unavailable):
                await operation
        results = await asyncio.gather(
            *(Bench.on(storage).post_one() for _ in range(20)), return_exceptions=True
        )
        assert {type(result) for result in results} == {Unavailable}
    held = await Bench.on(storage).claim(limit=2)
    assert bodies(held.messages) == [b"1", b"2"]
    assert [one.claim_count for one in held.messages] == [1, 1]
    stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
    assert (stats.free, stats.claimed) == (1, 2)
    ids.append(await Bench.on(storage).post_one())
    await storage.close()
    await storage.open()
    assert ids_of(await Bench.on(storage).everything()) == ids
    assert ids[-1] < await Bench.on(storage).post_one()


# -- the files ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["store.db", "store.db-wal"])
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_removed_is_noticed_with_the_next_change(
    storage: SQLiteStorage, tmp_path: Path, name: str, replaced: bool
) -> None:
    await Bench.on(storage).post_one()
    path = tmp_path / name
    content = path.read_bytes()
    path.rename(tmp_path / "kept")
    if replaced:
        path.write_bytes(content)
    for operation in (
        Bench.on(storage).post_one(),
        storage.ping(),
        Bench.on(storage).claim(),
    ):
        with pytest.raises(Unavailable, match="replaced" if replaced else "gone"):
            await operation
    (tmp_path / "kept").rename(path)
    await Bench.on(storage).post_one()
    assert len(await Bench.on(storage).everything()) == 2


async def test_a_lock_of_another_program_is_waited_for(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    await Bench.on(storage).post_one()
    other = apsw.Connection(str(tmp_path / "store.db"))
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(Bench.on(storage).post_one())
    for _ in range(5):
        assert len(await Bench.on(storage).everything()) == 1
        await asyncio.sleep(0.02)
    assert not waiting.done()
    other.execute("COMMIT")
    await waiting
    other.close()
    assert len(await Bench.on(storage).everything()) == 2


async def test_a_lock_that_stays_is_said_after_a_while(
    storage: SQLiteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_SECONDS", 0.1)
    other = apsw.Connection(str(tmp_path / "store.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await Bench.on(storage).post_one()
    other.close()
    await Bench.on(storage).post_one()


# -- what cannot be stored ---------------------------------------------------


async def test_an_operation_that_cannot_be_stored_fails_alone(
    storage: SQLiteStorage,
) -> None:
    """A value that the store cannot take rolls the batch back, once."""
    good = [asyncio.create_task(Bench.on(storage).post_one()) for _ in range(3)]
    bad = asyncio.create_task(Bench.on(storage).post(b"x", ttl=2**70))
    more = [asyncio.create_task(Bench.on(storage).post_one()) for _ in range(3)]
    results = await asyncio.gather(*good, bad, *more, return_exceptions=True)
    assert isinstance(results.pop(3), OverflowError)
    assert sorted(results) == ids_of(await Bench.on(storage).everything())
    stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
    assert stats.free == 6
    assert await storage.do(UsageGet(PROJECT, NOW)) == Usage(1, 6, 6)
