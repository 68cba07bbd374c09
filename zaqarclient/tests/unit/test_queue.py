"""Queues."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from zaqarclient.queues.v2 import queues
from zaqarclient.queues.v2.client import Client
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport import errors

RESERVED: dict[str, Any] = {
    "_max_messages_post_size": 262144,
    "_default_message_ttl": 3600,
    "_default_message_delay": 0,
    "_dead_letter_queue": None,
    "_dead_letter_queue_messages_ttl": None,
    "_max_claim_count": None,
    "_enable_encrypt_messages": False,
}


@pytest.mark.parametrize("name", ["orders", "orders.eu", "a-b_C9", "x" * 64, 1])
def test_a_legal_name_is_taken_and_nothing_is_sent(
    name: Any, client: Client, stub: HttpStub
) -> None:
    assert client.queue(name).name == name
    assert client.queue(name, auto_create=False)._name == name
    assert stub.seen == []


@pytest.mark.parametrize("name", ["a b", "a\n", "a/b", "é", ".", "..", "x" * 65, "a?b"])
def test_an_illegal_name_is_refused(name: str, client: Client) -> None:
    with pytest.raises(ValueError, match="queue name may"):
        client.queue(name)


@pytest.mark.parametrize("name", ["", None])
def test_a_missing_name_has_its_own_words(name: Any, client: Client) -> None:
    with pytest.raises(ValueError, match="does not have a value"):
        client.queue(name)


def test_force_create_puts_the_queue_bare(client: Client, stub: HttpStub) -> None:
    stub.default = Answer(201)
    queue = client.queue("orders", force_create=True, metadata={"team": "billing"})
    assert stub.calls() == [("PUT", "/v2/queues/orders")]
    assert stub.last.content == b""
    assert queue.metadata() == {"team": "billing"}
    assert len(stub.seen) == 1


def test_an_unknown_argument_is_a_type_error(client: Client) -> None:
    with pytest.raises(TypeError):
        client.queue("orders", colour="red")


@pytest.mark.parametrize(
    ("status", "exists"), [(204, True), (200, True), (405, True), (404, False)]
)
def test_a_queue_exists_unless_the_service_says_404(
    status: int, exists: bool, queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(status)
    assert queue.exists() is exists
    assert stub.last.method == "HEAD"


def test_exists_does_not_hide_other_errors(queue: queues.Queue, stub: HttpStub) -> None:
    stub.default = Answer(403)
    with pytest.raises(errors.ForbiddenError):
        queue.exists()


def test_a_queue_is_created_if_the_list_has_exactly_its_name(
    queue: queues.Queue, stub: HttpStub
) -> None:
    link = [{"rel": "next", "href": "/v2/queues?name=orders&marker=b-orders"}]
    stub.answers = [
        Answer(200, {"queues": [{"name": "b-orders"}], "links": link}),
        Answer(200, {"queues": [{"name": "orders"}], "links": []}),
    ]
    assert queue.is_created()
    assert [seen.query for seen in stub.seen] == [
        {"name": ["orders"]},
        {"name": ["orders"], "marker": ["b-orders"]},
    ]


def test_a_queue_is_not_created_if_the_list_ends_or_runs_in_circles(
    queue: queues.Queue, stub: HttpStub
) -> None:
    link = [{"rel": "next", "href": "/v2/queues?marker=b"}]
    stub.default = Answer(200, {"queues": [{"name": "b"}], "links": link})
    assert not queue.is_created()
    assert len(stub.seen) == 2
    stub.default = Answer(200, {"queues": [], "links": []})
    assert not queue.is_created()


def test_metadata_are_read_once(queue: queues.Queue, stub: HttpStub) -> None:
    stub.default = Answer(200, {"team": "billing"})
    assert queue.metadata() == {"team": "billing"}
    assert queue.metadata_dict == {"team": "billing"}
    assert len(stub.seen) == 1
    stub.default = Answer(200, {"team": "sales"})
    assert queue.metadata(force_reload=True) == {"team": "sales"}


def test_new_metadata_replace_all_others_with_one_operation_a_key(
    queue: queues.Queue, stub: HttpStub
) -> None:
    after = {**RESERVED, "new": 1, "_dead_letter_queue": "lost"}
    stub.answers = [
        Answer(200, {**RESERVED, "old": 1, "both": 2}),
        Answer(200, after),
    ]
    new = {"new": 1, "both": 3, "_dead_letter_queue": "lost", "_max_claim_count": 2}
    assert queue.metadata(new_meta=new) == after
    assert queue._metadata == after
    patch = stub.last.body
    assert stub.last.method == "PATCH"
    assert stub.last.headers["content-type"] == (
        "application/openstack-messaging-v2.0-json-patch"
    )
    paths = [change["path"] for change in patch]
    assert len(paths) == len(set(paths))
    changes = {change["path"].removeprefix("/metadata/"): change for change in patch}
    assert changes["new"] == {"op": "add", "path": "/metadata/new", "value": 1}
    assert changes["both"]["op"] == "replace"
    assert changes["_dead_letter_queue"]["op"] == "replace"
    assert changes["_dead_letter_queue"]["value"] == "lost"
    assert changes["_max_claim_count"]["value"] == 2
    assert changes["old"] == {"op": "remove", "path": "/metadata/old"}


def test_metadata_of_a_queue_that_does_not_exist_create_it(
    queue: queues.Queue, stub: HttpStub
) -> None:
    missing = {"title": "Not found", "description": "no such queue"}
    stub.answers = [
        Answer(200, RESERVED),
        Answer(404, missing),
        Answer(201),
        Answer(200, {**RESERVED, "team": "billing"}),
    ]
    assert queue.metadata(new_meta={"team": "billing"})["team"] == "billing"
    assert [seen.method for seen in stub.seen] == ["GET", "PATCH", "PUT", "PATCH"]
    assert stub.seen[2].body == {"team": "billing"}
    assert stub.seen[3].body == stub.seen[1].body


def test_keys_with_slash_and_tilde_are_escaped(
    queue: queues.Queue, stub: HttpStub
) -> None:
    stub.answers = [Answer(200, {}), Answer(200, {"a/b~c": 1})]
    queue.metadata(new_meta={"a/b~c": 1})
    assert stub.last.body[0]["path"] == "/metadata/a~1b~0c"


@pytest.mark.parametrize("key", ["", " a", "a "])
def test_a_key_that_cannot_be_addressed_is_refused(
    key: str, queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(200, {})
    with pytest.raises(ValueError, match="metadata key"):
        queue.metadata(new_meta={key: 1})
    assert [seen.method for seen in stub.seen] == ["GET"]


def test_a_patch_changes_some_metadata_and_keeps_the_rest(
    queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(200, {"a": 1, "b": 2})
    patch = [{"op": "add", "path": "/metadata/b", "value": 2}]
    assert queue.patch_metadata(patch) == {"a": 1, "b": 2}
    assert stub.last.body == patch
    assert queue.metadata() == {"a": 1, "b": 2}
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    "messages",
    [
        {"body": 1, "ttl": 60},
        [{"body": 1, "ttl": 60}],
        ({"body": 1, "ttl": 60},),
        iter([{"body": 1, "ttl": 60}]),
    ],
    ids=["dict", "list", "tuple", "iterator"],
)
def test_one_or_several_messages_are_posted_as_a_list(
    messages: Any, queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(201, {"resources": ["/v2/queues/orders/messages/m01"]})
    assert queue.post(messages) == {"resources": ["/v2/queues/orders/messages/m01"]}
    assert stub.last.body == {"messages": [{"body": 1, "ttl": 60}]}


@pytest.mark.parametrize("messages", ["text", b"bytes", None, 5, ["text"], [[1]]])
def test_what_is_no_message_is_refused(
    messages: Any, queue: queues.Queue, stub: HttpStub
) -> None:
    with pytest.raises(ValueError, match="message is a dict"):
        queue.post(messages)
    assert stub.seen == []


@pytest.mark.parametrize("body", [b"bytes", {1, 2}, float("nan"), object()])
def test_a_body_that_is_not_json_is_refused(
    body: Any, queue: queues.Queue, stub: HttpStub
) -> None:
    with pytest.raises(ValueError, match="cannot be sent as JSON"):
        queue.post({"body": body})
    assert stub.seen == []


@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.post({"body": 1}),
        lambda queue: queue.messages(),
        lambda queue: queue.pop(),
        lambda queue: queue.claim(ttl=60, grace=60),
        lambda queue: queue.client.follow("/v2/queues?marker=a"),
    ],
)
def test_the_page_of_a_proxy_is_no_empty_answer(
    queue: queues.Queue, stub: HttpStub, call: Any
) -> None:
    stub.default = Answer(200, "<html>Welcome</html>")
    with pytest.raises(errors.ServerFault, match="<html>Welcome") as caught:
        call(queue)
    assert caught.value.status == 200


def test_messages_are_listed_one_page_at_a_time(
    queue: queues.Queue, stub: HttpStub
) -> None:
    href = "/v2/queues/orders/messages/m01"
    link = [{"rel": "next", "href": "/v2/queues/orders/messages?marker=m01"}]
    item = {"id": "m01", "href": href, "ttl": 60, "age": 1, "body": "x"}
    stub.default = Answer(200, {"messages": [item], "links": link})
    listed = queue.messages(limit=1, marker="m00", echo=True, include_claimed=None)
    assert [message.id for message in listed] == ["m01"]
    assert listed._links == link
    assert stub.last.query == {"limit": ["1"], "marker": ["m00"], "echo": ["True"]}
    assert len(stub.seen) == 1


@pytest.mark.parametrize("ids", [("a", "b"), (["a", "b"],)], ids=["args", "list"])
def test_ids_go_before_the_other_parameters_of_a_list(
    ids: Any, queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(200, {"messages": []})
    assert list(queue.messages(*ids, limit=3)) == []
    assert stub.last.query == {"ids": ["a", "b"]}


def test_messages_of_which_none_is_there_are_an_error(
    queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(404, {"title": "Not found"})
    with pytest.raises(errors.ResourceNotFound):
        queue.messages("a", "b")
    with pytest.raises(errors.ResourceNotFound):
        queue.message("a")


def test_all_messages_are_read_page_by_page(
    queue: queues.Queue, stub: HttpStub
) -> None:
    path = "/v2/queues/orders/messages"

    def page(number: int) -> Answer:
        item = {"id": f"m{number}", "href": f"{path}/m{number}", "ttl": 9, "age": 0}
        link = {"rel": "next", "href": f"{path}?limit=1&marker=m{number}"}
        return Answer(200, {"messages": [{**item, "body": 0}], "links": [link]})

    stub.answers = [page(1), page(2), page(3)]
    stub.default = Answer(200, {"messages": [], "links": []})
    walk = queue.iter_messages(limit=1)
    assert next(walk).id == "m1"
    assert len(stub.seen) == 1
    assert [message.id for message in walk] == ["m2", "m3"]
    assert stub.last.query == {"limit": ["1"], "marker": ["m3"]}


@pytest.mark.parametrize("ids", [("a", "b", "a"), (["a", "b"],)], ids=["args", "list"])
def test_deleting_many_names_each_id_once_and_in_order(
    ids: Any, queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(204)
    queue.delete_messages(*ids)
    assert stub.last.query == {"ids": ["a", "b"]}
    queue.delete_messages(*ids, claim_ids=["c1"])
    assert stub.last.query == {"ids": ["a", "b"], "claim_ids": ["c1"]}


def test_a_message_is_deleted_with_its_claim(
    queue: queues.Queue, stub: HttpStub
) -> None:
    stub.default = Answer(204)
    queue.delete_message("m01", "c77")
    assert stub.last.path == "/v2/queues/orders/messages/m01"
    assert stub.last.query == {"claim_id": ["c77"]}


@pytest.mark.parametrize("message_id", ["", ".", ".."])
def test_an_id_that_would_lead_elsewhere_is_not_sent(
    message_id: str, queue: queues.Queue, stub: HttpStub
) -> None:
    with pytest.raises(ValueError, match="cannot be a message_id"):
        queue.delete_message(message_id)
    assert stub.seen == []


def test_an_id_is_quoted_in_the_path(queue: queues.Queue, stub: HttpStub) -> None:
    stub.default = Answer(204)
    queue.delete_message("a/../b?c")
    assert stub.last.path == "/v2/queues/orders/messages/a%2F..%2Fb%3Fc"


def test_popping_gives_an_iterator_with_next(
    queue: queues.Queue, stub: HttpStub
) -> None:
    popped = {"id": "m03", "age": 40, "ttl": 300, "body": [1], "claim_count": 2}
    stub.default = Answer(200, {"messages": [{**popped, "claim_id": None}]})
    message = next(queue.pop())
    assert (message.body, message.claim_count, message.claim_id) == ([1], 2, None)
    assert (stub.last.method, stub.last.query) == ("DELETE", {"pop": ["1"]})
    assert len(list(queue.pop(5))) == 1
    assert stub.last.query == {"pop": ["5"]}


def test_stats_and_purge_and_delete_send_what_they_say(
    queue: queues.Queue, stub: HttpStub
) -> None:
    stub.answers = [Answer(200, {"messages": {"free": 0, "claimed": 0, "total": 0}})]
    stub.default = Answer(204)
    assert queue.stats["messages"]["total"] == 0
    queue.purge()
    assert stub.last.content == b""
    queue.purge(resource_types=["messages"])
    assert stub.last.body == {"resource_types": ["messages"]}
    queue.delete()
    assert stub.calls()[-1] == ("DELETE", "/v2/queues/orders")


def test_a_signed_url_holds_for_the_seconds_asked_for(
    queue: queues.Queue, stub: HttpStub
) -> None:
    parts = {
        "paths": ["/v2/queues/orders/messages"],
        "methods": ["GET"],
        "project": "4f2a",
        "expires": "2031-03-03T09:00:00",
        "signature": "00",
    }
    stub.default = Answer(200, parts)
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    assert queue.signed_url(["messages"], ttl_seconds=600, methods=["GET"]) == parts
    after = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    sent = stub.last.body
    expires = dt.datetime.fromisoformat(sent.pop("expires"))
    assert before <= expires - dt.timedelta(seconds=600) <= after
    assert sent == {"paths": ["messages"], "methods": ["GET"]}
    queue.signed_url(paths=None, ttl_seconds=None, methods=None)
    assert stub.last.body == {}
    queue.signed_url(expires="2031-03-03T09:00:00")
    assert stub.last.body == {"expires": "2031-03-03T09:00:00"}


def test_a_listed_queue_knows_its_path_and_metadata(client: Client) -> None:
    document = {"name": "a.b", "href": "/v2/queues/a.b", "metadata": {"x": 1}}
    queue = queues.create_object(client)({**document, "unknown": True})
    assert (queue.name, queue.href) == ("a.b", "/v2/queues/a.b")
    assert queue.metadata() == {"x": 1}
    assert repr(queue) == "<Queue a.b>"
