"""The suite: claims."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import ClaimNotFound
from zaqarserver.storage.base import Claim
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessagePop,
    QueueCreate,
    QueueGet,
)
from zaqarserver.storage.testing.messages import MALFORMED
from zaqarserver.storage.testing.suite import (
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    bodies,
    ids_of,
)

#: Message ttl, claim ttl, grace, and the ttl that the message shows then
#: (``rest-v2`` 5.4).
EXTENSIONS = [
    (120, 777, 0, 777),
    (120, 777, 23, 800),
    (120, 121, 22, 143),
    (120, 60, 30, 120),
    (120, 120, 30, 120),
]


class ClaimContract(Suite):
    """Claims and what they do to messages."""

    async def maybe_claim(self, *, now: float = NOW, limit: int = 10) -> Claim | None:
        """Claim what there is."""
        return await self.do(
            ClaimCreate(PROJECT, QUEUE, ttl=100, grace=50, limit=limit, now=now)
        )

    async def renew(
        self, claim_id: str, *, ttl: int = 100, grace: int = 50, now: float
    ) -> None:
        """Renew a claim."""
        await self.do(
            ClaimUpdate(PROJECT, QUEUE, claim_id, ttl=ttl, grace=grace, now=now)
        )

    async def read_claim(self, claim_id: str, now: float = NOW) -> Claim:
        """Read a claim."""
        return await self.do(ClaimGet(PROJECT, QUEUE, claim_id, now))

    # -- taking -------------------------------------------------------------

    async def test_a_claim_takes_the_oldest_messages(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        held = await self.claim(limit=2, ttl=100, grace=50)
        assert (held.ttl, held.grace, held.age) == (100, 50, 0)
        assert ids_of(held.messages) == ids[:2]
        assert {one.claim_id for one in held.messages} == {held.id}
        assert {one.claim_count for one in held.messages} == {1}
        assert await self.everything() == [
            *held.messages,
            await self.get_one(ids[2]),
        ]

    async def test_there_may_be_nothing_to_claim(self) -> None:
        assert await self.maybe_claim() is None
        assert await self.do(QueueGet(PROJECT, QUEUE)) is None
        await self.do(QueueCreate(PROJECT, QUEUE, {}))
        assert await self.maybe_claim() is None

    async def test_a_claimed_message_is_not_claimed_again(self) -> None:
        await self.post(b"1", b"2")
        await self.claim(limit=1)
        assert bodies((await self.claim()).messages) == [b"2"]
        assert await self.maybe_claim() is None

    async def test_concurrent_claims_never_share_a_message(self) -> None:
        ids = await self.post(*[b"x"] * 200)
        claims = await asyncio.gather(*(self.maybe_claim(limit=7) for _ in range(40)))
        taken = [one.id for held in claims if held for one in held.messages]
        assert sorted(taken) == ids
        assert len({held.id for held in claims if held}) == 29

    async def test_posting_and_claiming_at_once_loses_nothing(self) -> None:
        sent: list[str] = []
        taken: list[str] = []

        async def producer() -> None:
            for _ in range(20):
                sent.extend(await self.post(b"x", b"y"))

        async def worker() -> None:
            for _ in range(30):
                held = await self.maybe_claim(limit=3)
                for one in held.messages if held else ():
                    taken.append(one.id)
                    await self.do(
                        MessageDelete(PROJECT, QUEUE, one.id, one.claim_id, NOW)
                    )

        await asyncio.gather(*[producer() for _ in range(4)], *[worker() for _ in "ab"])
        taken += ids_of(await self.do(MessagePop(PROJECT, QUEUE, 1000, NOW)))
        assert sorted(taken) == sorted(sent)

    async def test_claim_ids_cannot_be_derived(self) -> None:
        await self.post(b"1", b"2")
        first = await self.claim(limit=1)
        second = await self.claim(limit=1)
        differing = sum(a != b for a, b in zip(first.id, second.id, strict=True))
        assert differing >= 6

    async def test_delayed_messages_are_claimed_when_they_show(self) -> None:
        await self.post(b"late", delay=10)
        await self.post(b"now")
        assert await self.claimable(now=NOW + 9.99) == [b"now"]
        assert await self.claimable(now=NOW + 10) == [b"late", b"now"]

    async def test_delayed_messages_are_claimed_on_request(self) -> None:
        await self.post(b"now")
        await self.post(b"late", delay=10)
        assert await self.claimable(include_delayed=True) == [b"now", b"late"]
        assert await self.claimable() == [b"now"]

    async def test_expired_messages_are_not_claimed(self) -> None:
        await self.post(*[b"x"] * 2500, ttl=60)
        await self.post(b"alive")
        assert await self.claimable(now=NOW + 60) == [b"alive"]
        assert await self.claimable(now=NOW + 61) == [b"alive"]

    async def test_a_claim_behind_many_delayed_messages_takes_the_free(self) -> None:
        await self.post(*[b"x"] * 2500, delay=60)
        await self.post(b"free")
        assert await self.claimable() == [b"free"]
        assert len(await self.claimable(now=NOW + 60)) == 1000

    # -- ending -------------------------------------------------------------

    async def test_a_claim_ends_exactly_at_its_ttl(self) -> None:
        await self.post_one()
        held = await self.claim(ttl=60)
        assert await self.maybe_claim(now=NOW + 59.99) is None
        assert (await self.read_claim(held.id, NOW + 59.99)).age == 59
        with pytest.raises(ClaimNotFound):
            await self.read_claim(held.id, NOW + 60)
        with pytest.raises(ClaimNotFound):
            await self.renew(held.id, now=NOW + 60)
        again = await self.maybe_claim(now=NOW + 60)
        assert again is not None
        assert [one.claim_count for one in again.messages] == [2]

    async def test_messages_of_an_expired_claim_take_their_old_place(self) -> None:
        await self.post(b"1", b"2")
        await self.claim(limit=1, ttl=60)
        await self.post(b"3")
        assert await self.claimable(now=NOW + 60) == [b"1", b"2", b"3"]
        assert await self.visible(now=NOW + 60) == [b"1", b"2", b"3"]

    async def test_many_claims_that_expire_at_once_are_all_free(self) -> None:
        await self.post(*[b"x"] * 300)
        for _ in range(100):
            await self.claim(limit=3, ttl=60)
        assert await self.maybe_claim() is None
        assert len(await self.claimable(now=NOW + 60)) == 300

    async def test_a_released_claim_frees_its_messages(self) -> None:
        await self.post(b"1", b"2", b"3")
        held = await self.claim(limit=2)
        await self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
        assert await self.claimable() == [b"1", b"2", b"3"]
        with pytest.raises(ClaimNotFound):
            await self.read_claim(held.id)

    async def test_releasing_an_unknown_claim_does_nothing(self) -> None:
        message_id = await self.post_one()
        held = await self.claim()
        for claim_id in [*MALFORMED, message_id]:
            await self.do(ClaimDelete(PROJECT, QUEUE, claim_id, NOW))
        await self.do(ClaimDelete(PROJECT, "missing", held.id, NOW))
        assert ids_of((await self.read_claim(held.id)).messages) == [message_id]

    async def test_a_released_delayed_message_is_still_delayed(self) -> None:
        await self.post(b"late", delay=60)
        held = await self.claim(include_delayed=True)
        await self.do(ClaimDelete(PROJECT, QUEUE, held.id, NOW))
        assert await self.claimable() == []
        assert await self.claimable(now=NOW + 60) == [b"late"]

    async def test_every_claim_counts_whatever_its_end(self) -> None:
        message_id = await self.post_one()
        first = await self.claim()
        await self.do(ClaimDelete(PROJECT, QUEUE, first.id, NOW))
        second = await self.claim()
        await self.renew(second.id, now=NOW + 50)
        assert (await self.get_one(message_id, NOW + 150)).claim_count == 2
        third = await self.claim(now=NOW + 150)
        assert [one.claim_count for one in third.messages] == [3]

    # -- reading and renewing -----------------------------------------------

    async def test_a_claim_shows_what_it_holds(self) -> None:
        ids = await self.post(b"1", b"2", b"3")
        held = await self.claim(ttl=100, grace=50)
        await self.do(MessageDelete(PROJECT, QUEUE, ids[1], held.id, NOW))
        found = await self.read_claim(held.id, NOW + 7.5)
        assert (found.id, found.ttl, found.grace, found.age) == (held.id, 100, 50, 7)
        assert [(one.id, one.claim_id, one.age) for one in found.messages] == [
            (ids[0], held.id, 7),
            (ids[2], held.id, 7),
        ]

    async def test_a_claim_that_holds_nothing_is_gone(self) -> None:
        one, two, three = await self.post(b"1", b"2", b"3")
        held = await self.claim(limit=2)
        await self.do(MessageDelete(PROJECT, QUEUE, one, held.id, NOW))
        await self.do(MessageDeleteMany(PROJECT, QUEUE, [two], None, NOW))
        with pytest.raises(ClaimNotFound):
            await self.read_claim(held.id)
        assert ids_of(await self.everything()) == [three]

    async def test_unknown_claims_are_not_found(self) -> None:
        message_id = await self.post_one()
        for claim_id in [*MALFORMED, message_id]:
            with pytest.raises(ClaimNotFound):
                await self.read_claim(claim_id)
            with pytest.raises(ClaimNotFound):
                await self.renew(claim_id, now=NOW)
        with pytest.raises(ClaimNotFound):
            await self.do(ClaimGet(PROJECT, "missing", message_id, NOW))

    async def test_a_renewal_starts_the_clock_again(self) -> None:
        await self.post_one()
        held = await self.claim(ttl=60)
        await self.renew(held.id, ttl=70, grace=80, now=NOW + 50)
        found = await self.read_claim(held.id, NOW + 55)
        assert (found.ttl, found.grace, found.age) == (70, 80, 5)
        assert await self.maybe_claim(now=NOW + 119.99) is None
        assert await self.maybe_claim(now=NOW + 120) is not None

    async def test_a_renewal_may_shorten_a_claim(self) -> None:
        await self.post_one()
        held = await self.claim(ttl=300)
        await self.renew(held.id, ttl=60, now=NOW + 10)
        assert await self.maybe_claim(now=NOW + 69.99) is None
        assert await self.claimable(now=NOW + 70) == [b"1"]

    # -- lifetimes ----------------------------------------------------------

    @pytest.mark.parametrize(("ttl", "claim_ttl", "grace", "shown"), EXTENSIONS)
    async def test_a_claim_extends_what_would_end_before_it(
        self, ttl: int, claim_ttl: int, grace: int, shown: int
    ) -> None:
        message_id = await self.post_one(ttl=ttl)
        held = await self.claim(ttl=claim_ttl, grace=grace)
        assert [one.ttl for one in held.messages] == [shown]
        assert (await self.get_one(message_id)).ttl == shown
        assert (await self.get_one(message_id, NOW + shown - 0.01)).ttl == shown
        gone = await self.do(MessageGet(PROJECT, QUEUE, [message_id], NOW + shown))
        assert gone == []

    @pytest.mark.parametrize(("ttl", "claim_ttl", "grace", "shown"), EXTENSIONS)
    async def test_a_renewal_extends_what_would_end_before_it(
        self, ttl: int, claim_ttl: int, grace: int, shown: int
    ) -> None:
        message_id = await self.post_one(ttl=ttl)
        held = await self.claim(ttl=60, grace=0)
        await self.renew(held.id, ttl=claim_ttl, grace=grace, now=NOW)
        assert (await self.get_one(message_id)).ttl == shown
        gone = await self.do(MessageGet(PROJECT, QUEUE, [message_id], NOW + shown))
        assert gone == []

    async def test_a_message_outlives_its_claim_by_the_grace(self) -> None:
        await self.post_one(ttl=120)
        await self.claim(ttl=300, grace=60, now=NOW + 100)
        assert await self.claimable(now=NOW + 399.99) == []
        assert len(await self.everything(now=NOW + 459.99)) == 1
        assert await self.everything(now=NOW + 460) == []
