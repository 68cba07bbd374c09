"""The WebSocket transport against a stand-in for the service."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient import transport as transports
from zaqarclient.errors import DriverLoadFailure, InvalidOperation
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.ws_stub import (
    NOTIFICATION,
    Frame,
    WebsocketStub,
    answer,
    lists,
    raw,
)
from zaqarclient.transport import errors
from zaqarclient.transport.request import Request
from zaqarclient.transport.ws import WebsocketTransport

MakeClient = Callable[..., Client]

TOKEN = {"auth_opts": {"options": {"os_auth_token": "t1", "os_project_id": "4f2a"}}}


@pytest.fixture
def client(ws_stub: WebsocketStub, make_client: MakeClient) -> Client:
    client = make_client(ws_stub.url)
    client.transport().sleep = lambda _seconds: None
    return client


# -- frames ----------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_request(
    ws_stub: WebsocketStub, client: Client
) -> None:
    queue = client.queue("orders")
    assert ws_stub.peers == []
    ws_stub.reply = lambda frame: answer(frame, 201, {"message_ids": ["m1"]})
    assert queue.post({"body": 1})["resources"] == ["/v2/queues/orders/messages/m1"]
    queue.post({"body": 2})
    assert len(ws_stub.peers) == 1
    frame = ws_stub.frames[0]
    assert frame["action"] == "message_post"
    assert frame["body"] == {"queue_name": "orders", "messages": [{"body": 1}]}
    headers = frame["headers"]
    assert headers.pop("X-Request-ID").startswith("req-")
    assert headers.pop("Idempotency-Key")
    assert headers == {"X-Project-ID": "4f2a", "Client-ID": client.client_uuid}


def test_the_handshake_names_the_client_and_no_origin(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = lists
    make_client(ws_stub.url, user_agent="worker/1.0").queues()
    headers = ws_stub.peers[0].headers
    assert headers["user-agent"].startswith("worker/1.0 python-zaqarclient/")
    assert "origin" not in headers
    assert "sec-websocket-protocol" not in headers


def test_filters_of_a_list_travel_apart_from_its_other_arguments(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lists
    client.queues(limit=3, detailed=True, filters={"team": "a,b", "level": 4})
    assert ws_stub.frames[0]["body"] == {
        "limit": 3,
        "detailed": True,
        "filters": {"team": ["a", "b"], "level": ["4"]},
    }


def test_a_list_is_followed_to_its_end(ws_stub: WebsocketStub, client: Client) -> None:
    pages = {None: ["a", "b"], "b": ["c"], "c": []}

    def reply(frame: Frame) -> Frame:
        names = pages[frame["body"].get("marker")]
        return answer(frame, 200, {"queues": [{"name": name} for name in names]})

    ws_stub.reply = reply
    assert [q.name for q in client.iter_queues(limit=2, detailed=True)] == [*"abc"]
    assert [frame["body"] for frame in ws_stub.frames[1:]] == [
        {"limit": 2, "detailed": True, "marker": marker} for marker in "bc"
    ]


def test_a_path_that_no_operation_reads_is_refused(client: Client) -> None:
    with pytest.raises(InvalidOperation, match="no operation reads"):
        client.follow("/v2/queues/orders/claims")


def test_a_signed_url_is_presented_as_lists(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = lambda frame: answer(frame, 200, {"messages": []})
    signed = {
        "paths": ["/v2/queues/orders/messages"],
        "methods": "GET,POST",
        "expires": "2031-05-04T03:02:01",
        "signature": "ab12",
        "project_id": "4f2a",
    }
    auth_opts = {"backend": "signed-url", "options": signed}
    list(make_client(ws_stub.url, auth_opts=auth_opts).queue("orders").messages())
    headers = ws_stub.frames[0]["headers"]
    assert ws_stub.actions == ["message_list"]
    assert headers["URL-Paths"] == ["/v2/queues/orders/messages"]
    assert headers["URL-Methods"] == ["GET", "POST"]
    assert (headers["URL-Signature"], headers["X-Project-ID"]) == ("ab12", "4f2a")


# -- requests without an API -------------------------------------------------------


def test_a_bare_request_goes_out_and_comes_back_as_it_stands(
    ws_stub: WebsocketStub,
) -> None:
    popped = {"messages": [{"id": "m1", "claim_id": None, "body": 1}]}
    ws_stub.reply = lambda frame: answer(frame, 200, popped)
    with transports.get_transport_for(ws_stub.url, options=TOKEN) as transport:
        asked = raw(ws_stub, "message_delete_many", queue_name="orders", pop=1)
        response = transport.send(asked)
    assert json.loads(response.content) == popped
    assert (response.status_code, response.request) == (200, asked)
    assert ws_stub.frames[1]["body"] == {"queue_name": "orders", "pop": 1}


def test_arguments_of_a_bare_request_join_its_body(
    ws_stub: WebsocketStub, ws_transport: WebsocketTransport
) -> None:
    ws_transport.send(Request(ws_stub.url, "queue_get", params={"queue_name": "q"}))
    ws_transport.send(Request(ws_stub.url, "queue_list"))
    assert ws_stub.frames[0]["body"] == {"queue_name": "q"}
    assert "body" not in ws_stub.frames[1]


def test_a_transport_needs_no_options(ws_stub: WebsocketStub) -> None:
    transport = transports.get_transport("ws")
    transport.send(raw(ws_stub, "queue_list"))
    transport.cleanup()
    assert ws_stub.frames[0]["headers"]["Client-ID"]
    assert ws_stub.closes == 1


def test_an_unknown_scheme_has_no_transport() -> None:
    with pytest.raises(DriverLoadFailure):
        transports.get_transport("wsx")


# -- authentication ----------------------------------------------------------------


def test_a_token_is_presented_first_and_only_once(ws_stub: WebsocketStub) -> None:
    with WebsocketTransport(TOKEN) as transport:
        for _ in range(2):
            transport.send(raw(ws_stub, "queue_list"))
    assert ws_stub.actions == ["authenticate", "queue_list", "queue_list"]
    first, *others = (frame["headers"] for frame in ws_stub.frames)
    assert (first["X-Auth-Token"], first["X-Project-ID"]) == ("t1", "4f2a")
    assert "body" not in ws_stub.frames[0]
    assert all("X-Auth-Token" not in headers for headers in others)
    assert len({frame["headers"]["Client-ID"] for frame in ws_stub.frames}) == 1


def test_nothing_is_authenticated_where_nobody_asks_for_it(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = lists
    options = {**NOAUTH["auth_opts"]["options"], "auth_token": "t1"}
    auth_opts = {"backend": "noauth", "options": options}
    make_client(ws_stub.url, auth_opts=auth_opts).queues()
    assert ws_stub.actions == ["queue_list"]


def test_another_token_is_presented_on_the_same_connection(
    ws_stub: WebsocketStub,
) -> None:
    with WebsocketTransport(TOKEN) as transport:
        for token in ("a", "a", "b"):
            asked = raw(ws_stub, "queue_list")
            asked.headers["X-Auth-Token"] = token
            transport.send(asked)
    assert ws_stub.actions == [
        *("authenticate", "queue_list", "queue_list"),
        *("authenticate", "queue_list"),
    ]
    assert ws_stub.frames[3]["headers"]["X-Auth-Token"] == "b"
    assert len(ws_stub.peers) == 1


def refuses(*tokens: str) -> Callable[[Frame], Frame]:
    def reply(frame: Frame) -> Frame:
        if frame["headers"].get("X-Auth-Token") in tokens:
            return answer(frame, 401, {"error": "Authentication failed."})
        return answer(frame, 200, {"queues": []})

    return reply


def test_a_refused_token_is_an_error_and_the_connection_is_closed(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = refuses("t1")
    with pytest.raises(errors.UnauthorizedError, match="Authentication failed"):
        make_client(ws_stub.url, **TOKEN).queues()
    ws_stub.wait_until(lambda: ws_stub.closes == 1)
    assert ws_stub.actions == ["authenticate"]


def test_a_new_token_that_is_refused_is_presented_again_next_time(
    ws_stub: WebsocketStub,
) -> None:
    def send(transport: WebsocketTransport, token: str) -> None:
        asked = raw(ws_stub, "queue_list")
        asked.headers["X-Auth-Token"] = token
        transport.send(asked)

    ws_stub.reply = refuses("bad")
    with WebsocketTransport() as transport:
        send(transport, "good")
        for _ in range(2):
            with pytest.raises(errors.UnauthorizedError):
                send(transport, "bad")
        send(transport, "good")
    assert ws_stub.actions == [
        *("authenticate", "queue_list"),
        *("authenticate", "authenticate", "queue_list"),
    ]
    assert len(ws_stub.peers) == 1


def test_a_refused_token_of_a_password_is_replaced_once(
    ws_stub: WebsocketStub,
) -> None:
    ws_stub.reply = refuses("old")
    renewals = []

    def credentials(*, renewed: bool = False) -> Request:
        renewals.append(renewed)
        return Request(ws_stub.url, headers={"X-Auth-Token": "new"})

    with WebsocketTransport() as transport:
        transport.credentials = credentials
        asked = raw(ws_stub, "queue_list")
        asked.headers["X-Auth-Token"] = "old"
        assert transport.send(asked).status_code == 200
    assert renewals == [True]
    assert ws_stub.actions == ["authenticate", "authenticate", "queue_list"]


# -- connections that callers put in place -------------------------------------------


class Scripted:
    """A connection that plays frames, as tests of callers have them."""

    def __init__(self, *frames: Any) -> None:
        self.frames = list(frames)
        self.sent: list[Frame] = []
        self.closed = False

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def recv(self) -> str:
        return json.dumps(self.frames.pop(0))

    def close(self) -> None:
        self.closed = True


ACK = {"headers": {"status": 200}, "body": {"done": True}}


def test_a_connection_put_in_place_is_used_turn_by_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Section 21: ``WebsocketTransport._create_connection``."""
    connection = Scripted(ACK, NOTIFICATION, ACK, NOTIFICATION)
    asked: list[str] = []

    def create(_self: WebsocketTransport, endpoint: str) -> Scripted:
        asked.append(endpoint)
        return connection

    monkeypatch.setattr(WebsocketTransport, "_create_connection", create)
    with WebsocketTransport(TOKEN) as transport:
        asking = Request("ws://127.0.0.1:9000", "subscription_list")
        assert transport.send(asking).deserialized_content == {"done": True}
        assert [transport.recv()["body"] for _ in range(2)] == [{"n": 1}, {"n": 1}]
    assert asked == ["ws://127.0.0.1:9000"]
    assert [frame["action"] for frame in connection.sent] == [
        "authenticate",
        "subscription_list",
    ]
    assert connection.closed


def test_frames_may_be_put_in_place_of_receiving(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Section 21: ``WebsocketTransport.recv``."""
    connection = Scripted()
    frames = [ACK, ACK, NOTIFICATION]
    monkeypatch.setattr(
        WebsocketTransport, "_create_connection", lambda _self, _url: connection
    )
    monkeypatch.setattr(WebsocketTransport, "recv", lambda _self: frames.pop(0))
    with WebsocketTransport(TOKEN) as transport:
        transport.send(Request("ws://127.0.0.1:9000", "queue_list"))
        assert transport.recv() == NOTIFICATION
