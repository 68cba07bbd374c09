"""The states of a connection (``doc/source/contributor/connections.rst``)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import needs
import pytest
from zaqarserver.http.phases import Phase

CLIENT = "3381af922b9e11e3b19171861300734c"
IDENTITY = f"Host: x\r\nClient-ID: {CLIENT}\r\nX-Project-ID: p\r\n"
QUEUE = "/v2/queues/orders"
DOCUMENT = '{"messages": [{"body": 1}]}'
TABLE = Path(__file__).parents[3] / "doc/source/contributor/connections.rst"
SECONDS = 30.0  # that a loaded machine gets for what takes a moment
LIMIT = 1  # second, of the impatient server's settings


@pytest.fixture(scope="module")
def impatient(server_factory):
    """A server that gives a peer a second for anything."""
    return server_factory(
        options=f"debug = true\n[server]\nrequest_timeout = {LIMIT}\n"
        f"keep_alive = {LIMIT}\nwrite_timeout = {LIMIT}"
    )


def connect(server, receive_buffer=None):
    peer = socket.socket()
    if receive_buffer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    peer.settimeout(SECONDS)
    try:
        peer.connect(("127.0.0.1", server.port))
    except OSError:
        peer.close()
        raise
    return peer


def head(method, path, *lines):
    more = "".join(f"{line}\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\n{IDENTITY}{more}\r\n".encode()


def post(body=DOCUMENT, *lines, path=QUEUE + "/messages"):
    return head("POST", path, f"Content-Length: {len(body)}", *lines) + body.encode()


PING = head("GET", "/v2/ping")
LAST_PING = head("GET", "/v2/ping", "Connection: close")


def read_to_end(peer):
    parts = []
    while part := peer.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_answers(peer, count):
    """Return the statuses and bodies of so many answers."""
    found = []
    with peer.makefile("rb") as stream:
        while len(found) < count:
            lines = [stream.readline()]
            while lines[-1] not in (b"\r\n", b""):
                lines.append(stream.readline())
            assert lines[-1], f"only {found} came"
            length = re.search(rb"(?i)content-length: (\d+)", b"".join(lines))
            body = stream.read(int(length[1]) if length else 0)
            found.append((int(lines[0].split()[1]), body))
    return found


def ask(server, data, count=1):
    with connect(server) as peer:
        peer.sendall(data)
        return read_answers(peer, count)


def statuses(server, data, count):
    return [status for status, _ in ask(server, data, count)]


def bodies(server, queue):
    """Return the bodies of the messages in a queue."""
    path = f"/v2/queues/{queue}/messages?echo=true&include_claimed=true"
    [(status, body)] = ask(server, head("GET", path))
    assert status == 200
    return [message["body"] for message in json.loads(body)["messages"]]


def wait_until_gone(peer):
    """Wait until the other side has let go of a connection; send until it resets."""
    deadline = time.monotonic() + SECONDS
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            peer.sendall(b"\r\n")
            # Polling another process, not waiting for a guess to pass.
            time.sleep(0.05)
        raise AssertionError("the connection is still there")


# -- the table -----------------------------------------------------------------------


#: What brings a connection into a state, and the status at its limit.
STOPS = {
    "FRESH": (b"", None),
    "HEAD": (b"GET /v2/pi", b"408"),
    "HEAD with line ends only": (b"\r\n\r\n", b"408"),
    "HEAD after an answer": (PING + b"GET", b"408"),
    "HEAD of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"400"),
    "BODY": (post()[:-1], b"408"),
    "BODY in chunks": (
        head("POST", QUEUE + "/messages", "Transfer-Encoding: chunked") + b"5\r\n{",
        b"408",
    ),
    "BODY that is held back": (
        head("POST", QUEUE + "/messages", "Content-Length: 9", "Expect: 100-continue"),
        b"408",
    ),
    "BODY that was answered": (
        head("PUT", "/v2/nowhere", "Content-Length: 9") + b"{",
        b"404",
    ),
    "IDLE": (PING, b"204"),
    "CLOSING": (LAST_PING, b"204"),
}


def test_each_state_of_the_table_is_tried():
    text = TABLE.read_text().partition("Beside the states")[0]
    written = set(re.findall(r"^   \* - ``(\w+)``", text, re.MULTILINE))
    assert written == {phase.name for phase in Phase} - {"GONE"}
    # In ANSWER it is the server that owes something.
    assert written == {name.split()[0] for name in STOPS} | {"ANSWER"}


@pytest.mark.parametrize("state", STOPS)
def test_a_peer_that_stops_in_a_state_is_gone_within_its_limit(impatient, state):
    start, status = STOPS[state]
    with connect(impatient) as peer:
        peer.sendall(start)
        began = time.monotonic()
        answers = read_to_end(peer)
        assert time.monotonic() - began < LIMIT + SECONDS / 2
        assert re.findall(rb"HTTP/1.1 (\d+)", answers)[-1:] == [status] * bool(status)
        wait_until_gone(peer)


def test_a_peer_that_reads_no_answer_is_reset(impatient):
    body = json.dumps({"messages": [{"body": "x" * 250_000}]})
    for _ in range(10):
        assert ask(impatient, post(body, path="/v2/queues/large/messages"))[0][0] == 201
    with connect(impatient, receive_buffer=4096) as peer:
        peer.sendall(head("GET", "/v2/queues/large/messages?echo=true"))
        wait_until_gone(peer)


def memory_of(server):
    """Return the MiB that a server has in memory."""
    text = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def test_peers_that_read_no_answers_take_what_the_budget_allows(server_factory):
    """Without it they would take 200 MiB here."""
    server = server_factory(options=f"[server]\nmax_waiting_bytes = {32 * 2**20}")
    body = json.dumps({"messages": [{"body": "x" * 250_000}]})
    for _ in range(10):
        assert ask(server, post(body))[0][0] == 201
    before = most = memory_of(server)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connect(server, 4096)) for _ in range(80)]
        for peer in peers:
            peer.sendall(head("GET", QUEUE + "/messages?echo=true") * 20)
        for _ in range(100):
            assert statuses(server, PING, 1) == [204]
            most = max(most, memory_of(server))
    assert most - before < 2 * 32
    server.stop()


def test_two_thousand_peers_that_stop_leave_the_server_answering(server_factory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 2000
    if hard < count + 500:
        needs.lacking(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    server = server_factory(options="[server]\nrequest_timeout = 5\nkeep_alive = 5")
    starts = [start for start, _ in STOPS.values()]
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connect(server)) for _ in range(count)]
        for number, peer in enumerate(peers):
            peer.sendall(starts[number % len(starts)])
            if number % 200 == 0:
                assert statuses(server, PING, 1) == [204]
        assert statuses(server, post() + PING, 2) == [201, 204]
        for peer in peers:
            read_to_end(peer)
    assert statuses(server, PING, 1) == [204]
    assert "Traceback" not in server.log.read_text()
    server.stop()


# -- what comes before the final answer ------------------------------------------------


def test_a_body_that_is_held_back_is_asked_for_at_once(server):
    request = post(DOCUMENT, "Expect: 100-continue", path="/v2/queues/held/messages")
    start, end = request.split(b"\r\n\r\n")
    with connect(server) as peer:
        peer.sendall(start + b"\r\n\r\n")
        assert peer.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(end + PING)
        assert [status for status, _ in read_answers(peer, 2)] == [201, 204]
    assert bodies(server, "held") == [1]


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("POST", "/v2/nowhere", "Content-Length: 3"), 404),
        (head("POST", "/v2/queues", "Content-Length: 3"), 405),
        (head("POST", QUEUE + "/messages", "Content-Length: 999999"), 400),
        (head("PUT", QUEUE, "Content-Length: 3", "Accept: text/html"), 406),
        (head("PUT", QUEUE, "Content-Length: 3", "Content-Encoding: gzip"), 415),
        (head("PATCH", QUEUE, "Content-Length: 3", "Content-Type: text/x"), 415),
        (head("PUT", QUEUE, "Content-Length: 3").replace(b"Client-ID", b"X-A"), 400),
        (head("PUT", "/v2/queues/b@d", "Transfer-Encoding: chunked"), 400),
        (head("PUT", QUEUE, "Content-Length: 3", "Client-ID: again"), 400),
    ],
)
def test_what_the_head_decides_is_answered_before_the_body(
    server, request_head, status
):
    expecting = request_head[:-2] + b"Expect: 100-continue\r\n\r\n"
    with connect(server) as peer:
        peer.sendall(expecting)
        answer = read_to_end(peer)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close\r\n" in answer


def test_a_body_that_came_is_not_asked_for(server):
    with connect(server) as peer:
        peer.sendall(post(DOCUMENT, "Expect: 100-continue", "Connection: close"))
        assert read_to_end(peer).startswith(b"HTTP/1.1 201 ")


# -- upgrades --------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["h2c", "TLS/1.0", "foo/2, bar", "h2c, websocket"])
@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_other_protocols_are_ignored_and_the_body_is_read(
    server, method, token, chunked
):
    name = f"up{method}{token[0]}{len(token)}{chunked}"
    path, body = f"/v2/queues/{name}", '{"team": "billing"}'
    if method == "POST":
        path, body = path + "/messages", DOCUMENT
    lines = ["Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAoAAA"]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    request = head(method, path, *lines, f"Upgrade: {token}") + body.encode()
    assert statuses(server, request + PING, 2) == [201, 204]
    if method == "POST":
        assert bodies(server, name) == [1]
    else:
        [(_, found)] = ask(server, head("GET", path))
        assert json.loads(found)["team"] == "billing"


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "HEAD"])
def test_a_request_without_a_body_may_ask_for_another_protocol(server, method):
    lines = ("Connection: upgrade", "Upgrade: h2c", "Connection: close")
    with connect(server) as peer:
        peer.sendall(head(method, "/v2/queues/none", *lines))
        assert read_to_end(peer)[9:10] == b"2"


def test_a_purge_that_asks_for_another_protocol_purges_what_it_names(server):
    path = "/v2/queues/purged"
    assert statuses(server, post(path=path + "/messages"), 1) == [201]
    upgrade = ("Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked")
    body = b'25\r\n{"resource_types": ["subscriptions"]}\r\n0\r\n\r\n'
    request = head("POST", path + "/purge", *upgrade) + body
    assert statuses(server, request, 1) == [204]
    assert bodies(server, "purged") == [1]


HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (head("POST", "/", *HANDSHAKE, "Content-Length: 2") + b"{}", 405),
        (head("GET", "/", *HANDSHAKE, "Content-Length: 2") + b"{}", 400),
        (head("GET", "/", *HANDSHAKE, "Transfer-Encoding: chunked"), 400),
        (head("GET", "/", *HANDSHAKE[:2]), 426),
        (head("GET", "/", *HANDSHAKE[:3]), 400),
        (head("GET", "/", *HANDSHAKE[:3], "Sec-WebSocket-Key: short"), 400),
        (head("GET", "/", *HANDSHAKE, HANDSHAKE[3]), 400),
        (head("GET", "/", *HANDSHAKE[:2], "Sec-WebSocket-Version: 8"), 426),
        (head("GET", "/", *HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (head("GET", "/", *HANDSHAKE, "X-Long: " + "x" * 9000), 431),
        (head("GET", "/" + "x" * 9000, *HANDSHAKE), 431),
        (head("GET", "/", *HANDSHAKE, *["X-Many: 1"] * 200), 431),
        (head("PUT", "/", *HANDSHAKE), 405),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    ],
)
def test_what_is_no_handshake_is_refused_at_once(server, request_head, status):
    with connect(server) as peer:
        peer.sendall(request_head)
        answer = read_to_end(peer)
    start, _, body = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 %d " % status), start
    assert json.loads(body)["description"]
    if status == 405:
        assert b"\r\nAllow: GET" in start
    elif status == 426:
        assert b"\r\nSec-WebSocket-Version: 13" in start


def test_refused_handshakes_take_nobody_the_place(server_factory):
    server = server_factory(options="[server]\nmax_connections = 5")
    request = head("POST", "/", *HANDSHAKE, "Content-Length: 2") + b"{}"
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            peer = stack.enter_context(connect(server))
            peer.sendall(request)
            assert read_to_end(peer).startswith(b"HTTP/1.1 405 ")
        deadline = time.monotonic() + SECONDS
        while statuses(server, PING, 1) != [204]:
            assert time.monotonic() < deadline, "still too many connections"
    server.stop()


def test_a_handshake_may_have_its_first_frame_behind_it(server):
    frame = b"\x81\x82\x00\x00\x00\x00{}"  # a text, masked by zeros
    with connect(server) as peer:
        peer.sendall(head("GET", "/", *HANDSHAKE) + frame)
        answer = b""
        while b"is not a valid action" not in answer and b"error" not in answer:
            part = peer.recv(65536)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 101 ")


# -- requests in a row -----------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_requests_in_a_row_are_answered_in_order_however_they_are_cut(server, piece):
    chunked = head("POST", "/v2/queues/row/messages", "Transfer-Encoding: chunked")
    body = b'1b\r\n{"messages": [{"body": 1}]}\r\n0\r\nX-Project-ID: other\r\n\r\n'
    data = PING + chunked + body + head("GET", "/v2/nowhere") + post() + LAST_PING
    with connect(server) as peer:
        for start in range(0, len(data), piece):
            peer.sendall(data[start : start + piece])
        answer = read_to_end(peer)
    found = re.findall(rb"HTTP/1.1 (\d+)", answer)
    assert found == [b"204", b"201", b"404", b"201", b"204"]


def test_a_thousand_requests_in_a_row_are_answered_while_others_are_served(server):
    with connect(server) as peer:
        sender = threading.Thread(target=peer.sendall, args=(PING * 1000 + LAST_PING,))
        sender.start()
        assert statuses(server, PING, 1) == [204]
        assert read_to_end(peer).count(b"HTTP/1.1 204 ") == 1001
        sender.join()


@pytest.mark.parametrize("count", [1, 3])
def test_a_half_closed_peer_gets_its_answers(server, count):
    with connect(server) as peer:
        peer.sendall(post(path="/v2/queues/half/messages") * count)
        peer.shutdown(socket.SHUT_WR)
        assert read_to_end(peer).count(b"HTTP/1.1 201 ") == count


@pytest.mark.parametrize("chunked", [True, False])
def test_a_request_that_breaks_off_is_not_carried_out(server, chunked):
    name = f"broken{chunked}"
    path = f"/v2/queues/{name}/messages"
    request = post(path=path)[:-1]
    if chunked:
        request = head("POST", path, "Transfer-Encoding: chunked")
        request += b"1b\r\n" + DOCUMENT.encode() + b"\r\n"
    with connect(server) as peer:
        peer.sendall(request)
        peer.shutdown(socket.SHUT_WR)
        assert read_to_end(peer).startswith(b"HTTP/1.1 400 ")
    assert bodies(server, name) == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Content-Length: 3", "Content-Length: 3"),
        ("Content-Length: +3",),
        ("Content-Length: 3, 3",),
    ],
)
def test_a_body_that_two_readers_could_take_differently_is_refused(server, lines):
    with connect(server) as peer:
        peer.sendall(
            head("POST", QUEUE + "/messages", *lines) + b"3\r\n{ }\r\n0\r\n\r\n"
        )
        answer = read_to_end(peer)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"400"]
    assert b'"title"' in answer


def test_what_follows_the_last_request_does_not_cost_its_answer(server):
    with connect(server) as peer:
        peer.sendall(LAST_PING + PING * 2000)
        assert read_to_end(peer).count(b"HTTP/1.1 ") == 1


# -- heads -----------------------------------------------------------------------------


def test_no_head_of_an_answer_grows_with_the_request(server_factory):
    server = server_factory(
        options="admin_mode = true\npooling = true\n[cors]\nallowed_origin = *"
    )
    long = ",".join(["x-header"] * 1000)
    body = json.dumps({"messages": [{"body": 1}] * 2000})
    requests = [
        post(body),
        head("GET", f"/v2/pools?name={long}", "X-Roles: admin"),
        head("GET", f"{QUEUE}/messages?marker={long}"),
        head(
            "OPTIONS",
            QUEUE,
            "Origin: http://x",
            "Access-Control-Request-Method: GET",
            f"Access-Control-Request-Headers: {long}",
        ),
        head("GET", f"/{long}"),
        head("GET", QUEUE, f"Connection: close, {long}"),
    ]
    with connect(server) as peer:
        peer.sendall(b"".join(requests))
        heads = re.findall(rb"HTTP/1.1 .*?\r\n\r\n", read_to_end(peer), re.DOTALL)
    assert len(heads) == len(requests)
    assert max(map(len, heads)) < 2048
    server.stop()


# -- peers that go away ----------------------------------------------------------------


def test_a_claim_of_a_peer_that_went_away_is_released(impatient):
    path = "/v2/queues/claimed"
    document = json.dumps({"messages": [{"body": number} for number in range(20)]})
    assert statuses(impatient, post(document, path=path + "/messages"), 1) == [201]
    claim = head("POST", path + "/claims?limit=1")
    for number in range(20):
        peer = connect(impatient)
        if number % 2:  # a reset, else the usual close
            linger = struct.pack("ii", 1, 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.sendall(claim)
        peer.close()
    # A request behind them on the store's queue, and a claim that is read.
    with connect(impatient) as peer:
        peer.sendall(claim)
        assert read_answers(peer, 1)[0][0] == 201
        deadline = time.monotonic() + SECONDS
        while True:
            peer.sendall(head("GET", path + "/stats"))
            [(_, found)] = read_answers(peer, 1)
            if json.loads(found)["messages"]["claimed"] == 1:
                break
            assert time.monotonic() < deadline, found
    log = impatient.log.read_text()
    assert "Traceback" not in log


def frame(action, **body):
    """Return a frame of a client, masked by zeros."""
    headers = {"Client-ID": CLIENT, "X-Project-ID": "p", "X-Request-ID": "r"}
    data = json.dumps({"action": action, "headers": headers, "body": body}).encode()
    return b"\x81\xfe" + struct.pack(">H", len(data)) + bytes(4) + data


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_claim_over_websocket_of_a_peer_that_went_away_is_released(impatient, leave):
    path = f"/v2/queues/socket-{leave}"
    document = json.dumps({"messages": [{"body": number} for number in range(20)]})
    assert statuses(impatient, post(document, path=path + "/messages"), 1) == [201]
    for _ in range(10):
        peer = connect(impatient)
        peer.sendall(head("GET", "/", *HANDSHAKE))
        assert peer.recv(65536).startswith(b"HTTP/1.1 101 ")
        if leave == "reset":
            linger = struct.pack("ii", 1, 0)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.sendall(frame("claim_create", queue_name=path[11:], limit=1))
        peer.close()
    deadline = time.monotonic() + SECONDS
    last = json.dumps({"messages": [{"body": "last"}]})
    assert statuses(impatient, post(last, path=path + "/messages"), 1) == [201]
    while True:
        [(_, found)] = ask(impatient, head("GET", path + "/stats"))
        if json.loads(found)["messages"]["claimed"] == 0:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.01)  # until the server has noticed
    assert "Traceback" not in impatient.log.read_text()


# -- draining --------------------------------------------------------------------------


def test_a_server_that_drains_answers_all_that_it_has_accepted(server_factory):
    server = server_factory()
    half = len(PING) // 2
    with contextlib.ExitStack() as stack:
        fresh = [stack.enter_context(connect(server)) for _ in range(50)]
        halves = [stack.enter_context(connect(server)) for _ in range(20)]
        for peer in halves:
            peer.sendall(PING[:half])
        # It has read them all once it has answered who came later.
        assert statuses(server, PING, 1) == [204]
        os.kill(server.pid, signal.SIGTERM)
        for peer in fresh:
            peer.sendall(PING)
        for peer in halves:
            peer.sendall(PING[half:])
        for peer in fresh + halves:
            answer = read_to_end(peer)
            assert answer.startswith(b"HTTP/1.1 204 ")
            assert b"\r\nConnection: close\r\n" in answer
    assert server.stop() == 0


def test_what_waits_to_be_accepted_is_accepted_before_the_listener_closes(
    server_factory,
):
    server = server_factory()
    os.kill(server.pid, signal.SIGSTOP)
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connect(server)) for _ in range(100)]
        for peer in peers:
            peer.sendall(PING)
        os.kill(server.pid, signal.SIGTERM)
        os.kill(server.pid, signal.SIGCONT)
        for peer in peers:
            assert read_to_end(peer).startswith(b"HTTP/1.1 204 ")
    assert server.stop() == 0


def test_connections_that_come_while_a_server_stops_are_refused_or_answered(
    server_factory,
):
    server = server_factory()
    outcomes = []

    def come_again_and_again():
        while "refused" not in outcomes:
            try:
                with connect(server) as peer:
                    peer.sendall(LAST_PING)
                    outcomes.append(read_to_end(peer)[9:12])
            except ConnectionRefusedError:
                outcomes.append("refused")

    clients = [threading.Thread(target=come_again_and_again) for _ in range(10)]
    for client in clients:
        client.start()
    while len(outcomes) < 100:
        time.sleep(0.01)  # until there is load, whenever that is
    assert server.stop() == 0
    for client in clients:
        client.join()
    assert set(outcomes) == {b"204", "refused"}
