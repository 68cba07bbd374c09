"""Each resource that a peer can make grow, driven to its bound (``admin/limits``).

What is looked at: the memory of the server, and a heartbeat from another process every
10 ms. The machine is shared with other tests, so the best of a few tries counts.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from . import harness
from .harness import MIB, ask, close_code, dial, fill, frame, pour, request

TRIES = 3
STALL_SECONDS = 0.1
PATIENCE = 30.0
#: What any load adds: code that runs for the first time, pieces of memory in between.
BESIDE = 24 * MIB
BUDGET = 64 * MIB

OPTIONS = f"""
[server]
max_waiting_bytes = {BUDGET}
write_timeout = 3
request_timeout = 3
"""
LARGE = json.dumps("x" * 262_000)
LISTS = "[" + ",".join(["[]"] * 80_000) + "]"


@pytest.fixture(scope="module")
def limited(server_factory: Callable[..., Any]) -> Any:
    """A server with small budgets, and queues of large messages."""
    server = server_factory(options=OPTIONS)
    fill(server, "large", 20, LARGE)
    fill(server, "lists", 20, LISTS)
    return server


def rest_status(server: Any, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", path, headers=harness.HEADERS)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def list_frame(number: int | None, queue: str = "large") -> bytes:
    body = request("message_list", number, queue_name=queue, echo=True, limit=20)
    return frame(harness.TEXT, json.dumps(body).encode())


# -- what is driven ---------------------------------------------------------------


def _deaf_sockets(server: Any, *, named: bool) -> None:
    """20 sockets that ask for lists and read nothing: others are served again."""
    peers = [dial(server, deaf=True) for _ in range(20)]
    for peer in peers:
        peer.settimeout(1)
        pour(peer, b"".join(list_frame(n if named else None) for n in range(64)))
    deadline = time.monotonic() + PATIENCE
    while rest_status(server, "/v2/queues/large/messages?limit=20&echo=true") != 200:
        assert time.monotonic() < deadline, "peers that do not read keep all room"
    for peer in peers:
        peer.shutdown()


def deaf_sockets_in_turn(server: Any) -> None:
    _deaf_sockets(server, named=False)


def deaf_sockets_side_by_side(server: Any) -> None:
    _deaf_sockets(server, named=True)


def deaf_rest_peers(server: Any) -> None:
    path = "/v2/queues/large/messages?limit=20&echo=true"
    lines = "".join(f"{name}: {value}\r\n" for name, value in harness.HEADERS.items())
    head = f"GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode()
    peers = [harness.deaf_connection(server.port) for _ in range(60)]
    for peer in peers:
        peer.sendall(head)
    deadline = time.monotonic() + PATIENCE
    while rest_status(server, path) != 200:
        assert time.monotonic() < deadline, "peers that do not read keep all room"
    for peer in peers:
        peer.close()


def deaf_listeners(server: Any) -> None:
    """10 listeners that read nothing are dropped while others post."""
    peers = [dial(server, deaf=True) for _ in range(10)]
    for peer in peers:
        answer = ask(peer, "subscription_create", queue_name="pushed")
        assert answer["headers"]["status"] == 201
    fill(server, "pushed", 60, LARGE)
    deadline, other = time.monotonic() + PATIENCE, dial(server)
    while ask(other, "subscription_list", queue_name="pushed")["body"]["subscriptions"]:
        assert time.monotonic() < deadline, "listeners that read nothing are kept"
    for peer in (*peers, other):
        peer.shutdown()


def deaf_resumers(server: Any) -> None:
    """20 listeners that ask for a backlog and read nothing are dropped."""
    peers = [dial(server, deaf=True) for _ in range(20)]
    for peer in peers:
        answer = ask(peer, "subscription_create", queue_name="large", since="oldest")
        assert answer["headers"]["status"] == 201
    deadline, other = time.monotonic() + PATIENCE, dial(server)
    while ask(other, "subscription_list", queue_name="large")["body"]["subscriptions"]:
        assert time.monotonic() < deadline, "listeners that read nothing are kept"
    for peer in (*peers, other):
        peer.shutdown()


def empty_fragments(server: Any) -> None:
    peer = dial(server)
    parts = frame(0, last=False) * 1_000_000
    pour(peer, frame(harness.TEXT, last=False) + parts)
    assert close_code(peer) in (1008, None)
    peer.shutdown()


def pings(server: Any) -> None:
    peer = dial(server)
    pour(peer, frame(harness.PING) * 300_000)
    assert close_code(peer) in (1008, None)
    peer.shutdown()


def pongs(server: Any) -> None:
    peer = dial(server)
    pour(peer, frame(10) * 300_000)
    assert close_code(peer) in (1008, None)
    peer.shutdown()


def tiny_frames(server: Any) -> None:
    """A peer that sends without end is served beside others, and reads its answers."""
    peer = dial(server)
    count = 20_000
    sending = threading.Thread(target=pour, args=(peer, frame(1, b"{}") * count))
    sending.start()
    for _ in range(count):
        assert b"is not a valid action" in peer.recv_data()[1]
    sending.join()
    peer.shutdown()


def unfinished_messages(server: Any) -> None:
    """Messages whose end does not come are dropped after the time for requests."""
    peers = [dial(server) for _ in range(60)]
    for peer in peers:
        pour(peer, frame(harness.TEXT, bytes(580_000), last=False))
    for peer in peers:
        assert close_code(peer) in (1008, 1013, None)
        peer.shutdown()


def side_by_side(server: Any) -> None:
    """1,000 requests at once on one socket are all answered."""
    peer = dial(server)
    bodies = [request("queue_list", number) for number in range(1000)]
    text = b"".join(frame(1, json.dumps(body).encode()) for body in bodies)
    sending = threading.Thread(target=pour, args=(peer, text))
    sending.start()
    seen = {json.loads(peer.recv())["headers"]["X-Request-ID"] for _ in bodies}
    sending.join()
    peer.shutdown()
    assert len(seen) == 1000


def many_values_in_messagepack(server: Any) -> None:
    peer = dial(server)
    many = b"\xdd" + (589_000).to_bytes(4, "big") + b"\x90" * 589_000
    for _ in range(3):
        peer.send_binary(many)
        answer = msgspec.msgpack.decode(peer.recv())
        assert answer["headers"]["status"] == 400
        assert "values" in answer["body"]["error"]
    peer.shutdown()


def large_answers_in_messagepack(server: Any) -> None:
    peer = dial(server)
    asked = request("message_list", queue_name="lists", echo=True, limit=20)
    for _ in range(3):
        peer.send_binary(msgspec.msgpack.encode(asked))
        answer = msgspec.msgpack.decode(peer.recv())
        assert len(answer["body"]["messages"]) == 20
        del answer
    peer.shutdown()


def deep_nesting(server: Any) -> None:
    peer = dial(server)
    chains = b"[" + (b"[" * 250 + b"]" * 250 + b",") * 1_100 + b"1e0999]"
    for body in (chains, b"[" * 580_000):
        peer.send(b'{"action":"queue_list","body":' + body + b"}")
        answer = json.loads(peer.recv())
        assert answer["headers"]["status"] == 400
    peer.shutdown()


def projects(server: Any) -> None:
    """Requests of very many projects."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    for number in range(5_000):
        headers = {**harness.HEADERS, "X-Project-ID": f"project-{number}" + "x" * 200}
        connection.request("GET", "/v2/queues", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def many_filters(server: Any) -> None:
    """A post of 4,000 messages is filtered for 50 subscriptions that want none."""
    peer, queue = dial(server), f"filtered{time.monotonic_ns()}"
    for number in range(50):
        wanted = {"filter": {"/a/b": {"equals": number}}}
        uri = f"http://127.0.0.1:9/{number}"
        fields = {"subscriber": uri, "options": wanted, "ttl": 3600}
        answer = ask(peer, "subscription_create", queue_name=queue, **fields)
        assert answer["headers"]["status"] == 201
    before = filtered(server)
    messages = [{"body": 1, "ttl": 3600}] * 4_000
    answer = ask(peer, "message_post", queue_name=queue, messages=messages)
    assert answer["headers"]["status"] == 201
    peer.close()
    deadline = time.monotonic() + 2 * PATIENCE
    while filtered(server) < before + 200_000:
        assert time.monotonic() < deadline, "the messages are not filtered"
        time.sleep(0.1)  # waits for another process, up to the deadline


def filtered(server: Any) -> float:
    """Return how many messages nobody wanted so far."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.request("GET", "/metrics", headers=harness.HEADERS)
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    found = [line for line in lines if 'event="filtered"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


class Row(NamedTuple):
    """One row of the table: how it is driven, bytes it may take, seconds of a stall."""

    drive: Callable[[Any], None]
    growth: int
    stall: float = STALL_SECONDS


ROWS = (
    # What is counted exists twice while an answer is made and handed to the system.
    Row(deaf_sockets_in_turn, 2 * BUDGET),
    Row(deaf_sockets_side_by_side, 2 * BUDGET),
    # Answers of 5 MiB: each takes a turn of 20 ms, and the heartbeat needs several.
    Row(deaf_rest_peers, 2 * BUDGET, stall=0.4),
    Row(deaf_listeners, BUDGET),
    Row(deaf_resumers, 24 * MIB),
    Row(empty_fragments, MIB),
    Row(pings, MIB),
    Row(pongs, MIB),
    Row(tiny_frames, MIB),
    Row(unfinished_messages, BUDGET),
    Row(side_by_side, 8 * MIB),
    Row(many_values_in_messagepack, 24 * MIB),
    Row(large_answers_in_messagepack, 48 * MIB),
    Row(deep_nesting, 24 * MIB),
    Row(projects, 8 * MIB),
    Row(many_filters, 8 * MIB),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.drive.__name__)
def test_a_peer_makes_no_resource_grow_beyond_its_bound(limited, row):
    best = harness.Watch()
    best.stall = best.growth = 10**12
    for _ in range(TRIES):
        with harness.watch(limited) as seen:
            row.drive(limited)
        best.stall = min(best.stall, seen.stall)
        best.growth = min(best.growth, seen.growth)
        if best.stall <= row.stall and best.growth <= row.growth + BESIDE:
            break
    print(f"{best.stall * 1000:.0f} ms, {best.growth / MIB:.0f} MiB")
    assert best.growth <= row.growth + BESIDE
    assert best.stall <= row.stall
    log = limited.log.read_text()
    assert "Traceback" not in log, log[-4000:]
