"""The ``zaqarserver`` process: start, wire, signals, logs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

CLIENT = "3381af922b9e11e3b19171861300734c"
HEADERS = {"Client-ID": CLIENT, "X-Project-ID": "p"}
HEAD = f"Host: x\r\nClient-ID: {CLIENT}\r\nX-Project-ID: p\r\n"
QUEUE = "/v2/queues/orders"


def run_server(*arguments, timeout=30):
    return subprocess.run(
        [sys.executable, "-m", "zaqarserver", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def request(server, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, {**HEADERS, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def is_open(server):
    """Whether the server takes new connections."""
    try:
        # A server that drains keeps new peers out: their system tries again after a
        # second, which is longer than idle connections are kept.
        socket.create_connection(("127.0.0.1", server.port), timeout=0.1).close()
    except (ConnectionRefusedError, TimeoutError):
        return False
    except ConnectionResetError:
        return True
    return True


def read_to_end(peer):
    parts = []
    while part := peer.recv(65536):
        parts.append(part)
    return b"".join(parts)


# -- start -----------------------------------------------------------------------


def test_the_version_is_shown():
    assert run_server("--version").stdout.startswith("zaqarserver 1.")


def test_a_server_without_authentication_serves_loopback_only(tmp_path):
    config = tmp_path / "zaqar.conf"
    config.write_text(
        f"[server]\nhost = 0.0.0.0\n[storage]\nuri = sqlite:///{tmp_path}/z.db\n"
    )
    ended = run_server("--config-file", config)
    assert ended.returncode == 1
    assert "--insecure" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server]\nport = many\n", "port"),
        ("[storage]\nuri = carrier://pigeon\n", "carrier"),
        ("[transport]\ndefault_message_ttl = 5000000\n", "default_message_ttl"),
        ("[DEFAULT]\nauth_strategy = magic\n", "auth_strategy"),
        ("no section\n", "section"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, text, reason):
    config = tmp_path / "zaqar.conf"
    config.write_text(text)
    ended = run_server("--config-file", config)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_serves_one_server_at_a_time(server, tmp_path):
    config = tmp_path / "zaqar.conf"
    config.write_text(
        f"[server]\nport = 0\n[storage]\nuri = sqlite:///{server.store}\n"
    )
    ended = run_server("--config-file", config)
    assert ended.returncode == 1
    assert str(server.store) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_in_use_is_named(server, tmp_path):
    config = tmp_path / "zaqar.conf"
    config.write_text(
        f"[server]\nport = {server.port}\n[storage]\nuri = sqlite:///{tmp_path}/z.db\n"
    )
    ended = run_server("--config-file", config)
    assert ended.returncode == 1
    assert f"port {server.port}" in ended.stderr


# -- wire ------------------------------------------------------------------------


def test_a_chunked_body_is_read(server):
    def chunks():
        yield b'{"messages": [{"bo'
        yield b'dy": "chunked"}]}'

    status, body = request(server, "POST", QUEUE + "/messages", chunks())
    assert status == 201
    path = json.loads(body)["resources"][0]
    assert json.loads(request(server, "GET", path)[1])["body"] == "chunked"


def test_a_chunked_body_has_the_same_limit(server):
    def chunks():
        for _ in range(5):
            yield b" " * 65536

    status, body = request(server, "POST", QUEUE + "/messages", chunks())
    assert status == 400
    assert "262144" in json.loads(body)["description"]


@pytest.mark.parametrize(
    "data",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"PUT /v2/queues/a HTTP/2.0\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"POST /v2/queues/a/messages HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        b"POST /v2/queues/a/messages HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_in_json_and_closed(server, data):
    with connect(server) as peer:
        peer.sendall(data)
        answer = read_to_end(peer)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["title"]


def test_a_head_that_is_too_large_is_told_so(server):
    with connect(server) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nX-Filler: " + b"x" * 66000)
        answer = read_to_end(peer)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["title"]


def test_pipelined_requests_are_answered_in_order(server):
    with connect(server) as peer:
        paths = ["/v2/queues/one", "/v2/queues", "/v2/nowhere"]
        peer.sendall(
            "".join(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n" for path in paths[:2]).encode()
            + f"GET {paths[2]} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
        )
        answer = read_to_end(peer)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
        b"200",
        b"200",
        b"404",
    ]


@pytest.mark.parametrize("header", ["X-Project-ID", "Client-ID", "X-Roles", "X-Tenant"])
def test_an_identity_header_sent_twice_is_refused(server, header):
    with connect(server) as peer:
        peer.sendall(
            f"GET /v2/queues HTTP/1.1\r\n{HEAD}{header}: a\r\n{header}: b\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = read_to_end(peer)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert header.lower().encode() in answer


@pytest.mark.parametrize(
    "types", [("application/json", "text/html"), ("text/html", "application/json")]
)
def test_accept_may_be_sent_in_parts(server, types):
    lines = "".join(f"Accept: {one}\r\n" for one in types)
    with connect(server) as peer:
        peer.sendall(
            f"GET /v2/queues HTTP/1.1\r\n{HEAD}{lines}"
            "Connection: close\r\n\r\n".encode()
        )
        assert read_to_end(peer).startswith(b"HTTP/1.1 200 ")


@pytest.fixture(scope="module")
def impatient(server_factory):
    """A server that waits a second for a request to arrive."""
    return server_factory(options="use_json = true\n[server]\nrequest_timeout = 1")


HALF_BODY = f"POST {QUEUE}/messages HTTP/1.1\r\n{HEAD}Content-Length: 9\r\n\r\n{{"


@pytest.mark.parametrize("start", [b"", b"GET / HT", HALF_BODY.encode()])
def test_a_peer_that_sends_no_whole_request_is_let_go(impatient, start):
    with connect(impatient) as peer:
        peer.sendall(start)
        read_to_end(peer)
    assert request(impatient, "GET", "/v2/ping")[0] == 204


@pytest.mark.parametrize(
    ("start", "more"),
    [
        ("GET / HTTP/1.1", "\r\n"),
        ("GET / HTTP/1.1", "GET / HT"),
        ("PUT /v2/nowhere HTTP/1.1\r\nContent-Length: 99999", "{"),
        (f"PUT {QUEUE} HTTP/1.1\r\nContent-Length: 99999", " "),
    ],
)
def test_a_peer_that_was_answered_must_send_whole_requests_too(impatient, start, more):
    begun = " " if "Length" in start else ""
    with connect(impatient) as peer:
        peer.sendall(f"{start}\r\n{HEAD}\r\n{begun}".encode())
        assert peer.recv(65536).startswith(b"HTTP/1.1 ")
        peer.sendall(more.encode())
        rest = read_to_end(peer)
    assert (rest[9:12] or b"408") == b"408"


def test_a_body_too_large_is_heard_out_before_the_connection_is_closed(server):
    size = 4_000_000
    with connect(server) as peer:
        peer.sendall(
            f"POST {QUEUE}/messages HTTP/1.1\r\n{HEAD}Connection: close\r\n"
            f"Content-Length: {size + 1}\r\n\r\n{{".encode()
        )
        answer = peer.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        # It would be reset in the middle of this if the server did not read on.
        peer.sendall(b" " * size)
        assert read_to_end(peer) == b""


def test_a_connection_too_many_is_told_so_in_json(server_factory):
    server = server_factory(options="[server]\nmax_connections = 2")
    with connect(server) as first, connect(server) as second:
        for peer in (first, second):
            peer.sendall(f"GET /v2/ping HTTP/1.1\r\n{HEAD}\r\n".encode())
            assert peer.recv(65536).startswith(b"HTTP/1.1 204 ")
        with connect(server) as third:
            third.sendall(f"GET /v2/ping HTTP/1.1\r\n{HEAD}\r\n".encode())
            answer = read_to_end(third)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in head
    assert b"X-OpenStack-Request-ID: req-" in head
    assert json.loads(body)["title"] == "Service Unavailable"
    server.stop()


# -- signals and logs --------------------------------------------------------------


def test_an_idle_connection_gets_one_more_answer_while_the_server_drains(
    server_factory,
):
    server = server_factory()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for expected in (None, "close"):
        connection.request("GET", "/v2/ping", headers=HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.getheader("Connection")) == (204, expected)
        if expected is None:
            os.kill(server.pid, signal.SIGTERM)
            while is_open(server):
                pass
    assert server.stop() == 0


def test_a_stop_lets_requests_under_way_finish_and_ends_with_zero(server_factory):
    server = server_factory()
    document = json.dumps({"messages": [{"body": "last"}]}).encode()
    with connect(server) as peer:
        peer.sendall(
            f"POST {QUEUE}/messages HTTP/1.1\r\n{HEAD}Content-Length: {len(document)}"
            "\r\n\r\n".encode()
            + document[:5]
        )
        # The server has read the head once it has answered a later request.
        assert request(server, "GET", "/v2/ping")[0] == 204
        statuses = []
        stopping = threading.Thread(target=lambda: statuses.append(server.stop()))
        stopping.start()
        while is_open(server):
            pass
        peer.sendall(document[5:])
        answer = peer.recv(65536)
        stopping.join()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert statuses == [0]
    server.start()
    found = json.loads(request(server, "GET", QUEUE + "/messages?echo=true")[1])
    assert [message["body"] for message in found["messages"]] == ["last"]
    assert server.stop() == 0


def test_messages_and_metadata_survive_a_restart(server_factory):
    server = server_factory()
    request(server, "PUT", QUEUE, b'{"team": "billing"}')
    request(server, "POST", QUEUE + "/messages", b'{"messages": [{"body": 1}]}')
    request(server, "POST", QUEUE + "/claims")
    server.stop()
    server.start()
    assert json.loads(request(server, "GET", QUEUE)[1])["team"] == "billing"
    stats = json.loads(request(server, "GET", QUEUE + "/stats")[1])["messages"]
    assert (stats["claimed"], stats["total"]) == (1, 1)
    server.stop()


def test_json_logs_are_json_lines_with_a_request_id(impatient):
    entries = [json.loads(line) for line in impatient.log.read_text().splitlines()]
    ready = [entry for entry in entries if "ready on" in entry["message"]]
    assert len(ready) == 1
    assert impatient.url in ready[0]["message"]
    assert all({"time", "level", "logger", "request_id"} <= set(e) for e in entries)


# -- web pages ---------------------------------------------------------------------


def preflight(server, origin):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "client-id,x-project-id",
    }
    connection.request("OPTIONS", QUEUE + "/messages", headers=asked)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    return dict(answer.getheaders())


@pytest.fixture(scope="module")
def open_to_pages(server_factory):
    """A server that lets one web page in."""
    return server_factory(options="[cors]\nallowed_origin = https://app.example")


def test_no_page_is_let_in_by_default(server):
    assert not any(
        name.lower().startswith("access-control")
        for name in preflight(server, "https://app.example")
    )


def test_a_page_that_is_named_is_let_in_and_no_other(open_to_pages):
    headers = preflight(open_to_pages, "https://app.example")
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in headers["access-control-allow-methods"]
    assert "client-id" in headers["access-control-allow-headers"]
    others = preflight(open_to_pages, "https://evil.example")
    assert "access-control-allow-origin" not in others
    # A cache must not give one page what another one was answered.
    assert (headers["vary"], others["vary"]) == ("Origin", "Origin")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, b"101"),
        ("https://app.example", b"101"),
        ("http://localhost:3000", b"101"),
        ("http://127.0.0.1:9000", b"101"),
        ("https://evil.example", b"403"),
        ("http://localhost.evil.example", b"403"),
        ("null", b"403"),
    ],
)
def test_pages_from_elsewhere_open_no_socket_without_authentication(
    open_to_pages, origin, status
):
    extra = f"Origin: {origin}\r\n" if origin else ""
    with connect(open_to_pages) as peer:
        peer.sendall(
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
        )
        assert peer.recv(65536).split()[1] == status
