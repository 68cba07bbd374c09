"""Subscriptions, pools and flavors."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.names import UnknownNameWarning
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport import errors

PATH = "/v2/queues/orders/subscriptions"
KNOWN: dict[str, Any] = {
    "id": "s31",
    "source": "orders",
    "subscriber": "https://hooks.example/in",
    "ttl": 3600,
    "age": 12,
    "options": {"a": 1},
    "confirmed": False,
}


def test_subscribing_posts_and_then_reads_the_subscription(
    client: Client, stub: HttpStub
) -> None:
    stub.answers = [Answer(201, {"subscription_id": "s31"}), Answer(200, KNOWN)]
    made = client.subscription("orders", subscriber=KNOWN["subscriber"], ttl=600)
    assert stub.calls() == [("POST", PATH), ("GET", f"{PATH}/s31")]
    assert stub.seen[0].body == {
        "subscriber": KNOWN["subscriber"],
        "ttl": 600,
        "options": {},
    }
    assert stub.seen[1].content == b""
    assert vars(made) == {
        "client": client,
        "id": "s31",
        "queue_name": "orders",
        "subscriber": KNOWN["subscriber"],
        "ttl": 3600,
        "options": {"a": 1},
        "age": 12,
        "confirmed": False,
    }


def test_an_existing_subscription_is_changed_and_ended_unread(
    client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(204)
    ignored: Any = {"colour": "red", "source": "orders"}
    with pytest.warns(UnknownNameWarning, match="ignores the argument 'colour'"):
        known = client.subscription("orders", id="s31", auto_create=False, **ignored)
    assert (known.subscriber, known.ttl) == (None, 60)
    known.update({"ttl": 900, "options": {}})
    assert (known.ttl, known.options) == (900, {})
    known.delete()
    assert stub.calls() == [("PATCH", f"{PATH}/s31"), ("DELETE", f"{PATH}/s31")]


def test_a_subscription_without_id_and_subscriber_sends_nothing(
    client: Client, stub: HttpStub
) -> None:
    assert client.subscription("orders").id is None
    with pytest.raises(ValueError, match="subscription_id"):
        client.subscription("orders").delete()
    assert stub.seen == []


def test_a_confirmed_duplicate_is_a_conflict(client: Client, stub: HttpStub) -> None:
    stub.default = Answer(409)
    with pytest.raises(errors.ConflictError):
        client.subscription("orders", subscriber="mailto:a@example.org")
    assert len(stub.seen) == 1


def test_subscriptions_are_listed_from_client_and_queue(
    client: Client, queue: Any, stub: HttpStub
) -> None:
    document = {"subscriptions": [KNOWN], "links": []}
    stub.default = Answer(200, document)
    (listed,) = client.subscriptions("orders", limit=5)
    assert (listed.id, listed.queue_name, listed.age) == ("s31", "orders", 12)
    assert KNOWN["source"] == "orders"
    (again,) = queue.subscriptions()
    assert stub.last.query == {"detailed": ["False"], "limit": ["20"]}
    assert repr(again) == "<Subscription id:s31 subscriber:https://hooks.example/in>"


def test_a_pool_is_drained_and_deleted_with_its_queues(
    client: Client, stub: HttpStub
) -> None:
    pool = client.pool("ssd", auto_create=False)
    state = {"queues": 2, "moved": 5, "running": True, "error": None}
    stub.default = Answer(200, state)
    assert pool.drain(wait=20) == state
    assert stub.calls() == [("POST", "/v2/pools/ssd/drain")]
    assert (stub.last.query, stub.last.content) == ({"wait": ["20"]}, b"")
    pool.drain()
    assert stub.last.query == {}
    stub.default = Answer(204)
    pool.delete(force=True)
    assert (stub.last.method, stub.last.query) == ("DELETE", {"force": ["True"]})


def test_a_pool_is_put_changed_read_and_deleted(client: Client, stub: HttpStub) -> None:
    stub.default = Answer(201)
    pool = client.pool("ssd", uri="redis://db", weight=5, flavor="fast", group="old")
    assert stub.last.body == {
        "uri": "redis://db",
        "weight": 5,
        "options": {},
        "flavor": "fast",
    }
    assert pool.group is None
    stub.default = Answer(200, {"name": "ssd", "weight": 9})
    pool.update({"weight": 9})
    assert (stub.last.body, pool.weight) == ({"weight": 9}, 9)
    document = pool.get()
    document["colour"] = "red"
    stub.default = Answer(204)
    pool.delete()
    assert [seen.method for seen in stub.seen] == ["PUT", "PATCH", "GET", "DELETE"]
    assert repr(pool) == "<Pool ssd>"


def test_a_flavor_is_put_changed_read_and_deleted(
    client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(201)
    flavor = client.flavor("fast", pool_list=["ssd"], capabilities={"FIFO": True})
    assert stub.last.body == {"pool_list": ["ssd"]}
    assert flavor.pool_group is None
    stub.default = Answer(200, {"name": "fast", "pool_list": ["hdd"]})
    flavor.update({"pool_list": ["hdd"]})
    assert flavor.pool_list == ["hdd"]
    assert flavor.get()["name"] == "fast"
    stub.default = Answer(204)
    flavor.delete()
    assert [seen.method for seen in stub.seen] == ["PUT", "PATCH", "GET", "DELETE"]
    assert repr(flavor) == "<Flavor fast>"


def test_pools_and_flavors_are_listed_without_creating_them(
    client: Client, stub: HttpStub
) -> None:
    pool = {"name": "ssd", "href": "/v2/pools/ssd", "uri": "redis://db", "weight": 8}
    stub.answers = [Answer(200, {"pools": [{**pool, "flavor": None}], "links": []})]
    (listed,) = client.pools(limit=1, marker="a", detailed=True)
    assert (listed.name, listed.weight, listed.options) == ("ssd", 8, {})
    flavor = {"name": "fast", "href": "/v2/flavors/fast", "pool_list": ["ssd"]}
    stub.answers = [Answer(200, {"flavors": [flavor], "links": []})]
    (found,) = client.flavors()
    assert (found.name, found.pool_list, found.capabilities) == ("fast", ["ssd"], {})
    client.pool("ssd", auto_create=False)
    client.flavor("fast", auto_create=False)
    assert [seen.method for seen in stub.seen] == ["GET", "GET"]
