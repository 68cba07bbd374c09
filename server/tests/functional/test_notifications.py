"""Notifications of a real server: webhooks, mail, confirmation."""

import base64
import email
import hashlib
import hmac
import http.client
import json
import stat
import time

import pytest
from receivers import Receivers, good, status

CLIENT = "3381af922b9e11e3b19171861300734c"
PATIENCE = 30.0
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
def receivers():
    """Webhook receivers."""
    with Receivers() as made:
        yield made


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        sent = {"Client-ID": CLIENT, "X-Project-ID": "p", **headers}
        connection.request(
            method, path, None if body is None else json.dumps(body), sent
        )
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None
    finally:
        connection.close()


def subscribe(server, name, subscriber, kind="queues", **members):
    path = f"/v2/{kind}/{name}/subscriptions"
    status, body = ask(server, "POST", path, {"subscriber": subscriber, **members})
    assert status == 201, body
    return body["subscription_id"]


def post(server, name, *bodies, ttl=300, kind="queues"):
    messages = [{"body": body, "ttl": ttl} for body in bodies]
    status, body = ask(
        server, "POST", f"/v2/{kind}/{name}/messages", {"messages": messages}
    )
    assert status == 201
    return [href.rsplit("/", 1)[1] for href in body["resources"]]


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # waits for another process, up to the deadline
    return found


def hook(port):
    return f"http://127.0.0.1:{port}/in"


# -- webhooks ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def signing(server_factory):
    """A server that signs its webhooks."""
    return server_factory(options=f"[notification]\nwebhook_signing_key = whsec_{KEY}")


def test_a_webhook_gets_each_message_with_four_keys_in_order(signing, receivers):
    port = receivers.open()
    subscribe(signing, "orders", hook(port))
    ids = post(signing, "orders", {"sku": 7}, "é")
    wait_for(lambda: len(receivers.requests[port]) == 2)
    for number, body in enumerate(({"sku": 7}, "é")):
        request = receivers.requests[port][number]
        headers, content = request.headers, request.content
        assert content.isascii()
        assert json.loads(content) == {
            "ttl": 300,
            "body": body,
            "Message_Type": "Notification",
            "queue_name": "orders",
        }
        assert headers["Content-Type"] == "application/json"
        assert headers["webhook-id"] == ids[number]
        signed = f"{ids[number]}.{headers['webhook-timestamp']}.".encode() + content
        digest = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_templates_and_headers_of_the_subscription_are_used(server, receivers):
    port = receivers.open()
    options = {
        "post_data": '{"msg": "$zaqar_message$"}',
        "post_headers": {"X-Mine": "yes", "Content-Type": "text/x-own"},
    }
    subscribe(server, "templated", hook(port), options=options)
    post(server, "templated", 1)
    wait_for(lambda: receivers.requests[port])
    (request,) = receivers.requests[port]
    headers = request.headers
    assert request.json["msg"]["body"] == 1
    assert (headers["X-Mine"], headers["Content-Type"]) == ("yes", "text/x-own")


def test_a_filter_lets_only_matching_messages_through(server, receivers):
    port = receivers.open()
    wanted = {"/status": {"any_of": ["paid"]}}
    subscribe(server, "filtered", hook(port), options={"filter": wanted})
    post(server, "filtered", {"status": "open"}, {"status": "paid"}, "paid")
    wait_for(lambda: receivers.received(port))
    post(server, "filtered", {"status": "paid", "n": 2})
    wait_for(lambda: len(receivers.received(port)) == 2)
    bodies = [body for _, body in receivers.received(port)]
    assert bodies == [{"status": "paid"}, {"status": "paid", "n": 2}]


def test_a_wrong_filter_is_refused_by_name(server):
    body = {"subscriber": "http://x.example/", "options": {"filter": {"status": 1}}}
    status, answer = ask(server, "POST", "/v2/queues/q/subscriptions", body)
    assert status == 400
    assert "status" in answer["description"]


def test_a_failure_is_tried_again_and_later_messages_wait_their_turn(server, receivers):
    port = receivers.open(status(500), status(503), good)
    subscribe(server, "retried", hook(port))
    post(server, "retried", 1, 2)
    wait_for(lambda: len(receivers.received(port)) == 4)
    assert [body for _, body in receivers.received(port)] == [1, 1, 1, 2]
    attempts = [
        one.headers["Zaqar-Delivery-Attempt"] for one in receivers.requests[port]
    ]
    assert attempts == ["1", "2", "3", "1"]


def test_a_subscriber_that_is_gone_is_unsubscribed(server, receivers):
    port = receivers.open(status(410))
    id_ = subscribe(server, "gone", hook(port))
    post(server, "gone", 1)
    path = f"/v2/queues/gone/subscriptions/{id_}"
    wait_for(lambda: ask(server, "GET", path)[0] == 404)


def test_notifications_of_other_projects_are_not_sent(server, receivers):
    port = receivers.open()
    subscribe(server, "tenants", hook(port))
    document = {"messages": [{"body": "theirs"}]}
    path = "/v2/queues/tenants/messages"
    assert ask(server, "POST", path, document, **{"X-Project-ID": "other"})[0] == 201
    post(server, "tenants", "ours")
    wait_for(lambda: receivers.received(port))
    assert [body for _, body in receivers.received(port)] == ["ours"]


def test_notifications_are_counted(server, receivers):
    port = receivers.open()
    subscribe(server, "counted", hook(port))
    post(server, "counted", 1)

    def counted():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return 'zaqar_notifications_total{event="sent",kind="http"}' in text

    wait_for(counted)


# -- mail --------------------------------------------------------------------------


def test_a_mail_is_given_to_the_command(server_factory, tmp_path):
    script = tmp_path / "sendmail"
    script.write_text(
        f"#!/bin/sh\ncat > {tmp_path}/$$.part\nmv {tmp_path}/$$.part {tmp_path}/mail\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    server = server_factory(options=f"[notification]\nsmtp_command = {script}")
    subscribe(
        server,
        "backups",
        "mailto:joe@mail.example?subject=Hello",
        options={"from": "zaqar@mail.example"},
    )
    post(server, "backups", {"event": "BackupStarted"})
    wait_for((tmp_path / "mail").exists)
    mail = email.message_from_bytes((tmp_path / "mail").read_bytes())
    assert (mail["to"], mail["from"], mail["subject"]) == (
        "joe@mail.example",
        "zaqar@mail.example",
        "Hello",
    )
    assert json.loads(mail.get_payload()) == {
        "ttl": 300,
        "body": {"event": "BackupStarted"},
        "Message_Type": "Notification",
        "queue_name": "backups",
    }
    server.stop()


# -- confirmation --------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(server_factory):
    """A server that notifies only those who agreed."""
    return server_factory(
        options="[signed_url]\nsecret_key = s3cret\n"
        "[notification]\nrequire_confirmation = true\n"
        "public_url = http://public.example:8888"
    )


def answer_request(server, request, confirmed):
    """Answer a confirmation request as a subscriber does, without credentials."""
    names = ("URL-Signature", "URL-Methods", "URL-Paths", "URL-Expires", "X-Project-ID")
    headers = {name: request[name] for name in names}
    return ask(
        server, "PUT", request["URL-Paths"], {"confirmed": confirmed}, **headers
    )[0]


@pytest.mark.parametrize("kind", ["queues", "topics"])
def test_a_subscriber_gets_messages_once_it_agreed_and_until_it_leaves(
    asking, receivers, kind
):
    port = receivers.open()
    id_ = subscribe(asking, "orders", hook(port), kind)

    def post_body(body):
        post(asking, "orders", body, kind=kind)

    def documents():
        return [one.json for one in receivers.requests[port]]

    wait_for(documents)
    (request,) = documents()
    path = f"/v2/{kind}/orders/subscriptions/{id_}/confirm"
    assert request["Message_Type"] == "SubscriptionConfirmation"
    assert request["URL-Paths"] == path
    assert request["WSGISubscribeURL"] == f"http://public.example:8888{path}"
    assert request["SubscribeBody"] == {"confirmed": True}
    assert f" {kind[:-1]} orders" in request["Message"]
    assert (request["X-Project-ID"], request["queue_name"]) == ("p", "orders")

    post_body("too early")
    forged = {**request, "URL-Signature": "0" * 64}
    assert answer_request(asking, forged, True) == 404
    assert answer_request(asking, request, True) == 204
    post_body("wanted")
    wait_for(lambda: len(documents()) == 2)
    assert documents()[1]["body"] == "wanted"
    assert documents()[1]["queue_name"] == "orders"

    assert answer_request(asking, request, False) == 204
    wait_for(lambda: len(documents()) == 3)
    farewell = documents()[2]
    assert farewell["Message_Type"] == "UnsubscribeConfirmation"
    post_body("not wanted")
    assert answer_request(asking, farewell, True) == 204
    post_body("wanted again")
    wait_for(lambda: len(documents()) == 4)
    assert documents()[3]["body"] == "wanted again"


def test_subscribing_again_asks_again(asking, receivers):
    port = receivers.open()
    first = subscribe(asking, "again", hook(port))
    wait_for(lambda: len(receivers.requests[port]) == 1)
    assert subscribe(asking, "again", hook(port)) == first
    wait_for(lambda: len(receivers.requests[port]) == 2)
