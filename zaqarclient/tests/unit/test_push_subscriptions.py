"""Subscriptions of a connection to itself: remembered, renewed, made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from zaqarclient.transport import errors
from zaqarclient.transport.ws_subscriptions import PushSubscriptions


class Service:
    """Gives subscriptions ``s1``, ``s2``, ...; and a clock that tests turn."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, errors.TransportError] = {}
        self.given = 0
        self.now = 1000.0

    def ask(self, action: str, body: Mapping[str, Any] | None) -> Any:
        self.asked.append((action, dict(body or {})))
        if action in self.failures:
            raise self.failures[action]
        self.given += action == "subscription_create"
        return {"subscription_id": f"s{self.given}"}

    @property
    def actions(self) -> list[str]:
        return [action for action, _ in self.asked]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def pushes(service: Service) -> PushSubscriptions:
    return PushSubscriptions(service.ask, lambda: service.now)


def subscribed(pushes: PushSubscriptions, identity: str = "s0", **body: Any) -> None:
    answer = {"subscription_id": identity}
    pushes.record("subscription_create", {"queue_name": "q", **body}, answer)


def test_only_subscriptions_of_the_connection_itself_are_remembered(
    pushes: PushSubscriptions,
) -> None:
    subscribed(pushes, subscriber="https://hooks.example/in")
    pushes.record("message_post", {"queue_name": "q"}, {"message_ids": []})
    assert not pushes
    assert pushes.due() == math.inf
    subscribed(pushes)
    assert pushes


def test_a_subscription_that_is_removed_is_forgotten(pushes: PushSubscriptions) -> None:
    subscribed(pushes)
    gone = {"queue_name": "q", "subscription_id": "s0"}
    pushes.record("subscription_delete", gone, None)
    assert not pushes


def test_on_a_new_connection_all_are_made_again_as_they_were(
    pushes: PushSubscriptions, service: Service
) -> None:
    subscribed(pushes, "a", queue_name="one", ttl=90)
    subscribed(pushes, "b", queue_name="two", options={"x": 1})
    pushes.restore()
    assert service.asked == [
        ("subscription_create", {"queue_name": "one", "ttl": 90}),
        ("subscription_create", {"queue_name": "two", "options": {"x": 1}}),
    ]
    pushes.record("subscription_delete", {"subscription_id": "a"}, None)
    assert pushes, "the old ids mean nothing now"
    for identity in ("s1", "s2"):
        pushes.record("subscription_delete", {"subscription_id": identity}, None)
    assert not pushes


def test_a_subscription_is_renewed_after_two_thirds_of_its_ttl(
    pushes: PushSubscriptions, service: Service
) -> None:
    subscribed(pushes, "a", ttl=90)
    subscribed(pushes, "b")
    assert pushes.due() - service.now == pytest.approx(60)
    service.now += 59
    pushes.renew()
    assert service.asked == []
    service.now += 1
    assert pushes.due() - service.now == pytest.approx(0)
    pushes.renew()
    renewed = {"queue_name": "q", "subscription_id": "a", "ttl": 90}
    assert service.asked == [("subscription_update", renewed)]
    assert pushes.due() - service.now == pytest.approx(60)


@pytest.mark.parametrize(
    "failure", [errors.MalformedRequest(), errors.ResourceNotFound()]
)
def test_what_cannot_be_renewed_is_made_anew(
    pushes: PushSubscriptions, service: Service, failure: errors.TransportError
) -> None:
    service.failures["subscription_update"] = failure
    subscribed(pushes, "a", ttl=60)
    service.now += 40
    pushes.renew()
    assert service.actions == [
        "subscription_update",
        "subscription_delete",
        "subscription_create",
    ]
    assert service.asked[-1][1] == {"queue_name": "q", "ttl": 60}
    assert pushes.due() - service.now == pytest.approx(40)


def test_a_renewal_that_nobody_answered_is_tried_again(
    pushes: PushSubscriptions, service: Service
) -> None:
    service.failures["subscription_update"] = errors.ConnectionFailed()
    subscribed(pushes, "a", ttl=60)
    service.now += 40
    with pytest.raises(errors.ConnectionFailed):
        pushes.renew()
    assert pushes.due() <= service.now
