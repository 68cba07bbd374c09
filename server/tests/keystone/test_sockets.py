"""WebSockets and raw requests with real tokens, to a real server process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import websocket
from keystone_service import Keystone

CLIENT = str(uuid4())
EXPIRED = (4003, "Authentication expired.")


class Line:
    """A connection to a server, in a project."""

    def __init__(self, url: str, project: str) -> None:
        self.project = project
        self.peer = websocket.create_connection(url, timeout=30)

    def ask(self, action: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return the status and body of its answer."""
        own = {"Client-ID": CLIENT, "X-Project-ID": self.project}
        frame = {"action": action, "headers": {**own, **headers}, "body": body or {}}
        self.peer.send(json.dumps(frame))
        answer = json.loads(self.peer.recv())
        return answer["headers"]["status"], answer["body"]

    def authenticate(self, token: str) -> tuple[int, Any]:
        return self.ask("authenticate", **{"X-Auth-Token": token})

    def how_it_ends(self) -> tuple[int, str]:
        """Wait for the end of the connection; return the code and the reason."""
        opcode, data = self.peer.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, data
        return int.from_bytes(data[:2], "big"), data[2:].decode()


@pytest.fixture(scope="module")
def server(keystone: Keystone, server_factory: Callable[..., Any]) -> Any:
    """A server that keeps verdicts for a second, so that revocation shows."""
    options = keystone.server_options("debug = true\nadmin_mode = true").replace(
        "auth_type", "token_cache_time = 1\nauth_type", 1
    )
    return server_factory(options=options)


@pytest.fixture
def dial(server: Any, keystone: Keystone) -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def make(project: str = "alpha") -> Line:
        lines.append(Line(server.websocket_url, keystone.ids[project]))
        return lines[-1]

    yield make
    for line in lines:
        line.peer.shutdown()


def test_a_token_opens_its_project(
    keystone: Keystone, dial: Callable[..., Line]
) -> None:
    line = dial()
    assert line.ask("queue_list") == (403, {"error": "Not authentified."})
    assert line.authenticate("nobody") == (401, {"error": "Authentication failed."})
    token = keystone.token("alice")
    assert line.authenticate(token) == (200, {"message": "Authentified."})
    assert line.ask("queue_list")[0] == 200
    line.project = keystone.ids["beta"]
    assert line.ask("queue_list") == (403, {"error": "Not authenticated."})
    assert line.authenticate(token) == (403, {"error": "Not authenticated."})
    assert line.ask("health")[0] == 403


def test_a_token_that_expires_ends_the_connection(
    keystone: Keystone, dial: Callable[..., Line]
) -> None:
    short, renewed = dial(), dial()
    token = keystone.token("alice", lifetime=3)
    assert short.authenticate(token)[0] == 200
    assert renewed.authenticate(token)[0] == 200
    assert renewed.authenticate(keystone.token("alice"))[0] == 200
    assert short.how_it_ends() == EXPIRED
    assert renewed.ask("queue_list")[0] == 200


def test_a_revoked_token_ends_the_connection_also_of_one_that_only_listens(
    keystone: Keystone, dial: Callable[..., Line]
) -> None:
    line, queue = dial(), f"q-{uuid4().hex}"
    token, other = keystone.token("alice"), keystone.token("alice")
    assert line.authenticate(token)[0] == 200
    assert line.ask("subscription_create", {"queue_name": queue})[0] == 201
    keystone.revoke(token)
    assert line.how_it_ends() == EXPIRED
    after = dial()
    assert after.authenticate(other)[0] == 200
    found = after.ask("subscription_list", {"queue_name": queue})
    assert found == (200, {"subscriptions": []})


def raw(server: Any, method: str, path: str, *headers: tuple[str, str]) -> int:
    """Send a request with just these headers, in this order; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.putrequest(method, path)
        for name, value in (("Client-ID", CLIENT), *headers):
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_header_that_says_who_asks_is_taken_once_only(
    keystone: Keystone, server: Any
) -> None:
    alice, bob = keystone.token("alice"), keystone.token("bob")
    path = f"/v2/queues/q-{uuid4().hex}"
    token = ("X-Auth-Token", alice)
    twice = raw(server, "PUT", path, token, ("x-auth-token", bob))
    joined = raw(server, "PUT", path, ("X-Auth-Token", f"{bob}, {alice}"))
    assert (twice, joined) == (400, 401)
    for name in ("X-Project-ID", "X-Tenant-Id", "X-Roles", "X-User-Id"):
        assert raw(server, "PUT", path, token, (name, "a"), (name, "b")) == 400
    for name in ("X_Auth_Token", "X-Storage-Token", "Authorization", "Cookie"):
        assert raw(server, "PUT", path, (name, alice)) == 401
    for name in ("X_Roles", "X-Role", "X-Service-Roles", "OpenStack-System-Scope"):
        for value in ("admin", "all", ""):
            assert raw(server, "GET", "/v2/health", token, (name, value)) == 403


def test_no_token_is_in_the_log_of_a_server_that_logs_all(
    keystone: Keystone, server: Any, dial: Callable[..., Line]
) -> None:
    good, revoked = keystone.token("alice"), keystone.token("bob")
    keystone.revoke(revoked)
    made_up = f"gAAAA{uuid4().hex}"
    service = keystone.token("zaqar")
    for token in (good, revoked, made_up):
        raw(server, "GET", "/v2/queues", ("X-Auth-Token", token))
        both = ("X-Auth-Token", token), ("X-Service-Token", service)
        raw(server, "GET", "/v2/queues", *both)
        dial().authenticate(token)
    log = server.log.read_text()
    assert "DEBUG keystoneauth.session" in log
    for secret in (good, revoked, made_up, service, "zaqar-secret"):
        assert secret not in log
