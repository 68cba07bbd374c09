"""What operations cost does not grow with what is stored.

Counted in steps of SQLite's virtual machine, not in time: each row or index
entry that a statement touches takes a few.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import apsw
import pytest
from store_actions import (
    claim_ten,
    delete,
    first_page,
    get,
    middle_page,
    missing,
    pop,
    purge,
    stats,
)
from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantRevoke,
    UsageGet,
)
from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.commands import (
    MessagePost,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
)
from zaqarserver.storage.sqlite import SQLiteStorage
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio

SMALL, LARGE = 1_000, 100_000

#: Steps between two calls of the counter.
GRAIN = 10

Action = Callable[[SQLiteStorage, list[str]], Awaitable[object]]


async def queue_delete(storage: SQLiteStorage, _ids: list[str]) -> object:
    return await storage.do(QueueDelete(PROJECT, QUEUE))


async def sweep_one(storage: SQLiteStorage, _ids: list[str]) -> object:
    return await storage.sweep(NOW)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def storage() -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage.from_uri("sqlite://:memory:", {})
    await store.open()
    yield store
    await store.close()


async def fill(
    storage: SQLiteStorage, count: int, *, ttl: int = 600, delay: int = 0
) -> list[str]:
    message = NewMessage(b"body", ttl, delay)
    return await storage.do(MessagePost(PROJECT, QUEUE, "c", [message] * count, NOW))


async def steps(storage: SQLiteStorage, action: Callable[[], Awaitable[object]]) -> int:
    """Count the steps of everything that an action runs."""
    assert storage._engine is not None
    db = storage._engine.memory.db
    counted = 0

    def count() -> bool:
        nonlocal counted
        counted += GRAIN
        return False

    db.set_progress_handler(count, GRAIN)
    await action()
    db.set_progress_handler(None)
    return counted


def assert_alike(small: int, large: int) -> None:
    assert large <= small * 1.2 + 20 * GRAIN, f"{small} steps grew to {large}"


@pytest.mark.parametrize(
    "action",
    [
        stats,
        claim_ten,
        pop,
        first_page,
        middle_page,
        get,
        missing,
        delete,
        purge,
        queue_delete,
        sweep_one,
    ],
)
async def test_the_cost_does_not_grow_with_the_backlog(
    storage: SQLiteStorage, action: Action
) -> None:
    ids = await fill(storage, SMALL)
    small = await steps(storage, lambda: action(storage, ids))
    await storage.do(QueueDelete(PROJECT, QUEUE))
    while await storage.sweep(NOW):
        pass
    ids = await fill(storage, LARGE)
    large = await steps(storage, lambda: action(storage, ids))
    assert_alike(small, large)


@pytest.mark.parametrize("others", ["claimed", "delayed"])
@pytest.mark.parametrize("action", [stats, claim_ten, pop, first_page])
async def test_the_cost_does_not_grow_with_what_cannot_be_taken(
    storage: SQLiteStorage, action: Action, others: str
) -> None:
    cost = []
    for size in (SMALL, LARGE):
        ids = await fill(storage, size, delay=300 if others == "delayed" else 0)
        if others == "claimed":
            for _ in range(size // 500):
                await Bench.on(storage).claim(limit=500)
        ids += await fill(storage, 20)
        cost.append(await steps(storage, lambda ids=ids: action(storage, ids)))
        await storage.do(QueueDelete(PROJECT, QUEUE))
    assert_alike(*cost)


async def test_no_statement_is_planned_again_for_other_values(
    storage: SQLiteStorage,
) -> None:
    ids = await fill(storage, SMALL)
    planned = 0

    def ask(*_what: object) -> int:  # asked for each table that a plan reads or changes
        nonlocal planned
        planned += 1
        return apsw.SQLITE_OK

    assert storage._engine is not None
    storage._engine.memory.db.set_authorizer(ask)
    actions = [stats, get, delete, first_page, middle_page, claim_ten, pop]
    for action in actions * 2:  # the second time some find claims
        await action(storage, ids)
    first, planned = planned, 0
    for action in actions:
        await action(storage, ids[1:])
    assert first > 20
    assert planned == 0


async def test_claims_pay_once_for_what_expired_before_them(
    storage: SQLiteStorage,
) -> None:
    await fill(storage, LARGE, ttl=60)
    await storage.do(
        MessagePost(PROJECT, QUEUE, "c", [NewMessage(b"x", 600)] * 20, NOW + 1)
    )
    first = await steps(storage, lambda: Bench.on(storage).claim(limit=1, now=NOW + 60))
    second = await steps(
        storage, lambda: Bench.on(storage).claim(limit=1, now=NOW + 60)
    )
    assert first > LARGE
    assert second < SMALL


async def test_a_queue_that_is_remembered_costs_nothing(
    storage: SQLiteStorage,
) -> None:
    await storage.do(QueueCreate(PROJECT, QUEUE, {"a": 1}))
    for name in (QUEUE, "missing"):
        await storage.do(QueueGet(PROJECT, name))
        cost = await steps(
            storage, lambda name=name: storage.do(QueueGet(PROJECT, name))
        )
        assert cost == 0


async def test_what_every_request_may_ask_of_accounts_costs_nothing(
    storage: SQLiteStorage,
) -> None:
    await fill(storage, SMALL)
    grant = Grant("a" * 32, ["/p"], ["GET"], NOW, NOW + 60)
    await storage.do(GrantAdd(PROJECT, QUEUE, grant, most=1, now=NOW))
    await storage.do(GrantRevoke(PROJECT, QUEUE, grant.id, NOW))
    for ask in (
        lambda: storage.do(UsageGet(PROJECT, NOW)),
        lambda: storage.do(QueueCount(PROJECT)),
        lambda: storage.do(GrantCheck(PROJECT, QUEUE, grant.id, NOW)),
        lambda: storage.do(GrantCheck(PROJECT, QUEUE, "other", NOW)),
    ):
        assert await steps(storage, ask) == 0


async def test_no_step_of_a_sweep_is_long(storage: SQLiteStorage) -> None:
    await fill(storage, 5 * SMALL, ttl=60)
    for _ in range(20):
        await Bench.on(storage).claim(limit=10, ttl=60)
    costs = []
    while await storage.sweep(NOW):
        pass
    removed = 1
    while removed:
        before = len(costs)
        costs.append(await steps(storage, lambda: storage.sweep(NOW + 120)))
        removed = await storage.sweep(NOW + 120)
        assert len(costs) == before + 1
    assert max(costs) < 30_000
    assert len(costs) > 10
