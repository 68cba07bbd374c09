"""zaqar-ui: the panels of queues, subscriptions, pools and flavors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zaqarclient.queues import client as zaqarclient
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud


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


@pytest.fixture
def admin(operator: tuple[str, dict[str, Any]]) -> Iterator[Client]:
    """The client of an administrator's panels, without a pool when it begins."""
    url, conf = operator
    client = zaqarclient.Client(url=url, version=2, conf=conf)
    yield client
    for found in (*client.flavors(), *client.pools()):
        found.delete()
    client.close()


def test_zaqar_ui_manages_pools(admin: Client, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/main.db"
    admin.pool("main", uri=uri, weight=10, options={})
    (pool,) = admin.pools(limit=None, marker=None, detailed=True)
    assert (pool.name, pool.uri, pool.weight) == ("main", uri, 10)
    assert pool.options == {}
    assert pool.group is None
    found = admin.pool("main", auto_create=False)
    found.update({"weight": 20})
    shown = found.get()
    shown["id"] = shown["name"]
    assert shown["weight"] == 20
    found.delete()
    assert list(admin.pools()) == []


def test_zaqar_ui_manages_flavors(admin: Client, tmp_path: Path) -> None:
    admin.pool("main", uri=f"sqlite:///{tmp_path}/main.db", weight=10)
    admin.flavor("fast", pool_list=["main"], pool_group="old")
    (flavor,) = admin.flavors(limit=None, marker=None, detailed=True)
    assert flavor.name == "fast"
    assert flavor.capabilities
    assert flavor.pool_group is None
    found = admin.flavor("fast", auto_create=False)
    found.update({"pool_list": ["main"]})
    shown = found.get()
    shown["id"] = shown["name"]
    assert shown["pool_list"] == ["main"]
    found.delete()
    assert list(admin.flavors()) == []
