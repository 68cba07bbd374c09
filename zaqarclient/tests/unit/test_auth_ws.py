"""Tokens of the identity service on WebSocket connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3

from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import PROJECT, IdentityStub
from zaqarclient.tests.ws_stub import (
    NOTIFICATION,
    Frame,
    WebsocketStub,
    answer,
    lists,
)
from zaqarclient.transport import errors

CLOSE = 8
"""The opcode of a frame that ends a connection."""

MakeClient = Callable[..., Client]


@pytest.fixture
def identity(stub: HttpStub, ws_stub: WebsocketStub) -> IdentityStub:
    """An identity service whose catalog names the WebSocket."""
    ws_stub.reply = lists
    return IdentityStub(stub, ws_stub.url)


@pytest.fixture
def session(identity: IdentityStub) -> Iterator[ks_session.Session]:
    """The session of a caller."""
    plugin = v3.Password(
        identity.url,
        username="alice",
        password="secret",
        user_domain_id="default",
        project_name="sales",
        project_domain_id="default",
    )
    session = ks_session.Session(auth=plugin)
    yield session
    session.session.close()


@pytest.fixture
def alice(identity: IdentityStub, make_client: MakeClient) -> Client:
    """A client with a password."""
    options = {
        "auth_url": identity.url,
        "username": "alice",
        "password": "secret",
        "project_name": "sales",
    }
    return make_client(auth_opts={"options": options})


def tokens(stub: WebsocketStub) -> list[Any]:
    return [
        frame["headers"]["X-Auth-Token"]
        for frame in stub.frames
        if frame["action"] == "authenticate"
    ]


def test_the_endpoint_the_token_and_the_project_come_from_a_session(
    ws_stub: WebsocketStub, make_client: MakeClient, session: ks_session.Session
) -> None:
    client = make_client(session=session, auth_opts={})
    client.queues()
    client.queues()
    assert client.api_url == ws_stub.url
    assert ws_stub.actions == ["authenticate", "queue_list", "queue_list"]
    assert tokens(ws_stub) == ["token-1"]
    projects = {frame["headers"]["X-Project-ID"] for frame in ws_stub.frames}
    assert projects == {PROJECT}


def test_a_password_gives_one_token_for_all_frames(
    ws_stub: WebsocketStub, alice: Client, identity: IdentityStub
) -> None:
    for _ in range(3):
        alice.queues()
    assert (tokens(ws_stub), identity.given) == (["token-1"], 1)
    assert ws_stub.frames[-1]["headers"]["X-Project-ID"] == PROJECT


def test_a_token_that_is_refused_is_replaced(
    ws_stub: WebsocketStub, alice: Client
) -> None:
    def reply(frame: Frame) -> Frame:
        if frame["headers"].get("X-Auth-Token") == "token-1":
            return answer(frame, 401, {"error": "Authentication failed."})
        return lists(frame)

    ws_stub.reply = reply
    alice.queues()
    assert tokens(ws_stub) == ["token-1", "token-2"]


def test_a_token_about_to_end_is_replaced_on_the_same_connection(
    stub: HttpStub, ws_stub: WebsocketStub, alice: Client
) -> None:
    IdentityStub(stub, ws_stub.url, seconds=5)
    alice.queues()
    alice.queues()
    first, *others = tokens(ws_stub)
    assert others
    assert first not in others
    assert len(ws_stub.peers) == 1


@pytest.mark.parametrize(
    ("status", "words"), [(401, "Authentication failed."), (403, "Not authentified.")]
)
def test_a_token_that_was_revoked_is_replaced_and_the_call_done(
    status: int, words: str, ws_stub: WebsocketStub, alice: Client
) -> None:
    def reply(frame: Frame) -> Frame:
        seen = tokens(ws_stub)
        if frame["action"] == "message_post" and seen[-1] == "token-1":
            return answer(frame, status, {"error": words})
        return answer(frame, 201, {"message_ids": ["m1"]})

    ws_stub.reply = reply
    alice.queue("orders").post({"body": 1})
    assert tokens(ws_stub) == ["token-1", "token-2"]
    assert ws_stub.actions == ["authenticate", "message_post"] * 2


def test_a_token_that_was_traded_for_a_given_one_is_replaced_too(
    ws_stub: WebsocketStub, identity: IdentityStub, make_client: MakeClient
) -> None:
    def reply(frame: Frame) -> Frame:
        if frame["headers"].get("X-Auth-Token") == "token-1":
            return answer(frame, 401, {"error": "Authentication failed."})
        return lists(frame)

    ws_stub.reply = reply
    options = {"auth_url": identity.url, "auth_token": "old", "project_id": PROJECT}
    make_client(auth_opts={"options": options}).queues()
    assert tokens(ws_stub) == ["token-1", "token-2"]


def test_a_given_token_that_is_refused_over_websocket_is_the_end(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = lambda frame: answer(frame, 401, {"error": "no"})
    options = {"auth_token": "given", "project_id": PROJECT}
    client = make_client(ws_stub.url, auth_opts={"options": options})
    with pytest.raises(errors.UnauthorizedError):
        client.queues()
    assert tokens(ws_stub) == ["given"]


def test_another_refusal_takes_no_new_token(
    ws_stub: WebsocketStub, alice: Client
) -> None:
    ws_stub.reply = lambda frame: (
        answer(frame, 200)
        if frame["action"] == "authenticate"
        else answer(frame, 403, {"error": "Not allowed by policy."})
    )
    with pytest.raises(errors.ForbiddenError, match="policy"):
        alice.queue("orders").post({"body": 1})
    assert tokens(ws_stub) == ["token-1"]


def listens(frame: Frame) -> Frame:
    return answer(frame, 201, {"subscription_id": "s1"})


def test_a_listener_that_only_waits_presents_a_newer_token_in_time(
    stub: HttpStub, ws_stub: WebsocketStub, alice: Client
) -> None:
    """On the same connection: nothing that is pushed is missed."""
    IdentityStub(stub, ws_stub.url, seconds=5)
    ws_stub.reply = listens
    with alice.listen("orders") as listener:
        listener._transport.login_check = 0.01
        assert listener.get(0.1) is None
        ws_stub.peers[0].send(NOTIFICATION)
        assert listener.get(10) is not None
    assert len(set(tokens(ws_stub))) > 1
    assert len(ws_stub.peers) == 1
    assert ws_stub.actions.count("subscription_create") == 1


def test_a_listener_keeps_its_connection_though_there_is_no_newer_token(
    stub: HttpStub,
    ws_stub: WebsocketStub,
    alice: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    IdentityStub(stub, ws_stub.url, seconds=5)
    ws_stub.reply = listens
    with alice.listen("orders") as listener:
        stub.default = Answer(401, {"error": {"code": 401, "message": "no"}})
        listener._transport.login_check = 0.0
        ws_stub.peers[0].send(NOTIFICATION)
        assert listener.get(10) is not None
        assert listener.get(0.01) is None
    assert "No newer token could be presented" in caplog.text
    assert len(ws_stub.peers) == 1


def test_a_listener_whose_login_the_service_ended_says_what_may_be_missed(
    ws_stub: WebsocketStub, alice: Client
) -> None:
    """Close code 4003, also where the token looked good for longer."""

    def reply(frame: Frame) -> Frame:
        if frame["action"] == "authenticate" and len(ws_stub.peers) > 1:
            refused = frame["headers"]["X-Auth-Token"] == "token-1"
            return answer(frame, 401 if refused else 200, {"error": "no"})
        return listens(frame)

    ws_stub.reply = reply
    missed: list[str] = []
    with alice.listen("orders", on_reconnect=lambda: missed.append("some")) as listener:
        listener._transport.pause = lambda _times: 0.0
        ended = (4003).to_bytes(2, "big") + b"Authentication expired."
        ws_stub.peers[0].send_raw(CLOSE, ended)
        assert listener.get(0.5) is None
        assert missed == ["some"]
        ws_stub.peers[-1].send(NOTIFICATION)
        assert listener.get(10) is not None
    assert tokens(ws_stub) == ["token-1", "token-1", "token-2"]


def test_a_listener_that_connects_again_presents_a_token_of_that_time(
    stub: HttpStub, ws_stub: WebsocketStub, alice: Client
) -> None:
    IdentityStub(stub, ws_stub.url, seconds=5)
    ws_stub.reply = lambda frame: answer(frame, 201, {"subscription_id": "s1"})
    with alice.listen("orders") as listener:
        listener._transport.pause = lambda _times: 0.0
        ws_stub.peers[0].drop()
        assert listener.get(0.2) is None
        ws_stub.peers[-1].send(NOTIFICATION)
        assert listener.get(10) is not None
    assert ws_stub.actions == ["authenticate", "subscription_create"] * 2
    assert len(set(tokens(ws_stub))) == 2
