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
from zaqarserver.storage.base import Capability
from zaqarserver.storage.commands import (
    QueueCreate,
    QueueDelete,
    QueueGet,
)
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
)
from zaqarserver.storage.testing.tenancy import elsewhere


def grant(id_: str = "a" * 32, *, expires: float = NOW + 600) -> Grant:
    """Make a grant."""
    paths = [f"/v2/queues/{QUEUE}/claims", f"/v2/queues/{QUEUE}/messages"]
    return Grant(id_, paths, ["GET", "POST"], NOW, expires)


class GrantContract(Suite):
    """Grants on record."""

    async def add_grant(
        self, one: Grant, *, most: int = 10, now: float = NOW
    ) -> Grant | None:
        """Put a grant on record."""
        return await self.do(GrantAdd(PROJECT, QUEUE, one, most=most, now=now))

    async def list_grants(self, now: float = NOW) -> list[Grant]:
        """Return all grants of the queue."""
        return await self.do(GrantList(PROJECT, QUEUE, marker=None, limit=100, now=now))

    async def is_revoked(self, id_: str, now: float = NOW) -> bool:
        """Return True if a grant is revoked, as each request with a signature asks."""
        return await self.do(GrantCheck(PROJECT, QUEUE, id_, now))

    async def test_a_grant_is_kept_as_it_was_made(self) -> None:
        one = grant()
        assert await self.add_grant(one) == one
        assert await self.list_grants() == [one]
        assert not await self.is_revoked(one.id)
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None

    async def test_grants_come_in_pages_by_id(self) -> None:
        grants = [grant(letter * 32) for letter in "fb0a3"]
        for one in grants:
            await self.add_grant(one)
        found: list[Grant] = []
        marker = None
        while page := await self.do(
            GrantList(PROJECT, QUEUE, marker=marker, limit=2, now=NOW)
        ):
            found += page
            marker = page[-1].id
        assert found == sorted(grants, key=lambda one: one.id)

    async def test_a_marker_need_not_exist(self) -> None:
        for letter in "ac":
            await self.add_grant(grant(letter * 32))
        page = await self.do(GrantList(PROJECT, QUEUE, marker="b", limit=9, now=NOW))
        assert [one.id for one in page] == ["c" * 32]

    async def test_a_grant_ends_exactly_when_it_expires(self) -> None:
        one = grant(expires=NOW + 60)
        await self.add_grant(one)
        assert await self.list_grants(NOW + 59.99) == [one]
        assert await self.list_grants(NOW + 60) == []
        assert not await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW + 60))

    async def test_a_revoked_grant_is_listed_as_revoked(self) -> None:
        one, other = grant("a" * 32), grant("b" * 32)
        await self.add_grant(one)
        await self.add_grant(other)
        assert await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await self.list_grants() == [revoked, other]
        assert await self.is_revoked(one.id)
        assert not await self.is_revoked(other.id)

    async def test_revoking_again_is_no_error(self) -> None:
        one = grant()
        await self.add_grant(one)
        for _ in range(2):
            assert await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await self.is_revoked(one.id)

    async def test_an_unknown_grant_is_not_revoked(self) -> None:
        for id_ in ("", "x", "a" * 32, "é"):
            assert not await self.do(GrantRevoke(PROJECT, QUEUE, id_, NOW))
            assert not await self.is_revoked(id_)

    async def test_a_grant_on_record_stays_as_it_is(self) -> None:
        one = grant()
        await self.add_grant(one)
        later = msgspec.structs.replace(one, created=NOW + 5)
        assert await self.add_grant(later, now=NOW + 5) == one
        await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        revoked = msgspec.structs.replace(one, revoked=True)
        assert await self.add_grant(one) == revoked
        assert await self.list_grants() == [revoked]

    async def test_a_queue_has_no_more_grants_than_it_may(self) -> None:
        one, two, three = (grant(letter * 32) for letter in "abc")
        short = grant("d" * 32, expires=NOW + 60)
        assert await self.add_grant(one, most=3) == one
        assert await self.add_grant(short, most=3) == short
        assert await self.add_grant(two, most=3) == two
        assert await self.add_grant(three, most=3) is None
        assert await self.add_grant(one, most=3) == one
        await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        assert await self.add_grant(three, most=3) is None, "revoked ones count"
        assert await self.add_grant(three, most=3, now=NOW + 60) == three

    async def test_of_many_at_once_only_so_many_are_kept(self) -> None:
        made = await asyncio.gather(
            *(self.add_grant(grant(f"{number:032x}"), most=5) for number in range(20))
        )
        assert sum(one is not None for one in made) == 5
        assert len(await self.list_grants()) == 5

    async def test_a_sweep_removes_what_has_ended(self) -> None:
        ended = [grant(f"{number:032x}", expires=NOW + 60) for number in range(300)]
        for one in ended:
            await self.add_grant(one, most=1000)
        await self.do(GrantRevoke(PROJECT, QUEUE, ended[0].id, NOW))
        kept = grant("f" * 32)
        await self.add_grant(kept, most=1000)
        await self.do(GrantRevoke(PROJECT, QUEUE, kept.id, NOW))
        await self.sweep_all(NOW + 60)
        assert await self.store.sweep(NOW + 60) == 0
        assert [one.id for one in await self.list_grants()] == [kept.id]
        assert await self.is_revoked(kept.id, NOW + 60)

    async def test_grants_outlive_their_queue(self) -> None:
        one = grant()
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        await self.add_grant(one)
        await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.is_revoked(one.id)
        assert len(await self.list_grants()) == 1

    @elsewhere
    async def test_grants_are_their_queues_own(self, project: str, queue: str) -> None:
        one = grant()
        await self.add_grant(one)
        assert not await self.do(GrantRevoke(project, queue, one.id, NOW))
        await self.do(GrantAdd(project, queue, one, most=1, now=NOW))
        assert await self.do(GrantRevoke(project, queue, one.id, NOW))
        assert await self.do(GrantCheck(project, queue, one.id, NOW))
        assert not await self.is_revoked(one.id)
        assert await self.list_grants() == [one]

    async def test_grants_survive_closing(self) -> None:
        self.need(Capability.DURABILITY)
        one, other = grant("a" * 32), grant("b" * 32)
        await self.add_grant(one)
        await self.add_grant(other)
        await self.do(GrantRevoke(PROJECT, QUEUE, one.id, NOW))
        before = await self.list_grants()
        await self.reopen()
        assert await self.list_grants() == before
        assert await self.is_revoked(one.id)
        assert not await self.is_revoked(other.id)
