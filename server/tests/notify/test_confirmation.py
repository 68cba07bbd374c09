"""Confirmation requests (``notifications`` section 7)."""

from __future__ import annotations

import hashlib
import hmac
import json

import msgspec
import pytest
from zaqarserver.notify.confirmation import MAX_PENDING, Confirmations
from zaqarserver.notify.deliverer import Delivered, Failed, Gone, Retry
from zaqarserver.notify.dispatch import Dispatcher
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.slots import Slots

from .doubles import NOW, FakeClock, Obedient, always, subscription_of, turns

pytestmark = pytest.mark.anyio


def sign(paths, methods, project, expires):
    text = "\\n".join([",".join(paths), ",".join(methods), project, expires])
    return hmac.new(b"s3cr3t-key", text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def deliverer(clock):
    return Obedient(clock)


@pytest.fixture
async def make(clock, deliverer):
    """Make confirmations that are sent by the deliverer."""
    slots = []

    def make(sign=sign, **settings):
        slots.append(Slots(4, 2, clock, lambda: None))
        settings = {
            "require_confirmation": True,
            "public_url": "http://api.example:8888",
            **settings,
        }
        return Confirmations(
            NotifySettings(**settings),
            sign,
            dispatcher=Dispatcher({"http": deliverer}),
            slots=slots[0],
            clock=clock,
        )

    yield make
    for one in slots:
        await one.close(0)


async def test_a_new_subscriber_is_asked(make, deliverer):
    subscription = subscription_of("http://a/", confirmed=False)
    make().subscribed(subscription)
    await turns()
    (notification,) = deliverer.sent
    found = json.loads(notification.payload)
    assert found == notification.confirmation
    path = f"/v2/queues/orders/subscriptions/{subscription.id}/confirm"
    assert found["Message_Type"] == "SubscriptionConfirmation"
    assert found["URL-Paths"] == path
    assert found["URL-Methods"] == "PUT"
    assert found["URL-Expires"] == "1970-01-12T14:46:40"  # NOW and the ttl
    assert found["X-Project-ID"] == "4f2a"
    assert found["WSGISubscribeURL"] == f"http://api.example:8888{path}"
    assert found["URL-Signature"] == sign([path], ["PUT"], "4f2a", found["URL-Expires"])


async def test_who_left_is_told_how_to_come_back(make, deliverer):
    make().unsubscribed(subscription_of("http://a/", confirmed=False), 7200)
    await turns()
    (notification,) = deliverer.sent
    assert notification.confirmation["Message_Type"] == "UnsubscribeConfirmation"
    assert notification.confirmation["URL-Expires"] == "1970-01-12T15:46:40"


async def test_who_agreed_is_not_asked_again(make, deliverer):
    make().subscribed(subscription_of("http://a/", confirmed=True))
    await turns()
    assert deliverer.sent == []


async def test_nobody_is_asked_unless_confirmation_is_required(make, deliverer):
    confirmations = make(require_confirmation=False)
    confirmations.subscribed(subscription_of("http://a/", confirmed=False))
    confirmations.unsubscribed(subscription_of("http://b/", confirmed=False), 60)
    await turns()
    assert deliverer.sent == []


async def test_without_a_key_nobody_can_be_asked(make, deliverer, caplog):
    make(sign=None).subscribed(subscription_of("http://a/", confirmed=False))
    await turns()
    assert deliverer.sent == []
    assert "secret_key is not set" in caplog.text


async def test_a_request_is_tried_again_on_the_default_schedule(
    make, deliverer, clock, caplog
):
    deliverer.behave = always(Retry("status 500"))
    make().subscribed(subscription_of("http://a/", confirmed=False))
    await clock.advance(1000)
    assert deliverer.times == [0, 0, 0, 0, 5, 10, 15, 20, 30, 45, 65, 90, 120, 150, 180]
    assert len({notification.id for notification in deliverer.sent}) == 1
    assert [notification.attempt for notification in deliverer.sent] == list(
        range(1, 16)
    )
    assert ": status 500" in caplog.text
    assert deliverer.sent[0].confirmation["URL-Signature"] not in caplog.text


async def test_a_request_that_got_through_is_not_repeated(make, deliverer, clock):
    answers = [Retry("no", 17.0), Delivered()]

    def answer(notification):
        return answers.pop(0)

    deliverer.behave = answer
    make().subscribed(subscription_of("http://a/", confirmed=False))
    await clock.advance(1000)
    assert deliverer.times == [0, 17]


@pytest.mark.parametrize("outcome", [Failed("status 404"), Gone()])
async def test_a_final_failure_ends_the_request(make, deliverer, clock, outcome):
    deliverer.behave = always(outcome)
    make().subscribed(subscription_of("http://a/", confirmed=False))
    await clock.advance(1000)
    assert len(deliverer.sent) == 1


async def test_no_attempt_is_planned_after_the_signature_ends(make, deliverer, clock):
    deliverer.behave = always(Retry("no", 100.0))
    subscription = subscription_of("http://a/", confirmed=False)
    make().subscribed(msgspec.structs.replace(subscription, ttl=60))
    await clock.advance(1000)
    assert deliverer.times == [0]


async def test_a_newer_request_replaces_the_one_that_waits(make, deliverer, clock):
    deliverer.behave = always(Retry("no", 50.0))
    confirmations = make()
    subscription = subscription_of("http://a/", confirmed=False)
    confirmations.subscribed(subscription)
    await clock.advance(10)
    deliverer.behave = always(Delivered())
    confirmations.subscribed(subscription)
    await clock.advance(1000)
    assert deliverer.times == [0, 10]
    assert deliverer.sent[0].id != deliverer.sent[1].id


async def test_closing_forgets_what_waits(make, deliverer, clock):
    deliverer.behave = always(Retry("no", 50.0))
    confirmations = make()
    confirmations.subscribed(subscription_of("http://a/", confirmed=False))
    await clock.advance(10)
    confirmations.close()
    await clock.advance(1000)
    assert deliverer.times == [0]


async def test_requests_to_one_endpoint_wait_for_their_turn(make, deliverer, clock):
    confirmations = make()
    for number in range(40):
        confirmations.subscribed(subscription_of(f"http://a/{number}", confirmed=False))
    await clock.advance(60)
    assert len({notification.subscription.id for notification in deliverer.sent}) == 40


async def test_what_waits_is_bounded(make, deliverer, clock, caplog):
    deliverer.behave = always(Retry("no", 50.0))
    confirmations = make()
    for number in range(MAX_PENDING + 1):
        confirmations.subscribed(subscription_of(f"http://h{number}/", confirmed=False))
    assert "too many are pending" in caplog.text
    assert clock.now() == NOW
    confirmations.close()
