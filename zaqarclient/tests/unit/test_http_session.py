"""Sessions of HTTP: what they look up once, and what they leave to the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock

from zaqarclient.common import http
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub

MakeClient = Callable[..., Client]

FAR = "http://messaging.invalid:8888"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_a_proxy_of_the_environment_carries_the_requests(
    stub: HttpStub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", stub.url)
    client = make_client(FAR)
    for body in (1, 2):
        client.queue("orders").post({"body": body})
    assert [seen.headers["host"] for seen in stub.seen] == [
        "messaging.invalid:8888"
    ] * 2
    assert stub.connections == 1


def test_a_service_outside_of_the_proxy_is_reached_directly(
    stub: HttpStub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", FAR)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    make_client(stub.url).queue("orders").post({"body": 1})
    assert stub.calls() == [("POST", "/v2/queues/orders/messages")]


def test_the_environment_counts_as_it_was_at_the_first_request(
    stub: HttpStub, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_client(stub.url).queue("orders")
    queue.post({"body": 1})
    monkeypatch.setenv("http_proxy", FAR)
    queue.post({"body": 2})
    assert [seen.body["messages"][0]["body"] for seen in stub.seen] == [1, 2]


def test_a_password_of_netrc_is_sent(
    stub: HttpStub, make_client: MakeClient, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password secret\n")
    make_client(stub.url).queue("orders").post({"body": 1})
    assert stub.last.headers["authorization"].startswith("Basic ")


def test_a_cookie_of_a_front_end_comes_back_with_the_next_request(
    stub: HttpStub, make_client: MakeClient
) -> None:
    stub.answers = [Answer(200, {}, {"Set-Cookie": "node=b; Path=/"})]
    queue = make_client(stub.url).queue("orders")
    for body in (1, 2):
        queue.post({"body": body})
    first, second = (seen.headers.get("cookie") for seen in stub.seen)
    assert (first, second) == (None, "node=b")


def headers_of(stub: HttpStub, session: requests.Session, **options: Any) -> Any:
    url = f"{stub.url}/v2/queues/a%20b/messages"
    session.request(
        "POST",
        url,
        data='{"body": "ä"}',
        headers={"user-agent": "worker/1.0"},
        timeout=10.0,
        allow_redirects=False,
        **options,
    )
    return stub.last.headers


def test_a_request_looks_as_the_library_makes_it(stub: HttpStub) -> None:
    with http.Session() as ours, requests.Session() as theirs:
        options = {"params": {"ids": ["a", "b&c"], "echo": True, "marker": None}}
        found = headers_of(stub, ours, **options)
        wanted = headers_of(stub, theirs, **options)
    assert found == wanted
    own, other = stub.seen
    assert (own.path, own.query, own.content) == (
        other.path,
        other.query,
        other.content,
    )
    assert own.path == "/v2/queues/a%20b/messages"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_a_request_without_a_body_looks_as_the_library_makes_it(
    stub: HttpStub, method: str
) -> None:
    for kind in http.Session, requests.Session:
        with kind() as session:
            session.request(
                method, f"{stub.url}/", headers={}, timeout=10.0, allow_redirects=False
            )
    assert stub.seen[0] == stub.seen[1]


def test_tests_of_callers_can_play_the_answers(make_client: MakeClient) -> None:
    path = "/v2/queues/orders/messages"
    with requests_mock.Mocker() as service:
        service.post(FAR + path, json={"resources": [f"{path}/m1"]}, status_code=201)
        posted = make_client(FAR).queue("orders").post({"body": "ä"})
    assert posted == {"resources": [f"{path}/m1"]}
    assert service.last_request.json() == {"messages": [{"body": "ä"}]}
    assert service.last_request.headers["Content-Type"] == "application/json"


def test_redirects_are_left_to_whoever_asks_for_them(stub: HttpStub) -> None:
    stub.answers = [Answer(302, None, {"Location": f"{stub.url}/there"})] * 2
    with http.Session() as session:
        assert session.get(f"{stub.url}/here", allow_redirects=False).status_code == 302
        assert session.get(f"{stub.url}/here").status_code == 200
    assert [path for _, path in stub.calls()] == ["/here", "/here", "/there"]


def test_a_closed_session_opens_a_new_connection(
    stub: HttpStub, make_client: MakeClient
) -> None:
    client = make_client(stub.url)
    for connections in (1, 2):
        client.queue("orders").post({"body": 1})
        assert stub.connections == connections
        client.close()
