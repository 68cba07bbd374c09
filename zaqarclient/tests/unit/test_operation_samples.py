"""Each operation looks on the wire as its sample in ``golden`` says."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.queues.v2 import core
from zaqarclient.queues.v2.api import OPERATIONS, V2, bind
from zaqarclient.queues.v2.calls import claim_create
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.samples import GOLDEN, sample
from zaqarclient.tests.ws_stub import WebsocketStub
from zaqarclient.tests.ws_stub import answer as ws_answer
from zaqarclient.transport import errors
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request
from zaqarclient.transport.ws import WebsocketTransport

CORE = sorted(name for name, row in OPERATIONS.items() if not row.topics)
"""Those that have a function of their own; topics share the flows of queues."""

# Names that the functions of an operation give its arguments.
CORE_NAMES = {
    "queue_create": {"queue_name": "name"},
    "queue_get": {"queue_name": "name"},
    "queue_exists": {"queue_name": "name"},
    "queue_delete": {"queue_name": "name"},
    "queue_update": {"queue_name": "name"},
    "queue_get_stats": {"queue_name": "name"},
    "queue_purge": {"queue_name": "name"},
    "message_get_many": {"ids": "messages"},
    "message_pop": {"pop": "count"},
}


@pytest.fixture
def transport() -> Any:
    transport = HttpTransport({"retries": 0})
    yield transport
    transport.close()


def answer_of(document: dict[str, Any]) -> Answer:
    reply = document["rest"]["reply"]
    return Answer(reply["status"], reply["body"], reply["headers"])


def assert_seen(stub: HttpStub, document: dict[str, Any]) -> None:
    expected = document["rest"]["request"]
    seen = stub.last
    assert (seen.method, seen.path) == (expected["method"], expected["path"])
    assert seen.query == expected["query"]
    assert seen.body == expected["body"]
    for name, value in expected["headers"].items():
        assert seen.headers[name] == value


def test_every_operation_of_the_table_has_a_sample() -> None:
    samples = {path.stem for path in GOLDEN.glob("*.json")} - {"filters"}
    assert samples == set(CORE)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_call_goes_out_as_its_sample_says(
    operation: str, stub: HttpStub, transport: HttpTransport
) -> None:
    """Acceptance 2: paths, queries, bodies, headers."""
    document = sample(operation)
    request = Request(stub.url, api=2)
    bind(request, operation, document["arguments"])
    stub.default = answer_of(document)
    if document["rest"]["reply"]["status"] >= 400:
        with pytest.raises(errors.TransportError):
            transport.send(request)
    else:
        transport.send(request)
    assert_seen(stub, document)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_call_over_websocket_goes_out_as_its_sample_says_and_gives_the_same(
    operation: str, ws_stub: WebsocketStub, ws_transport: WebsocketTransport
) -> None:
    document = sample(operation)
    asked, reply = document["websocket"]["request"], document["websocket"]["reply"]
    ws_stub.reply = lambda frame: ws_answer(
        frame, reply["headers"]["status"], reply["body"]
    )
    request = Request(ws_stub.url, api=2)
    bind(request, operation, document["arguments"])
    response = ws_transport.send(request)
    (frame,) = ws_stub.frames
    assert (frame["action"], frame["body"]) == (asked["action"], asked["body"])
    if operation in {"queue_get", "topic_get"}:
        # Frames show the metadata as they are stored, without defaults.
        assert response.deserialized_content == reply["body"]
    else:
        expected = document["rest"]["reply"]["body"]
        assert response.deserialized_content == expected


@pytest.mark.parametrize("operation", CORE)
def test_the_core_function_of_an_operation_sends_its_sample(
    operation: str, stub: HttpStub, transport: HttpTransport
) -> None:
    document = sample(operation)
    stub.default = answer_of(document)
    names = CORE_NAMES.get(operation, {})
    arguments = {names.get(k, k): v for k, v in document["arguments"].items()}
    function = getattr(core, operation)
    if operation == "message_post":  # its caller wraps
        arguments["messages"] = {"messages": arguments["messages"]}
    result = function(transport, Request(stub.url, api=2), **arguments, callback=None)
    assert_seen(stub, document)
    reply = document["rest"]["reply"]["body"]
    if OPERATIONS[operation].method == "GET" and reply is not None:
        assert result == reply


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_the_sample_fits_the_schema_of_its_operation(operation: str) -> None:
    row = OPERATIONS[operation]
    arguments = dict(sample(operation)["arguments"])
    for name in (
        "with_count",
        "detailed",
        "echo",
        "include_claimed",
        "include_delayed",
    ):
        if name in arguments:
            arguments[name] = arguments[name] == "true"
    if row.whole:
        whole = arguments.pop(row.whole)
        if row.body:
            arguments.update(whole)
    assert V2().validate(operation, arguments)


def test_claim_create_finds_the_claim_in_the_link_of_its_messages(
    stub: HttpStub, client: Client
) -> None:
    stub.default = answer_of(sample("claim_create"))
    claimed = claim_create(client.calls, "orders")
    assert claimed.claim_id == "c77"
    assert [message["id"] for message in claimed.messages] == ["m01"]
    assert stub.last.body == {}
