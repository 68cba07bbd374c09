"""The client and the way to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

import zaqarclient
from zaqarclient import errors, transport, version
from zaqarclient import transport as transports
from zaqarclient.queues import client as factory
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2 import queues
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport import errors as transport_errors
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request, prepare_request


@pytest.mark.parametrize("version", [2, 2.0, "2", "2.0", "v2", None])
def test_version_two_may_be_spelled_in_many_ways(version: Any) -> None:
    client = factory.Client("http://127.0.0.1:8888", version)
    assert f"v{client.api_version}" == "v2"
    assert v2_client.Client(version=version).api_version == 2


@pytest.mark.parametrize("version", [1.2, -1, 3, "x", "", [], 2.5, float("inf")])
def test_other_versions_are_unknown(version: Any) -> None:
    with pytest.raises(errors.ZaqarError, match="Unknown client version"):
        factory.Client("http://127.0.0.1:8888", version)
    with pytest.raises(errors.ZaqarError, match="Unknown client version"):
        v2_client.Client("http://127.0.0.1:8888", version)


def test_the_factory_hands_everything_on() -> None:
    conf = {"auth_opts": {"options": {"os_project_id": "4f2a"}}, "session": object()}
    session = object()
    client = factory.Client(url="http://x:8888", version=2, conf=conf, session=session)
    assert type(client) is v2_client.Client is factory._CLIENTS[2]
    assert client.conf is conf
    assert client.session is session
    assert client.api_url == "http://x:8888"
    assert client.auth_opts == conf["auth_opts"]


def test_a_client_without_anything_can_be_made() -> None:
    client = factory.Client(version=2)
    client.colour = "red"
    assert client.api_url is None
    assert client.queue("q").name == "q"
    with pytest.raises(errors.EndpointNotFound, match="Keystone endpoint"):
        client.ping()


@pytest.mark.parametrize(
    "url", ["example.org", "//example.org", "/example.org", "http://", "http://[::1"]
)
def test_a_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(errors.ZaqarError, match="not the URL"):
        v2_client.Client(url, conf=NOAUTH).ping()


def test_an_unknown_scheme_is_a_driver_that_cannot_be_loaded() -> None:
    with pytest.raises(errors.DriverLoadFailure, match=r"gopher\.v2") as caught:
        v2_client.Client("gopher://example.org", conf=NOAUTH).ping()
    assert caught.value.driver == "gopher.v2"


def test_a_url_with_version_is_taken_without_it() -> None:
    assert v2_client.Client("http://x:8888/v2/").api_url == "http://x:8888"
    client = v2_client.Client("http://x:8888/")
    assert client.api_url == "http://x:8888/"
    client.api_url = "http://y"
    assert client.api_url == "http://y"


def test_a_client_names_itself_on_every_request(
    client: v2_client.Client, stub: HttpStub
) -> None:
    client.queues()
    sent = stub.last.headers
    assert sent["client-id"] == client.client_uuid
    assert uuid.UUID(sent["client-id"]).hex == sent["client-id"]
    assert sent["x-project-id"] == "4f2a"
    assert "x-auth-token" not in sent
    assert sent["content-type"] == "application/json"
    version = zaqarclient.__version__
    assert sent["user-agent"].startswith(f"python-zaqarclient/{version} ")
    client.client_uuid = "f" * 32
    client.queues()
    assert stub.last.headers["client-id"] == "f" * 32


def test_the_client_id_is_looked_for_in_both_places() -> None:
    inner = {"auth_opts": {"options": {"client_uuid": "a" * 32}}}
    assert v2_client.Client(conf=inner).client_uuid == "a" * 32
    both = {**inner, "client_uuid": "b" * 32}
    assert v2_client.Client(conf=both).client_uuid == "b" * 32
    first, second = v2_client.Client(), v2_client.Client()
    assert first.client_uuid != second.client_uuid


def test_the_user_agent_can_be_preceded(
    stub: HttpStub, make_client: Callable[..., v2_client.Client]
) -> None:
    make_client(stub.url, user_agent="my-worker/1.0").queues()
    agent = stub.last.headers["user-agent"]
    assert agent.startswith(
        f"my-worker/1.0 python-zaqarclient/{zaqarclient.__version__}"
    )


@pytest.mark.parametrize(
    "conf", [{"timeout": 0}, {"timeout": "soon"}, {"retries": -1}, {"timeout": []}]
)
def test_a_setting_out_of_bounds_is_refused_at_once(conf: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(conf))):
        v2_client.Client(conf=conf)


def test_queues_are_a_page_and_a_count(
    client: v2_client.Client, stub: HttpStub
) -> None:
    document = {"queues": [{"name": "a", "href": "/v2/queues/a"}], "links": []}
    stub.answers = [Answer(200, {**document, "count": 7}), Answer(200, document)]
    wanted = {"team": "x"}
    found, count = client.queues(
        with_count=True, limit=None, marker=None, filters=wanted
    )
    assert ([queue.name for queue in found], count) == (["a"], 7)
    assert stub.last.query == {"with_count": ["True"], "team": ["x"]}
    assert client.queues()[1] is None


def test_any_word_may_be_a_metadata_filter(
    client: v2_client.Client, stub: HttpStub
) -> None:
    stub.default = Answer(200, {"queues": [], "links": []})
    words = {"operation": "x", "key": "y", "queue_name": "z"}
    client.queues(filters=words)
    assert stub.last.query == {"operation": ["x"], "key": ["y"], "queue_name": ["z"]}
    with pytest.raises(ValueError, match="cannot filter by metadata named 'limit'"):
        client.queues(filters={"limit": 3})


def test_filters_may_still_be_keywords_as_with_earlier_clients(
    client: v2_client.Client, stub: HttpStub
) -> None:
    stub.default = Answer(200, {"queues": [], "links": []})
    words: dict[str, Any] = {"operation": "x", "self": "y", "queue_name": "z"}
    with pytest.warns(DeprecationWarning, match="as filters="):
        client.queues(**words)
    assert stub.last.query == {"operation": ["x"], "self": ["y"], "queue_name": ["z"]}


def test_an_empty_answer_is_an_empty_list(
    client: v2_client.Client, stub: HttpStub
) -> None:
    stub.default = Answer(204)
    found, count = client.queues()
    assert (list(found), count) == ([], None)


def test_all_queues_are_read_page_by_page(
    client: v2_client.Client, stub: HttpStub
) -> None:
    link = [{"rel": "next", "href": "/v2/queues?marker=a"}]
    stub.answers = [Answer(200, {"queues": [{"name": "a"}], "links": link})]
    stub.default = Answer(200, {"queues": [{"name": "b"}], "links": []})
    assert [queue.name for queue in client.iter_queues(limit=1)] == ["a", "b"]


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        ("/v2/queues?limit=1&marker=a", "/v2/queues"),
        ("queues?limit=1&marker=a", "/v2/queues"),
        ("/queues?limit=1&marker=a", "/v2/queues"),
        ("v2/queues?limit=1&marker=a", "/v2/queues"),
        ("https://inside.example:9999/v2/queues?limit=1&marker=a", "/v2/queues"),
        ("https://inside.example/x/v2/queues?limit=1&marker=a", "/v2/queues"),
        ("/v2/v2stuff?limit=1&marker=a", "/v2/v2stuff"),
    ],
)
def test_a_link_is_followed_on_the_own_service(
    ref: str, path: str, client: v2_client.Client, stub: HttpStub
) -> None:
    stub.default = Answer(200, {"queues": []})
    assert client.follow(ref) == {"queues": []}
    assert (stub.last.method, stub.last.path) == ("GET", path)
    assert stub.last.query == {"limit": ["1"], "marker": ["a"]}


def test_health_and_homedoc_are_documents(
    client: v2_client.Client, stub: HttpStub
) -> None:
    stub.answers = [Answer(200, {"storage_reachable": True})]
    assert client.health() == {"storage_reachable": True}
    stub.answers = [Answer(200, {"resources": {}})]
    assert client.homedoc() == {"resources": {}}
    assert stub.calls() == [("GET", "/v2/health"), ("GET", "/v2/")]


def test_a_health_report_of_a_failure_is_the_document_all_the_same(
    client: v2_client.Client, stub: HttpStub
) -> None:
    report = {"storage_reachable": False, "reason": "the disk is full"}
    stub.default = Answer(503, report)
    assert client.health() == report
    assert len(stub.seen) == 1  # how things stand now, not after some attempts
    stub.default = Answer(503, {"title": "There are too many connections"})
    with pytest.raises(transport_errors.ServiceUnavailableError):
        client.health()


def test_a_thousand_posts_open_one_connection(
    client: v2_client.Client, stub: HttpStub
) -> None:
    stub.default = Answer(201, {"resources": []})
    queue = client.queue("orders")
    for number in range(1000):
        queue.post({"body": number})
    assert len(stub.seen) == 1000
    assert stub.connections == 1


def test_threads_share_one_client(client: v2_client.Client, stub: HttpStub) -> None:
    stub.default = Answer(201, {"resources": []})
    together = threading.Barrier(16)

    def work() -> None:
        together.wait()
        for _ in range(10):
            client.queue("orders").post({"body": 1})

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stub.seen) == 160
    assert stub.connections <= 16
    assert len(client._transports) == 1


@pytest.mark.parametrize("given", [False, True], ids=["own session", "given session"])
def test_a_forked_process_opens_a_connection_of_its_own(
    given: bool, stub: HttpStub, make_client: Callable[..., v2_client.Client]
) -> None:
    from keystoneauth1 import session as ks  # noqa: PLC0415 - this test only

    session = ks.Session() if given else None
    client = make_client(stub.url, session=session)
    client.queues()
    pid = os.fork()
    if pid == 0:
        try:
            client.queues(limit=5)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    client.queues()
    assert len(stub.seen) == 3
    assert stub.connections == 2
    if session is not None:
        session.session.close()


def test_a_closed_client_works_again(client: v2_client.Client, stub: HttpStub) -> None:
    with client as same:
        same.queues()
    client.queues()
    assert stub.connections == 2


def test_closing_leaves_a_given_session_open(
    stub: HttpStub, make_client: Callable[..., v2_client.Client]
) -> None:
    from keystoneauth1 import session as ks  # noqa: PLC0415 - this test only

    session = ks.Session(app_name="my-app", app_version="3", collect_timing=True)
    for _ in range(3):
        with make_client(stub.url, session=session) as client:
            client.queues()
    assert stub.connections == 1
    assert stub.last.headers["user-agent"].startswith("my-app/3 python-zaqarclient/")
    assert len(session.get_timings()) == 3
    session.session.close()


def test_the_transport_is_made_through_the_module_and_once(
    client: v2_client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 21: ``zaqarclient.transport.get_transport_for``."""
    made: list[HttpTransport] = []

    def get_transport_for(request: Any, version: Any, options: Any) -> HttpTransport:
        made.append(HttpTransport(options))
        return made[-1]

    client._transports.clear()
    monkeypatch.setattr(transport, "get_transport_for", get_transport_for)
    request, first = client._request_and_transport()
    assert isinstance(request, Request)
    assert client._request_and_transport()[1] is first is made[0]
    assert len(made) == 1


def test_a_queue_is_made_through_its_module(
    client: v2_client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(queues, "Queue", lambda *a, **k: calls.append((a, k)))
    client.queue("foo")
    assert calls == [((client, "foo"), {})]


def test_transports_are_found_by_url_request_and_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = transport.get_transport_for("https://x", options={"a": 1})
    assert isinstance(found, HttpTransport)
    assert found.options == {"a": 1}
    by_request = transport.get_transport_for(Request("http://x"), version=2.0)
    assert isinstance(by_request, HttpTransport)
    entry = metadata.EntryPoint(
        "gopher.v2",
        "zaqarclient.transport.http:HttpTransport",
        transports.TRANSPORT_GROUP,
    )
    monkeypatch.setattr(metadata, "entry_points", lambda **_: [entry])
    assert isinstance(transport.get_transport_for("gopher://x"), HttpTransport)


def test_the_entry_points_name_what_is_built_in() -> None:
    for (group, name), target in transports._BUILT_IN.items():
        (entry,) = metadata.entry_points(group=group, name=name)
        assert entry.value == target


def test_a_request_can_be_prepared_by_hand() -> None:
    opts = {"backend": "noauth", "options": {"os_project_id": "4f2a"}}
    request = prepare_request(opts, data={"a": 1}, endpoint="http://x", api=2)
    assert request.headers == {"X-Project-Id": "4f2a"}
    assert request.content == '{"a": 1}'
    assert request.api is not None
    assert prepare_request(None).headers == {}


def test_the_package_gives_the_clients_by_name() -> None:
    assert zaqarclient.Client is v2_client.Client
    assert zaqarclient.AsyncClient is AsyncClient
    with pytest.raises(AttributeError, match="Cleint"):
        _ = zaqarclient.Cleint


@pytest.mark.parametrize(
    "module", ["zaqarclient", "zaqarclient.queues.client", "zaqarclient.queues.v2.core"]
)
def test_importing_does_not_load_the_network(module: str) -> None:
    heavy = "requests keystoneauth1 websocket jsonschema stevedore importlib.metadata"
    program = (
        f"import sys, {module}; "
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_version_is_a_text() -> None:
    assert isinstance(zaqarclient.__version__, str)
    assert version.version_string == zaqarclient.__version__
    assert version.version_info >= (5, 0, 0)
    assert zaqarclient.__version__ == metadata.version("python-zaqarclient")


@pytest.mark.parametrize(("timeout", "longest"), [(None, 20), (9, 4), (1, 0)])
def test_a_service_waits_for_no_longer_than_half_of_the_timeout(
    stub: HttpStub, make_client: Callable[..., Any], timeout: int | None, longest: int
) -> None:
    stub.default = Answer(200, {"features": ["wait"], "limits": {"max_wait": 20}})
    client = make_client(stub.url, timeout=timeout)
    assert client.longest_wait() == longest
