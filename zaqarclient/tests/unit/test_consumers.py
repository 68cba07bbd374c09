"""What programs that use this SDK construct, call, patch and read.

The rows of section 20 and the names of section 21 of the SDK contract.
"""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any
from unittest import mock

import pytest

from zaqarclient import errors, transport
from zaqarclient.auth.keystone import KeystoneAuth
from zaqarclient.common import decorators
from zaqarclient.common import http as common_http
from zaqarclient.queues import client as factory
from zaqarclient.queues.v2 import client as v2_client
from zaqarclient.queues.v2 import core, queues
from zaqarclient.queues.v2 import message as message_module
from zaqarclient.queues.v2.api import OPERATIONS
from zaqarclient.queues.v2.message import Message
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport import errors as transport_errors
from zaqarclient.transport.base import Transport
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response

FC = factory.Client
V2C = v2_client.Client
URL = "http://127.0.0.1:8888"
TOKEN = {"os_auth_token": "t", "os_auth_url": "http://k/v3", "os_project_id": "4f2a"}
SIGNED = {
    "paths": ["/v2/queues/q/messages"],
    "expires": "2031-03-03T09:00:00",
    "methods": ["GET"],
    "signature": "0",
    "os_project_id": "4f2a",
}
PASSWORD = {
    "os_username": "alice",
    "os_password": "secret",
    "os_project_name": "sales",
    "os_auth_url": "http://k:5000/v3",
    "insecure": "",
}


def conf(backend: str, options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"auth_opts": {"backend": backend, "options": options}, **more}


@pytest.mark.parametrize(
    "make",
    [
        lambda s: V2C(version=2, session=s),
        lambda _: V2C(
            url=URL,
            conf=conf("keystone", {**TOKEN, "os_service_type": "messaging"}),
            version=2,
        ),
        lambda _: V2C(url=URL, conf=conf("signed-url", SIGNED), version=2),
        lambda s: FC(version=2, url=URL, session=s),
        lambda _: FC(version=2),
        lambda s: V2C(URL, conf=conf("keystone", {**TOKEN, "insecure": 1}, session=s)),
        lambda _: V2C(URL, conf=conf("keystone", {**TOKEN, "cacert": "x"}), version=2),
        lambda _: FC(URL, version=2, conf=conf("keystone", PASSWORD)),
        lambda _: FC(URL, version=2, conf=conf("keystone", {"os_auth_token": "t"})),
        lambda s: V2C(session=s),
        lambda _: FC(URL, 2, conf=conf("noauth", {"os_project_id": "4f2a"})),
        lambda _: FC(URL, 2, conf=conf("keystone", {**PASSWORD, "auth_token": None})),
        lambda _: V2C(
            URL, conf={"auth_opts": {"options": {**TOKEN, "client_uuid": "1"}}}
        ),
        lambda _: V2C(url=URL, conf=conf("keystone", TOKEN), version=2.0),
    ],
)
def test_every_known_construction_works_without_network(make: Any) -> None:
    """Acceptance 1: the constructions."""
    client = make(mock.Mock())
    client.anything = "else"
    queue = client.queue("q", auto_create=False)
    assert queue._name == "q"
    assert f"v{client.api_version}" == "v2"
    assert client.conf.get("auth_opts", {}) == client.auth_opts


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("zaqarclient", ["__version__"]),
        ("zaqarclient.version", ["version_info", "version_string"]),
        (
            "zaqarclient.errors",
            [
                "ZaqarError",
                "DriverLoadFailure",
                "InvalidOperation",
                "UnsupportedVersion",
            ],
        ),
        ("zaqarclient.queues.client", ["Client", "_CLIENTS"]),
        ("zaqarclient.queues.v2.client", ["Client"]),
        (
            "zaqarclient.queues.v2.queues",
            ["Queue", "create_object", "QUEUE_NAME_REGEX"],
        ),
        ("zaqarclient.queues.v2.message", ["Message", "create_object"]),
        ("zaqarclient.queues.v2.claim", ["Claim"]),
        ("zaqarclient.queues.v2.subscription", ["Subscription", "create_object"]),
        ("zaqarclient.queues.v2.pool", ["Pool", "create_object"]),
        ("zaqarclient.queues.v2.flavor", ["Flavor", "create_object"]),
        ("zaqarclient.queues.v2.iterator", ["_Iterator"]),
        ("zaqarclient.queues.v2.api", ["V2"]),
        ("zaqarclient.auth", ["get_backend", "_BACKENDS"]),
        ("zaqarclient.auth.base", ["AuthBackend", "NoAuth"]),
        ("zaqarclient.auth.keystone", ["KeystoneAuth"]),
        ("zaqarclient.auth.signed_url", ["SignedURLAuth"]),
        ("zaqarclient.transport", ["get_transport", "get_transport_for"]),
        ("zaqarclient.transport.request", ["Request", "prepare_request"]),
        ("zaqarclient.transport.response", ["Response"]),
        ("zaqarclient.transport.base", ["Transport"]),
        ("zaqarclient.transport.http", ["HttpTransport"]),
        ("zaqarclient.transport.api", ["Api"]),
        (
            "zaqarclient.transport.errors",
            [
                "TransportError",
                "MalformedRequest",
                "UnauthorizedError",
                "ForbiddenError",
                "ResourceNotFound",
                "ConflictError",
                "InternalServerError",
                "ServiceUnavailableError",
            ],
        ),
        ("zaqarclient.common.http", ["Client"]),
        ("zaqarclient.common.decorators", ["version", "lazy_property"]),
        ("zaqarclient._i18n", ["_"]),
    ],
)
def test_every_public_name_is_where_it_was(module: str, names: list[str]) -> None:
    """Acceptance 1: the imports."""
    loaded = importlib.import_module(module)
    assert [name for name in names if not hasattr(loaded, name)] == []


CORE = {
    *(name for name, row in OPERATIONS.items() if not row.topics),
    "queue_get_metadata",
    "queue_set_metadata",
}


def test_every_core_function_is_there() -> None:
    assert [
        name for name in sorted(CORE) if not callable(getattr(core, name, None))
    ] == []
    with pytest.raises(errors.InvalidOperation):
        core.queue_set_metadata(None, Request(), "q", {})


class DummyTransport(Transport):
    """A transport as consumers' tests write it: patched before use."""

    def send(self, request: Request) -> Response:
        raise AssertionError("not patched")


@pytest.fixture
def fixed() -> Any:
    """A queue whose client has its transport replaced, as unit tests do."""
    client = FC(URL, 2, conf("noauth", {"os_project_id": "my-project"}))
    dummy = DummyTransport({})
    client._get_transport = mock.Mock(return_value=dummy)
    return client.queue(1, auto_create=False)


def replies(queue: Any, content: str | None) -> Any:
    dummy = queue.client._get_transport(None)
    answer = Response(None, content)
    return mock.patch.object(dummy, "send", autospec=True, return_value=answer)


def test_a_patched_send_gets_requests_and_its_answers_are_read(fixed: Any) -> None:
    """Section 21: ``client._get_transport`` and ``transport.send``."""
    item = {"href": "/v2/queues/1/messages/m1", "ttl": 9, "age": 1, "body": "x"}
    page = json.dumps({"links": [], "messages": [item]})
    with replies(fixed, page) as send:
        assert [m.id for m in fixed.messages(limit=1)] == ["m1"]
    (request,) = send.call_args.args
    assert request.operation == "message_list"
    assert request.params == {"queue_name": 1, "limit": 1}
    with replies(fixed, None):
        assert fixed.delete() is None
        assert fixed.client.ping()
    with replies(fixed, json.dumps({"resources": ["r"]})) as send:
        assert fixed.post({"body": 1}) == {"resources": ["r"]}
    assert json.loads(send.call_args.args[0].content) == {"messages": [{"body": 1}]}


def test_a_patched_send_may_fail(fixed: Any) -> None:
    dummy = fixed.client._get_transport(None)
    failure = transport_errors.ResourceNotFound()
    with mock.patch.object(dummy, "send", autospec=True, side_effect=failure):
        assert fixed.exists() is False
        with pytest.raises(transport_errors.ResourceNotFound):
            fixed.messages("a")


def test_the_request_of_a_call_goes_with_its_transport(fixed: Any) -> None:
    request, used = fixed.client._request_and_transport()
    assert isinstance(request, Request)
    assert isinstance(used, DummyTransport)
    assert request.headers["Client-ID"] == fixed.client.client_uuid
    assert request.headers["X-Project-Id"] == "my-project"


@pytest.mark.parametrize("backend_options", [SIGNED, TOKEN])
def test_a_signature_can_be_patched_on_a_real_queue(
    backend_options: dict[str, Any],
) -> None:
    """Section 21: ``queues.Queue.signed_url``, with the constructor still real."""
    backend = "signed-url" if backend_options is SIGNED else "keystone"
    client = V2C(url=URL, conf=conf(backend, backend_options), version=2)
    with mock.patch("zaqarclient.queues.v2.queues.Queue.signed_url") as signed:
        signed.return_value = {"signature": "s"}
        assert client.queue("q").signed_url(["messages"]) == {"signature": "s"}


def test_a_notification_service_can_patch_the_queue_class() -> None:
    """Section 21: ``queues.Queue``, called with ``(ANY, "foo")``."""
    with mock.patch("zaqarclient.queues.v2.queues.Queue") as queue:
        V2C(session=mock.Mock()).queue("foo")
    queue.assert_called_once_with(mock.ANY, "foo")


def test_a_dashboard_can_replace_the_class_of_the_client() -> None:
    """Section 21: ``zaqarclient.queues.v2.client.Client``."""
    with mock.patch("zaqarclient.queues.v2.client.Client") as replaced:
        v2_client.Client(url=URL).queue("q")
    replaced.assert_called_once_with(url=URL)


def test_a_client_error_is_told_by_its_exact_class(
    stub: HttpStub, client: v2_client.Client
) -> None:
    stub.default = Answer(404, {"title": "Not found"})
    with pytest.raises(transport_errors.ResourceNotFound) as caught:
        client.queue("q").message("m")
    assert type(caught.value) in transport_errors.__dict__.values()


def test_a_collector_reads_popped_bodies_and_makes_messages_by_hand(
    stub: HttpStub, client: V2C
) -> None:
    popped = {"id": "m", "age": 1, "ttl": 9, "claim_id": None, "claim_count": 0}
    stub.default = Answer(200, {"messages": [{**popped, "body": {"x": 1}}]})
    assert next(client.queue("q").pop()).body == {"x": 1}
    made = Message(queue=client.queue("q"), ttl=10, age=1, body={"foo": 1}, href="")
    assert (made.id, made.body) == ("", {"foo": 1})
    answer = Response(Request(), content=json.dumps({"body": 1}), status_code=200)
    assert answer.deserialized_content == {"body": 1}
    assert Response(None, "no json").deserialized_content is None


def test_a_benchmark_claims_lists_and_reads_links(
    stub: HttpStub, client: v2_client.Client
) -> None:
    queue = client.queue("bench")
    href = "/v2/queues/bench/messages/m1?claim_id=c1"
    item = {"id": "m1", "href": href, "ttl": 300, "age": 0, "body": 1}
    stub.answers = [Answer(201, {"messages": [item]}), Answer(204)]
    for message in queue.claim(ttl=300, grace=200, limit=1):
        message.delete()
    assert stub.last.query == {"claim_id": ["c1"]}
    links = [{"rel": "next", "href": "/v2/queues/bench/messages?marker=m1&limit=1"}]
    stub.default = Answer(200, {"messages": [item], "links": links})
    cursor = queue.messages(limit=1, marker=None, include_claimed=True)
    assert len(list(cursor)) == 1
    assert cursor._links == links


def test_the_signatures_that_are_called_by_position_keep_their_order() -> None:
    def order(function: Any) -> list[str]:
        return [
            name for name in inspect.signature(function).parameters if name != "self"
        ]

    assert order(FC) == ["url", "version", "conf", "session"]
    assert order(V2C)[:4] == ["url", "version", "conf", "session"]
    assert order(queues.Queue) == [
        "client",
        "name",
        "href",
        "metadata",
        "auto_create",
        "force_create",
    ]
    assert order(queues.Queue.signed_url)[:3] == ["paths", "ttl_seconds", "methods"]
    assert order(queues.Queue.claim)[:4] == ["id", "ttl", "grace", "limit"]
    assert order(Request)[:2] == ["endpoint", "operation"]
    assert order(Response) == ["request", "content", "headers", "status_code"]
    assert order(transport.get_transport_for) == [
        "url_or_request",
        "version",
        "options",
    ]
    assert order(HttpTransport.send) == ["request"]
    assert queues.Queue.message_module is message_module
    for hook in ("_get_keystone_session", "_get_endpoint"):
        assert callable(getattr(KeystoneAuth, hook))


def test_the_small_http_client_has_a_method_a_verb(stub: HttpStub) -> None:
    client = common_http.Client()
    for verb in ("get", "head", "options", "delete"):
        assert getattr(client, verb)(stub.url).status_code == 200
    for verb in ("post", "put", "patch"):
        getattr(client, verb)(stub.url, data={"a": 1})
        assert (stub.last.method, stub.last.body) == (verb.upper(), {"a": 1})
    client.close()
    with pytest.raises(transport_errors.NetworkError):
        client.get("http://127.0.0.1:1/")


def test_the_decorators_check_versions_and_keep_values() -> None:
    class Thing:
        api_version = 2
        counted = 0

        @decorators.version(1.1, 2)
        def allowed(self) -> str:
            return "yes"

        @decorators.version(3)
        def later(self) -> str:
            return "no"

        @decorators.lazy_property(write=True)
        def value(self) -> int:
            """Counted."""
            self.counted += 1
            return self.counted

        @decorators.lazy_property(delete=False)
        def fixed(self) -> int:
            return 7

    thing: Any = Thing()
    assert thing.allowed() == "yes"
    with pytest.raises(errors.UnsupportedVersion, match="later"):
        thing.later()
    assert (thing.value, thing.value) == (1, 1)
    del thing.value
    assert thing.value == 2
    thing.value = 9
    assert thing._lazy_value == 9
    with pytest.raises(AttributeError):
        thing.fixed = 1
    with pytest.raises(AttributeError):
        del thing.fixed
