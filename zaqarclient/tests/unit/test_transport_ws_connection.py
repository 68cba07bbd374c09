"""Answers that find who asked, and connections that break."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websocket import ABNF

from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.http_stub import Answer, HttpStub, Seen
from zaqarclient.tests.ws_stub import (
    NOTIFICATION,
    Frame,
    WebsocketStub,
    answer,
    lists,
    posted,
    raw,
)
from zaqarclient.transport import errors
from zaqarclient.transport.ws import WebsocketTransport
from zaqarclient.transport.ws_socket import WebSocketConnection

MakeClient = Callable[..., Client]


@pytest.fixture
def client(ws_stub: WebsocketStub, make_client: MakeClient) -> Client:
    client = make_client(ws_stub.url)
    client.transport().sleep = lambda _seconds: None
    return client


# -- answers -----------------------------------------------------------------------


def post(client: Client, body: Any) -> Any:
    return client.queue("orders").post({"body": body})["resources"]


def without_ids(said: Frame) -> Frame:
    """An answer of a service that repeats nothing of the request."""
    return {**said, "request": {}, "headers": {"status": said["headers"]["status"]}}


def only_echoed(said: Frame) -> Frame:
    """An answer that has the id where the request is repeated."""
    return {**said, "headers": {"status": said["headers"]["status"]}}


@pytest.mark.parametrize("form", [dict, only_echoed])
def test_answers_in_any_order_reach_who_asked(
    ws_stub: WebsocketStub, client: Client, form: Callable[[Frame], Frame]
) -> None:
    held: list[Frame] = []

    def reply(frame: Frame) -> Any:
        held.append(form(posted(frame)))
        return held[::-1] if len(held) == 8 else None

    ws_stub.reply = reply
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: post(client, number), range(8)))
    assert found == [[f"/v2/queues/orders/messages/m{n}"] for n in range(8)]
    assert len(ws_stub.peers) == 1


def test_answers_without_ids_belong_to_the_frames_in_order(
    ws_stub: WebsocketStub, client: Client
) -> None:
    held: list[Frame] = []

    def reply(frame: Frame) -> Any:
        held.append(without_ids(posted(frame)))
        return held if len(held) == 4 else None

    ws_stub.reply = reply
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: post(client, number), range(4)))
    assert found == [[f"/v2/queues/orders/messages/m{n}"] for n in range(4)]


def test_an_answer_that_comes_too_late_is_nobody_elses(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    client = make_client(ws_stub.url, timeout=0.5)
    late: list[Frame] = []

    def reply(frame: Frame) -> Any:
        late.append(without_ids(posted(frame)))
        return late if len(late) == 2 else None

    ws_stub.reply = reply
    with pytest.raises(errors.TimedOut, match=r"no answer within 0\.5 seconds"):
        post(client, 1)
    assert post(client, 2) == ["/v2/queues/orders/messages/m2"]
    assert len(ws_stub.frames) == 2


def test_a_notification_is_never_an_answer(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lambda frame: [NOTIFICATION, posted(frame), "not JSON"]
    transport: Any = client.transport()
    assert post(client, 7) == ["/v2/queues/orders/messages/m7"]
    assert transport.recv(5) == NOTIFICATION
    assert transport.recv(5) == "not JSON"
    with pytest.raises(errors.TimedOut, match="no notification"):
        transport.recv(0)


def test_an_answer_arrives_behind_more_notifications_than_are_kept(
    ws_stub: WebsocketStub, client: Client
) -> None:
    transport: Any = client.transport()
    many = [{**NOTIFICATION, "body": number} for number in range(1500)]
    ws_stub.reply = lambda frame: [*many, posted(frame), *many]
    post(client, 1)
    ws_stub.reply = posted
    post(client, 2)
    found = [transport.recv(5)["body"] for _ in range(3000)]
    assert found == [*range(1500), *range(1500)]


def test_an_answer_to_no_question_is_dropped(
    ws_stub: WebsocketStub, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    stray = {"request": {}, "body": {}, "headers": {"status": 200, "X-Request-ID": "x"}}
    ws_stub.reply = lambda frame: [stray, posted(frame)]
    assert post(client, 1)
    assert "unknown request id" in caplog.text


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((code, kind) for code, kind in errors.BY_STATUS.items() if code != 401),
        (418, errors.RequestRefused),
        (599, errors.ServerFault),
    ],
)
def test_each_status_raises_the_class_that_it_raises_over_http(
    ws_stub: WebsocketStub,
    make_client: MakeClient,
    status: int,
    kind: type[errors.TransportError],
) -> None:
    ws_stub.reply = lambda frame: answer(frame, status, {"error": "Because."})
    with pytest.raises(errors.TransportError) as caught:
        make_client(ws_stub.url, retries=0).queues()
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.description) == (status, "Because.")
    assert caught.value.title == "Websocket Transport Error"
    assert caught.value.request_id == ws_stub.frames[0]["headers"]["X-Request-ID"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": None, "exception": "It broke."}, "It broke."),
        ({"error": "Unexpected error.", "exception": "req-7"}, "Unexpected error."),
        ("Subscription orders not created.", "Subscription orders not created."),
        ({"odd": 1}, '{"odd": 1}'),
    ],
)
def test_the_words_of_an_error_are_found(
    ws_stub: WebsocketStub, client: Client, body: Any, words: str
) -> None:
    ws_stub.reply = lambda frame: answer(frame, 409, body)
    with pytest.raises(errors.ConflictError) as caught:
        client.queue("q", force_create=True)
    assert caught.value.description == words


def test_an_answer_of_another_form_is_an_error_of_the_service(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lambda frame: answer(frame, 201, {"odd": 1})
    with pytest.raises(errors.ServerFault, match="unknown form") as caught:
        post(client, 1)
    assert '"odd": 1' in (caught.value.text or "")


def test_counters_of_a_missing_queue_are_zeros(
    ws_stub: WebsocketStub, client: Client
) -> None:
    zeros = {"messages": {"claimed": 0, "free": 0, "total": 0}}
    ws_stub.reply = lambda frame: answer(frame, 404, zeros)
    assert client.queue("q").stats == zeros


# -- the thread that reads -----------------------------------------------------------


def test_a_call_reads_its_answer_in_its_own_thread(
    ws_stub: WebsocketStub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[int] = []
    receive = WebSocketConnection.receive

    def noted(self: WebSocketConnection, ends: float) -> str | None:
        text = receive(self, ends)
        readers.extend([threading.get_ident()] if text else [])
        return text

    monkeypatch.setattr(WebSocketConnection, "receive", noted)
    ws_stub.reply = posted
    for number in range(5):
        post(client, number)
    assert threading.get_ident() in readers
    assert len(readers) == 5


def test_a_call_that_times_out_leaves_the_reading_to_another(
    ws_stub: WebsocketStub, make_client: MakeClient
) -> None:
    client = make_client(ws_stub.url, timeout=1.0)
    ws_stub.reply = lambda _frame: None
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, client, 1)
        ws_stub.wait_until(lambda: len(ws_stub.frames) == 1)
        with pytest.raises(errors.TimedOut):
            first.result(10)
        client.transport()._timeout = 30.0
        second = pool.submit(post, client, 2)
        third = pool.submit(post, client, 3)
        ws_stub.wait_until(lambda: len(ws_stub.frames) == 3)
        by_body = {f["body"]["messages"][0]["body"]: f for f in ws_stub.frames}
        ws_stub.peers[0].send(posted(by_body[2]))
        assert second.result(10) == ["/v2/queues/orders/messages/m2"]
        ws_stub.peers[0].send(posted(by_body[3]))
        assert third.result(10) == ["/v2/queues/orders/messages/m3"]


def test_many_threads_share_a_connection(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lambda frame: [NOTIFICATION, posted(frame)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: post(client, number), range(400)))
    assert found == [[f"/v2/queues/orders/messages/m{n}"] for n in range(400)]
    transport: Any = client.transport()
    assert [transport.recv(5) for _ in range(400)] == [NOTIFICATION] * 400
    assert len(ws_stub.peers) == 1


def test_a_listener_and_calls_share_a_connection(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = posted
    transport: Any = client.transport()
    post(client, 0)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(lambda: [transport.recv(10)["body"] for _ in range(50)])
        for number in range(50):
            assert post(client, number) == [f"/v2/queues/orders/messages/m{number}"]
            ws_stub.peers[0].send({**NOTIFICATION, "body": number})
        assert heard.result(20) == list(range(50))


def test_an_interrupted_call_ends_the_connection(
    ws_stub: WebsocketStub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_self: WebSocketConnection, _ends: float) -> str:
        raise KeyboardInterrupt

    ws_stub.reply = posted
    with monkeypatch.context() as patched:
        patched.setattr(WebSocketConnection, "receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            post(client, 1)
    assert post(client, 2) == ["/v2/queues/orders/messages/m2"]
    assert len(ws_stub.peers) == 2


def test_bytes_that_are_not_utf_8_end_the_connection(
    ws_stub: WebsocketStub, client: Client
) -> None:
    def reply(frame: Frame) -> None:
        ws_stub.peers[-1].send_raw(ABNF.OPCODE_TEXT, b'{"a": "\xff"}')

    ws_stub.reply = reply
    with pytest.raises(errors.ConnectionFailed, match="not UTF-8"):
        post(client, 1)
    ws_stub.reply = posted
    assert post(client, 2)


def test_a_ping_of_the_service_is_answered_while_no_call_is_under_way(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = posted
    post(client, 1)
    ws_stub.peers[0].send_raw(ABNF.OPCODE_PING, b"?")
    ws_stub.wait_until(lambda: ws_stub.pongs == 1)


def test_closing_ends_a_call_under_way(ws_stub: WebsocketStub, client: Client) -> None:
    ws_stub.reply = lambda _frame: None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, client, 1)
        ws_stub.wait_until(lambda: len(ws_stub.frames) == 1)
        client.close()
        with pytest.raises(errors.ConnectionFailed):
            waiting.result(10)


# -- connections that break --------------------------------------------------------


def drops(stub: WebsocketStub, times: int) -> None:
    """Make the stub break the first connections at their first frame."""

    def reply(frame: Frame) -> Any:
        if len(stub.frames) <= times:
            stub.peers[-1].drop()
            return None
        if frame["action"] == "limits_get":
            return answer(frame, 404, {"error": "limits_get is not a valid action"})
        listing = frame["action"] == "queue_list"
        return lists(frame) if listing else posted(frame)

    stub.reply = reply


def test_a_safe_call_is_sent_again_over_a_new_connection(
    ws_stub: WebsocketStub, client: Client
) -> None:
    drops(ws_stub, 2)
    assert client.queues()[1] is None
    assert len(ws_stub.peers) == 3


def test_a_post_whose_answer_was_lost_is_not_sent_again(
    ws_stub: WebsocketStub, client: Client
) -> None:
    drops(ws_stub, 1)
    with pytest.raises(errors.ConnectionFailed):
        post(client, 1)
    # The second asks whether the service would recognize the post: it would not.
    assert [frame["action"] for frame in ws_stub.frames] == [
        "message_post",
        "limits_get",
    ]
    assert post(client, 2)


def test_a_connection_that_ended_while_idle_is_opened_again(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = posted
    transport: Any = client.transport()
    post(client, 1)
    reason = (4003).to_bytes(2, "big") + b"Authentication expired."
    ws_stub.peers[0].send_raw(ABNF.OPCODE_CLOSE, reason)
    with pytest.raises(errors.ConnectionFailed, match="4003 Authentication expired"):
        transport.recv(5)
    assert post(client, 2)
    assert len(ws_stub.peers) == 2


def test_an_end_is_noticed_before_the_next_post_is_sent(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = posted
    for number in range(3):
        assert post(client, number) == [f"/v2/queues/orders/messages/m{number}"]
        ws_stub.peers[-1].drop()
    assert len(ws_stub.frames) == len(ws_stub.peers) == 3


def test_a_service_that_is_not_there_was_sent_nothing(make_client: MakeClient) -> None:
    with WebsocketStub().running() as gone:
        pass
    with pytest.raises(errors.ConnectionFailed, match="refused") as caught:
        make_client(gone.url, retries=0).queues()
    assert caught.value.unsent


def test_a_password_in_the_url_is_not_told(make_client: MakeClient) -> None:
    with WebsocketStub().running() as gone:
        pass
    client = make_client(gone.url.replace("ws://", "ws://alice:secret@"), retries=0)
    with pytest.raises(errors.ConnectionFailed, match=r"ws://127\.0\.0\.1") as caught:
        client.queues()
    assert "secret" not in str(caught.value)


def test_a_silent_service_is_noticed_while_nobody_asks(ws_stub: WebsocketStub) -> None:
    ws_stub.answers_pings = False
    with WebsocketTransport({**NOAUTH, "timeout": 0.3}) as transport:
        transport.send(raw(ws_stub, "queue_list"))
        with pytest.raises(errors.ConnectionFailed, match="not even to a ping"):
            transport.recv(5)
    assert ws_stub.pings == 1


def test_an_idle_connection_is_kept_by_pings(ws_stub: WebsocketStub) -> None:
    with WebsocketTransport({**NOAUTH, "timeout": 0.3}) as transport:
        transport.send(raw(ws_stub, "queue_list"))
        ws_stub.wait_until(lambda: ws_stub.pings >= 3)
        ws_stub.peers[0].send(NOTIFICATION)
        assert transport.recv(5) == NOTIFICATION
    assert len(ws_stub.peers) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, errors.ResourceNotFound),
        (502, errors.BadGateway),
        (200, errors.ServerFault),
    ],
)
def test_a_server_without_websocket_is_named(
    stub: HttpStub,
    make_client: MakeClient,
    status: int,
    kind: type[errors.TransportError],
) -> None:
    stub.default = Answer(status, "Hello")
    client = make_client(stub.url.replace("http", "ws"), retries=0)
    with pytest.raises(kind, match="does not take WebSocket connections"):
        client.queues()


def test_a_redirect_is_not_followed(stub: HttpStub, make_client: MakeClient) -> None:
    stub.default = Answer(302, None, {"Location": "ws://127.0.0.1:1/"})
    client = make_client(stub.url.replace("http", "ws"), retries=0)
    with pytest.raises(errors.ConnectionFailed, match=r"(?i)redirect"):
        client.queues()
    assert len(stub.seen) == 1


@pytest.mark.parametrize("path", ["/messaging", "/messaging/", "/a/b", "", "/"])
def test_a_path_that_a_front_end_completes_with_a_slash_is_asked_for_so(
    stub: HttpStub, make_client: MakeClient, path: str
) -> None:
    def front_end(seen: Seen) -> Answer:
        if seen.path.endswith("/"):
            return Answer(426, "Hello")
        return Answer(301, None, {"Location": f"http://127.0.0.1:1{seen.path}/"})

    stub.default = front_end
    client = make_client(stub.url.replace("http", "ws") + path, retries=0)
    with pytest.raises(errors.RequestRefused, match="does not take WebSocket"):
        client.queues()
    slash = path if path.endswith("/") else f"{path}/"
    once = [slash] if path in {"", slash} else [path, slash]
    assert [seen for _, seen in stub.calls()] == once


# -- the end -----------------------------------------------------------------------


def test_closing_says_goodbye_ends_the_thread_and_allows_more(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lists
    before = threading.active_count()
    client.queues()
    client.close()
    ws_stub.wait_until(lambda: ws_stub.closes == 1)
    names = {thread.name for thread in threading.enumerate()}
    assert "zaqar-websocket" not in names
    assert threading.active_count() <= before + 1
    client.queues()
    assert len(ws_stub.peers) == 2


def test_closing_ends_a_wait_for_notifications(ws_stub: WebsocketStub) -> None:
    transport = WebsocketTransport(NOAUTH)
    created = {"subscription_id": "s1"}
    ws_stub.reply = lambda frame: answer(frame, 201, created)
    transport.send(raw(ws_stub, "subscription_create", queue_name="q"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(transport.recv)
        transport.close()
        with pytest.raises((errors.ConnectionFailed, InvalidOperation)):
            waiting.result(5)
    assert len(ws_stub.peers) == 1


def test_waiting_without_a_connection_makes_no_sense() -> None:
    with pytest.raises(InvalidOperation, match="subscribe first"):
        WebsocketTransport().recv(1)


def test_a_forked_process_opens_a_connection_of_its_own(
    ws_stub: WebsocketStub, client: Client
) -> None:
    ws_stub.reply = lists
    client.queues()
    pid = os.fork()
    if pid == 0:
        failed = 1
        try:
            client.queues()
            failed = 0
        finally:
            os._exit(failed)
    assert os.waitpid(pid, 0)[1] == 0
    client.queues()
    assert len(ws_stub.frames) == 3
    assert len(ws_stub.peers) == 2
