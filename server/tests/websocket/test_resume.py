"""Pushes that begin with the messages of the queue (``extensions`` 10)."""

import contextlib
import random
import threading
import uuid

import pytest
import websocket

from .frames import Socket, post


@pytest.fixture(scope="module")
def redis_store_server(server_factory, redis_server):
    prefix = uuid.uuid4().hex
    return server_factory(uri=f"{redis_server.uri}?prefix={prefix}")


@pytest.fixture(params=["server", "redis_store_server"])
def connect(request, tmp_path):
    """Make sockets of a project of their own, on each store."""
    server = request.getfixturevalue(request.param)
    with contextlib.ExitStack() as stack:

        def make(**how):
            made = Socket(server.websocket_url, str(tmp_path), **how)
            stack.callback(made.peer.shutdown)
            return made

        yield make


def resume(peer, since, queue="orders", **members):
    status, body = peer.do(
        "subscription_create", queue_name=queue, since=since, **members
    )
    assert status == 201, body
    return body


def pushed(peer, count):
    """Return the ids and bodies of the next pushes."""
    frames = [peer.receive()[1] for _ in range(count)]
    return [(one["message_id"], one["body"]) for one in frames]


def test_a_push_with_since_has_one_member_more(connect):
    peer = connect()
    resume(peer, "oldest")
    (id_,) = post(peer, {"sku": 7}, ttl=120)
    assert peer.receive()[1] == {
        "ttl": 120,
        "body": {"sku": 7},
        "Message_Type": "Notification",
        "queue_name": "orders",
        "message_id": id_,
    }


def test_all_that_is_there_comes_first_and_then_what_is_posted(connect):
    poster, peer = connect(), connect()
    ids = [id_ for n in range(5) for id_ in post(poster, *range(n * 20, n * 20 + 20))]
    status, claim = poster.do("claim_create", queue_name="orders", limit=3)
    assert status == 201
    resume(peer, "oldest")
    ids += post(poster, *range(100, 107))
    assert pushed(peer, 107) == list(zip(ids, range(107), strict=True))
    later = connect()
    poster.do(
        "message_delete",
        queue_name="orders",
        message_id=ids[0],
        claim_id=claim["claim_id"],
    )
    assert resume(later, ids[0])["since"] == ids[0]
    assert pushed(later, 106) == list(zip(ids[1:], range(1, 107), strict=True))


def test_delayed_messages_come_too(connect):
    peer = connect()
    peer.do(
        "queue_create", queue_name="orders", metadata={"_default_message_delay": 60}
    )
    ids = post(peer, 1)
    resume(peer, "oldest")
    assert pushed(peer, 1) == [(ids[0], 1)]


def test_newest_begins_with_what_is_posted_and_names_its_place(connect):
    peer, later = connect(), connect()
    assert resume(peer, "newest", "empty")["since"] == "oldest"
    ids = post(peer, 1, 2)
    assert resume(peer, "newest")["since"] == ids[1]
    ids += post(peer, 3)
    assert pushed(peer, 1) == [(ids[2], 3)]
    resume(later, ids[2])
    ids += post(peer, 4)
    assert pushed(later, 1) == pushed(peer, 1) == [(ids[3], 4)]


def test_a_message_that_is_taken_at_once_is_pushed(connect):
    peer, worker = connect(), connect()
    resume(peer, "newest")
    ids = []
    for number in range(30):
        ids += post(worker, number)
        worker.do("message_delete_many", queue_name="orders", pop=1)
    assert pushed(peer, 30) == list(zip(ids, range(30), strict=True))


def test_filters_and_templates_hold_for_what_was_there(connect):
    poster, peer = connect(), connect(binary=True)
    ids = post(poster, *({"n": number} for number in range(60)))
    resume(peer, ids[9], options={"filter": {"/n": {"at_least": 50}}})
    ids += post(poster, {"n": 3}, {"n": 99})
    got = [peer.receive() for _ in range(11)]
    assert {kind for kind, _ in got} == {"binary"}
    assert [frame["message_id"] for _, frame in got] == [*ids[50:60], ids[61]]
    template = connect()
    resume(template, ids[59], options={"post_data": '{"is": "$zaqar_message$"}'})
    assert template.receive()[1]["is"]["message_id"] == ids[60]


def test_topics_likewise(connect):
    peer = connect()
    messages = [{"body": number} for number in range(25)]
    _, answer = peer.do("topic_message_post", topic_name="news", messages=messages)
    status, _ = peer.do("topic_subscription_create", topic_name="news", since="oldest")
    assert status == 201
    assert pushed(peer, 25) == list(zip(answer["message_ids"], range(25), strict=True))


@pytest.mark.parametrize("since", ["", 7, None, True, ["oldest"], "x" * 129, "Oldest"])
def test_another_since_is_refused_by_name_and_nothing_is_subscribed(connect, since):
    peer = connect()
    status, body = peer.do("subscription_create", queue_name="orders", since=since)
    assert status == 400
    assert "since" in body["error"]
    assert peer.do("subscription_list", queue_name="orders")[1]["subscriptions"] == []


def test_since_is_for_connections(connect):
    status, body = connect().do(
        "subscription_create",
        queue_name="orders",
        subscriber="http://x.example/",
        since="oldest",
    )
    assert status == 400
    assert "since" in body["error"]


def test_a_peer_that_reads_late_misses_nothing_of_a_backlog(connect):
    poster, peer = connect(), connect()
    text = "x" * 100_000
    for _ in range(3):
        for _ in range(60):
            post(poster, text)
    resume(peer, "oldest")
    # Far more than the sockets hold; all posts are on their way before it reads.
    ids = [post(poster, number)[0] for number in range(300)]
    found = pushed(peer, 480)
    assert [id_ for id_, _ in found[180:]] == ids
    assert [id_ for id_, _ in found] == sorted({id_ for id_, _ in found})


def test_cut_listeners_see_each_message_once_in_order(connect):
    """Listeners whose sockets are cut at random, while messages are posted."""
    total, posters, listeners = 600, 4, 6
    posted, lock = [], threading.Lock()
    seen = [[] for _ in range(listeners)]
    failures = []

    def work(poster, first):
        for number in range(first, total, posters):
            (id_,) = post(poster, number)
            with lock:
                posted.append(id_)

    def listen(mine, chance):
        while len(mine) < total:
            peer = connect()
            try:
                resume(peer, mine[-1] if mine else "oldest")
                for _ in range(chance.randrange(1, 200)):
                    if len(mine) == total:
                        break
                    mine += [id_ for id_, _ in pushed(peer, 1)]
            except (OSError, websocket.WebSocketException, AssertionError) as error:
                failures.append(error)
                return
            finally:
                peer.peer.shutdown()

    threads = [
        threading.Thread(target=work, args=(connect(), first))
        for first in range(posters)
    ] + [
        threading.Thread(target=listen, args=(mine, random.Random(number)))
        for number, mine in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert seen == [sorted(posted)] * listeners


def test_who_may_not_list_messages_gets_none_that_were_there(server_factory, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text('"messages:get_all": "!"\n')
    server = server_factory(options=f"[oslo_policy]\npolicy_file = {policy}")
    peer = Socket(server.websocket_url)
    status, body = peer.do("subscription_create", queue_name="orders", since="oldest")
    assert status == 403
    assert "messages:get_all" in body["error"]
    assert peer.do("subscription_create", queue_name="orders")[0] == 201
    peer.peer.shutdown()
