"""Mistral and the programs on it: TripleO's actions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from zaqarclient.queues import client as zaqar
from zaqarclient.queues.v2 import client as zaqarclient
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.functional.consumers.cloud import Cloud
from zaqarclient.transport import errors


@pytest.fixture
def client(cloud: Cloud) -> Iterator[Client]:
    """The client of Mistral's actions."""
    client = zaqar.Client(version=2, url=cloud.url, session=cloud.session)
    yield client
    client.close()


def test_mistral_makes_a_client_only_to_look_at_its_methods() -> None:
    fake = zaqar.Client(version=2)
    for name in ("queue", "queues", "subscription", "ping"):
        assert callable(getattr(fake, name))
    assert fake.api_url is None


def test_mistral_older_releases_take_the_class_from_its_module(cloud: Cloud) -> None:
    with zaqarclient.Client(url=cloud.url, session=cloud.session) as client:
        assert client.queue("workflow").post({"body": 1})["resources"]


def test_mistral_posts_lists_and_pops(client: Client) -> None:
    queue = client.queue("workflow")
    posted = queue.post([{"body": {"n": number}} for number in range(5)])
    assert len(posted["resources"]) == 5
    listed = queue.messages(limit=2, echo=True)
    assert [message.body["n"] for message in listed] == [0, 1]
    assert [message.body["n"] for message in queue.pop(3)] == [0, 1, 2]


def test_mistral_claims_and_deletes_by_ids(client: Client) -> None:
    queue = client.queue("workflow")
    queue.post([{"body": number} for number in range(3)])
    claim = queue.claim(ttl=100, grace=100, limit=2)
    assert [message.body for message in claim] == [0, 1]
    ids = [message.id for message in claim]
    claim.delete()
    assert queue.delete_messages(*ids) is None
    assert [message.body for message in queue.messages(echo=True)] == [2]


def test_mistral_reads_messages_by_their_ids(client: Client) -> None:
    queue = client.queue("workflow")
    queue.post([{"body": number} for number in range(2)])
    first, second = [message.id for message in queue.messages(echo=True)]
    assert {message.body for message in queue.messages(first, second)} == {0, 1}
    with pytest.raises(errors.ResourceNotFound):
        queue.messages("5f3b1c2d4e5f60718293a4b5")


def test_tripleo_common_gives_the_session_inside_the_configuration(
    cloud: Cloud,
) -> None:
    options = {**cloud.options, "insecure": False}
    conf = {
        "auth_opts": {"backend": "keystone", "options": options},
        "session": cloud.session,
    }
    with zaqarclient.Client(cloud.url, conf=conf) as client:
        client.queue("tripleo").post({"body": {"status": "SUCCESS"}})
        assert next(client.queue("tripleo").pop()).body == {"status": "SUCCESS"}


def test_python_tripleoclient_speaks_frames_of_its_own(cloud: Cloud) -> None:
    connection = websocket.create_connection(cloud.websocket_url, timeout=10)

    def send(action: str, body: Any = None, **headers: str) -> dict[str, Any]:
        frame = {
            "action": action,
            "headers": {
                "Client-ID": client_id,
                "X-Project-ID": cloud.project_id,
                **headers,
            },
        }
        connection.send(json.dumps(frame if body is None else {**frame, "body": body}))
        answer: dict[str, Any] = json.loads(connection.recv())
        return answer

    client_id = str(uuid.uuid4())
    try:
        answers = [
            send("authenticate", **{"X-Auth-Token": cloud.token}),
            send("queue_create", {"queue_name": "tripleo"}),
            send("subscription_create", {"queue_name": "tripleo", "ttl": 10000}),
        ]
        assert [one["headers"]["status"] for one in answers] == [200, 201, 201]
        with zaqarclient.Client(cloud.url, conf=cloud.conf()) as client:
            client.queue("tripleo").post({"body": {"status": "SUCCESS"}})
        assert json.loads(connection.recv())["body"] == {"status": "SUCCESS"}
    finally:
        connection.close()
