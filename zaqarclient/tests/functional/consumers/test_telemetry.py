"""Aodh and Ceilometer: alarms and samples as messages."""

from __future__ import annotations

import pytest

from zaqarclient.queues import client as zaqar_client
from zaqarclient.queues.v2 import client as zaqarclient
from zaqarclient.tests.functional.consumers.cloud import Cloud, signed_conf
from zaqarclient.transport import errors


def test_aodh_posts_with_nothing_but_a_token(cloud: Cloud) -> None:
    conf = {"auth_opts": {"options": {"os_auth_token": cloud.token}}}
    client = zaqar_client.Client(cloud.url, version=2, conf=conf)
    with client:
        # A server without authentication is told the project by nobody here.
        client.auth_opts["options"]["os_project_id"] = cloud.project_id
        client.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(client.queue("alarms").pop()).body == {"alarm": "cpu"}


def test_aodh_subscribes_and_posts(cloud: Cloud) -> None:
    conf = cloud.conf(insecure="")
    with zaqar_client.Client(cloud.url, version=2, conf=conf) as client:
        made = client.subscription(
            "alarms", subscriber="mailto:ops@example.org", ttl=3600
        )
        assert made.id
        client.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(client.queue("alarms").pop()).body == {"alarm": "cpu"}
        made.delete()


def test_aodh_posts_an_alarm_with_a_signed_url(cloud: Cloud) -> None:
    with zaqar_client.Client(cloud.url, version=2, conf=cloud.conf()) as owner:
        signed = owner.queue("alarms").signed_url(["messages"], methods=["POST"])
        conf = signed_conf(signed)
        with zaqar_client.Client(cloud.url, version=2, conf=conf) as aodh:
            aodh.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(owner.queue("alarms").pop()).body == {"alarm": "cpu"}


def test_ceilometer_publishes_samples_in_one_post(cloud: Cloud) -> None:
    with zaqarclient.Client(session=cloud.session) as client:
        queue = client.queue("samples")
        samples = [{"body": {"n": number}, "ttl": 3600} for number in range(20)]
        assert len(queue.post(samples)["resources"]) == 20
        assert queue.stats["messages"]["total"] == 20


def test_ceilometer_learns_that_a_message_is_refused(cloud: Cloud) -> None:
    with zaqarclient.Client(session=cloud.session) as client:
        with pytest.raises(errors.MalformedRequest, match="ttl"):
            client.queue("samples").post([{"body": 1, "ttl": -1}])
        assert client.queue("samples").stats["messages"]["total"] == 0
