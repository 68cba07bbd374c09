"""The suite: grants."""

from __future__ import annotations

import asyncio

import msgspec

from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
)
from zaqarserver.storage.base import Capability, Storage
from zaqarserver.storage.commands import (
    QueueCreate,
    QueueDelete,
    QueueGet,
)
from zaqarserver.storage.testing.life import reopen, sweep_all
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    need,
)
from zaqarserver.storage.testing.tenancy import elsewhere


def grant(id_: str = "a" * 32, *, expires: float = NOW + 600) -> Grant:
    """Make a grant."""
    paths = [f"/v2/queues/{QUEUE}/claims", f"/v2/queues/{QUEUE}/messages"]
    return Grant(id_, paths, ["GET", "POST"], NOW, expires)


async def add(
    storage: Storage, one: Grant, *, most: int = 10, now: float = NOW
) -> Grant | None:
    """Put a grant on record."""
    return await storage.do(GrantAdd(PROJECT, QUEUE, one, most=most, now=now))


async def listed(storage: Storage, now: float = NOW) -> list[Grant]:
    """Return all grants of the queue."""
    return await storage.do(GrantList(PROJECT, QUEUE, marker=None, limit=100, now=now))


async def is_revoked(storage: Storage, id_: str, now: float = NOW) -> bool:
    """Return True if a grant is revoked, as each request with a signature asks."""
    return await storage.do(GrantCheck(PROJECT, QUEUE, id_, now))


class GrantContract(Suite):
    """Grants on record."""

    async def test_a_grant_is_kept_as_it_was_made(self, storage: Storage) -> None:
        one = grant()
        assert await add(storage, one) == one
        assert await listed(storage) == [one]
        assert not await is_revoked(storage, one.id)
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_grants_come_in_pages_by_id(self, storage: Storage) -> None:
        grants = [grant(letter * 32) for letter in "fb0a3"]
        for one in grants:
            await add(storage, one)
        found: list[Grant] = []
        marker = None
        while page := await storage.do(
            GrantList(PROJECT, QUEUE, marker=marker, limit=2, now=NOW)
        ):
            found += page
            marker = page[-1].id
        assert found == sorted(grants, key=lambda one: one.id)

    async def test_a_marker_need_not_exist(self, storage: Storage) -> None:
        for letter in "ac":
            await add(storage, grant(letter * 32))
        page = await storage.do(GrantList(PROJECT, QUEUE, marker="b", limit=9, now=NOW))
        assert [one.id for one in page] == ["c" * 32]

    async def test_a_grant_ends_exactly_when_it_expires(self, storage: Storage) -> None:
        one = grant(expires=NOW + 60)
        await add(storage, one)
        assert await listed(storage, NOW + 59.99) == [one]
        assert await listed(storage, NOW + 60) == []
        assert not await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW + 60))

    async def test_a_revoked_grant_is_listed_as_revoked(self, storage: Storage) -> None:
        one, other = grant("a" * 32), grant("b" * 32)
        await add(storage, one)
        await add(storage, other)
        assert await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await listed(storage) == [revoked, other]
        assert await is_revoked(storage, one.id)
        assert not await is_revoked(storage, other.id)

    async def test_revoking_again_is_no_error(self, storage: Storage) -> None:
        one = grant()
        await add(storage, one)
        for _ in range(2):
            assert await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await is_revoked(storage, one.id)

    async def test_an_unknown_grant_is_not_revoked(self, storage: Storage) -> None:
        for id_ in ("", "x", "a" * 32, "é"):
            assert not await storage.do(GrantRevoke(PROJECT, QUEUE, id_, NOW))
            assert not await is_revoked(storage, id_)

    async def test_a_grant_on_record_stays_as_it_is(self, storage: Storage) -> None:
        one = grant()
        await add(storage, one)
        later = msgspec.structs.replace(one, created=NOW + 5)
        assert await add(storage, later, now=NOW + 5) == one
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await add(storage, one) == revoked
        assert await listed(storage) == [revoked]

    async def test_a_queue_has_no_more_grants_than_it_may(
        self, storage: Storage
    ) -> None:
        one, two, three = (grant(letter * 32) for letter in "abc")
        short = grant("d" * 32, expires=NOW + 60)
        assert await add(storage, one, most=3) == one
        assert await add(storage, short, most=3) == short
        assert await add(storage, two, most=3) == two
        assert await add(storage, three, most=3) is None
        assert await add(storage, one, most=3) == one
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await add(storage, three, most=3) is None, "revoked ones count"
        assert await add(storage, three, most=3, now=NOW + 60) == three

    async def test_of_many_at_once_only_so_many_are_kept(
        self, storage: Storage
    ) -> None:
        made = await asyncio.gather(
            *(add(storage, grant(f"{number:032x}"), most=5) for number in range(20))
        )
        assert sum(one is not None for one in made) == 5
        assert len(await listed(storage)) == 5

    async def test_a_sweep_removes_what_has_ended(self, storage: Storage) -> None:
        ended = [grant(f"{number:032x}", expires=NOW + 60) for number in range(300)]
        for one in ended:
            await add(storage, one, most=1000)
        await storage.do(GrantRevoke(PROJECT, QUEUE, ended[0].id, NOW))
        kept = grant("f" * 32)
        await add(storage, kept, most=1000)
        await storage.do(GrantRevoke(PROJECT, QUEUE, kept.id, NOW))
        await sweep_all(storage, NOW + 60)
        assert await storage.sweep(NOW + 60) == 0
        assert [one.id for one in await listed(storage)] == [kept.id]
        assert await is_revoked(storage, kept.id, NOW + 60)

    async def test_grants_outlive_their_queue(self, storage: Storage) -> None:
        one = grant()
        await storage.do(QueueCreate(PROJECT, QUEUE, {}))
        await add(storage, one)
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert await is_revoked(storage, one.id)
        assert len(await listed(storage)) == 1

    @elsewhere
    async def test_grants_are_their_queues_own(
        self, storage: Storage, project: str, queue: str
    ) -> None:
        one = grant()
        await add(storage, one)
        assert not await storage.do(GrantRevoke(project, queue, one.id, NOW))
        await storage.do(GrantAdd(project, queue, one, most=1, now=NOW))
        assert await storage.do(GrantRevoke(project, queue, one.id, NOW))
        assert await storage.do(GrantCheck(project, queue, one.id, NOW))
        assert not await is_revoked(storage, one.id)
        assert await listed(storage) == [one]

    async def test_grants_survive_closing(self, storage: Storage) -> None:
        need(storage, Capability.DURABILITY)
        one, other = grant("a" * 32), grant("b" * 32)
        await add(storage, one)
        await add(storage, other)
        await storage.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        before = await listed(storage)
        await reopen(storage)
        assert await listed(storage) == before
        assert await is_revoked(storage, one.id)
        assert not await is_revoked(storage, other.id)
