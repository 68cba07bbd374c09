"""Heat: stack resources on queues, and signals of servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from zaqarclient.queues.v2 import client as zaqarclient
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud, signed_conf
from zaqarclient.transport import errors as exceptions


@pytest.fixture(params=["session", "token"])
def client(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[Client]:
    """The client of Heat's plugin, in its two forms."""
    if request.param == "session":
        client = zaqarclient.Client(version=2, session=cloud.session)
    else:
        conf = cloud.conf(os_service_type="messaging")
        client = zaqarclient.Client(url=cloud.url, conf=conf, version=2)
    yield client
    client.close()


def test_heat_makes_a_queue_with_metadata(client: Client) -> None:
    """The queue does not exist yet; acceptance 5."""
    queue = client.queue("stack-queue", auto_create=False)
    queue.metadata(new_meta={"owner": "heat", "nested": {"a/b": [1]}})
    assert queue.is_created()
    assert client.queue("stack-queue").metadata()["owner"] == "heat"


def test_heat_replaces_and_clears_the_metadata_of_a_queue(client: Client) -> None:
    queue = client.queue("stack-queue", auto_create=False)
    queue.metadata(new_meta={"owner": "heat", "old": 1})
    queue.metadata(new_meta={"owner": "alice"})
    shown = client.queue("stack-queue", auto_create=False).metadata()
    assert shown["owner"] == "alice"
    assert "old" not in shown
    queue.metadata(new_meta={})
    assert "owner" not in client.queue("stack-queue", auto_create=False).metadata()


def test_heat_deletes_a_queue_twice(client: Client) -> None:
    queue = client.queue("stack-queue")
    queue.metadata(new_meta={"owner": "heat"})
    queue.delete()
    queue.delete()
    assert not queue.is_created()


def test_heat_shows_the_address_of_a_queue(client: Client, cloud: Cloud) -> None:
    """``api_url`` is known also when the client has only a session."""
    href = f"{client.api_url.rstrip('/')}/v{client.api_version}/queues/q"
    assert href == f"{cloud.url}/v2/queues/q"


def test_heat_reads_the_options_that_it_gave(cloud: Cloud) -> None:
    conf = cloud.conf(os_service_type="messaging")
    with zaqarclient.Client(url=cloud.url, conf=conf, version=2) as client:
        assert client.conf["auth_opts"]["options"]["os_auth_token"] == cloud.token


def test_heat_signals_through_a_queue(client: Client) -> None:
    queue = client.queue("signals")
    queue.post({"body": {"deploy_status_code": 0}, "ttl": 3600})
    queue.post({"body": {"deploy_status_code": 1}, "ttl": 3600})
    assert [message.body for message in list(queue.pop())] == [
        {"deploy_status_code": 0}
    ]
    assert [m.body["deploy_status_code"] for m in list(queue.pop())] == [1]
    assert list(queue.pop()) == []


def test_heat_signs_a_queue_that_a_server_uses(client: Client, cloud: Cloud) -> None:
    """Heat pops the project and gives the rest as options of ``signed-url``."""
    client.queue("signals").post({"body": {"hello": "server"}, "ttl": 60})
    signed = client.queue("signals").signed_url(["messages"], methods=["GET", "DELETE"])
    assert set(signed) >= {"paths", "methods", "project", "expires", "signature"}
    assert signed["project"] == cloud.project_id
    conf = signed_conf(signed)
    with zaqarclient.Client(url=cloud.url, conf=conf, version=2) as server:
        assert [one.body for one in server.queue("signals").messages(echo=True)] == [
            {"hello": "server"}
        ]
        assert next(server.queue("signals").pop()).body == {"hello": "server"}


def test_heat_has_four_keywords_left_after_it_took_the_project(client: Client) -> None:
    """``project`` is popped; the rest are keywords of a function."""

    def deployment(*, paths: Any, methods: Any, expires: Any, signature: Any) -> str:
        assert paths
        assert methods
        assert expires
        return str(signature)

    signed = client.queue("signals").signed_url(["messages"], methods=["GET", "DELETE"])
    assert signed.pop("project")
    assert len(deployment(**signed)) == 64


@pytest.mark.parametrize(
    ("given", "paths", "methods"),
    [
        ({}, ["messages"], ["GET"]),
        ({"paths": ["claims"], "methods": ["POST"]}, ["claims"], ["POST"]),
        ({"ttl_seconds": 60}, ["messages"], ["GET"]),
    ],
)
def test_heat_signed_url_resource_leaves_out_what_is_none(
    client: Client, given: dict[str, Any], paths: list[str], methods: list[str]
) -> None:
    nothing = {"paths": None, "methods": None, "ttl_seconds": None}
    signed = client.queue("q").signed_url(**{**nothing, **given})
    assert signed["paths"] == [f"/v2/queues/q/{path}" for path in paths]
    assert signed["methods"] == methods


def test_heat_subscription_is_created_updated_and_deleted(client: Client) -> None:
    """``vars()`` of a subscription has its members; acceptance 4."""
    made = client.subscription(
        "alarms",
        subscriber="http://example.org/hook",
        ttl=3600,
        options={"subject": "a"},
    )
    assert made.id
    assert vars(made)["confirmed"] in {True, False}
    found = client.subscription("alarms", id=made.id, auto_create=False)
    found.update(
        {"subscriber": "http://example.org/new", "ttl": 600, "options": {"from": "b"}}
    )
    live = vars(client.subscription("alarms", id=made.id))
    assert live["subscriber"] == "http://example.org/new"
    assert (live["ttl"], live["options"]) == (600, {"from": "b"})
    assert {"client", "id", "queue_name", "age", "confirmed"} <= set(live)
    found.delete()
    found.delete()
    with pytest.raises(exceptions.ResourceNotFound):
        client.subscription("alarms", id=made.id)


def test_heat_subscription_defaults_are_there_before_anything_is_read(
    client: Client,
) -> None:
    stale = client.subscription("alarms", id="0" * 24, auto_create=False)
    assert (stale.subscriber, stale.ttl, stale.options) == (None, 60, {})


def test_heat_tells_a_missing_resource_by_the_exact_class(client: Client) -> None:
    """Acceptance 3."""
    with pytest.raises(exceptions.ResourceNotFound) as caught:
        client.queue("q").message("5f3b1c2d4e5f60718293a4b5")
    assert type(caught.value) in exceptions.__dict__.values()
    assert isinstance(exceptions.ResourceNotFound(), exceptions.TransportError)
