"""The suite: subscriptions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from zaqarserver.errors import SubscriptionExists, SubscriptionNotFound
from zaqarserver.storage.base import Storage
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
from zaqarserver.storage.testing.suite import NOW, PROJECT, QUEUE, Suite

HOOK = "http://hook.example/"


async def subscribe(
    storage: Storage, subscriber: str = HOOK, *, now: float = NOW, **given: Any
) -> Subscription:
    """Make a subscription that does not exist."""
    members: dict[str, Any] = {"ttl": 600, "options": {}} | given
    project, source = members.pop("project", PROJECT), members.pop("source", QUEUE)
    made, created = await storage.do(
        SubscriptionCreate(project, source, subscriber=subscriber, now=now, **members)
    )
    assert created
    return made


async def listed(storage: Storage, *, now: float = NOW) -> list[Subscription]:
    """List a page of the queue's subscriptions."""
    return await storage.do(
        SubscriptionList(PROJECT, QUEUE, marker=None, limit=100, now=now)
    )


async def get(
    storage: Storage, subscription_id: str, *, now: float = NOW
) -> Subscription | None:
    """Look a subscription of the queue up."""
    return await storage.do(SubscriptionGet(PROJECT, QUEUE, subscription_id, now))


class SubscriptionContract(Suite):
    """Subscriptions of a queue."""

    async def test_a_subscription_is_kept_as_given_and_makes_its_queue(
        self, storage: Storage
    ) -> None:
        options = {"post_headers": {"a": "é"}, "n": [1, None]}
        made = await subscribe(storage, options=options, ttl=60, confirmed=True)
        assert made == Subscription(
            made.id, PROJECT, QUEUE, HOOK, 60, 0, options, confirmed=True
        )
        assert await get(storage, made.id) == made
        assert await storage.do(QueueGet(PROJECT, QUEUE)) is not None

    async def test_a_subscription_ages_and_ends_to_the_second(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage, ttl=60)
        shown = await get(storage, made.id, now=NOW + 59.9)
        assert shown is not None
        assert shown.age == 59
        assert await get(storage, made.id, now=NOW + 60) is None
        assert await listed(storage, now=NOW + 60) == []

    async def test_a_subscriber_has_one_subscription_of_a_queue(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage)
        again, created = await storage.do(
            SubscriptionCreate(
                PROJECT, QUEUE, subscriber=HOOK, ttl=9, options={"b": 1}, now=NOW + 1
            )
        )
        assert not created
        assert (again.id, again.ttl, again.options) == (made.id, 600, {})

    async def test_an_ended_subscription_makes_room_for_a_new_one(
        self, storage: Storage
    ) -> None:
        old = await subscribe(storage, ttl=60)
        new = await subscribe(storage, now=NOW + 60)
        assert new.id > old.id
        assert await listed(storage, now=NOW + 60) == [new]

    async def test_of_many_that_subscribe_the_same_one_succeeds(
        self, storage: Storage
    ) -> None:
        made = await asyncio.gather(
            *(
                storage.do(
                    SubscriptionCreate(
                        PROJECT, QUEUE, subscriber=HOOK, ttl=60, options={}, now=NOW
                    )
                )
                for _ in range(10)
            )
        )
        assert sum(created for _, created in made) == 1
        assert len({subscription.id for subscription, _ in made}) == 1

    async def test_pages_are_in_the_order_of_creation(self, storage: Storage) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(7)]
        found: list[Subscription] = []
        marker = None
        while page := await storage.do(
            SubscriptionList(PROJECT, QUEUE, marker=marker, limit=3, now=NOW)
        ):
            found += page
            marker = page[-1].id
        assert found == made

    @pytest.mark.parametrize("marker", ["", "x", "-1", "é"])
    async def test_a_marker_that_is_no_id_gives_an_empty_page(
        self, storage: Storage, marker: str
    ) -> None:
        await subscribe(storage)
        page = await storage.do(
            SubscriptionList(PROJECT, QUEUE, marker=marker, limit=3, now=NOW)
        )
        assert page == []

    async def test_a_change_leaves_alone_what_it_does_not_name(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage, options={"a": 1})
        changed = await storage.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made.id, SubscriptionChange(confirmed=True), NOW + 5
            )
        )
        assert changed.confirmed
        assert (changed.options, changed.ttl, changed.age) == ({"a": 1}, 600, 5)
        changed = await storage.do(
            SubscriptionUpdate(
                PROJECT, QUEUE, made.id, SubscriptionChange(options={}), NOW + 6
            )
        )
        assert changed.options == {}
        assert changed.confirmed
        assert await get(storage, made.id, now=NOW + 6) == changed

    async def test_a_new_ttl_counts_from_the_change(self, storage: Storage) -> None:
        made = await subscribe(storage, ttl=60)
        change = SubscriptionChange(ttl=100)
        await storage.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW + 50))
        shown = await get(storage, made.id, now=NOW + 149)
        assert shown is not None
        assert (shown.ttl, shown.age) == (100, 149)
        assert await get(storage, made.id, now=NOW + 150) is None

    async def test_a_change_to_another_subscriber_there_is_refused(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        made = await subscribe(storage, "http://other/")
        change = SubscriptionChange(subscriber=HOOK, ttl=5)
        with pytest.raises(SubscriptionExists):
            await storage.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        assert await get(storage, made.id) == made

    async def test_a_missing_subscription_cannot_be_changed(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage, ttl=60)
        change = SubscriptionChange(ttl=100)
        for project, queue, id_, now in (
            (PROJECT, QUEUE, "x", NOW),
            (PROJECT, "other", made.id, NOW),
            ("other", QUEUE, made.id, NOW),
            (PROJECT, QUEUE, made.id, NOW + 60),
        ):
            with pytest.raises(SubscriptionNotFound):
                await storage.do(SubscriptionUpdate(project, queue, id_, change, now))

    async def test_a_deleted_subscription_is_gone_and_others_stay(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage)
        kept = await subscribe(storage, "http://other/")
        await storage.do(SubscriptionDelete("other", QUEUE, made.id))
        await storage.do(SubscriptionDelete(PROJECT, "other", made.id))
        assert await get(storage, made.id) == made
        for _ in range(2):
            await storage.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        assert await get(storage, made.id) is None
        assert await listed(storage) == [kept]
        assert (await subscribe(storage)).id > made.id

    async def test_a_purge_takes_all_of_one_queue(self, storage: Storage) -> None:
        for number in range(30):
            await subscribe(storage, f"http://h{number}/")
        others = [
            await subscribe(storage, source="other"),
            await subscribe(storage, project="other"),
        ]
        await storage.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await listed(storage) == []
        for other in others:
            found = await storage.do(
                SubscriptionGet(other.space, other.queue, other.id, NOW)
            )
            assert found == other

    async def test_a_deleted_queue_keeps_its_subscriptions(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage)
        await storage.do(QueueDelete(PROJECT, QUEUE))
        assert await listed(storage) == [made]

    async def test_the_live_subscriptions_of_a_queue_are_counted(
        self, storage: Storage
    ) -> None:
        async def count(now: float = NOW) -> int:
            return await storage.do(SubscriptionCount(PROJECT, QUEUE, now))

        assert await count() == 0
        made = [await subscribe(storage, f"http://h{n}/") for n in range(4)]
        await subscribe(storage, "http://push/", volatile=True, ttl=300)
        await subscribe(storage, source="other")
        assert await count() == 5
        await storage.do(SubscriptionDelete(PROJECT, QUEUE, made[0].id))
        assert await count() == 4
        assert (await count(NOW + 300), await count(NOW + 600)) == (3, 0)
        await storage.do(SubscriptionPurge(PROJECT, QUEUE))
        assert await count() == 0
