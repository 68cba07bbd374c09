"""The outbox worker on a store in memory, with a clock that tests move."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from zaqarserver.errors import Unavailable
from zaqarserver.notify.deliverer import Delivered, Failed, Gone, Retry
from zaqarserver.notify.dispatch import Dispatcher
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.worker import LEASE, Notifier
from zaqarserver.storage.subscriptions import DeliveryDue, DeliverySettle, DeliveryTake

from .doubles import FakeClock, Obedient, Store, always, turns

pytestmark = pytest.mark.anyio

# Times of the attempts under the default policy, in seconds.
DEFAULT_TIMES = [0, 0, 0, 0, 5, 10, 15, 20, 30, 45, 65, 90, 120, 150, 180]
HOURS = 24 * 3600


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def store(clock):
    made = Store(clock)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def deliverer(clock):
    return Obedient(clock)


@pytest.fixture
async def notifiers(clock, store, deliverer):
    """Make started notifiers on the store."""
    made = []

    async def queue_metadata(project, source):
        return None

    def readable(project, source, message):
        return message.body

    async def make(
        metadata=queue_metadata, readable=readable, kinds=("http",), **settings
    ):
        notifier = Notifier(
            store,
            NotifySettings(**{"drain_timeout": 0.0, **settings}),
            queue_metadata=metadata,
            readable=readable,
            clock=clock,
            dispatcher=Dispatcher(dict.fromkeys(kinds, deliverer)),
        )
        made.append(notifier)
        store.noticed = notifier.wake
        await notifier.start()
        await turns()
        return notifier

    yield make
    for notifier in made:
        await notifier.stop()


async def hang(notification=None):
    """Answer nothing, as long as somebody waits."""
    await asyncio.Event().wait()


async def test_each_subscriber_gets_each_message_in_order(notifiers, store, deliverer):
    notifier = await notifiers()
    for host in "abc":
        await store.subscribe(f"http://{host}/")
    await store.post(b"1", b"2")
    await store.post(b"3")
    await turns()
    for host in "abc":
        assert deliverer.bodies(host) == [1, 2, 3]
    assert await store.is_settled()
    assert notifier.counters() == {("sent", "http"): 9}


async def test_what_was_posted_before_the_start_is_sent(notifiers, store, deliverer):
    await store.subscribe("http://a/")
    await store.post(b"1")
    await notifiers()
    assert deliverer.bodies() == [1]


async def test_a_failing_subscriber_is_tried_on_schedule_then_given_up(
    notifiers, store, deliverer, clock
):
    deliverer.behave = always(Retry("status 500"))
    notifier = await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", ttl=HOURS)
    await clock.advance(1000)
    assert deliverer.times == DEFAULT_TIMES
    assert [notification.attempt for notification in deliverer.sent] == list(
        range(1, 16)
    )
    assert len({notification.id for notification in deliverer.sent}) == 1
    assert await store.is_settled()
    assert notifier.counters() == {("retried", "http"): 14, ("failed", "http"): 1}


async def test_after_giving_up_a_message_the_next_one_is_sent(
    notifiers, store, deliverer, clock
):
    deliverer.behave = lambda notification: (
        Retry("no") if b"bad" in notification.payload else Delivered()
    )
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b'"bad"', b"2", ttl=HOURS)
    await store.post(b"3", ttl=HOURS)
    await clock.advance(1000)
    assert deliverer.bodies() == ["bad"] * 15 + [2, 3]
    assert deliverer.times[-2:] == [180, 180]


async def test_a_final_failure_is_not_tried_again(notifiers, store, deliverer, clock):
    deliverer.behave = always(Failed("status 404"))
    notifier = await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", b"2")
    await clock.advance(1000)
    assert deliverer.bodies() == [1, 2]
    assert notifier.counters() == {("failed", "http"): 2}


async def test_a_retry_that_waits_holds_no_slot(notifiers, store, deliverer, clock):
    deliverer.behave = lambda notification: (
        Retry("no") if "sick" in notification.subscription.subscriber else Delivered()
    )
    notifier = await notifiers(max_notifier_workers=2)
    free = notifier.slots.free
    for number in range(20):
        await store.subscribe(f"http://sick{number}/")
    await store.subscribe("http://well/")
    await store.post(b"1", ttl=HOURS)
    await clock.advance(3)
    assert notifier.slots.free == free
    await store.post(b"2", ttl=HOURS)
    await turns()
    assert deliverer.bodies("well") == [1, 2]


async def test_a_subscriber_may_ask_to_be_left_alone(
    notifiers, store, deliverer, clock
):
    answers = [Retry("status 429", 17.0), Delivered()]

    def answer(notification):
        return answers.pop(0)

    deliverer.behave = answer
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(100)
    assert deliverer.times == [0, 17]


@pytest.mark.parametrize(
    ("of_queue", "of_subscription", "times"),
    [
        (None, {"maximum_delay_retries": 0, "retries_with_no_delay": 0}, 12),
        ({"retries_with_no_delay": 0}, None, 12),
        ({"retries_with_no_delay": 1}, {"retries_with_no_delay": 0}, 12),
        (
            {"retries_with_no_delay": 1, "ignore_subscription_override": True},
            {"retries_with_no_delay": 0},
            13,
        ),
    ],
)
async def test_policies_of_queue_and_subscription_count(
    notifiers, store, deliverer, clock, of_queue, of_subscription, times
):
    async def metadata(project, source):
        return {"_retry_policy": of_queue}

    deliverer.behave = always(Retry("no"))
    await notifiers(metadata=metadata)
    options = {} if of_subscription is None else {"_retry_policy": of_subscription}
    await store.subscribe("http://a/", **options)
    await store.post(b"1", ttl=HOURS)
    await clock.advance(1000)
    no_delay = (of_subscription or {}).get("maximum_delay_retries") == 0
    assert len(deliverer.sent) == times - (3 if no_delay else 0)


async def test_a_policy_that_cannot_be_looked_up_is_the_default(
    notifiers, store, deliverer, clock
):
    async def metadata(project, source):
        raise Unavailable("the store is away")

    deliverer.behave = always(Retry("no"))
    await notifiers(metadata=metadata)
    await store.subscribe("http://a/")
    await store.post(b"1", ttl=HOURS)
    await clock.advance(1000)
    assert deliverer.times == DEFAULT_TIMES


async def test_kinds_without_policies_follow_the_default(
    notifiers, store, deliverer, clock
):
    deliverer.behave = always(Retry("no"))
    deliverer.follows_policy = False
    await notifiers(kinds=["mailto"])
    await store.subscribe(
        "mailto:a@x.example", _retry_policy={"retries_with_no_delay": 0}
    )
    await store.post(b"1", ttl=HOURS)
    await clock.advance(1000)
    assert deliverer.times == DEFAULT_TIMES


async def test_a_message_that_ended_meanwhile_is_dropped(
    notifiers, store, deliverer, clock
):
    deliverer.behave = lambda notification: (
        Retry("no") if notification.attempt < 5 else Delivered()
    )
    await store.subscribe("http://a/")
    await store.post(b"1", ttl=60)
    await clock.advance(60)
    notifier = await notifiers()
    assert deliverer.sent == []
    assert await store.is_settled()
    assert notifier.counters() == {("expired", "http"): 1}


async def test_no_retry_is_planned_after_the_messages_end(
    notifiers, store, deliverer, clock
):
    deliverer.behave = always(Retry("status 503", 3600.0))
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", b"2", ttl=60)
    await turns()
    assert deliverer.bodies() == [1, 2]
    assert await store.is_settled()


async def test_a_subscriber_that_is_gone_is_removed(notifiers, store, deliverer):
    deliverer.behave = always(Gone())
    notifier = await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", b"2")
    await turns()
    await store.post(b"3")
    await turns()
    assert deliverer.bodies() == [1]
    assert await store.subscribers() == []
    assert notifier.counters() == {("gone", "http"): 1}


async def test_only_matching_messages_are_sent(notifiers, store, deliverer):
    notifier = await notifiers()
    await store.subscribe("http://a/", filter={"/kind": {"equals": "x"}})
    await store.post(b'{"kind": "y"}', b'{"kind": "x"}', b"3")
    await turns()
    assert deliverer.bodies() == [{"kind": "x"}]
    assert notifier.counters() == {("sent", "http"): 1, ("filtered", "http"): 2}


async def test_a_stored_filter_that_is_wrong_sends_nothing(notifiers, store, deliverer):
    notifier = await notifiers()
    await store.subscribe("http://a/", filter="all")
    await store.post(b"1")
    await turns()
    assert deliverer.sent == []
    assert await store.is_settled()
    assert notifier.counters() == {("failed", "http"): 1}


async def test_messages_are_made_readable_and_stages_may_drop_them(
    notifiers, store, deliverer
):
    def readable(project, source, message):
        return None if message.body == b"secret" else b'"plain"'

    notifier = await notifiers(readable=readable)
    await store.subscribe("http://a/")
    await store.post(b"cipher", b"secret")
    await turns()
    assert deliverer.bodies() == ["plain"]
    assert notifier.counters() == {("sent", "http"): 1, ("filtered", "http"): 1}


async def test_a_message_that_cannot_be_read_is_tried_again(
    notifiers, store, deliverer, clock, caplog
):
    keys = []

    def readable(project, source, message):
        if not keys:
            raise LookupError("no key for s3cret")
        return b"1"

    await notifiers(readable=readable)
    await store.subscribe("http://a/")
    await store.post(b"cipher")
    await clock.advance(3)
    keys.append("key")
    await clock.advance(3)
    assert deliverer.bodies() == [1]
    assert "LookupError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_unconfirmed_subscribers_get_nothing_if_that_is_required(
    notifiers, store, deliverer
):
    await notifiers(require_confirmation=True)
    await store.subscribe("http://a/", confirmed=False)
    await store.subscribe("http://b/", confirmed=True)
    await store.post(b"1")
    await turns()
    assert deliverer.bodies("a") == []
    assert deliverer.bodies("b") == [1]


async def test_a_kind_that_is_not_installed_fails_for_good(notifiers, store):
    notifier = await notifiers()
    await store.subscribe("carrier-pigeon:home")
    await store.post(b"1")
    await turns()
    assert await store.is_settled()
    assert notifier.counters() == {("failed", "unknown"): 1}


async def test_a_deliverer_that_breaks_is_tried_again_and_stops_nobody(
    notifiers, store, deliverer, clock, caplog
):
    def behave(notification):
        if "sick" in notification.subscription.subscriber and notification.attempt < 3:
            raise RuntimeError("while sending s3cret")
        return Delivered()

    deliverer.behave = behave
    await notifiers()
    await store.subscribe("http://sick/")
    await store.subscribe("http://well/")
    await store.post(b"1")
    await turns()
    assert deliverer.bodies("well") == [1]
    assert deliverer.bodies("sick") == [1, 1, 1]
    assert "RuntimeError" in caplog.text
    assert "s3cret" not in caplog.text


async def test_logs_name_no_payload_and_no_address(notifiers, store, deliverer, caplog):
    caplog.set_level(logging.DEBUG)
    deliverer.behave = always(Failed("status 400"))
    await notifiers()
    subscription = await store.subscribe("http://user:s3cret@a/?token=s3cret")
    await store.post(b'"s3cret"')
    await turns()
    assert subscription.id in caplog.text
    assert "s3cret" not in caplog.text


# -- fairness ---------------------------------------------------------------


async def test_hanging_endpoints_do_not_hold_up_the_others(
    notifiers, store, deliverer, clock
):
    deliverer.behave = lambda notification: (
        hang() if "sick" in notification.subscription.subscriber else Delivered()
    )
    await notifiers(max_notifier_workers=4)
    for number in range(2):
        await store.subscribe(f"http://sick{number}/")
    await store.subscribe("http://well/")
    await store.post(b"1")
    await clock.advance(3)
    for number in range(2, 5):
        await store.post(str(number).encode())
        await turns()
    assert deliverer.bodies("well") == [1, 2, 3, 4]


async def test_one_endpoint_gets_no_more_than_its_share(
    notifiers, store, deliverer, clock
):
    free = asyncio.Event()

    async def slow(notification=None):
        await free.wait()
        return Delivered()

    deliverer.behave = lambda notification: (
        slow() if "slow" in notification.subscription.subscriber else Delivered()
    )
    await notifiers(max_notifier_workers=8, max_deliveries_per_endpoint=2)
    for number in range(30):
        await store.subscribe(f"http://slow/{number}")
    await store.subscribe("http://well/")
    await store.post(b"1", ttl=HOURS)
    await clock.advance(1.5)
    assert len(deliverer.bodies("slow")) == 2
    assert deliverer.bodies("well") == [1]
    free.set()
    await clock.advance(120)
    assert len(deliverer.bodies("slow")) == 30
    assert await store.is_settled()


async def test_endpoints_that_fail_get_half_of_the_slots_at_most(
    notifiers, store, deliverer, clock
):
    asked = 0

    async def fail_then_hang(notification):
        nonlocal asked
        if notification.attempt == 1:
            return Retry("no")
        asked += 1
        return await hang()

    deliverer.behave = fail_then_hang
    await notifiers(max_notifier_workers=4)
    for number in range(10):
        await store.subscribe(f"http://sick{number}/")
    await store.post(b"1")
    await turns()
    assert asked == 2


# -- the store, leases and ends ---------------------------------------------


async def test_a_store_that_is_away_is_asked_again(notifiers, store, deliverer, clock):
    store.away = True
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(60)
    assert deliverer.sent == []
    store.away = False
    await clock.advance(60)
    assert deliverer.bodies() == [1]


def fail_once(monkeypatch, store, kind):
    """Let the store fail with a defect at its next command of a kind."""
    do, broken = store.do, [True]

    async def failing(command):
        if broken and isinstance(command, kind):
            raise ZeroDivisionError(broken.pop())
        return await do(command)

    monkeypatch.setattr(store, "do", failing)


async def test_a_defect_of_the_store_does_not_end_the_deliveries(
    notifiers, store, deliverer, clock, monkeypatch, caplog
):
    fail_once(monkeypatch, store, DeliveryTake)
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(5)
    assert deliverer.bodies() == [1]
    assert "ZeroDivisionError" in caplog.text


async def test_a_defect_while_settling_leaves_the_delivery_to_its_lease(
    notifiers, store, deliverer, clock, monkeypatch, caplog
):
    fail_once(monkeypatch, store, DeliverySettle)
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(LEASE)
    assert deliverer.bodies() == [1, 1]
    assert await store.is_settled()
    assert "ZeroDivisionError" in caplog.text


async def test_what_was_sent_is_settled_once_the_store_is_back(
    notifiers, store, deliverer, clock
):
    def behave(notification):
        store.away = True
        return Delivered()

    deliverer.behave = behave
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(60)
    store.away = False
    deliverer.behave = always(Delivered())
    await clock.advance(60)
    assert deliverer.bodies() == [1]
    assert await store.is_settled()


async def test_the_lease_is_kept_while_sending_takes_long(
    notifiers, store, deliverer, clock
):
    free = asyncio.Event()

    async def slow(notification=None):
        await free.wait()
        return Delivered()

    deliverer.behave = slow
    await notifiers()
    await notifiers()  # a second server on the same store
    await store.subscribe("http://a/")
    await store.post(b"1")
    await clock.advance(10 * LEASE)
    assert deliverer.bodies() == [1]
    free.set()
    await turns()
    assert await store.is_settled()


async def test_a_lease_that_ran_out_while_the_server_stood_still_sends_once(
    notifiers, store, deliverer, clock
):
    free = asyncio.Event()

    async def slow(notification):
        await free.wait()
        return Delivered()

    deliverer.behave = slow
    notifier = await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", b"2")
    await turns()
    clock.time += 2 * LEASE  # nobody ran meanwhile
    notifier.wake()
    await turns()
    free.set()
    await turns()
    assert deliverer.bodies() == [1, 2]
    assert await store.is_settled()


async def test_who_lost_its_lease_sends_nothing_more(
    notifiers, store, deliverer, clock
):
    free = asyncio.Event()

    async def slow(notification):
        await free.wait()
        return Delivered()

    deliverer.behave = slow
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1", b"2")
    await turns()
    clock.time += 2 * LEASE  # nobody ran meanwhile, and another server took it
    await store.do(
        DeliveryTake(clock.now(), limit=1, lease=LEASE, confirmed_only=False)
    )
    free.set()
    await turns()
    assert deliverer.bodies() == [1]


async def test_what_is_taken_again_while_it_is_sent_is_not_sent_twice(
    notifiers, store, deliverer, clock
):
    """Its lease ended, as the store did not hear of it, and more has been posted."""
    free = asyncio.Event()

    async def wait(notification):
        await free.wait()
        return Delivered()

    deliverer.behave = wait
    await notifiers()
    await store.subscribe("http://a/")
    await store.post(b"1")
    await turns()
    store.away = True
    await clock.advance(LEASE + 1)
    store.away = False
    await store.post(b"2")
    await clock.advance(5)
    free.set()
    await clock.advance(1)
    assert deliverer.bodies() == [1, 2]
    assert await store.is_settled()


async def test_a_crash_between_sending_and_settling_sends_again(
    notifiers, store, deliverer, clock
):
    first = await notifiers()
    use(first, Crashed(store))
    await store.subscribe("http://a/")
    await store.post(b"1", b"2")
    await turns()
    assert deliverer.bodies() == [1, 2]
    await notifiers()
    assert deliverer.bodies() == [1, 2]  # still under its lease
    await clock.advance(LEASE)
    assert deliverer.bodies() == [1, 2, 1, 2]
    assert await store.is_settled()


def use(notifier, store):
    """Let a notifier have another store from now on."""
    notifier._storage = notifier._leases._storage = store


class Crashed:
    """The store as a process sees it that dies before it can settle."""

    def __init__(self, store):
        self._store = store
        self._dead = False

    async def do(self, command):
        self._dead = self._dead or isinstance(command, DeliverySettle)
        if self._dead and not isinstance(command, DeliveryDue):
            raise Unavailable("crashed")
        return await self._store.do(command)


async def test_a_store_that_does_not_hear_of_deliveries_holds_no_slots(
    notifiers, store, deliverer, clock
):
    class Deaf(Crashed):
        """Hears nothing of the first two deliveries, as a shard that stands still."""

        async def do(self, command):
            if (
                isinstance(command, DeliverySettle)
                and len(deaf | {command.key}) <= most
            ):
                deaf.add(command.key)
                raise Unavailable("it stands still")
            return await self._store.do(command)

    deaf, most = set(), 2
    notifier = await notifiers(max_notifier_workers=2)
    use(notifier, Deaf(store))
    for number in range(6):
        await store.subscribe(f"http://a{number}/")
    await store.post(b"1", ttl=HOURS)
    await turns()
    await clock.advance(0.2)
    assert len(deaf) == 2
    assert deliverer.bodies() == [1] * 6
    most = 0
    await clock.advance(5)
    assert deliverer.bodies() == [1] * 6
    assert await store.is_settled()


async def test_retries_go_on_after_a_restart_where_they_were(
    notifiers, store, deliverer, clock
):
    deliverer.behave = always(Retry("no"))
    await store.subscribe("http://a/")
    await store.post(b"1", ttl=HOURS)
    first = await notifiers()
    await clock.advance(12)
    await first.stop()
    await notifiers()
    await clock.advance(1000)
    assert deliverer.times == DEFAULT_TIMES
    assert [notification.attempt for notification in deliverer.sent] == list(
        range(1, 16)
    )


async def test_what_is_being_sent_may_end_when_the_notifier_stops(
    notifiers, store, deliverer
):
    free = asyncio.Event()

    async def slow(notification=None):
        await free.wait()
        return Delivered()

    deliverer.behave = slow
    notifier = await notifiers(drain_timeout=30.0)
    await store.subscribe("http://a/")
    await store.post(b"1")
    await turns()
    stopping = asyncio.create_task(notifier.stop())
    await turns()
    assert not stopping.done()
    free.set()
    await stopping
    assert await store.is_settled()


async def test_what_was_not_sent_when_the_notifier_stops_is_due_at_once(
    notifiers, store, deliverer
):
    deliverer.behave = hang
    notifier = await notifiers(max_deliveries_per_endpoint=1)
    for number in range(3):
        await store.subscribe(f"http://a/{number}")
    await store.post(b"1")
    await turns()
    assert len(deliverer.sent) == 1
    await notifier.stop()
    await notifier.stop()
    deliverer.behave = always(Delivered())
    await notifiers()
    assert len(deliverer.sent) == 4
    assert await store.is_settled()


async def test_more_than_fits_is_taken_bit_by_bit(notifiers, store, deliverer):
    await notifiers(max_notifier_workers=2)
    for number in range(300):
        await store.subscribe(f"http://h{number}/")
    await store.post(b"1")
    while not await store.is_settled():
        await turns()
    assert len(deliverer.sent) == 300


async def test_a_message_is_read_once_for_all_its_subscribers(
    notifiers, store, deliverer
):
    read = []

    def readable(project, source, message):
        read.append(message.id)
        return message.body

    await notifiers(readable=readable)
    for number in range(20):
        await store.subscribe(
            f"http://h{number}/", filter={"": {"at_least": number % 3}}
        )
    posted = await store.post(*(b"%d" % number for number in range(5)))
    await turns()
    assert read == posted
    assert deliverer.bodies("h2") == [2, 3, 4]


async def test_messages_that_nobody_wants_leave_the_loop_to_others(notifiers, store):
    gaps, over = [], asyncio.Event()

    async def beat():
        last = time.thread_time()
        while not over.is_set():
            await asyncio.sleep(0)
            last, before = time.thread_time(), last
            gaps.append(last - before)

    notifier = await notifiers()
    for number in range(20):
        await store.subscribe(f"http://h{number}/", filter={"/a": {"equals": number}})
    beating = asyncio.create_task(beat())
    await store.post(*[b"{}"] * 5000)
    async with asyncio.timeout(60):
        while not await store.is_settled():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
    over.set()
    await beating
    assert notifier.counters() == {("filtered", "http"): 100_000}
    # Of the processor, not of the clock: others may be using it as well.
    assert max(gaps) < sum(gaps) / 4


async def test_messages_that_cannot_be_sent_are_logged_once_a_delivery(
    notifiers, store, deliverer, caplog
):
    deliverer.behave = always(Failed("no such place"))
    await notifiers()
    await store.subscribe("http://a/")
    with caplog.at_level(logging.WARNING, "zaqarserver"):
        await store.post(*[b"1"] * 100)
        await turns()
    assert len(deliverer.sent) == 100
    assert len(caplog.records) == 1
