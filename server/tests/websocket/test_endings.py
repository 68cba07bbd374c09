"""How connections end: with all answers when the server drains, or was deaf."""

import json
import struct

import pytest
import websocket

from .frames import Socket, post

LARGE = "x" * 100_000


@pytest.fixture
def on_redis(server_factory, redis_server):
    """A server on Redis; its keys begin with ``endings``."""
    server = server_factory()
    server.stop()
    text = server._config.read_text()
    uri = f"{redis_server.uri}?prefix=endings"
    server._config.write_text(f"{text.partition('uri =')[0]}uri = {uri}\n")
    server.start()
    return server


@pytest.fixture
def dial():
    """Open connections that end with the test."""
    made = []

    def make(*where):
        made.append(Socket(*where))
        return made[-1]

    yield make
    for peer in made:
        peer.peer.shutdown()


def code_of(peer):
    """Read on to the close; return its code."""
    while True:
        opcode, data = peer.peer.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return struct.unpack(">H", data[:2])[0]


@pytest.mark.parametrize("named", [False, True])
def test_requests_under_way_are_answered_before_a_server_that_drains_closes(
    dial, server_factory, named
):
    server = server_factory()
    peer = dial(server.websocket_url)
    peer.peer.frame_buffer.skip_utf8_validation = True
    for _ in range(10):
        post(peer, LARGE, queue="q")
    for number in range(8):
        headers = peer.headers | ({"X-Request-ID": str(number)} if named else {})
        body = {"queue_name": "q", "echo": True, "limit": 10}
        peer.send({"action": "message_list", "headers": headers, "body": body})
    first = peer.receive()  # all were sent before it; most of the others wait
    server._process.terminate()
    others = [peer.receive() for _ in range(7)]
    assert all(len(answer["body"]["messages"]) == 10 for _, answer in [first, *others])
    assert code_of(peer) == 1012
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_a_peer_that_reads_nothing_does_not_keep_a_server_from_ending(
    dial, server_factory
):
    server = server_factory(options="[server]\ngraceful_timeout = 30\n")
    peer = dial(server.websocket_url)
    for _ in range(20):
        post(peer, LARGE, queue="q")
    for _ in range(8):
        body = {"queue_name": "q", "echo": True, "limit": 20}
        peer.send({"action": "message_list", "headers": peer.headers, "body": body})
    peer.peer.sock.recv(1)
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
    assert "cut off" not in server.log.read_text()


def test_an_idle_connection_gets_1012_when_the_server_drains(dial, server_factory):
    server = server_factory()
    peer = dial(server.websocket_url)
    peer.do("queue_list")
    server._process.terminate()
    assert code_of(peer) == 1012
    assert server.stop() == 0


def test_listeners_that_others_have_forgotten_are_closed_with_1012(
    dial, on_redis, redis_server
):
    listener, idle = dial(on_redis.websocket_url), dial(on_redis.websocket_url)
    assert listener.do("subscription_create", queue_name="orders")[0] == 201
    # What others do with a server that stood still for longer than it may.
    for key in redis_server.ask("KEYS", "*servers*").split(b"\r\n"):
        if b"endings" in key:
            redis_server.ask("DEL", key.decode())
    assert code_of(listener) == 1012
    assert idle.do("queue_list")[0] == 200
    again = dial(on_redis.websocket_url)
    assert again.do("subscription_create", queue_name="orders")[0] == 201
    post(idle, 1)
    assert again.receive()[1]["body"] == 1


def test_a_connection_has_a_bound_of_subscriptions_and_deleted_ones_make_room(
    dial, server, tmp_path
):
    peer = dial(server.websocket_url, str(tmp_path))
    body = {"queue_name": "q", "action": "subscription_create"}
    frame = {"action": body.pop("action"), "headers": peer.headers, "body": body}
    for number in range(1000):
        frame["body"]["queue_name"] = f"q{number}"
        peer.peer.send(json.dumps(frame))
    ids = [peer.receive()[1]["body"]["subscription_id"] for _ in range(1000)]
    status, answer = peer.do("subscription_create", queue_name="one-more")
    assert status == 403
    assert "1000" in answer["error"]
    peer.do("subscription_delete", queue_name="q7", subscription_id=ids[7])
    assert peer.do("subscription_create", queue_name="one-more")[0] == 201


def test_deleting_by_another_project_leaves_a_listener_alone(dial, server, tmp_path):
    peer = dial(server.websocket_url, str(tmp_path))
    other = dial(server.websocket_url, f"{tmp_path}-other")
    id_ = peer.do("subscription_create", queue_name="orders")[1]["subscription_id"]
    other.do("subscription_delete", queue_name="orders", subscription_id=id_)
    post(peer, 1)
    assert peer.receive()[1]["body"] == 1
