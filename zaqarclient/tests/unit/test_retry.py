"""Retries and timeouts."""

from __future__ import annotations

import datetime as dt
import email.utils
import socket
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import requests

from zaqarclient.common import http
from zaqarclient.errors import UnsupportedFeature
from zaqarclient.queues.v2.api import OPERATIONS, V2
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub, Seen
from zaqarclient.tests.ws_stub import WebsocketStub
from zaqarclient.tests.ws_stub import answer as ws_answer
from zaqarclient.transport import errors, retry
from zaqarclient.transport.api import Retry
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    transport = HttpTransport({})
    transport.sleep = mock.Mock()
    yield transport
    transport.close()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_sent_again_after_a_passing_failure(
    status: int, client: Client, stub: HttpStub
) -> None:
    stub.answers = [Answer(status), Answer(status)]
    stub.default = Answer(200, {"messages": {"total": 3}})
    assert client.queue("q").stats == {"messages": {"total": 3}}
    assert len(stub.seen) == 3
    assert stub.connections == 1


@pytest.mark.parametrize("status", [400, 404, 409, 500, 501])
def test_other_failures_are_not_sent_again(
    status: int, client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(status)
    with pytest.raises(errors.TransportError):
        client.queues()
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("status", "attempts"), [(429, 2), (503, 2), (502, 1), (504, 1)]
)
@pytest.mark.parametrize(
    "act",
    [
        lambda queue: queue.post({"body": 1}),
        lambda queue: queue.pop(),
        lambda queue: queue.claim(),
    ],
    ids=["post", "pop", "claim"],
)
def test_what_must_not_happen_twice_is_repeated_only_if_nothing_was_changed(
    act: Callable[[Any], object],
    status: int,
    attempts: int,
    queue: Any,
    stub: HttpStub,
) -> None:
    stub.answers = [Answer(status)]
    stub.default = Answer(200, {"messages": [], "resources": []})
    if attempts == 1:
        with pytest.raises(errors.TransportError):
            act(queue)
    else:
        act(queue)
    assert len(calls(stub)) == attempts


def calls(stub: HttpStub) -> list[Any]:
    """What the stub saw, but for questions whether the service has extensions."""
    return [seen for seen in stub.seen if seen.path != "/v2/limits"]


def test_a_broken_connection_repeats_a_read_but_not_a_post(
    queue: Any, stub: HttpStub
) -> None:
    stub.answers = [Answer(0)]
    stub.default = Answer(200, {"resources": []})
    queue.stats  # noqa: B018 - reading it is the call
    assert len(stub.seen) == 2
    stub.answers = [Answer(0)]
    with pytest.raises(errors.ConnectionFailed) as caught:
        queue.post({"body": 1})
    assert len(calls(stub)) == 3
    assert not caught.value.unsent
    assert isinstance(caught.value, requests.exceptions.ConnectionError)


def service_with_keys(seen: Seen) -> Answer:
    """Answer as a service that has the extension, and remembers every key."""
    if seen.path == "/v2/limits":
        return Answer(200, {"features": ["idempotency"], "limits": {}})
    hrefs = {"resources": ["/v2/queues/q/messages/m1"]}
    return Answer(201, hrefs, {"Idempotency-Replayed": "true"})


@pytest.mark.parametrize("lost", [Answer(0), Answer(502), Answer(504)])
def test_a_post_is_sent_again_under_its_key_where_the_service_knows_keys(
    lost: Answer, queue: Any, stub: HttpStub
) -> None:
    stub.answers = [lost]
    stub.default = service_with_keys
    answer = queue.post({"body": 1})
    assert (answer.ids, answer.is_replay) == (["m1"], True)
    first, again = calls(stub)
    key = first.headers["idempotency-key"]
    assert again.headers["idempotency-key"] == key
    queue.post({"body": 1})
    assert calls(stub)[2].headers["idempotency-key"] != key
    assert len(stub.seen) - len(calls(stub)) == 1  # the service is asked once


def test_a_key_of_the_caller_goes_out(queue: Any, stub: HttpStub) -> None:
    stub.default = service_with_keys
    queue.post({"body": 1}, idempotency_key="build-47")
    assert stub.last.headers["idempotency-key"] == "build-47"


def test_a_key_that_the_service_would_ignore_is_refused(
    queue: Any, stub: HttpStub
) -> None:
    stub.default = Answer(404)
    with pytest.raises(UnsupportedFeature, match="'idempotency'"):
        queue.post({"body": 1}, idempotency_key="build-47")
    assert calls(stub) == []


def test_a_post_is_sent_once_the_service_listens(
    make_client: Callable[..., Client],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    client = make_client(url, retries=2)
    waits: list[float] = []
    client.transport().sleep = waits.append
    with pytest.raises(errors.ConnectionFailed) as caught:
        client.queue("q").post({"body": 1})
    assert caught.value.unsent
    assert len(waits) == 2
    with pytest.raises(requests.exceptions.ConnectionError):
        client.queue("q").post({"body": 1})


def test_the_number_of_retries_is_bounded_by_the_configuration(
    stub: HttpStub, make_client: Callable[..., Client]
) -> None:
    stub.default = Answer(503)
    for retries, attempts in ((0, 1), (5, 6)):
        client = make_client(stub.url, retries=retries)
        client.transport().sleep = lambda _seconds: None
        stub.seen.clear()
        with pytest.raises(errors.ServiceUnavailableError):
            client.queues()
        assert len(stub.seen) == attempts


def test_a_ping_says_how_things_stand_now(client: Client, stub: HttpStub) -> None:
    for status in (404, 500, 502, 503):
        stub.answers = [Answer(status)]
        assert client.ping() is False
    stub.answers = [Answer(0)]
    assert client.ping() is False
    assert len(stub.seen) == 5
    stub.default = Answer(204)
    assert client.ping() is True


def test_the_wait_is_at_least_what_the_server_asks_for(
    stub: HttpStub, make_client: Callable[..., Client]
) -> None:
    waits: list[float] = []
    client = make_client(stub.url, retries=4)
    client.transport().sleep = waits.append
    soon = email.utils.format_datetime(
        dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
    )
    stub.answers = [
        Answer(503, None, {"Retry-After": "7"}),
        Answer(503, None, {"Retry-After": soon}),
        Answer(503, None, {"Retry-After": soon.replace("+0000", "-0000")}),
        Answer(503, None, {"Retry-After": "soon"}),
    ]
    client.queues()
    assert waits[0] == 7
    assert 10 < waits[1] <= 20
    assert 10 < waits[2] <= 20
    assert waits[3] < 2


def test_a_server_that_asks_for_a_long_pause_is_not_waited_for(
    client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(503, None, {"Retry-After": "3600"})
    with pytest.raises(errors.ServiceUnavailableError) as caught:
        client.queues()
    assert caught.value.retry_after == 3600
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("most", "attempts"), [(None, 2), (0, 1), (6, 1), (7, 2), ("7", 2)]
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_longest_pause_that_a_server_may_ask_for_is_configurable(
    status: int,
    most: Any,
    attempts: int,
    stub: HttpStub,
    make_client: Callable[..., Client],
) -> None:
    waits: list[float] = []
    client = make_client(stub.url, max_retry_after=most)
    client.transport().sleep = waits.append
    stub.answers = [Answer(status, None, {"Retry-After": "7"})]
    stub.default = Answer(201, {"resources": ["x"]})
    if attempts == 1:
        with pytest.raises(errors.TransportError) as caught:
            client.queue("q").post({"body": 1})
        assert caught.value.retry_after == 7
    else:
        client.queue("q").post({"body": 1})
    assert len(stub.seen) == attempts
    assert waits == [7.0] * (attempts - 1)


def test_without_a_pause_asked_for_a_busy_service_is_still_tried_again(
    stub: HttpStub, make_client: Callable[..., Client]
) -> None:
    client = make_client(stub.url, max_retry_after=0)
    client.transport().sleep = lambda _seconds: None
    stub.answers = [Answer(503)]
    client.queues()
    assert len(stub.seen) == 2


@pytest.mark.parametrize("wrong", ["soon", -1, float("inf")])
def test_a_longest_pause_that_is_none_is_refused(
    wrong: object, make_client: Callable[..., Client]
) -> None:
    with pytest.raises(ValueError, match="max_retry_after must be a number above -1"):
        make_client("http://127.0.0.1:8888", max_retry_after=wrong)


def test_a_frame_that_asks_to_wait_is_sent_again_after_the_pause(
    ws_stub: WebsocketStub, make_client: Callable[..., Client]
) -> None:
    waits: list[float] = []
    asked = [{"error": "Too many requests.", "retry_after": 3}]

    def reply(frame: Any) -> Any:
        if asked:
            return ws_answer(frame, 429, asked.pop())
        return ws_answer(frame, 201, {"message_ids": ["m1"]})

    ws_stub.reply = reply
    client = make_client(ws_stub.url)
    client.transport().sleep = waits.append
    client.queue("q").post({"body": 1})
    assert ws_stub.actions == ["message_post", "message_post"]
    assert waits == [3.0]


def test_what_is_sent_again_is_logged_with_the_id_of_the_request(
    client: Client, stub: HttpStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "zaqarclient")
    said = {"title": "Busy", "description": "Try again later."}
    stub.answers = [Answer(503, said, {"X-OpenStack-Request-ID": "req-7"})]
    client.queues()
    assert "Try again later. Request req-7. Sending again in 0." in caplog.text


def test_pauses_double_up_to_a_bound_and_differ() -> None:
    error = errors.ServiceUnavailableError()

    def pause(sent: int) -> float:
        delay = retry.retry_delay(error, Retry.SAFE, sent, retry.RetryPolicy(50))
        assert delay is not None
        return delay

    assert 0.1 <= pause(1) <= 0.2
    assert 0.4 <= pause(3) <= 0.8
    assert 2.5 <= pause(40) <= 5
    assert len({pause(3) for _ in range(20)}) > 1


def test_a_silent_service_is_a_timeout_that_is_not_repeated(
    stub: HttpStub, make_client: Callable[..., Client]
) -> None:
    stub.default = stub.hang
    client = make_client(stub.url, timeout=0.05)
    with pytest.raises(errors.TimedOut) as caught:
        client.queues()
    assert isinstance(caught.value, requests.exceptions.Timeout)
    assert isinstance(caught.value, errors.TransportError)
    assert not caught.value.unsent
    assert len(stub.seen) == 1


def test_no_request_is_without_timeout(
    client: Client, stub: HttpStub, transport: HttpTransport
) -> None:
    """Acceptance 6."""
    client.queues()
    session = client._auth_backend()._connection._session
    with mock.patch.object(
        session.session, "request", wraps=session.session.request
    ) as sent:
        client.queues()
    assert sent.call_args.kwargs["timeout"] == (10.0, 60.0)
    adapter = transport.client.session.get_adapter(stub.url)
    with mock.patch.object(adapter, "send", wraps=adapter.send) as sent:
        transport.send(Request(stub.url))
    assert sent.call_args.kwargs["timeout"] == (10.0, 60.0)


def test_an_untrusted_certificate_is_not_tried_again() -> None:
    error = http.network_error(requests.exceptions.SSLError("self-signed"))
    assert retry.retry_delay(error, Retry.SAFE, 1, retry.RetryPolicy()) is None
    assert "self-signed" in str(error)


@pytest.mark.parametrize(
    ("cause", "kind", "repeated"),
    [
        (requests.exceptions.ConnectTimeout(), errors.TimedOut, set(Retry)),
        (requests.exceptions.ReadTimeout(), errors.TimedOut, set()),
        (requests.exceptions.ConnectionError(), errors.ConnectionFailed, {Retry.SAFE}),
        (
            requests.exceptions.ChunkedEncodingError(),
            errors.ConnectionFailed,
            {Retry.SAFE},
        ),
        (requests.exceptions.InvalidURL(), errors.ConnectionFailed, set()),
    ],
)
def test_a_failure_is_repeated_where_it_is_transient_and_harmless(
    cause: requests.RequestException,
    kind: type[errors.NetworkError],
    repeated: set[Retry],
) -> None:
    error = http.network_error(cause)
    assert isinstance(error, kind)
    again = {
        r
        for r in Retry
        if retry.retry_delay(error, r, 1, retry.RetryPolicy()) is not None
    }
    assert again == repeated - {Retry.NEVER}


def test_only_the_network_is_behind_a_network_error() -> None:
    cause = requests.exceptions.ConnectionError()
    outer = RuntimeError("outer")
    outer.__context__ = cause
    assert http.network_cause(outer) is cause
    assert http.network_cause(ValueError("no network in this")) is None


def test_only_what_can_be_done_twice_is_repeated_freely() -> None:
    careful = {
        name for name, row in OPERATIONS.items() if row.retry is Retry.UNACCEPTED
    }
    assert careful == {
        "queue_update",
        "queue_purge",
        "queue_redrive",
        "message_release",
        "message_bury",
        "message_post",
        "message_pop",
        "claim_create",
        "subscription_create",
        "topic_update",
        "topic_purge",
        "topic_message_post",
        "topic_message_pop",
        "topic_subscription_create",
    }
    assert V2().retry("message_delete_many", {"pop": 1}) is Retry.UNACCEPTED
    assert V2().retry("message_delete_many", {"ids": ["a"]}) is Retry.SAFE


def test_a_network_error_says_where_and_why(
    stub: HttpStub, make_client: Callable[..., Client]
) -> None:
    def words_of(client: Client) -> str:
        with pytest.raises(errors.NetworkError) as caught:
            client.queues()
        return str(caught.value)

    stub.default = Answer(0)
    assert words_of(make_client(stub.url, retries=0)) == (
        "The connection to the service failed. "
        f"Description: {stub.url}: Remote end closed connection without response."
    )
    refused = words_of(make_client("http://127.0.0.1:1", retries=0))
    assert refused.endswith(" http://127.0.0.1:1: Connection refused.")
    stub.default = stub.hang
    late = words_of(make_client(stub.url, timeout=0.05))
    assert late.startswith(
        f"The service did not answer in time. Description: {stub.url}: "
    )
    assert "Read timed out" in late
