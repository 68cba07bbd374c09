"""Pushes to open WebSockets (``websocket-v2`` 6.4 and 8)."""

import json

import msgspec
import pytest

from .frames import CLIENT, Socket, post

TEXT = {
    "ttl": 120,
    "body": {"sku": 7},
    "Message_Type": "Notification",
    "queue_name": "orders",
}


def subscribe(peer, queue="orders", **members):
    status, body = peer.do("subscription_create", queue_name=queue, **members)
    assert status == 201, body
    assert body["message"] == f"Subscription {queue} created."
    return body["subscription_id"]


def test_a_subscribed_connection_gets_what_is_posted_with_four_keys(connect):
    peer, poster = connect(), connect()
    subscribe(peer)
    post(poster, {"sku": 7}, "é", ttl=120)
    assert peer.receive() == ("text", TEXT)
    assert peer.receive()[1]["body"] == "é"


def test_a_poster_gets_its_answer_before_the_push(connect):
    peer = connect()
    subscribe(peer)
    for number in range(50):
        post(peer, number)
        assert peer.receive()[1]["body"] == number


def test_the_newest_subscription_says_in_which_encoding_pushes_come(connect):
    peer, poster = connect(), connect()
    subscribe(peer, "one")
    peer.binary = True
    subscribe(peer, "two")
    post(poster, 1, queue="one")
    assert peer.receive()[0] == "binary"
    peer.binary = False
    peer.do("queue_list")
    post(poster, 2, queue="two")
    assert peer.receive()[0] == "binary"
    subscribe(peer, "three")
    post(poster, 3, queue="one")
    assert peer.receive()[0] == "text"


def test_a_push_subscription_is_shown_as_an_ordinary_one_and_can_be_deleted(connect):
    peer, other = connect(), connect()
    id_ = subscribe(peer, ttl=600, options={"a": 1})
    status, shown = other.do(
        "subscription_get", queue_name="orders", subscription_id=id_
    )
    assert status == 200
    assert shown["subscriber"].startswith("http://")
    assert {
        key: shown[key] for key in ("ttl", "age", "options", "source", "confirmed")
    } == {
        "ttl": 600,
        "age": 0,
        "options": {"a": 1},
        "source": "orders",
        "confirmed": False,
    }
    assert other.do("subscription_list", queue_name="orders")[1]["subscriptions"] == [
        shown
    ]
    assert other.do(
        "subscription_delete", queue_name="orders", subscription_id=id_
    ) == (
        204,
        f"Subscription {id_} removed.",
    )
    post(other, 1)
    peer.do("queue_list")  # its answer comes next: nothing was pushed before it


def test_a_connection_subscribes_once_a_queue(connect):
    peer = connect()
    subscribe(peer)
    assert peer.do("subscription_create", queue_name="orders") == (
        409,
        "Subscription orders not created.",
    )
    subscribe(peer, "others")


def test_a_subscription_ends_with_its_connection(connect):
    peer, other = connect(), connect()
    subscribe(peer)
    lasting = other.do(
        "subscription_create", queue_name="orders", subscriber="http://x.example/"
    )
    assert lasting[0] == 201
    peer.peer.close()
    while (
        len(other.do("subscription_list", queue_name="orders")[1]["subscriptions"]) > 1
    ):
        pass
    left = other.do("subscription_list", queue_name="orders")[1]["subscriptions"]
    assert [item["id"] for item in left] == [lasting[1]["subscription_id"]]


def test_a_template_is_filled_in_and_sent_as_text_if_it_is_no_json(connect):
    peer, poster = connect(binary=True), connect()
    subscribe(peer, options={"post_data": 'got "$zaqar_message$"!'})
    post(poster, {"sku": 7}, ttl=120)
    _, data = peer.peer.recv_data()
    assert data.decode() == f"got {json.dumps(TEXT)}!"


def test_other_projects_are_not_heard(connect):
    peer, poster = connect(), connect()
    subscribe(peer)
    poster.headers = {"Client-ID": CLIENT, "X-Project-ID": "another"}
    post(poster, "secret")
    assert peer.do("queue_get", queue_name="orders")[0] == 200


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"ttl": 59}, 400),
        ({"ttl": "60"}, 400),
        ({"options": 7}, 400),
        ({"subscriber": "fake:x"}, 400),
        ({"subscriber": "http://x.example/", "ttl": 60}, 201),
    ],
    ids=str,
)
def test_subscriptions_have_the_rules_of_rest(connect, members, status):
    assert connect().do("subscription_create", queue_name="q", **members)[0] == status


def test_subscriptions_are_changed_and_confirmed(connect):
    peer = connect()
    id_ = subscribe(peer, subscriber="http://x.example/")
    where = {"queue_name": "orders", "subscription_id": id_}
    assert peer.do("subscription_update", **where, ttl=100) == (204, {})
    assert peer.do("subscription_confirm", **where, confirmed=True) == (204, {})
    shown = peer.do("subscription_get", **where)[1]
    assert (shown["ttl"], shown["confirmed"]) == (100, True)
    assert peer.do("subscription_update", **where)[0] == 400
    where["subscription_id"] = "none"
    status, body = peer.do("subscription_get", **where)
    assert status == 404
    assert body == {
        "exception": "Subscription none does not exist",
        "error": "Subscription none for queue orders does not exist.",
    }


def test_a_subscriber_that_does_not_read_is_dropped_and_others_go_on(connect):
    deaf, peer, poster = connect(), connect(), connect()
    for one in (deaf, peer):
        subscribe(one)
    filler = "x" * 200_000
    for number in range(400):
        post(poster, [number, filler])
        assert peer.receive()[1]["body"][0] == number
        status, body = poster.do("subscription_list", queue_name="orders")
        if len(body["subscriptions"]) == 1:
            break
    assert (status, len(body["subscriptions"])) == (200, 1)


def test_pushes_in_messagepack_are_maps(connect):
    peer, poster = connect(binary=True), connect()
    subscribe(peer)
    post(poster, {"sku": 7}, ttl=120)
    _, data = peer.peer.recv_data()
    assert msgspec.msgpack.decode(data) == TEXT


def test_a_silent_connection_is_closed_unless_it_listens(server_factory):
    server = server_factory(options="[websocket]\nidle_timeout = 1")
    silent = Socket(server.websocket_url)
    listening = Socket(server.websocket_url)
    subscribe(listening)
    frame = silent.peer.recv_frame()
    assert int.from_bytes(frame.data[:2], "big") == 1001
    poster = Socket(server.websocket_url)
    post(poster, 1)
    assert listening.receive()[1]["body"] == 1
    for one in (silent, listening, poster):
        one.peer.shutdown()
    server.stop()


def test_a_change_of_a_push_subscription_is_followed(connect):
    peer, poster = connect(), connect()
    id_ = subscribe(peer)
    where = {"queue_name": "orders", "subscription_id": id_}
    wanted = {"filter": {"/n": {"at_least": 5}}}
    assert peer.do("subscription_update", **where, options=wanted)[0] == 204
    post(poster, {"n": 1}, {"n": 7})
    assert peer.receive()[1]["body"] == {"n": 7}
    hook = "http://hook.example/"
    assert peer.do("subscription_update", **where, subscriber=hook)[0] == 204
    post(poster, {"n": 8})
    peer.do("queue_list")  # its answer comes next: nothing was pushed before it
    peer.peer.close()
    shown = poster.do("subscription_get", **where)[1]
    assert shown["subscriber"] == hook


def test_a_connection_may_listen_to_a_topic_until_it_ends(connect):
    peer, poster = connect(), connect()
    status, body = peer.do("topic_subscription_create", topic_name="orders", ttl=600)
    assert status == 201
    assert body["message"] == "Subscription orders created."
    post(poster, "to the queue of this name")
    messages = [{"body": {"sku": 7}, "ttl": 120}]
    poster.do("topic_message_post", topic_name="orders", messages=messages)
    assert peer.receive() == ("text", TEXT)
    peer.peer.close()
    listed = {"subscriptions": [None]}
    while listed["subscriptions"]:
        _, listed = poster.do("topic_subscription_list", topic_name="orders")
