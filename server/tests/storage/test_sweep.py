"""What the sweeper leaves in the tables: nothing that is dead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from zaqarserver.storage.commands import QueueDelete
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.sqlite.maintenance import SWEEP_ROWS
from zaqarserver.storage.subscriptions import DeliveryTake, SubscriptionDelete
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def storage() -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage.from_uri("sqlite://:memory:", {})
    await store.open()
    yield store
    await store.close()


def rows_in(storage: SQLiteStorage, table: str) -> int:
    assert storage._engine is not None
    db = storage._engine.memory.db
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608 - a constant


async def test_a_sweep_full_of_deliveries_forgets_no_message(
    storage: SQLiteStorage,
) -> None:
    id_ = (await Bench.on(storage).subscribe()).id
    for _ in range(SWEEP_ROWS):
        await Bench.on(storage).post(b"x")
    taken = await storage.do(DeliveryTake(NOW, limit=1, lease=60, confirmed_only=False))
    assert len(taken) == 1
    await storage.do(SubscriptionDelete(PROJECT, QUEUE, id_))
    await storage.do(QueueDelete(PROJECT, QUEUE))
    await Bench.on(storage).sweep_all(NOW)
    tables = ("message", "backlog", "claim", "subscription", "notice")
    assert {table: rows_in(storage, table) for table in tables} == dict.fromkeys(
        tables, 0
    )
