"""Queues with many of each kind move whole between all stores, or not at all."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis_service import RedisServer
from zaqarserver.errors import Unavailable
from zaqarserver.storage.accounts import UsageGet
from zaqarserver.storage.base import Claim, Message
from zaqarserver.storage.catalog import (
    CatalogRevision,
    PlacedQueue,
    PlacementAdd,
    PlacementCount,
    PlacementGet,
    PlacementMove,
)
from zaqarserver.storage.commands import ClaimGet, Command, QueueList
from zaqarserver.storage.moving import (
    ClaimRecord,
    MessageRecord,
    NoticeRecord,
    QueueImport,
    QueueRecord,
    QueueSeal,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.pooled import PooledStorage
from zaqarserver.storage.subscriptions import Subscription
from zaqarserver.storage.testing.moving import MovingBench
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies

from .conftest import make_pooled
from .test_redis import Life, Place, settle

pytestmark = pytest.mark.anyio

#: Where the catalogue is, where a queue is, and where it goes.
DIRECTIONS = (
    "sqlite sqlite sqlite",
    "sqlite sqlite redis",
    "sqlite redis sqlite",
    "redis redis redis",
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=DIRECTIONS)
def place(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer
) -> Place:
    return Place(request.param, tmp_path, redis_server)


async def filled(store: PooledStorage) -> PlacedQueue:
    """Fill a queue in the first pool."""
    catalog = store.pools.catalog
    revision = await catalog.do(CatalogRevision())
    await catalog.do(PlacementAdd(PROJECT, QUEUE, "a", revision))
    await MovingBench.on(store).fill()
    return await placed(store)


async def placed(store: PooledStorage) -> PlacedQueue:
    placement = await store.pools.catalog.do(PlacementGet(PROJECT, QUEUE))
    assert placement is not None
    return PlacedQueue(PROJECT, QUEUE, placement)


async def seen(
    store: PooledStorage,
) -> tuple[list[Message], list[Claim], list[Subscription]]:
    """Return what callers see of the queue."""
    messages = await Bench.on(store).everything()
    held = dict.fromkeys(one.claim_id for one in messages if one.claim_id is not None)
    claims = [await store.do(ClaimGet(PROJECT, QUEUE, one, NOW)) for one in held]
    return messages, claims, await Bench.on(store).listed()


async def check_heard(store: PooledStorage, messages: Sequence[Message]) -> None:
    """See that all is told that was not, in order and once."""
    posted = bodies(messages)
    heard = await MovingBench.on(store).hear(now=NOW + 10)
    assert heard.pop("http://h00/") == posted[1:]
    assert heard == {f"http://h{number:02}/": posted[62:] for number in range(1, 12)}


@pytest.mark.usefixtures("sizes")
async def test_many_of_each_kind_move_whole(place: Place) -> None:
    store = await place.opened()
    queue = await filled(store)
    before = await seen(store)
    assert (len(before[0]), len(before[1]), len(before[2])) == (80, 14, 12)
    assert await store.mover.move(queue, "b")
    assert (await placed(store)).placement.pool == "b"
    assert await seen(store) == before
    usage = await store.do(UsageGet(PROJECT, NOW))
    assert (usage.queues, usage.messages, usage.subscriptions) == (1, 80, 12)
    await check_heard(store, before[0])
    await store.close()


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize(
    "place", [one for one in DIRECTIONS if "redis sqlite" not in one], indirect=True
)
async def test_many_of_each_kind_stay_whole_wherever_a_mover_is_killed(
    place: Place,
) -> None:
    """There and back, killed at another step each time."""
    store = await place.opened()
    await filled(store)
    before = await seen(store)
    await store.close()
    for steps in itertools.count(0, 29):
        life = Life()
        store = await place.opened(life)
        queue = await placed(store)
        life.left = steps
        with contextlib.suppress(Unavailable):
            await store.mover.move(queue, "a" if queue.placement.pool == "b" else "b")
        survived, life.left = life.left > 0, 0
        await store.close()
        again = await place.opened(now=NOW + 60)
        await settle(again)
        while await again.sweep(NOW):
            pass
        assert await seen(again) == before, steps
        usage = await again.do(UsageGet(PROJECT, NOW))
        assert (usage.queues, usage.messages, usage.subscriptions) == (1, 80, 12)
        if survived:
            break
        await again.close()
    assert steps >= 2 * 29
    await check_heard(again, before[0])
    await again.close()


async def test_a_pool_with_many_queues_is_drained(
    tmp_path: Path, small_pages: None
) -> None:
    """There are several pages of pools, placements, moves and seals."""
    assert small_pages is None
    store = make_pooled(tmp_path, *[f"p{number:02}" for number in range(11)])
    await store.open()
    catalog = store.pools.catalog
    revision = await catalog.do(CatalogRevision())
    queues = [f"q{number:02}" for number in range(11)]
    for queue in queues:
        placement = await catalog.do(PlacementAdd(PROJECT, queue, "p00", revision))
        await Bench.on(store).post(queue.encode(), queue=queue)
        if queue < "q08":  # somebody began to move it, and is gone
            moving = await catalog.do(
                PlacementMove(PROJECT, queue, placement.epoch, "p01", NOW - 1)
            )
            assert moving is not None
            source = await store.pools.storage("p00")
            assert QueueSeal in source.commands
            await source.do(
                QueueSeal(PROJECT, queue, SealKind.LEAVING, moving.epoch, NOW)
            )
    for _ in range(3):
        await store.mover.resume(NOW)
        await store.mover.tidy()
    assert await catalog.do(PlacementCount("p01")) == 8
    state = await store.drains.drain("p00", 60.0)
    assert (state.queues, state.moved, state.error) == (0, 3, None)
    assert [
        one.name for one in await store.do(QueueList(PROJECT, marker=None, limit=100))
    ] == queues
    for queue in queues:
        assert bodies(await Bench.on(store).everything(queue=queue)) == [queue.encode()]
    await store.close()


def losing(do: Callable[..., Any], kind: type[Any], sign: int) -> Callable[..., Any]:
    """Let a record of a kind get lost on its way."""
    left = 1

    async def lossy(command: Command[Any]) -> Any:
        nonlocal left
        if isinstance(command, QueueImport):
            found = [one for one in command.records if isinstance(one, kind)][::sign]
            lost, left = found[:left], left - len(found[:left])
            kept = [one for one in command.records if one not in lost]
            command = msgspec.structs.replace(command, records=kept)
        return await do(command)

    return lossy


@pytest.mark.parametrize("sign", [1, -1], ids=["first", "last"])
async def test_a_queue_of_which_something_got_lost_stays_where_it_is(
    place: Place,
    sign: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Broken on purpose by moving on without counting."""
    monkeypatch.setattr("zaqarserver.storage.pooled.mover.PAGE", 7)
    store = await place.opened()
    await filled(store)
    before = await seen(store)
    target = await store.pools.storage("b")
    assert QueueSeal in target.commands
    for kind, named in (
        (QueueRecord, "0 queues of 1"),
        (MessageRecord, "79 messages of 80"),
        (ClaimRecord, "claim"),
        (SubscriptionRecord, "11 subscriptions of 12"),
        (NoticeRecord, "notices of "),
    ):
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr(target, "do", losing(target.do, kind, sign))
            with pytest.raises(Unavailable, match=named):
                await store.mover.move(await placed(store), "b")
        assert "stays in its pool" in caplog.text
        assert named in caplog.text
        assert (await placed(store)).placement.pool == "a"
        assert await seen(store) == before
    assert await store.mover.move(await placed(store), "b")
    assert await seen(store) == before
    await check_heard(store, before[0])
    await store.close()
