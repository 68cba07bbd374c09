"""zaqar-ui: the panels of queues, subscriptions, pools and flavors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zaqarclient.queues import client as zaqarclient
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud
from zaqarclient.tests.http_stub import Answer, HttpStub


@pytest.fixture
def client(cloud: Cloud) -> Iterator[Client]:
    """The client of the panels."""
    conf = cloud.conf(os_service_type="messaging")
    client = zaqarclient.Client(url=cloud.url, version=2, conf=conf)
    yield client
    client.close()


def test_zaqar_ui_lists_queues_as_a_pair(client: Client) -> None:
    for name in ("a", "b"):
        client.queue(name, force_create=True)
    queues, count = client.queues(limit=None, marker=None)
    assert [queue._name for queue in queues] == ["a", "b"]
    assert count is None


def test_zaqar_ui_shows_counters_and_metadata_of_a_queue(client: Client) -> None:
    queue = client.queue("a", force_create=True)
    queue.metadata(new_meta={"team": "x"})
    assert queue._metadata["team"] == "x"
    assert queue.metadata()["team"] == "x"
    queue.post({"body": 1})
    counts = queue.stats["messages"]
    assert (counts["free"], counts["claimed"], counts["total"]) == (1, 0, 1)


def test_zaqar_ui_updates_purges_and_deletes_a_queue(client: Client) -> None:
    client.queue("a", force_create=True)
    queue = client.queue("a", auto_create=False)
    queue.metadata(new_meta={"_default_message_ttl": 60})
    queue.post([{"body": 1, "ttl": 60}, {"body": {"k": "v"}, "ttl": 60}])
    queue.purge(resource_types=["messages"])
    assert queue.stats["messages"]["total"] == 0
    queue.purge(resource_types=["subscriptions"])
    queue.delete()
    assert not queue.is_created()


def test_zaqar_ui_lists_what_it_shows_of_messages(client: Client) -> None:
    queue = client.queue("a")
    queue.post({"body": {"k": "v"}, "ttl": 60})
    with zaqarclient.Client(
        url=client.api_url, version=2, conf=client.conf
    ) as somebody_else:
        (shown,) = somebody_else.queue("a").messages()
        assert shown.body == {"k": "v"}
        assert shown.id == shown.href.rpartition("/")[2]
        assert (shown.ttl, shown.claim_id) == (60, None)
        assert shown.age >= 0


def test_zaqar_ui_signs_a_url(client: Client) -> None:
    signed = client.queue("a").signed_url(
        paths=["messages", "claims"], ttl_seconds=3600, methods=["GET", "POST"]
    )
    assert signed["methods"] == ["GET", "POST"]
    assert len(signed["signature"]) == 64


def test_zaqar_ui_manages_subscriptions(client: Client) -> None:
    data = {"subscriber": "http://example.org/hook", "ttl": 3600, "options": {}}
    made = client.subscription("a", **data)
    (listed,) = client.subscriptions("a")
    assert (listed.id, listed.subscriber, listed.ttl) == (
        made.id,
        "http://example.org/hook",
        3600,
    )
    assert listed.age >= 0
    assert listed.options == {}
    assert listed.confirmed in {True, False}
    found = client.subscription("a", id=made.id, auto_create=False)
    found.update({"ttl": 600})
    assert client.subscription("a", id=made.id).ttl == 600
    found.delete()
    assert list(client.subscriptions("a")) == []


POOL = {"name": "main", "uri": "sqlite:///x", "weight": 10, "href": "/v2/pools/main"}
FLAVOR = {"name": "fast", "pool_list": ["main"], "href": "/v2/flavors/fast"}


def test_zaqar_ui_manages_pools(stub: HttpStub, cloud: Cloud) -> None:
    """Answers are played: not every service has pools."""
    with zaqarclient.Client(url=stub.url, version=2, conf=cloud.conf()) as client:
        stub.answers = [Answer(200, {"pools": [{**POOL, "options": {}}], "links": []})]
        (pool,) = client.pools(limit=None, marker=None, detailed=True)
        assert (pool.name, pool.uri, pool.weight, pool.options) == (
            "main",
            "sqlite:///x",
            10,
            {},
        )
        assert pool.group is None
        client.pool("main", uri="sqlite:///x", weight=10, options={})
        assert stub.last.method == "PUT"
        found = client.pool("main", auto_create=False)
        found.update({"weight": 20})
        stub.answers = [Answer(200, dict(POOL))]
        shown = found.get()
        shown["id"] = shown["name"]
        found.delete()
        assert stub.last.method == "DELETE"


def test_zaqar_ui_manages_flavors(stub: HttpStub, cloud: Cloud) -> None:
    """Answers are played: not every service has flavors."""
    with zaqarclient.Client(url=stub.url, version=2, conf=cloud.conf()) as client:
        listed = {**FLAVOR, "capabilities": ["FIFO"]}
        stub.answers = [Answer(200, {"flavors": [listed], "links": []})]
        (flavor,) = client.flavors(limit=None, marker=None, detailed=True)
        assert (flavor.name, flavor.capabilities) == ("fast", ["FIFO"])
        assert flavor.pool_group is None
        client.flavor("fast", pool_list=["main"], pool_group="old")
        assert stub.last.body == {"pool_list": ["main"]}
        found = client.flavor("fast", auto_create=False)
        found.update({"pool_list": ["main"]})
        stub.answers = [Answer(200, dict(FLAVOR))]
        shown = found.get()
        shown["id"] = shown["name"]
        found.delete()
        assert stub.last.method == "DELETE"
