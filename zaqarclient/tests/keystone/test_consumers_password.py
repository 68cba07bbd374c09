"""Consumers that log in by themselves (contract, SDK section 20)."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.queues import client as factory
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.tests.functional.consumers.cloud import Cloud


def conf_of(options: dict[str, Any]) -> dict[str, Any]:
    return {"auth_opts": {"backend": "keystone", "options": options}}


def test_aodh_logs_in_with_a_password(
    cloud: Cloud, password_options: dict[str, Any]
) -> None:
    conf = conf_of({**password_options, "insecure": ""})
    with factory.Client(cloud.url, version=2, conf=conf) as client:
        client.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(client.queue("alarms").pop()).body == {"alarm": "cpu"}


def test_aodh_needs_only_a_token(cloud: Cloud) -> None:
    conf = {"auth_opts": {"options": {"os_auth_token": cloud.token}}}
    with factory.Client(cloud.url, version=2, conf=conf) as client:
        client.queue("alarms").post({"body": {"alarm": "cpu"}})
        assert next(client.queue("alarms").pop()).body == {"alarm": "cpu"}


def test_zaqar_bench_logs_in_with_a_password(
    cloud: Cloud, password_options: dict[str, Any]
) -> None:
    options = {
        **password_options,
        "insecure": "False",
        "cacert": "",
        "auth_token": None,
    }
    with factory.Client(cloud.url, 2, conf=conf_of(options)) as client:
        queue = client.queue("bench-0")
        queue.post({"body": 1, "ttl": 300})
        for message in queue.claim(ttl=300, grace=200, limit=1):
            message.delete()
        assert queue.stats["messages"]["total"] == 0


@pytest.mark.filterwarnings("ignore:version 1 of the queues:DeprecationWarning")
def test_manila_finds_the_service_in_the_catalog(
    cloud: Cloud, password_options: dict[str, Any]
) -> None:
    options = {
        **password_options,
        "os_region_name": "RegionOne",
        "os_service_type": "messaging",
        "os_endpoint_type": "publicURL",
        "insecure": True,
    }
    with factory.Client(version=1.1, conf=conf_of(options)) as client:
        client.any_attribute = "of its own"
        client.queue("manila_notification").post({"body": {"share": 1}, "ttl": 60})
        popped = client.queue("manila_notification").pop()
        assert [message.body for message in popped] == [{"share": 1}]


def test_heat_knows_the_address_of_a_queue_from_its_session_alone(
    cloud: Cloud,
) -> None:
    with v2_client.Client(version=2, session=cloud.session) as client:
        assert client.api_url.rstrip("/") == cloud.url
