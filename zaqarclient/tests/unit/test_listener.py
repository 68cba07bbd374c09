"""Listening, against a stand-in that breaks connections."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from zaqarclient.errors import UnsupportedFeature
from zaqarclient.queues.v2.client import Client
from zaqarclient.queues.v2.listener import Listener, Notification
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.ws_stub import NOTIFICATION, Frame, WebsocketStub, answer
from zaqarclient.transport import errors

MakeClient = Callable[..., Client]


def accepts(frame: Frame) -> Frame:
    """Subscribe whoever asks."""
    if frame["action"] == "subscription_create":
        body = {"subscription_id": f"of-{frame['body']['queue_name']}"}
        return answer(frame, 201, body)
    return answer(frame)


@pytest.fixture
def client(ws_stub: WebsocketStub, make_client: MakeClient) -> Client:
    ws_stub.reply = accepts
    return make_client(ws_stub.url)


def at_once(listener: Listener) -> Listener:
    """Let it connect again without a pause."""
    listener._transport.pause = lambda _times: 0.0
    return listener


def test_one_connection_subscribes_to_each_queue_once(
    ws_stub: WebsocketStub, client: Client
) -> None:
    options = {"filter": {"/n": {"any_of": [1]}}}
    with client.listen("a", "b", "a", ttl=90, options=options):
        assert [frame["body"] for frame in ws_stub.frames] == [
            {"queue_name": name, "ttl": 90, "options": options} for name in "ab"
        ]
        assert len(ws_stub.peers) == 1
    ws_stub.wait_until(lambda: ws_stub.closes == 1)


def test_notifications_are_yielded_until_none_comes(
    ws_stub: WebsocketStub, client: Client
) -> None:
    with client.queue("orders").listen(timeout=0.5) as listener:
        ws_stub.peers[0].send(NOTIFICATION)
        ws_stub.peers[0].send({"own": "form"})
        ws_stub.peers[0].send("a text")
        assert list(listener) == [
            Notification("orders", {"n": 1}, 60, NOTIFICATION),
            Notification(None, {"own": "form"}, None, {"own": "form"}),
            Notification(None, "a text", None, "a text"),
        ]
        assert listener.get(0) is None


def test_a_function_is_called_with_each(ws_stub: WebsocketStub, client: Client) -> None:
    seen: list[Any] = []
    with client.listen("orders", timeout=0.5) as listener:
        ws_stub.peers[0].send(NOTIFICATION)
        listener.each(lambda notification: seen.append(notification.body))
    assert seen == [{"n": 1}]


def test_a_broken_connection_is_opened_and_subscribed_again(
    ws_stub: WebsocketStub, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()
    with at_once(client.listen("a", "b", on_reconnect=told.set)) as listener:
        for number in range(3):
            ws_stub.peers[-1].drop()
            found: list[Any] = []
            waiter = threading.Thread(target=lambda: found.append(listener.get(10)))  # noqa: B023 - joined in the loop
            waiter.start()
            wanted = 2 * (number + 2)
            ws_stub.wait_until(lambda: len(ws_stub.frames) == wanted)  # noqa: B023 - waited for in the loop
            ws_stub.peers[-1].send(NOTIFICATION)
            waiter.join(10)
            assert found[0].body == {"n": 1}
    assert told.is_set()
    assert len(ws_stub.peers) == 4
    assert "Connecting again" in caplog.text
    assert "subscribed again" in caplog.text


def test_a_service_that_refuses_to_subscribe_again_ends_it(
    ws_stub: WebsocketStub, client: Client
) -> None:
    with at_once(client.listen("a")) as listener:
        ws_stub.reply = lambda frame: answer(frame, 403, {"error": "No more."})
        ws_stub.peers[0].drop()
        with pytest.raises(errors.ForbiddenError, match="No more"):
            listener.get(10)


def test_a_service_that_is_down_ends_a_wait_only_at_its_time(
    ws_stub: WebsocketStub, client: Client
) -> None:
    with at_once(client.listen("a")) as listener:
        ws_stub.reply = lambda frame: answer(frame, 503, {"error": "Later."})
        ws_stub.peers[0].drop()
        assert listener.get(0.05) is None
        ws_stub.reply = accepts
        assert listener.get(0.1) is None
        ws_stub.peers[-1].send(NOTIFICATION)
        assert listener.get(10) is not None


def test_closing_from_another_thread_ends_an_iteration(client: Client) -> None:
    listener = client.listen("a")
    closer = threading.Timer(0.05, listener.close)
    closer.start()
    assert list(listener) == []
    closer.join()
    assert listener.get() is None


def test_a_subscription_that_is_refused_leaves_no_connection(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lambda frame: answer(frame, 403, {"error": "No."})
    with pytest.raises(errors.ForbiddenError, match="No"):
        client.listen("a")
    ws_stub.wait_until(lambda: ws_stub.closes == 1)


def test_listening_needs_a_queue_and_a_websocket(
    client: Client, make_client: MakeClient, stub: HttpStub
) -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        client.listen()
    # It looks for one where the service is, and this one knows nothing of it.
    stub.default = Answer(404)
    with pytest.raises(
        errors.ResourceNotFound, match="does not take WebSocket connections"
    ):
        make_client(stub.url).listen("orders")


IDS = [f"{number:030x}" for number in range(9)]


def pushed(number: int) -> dict[str, Any]:
    return {**NOTIFICATION, "message_id": IDS[number]}


def resumes(frame: Frame) -> Frame:
    """Have the extension; the newest message is the third."""
    if frame["action"] == "limits_get":
        return answer(frame, 200, {"features": ["resume"], "limits": {}})
    if frame["action"] == "subscription_create":
        since = frame["body"]["since"]
        body = {
            "subscription_id": "s",
            "since": IDS[3] if since == "newest" else since,
        }
        return answer(frame, 201, body)
    return answer(frame)


def asked(stub: WebsocketStub) -> list[Any]:
    frames = [one for one in stub.frames if one["action"] == "subscription_create"]
    return [frame["body"]["since"] for frame in frames]


def test_a_listener_resumes_behind_the_last_notification_that_was_taken(
    ws_stub: WebsocketStub, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    ws_stub.reply = resumes
    with at_once(make_client(ws_stub.url).listen("orders", since="oldest")) as listener:
        ws_stub.peers[-1].send(pushed(1))
        ws_stub.peers[-1].send(pushed(2))
        first = listener.get(10)
        assert first is not None
        assert first.message_id == IDS[1]
        ws_stub.peers[-1].drop()
        second = listener.get(10)  # it came before the end
        assert second is not None
        assert second.message_id == IDS[2]
        assert listener.get(0.01) is None
        ws_stub.wait_until(lambda: len(asked(ws_stub)) == 2)
        ws_stub.peers[-1].send(pushed(2))
        ws_stub.peers[-1].send(pushed(3))
        third = listener.get(10)
        assert third is not None
        assert third.message_id == IDS[3]
    assert asked(ws_stub) == ["oldest", IDS[2]]
    assert "are lost" not in caplog.text


def test_a_listener_that_got_nothing_resumes_where_the_newest_was(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = resumes
    with at_once(make_client(ws_stub.url).listen("orders", since="newest")) as listener:
        ws_stub.peers[-1].drop()
        listener.get(0.01)
        ws_stub.wait_until(lambda: len(asked(ws_stub)) == 2)
    assert asked(ws_stub) == ["newest", IDS[3]]


def test_a_service_that_cannot_resume_is_named(
    ws_stub: WebsocketStub, client: Client
) -> None:
    with pytest.raises(UnsupportedFeature, match="resume"):
        client.listen("orders", since="oldest")
    assert asked(ws_stub) == []


def test_what_hides_the_ids_is_refused(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    ws_stub.reply = resumes
    client = make_client(ws_stub.url)
    with pytest.raises(ValueError, match="post_data"):
        client.listen("orders", since="oldest", options={"post_data": "{}"})
    with pytest.raises(ValueError, match="topic"):
        client.listen("orders", topics=["orders"], since="oldest")
    assert Notification.of(NOTIFICATION).message_id is None
    assert Notification.of("a text").message_id is None
