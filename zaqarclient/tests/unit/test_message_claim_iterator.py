"""Messages, claims and iterators."""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient import errors as base_errors
from zaqarclient.queues.v2 import iterator, message
from zaqarclient.queues.v2.client import Client
from zaqarclient.queues.v2.message import Message
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.transport import errors

PATH = "/v2/queues/orders"


def claimed(number: int, claim_id: str = "c77") -> dict[str, Any]:
    href = f"{PATH}/messages/m{number}?claim_id={claim_id}"
    return {"id": f"m{number}", "href": href, "ttl": 600, "age": 3, "body": number}


def test_a_message_has_its_id_from_its_path(queue: Any) -> None:
    made = Message(queue=queue, ttl=60, age=1, body={}, href=f"{PATH}/messages/m1")
    assert (made.id, made.claim_id, made.claim_count) == ("m1", None, 0)
    assert repr(made) == "<Message id:m1 ttl:60>"
    assert Message(queue, 60, 1, {}, href="x/m1?claim_id=c7").claim_id == "c7"
    assert Message(queue, 60, 1, {}, href="x/m1?claim_id=c7").id == "m1"
    assert Message(queue, 60, 1, {}, id="m2", claim_id="c8").claim_id == "c8"


def test_an_empty_path_gives_an_empty_id(queue: Any) -> None:
    assert Message(queue=queue, ttl=60, age=1, body="b", href="").id == ""


def test_a_message_needs_an_id_or_a_path(queue: Any) -> None:
    with pytest.raises(ValueError, match="an id or an href"):
        Message(queue, 60, 1, {})


def test_a_message_keeps_members_of_newer_services(queue: Any) -> None:
    document = {"id": "m1", "ttl": 60, "age": 1, "body": 0, "priority": 9}
    made = message.create_object(queue)({**document, "checksum": "MD5:0"})
    assert made.extra == {"priority": 9}
    assert made.checksum == "MD5:0"


def test_deleting_a_claimed_message_names_the_claim(queue: Any, stub: HttpStub) -> None:
    stub.default = Answer(204)
    message.create_object(queue)(claimed(1)).delete()
    assert stub.last.path == f"{PATH}/messages/m1"
    assert stub.last.query == {"claim_id": ["c77"]}


def test_deleting_a_popped_message_is_harmless(queue: Any, stub: HttpStub) -> None:
    popped = {"id": "m3", "age": 4, "ttl": 300, "body": 1, "claim_count": 0}
    stub.answers = [Answer(200, {"messages": [{**popped, "claim_id": None}]})]
    stub.default = Answer(204)
    next(queue.pop()).delete()
    assert stub.last.path == f"{PATH}/messages/m3"
    assert stub.last.query == {}


def test_a_claim_takes_messages_at_once(queue: Any, stub: HttpStub) -> None:
    stub.default = Answer(201, {"messages": [claimed(1), claimed(2)]})
    claim = queue.claim(ttl=300, grace=60, limit=2)
    assert stub.calls() == [("POST", f"{PATH}/claims")]
    assert stub.last.query == {"limit": ["2"]}
    assert stub.last.body == {"ttl": 300, "grace": 60}
    assert (claim.id, claim.ttl, claim.grace) == ("c77", 300, 60)
    assert [one.body for one in claim] == [1, 2]
    assert [one.body for one in claim] == [1, 2]
    assert [one.claim_id for one in claim.messages] == ["c77", "c77"]
    assert repr(claim) == "<Claim id:c77 ttl:300>"
    assert len(stub.seen) == 1


def test_what_is_not_given_is_left_to_the_service(queue: Any, stub: HttpStub) -> None:
    stub.default = Answer(201, {"messages": [claimed(1)]})
    queue.claim(ttl=90)
    assert stub.last.body == {"ttl": 90}
    queue.claim()
    assert (stub.last.body, stub.last.query) == ({}, {})


def test_the_id_of_a_claim_is_taken_from_location_if_need_be(
    queue: Any, stub: HttpStub
) -> None:
    bare = {**claimed(1), "href": f"{PATH}/messages/m1?x=1"}
    location = {"location": f"{PATH}/claims/c99"}
    stub.default = Answer(201, {"messages": [bare]}, location)
    assert queue.claim().id == "c99"


def test_an_empty_claim_is_empty_and_asks_nothing(queue: Any, stub: HttpStub) -> None:
    stub.default = Answer(204)
    claim = queue.claim()
    assert (claim.id, list(claim), claim.messages, claim.ttl) == (None, [], [], None)
    assert repr(claim) == "<Claim id:None ttl:None>"
    claim.delete()
    with pytest.raises(base_errors.InvalidOperation, match="nothing to claim"):
        claim.update(ttl=60)
    with pytest.raises(base_errors.InvalidOperation, match="nothing to claim"):
        _ = claim.age
    assert len(stub.seen) == 1


def test_a_list_that_is_null_has_no_items(client: Client, stub: HttpStub) -> None:
    stub.default = Answer(200, {"queues": None, "links": None})
    assert list(client.queues()[0]) == []
    assert list(client.iter_queues()) == []
    assert client.queue("orders").is_created() is False


def test_the_messages_of_a_claim_are_deleted_by_one_request(
    queue: Any, stub: HttpStub
) -> None:
    stub.answers = [Answer(201, {"messages": [claimed(1), claimed(2)]})]
    claim = queue.claim()
    claim.delete_messages()
    assert stub.calls()[1:] == [("DELETE", f"{PATH}/messages")]
    assert stub.last.query == {"ids": ["m1", "m2"], "claim_ids": ["c77"]}
    claim.delete_messages("m2")
    assert stub.last.query == {"ids": ["m2"], "claim_ids": ["c77"]}
    assert len(stub.seen) == 3


def test_deleting_the_messages_of_an_empty_claim_sends_nothing(
    queue: Any, stub: HttpStub
) -> None:
    stub.answers = [Answer(204)]
    queue.claim().delete_messages()
    assert len(stub.seen) == 1


def test_an_existing_claim_is_read_when_needed(queue: Any, stub: HttpStub) -> None:
    claim = queue.claim(id="c77")
    assert repr(claim) == "<Claim id:c77 ttl:None>"
    assert stub.seen == []
    stub.default = Answer(200, {"age": 14, "ttl": 300, "messages": [claimed(1)]})
    assert [one.id for one in claim] == ["m1"]
    assert claim.ttl == 300
    assert claim.grace is None
    assert len(stub.seen) == 1
    assert claim.age == 14
    assert stub.calls() == [("GET", f"{PATH}/claims/c77")] * 2


def test_a_claim_that_has_ended_is_found_missing_when_read(
    queue: Any, stub: HttpStub
) -> None:
    stub.default = Answer(404)
    claim = queue.claim(id="c77")
    with pytest.raises(errors.ResourceNotFound):
        list(claim)
    with pytest.raises(errors.ResourceNotFound):
        _ = claim.age


def test_a_claim_is_renewed_and_released(queue: Any, stub: HttpStub) -> None:
    stub.default = Answer(204)
    claim = queue.claim(id="c77")
    claim.update(ttl=600)
    assert (stub.last.method, stub.last.body) == ("PATCH", {"ttl": 600})
    assert claim.ttl == 600
    claim.update(ttl=600, grace=90)
    assert stub.last.body == {"ttl": 600, "grace": 90}
    assert claim.grace == 90
    claim.update()
    assert stub.last.body == {}
    claim.delete()
    assert stub.calls()[-1] == ("DELETE", f"{PATH}/claims/c77")


def page(number: int, following: int | None) -> dict[str, Any]:
    links = []
    if following is not None:
        links = [{"rel": "next", "href": f"/v2/things?marker={following}"}]
    return {"things": [{"n": number}], "links": links}


def make(client: Client, listing: Any) -> iterator._Iterator[int]:
    return iterator._Iterator(client, listing, "things", lambda item: int(item["n"]))


def test_an_iterator_stops_after_its_page(client: Client, stub: HttpStub) -> None:
    things = make(client, page(1, 2))
    assert next(things) == 1
    with pytest.raises(StopIteration):
        things.next()
    assert things._links == [{"rel": "next", "href": "/v2/things?marker=2"}]
    assert stub.seen == []


def test_a_stream_goes_on_to_the_last_page(client: Client, stub: HttpStub) -> None:
    stub.answers = [Answer(200, page(2, 3)), Answer(200, page(3, None))]
    things = make(client, page(1, 2))
    assert things.stream() is things
    assert list(things) == [1, 2, 3]
    assert list(things) == []
    assert things._links == []
    assert [seen.query["marker"] for seen in stub.seen] == [["2"], ["3"]]


@pytest.mark.parametrize(
    "last",
    [
        Answer(204),
        Answer(200, {"things": []}),
        Answer(200, {"things": [], "links": []}),
    ],
)
def test_a_stream_ends_at_an_empty_page(
    last: Answer, client: Client, stub: HttpStub
) -> None:
    stub.default = last
    assert list(make(client, page(1, 2)).stream()) == [1]
    assert len(stub.seen) == 1


def test_a_stream_of_a_service_that_runs_in_circles_ends(
    client: Client, stub: HttpStub
) -> None:
    stub.default = Answer(200, page(2, 2))
    assert list(make(client, page(1, 2)).stream()) == [1, 2]
    assert len(stub.seen) == 1


def test_a_stream_can_be_stopped_again(client: Client, stub: HttpStub) -> None:
    assert list(make(client, page(1, 2)).stream().stream(enabled=False)) == [1]
    assert stub.seen == []


@pytest.mark.parametrize(
    ("listing", "found"), [(None, []), ([{"n": 5}], [5]), ([], [])]
)
def test_a_bare_list_and_nothing_at_all_can_be_walked(
    listing: Any, found: list[int], client: Client
) -> None:
    assert list(make(client, listing).stream()) == found


def test_an_answer_without_its_items_is_a_key_error(client: Client) -> None:
    with pytest.raises(KeyError):
        make(client, {"links": []})
