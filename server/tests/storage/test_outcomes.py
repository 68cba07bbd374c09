"""When a write or a flush fails: done once or not at all, and the answer says which."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from faulty_disk import FaultyDisk, Kind
from hypothesis import HealthCheck, settings
from zaqarserver.errors import OutcomeUnknown, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import (
    ClaimDelete,
    MessageDelete,
    MessagePop,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueStatsGet,
)
from zaqarserver.storage.sqlite import SQLiteStorage, writer
from zaqarserver.storage.subscriptions import SubscriptionCreate, SubscriptionList
from zaqarserver.storage.testing.machine import state_machine
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies

pytestmark = pytest.mark.anyio

Action = Callable[[Storage], Awaitable[Any]]

KINDS: list[Kind] = ["write", "sync"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    made = FaultyDisk()
    yield made
    made.unregister()


@pytest.fixture
async def storage(
    tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SQLiteStorage]:
    """A store on a disk that may fail."""
    monkeypatch.setattr(writer, "SHORT_SECONDS", 0.0)  # what grows is tried at once
    store = SQLiteStorage.from_uri(f"sqlite://{tmp_path}/store.db", {})
    await store.open()
    yield store
    disk.mend()
    await store.close()


async def subscribe(storage: Storage) -> object:
    return await storage.do(
        SubscriptionCreate(
            PROJECT, QUEUE, subscriber="http://h/", ttl=600, options={}, now=NOW
        )
    )


class Scene:
    """What an action finds, and what there is to see of it.

    Attributes:
        held: A claim of the second message.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.held = ""
        self.ids: list[str] = []

    async def set(self) -> None:
        self.ids = await Bench.on(self.storage).post(b"free", b"held", b"other")
        first = await Bench.on(self.storage).claim(limit=1)
        self.held = (await Bench.on(self.storage).claim(limit=1)).id
        await self.storage.do(ClaimDelete(PROJECT, QUEUE, first.id, NOW))

    async def seen(self, storage: Storage) -> object:
        """Return all that any of the actions changes."""
        found = [
            (one.id, one.body, one.claim_count)
            for one in await Bench.on(storage).everything()
        ]
        stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        listens = await storage.do(
            SubscriptionList(PROJECT, QUEUE, marker=None, limit=10, now=NOW)
        )
        there = [
            await storage.do(QueueGet(PROJECT, name)) is not None
            for name in (QUEUE, "new")
        ]
        return found, stats.free, stats.claimed, len(listens), there


ACTIONS: dict[str, Callable[[Scene], Awaitable[Any]]] = {
    "post": lambda scene: Bench.on(scene.storage).post(b"x" * 5000, b"y"),
    "pop": lambda scene: scene.storage.do(MessagePop(PROJECT, QUEUE, 1, NOW)),
    "claim": lambda scene: Bench.on(scene.storage).claim(limit=2),
    "release": lambda scene: scene.storage.do(
        ClaimDelete(PROJECT, QUEUE, scene.held, NOW)
    ),
    "delete": lambda scene: scene.storage.do(
        MessageDelete(PROJECT, QUEUE, scene.ids[1], scene.held, NOW)
    ),
    "purge": lambda scene: scene.storage.do(MessagePurge(PROJECT, QUEUE)),
    "subscribe": lambda scene: subscribe(scene.storage),
    "create": lambda scene: scene.storage.do(QueueCreate(PROJECT, "new", {})),
    "remove": lambda scene: scene.storage.do(QueueDelete(PROJECT, QUEUE)),
}

GROWING = {"post", "subscribe", "create"}


async def after_a_crash(path: Path) -> Storage:
    """Open what a server that is killed now would leave."""
    copy = path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("store.db", "store.db-wal"):
        shutil.copy(path / name, copy)
    store = SQLiteStorage.from_uri(f"sqlite://{copy}/store.db", {})
    await store.open()
    return store


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for_good"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", ACTIONS)
async def test_what_failed_with_the_disk_is_not_done_or_said_to_be_unknown(
    storage: SQLiteStorage,
    disk: FaultyDisk,
    tmp_path: Path,
    action: str,
    kind: Kind,
    lasting: bool,
) -> None:
    scene = Scene(storage)
    await scene.set()
    before = await scene.seen(storage)
    answers = set()
    for after in range(40):
        disk.fail(kind, after, lasting=lasting)
        try:
            await ACTIONS[action](scene)
        except Unavailable as error:
            answers.add(type(error))
            disk.mend()
            assert await scene.seen(storage) == before
            crashed = await after_a_crash(tmp_path)
            if not isinstance(error, OutcomeUnknown):
                assert await scene.seen(crashed) == before
            await crashed.close()
        else:
            break
    # After a failure the log is copied, which may fail as well and is no harm. When it
    # was a write, what does not grow is tried once more.
    tried_again = kind == "write" and not lasting and action not in GROWING
    assert disk.failed == 0 or not lasting
    disk.mend()
    assert await scene.seen(storage) != before
    crashed = await after_a_crash(tmp_path)
    assert await scene.seen(crashed) == await scene.seen(storage)
    await crashed.close()
    # Only where the disk takes nothing any more it may come back.
    may_return = kind == "sync" and lasting
    failure = OutcomeUnknown if may_return else Unavailable
    assert answers == (set() if tried_again else {failure})


async def test_what_is_unknown_after_a_failed_flush_may_come_back_after_a_crash(
    storage: SQLiteStorage, disk: FaultyDisk, tmp_path: Path
) -> None:
    """So that it is right to say so."""
    await Bench.on(storage).post(b"1")
    disk.fail("sync", lasting=True)
    with pytest.raises(OutcomeUnknown):
        await Bench.on(storage).post(b"2")
    disk.mend()
    crashed = await after_a_crash(tmp_path)
    assert b"2" in bodies(await Bench.on(crashed).everything())
    await crashed.close()
    assert bodies(await Bench.on(storage).everything()) == [b"1"]
    await Bench.on(storage).post(b"3")
    crashed = await after_a_crash(tmp_path)
    assert bodies(await Bench.on(crashed).everything()) == [b"1", b"3"]
    await crashed.close()


class Stubborn:
    """A store on a disk that fails in every call; each is made again until it works."""

    def __init__(self, storage: Storage, disk: FaultyDisk) -> None:
        self._storage = storage
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found) or name in {"open", "close", "watch"}:
            return found

        async def call(*args: Any, **named: Any) -> Any:
            for kind, after in itertools.product(KINDS, (2, 0)):
                self._disk.fail(kind, after)
                try:
                    return await found(*args, **named)
                except Unavailable:
                    continue
                finally:
                    self._disk.mend()
            return await found(*args, **named)

        return call


def test_every_sequence_of_steps_agrees_with_the_model_though_each_fails_first(
    disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHORT_SECONDS", 0.0)

    def make(path: Path) -> Storage:
        storage = SQLiteStorage.from_uri(f"sqlite://{path}/store.db", {})
        return cast("Storage", Stubborn(storage, disk))

    case = state_machine(make).TestCase
    case.settings = settings(
        max_examples=8,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
