"""Answers that no operation has, and documents with members of any name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from zaqarclient import auth
from zaqarclient import errors as base_errors
from zaqarclient.queues.v2 import core
from zaqarclient.queues.v2.aio import AsyncClient
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.conftest import NOAUTH
from zaqarclient.tests.http_stub import Answer, HttpStub, Seen
from zaqarclient.tests.transport.dummy import DummyTransport
from zaqarclient.transport import errors
from zaqarclient.transport.http import HttpTransport
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response

CHANGES: dict[str, Callable[[Client], Any]] = {
    "post": lambda client: client.queue("q").post({"body": 1}),
    "pop": lambda client: client.queue("q").pop(),
    "claim": lambda client: client.queue("q").claim(),
    "delete": lambda client: client.queue("q").delete(),
    "delete a message": lambda client: client.queue("q").delete_message("m"),
    "purge": lambda client: client.queue("q").purge(),
    "metadata": lambda client: client.queue("q").metadata(new_meta={"a": 1}),
    "list": lambda client: list(client.queues()),
    "subscribe": lambda client: client.subscription("q", subscriber="http://h"),
    "pool": lambda client: client.pool("p", uri="x://y", weight=1),
    "topic": lambda client: client.topic("t").post({"body": 1}),
    "confirm": lambda client: client.subscription(
        "q", id="s", auto_create=False
    ).confirm(),
}


def no_place(_: Seen) -> Answer:
    return Answer(404, {"title": "elsewhere"})


@pytest.mark.parametrize("body", [None, {}, "<html>moved</html>"], ids=str)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("change", CHANGES)
def test_a_redirect_that_leads_nowhere_is_an_error(
    client: Client, stub: HttpStub, change: str, status: int, body: Any
) -> None:
    stub.default = Answer(status, None if status == 304 else body)
    with pytest.raises(errors.UnexpectedAnswer, match=str(status)) as caught:
        CHANGES[change](client)
    assert caught.value.status == status


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"list"}))
def test_a_change_that_is_led_to_a_portal_is_an_error(
    client: Client, stub: HttpStub, change: str
) -> None:
    def redirect(seen: Seen) -> Answer:
        if seen.path.startswith("/login"):
            return Answer(200, "<html>Please log in</html>")
        return Answer(302, {}, {"Location": f"{stub.url}/login"})

    stub.default = redirect
    with pytest.raises(errors.UnexpectedAnswer):
        CHANGES[change](client)
    assert len({path for _, path in stub.calls()}) == 2


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_change_is_never_turned_into_a_question(stub: HttpStub, status: int) -> None:
    stub.default = Answer(status, {}, {"Location": f"{stub.url}/login"})
    request = Request(stub.url, "message_post", api=2, content="{}")
    request.params["queue_name"] = "q"
    with pytest.raises(errors.UnexpectedAnswer, match=f"{status} to http"):
        HttpTransport().send(request)
    assert [method for method, _ in stub.calls()] == ["POST"]


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_is_followed(
    client: Client, stub: HttpStub, status: int
) -> None:
    def redirect(seen: Seen) -> Answer:
        if seen.path.startswith("/there"):
            return Answer(201, {"resources": ["/v2/queues/q/messages/m"]})
        return Answer(status, {}, {"Location": f"{stub.url}/there{seen.path}"})

    stub.default = redirect
    assert client.queue("q").post({"body": 1})["resources"]
    assert stub.last.method == "POST"
    assert stub.last.body == {"messages": [{"body": 1}]}


@pytest.mark.parametrize("change", ["delete", "purge", "delete a message", "confirm"])
def test_the_page_of_a_portal_is_no_success(
    client: Client, stub: HttpStub, change: str
) -> None:
    stub.default = Answer(200, "<html>Please log in</html>")
    with pytest.raises(errors.UnexpectedAnswer, match="not JSON"):
        CHANGES[change](client)


def test_the_asyncio_client_tells_the_same(stub: HttpStub) -> None:
    stub.default = Answer(301, {})

    async def post() -> None:
        async with AsyncClient(stub.url, 2, {**NOAUTH}) as client:
            await client.queue("q").post({"body": 1})

    with pytest.raises(errors.UnexpectedAnswer):
        asyncio.run(post())


# -- members of any name -----------------------------------------------------------

ODD = ("self", "queue", "client", "queue_name", "auto_create", "parent", "kind", "x")


def test_members_of_any_name_are_kept_aside(client: Client, stub: HttpStub) -> None:
    more = dict.fromkeys(ODD, 7)
    queue = client.queue("q")
    message = {"id": "m", "href": "/v2/queues/q/messages/m", "ttl": 60, "age": 0}
    stub.default = Answer(200, {"messages": [{**message, "body": 1, **more}]})
    for one in (next(queue.messages()), next(queue.pop())):
        assert (one.id, one.queue, one.extra) == ("m", queue, more)
    stub.default = Answer(200, {**message, "body": 1, **more})
    assert queue.message("m").extra == more
    row = {"source": "q", "id": "s", "subscriber": "http://h", "ttl": 1, **more}
    stub.default = Answer(200, {"subscriptions": [row]})
    (subscription,) = client.subscriptions("q")
    assert (subscription.client, subscription.queue_name) == (client, "q")
    assert subscription.extra == {"source": "q", **more}
    stub.default = Answer(200, {"pools": [{"name": "p", "weight": 1, **more}]})
    (pool,) = client.pools()
    assert (pool.client, pool.name, pool.extra) == (client, "p", more)
    stub.default = Answer(200, {"flavors": [{"name": "f", **more}]})
    (flavor,) = client.flavors()
    assert (flavor.client, flavor.name, flavor.extra) == (client, "f", more)


# -- headers -----------------------------------------------------------------------


def test_headers_are_sent_in_utf8(stub: HttpStub, make_client: Any) -> None:
    options = {"backend": "noauth", "options": {"os_project_id": "проект é"}}
    make_client(stub.url, auth_opts=options).queues()
    sent = stub.last.headers["x-project-id"].encode("latin-1")
    assert sent.decode() == "проект é"


def test_a_header_of_two_lines_is_refused_by_name(
    stub: HttpStub, make_client: Any
) -> None:
    options = {"backend": "noauth", "options": {"os_project_id": "a\r\nX-Roles: b"}}
    with pytest.raises(ValueError, match=r"(?i)the header x-project-id"):
        make_client(stub.url, auth_opts=options).queues()
    assert stub.seen == []


# -- the low-level functions -------------------------------------------------------


@pytest.mark.parametrize(
    "messages", [{"body": 1}, {"messages": [{"body": 1}]}, [{"body": 1}], "text", 5]
)
def test_the_low_level_post_sends_what_it_is_given(messages: Any) -> None:
    request = Request()
    core.message_post(DummyTransport({}), request, "q", messages)
    assert json.loads(request.content or "") == messages
    assert request.operation == "message_post"
    assert request.params == {"queue_name": "q"}


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (core.queue_create, ("q", None)),
        (core.queue_exists, ("q",)),
        (core.queue_list, ()),
        (core.message_post, ("q", [])),
        (core.message_get_many, ("q", ["m"])),
        (core.message_delete, ("q", "m", None)),
        (core.message_delete_many, ("q", ["m"])),
        (core.message_pop, ("q", 1)),
        (core.ping, ()),
        (core.health, ()),
        (core.pool_list, ()),
    ],
)
def test_a_callback_may_stand_behind_the_other_arguments(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    request = Request()
    function(DummyTransport({}), request, *arguments, print)
    assert "print" not in str(request.params) + str(request.content)


# -- what tests of callers put in place --------------------------------------------


def test_an_unknown_backend_is_a_key_error_too() -> None:
    with pytest.raises(base_errors.ZaqarError) as caught:
        auth.get_backend("kerberos")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("there is no authentication backend 'kerberos'")


def test_a_reply_needs_text_headers_and_status_only(client: Client) -> None:
    reply = mock.Mock(spec=["text", "headers", "status_code"])
    reply.text, reply.headers, reply.status_code = '{"pools": []}', {}, 200
    transport: Any = client.transport()
    with mock.patch.object(transport.client, "request", return_value=reply):
        assert list(client.pools()) == []


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete"])
def test_each_method_of_the_client_is_that_of_its_session(
    client: Client, method: str
) -> None:
    transport: Any = client.transport()
    session = transport.client.session
    with mock.patch.object(session, method, return_value=Response(None, "")) as sent:
        getattr(transport.client, method)("http://h/x", headers={"a": "b"})
    assert sent.call_args.args == ("http://h/x",)


@pytest.mark.parametrize(
    ("call", "document"),
    [
        (lambda client: client.queue("q").stats, {"messages": None}),
        (lambda client: client.queue("q").post({"body": 1}), {"resources": None}),
        (lambda client: client.quotas(), {"quotas": None}),
    ],
)
def test_a_null_in_place_of_what_was_asked_for_is_no_answer(
    client: Client, stub: HttpStub, call: Any, document: Any
) -> None:
    stub.default = Answer(200, document)
    with pytest.raises(errors.UnexpectedAnswer, match="should be"):
        call(client)
