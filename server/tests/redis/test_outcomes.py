"""Whatever becomes of a request or its answer: done once, and told, or unknown."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from redis_service import RedisServer
from tcp_proxy import CountingProxy, Fault
from unlucky_storage import HASTY, UnluckyStorage
from zaqarserver.errors import OutcomeUnknown, Unavailable
from zaqarserver.storage.base import DeadLetter, Storage
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    MessageDelete,
    MessagePop,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.moving import MessageRecord, QueueExport, QueueSeal, SealKind
from zaqarserver.storage.redis import RedisStorage
from zaqarserver.storage.redis.scripts import SCRIPTS
from zaqarserver.storage.subscriptions import (
    SubscriptionCreate,
    SubscriptionList,
    SubscriptionPurge,
)
from zaqarserver.storage.testing.machine import state_machine
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Bench, bodies, ids_of

pytestmark = pytest.mark.anyio

Make = Callable[[str], RedisStorage]


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[CountingProxy]:
    with CountingProxy(redis_server.port).running() as made:
        yield made


@pytest.fixture
async def storage(proxy: CountingProxy, make_storage: Make) -> RedisStorage:
    """An empty store behind the proxy, where nothing else is asked meanwhile."""
    prefix = uuid.uuid4().hex
    made = make_storage(f"redis://127.0.0.1:{proxy.port}?prefix={prefix}&{HASTY}")
    await made.open()
    for chore in made._chores:
        chore.cancel()
    return made


@contextlib.asynccontextmanager
async def beside(
    storage: RedisStorage, proxy: CountingProxy
) -> AsyncIterator[RedisStorage]:
    """Open the same store once more."""
    uri = f"redis://127.0.0.1:{proxy.port}?prefix={storage._store.location.prefix}"
    other = RedisStorage.from_uri(uri, {})
    await other.open()
    yield other
    await other.close()


async def subscriptions(storage: RedisStorage) -> int:
    page = await storage.do(
        SubscriptionList(PROJECT, QUEUE, marker=None, limit=10, now=NOW)
    )
    return len(page)


class Scene:
    """Three messages, of which the second is claimed; and what an action came to."""

    def __init__(self, storage: RedisStorage) -> None:
        self.storage = storage
        self.ids: list[str] = []
        self.held = ""

    async def set(self) -> None:
        await self.storage.do(QueueCreate(PROJECT, QUEUE, {"old": 1}))
        self.ids = await Bench.on(self.storage).post(b"1", b"2", b"3")
        first = await Bench.on(self.storage).claim(limit=1)
        self.held = (await Bench.on(self.storage).claim(limit=1)).id
        await self.storage.do(ClaimDelete(PROJECT, QUEUE, first.id, NOW))

    # Each does something and sees that it was done once, and told.

    async def post(self) -> None:
        told = await Bench.on(self.storage).post(b"4", b"5")
        assert ids_of(await Bench.on(self.storage).everything()) == self.ids + told

    async def pop(self) -> None:
        told = await self.storage.do(MessagePop(PROJECT, QUEUE, 1, NOW))
        assert bodies(told) == [b"1"]
        assert ids_of(await Bench.on(self.storage).everything()) == self.ids[1:]

    async def claim(self) -> None:
        told = await Bench.on(self.storage).claim(limit=1)
        assert bodies(told.messages) == [b"1"]
        assert [one.claim_count for one in told.messages] == [2]
        stats = await self.storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (stats.free, stats.claimed) == (1, 2)
        kept = await self.storage.do(ClaimGet(PROJECT, QUEUE, told.id, NOW))
        assert kept.messages == told.messages

    async def claim_nothing(self) -> None:
        await self.storage.do(MessagePop(PROJECT, QUEUE, 2, NOW))
        options = {"ttl": 60, "grace": 60, "limit": 5, "now": NOW}
        assert await self.storage.do(ClaimCreate(PROJECT, QUEUE, **options)) is None

    async def release(self) -> None:
        await self.storage.do(ClaimDelete(PROJECT, QUEUE, self.held, NOW))
        stats = await self.storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
        assert (stats.free, stats.claimed) == (3, 0)

    async def delete(self) -> None:
        await self.storage.do(
            MessageDelete(PROJECT, QUEUE, self.ids[1], self.held, NOW)
        )
        assert ids_of(await Bench.on(self.storage).everything()) == [
            self.ids[0],
            self.ids[2],
        ]

    async def purge(self) -> None:
        await self.storage.do(MessagePurge(PROJECT, QUEUE))
        assert await Bench.on(self.storage).everything() == []

    async def create(self) -> None:
        assert await self.storage.do(QueueCreate(PROJECT, "new", {})) is True

    async def update(self) -> None:
        queue = await self.storage.do(QueueGet(PROJECT, QUEUE))
        assert queue is not None
        await self.storage.do(QueueUpdate(PROJECT, QUEUE, {"new": 1}, queue.revision))

    async def remove(self) -> None:
        await self.storage.do(QueueDelete(PROJECT, QUEUE))
        assert await self.storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def subscribe(self) -> None:
        _, made = await self.storage.do(
            SubscriptionCreate(
                PROJECT, QUEUE, subscriber="http://h/", ttl=600, options={}, now=NOW
            )
        )
        assert made is True
        assert await subscriptions(self.storage) == 1


ACTIONS: dict[str, str] = {
    "post": "post",
    "pop": "pop",
    "claim": "claim",
    "claim_nothing": "claim",
    "release": "claim_delete",
    "delete": "delete",
    "purge": "purge",
    "create": "create",
    "update": "update",
    "remove": "delete_queue",
    "subscribe": "subscribe",
}


FAULTS = [fault for fault in Fault if fault is not Fault.LATE]
OFTEN = ["post", "pop", "claim", "purge", "subscribe"]
CASES = [
    (action, fault)
    for action in ACTIONS
    for fault in (FAULTS if action in OFTEN else [Fault.CUT])
]


@pytest.mark.parametrize(("action", "fault"), CASES)
async def test_what_meets_a_fault_is_done_once_and_told(
    storage: RedisStorage, proxy: CountingProxy, action: str, fault: Fault
) -> None:
    scene = Scene(storage)
    await scene.set()
    proxy.inject(fault, SCRIPTS[ACTIONS[action]].sha.encode())
    await getattr(scene, action)()
    assert proxy.injected == 1


@pytest.mark.parametrize("action", [*OFTEN, "claim_nothing", "remove"])
async def test_a_request_that_comes_late_changes_nothing_any_more(
    storage: RedisStorage, proxy: CountingProxy, action: str
) -> None:
    """It was asked again meanwhile, answered, and others went on."""
    scene = Scene(storage)
    await scene.set()
    proxy.inject(Fault.LATE, SCRIPTS[ACTIONS[action]].sha.encode())
    await getattr(scene, action)()
    await storage.do(MessagePurge(PROJECT, QUEUE))
    await storage.do(SubscriptionPurge(PROJECT, QUEUE))
    later = await Bench.on(storage).post(b"later")
    proxy.let_late_go()
    assert await asyncio.to_thread(proxy.late_is_done.wait, 10)
    assert ids_of(await Bench.on(storage).everything()) == later
    stats = await storage.do(QueueStatsGet(PROJECT, QUEUE, NOW))
    assert (stats.free, stats.claimed) == (1, 0)
    assert await subscriptions(storage) == 0


@pytest.mark.parametrize("fault", [Fault.MISSING, Fault.DOUBLE, Fault.CUT])
async def test_each_of_many_gets_its_own_answer_when_one_is_missing_or_comes_twice(
    storage: RedisStorage, proxy: CountingProxy, fault: Fault
) -> None:
    await Bench.on(storage).post(b"before")
    proxy.inject(fault, SCRIPTS["post"].sha.encode())
    told = await asyncio.gather(*(Bench.on(storage).post(b"%d" % n) for n in range(20)))
    stored = {one.id: one.body for one in await Bench.on(storage).everything()}
    assert [stored[message_id] for (message_id,) in told] == [
        b"%d" % number for number in range(20)
    ]
    assert len(stored) == 21


@pytest.mark.parametrize("step", ["claim", "moves", "put", "moved"])
async def test_dead_letters_arrive_once_whichever_step_meets_a_fault(
    storage: RedisStorage, proxy: CountingProxy, step: str
) -> None:
    await Bench.on(storage).post(b"1", b"2")
    held = await Bench.on(storage).claim()
    await storage.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
    await Bench.on(storage).post(b"3")
    proxy.inject(Fault.CUT, SCRIPTS[step].sha.encode())
    told = await storage.do(
        ClaimCreate(
            PROJECT,
            QUEUE,
            ttl=60,
            grace=60,
            limit=10,
            now=NOW,
            dead_letter=DeadLetter("dead", 1, None),
        )
    )
    assert told is not None
    assert bodies(told.messages) == [b"3"]
    assert bodies(await Bench.on(storage).everything(queue="dead")) == [b"1", b"2"]


async def test_a_post_that_was_executed_is_told_though_its_queue_leaves_meanwhile(
    storage: RedisStorage, proxy: CountingProxy
) -> None:
    """It would be posted again where the queue arrives."""
    await storage.do(QueueCreate(PROJECT, QUEUE, {}))
    async with beside(storage, proxy) as other:
        proxy.inject(Fault.SWALLOWED, SCRIPTS["post"].sha.encode())
        posting = asyncio.create_task(Bench.on(storage).post(b"1"))
        while not await Bench.on(other).everything():
            pass
        assert await other.do(QueueSeal(PROJECT, QUEUE, SealKind.LEAVING, 5, NOW))
        (message_id,) = await posting
        moved: list[str] = []
        following: str | None = ""
        while following is not None:
            page = await other.do(
                QueueExport(PROJECT, QUEUE, following or None, limit=10)
            )
            moved += [one.id for one in page.records if isinstance(one, MessageRecord)]
            following = page.following
    assert moved == [message_id]


# -- replicas --------------------------------------------------------------------------


async def test_what_no_replica_confirms_is_unknown_and_done_once(
    own_server: RedisServer, make_storage: Make
) -> None:
    settings = "wait_replicas=1&wait_timeout=0.02&retry=0.3"
    other = make_storage(own_server.uri)
    await other.open()
    await Bench.on(other).post(b"0")
    await other.do(MessagePurge(PROJECT, QUEUE))
    storage = make_storage(f"{own_server.uri}?{settings}")
    await storage.open()
    with pytest.raises(OutcomeUnknown, match="did not confirm"):
        await Bench.on(storage).post(b"1")
    assert bodies(await Bench.on(storage).everything()) == [b"1"]
    with pytest.raises(OutcomeUnknown):
        await storage.do(MessagePop(PROJECT, QUEUE, 1, NOW))
    with pytest.raises(OutcomeUnknown):
        await storage.do(MessagePurge(PROJECT, QUEUE))
    assert await Bench.on(storage).everything() == []
    own_server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    with pytest.raises(Unavailable) as caught:
        await Bench.on(storage).post(b"2")
    assert type(caught.value) is Unavailable  # refused before anything was done


@pytest.mark.parametrize("action", ["post", "delete"])
async def test_what_is_asked_again_on_another_connection_waits_for_replicas_too(
    own_server: RedisServer, tmp_path: Path, make_storage: Make, action: str
) -> None:
    """It changes nothing any more; the change that was made has to be confirmed."""
    replica = RedisServer(
        tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_server.port)
    )
    replica.start()
    try:
        with CountingProxy(own_server.port).running() as proxy:
            settings = "wait_replicas=1&wait_timeout=0.1&retry=20"
            storage = make_storage(f"redis://127.0.0.1:{proxy.port}?{settings}")
            await storage.open()
            scene = Scene(storage)
            await scene.set()
            replica.pause()
            proxy.inject(Fault.CUT, SCRIPTS[ACTIONS[action]].sha.encode())
            asked = asyncio.create_task(getattr(scene, action)())
            # Long enough for some attempts: none of them may believe that it is safe.
            done, _ = await asyncio.wait([asked], timeout=1)
            assert proxy.injected == 1
            assert not done
            replica.go_on()
            await asked
            await storage.close()
    finally:
        replica.go_on()
        replica.kill()


# -- all of it -------------------------------------------------------------------------


def test_every_sequence_of_steps_agrees_with_the_model_though_each_meets_a_fault(
    proxy: CountingProxy,
) -> None:
    def make(path: Path) -> Storage:
        uri = f"redis://127.0.0.1:{proxy.port}?prefix={path.name}&{HASTY}"
        return cast("Storage", UnluckyStorage(RedisStorage.from_uri(uri, {}), proxy))

    case = state_machine(make).TestCase
    case.settings = settings(
        max_examples=5,
        stateful_step_count=20,
        deadline=None,  # a shared machine is slow at times
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    case().runTest()
    assert proxy.injected > 100


async def test_a_purge_that_is_asked_again_leaves_what_was_posted_meanwhile(
    storage: RedisStorage, proxy: CountingProxy
) -> None:
    await Bench.on(storage).post(b"old")
    proxy.inject(Fault.SWALLOWED, SCRIPTS["purge"].sha.encode())
    async with beside(storage, proxy) as other:
        purging = asyncio.create_task(storage.do(MessagePurge(PROJECT, QUEUE)))
        while await Bench.on(other).everything():
            pass
        kept = await Bench.on(other).post(b"new")
        await purging
    assert ids_of(await Bench.on(storage).everything()) == kept
