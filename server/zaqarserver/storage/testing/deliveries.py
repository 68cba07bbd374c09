"""The suite: notices and deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarserver.storage.base import Capability, NewMessage, Storage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.subscriptions import (
    DELIVERY_MESSAGES,
    NOTICE_MESSAGES,
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    NoticeMessage,
    Post,
    SubscriptionChange,
    SubscriptionDelete,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
)
from zaqarserver.storage.testing.subscriptions import subscribe
from zaqarserver.storage.testing.suite import (
    CLIENT,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
    need,
    post,
)

LEASE = 30.0


async def take(
    storage: Storage, *, now: float = NOW, limit: int = 100, confirmed: bool = False
) -> list[Delivery]:
    """Take deliveries."""
    return await storage.do(
        DeliveryTake(now, limit=limit, lease=LEASE, confirmed_only=confirmed)
    )


async def done(storage: Storage, delivery: Delivery) -> None:
    """Settle a whole delivery."""
    await storage.do(
        DeliverySettle(
            delivery.key, position=len(delivery.messages), attempt=0, due=None
        )
    )


def bodies(delivery: Delivery) -> list[bytes]:
    """Return the message bodies of a delivery."""
    return [message.body for message in delivery.messages]


class DeliveryContract(Suite):
    """Deliveries of posts to the subscriptions of a queue."""

    async def test_a_post_without_subscriptions_leaves_nothing(
        self, storage: Storage
    ) -> None:
        await post(storage, b"1")
        assert await storage.do(DeliveryDue(NOW)) is None
        assert await take(storage) == []

    async def test_a_post_is_delivered_to_each_subscription_as_it_was(
        self, storage: Storage
    ) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(3)]
        messages = [NewMessage(b"1", 60), NewMessage(b"2", 90, delay=5)]
        ids = await storage.do(MessagePost(PROJECT, QUEUE, CLIENT, messages, NOW))
        due = await storage.do(DeliveryDue(NOW))
        assert due is not None
        assert due <= NOW
        taken = await take(storage)
        assert [delivery.subscription for delivery in taken] == made
        for delivery in taken:
            assert (delivery.position, delivery.attempt) == (0, 0)
            assert list(delivery.messages) == [
                NoticeMessage(ids[0], b"1", 60, 0, NOW + 60),
                NoticeMessage(ids[1], b"2", 90, 5, NOW + 90),
            ]

    async def test_what_is_taken_is_not_given_out_again_before_its_lease_ends(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        await post(storage, b"1")
        (first,) = await take(storage)
        assert await take(storage, now=NOW + LEASE - 1) == []
        assert await storage.do(DeliveryDue(NOW)) == NOW + LEASE
        (again,) = await take(storage, now=NOW + LEASE)
        assert again.key == first.key

    async def test_a_settled_delivery_is_over(self, storage: Storage) -> None:
        await subscribe(storage)
        await post(storage, b"1")
        (delivery,) = await take(storage)
        for _ in range(2):
            await done(storage, delivery)
        assert await storage.do(DeliveryDue(NOW)) is None
        assert await take(storage, now=NOW + LEASE) == []

    async def test_a_subscriber_gets_posts_in_order_one_delivery_at_a_time(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        expected = [b"%d" % number for number in range(DELIVERY_MESSAGES + 5)]
        for body in expected:
            await post(storage, body)
        seen: list[bytes] = []
        while taken := await take(storage):
            (delivery,) = taken
            assert await take(storage) == []
            assert len(delivery.messages) <= DELIVERY_MESSAGES
            seen += bodies(delivery)
            await done(storage, delivery)
        assert seen == expected

    async def test_posts_of_one_message_are_delivered_together(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        for number in range(3):
            await post(storage, b"%d" % number)
        (delivery,) = await take(storage)
        assert bodies(delivery) == [b"0", b"1", b"2"]

    async def test_progress_in_a_delivery_of_several_posts_is_kept(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        await post(storage, b"1")
        await post(storage, b"2", b"3")
        (delivery,) = await take(storage)
        for position, left in ((0, 3), (1, 2), (2, 1)):
            for _ in range(2):
                await storage.do(
                    DeliverySettle(delivery.key, position=position, attempt=1, due=NOW)
                )
            (again,) = await take(storage)
            assert bodies(again)[again.position :] == [b"1", b"2", b"3"][3 - left :]
            assert again.attempt == 1
        late = DeliverySettle(delivery.key, position=1, attempt=0, due=NOW)
        await storage.do(late)
        assert await take(storage) == []
        await done(storage, delivery)
        assert await storage.do(DeliveryDue(NOW)) is None
        await post(storage, b"4")
        await storage.do(late)
        (last,) = await take(storage)
        assert bodies(last) == [b"4"]

    async def test_what_is_for_a_subscription_that_agrees_no_more_is_dropped(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage, confirmed=True)
        await post(storage, b"1")
        (delivery,) = await take(storage, confirmed=True)
        await storage.do(DeliverySettle(delivery.key, position=0, attempt=1, due=NOW))
        change = SubscriptionChange(confirmed=False)
        await storage.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        assert await take(storage, confirmed=True) == []
        assert await storage.do(DeliveryDue(NOW)) is None
        assert await take(storage) == []

    async def test_a_retry_waits_for_its_time_and_goes_on_where_it_was(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        await post(storage, b"1", b"2", b"3")
        await post(storage, b"4")
        (delivery,) = await take(storage)
        await storage.do(
            DeliverySettle(delivery.key, position=1, attempt=2, due=NOW + 100)
        )
        assert await storage.do(DeliveryDue(NOW)) == NOW + 100
        assert await take(storage, now=NOW + 99) == []
        (again,) = await take(storage, now=NOW + 100)
        assert (again.key, again.position, again.attempt) == (delivery.key, 1, 2)

    async def test_one_that_waits_delays_nobody_else(self, storage: Storage) -> None:
        slow = await subscribe(storage, "http://slow/")
        fast = await subscribe(storage, "http://fast/")
        await post(storage, b"1")
        for delivery in await take(storage):
            if delivery.subscription.id == slow.id:
                await storage.do(
                    DeliverySettle(delivery.key, position=0, attempt=1, due=NOW + 100)
                )
            else:
                await done(storage, delivery)
        await post(storage, b"2", now=NOW + 1)
        (delivery,) = await take(storage, now=NOW + 1)
        assert delivery.subscription.id == fast.id

    async def test_a_limit_takes_the_longest_due_first(self, storage: Storage) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(4)]
        await post(storage, b"1")
        due = {one.id: NOW + 10 - number for number, one in enumerate(made)}
        while taken := await take(storage):
            for delivery in taken:
                await storage.do(
                    DeliverySettle(
                        delivery.key,
                        position=0,
                        attempt=1,
                        due=due[delivery.subscription.id],
                    )
                )
        taken = await take(storage, now=NOW + 10, limit=2)
        subscriptions = [delivery.subscription.id for delivery in taken]
        assert subscriptions == [made[3].id, made[2].id]

    async def test_only_who_listened_at_the_post_gets_it(
        self, storage: Storage
    ) -> None:
        early = await subscribe(storage)
        await subscribe(storage, "http://ended/", ttl=5)
        await post(storage, b"1", now=NOW + 10)
        await subscribe(storage, "http://late/", now=NOW + 11)
        taken = await take(storage, now=NOW + 12)
        assert [delivery.subscription.id for delivery in taken] == [early.id]

    async def test_unconfirmed_subscriptions_are_left_out_where_asked(
        self, storage: Storage
    ) -> None:
        await subscribe(storage)
        agreed = await subscribe(storage, "http://agreed/", confirmed=True)
        await post(storage, b"1")
        taken = await take(storage, confirmed=True)
        assert [delivery.subscription.id for delivery in taken] == [agreed.id]
        await done(storage, taken[0])
        assert await storage.do(DeliveryDue(NOW)) is None

    async def test_a_delivery_goes_to_the_subscriber_of_the_moment(
        self, storage: Storage
    ) -> None:
        made = await subscribe(storage)
        await post(storage, b"1")
        change = SubscriptionChange(subscriber="http://moved/")
        await storage.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        (delivery,) = await take(storage)
        assert delivery.subscription.subscriber == "http://moved/"

    @pytest.mark.parametrize("way", ["delete", "purge", "end"])
    async def test_what_is_for_a_subscription_that_ended_is_dropped(
        self, storage: Storage, way: str
    ) -> None:
        made = await subscribe(storage, ttl=60)
        await post(storage, b"1")
        (delivery,) = await take(storage)
        await post(storage, b"2")
        if way == "delete":
            await storage.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        elif way == "purge":
            await storage.do(SubscriptionPurge(PROJECT, QUEUE))
        await storage.do(DeliverySettle(delivery.key, position=0, attempt=1, due=NOW))
        later = NOW + 60
        assert await take(storage, now=later) == []
        while await storage.sweep(later):
            pass
        assert await storage.do(DeliveryDue(later)) is None

    async def test_many_subscriptions_all_get_their_delivery(
        self, storage: Storage
    ) -> None:
        for number in range(1200):
            await subscribe(storage, f"http://h{number}/")
        await post(storage, b"1")
        seen: set[str] = set()
        while taken := await take(storage, limit=500):
            for delivery in taken:
                seen.add(delivery.subscription.id)
                await done(storage, delivery)
        assert len(seen) == 1200

    async def test_what_is_due_survives_a_restart_and_connections_do_not(
        self, storage: Storage
    ) -> None:
        need(storage, Capability.DURABILITY)
        lasting = await subscribe(storage)
        await subscribe(storage, "http://socket/", volatile=True)
        await post(storage, b"1")
        (delivery,) = await take(storage)
        await storage.do(
            DeliverySettle(delivery.key, position=0, attempt=3, due=NOW + 10)
        )
        await storage.close()
        await storage.open()
        left = await storage.do(
            SubscriptionList(PROJECT, QUEUE, marker=None, limit=10, now=NOW)
        )
        assert left == [lasting]
        (again,) = await take(storage, now=NOW + 10)
        assert (again.key, again.attempt, bodies(again)) == (delivery.key, 3, [b"1"])

    async def test_those_who_watch_are_woken_by_a_post(self, driver: Storage) -> None:
        woken: list[bool] = []
        driver.watch(lambda _posted: None, lambda: woken.append(True))
        await driver.open()
        await post(driver, b"1")
        assert woken == []
        await subscribe(driver)
        await post(driver, b"1")
        assert woken
        await driver.close()

    async def test_volatile_subscriptions_are_told_after_the_commit(
        self, driver: Storage
    ) -> None:
        heard: list[Post] = []
        driver.watch(heard.append, lambda: None)
        await driver.open()
        made: Any = await subscribe(driver, volatile=True, ttl=60)
        first = await post(driver, b"1", b"2")
        second = await post(driver, b"3", now=NOW + 1)
        assert [post.subscriptions for post in heard] == [[made.id], [made.id]]
        assert [m.id for post in heard for m in post.messages] == [*first, *second]
        assert (heard[0].space, heard[0].queue) == (PROJECT, QUEUE)
        assert await take(driver) == []
        await post(driver, b"4", now=NOW + 60)
        await driver.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        await post(driver, b"5", now=NOW + 2)
        assert len(heard) == 2
        await driver.close()

    async def test_a_long_post_comes_in_parts_that_all_subscribers_share(
        self, storage: Storage
    ) -> None:
        made = [await subscribe(storage, f"http://h{n}/") for n in range(3)]
        expected = [b"%d" % n for n in range(2 * NOTICE_MESSAGES + 1)]
        await post(storage, *expected)
        await post(storage, b"last")
        seen: dict[str, list[bytes]] = {one.id: [] for one in made}
        while taken := await take(storage):
            parts = {one.messages[0].id: one.messages for one in taken}
            for delivery in taken:
                assert len(delivery.messages) <= NOTICE_MESSAGES
                assert delivery.messages is parts[delivery.messages[0].id]
                seen[delivery.subscription.id] += bodies(delivery)
                await done(storage, delivery)
        assert list(seen.values()) == [[*expected, b"last"]] * 3
