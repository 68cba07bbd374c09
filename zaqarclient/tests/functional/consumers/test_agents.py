"""Agents on servers: os-collect-config and heat-agents."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

from zaqarclient import transport
from zaqarclient.queues.v1 import client as version_one
from zaqarclient.queues.v2 import client as zaqarclient
from zaqarclient.queues.v2.message import Message
from zaqarclient.tests.functional.consumers.cloud import Cloud
from zaqarclient.transport import request
from zaqarclient.transport.response import Response


@pytest.fixture
def agent_conf(cloud: Cloud) -> dict[str, Any]:
    """The configuration of os-collect-config."""
    options = {
        "os_auth_token": cloud.token,
        "os_project_id": cloud.project_id,
        "insecure": False,
        "cacert": None,
    }
    return {"auth_opts": {"backend": "keystone", "options": options}}


def test_os_collect_config_pops_one_message(
    cloud: Cloud, agent_conf: dict[str, Any]
) -> None:
    """Acceptance 4: ``next()`` of what `pop` returns."""
    with zaqarclient.Client(cloud.url, conf=agent_conf, version=2) as client:
        client.queue("agent").post({"body": {"deployments": []}})
        assert next(client.queue("agent").pop()).body == {"deployments": []}
        with pytest.raises(StopIteration):
            next(client.queue("agent").pop())


def test_os_collect_config_waits_on_a_websocket(
    cloud: Cloud, agent_conf: dict[str, Any]
) -> None:
    """Acceptance 7: create, subscribe, pop and ``recv``, frame by frame."""
    endpoint = cloud.websocket_url
    with transport.get_transport_for(endpoint, options=agent_conf) as ws:

        def ask(operation: str, **body: Any) -> Any:
            content = json.dumps({"queue_name": "agent", **body})
            sent = request.Request(endpoint, operation, content=content)
            return ws.send(sent)

        assert ask("queue_create").status_code == 201
        assert ask("subscription_create").status_code == 201
        popped = ask("message_delete_many", pop=1)
        assert json.loads(popped.content).get("messages", []) == []
        with zaqarclient.Client(cloud.url, conf=agent_conf, version=2) as client:
            client.queue("agent").post({"body": {"deployments": [1]}})
        assert ws.recv()["body"] == {"deployments": [1]}


def test_os_collect_config_gets_an_answer_though_a_notification_came_first(
    cloud: Cloud, agent_conf: dict[str, Any]
) -> None:
    """Acceptance 7: the notification waits for ``recv``."""
    endpoint = cloud.websocket_url
    with transport.get_transport_for(endpoint, options=agent_conf) as ws:
        content = json.dumps({"queue_name": "agent"})
        ws.send(request.Request(endpoint, "subscription_create", content=content))
        with zaqarclient.Client(cloud.url, conf=agent_conf, version=2) as client:
            client.queue("agent").post({"body": {"n": 1}})
        pop = json.dumps({"queue_name": "agent", "pop": 1})
        asked = request.Request(endpoint, "message_delete_many", content=pop)
        (popped,) = json.loads(ws.send(asked).content)["messages"]
        assert popped["body"] == {"n": 1}
        assert ws.recv()["body"] == {"n": 1}


def test_os_collect_config_tests_make_messages_and_responses_by_hand(
    cloud: Cloud, agent_conf: dict[str, Any]
) -> None:
    with zaqarclient.Client(cloud.url, conf=agent_conf, version=2) as client:
        queue = client.queue("agent")
        made = Message(queue=queue, ttl=10, age=10, body={"foo": "bar"}, href="")
        assert (made.id, made.body) == ("", {"foo": "bar"})
    asked = request.Request(cloud.url, "queue_create")
    response = Response(asked, content='{"messages": []}', status_code=200)
    assert json.loads(response.content) == {"messages": []}


def test_heat_agents_post_through_version_one(
    cloud: Cloud, agent_conf: dict[str, Any]
) -> None:
    """``heat-config-notify`` imports version 1 and asks for 1.1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client = version_one.Client(cloud.url, conf=agent_conf, version=1.1)
    with client:
        queue = client.queue("deployment-1")
        queue.post({"body": {"deploy_status_code": 0}, "ttl": 600})
    with zaqarclient.Client(cloud.url, conf=agent_conf, version=2) as reader:
        found = next(reader.queue("deployment-1").pop())
        assert found.body == {"deploy_status_code": 0}
        assert found.ttl == 600
