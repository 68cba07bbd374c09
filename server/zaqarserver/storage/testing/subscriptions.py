"""The suite: subscriptions."""

from __future__ import annotations

import asyncio

import pytest

from zaqarserver.errors import SubscriptionExists, SubscriptionNotFound
from zaqarserver.storage.commands import QueueDelete, QueueGet
from zaqarserver.storage.subscriptions import (
    Subscription,
    SubscriptionChange,
    SubscriptionCount,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionGet,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
)
from zaqarserver.storage.testing.suite import HOOK, NOW, PROJECT, QUEUE, Suite


class SubscriptionContract(Suite):
    """Subscriptions of a queue."""

    async def read_subscription(
        self, subscription_id: str, *, now: float = NOW
    ) -> Subscription | None:
        """Look a subscription of the queue up."""
        return await self.do(SubscriptionGet(PROJECT, QUEUE, subscription_id, now))

    async def test_a_subscription_is_kept_as_given_and_makes_its_queue(self) -> None:
        options = {"post_headers": {"a": "é"}, "n": [1, None]}
        made = await self.subscribe(options=options, ttl=60, confirmed=True)
        assert made == Subscription(
            made.id, PROJECT, QUEUE, HOOK, 60, 0, options, confirmed=True
        )
        assert await self.read_subscription(made.id) == made
        assert await self.do(QueueGet(PROJECT, QUEUE)) is not None

    async def test_a_subscription_ages_and_ends_to_the_second(self) -> None:
        made = await self.subscribe(ttl=60)
        shown = await self.read_subscription(made.id, now=NOW + 59.9)
        assert shown is not None
        assert shown.age == 59
        assert await self.read_subscription(made.id, now=NOW + 60) is None
        assert await self.listed(now=NOW + 60) == []

    async def test_a_subscriber_has_one_subscription_of_a_queue(self) -> None:
        made = await self.subscribe()
        again, created = await self.do(
            SubscriptionCreate(
                PROJECT, QUEUE, subscriber=HOOK, ttl=9, options={"b": 1}, now=NOW + 1
            )
        )
        assert not created
        assert (again.id, again.ttl, again.options) == (made.id, 600, {})

    async def test_an_ended_subscription_makes_room_for_a_new_one(self) -> None:
        old = await self.subscribe(ttl=60)
        new = await self.subscribe(now=NOW + 60)
        assert new.id > old.id
        assert await self.listed(now=NOW + 60) == [new]

    async def test_of_many_that_subscribe_the_same_one_succeeds(self) -> None:
        made = await asyncio.gather(
            *(
                self.do(
                    SubscriptionCreate(
                        PROJECT, QUEUE, subscriber=HOOK, ttl=60, options={}, now=NOW
                    )
                )
                for _ in range(10)
            )
        )
        assert sum(created for _, created in made) == 1
        assert len({subscription.id for subscription, _ in made}) == 1

    async def test_pages_are_in_the_order_of_creation(self) -> None:
        made = [await self.subscribe(f"http://h{n}/") for n in range(7)]
        found: list[Subscription] = []
        marker = None
        while page := await self.do(
            SubscriptionList(PROJECT, QUEUE, marker=marker, limit=3, now=NOW)
        ):
            found += page
            marker = page[-1].id
        assert found == made

    @pytest.mark.parametrize("marker", ["", "x", "-1", "é"])
    async def test_a_marker_that_is_no_id_gives_an_empty_page(
        self, marker: str
    ) -> None:
        await self.subscribe()
        page = await self.do(
            SubscriptionList(PROJECT, QUEUE, marker=marker, limit=3, now=NOW)
        )
        assert page == []

    async def test_a_change_leaves_alone_what_it_does_not_name(self) -> None:
        made = await self.subscribe(options={"a": 1})
        changed = await self.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made.id, SubscriptionChange(confirmed=True), NOW + 5
            )
        )
        assert changed.confirmed
        assert (changed.options, changed.ttl, changed.age) == ({"a": 1}, 600, 5)
        changed = await self.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made.id, SubscriptionChange(options={}), NOW + 6
            )
        )
        assert changed.options == {}
        assert changed.confirmed
        assert await self.read_subscription(made.id, now=NOW + 6) == changed

    async def test_a_new_ttl_counts_from_the_change(self) -> None:
        made = await self.subscribe(ttl=60)
        change = SubscriptionChange(ttl=100)
        await self.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW + 50))
        shown = await self.read_subscription(made.id, now=NOW + 149)
        assert shown is not None
        assert (shown.ttl, shown.age) == (100, 149)
        assert await self.read_subscription(made.id, now=NOW + 150) is None

    async def test_a_change_to_another_subscriber_there_is_refused(self) -> None:
        await self.subscribe()
        made = await self.subscribe("http://other/")
        change = SubscriptionChange(subscriber=HOOK, ttl=5)
        with pytest.raises(SubscriptionExists):
            await self.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        assert await self.read_subscription(made.id) == made

    async def test_a_missing_subscription_cannot_be_changed(self) -> None:
        made = await self.subscribe(ttl=60)
        change = SubscriptionChange(ttl=100)
        for project, queue, id_, now in (
            (PROJECT, QUEUE, "x", NOW),
            (PROJECT, "other", made.id, NOW),
            ("other", QUEUE, made.id, NOW),
            (PROJECT, QUEUE, made.id, NOW + 60),
        ):
            with pytest.raises(SubscriptionNotFound):
                await self.do(SubscriptionUpdate(project, queue, id_, change, now))

    async def test_a_deleted_subscription_is_gone_and_others_stay(self) -> None:
        made = await self.subscribe()
        kept = await self.subscribe("http://other/")
        await self.do(SubscriptionDelete("other", QUEUE, made.id))
        await self.do(SubscriptionDelete(PROJECT, "other", made.id))
        assert await self.read_subscription(made.id) == made
        for _ in range(2):
            await self.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        assert await self.read_subscription(made.id) is None
        assert await self.listed() == [kept]
        assert (await self.subscribe()).id > made.id

    async def test_a_purge_takes_all_of_one_queue(self) -> None:
        for number in range(30):
            await self.subscribe(f"http://h{number}/")
        others = [
            await self.subscribe(source="other"),
            await self.subscribe(project="other"),
        ]
        await self.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await self.listed() == []
        for other in others:
            found = await self.do(
                SubscriptionGet(other.space, other.queue, other.id, NOW)
            )
            assert found == other

    async def test_a_deleted_queue_keeps_its_subscriptions(self) -> None:
        made = await self.subscribe()
        await self.do(QueueDelete(PROJECT, QUEUE))
        assert await self.listed() == [made]

    async def test_the_live_subscriptions_of_a_queue_are_counted(self) -> None:
        async def count(now: float = NOW) -> int:
            return await self.do(SubscriptionCount(PROJECT, QUEUE, now))

        assert await count() == 0
        made = [await self.subscribe(f"http://h{n}/") for n in range(4)]
        await self.subscribe("http://push/", volatile=True, ttl=300)
        await self.subscribe(source="other")
        assert await count() == 5
        await self.do(SubscriptionDelete(PROJECT, QUEUE, made[0].id))
        assert await count() == 4
        assert (await count(NOW + 300), await count(NOW + 600)) == (3, 0)
        await self.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await count() == 0
