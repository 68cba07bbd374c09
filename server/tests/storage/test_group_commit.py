"""Operations that wait together are committed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from faulty_disk import FaultyDisk
from zaqarserver.errors import ClaimNotLive
from zaqarserver.storage.base import Claim, NewMessage
from zaqarserver.storage.commands import (
    MessageDelete,
    MessagePop,
    MessagePost,
    QueueCreate,
)
from zaqarserver.storage.sqlite import SQLiteStorage, committing
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench

pytestmark = pytest.mark.anyio


class Commits:
    """The transactions.

    Attributes:
        on_loop: Whether each held the loop.
    """

    def __init__(self, storage: SQLiteStorage) -> None:
        assert storage._engine is not None
        self.on_loop: list[bool] = []
        self._loop = threading.get_ident()
        storage._engine.memory.db.set_commit_hook(self._note)

    @property
    def count(self) -> int:
        return len(self.on_loop)

    def _note(self) -> bool:
        self.on_loop.append(threading.get_ident() == self._loop)
        return False


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    made = FaultyDisk()
    yield made
    made.unregister()


@pytest.fixture
async def storage(tmp_path: Path, disk: FaultyDisk) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})
    await store.open()
    await store.do(QueueCreate(PROJECT, QUEUE, {}))
    yield store
    await store.close()


async def test_concurrent_posts_share_commits(storage: SQLiteStorage) -> None:
    commits = Commits(storage)
    await asyncio.gather(*(Bench.on(storage).post_one() for _ in range(200)))
    assert commits.count < 20
    assert len(await Bench.on(storage).everything()) == 200


async def test_each_post_alone_is_committed_when_it_returns(
    storage: SQLiteStorage,
) -> None:
    commits = Commits(storage)
    for number in range(1, 6):
        await Bench.on(storage).post_one()
        assert commits.count == number


async def test_commits_hold_the_loop_while_the_disk_is_quick(
    storage: SQLiteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench.on(storage)
    monkeypatch.setattr(committing, "QUICK_SECONDS", 60.0)
    await bench.post_one()
    commits = Commits(storage)
    await asyncio.gather(*(bench.post_one() for _ in range(20)))
    assert commits.on_loop == [True]


async def test_a_disk_that_becomes_slow_holds_the_loop_once(
    storage: SQLiteStorage, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench.on(storage)
    monkeypatch.setattr(committing, "QUICK_SECONDS", 60.0)
    await bench.post_one()
    monkeypatch.setattr(committing, "QUICK_SECONDS", 0.04)
    commits = Commits(storage)
    disk.flush_seconds = 0.05
    for _ in range(8):
        await bench.post_one()
    assert commits.on_loop == [True] + [False] * 7


async def test_a_slow_disk_does_not_hold_the_loop(
    storage: SQLiteStorage, disk: FaultyDisk
) -> None:
    commits = Commits(storage)
    disk.flush_seconds = 0.5
    posted = asyncio.create_task(Bench.on(storage).post_one())
    turns = 0
    while not posted.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20
    assert commits.on_loop == [False]


async def test_what_changes_nothing_writes_nothing(
    storage: SQLiteStorage, tmp_path: Path
) -> None:
    message_id = await Bench.on(storage).post_one()
    log = tmp_path / "store.db-wal"
    before = log.read_bytes()
    await storage.do(MessageDelete(PROJECT, QUEUE, "unknown", None, NOW))
    with pytest.raises(ClaimNotLive):
        await storage.do(MessageDelete(PROJECT, QUEUE, message_id, "unknown", NOW))
    assert await storage.do(MessagePop(PROJECT, "missing", 1, NOW)) == []
    assert await storage.sweep(NOW) == 0
    assert log.read_bytes() == before


async def test_a_refused_operation_spoils_no_other_of_its_batch(
    storage: SQLiteStorage,
) -> None:
    message_id = await Bench.on(storage).post_one()
    commits = Commits(storage)
    results = await asyncio.gather(
        Bench.on(storage).post(b"2"),
        storage.do(MessageDelete(PROJECT, QUEUE, message_id, "unknown", NOW)),
        Bench.on(storage).post(b"3"),
        return_exceptions=True,
    )
    assert isinstance(results[1], ClaimNotLive)
    assert len(await Bench.on(storage).everything()) == 3
    assert commits.count == 1


async def test_what_is_cancelled_before_it_ran_never_runs(
    storage: SQLiteStorage,
) -> None:
    task = asyncio.create_task(Bench.on(storage).post_one())
    await asyncio.sleep(0)  # the task waits for its turn now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await Bench.on(storage).post_one()
    assert len(await Bench.on(storage).everything()) == 1


async def test_others_run_while_a_long_post_is_stored(storage: SQLiteStorage) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not long.done():
            turns += 1
            await asyncio.sleep(0)

    messages = [NewMessage(b"x", 600)] * 20_000
    long = asyncio.create_task(
        storage.do(MessagePost(PROJECT, QUEUE, "c", messages, NOW))
    )
    await other()
    assert len(set(await long)) == 20_000
    assert turns > 10


async def passing_claim(storage: SQLiteStorage) -> asyncio.Task[Claim | None]:
    """Begin a claim of the one live message behind many that have expired."""
    for messages in ([NewMessage(b"x", 60)] * 20_000, [NewMessage(b"y", 600)]):
        await storage.do(MessagePost(PROJECT, QUEUE, "c", messages, NOW))
    return asyncio.create_task(Bench.on(storage).claim(limit=2, now=NOW + 60))


async def test_others_are_committed_while_a_claim_passes_expired_messages(
    storage: SQLiteStorage,
) -> None:
    long = await passing_claim(storage)
    posts = 0
    while not long.done():
        await storage.do(
            MessagePost(PROJECT, "other", "c", [NewMessage(b"z", 600)], NOW)
        )
        posts += 1
    taken = await long
    assert taken is not None
    assert [message.body for message in taken.messages] == [b"y"]
    assert posts > 5


async def test_a_claim_that_is_cancelled_while_it_passes_messages_takes_none(
    storage: SQLiteStorage,
) -> None:
    long = await passing_claim(storage)
    await storage.do(MessagePost(PROJECT, "other", "c", [NewMessage(b"z", 600)], NOW))
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long
    taken = await Bench.on(storage).claim(limit=2, now=NOW + 60)
    assert taken is not None
    assert [message.claim_count for message in taken.messages] == [1]
