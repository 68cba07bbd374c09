"""The suite: notices and deliveries."""

from __future__ import annotations

import pytest

from zaqarserver.storage.base import Capability, NewMessage
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.subscriptions import (
    DELIVERY_MESSAGES,
    NOTICE_MESSAGES,
    Delivery,
    DeliveryDue,
    DeliverySettle,
    NoticeMessage,
    Post,
    SubscriptionChange,
    SubscriptionDelete,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
)
from zaqarserver.storage.testing.suite import (
    CLIENT,
    LEASE,
    NOW,
    PROJECT,
    QUEUE,
    Suite,
)


def bodies(delivery: Delivery) -> list[bytes]:
    """Return the message bodies of a delivery."""
    return [message.body for message in delivery.messages]


class DeliveryContract(Suite):
    """Deliveries of posts to the subscriptions of a queue."""

    async def test_a_post_without_subscriptions_leaves_nothing(self) -> None:
        await self.post(b"1")
        assert await self.do(DeliveryDue(NOW)) is None
        assert await self.take() == []

    async def test_a_post_is_delivered_to_each_subscription_as_it_was(self) -> None:
        made = [await self.subscribe(f"http://h{n}/") for n in range(3)]
        messages = [NewMessage(b"1", 60), NewMessage(b"2", 90, delay=5)]
        ids = await self.do(MessagePost(PROJECT, QUEUE, CLIENT, messages, NOW))
        due = await self.do(DeliveryDue(NOW))
        assert due is not None
        assert due <= NOW
        taken = await self.take()
        assert [delivery.subscription for delivery in taken] == made
        for delivery in taken:
            assert (delivery.position, delivery.attempt) == (0, 0)
            assert list(delivery.messages) == [
                NoticeMessage(ids[0], b"1", 60, 0, NOW + 60),
                NoticeMessage(ids[1], b"2", 90, 5, NOW + 90),
            ]

    async def test_what_is_taken_is_not_given_out_again_before_its_lease_ends(
        self,
    ) -> None:
        await self.subscribe()
        await self.post(b"1")
        (first,) = await self.take()
        assert await self.take(now=NOW + LEASE - 1) == []
        assert await self.do(DeliveryDue(NOW)) == NOW + LEASE
        (again,) = await self.take(now=NOW + LEASE)
        assert again.key == first.key

    async def test_a_settled_delivery_is_over(self) -> None:
        await self.subscribe()
        await self.post(b"1")
        (delivery,) = await self.take()
        for _ in range(2):
            await self.done(delivery)
        assert await self.do(DeliveryDue(NOW)) is None
        assert await self.take(now=NOW + LEASE) == []

    async def test_a_subscriber_gets_posts_in_order_one_delivery_at_a_time(
        self,
    ) -> None:
        await self.subscribe()
        expected = [b"%d" % number for number in range(DELIVERY_MESSAGES + 5)]
        for body in expected:
            await self.post(body)
        seen: list[bytes] = []
        while taken := await self.take():
            (delivery,) = taken
            assert await self.take() == []
            assert len(delivery.messages) <= DELIVERY_MESSAGES
            seen += bodies(delivery)
            await self.done(delivery)
        assert seen == expected

    async def test_posts_of_one_message_are_delivered_together(self) -> None:
        await self.subscribe()
        for number in range(3):
            await self.post(b"%d" % number)
        (delivery,) = await self.take()
        assert bodies(delivery) == [b"0", b"1", b"2"]

    async def test_progress_in_a_delivery_of_several_posts_is_kept(self) -> None:
        await self.subscribe()
        await self.post(b"1")
        await self.post(b"2", b"3")
        (delivery,) = await self.take()
        for position, left in ((0, 3), (1, 2), (2, 1)):
            for _ in range(2):
                await self.do(
                    DeliverySettle(delivery.key, position=position, attempt=1, due=NOW)
                )
            (again,) = await self.take()
            assert bodies(again)[again.position :] == [b"1", b"2", b"3"][3 - left :]
            assert again.attempt == 1
        late = DeliverySettle(delivery.key, position=1, attempt=0, due=NOW)
        await self.do(late)
        assert await self.take() == []
        await self.done(delivery)
        assert await self.do(DeliveryDue(NOW)) is None
        await self.post(b"4")
        await self.do(late)
        (last,) = await self.take()
        assert bodies(last) == [b"4"]

    async def test_what_is_for_a_subscription_that_agrees_no_more_is_dropped(
        self,
    ) -> None:
        made = await self.subscribe(confirmed=True)
        await self.post(b"1")
        (delivery,) = await self.take(confirmed=True)
        await self.do(DeliverySettle(delivery.key, position=0, attempt=1, due=NOW))
        change = SubscriptionChange(confirmed=False)
        await self.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        assert await self.take(confirmed=True) == []
        assert await self.do(DeliveryDue(NOW)) is None
        assert await self.take() == []

    async def test_a_retry_waits_for_its_time_and_goes_on_where_it_was(self) -> None:
        await self.subscribe()
        await self.post(b"1", b"2", b"3")
        await self.post(b"4")
        (delivery,) = await self.take()
        await self.do(
            DeliverySettle(delivery.key, position=1, attempt=2, due=NOW + 100)
        )
        assert await self.do(DeliveryDue(NOW)) == NOW + 100
        assert await self.take(now=NOW + 99) == []
        (again,) = await self.take(now=NOW + 100)
        assert (again.key, again.position, again.attempt) == (delivery.key, 1, 2)

    async def test_what_expired_while_a_retry_waited_is_swept(self) -> None:
        await self.subscribe()
        await self.post(b"1", b"2", ttl=60)
        (delivery,) = await self.take()
        late = DeliverySettle(delivery.key, position=1, attempt=1, due=NOW + 100)
        await self.do(late)
        await self.sweep_all(NOW + 70)
        await self.do(late)
        await self.post(b"3", now=NOW + 80)
        assert await self.take(now=NOW + 80) == []
        assert await self.do(DeliveryDue(NOW + 80)) == NOW + 100
        (last,) = await self.take(now=NOW + 100)
        assert (bodies(last), last.position, last.attempt) == ([b"3"], 0, 0)
        await self.done(last)
        assert await self.do(DeliveryDue(NOW + 100)) is None

    async def test_a_late_settle_of_what_expired_skips_no_later_post(self) -> None:
        await self.subscribe()
        await self.subscribe("http://short/", ttl=80)
        await self.post(b"1", ttl=60)
        late = await self.take()
        await self.sweep_all(NOW + 90)
        await self.post(b"2", now=NOW + 90)
        for delivery in late:
            await self.do(DeliverySettle(delivery.key, position=1, attempt=0, due=None))
        (last,) = await self.take(now=NOW + 90)
        assert bodies(last)[last.position :][-1] == b"2"

    async def test_one_that_waits_delays_nobody_else(self) -> None:
        slow = await self.subscribe("http://slow/")
        fast = await self.subscribe("http://fast/")
        await self.post(b"1")
        for delivery in await self.take():
            if delivery.subscription.id == slow.id:
                await self.do(
                    DeliverySettle(delivery.key, position=0, attempt=1, due=NOW + 100)
                )
            else:
                await self.done(delivery)
        await self.post(b"2", now=NOW + 1)
        (delivery,) = await self.take(now=NOW + 1)
        assert delivery.subscription.id == fast.id

    async def test_a_limit_takes_the_longest_due_first(self) -> None:
        made = [await self.subscribe(f"http://h{n}/") for n in range(4)]
        await self.post(b"1")
        due = {one.id: NOW + 10 - number for number, one in enumerate(made)}
        while taken := await self.take():
            for delivery in taken:
                await self.do(
                    DeliverySettle(
                        delivery.key,
                        position=0,
                        attempt=1,
                        due=due[delivery.subscription.id],
                    )
                )
        taken = await self.take(now=NOW + 10, limit=2)
        subscriptions = [delivery.subscription.id for delivery in taken]
        assert subscriptions == [made[3].id, made[2].id]

    async def test_only_who_listened_at_the_post_gets_it(self) -> None:
        early = await self.subscribe()
        await self.subscribe("http://ended/", ttl=5)
        await self.post(b"1", now=NOW + 10)
        await self.subscribe("http://late/", now=NOW + 11)
        taken = await self.take(now=NOW + 12)
        assert [delivery.subscription.id for delivery in taken] == [early.id]

    async def test_unconfirmed_subscriptions_are_left_out_where_asked(self) -> None:
        await self.subscribe()
        agreed = await self.subscribe("http://agreed/", confirmed=True)
        await self.post(b"1")
        taken = await self.take(confirmed=True)
        assert [delivery.subscription.id for delivery in taken] == [agreed.id]
        await self.done(taken[0])
        assert await self.do(DeliveryDue(NOW)) is None

    async def test_a_delivery_goes_to_the_subscriber_of_the_moment(self) -> None:
        made = await self.subscribe()
        await self.post(b"1")
        change = SubscriptionChange(subscriber="http://moved/")
        await self.do(SubscriptionUpdate(PROJECT, QUEUE, made.id, change, NOW))
        (delivery,) = await self.take()
        assert delivery.subscription.subscriber == "http://moved/"

    @pytest.mark.parametrize("way", ["delete", "purge", "end"])
    async def test_what_is_for_a_subscription_that_ended_is_dropped(
        self, way: str
    ) -> None:
        made = await self.subscribe(ttl=60)
        await self.post(b"1")
        (delivery,) = await self.take()
        await self.post(b"2")
        if way == "delete":
            await self.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        elif way == "purge":
            await self.do(SubscriptionPurge(PROJECT, QUEUE))
        await self.do(DeliverySettle(delivery.key, position=0, attempt=1, due=NOW))
        later = NOW + 60
        assert await self.take(now=later) == []
        while await self.store.sweep(later):
            pass
        assert await self.do(DeliveryDue(later)) is None

    async def test_many_subscriptions_all_get_their_delivery(self) -> None:
        for number in range(1200):
            await self.subscribe(f"http://h{number}/")
        await self.post(b"1")
        seen: set[str] = set()
        while taken := await self.take(limit=500):
            for delivery in taken:
                seen.add(delivery.subscription.id)
                await self.done(delivery)
        assert len(seen) == 1200

    async def test_what_is_due_survives_a_restart_and_connections_do_not(self) -> None:
        self.need(Capability.DURABILITY)
        lasting = await self.subscribe()
        await self.subscribe("http://socket/", volatile=True)
        await self.post(b"1")
        (delivery,) = await self.take()
        await self.do(DeliverySettle(delivery.key, position=0, attempt=3, due=NOW + 10))
        await self.store.close()
        await self.store.open()
        left = await self.do(
            SubscriptionList(PROJECT, QUEUE, marker=None, limit=10, now=NOW)
        )
        assert left == [lasting]
        (again,) = await self.take(now=NOW + 10)
        assert (again.key, again.attempt, bodies(again)) == (delivery.key, 3, [b"1"])

    async def test_those_who_watch_are_woken_by_a_post(self) -> None:
        woken: list[bool] = []
        await self.store.close()
        self.store.watch(lambda _posted: None, lambda: woken.append(True))
        await self.store.open()
        await self.post(b"1")
        assert woken == []
        await self.subscribe()
        await self.post(b"1")
        assert woken

    async def test_volatile_subscriptions_are_told_after_the_commit(self) -> None:
        heard: list[Post] = []
        await self.store.close()
        self.store.watch(heard.append, lambda: None)
        await self.store.open()
        made = await self.subscribe(volatile=True, ttl=60)
        first = await self.post(b"1", b"2")
        second = await self.post(b"3", now=NOW + 1)
        assert [post.subscriptions for post in heard] == [[made.id], [made.id]]
        assert [m.id for post in heard for m in post.messages] == [*first, *second]
        assert (heard[0].space, heard[0].queue) == (PROJECT, QUEUE)
        assert await self.take() == []
        await self.post(b"4", now=NOW + 60)
        await self.do(SubscriptionDelete(PROJECT, QUEUE, made.id))
        await self.post(b"5", now=NOW + 2)
        assert len(heard) == 2

    async def test_a_long_post_comes_in_parts_that_all_subscribers_share(self) -> None:
        made = [await self.subscribe(f"http://h{n}/") for n in range(3)]
        expected = [b"%d" % n for n in range(2 * NOTICE_MESSAGES + 1)]
        await self.post(*expected)
        await self.post(b"last")
        seen: dict[str, list[bytes]] = {one.id: [] for one in made}
        while taken := await self.take():
            parts = {one.messages[0].id: one.messages for one in taken}
            for delivery in taken:
                assert len(delivery.messages) <= NOTICE_MESSAGES
                assert delivery.messages is parts[delivery.messages[0].id]
                seen[delivery.subscription.id] += bodies(delivery)
                await self.done(delivery)
        assert list(seen.values()) == [[*expected, b"last"]] * 3
