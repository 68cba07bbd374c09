"""Sample programs, Manila, nabu, and programs with clients of their own."""

from __future__ import annotations

import json
import uuid

import openstack
import pytest
import requests
from openstack.message.v2.claim import Claim

from zaqarclient.queues import client as factory
from zaqarclient.queues.v1 import client as v1_client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.functional.consumers.cloud import Cloud, signed_conf


def test_zaqar_samples_give_the_client_id_among_the_options(cloud: Cloud) -> None:
    client_id = uuid.uuid4().hex
    options = {**cloud.options, "client_uuid": client_id}
    conf = {"auth_opts": {"options": options}}
    with v2_client.Client(cloud.url, conf=conf) as client:
        assert client.client_uuid == client_id
        queue = client.queue("sample")
        queue.post([{"body": {"n": 1}}])
        claim = queue.claim(ttl=600, grace=600)
        assert [message.body for message in claim] == [{"n": 1}]
        # One's own messages are not listed: the id was sent.
        claim.delete()
        assert list(queue.messages()) == []


@pytest.mark.filterwarnings("ignore:version 1 of the queues:DeprecationWarning")
def test_manila_asks_for_version_one_point_one(cloud: Cloud) -> None:
    conf = cloud.conf(
        os_region_name=None,
        os_service_type="messaging",
        os_endpoint_type="publicURL",
        insecure=True,
    )
    client = factory.Client(url=cloud.url, version=1.1, conf=conf)
    client.any_attribute = "of its own"
    with client:
        client.queue("manila_notification").post({"body": {"share": 1}, "ttl": 60})
        queue = client.queue("manila_notification")
        assert [message.body for message in queue.pop()] == [{"share": 1}]
    assert client.any_attribute == "of its own"


@pytest.mark.filterwarnings("ignore:version 1 of the queues:DeprecationWarning")
def test_poppy_and_other_old_programs_import_version_one(cloud: Cloud) -> None:
    client = v1_client.Client(cloud.url, version=1, conf=cloud.conf())
    with client:
        queue = client.queue("purges", auto_create=True)
        queue.post([{"body": {"path": "/a"}, "ttl": 60}])
        claim = queue.claim(ttl=60, grace=60)
        for message in claim:
            assert message.body == {"path": "/a"}
            message.delete()
        # In version 1 the queues were no pair.
        assert [one.name for one in client.queues()] == ["purges"]


def test_nabu_signs_with_version_two_point_zero(cloud: Cloud) -> None:
    client = v2_client.Client(url=cloud.url, conf=cloud.conf(), version=2.0)
    with client:
        signed = client.queue("nabu").signed_url(["messages"], methods=["POST"])
        assert f"v{client.api_version}" == "v2"
    conf = signed_conf(signed)
    with v2_client.Client(url=cloud.url, conf=conf, version=2.0) as guest:
        assert guest.queue("nabu").post({"body": 1})["resources"]


def test_zaqar_tempest_plugin_sends_a_client_id_without_dashes(cloud: Cloud) -> None:
    headers = {
        "Client-ID": uuid.uuid4().hex,
        "X-Project-Id": cloud.project_id,
        "X-Auth-Token": cloud.token,
    }
    queue = f"{cloud.url}/v2/queues/tempest"
    with requests.Session() as session:
        session.headers.update(headers)
        assert session.put(queue, timeout=10).status_code == 201
        body = json.dumps({"messages": [{"body": "x", "ttl": 60}]})
        assert session.post(f"{queue}/messages", body, timeout=10).status_code == 201
        assert session.get(f"{queue}/stats", timeout=10).status_code == 200


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:openstack")
def test_senlin_receives_through_the_message_proxy_of_openstacksdk(
    cloud: Cloud,
) -> None:
    connection = openstack.connection.Connection(
        session=cloud.session, message_endpoint_override=cloud.url
    )
    proxy = connection.message
    try:
        proxy.create_queue(name="senlin-receiver")
        assert proxy.get_queue("senlin-receiver").name == "senlin-receiver"
        subscription = proxy.create_subscription(
            "senlin-receiver", subscriber="http://example.org/hook", ttl=3600
        )
        assert subscription.subscription_id
        proxy.post_message("senlin-receiver", [{"body": {"cluster": "c"}, "ttl": 60}])
        # As the proxy does, but with where the answer is.
        claim = Claim(queue_name="senlin-receiver", ttl=60, grace=60).create(proxy)
        (message,) = proxy.get_claim("senlin-receiver", claim.id).messages
        assert message["body"] == {"cluster": "c"}
        proxy.delete_message("senlin-receiver", message["id"], claim=claim.id)
        proxy.delete_queue("senlin-receiver")
    finally:
        connection.close()
