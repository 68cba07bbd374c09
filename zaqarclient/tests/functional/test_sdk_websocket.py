"""What only the WebSocket can do, against a real server."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zaqarclient import transport as transports
from zaqarclient.queues.client import Client
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2.api import OPERATIONS
from zaqarclient.tests import samples
from zaqarclient.transport import errors
from zaqarclient.transport.request import Request
from zaqarclient.transport.ws import WebsocketTransport

MakeClient = Callable[..., v2_client.Client]

SERVED = sorted(
    name
    for name in OPERATIONS
    if not name.startswith(("pool_", "flavor_", "signed_url_"))
)
"""The operations of the samples that this server has."""

SHOWING_METADATA = {"queue_get", "queue_exists", "topic_get", "topic_exists"}


@pytest.fixture
def auth_opts() -> dict[str, Any]:
    """A project that no other test uses."""
    return {"backend": "noauth", "options": {"os_project_id": uuid.uuid4().hex}}


@pytest.fixture
def connect(server: Any, auth_opts: dict[str, Any]) -> Iterator[MakeClient]:
    """Make clients of the project; they are closed after the test."""
    made: list[v2_client.Client] = []

    def connect(url: str = server.websocket_url) -> v2_client.Client:
        made.append(Client(url, 2, {"auth_opts": auth_opts}))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def test_a_config_agent_creates_subscribes_pops_and_waits(
    server: Any, auth_opts: dict[str, Any], connect: MakeClient
) -> None:
    """The sequence of os-collect-config, with a message that comes between."""
    endpoint = server.websocket_url
    conf = {"auth_opts": auth_opts}
    with transports.get_transport_for(endpoint, options=conf) as ws:

        def ask(operation: str, **body: Any) -> Any:
            request = Request(endpoint, operation, content=json.dumps(body))
            return json.loads(ws.send(request).content)

        assert ask("queue_create", queue_name="agent") == "Queue agent created."
        poster = connect(server.url).queue("agent")
        poster.post({"body": {"deployments": 1}})
        assert "subscription_id" in ask("subscription_create", queue_name="agent")
        poster.post({"body": {"deployments": 2}})
        popped = ask("message_delete_many", queue_name="agent", pop=1)
        assert [m["body"] for m in popped["messages"]] == [{"deployments": 1}]
        assert ws.recv()["body"] == {"deployments": 2}
        poster.post({"body": {"deployments": 3}})
        assert ws.recv()["body"] == {"deployments": 3}


def test_what_is_posted_to_any_of_the_queues_is_heard(
    server: Any, connect: MakeClient
) -> None:
    client = connect()
    with client.listen("one", "two", timeout=10) as listener:
        connect(server.url).queue("two").post({"body": {"n": 2}, "ttl": 77})
        first = next(listener)
        assert (first.queue_name, first.body, first.ttl) == ("two", {"n": 2}, 77)
        connect(server.url).queue("three").post({"body": 3})
        client.queue("one").post([{"body": "a"}, {"body": "b"}])
        assert [next(listener).body for _ in range(2)] == ["a", "b"]
        assert [s.ttl for s in client.queue("one").subscriptions()] == [3600]
    assert listener.get() is None


def test_a_listener_that_is_closed_leaves_no_subscription(
    connect: MakeClient,
) -> None:
    client = connect()
    with client.listen("one"):
        assert len(list(client.subscriptions("one"))) == 1
    # It ends when the server has seen the connection end.
    assert any(not list(client.subscriptions("one")) for _ in range(1000))


def test_only_messages_that_match_are_heard(connect: MakeClient) -> None:
    client = connect()
    options = {"filter": {"/status": {"any_of": ["paid"]}}}
    with client.queue("orders").listen(options=options, timeout=10) as listener:
        client.queue("orders").post([{"body": {"status": s}} for s in ("new", "paid")])
        assert next(listener).body == {"status": "paid"}


def test_a_listener_goes_on_when_the_server_was_killed(
    server_factory: Callable[..., Any], auth_opts: dict[str, Any]
) -> None:
    server = server_factory()
    told = threading.Event()
    with (
        Client(server.websocket_url, 2, {"auth_opts": auth_opts}) as client,
        client.listen("one", timeout=20, on_reconnect=told.set) as listener,
    ):
        client.queue("one").post({"body": 1})
        assert next(listener).body == 1
        server.kill()
        heard: list[Any] = []
        waiting = threading.Thread(target=lambda: heard.append(next(listener)))
        waiting.start()
        server.start()
        assert told.wait(20)
        client.queue("one").post({"body": 2})
        waiting.join(20)
        assert [notification.body for notification in heard] == [2]


def test_calls_of_many_threads_share_a_connection(connect: MakeClient) -> None:
    queue = connect().queue("orders")
    numbers = range(40)
    threads = [
        threading.Thread(target=queue.post, args=({"body": n},)) for n in numbers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [message.body for message in queue.iter_messages(echo=True, limit=20)]
    assert sorted(found) == list(numbers)


@pytest.mark.parametrize("operation", SERVED)
def test_the_server_knows_the_frame_and_the_answer_of_each_sample(
    server: Any, auth_opts: dict[str, Any], operation: str
) -> None:
    sample = samples.sample(operation)["websocket"]
    request = Request(
        server.websocket_url,
        sample["request"]["action"],
        content=json.dumps(sample["request"]["body"]),
    )
    refusal: errors.TransportError | None = None
    body: Any = None
    with WebsocketTransport({"auth_opts": auth_opts}) as transport:
        try:
            body = transport.send(request).deserialized_content
        except errors.TransportError as error:
            refusal = error
    if refusal is not None:
        # Nothing that the sample names exists, and health is not for all.
        known = errors.ResourceNotFound | errors.ForbiddenError
        assert isinstance(refusal, known) or "claim" in str(refusal)
    elif operation not in SHOWING_METADATA:
        expected = sample["reply"]["body"]
        assert isinstance(body or {}, type(expected))
        if isinstance(body, dict):
            assert set(body) <= set(expected) | {"claim_id"}
