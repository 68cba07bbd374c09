"""Webhooks against real receivers (``notifications`` section 5)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import threading
import time

import msgspec
import pytest
from receivers import cut, endless, never, receiving, slam, status
from zaqarserver.errors import SettingsError
from zaqarserver.notify.deliverer import Delivered, Failed, Gone, Retry
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.webhook import (
    Target,
    WebhookDeliverer,
    outcome_of,
    retry_after,
    signature,
    signing_key,
)

from .certificates import make_certificate
from .loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    return request.param


KEY = "whsec_" + base64.b64encode(b"k" * 32).decode()
LOCAL = ("127.0.0.0/8",)


@pytest.fixture
async def webhooks():
    """Make open deliverers that may reach loopback."""
    made = []

    async def make(**settings):
        deliverer = WebhookDeliverer(
            NotifySettings(**{"allowed_networks": LOCAL, **settings})
        )
        await deliverer.open()
        made.append(deliverer)
        return deliverer

    yield make
    for deliverer in made:
        await deliverer.close()


async def test_a_message_is_one_request_with_the_object_as_its_content(
    webhooks, notification
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        outcome = await deliverer.deliver(notification(receiver.url()))
    (request,) = receiver.requests
    assert outcome == Delivered()
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.content == (
        b'{"ttl": 300, "body": {"event": "started"}, '
        b'"Message_Type": "Notification", "queue_name": "backups"}'
    )


async def test_what_is_about_the_delivery_travels_as_headers(webhooks, notification):
    deliverer = await webhooks(webhook_signing_key=KEY)
    async with receiving() as receiver:
        await deliverer.deliver(notification(receiver.url(), attempt=3))
    (request,) = receiver.requests
    assert request.headers["webhook-id"] == "m1"
    assert request.headers["webhook-timestamp"] == "1000000"
    assert request.headers["zaqar-delivery-attempt"] == "3"
    signed = b"m1.1000000." + request.content
    expected = base64.b64encode(hmac.digest(b"k" * 32, signed, hashlib.sha256))
    assert request.headers["webhook-signature"] == f"v1,{expected.decode()}"


async def test_without_a_key_there_is_no_signature(webhooks, notification):
    deliverer = await webhooks()
    async with receiving() as receiver:
        await deliverer.deliver(notification(receiver.url()))
    assert "webhook-signature" not in receiver.requests[0].headers


async def test_the_signature_is_that_of_the_standard():
    # The example of the standard's own specification.
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert (
        signature(
            key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
        )
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


async def test_post_headers_are_merged_over_the_content_type(webhooks, notification):
    deliverer = await webhooks()
    wanted = {"content-type": "text/x-order", "X-Project-ID": "p"}
    async with receiving() as receiver:
        await deliverer.deliver(notification(receiver.url(), post_headers=wanted))
    headers = receiver.requests[0].headers
    assert headers["content-type"] == "text/x-order"
    assert headers["x-project-id"] == "p"


async def test_post_data_replaces_the_content(webhooks, notification):
    deliverer = await webhooks()
    async with receiving() as receiver:
        await deliverer.deliver(
            notification(receiver.url(), post_data='{"got": "$zaqar_message$"}')
        )
    assert receiver.requests[0].json["got"]["body"] == {"event": "started"}


@pytest.mark.parametrize(
    "options",
    [
        {"post_headers": {"X-A": "1\r\nX-B: 2"}},
        {"post_headers": {"Transfer-Encoding": "chunked"}},
        {"post_headers": {"webhook-signature": "v1,forged"}},
        {"post_headers": ["x"]},
        {"post_data": {"an": "object"}},
    ],
)
async def test_options_that_cannot_be_followed_fail_for_good(
    webhooks, notification, options
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        outcome = await deliverer.deliver(notification(receiver.url(), **options))
    assert isinstance(outcome, Failed)
    assert receiver.connections == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(200), Delivered()),
        (status(204, body=b""), Delivered()),
        (status(400), Failed("status 400")),
        (status(404), Failed("status 404")),
        (status(410), Gone()),
        (status(429, "Retry-After: 17"), Retry("status 429", 17.0)),
        (status(503, "Retry-After: 99999"), Retry("status 503", 3600)),
        (status(500, "Retry-After: 17"), Retry("status 500", 0.0)),
        (status(599), Retry("status 599", 0.0)),
    ],
)
async def test_the_status_decides(webhooks, notification, answer, outcome):
    deliverer = await webhooks()
    async with receiving(answer) as receiver:
        assert await deliverer.deliver(notification(receiver.url())) == outcome


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_final(webhooks, notification, code):
    deliverer = await webhooks()
    async with receiving() as other:
        answer = status(code, f"Location: {other.url()}")
        async with receiving(answer) as receiver:
            outcome = await deliverer.deliver(notification(receiver.url()))
    assert outcome == Failed(f"status {code}")
    assert other.connections == 0


@pytest.mark.parametrize("answer", [cut, slam])
async def test_a_broken_answer_is_tried_again(webhooks, notification, answer):
    deliverer = await webhooks()
    async with receiving(answer) as receiver:
        outcome = await deliverer.deliver(notification(receiver.url()))
    assert isinstance(outcome, Retry)


async def test_an_answer_that_never_comes_is_given_up(webhooks, notification):
    deliverer = await webhooks(request_timeout=0.2)
    async with receiving(never) as receiver:
        assert await deliverer.deliver(notification(receiver.url())) == Retry("timeout")


async def test_an_endless_answer_is_cut_off(webhooks, notification):
    deliverer = await webhooks(max_response_size=10_000)
    async with receiving(endless) as receiver:
        assert await deliverer.deliver(notification(receiver.url())) == Delivered()


async def test_nobody_listening_is_tried_again(webhooks, notification):
    deliverer = await webhooks()
    async with receiving() as receiver:
        pass
    outcome = await deliverer.deliver(notification(receiver.url()))
    assert outcome == Retry("no answer: ConnectionRefusedError")


async def test_https_needs_a_certificate_that_somebody_vouches_for(
    webhooks, notification, tmp_path
):
    context, ca_file = make_certificate(tmp_path)
    async with receiving(tls=context) as receiver:
        made = notification(receiver.url(host="localhost").replace("http:", "https:"))
        trusting = await webhooks(webhook_ca_file=ca_file)
        assert await trusting.deliver(made) == Delivered()
        wary = await webhooks()
        outcome = await wary.deliver(made)
    assert outcome == Retry("no answer: SSLCertVerificationError")
    assert len(receiver.requests) == 1


class WithToken(WebhookDeliverer):
    """A kind that builds on webhooks: another scheme, and a header of its own."""

    async def target(self, notification):
        url = notification.subscription.subscriber.removeprefix("token+")
        return Target(url, {"X-Auth-Token": "t0ken"})


async def test_a_kind_may_build_on_webhooks(notification):
    deliverer = WithToken(NotifySettings(allowed_networks=LOCAL))
    await deliverer.open()
    async with receiving() as receiver:
        headers = {"X-Auth-Token": "of one's own"}
        await deliverer.deliver(notification("token+" + receiver.url()))
        await deliverer.deliver(
            notification("token+" + receiver.url(), post_headers=headers)
        )
    await deliverer.close()
    tokens = [request.headers["x-auth-token"] for request in receiver.requests]
    assert tokens == ["t0ken", "of one's own"]


async def test_an_unknown_name_is_tried_again(webhooks, notification):
    deliverer = await webhooks()
    outcome = await deliverer.deliver(notification("http://nowhere.invalid/"))
    assert isinstance(outcome, Retry)


async def test_what_speaks_no_tls_is_tried_again(webhooks, notification):
    deliverer = await webhooks(connect_timeout=0.2)
    async with receiving() as receiver:
        url = receiver.url().replace("http:", "https:")
        outcome = await deliverer.deliver(notification(url))
    assert isinstance(outcome, Retry)


@pytest.mark.parametrize(
    "subscriber",
    ["http:", "http://", "http://[::1", "http://a:99999/", "http://" + "a" * 70 + ".x"],
)
async def test_a_subscriber_that_is_no_url_fails_for_good(
    webhooks, notification, subscriber
):
    deliverer = await webhooks()
    made = notification(subscriber)
    assert isinstance(await deliverer.deliver(made), Failed)
    assert isinstance(deliverer.endpoint(made.subscription), str)


async def test_a_connection_is_used_again_and_cookies_are_forgotten(
    webhooks, notification
):
    deliverer = await webhooks()
    async with receiving(status(200, "Set-Cookie: a=b")) as receiver:
        for _ in range(3):
            await deliverer.deliver(notification(receiver.url()))
    assert receiver.connections == 1
    assert not any("cookie" in request.headers for request in receiver.requests)


def raw(text, *, close=False):
    """Answer with these bytes."""

    async def answer(_reader, writer):
        writer.write(text)
        await writer.drain()
        if close:
            writer.close()

    return answer


def run_of(made, number):
    """Return the first of some notifications, and what returns the others."""
    rest = iter([msgspec.structs.replace(made, id=f"m{n}") for n in range(2, number)])
    return msgspec.structs.replace(made, id="m1"), lambda: next(rest, None)


CLOSING = status(200, "Connection: close")
NO_LENGTH = raw(b"HTTP/1.1 200 X\r\n\r\nto the end", close=True)


@pytest.mark.parametrize(
    ("answer", "connections"),
    [(status(200), 1), (CLOSING, 4), (NO_LENGTH, 4)],
    ids=["kept", "closed", "without a length"],
)
async def test_a_run_is_sent_in_order_over_as_many_connections_as_it_takes(
    webhooks, notification, answer, connections
):
    deliverer = await webhooks()
    async with receiving(answer) as receiver:
        run = run_of(notification(receiver.url()), 5)
        assert await deliverer.deliver_all(*run) == Delivered()
    assert [one.headers["webhook-id"] for one in receiver.requests] == [
        *("m1", "m2", "m3", "m4"),
    ]
    assert receiver.connections == connections


async def test_answers_are_read_while_a_turn_of_the_loop_takes_long(
    webhooks, notification
):
    deliverer = await webhooks()
    heard = []

    def answer_all(listener):
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                heard.append(data)
                connection.sendall(b"HTTP/1.1 204 X\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        run = deliverer.deliver_all(*run_of(notification(url), 5))
        sending = asyncio.create_task(run)
        async with asyncio.timeout(30):
            while not heard:  # noqa: ASYNC110 - a thread hears it
                await asyncio.sleep(0)
        end = time.monotonic() + 30
        while len(heard) < 4 and time.monotonic() < end:
            deliverer.proceed()
        assert len(heard) == 4
        assert await sending == Delivered()


async def test_a_run_ends_at_the_first_message_that_is_not_taken(
    webhooks, notification
):
    deliverer = await webhooks()
    async with receiving(status(200), status(500)) as receiver:
        run = run_of(notification(receiver.url()), 5)
        assert await deliverer.deliver_all(*run) == Retry("status 500")
    assert len(receiver.requests) == 2


async def test_answers_that_are_still_to_come_are_waited_for(webhooks, notification):
    deliverer = await webhooks()
    early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
    late = b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"
    async with receiving(raw(early + late)) as receiver:
        made = notification(receiver.url())
        assert await deliverer.deliver(made) == Retry("status 429", 0.0)


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 X\r\nA: " + b"x" * 70_000,
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["long head", "another protocol", "broken chunk"],
)
async def test_an_answer_that_is_not_http_is_tried_again(webhooks, notification, text):
    deliverer = await webhooks()
    async with receiving(raw(text)) as receiver:
        outcome = await deliverer.deliver(notification(receiver.url()))
    assert outcome == Retry("no answer: BrokenAnswer")


async def test_what_comes_after_an_answer_is_not_taken_for_the_next_one(
    webhooks, notification
):
    deliverer = await webhooks()
    gone = b"HTTP/1.1 410 X\r\nContent-Length: 0\r\n\r\n"
    two = b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n" + gone
    async with receiving(raw(two), status(200)) as receiver:
        for _ in range(2):
            assert await deliverer.deliver(notification(receiver.url())) == Delivered()
    assert receiver.connections == 2


async def test_a_connection_that_the_receiver_closed_meanwhile_is_not_used(
    webhooks, notification
):
    deliverer = await webhooks()
    done = raw(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", close=True)
    async with receiving(done) as receiver:
        for _ in range(3):
            assert await deliverer.deliver(notification(receiver.url())) == Delivered()
            (idle,) = deliverer._connections._idle.values()
            async with asyncio.timeout(10):
                while any(one.is_usable for one in idle):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.001)
    assert receiver.connections == 3


async def test_proxies_of_the_environment_are_not_used(
    webhooks, notification, monkeypatch
):
    async with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("http_proxy", proxy.url("/"))
        deliverer = await webhooks()
        await deliverer.deliver(notification(receiver.url()))
    assert (proxy.connections, receiver.connections) == (0, 1)


async def test_endpoints_are_told_apart_by_host_and_port(webhooks, notification):
    deliverer = await webhooks()
    endpoints = [
        deliverer.endpoint(notification(url).subscription)
        for url in (
            "http://user:secret@A.example/x",
            "HTTP://a.example/y",
            "http://a.example:81/",
        )
    ]
    assert endpoints[0] == endpoints[1] != endpoints[2]
    assert "secret" not in endpoints[0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        (" 5 ", 5.0),
        ("Mon, 12 Jan 1970 13:46:50 GMT", 10.0),
        ("Mon, 12 Jan 1970 13:46:30 GMT", 0.0),
        ("9" * 400, 9999999999.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
async def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after(header, 1_000_000.0) == seconds


async def test_statuses_below_200_are_tried_again():
    assert outcome_of(150) == Retry("status 150")


@pytest.mark.parametrize("text", ["short", "whsec_!!", "whsec_" + "A" * 200])
async def test_a_signing_key_that_is_none_stops_the_start(text):
    with pytest.raises(SettingsError, match="webhook_signing_key"):
        WebhookDeliverer(NotifySettings(webhook_signing_key=text))


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_networks": ("10.0.0.0/99",)},
        {"denied_networks": ("x",)},
        {"webhook_ca_file": "/nowhere/ca.pem"},
    ],
)
async def test_settings_that_cannot_be_used_stop_the_start(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        WebhookDeliverer(NotifySettings(**settings))


TARGETS = [
    "/invoke?sp=%2Ftriggers%2Frun&t=5%3Aa",
    "/%28%27%41%2f",
    "/p?",
    "/a/./b/../c",
    "//a//b",
    "/?a=b?c=%zz&d=+%20~'()*",
    '/{x}|^`"\\',
]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_url_is_requested_byte_for_byte_as_it_was_subscribed(
    webhooks, notification, target
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        outcome = await deliverer.deliver(notification(receiver.url(target)))
    assert outcome == Delivered()
    assert receiver.requests[0].line.split(" ")[1] == target


@pytest.mark.parametrize(
    ("typed", "requested"),
    [("", "/"), ("?x=%2F", "/?x=%2F"), ("/a?b#c", "/a?b"), ("/ä", "/%C3%A4")],
)
async def test_a_url_is_completed_as_http_needs_it(
    webhooks, notification, typed, requested
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        await deliverer.deliver(notification(receiver.url(typed)))
    assert receiver.requests[0].line.split(" ")[1] == requested


async def test_the_user_of_a_url_is_sent_as_basic_authentication(
    webhooks, notification
):
    deliverer = await webhooks()
    async with receiving() as receiver:
        url = receiver.url("/p?q=%2F").replace("://", "://joe:p%40ss@")
        await deliverer.deliver(notification(url))
    request = receiver.requests[0]
    assert request.line.startswith("POST /p?q=%2F ")
    wanted = base64.b64encode(b"joe:p@ss").decode()
    assert request.headers["authorization"] == f"Basic {wanted}"
