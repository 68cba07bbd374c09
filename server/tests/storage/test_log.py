"""The write-ahead log stays short, and a long reader does no lasting harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from zaqarserver.storage.commands import MessageList
from zaqarserver.storage.sqlite import SQLiteStorage, engine
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio

PAGES, LIMIT, MAXIMUM = 100, 400, 800

#: Pages that one batch of the load below can add at most.
BATCH = 100


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def storage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SQLiteStorage]:
    monkeypatch.setattr(engine, "LOG_PAGES", PAGES)
    monkeypatch.setattr(engine, "LOG_LIMIT", LIMIT)
    monkeypatch.setattr(engine, "LOG_MAXIMUM", MAXIMUM)
    store = SQLiteStorage.from_uri(f"sqlite://{path}", {"synchronous": "normal"})
    await store.open()
    yield store
    await store.close()


async def load(storage: SQLiteStorage, rounds: int) -> int:
    """Post and list without a pause; return the longest log seen, in pages."""
    assert storage._engine is not None
    longest = 0
    for _ in range(rounds):
        await asyncio.gather(*(Bench.on(storage).post(b"x" * 2000) for _ in range(20)))
        await storage.do(MessageList(PROJECT, QUEUE, marker=None, limit=10, now=NOW))
        longest = max(longest, storage._engine.log_pages)
    return longest


async def test_the_log_is_bounded_under_load(
    storage: SQLiteStorage, path: Path
) -> None:
    longest = await load(storage, 150)
    assert longest <= MAXIMUM + PAGES + BATCH
    log = path.with_name(path.name + "-wal")
    assert log.stat().st_size <= 2 * MAXIMUM * 4096


async def test_a_long_reader_holds_nobody_up_and_the_log_recovers(
    storage: SQLiteStorage, path: Path
) -> None:
    await load(storage, 2)
    reader = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM message").fetchall()
    assert await load(storage, 60) > LIMIT
    assert reader.execute("SELECT count(*) FROM message").fetchall() == before
    reader.execute("COMMIT")
    reader.close()
    await load(storage, 40)
    assert await load(storage, 1) <= MAXIMUM + PAGES + BATCH


async def test_closing_leaves_no_log(storage: SQLiteStorage, path: Path) -> None:
    await load(storage, 5)
    await storage.close()
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "store.db",
        "store.db-reserve",
        "store.db.lock",
    ]
