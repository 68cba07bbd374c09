"""From requests to frames, and from the answers of frames to links and back."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaqarclient.errors import InvalidOperation
from zaqarclient.queues.v2.api import V2, bind
from zaqarclient.queues.v2.calls import Calls
from zaqarclient.transport.api import Api, RequestFrame
from zaqarclient.transport.request import Request

NAMES = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)
KEYS = st.text(min_size=1).filter(
    lambda key: key not in {"marker", "limit", "detailed", "with_count", "name"}
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def frame(operation: str, arguments: dict[str, Any], ref: str = "") -> RequestFrame:
    request = Request(api=2)
    if operation:
        bind(request, operation, arguments)
    request.ref = ref
    return V2().frame(request)


def ref_of(link: str) -> str:
    """What is asked for when a link is followed."""
    request, transport = Request(), mock.Mock()
    transport.send.return_value = None
    Calls(lambda: (request, transport)).follow(link)
    return request.ref


def followed(answer: Any) -> RequestFrame:
    """The frame for the page behind an answer."""
    link = next(link["href"] for link in answer["links"] if link["rel"] == "next")
    assert link is not None
    return frame("", {}, ref_of(link))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "limit": st.integers(1, 20),
            "detailed": st.booleans(),
            "with_count": st.booleans(),
            "name": TEXTS,
            "marker": TEXTS,
        },
    ),
    st.dictionaries(
        KEYS.filter(str.isascii), st.one_of(TEXTS, st.lists(TEXTS, min_size=2))
    ),
    NAMES,
)
def test_the_next_page_of_queues_is_asked_for_as_the_first_was(
    arguments: dict[str, Any], filters: dict[str, Any], last: str
) -> None:
    first = frame("queue_list", {**arguments, **filters, "queue_name": "a filter"})
    _, page = first.read(200, {"queues": [{"name": last}]})
    body = dict(first.body or {})
    assert followed(page).body == {**body, "marker": last}


@given(
    NAMES,
    TEXTS.filter(bool),
    st.fixed_dictionaries(
        {},
        optional={
            "limit": st.integers(1, 20),
            "echo": st.booleans(),
            "include_claimed": st.booleans(),
            "include_delayed": st.booleans(),
        },
    ),
)
def test_the_next_page_of_messages_is_asked_for_as_the_first_was(
    queue_name: str, last: str, arguments: dict[str, Any]
) -> None:
    first = frame("message_list", {"queue_name": queue_name, **arguments})
    message = {"id": last, "claim_id": None, "ttl": 60, "age": 0, "body": None}
    _, page = first.read(200, {"messages": [message]})
    following = followed(page)
    assert following.action == "message_list"
    assert following.body == {**(first.body or {}), "marker": last}


@pytest.mark.parametrize(
    ("ref", "action", "body"),
    [
        ("/v2/queues/a%20b/stats", "queue_get_stats", {"queue_name": "a b"}),
        (
            "http://elsewhere/v2/queues/q/messages?ids=a,b",
            "message_get_many",
            {"queue_name": "q", "message_ids": ["a", "b"]},
        ),
        (
            "/v2/queues/q/messages/m1",
            "message_get",
            {"queue_name": "q", "message_id": "m1"},
        ),
        ("pools?limit=2&detailed=true", "pool_list", {"limit": 2, "detailed": True}),
    ],
)
def test_a_link_is_read_by_the_operation_of_its_path(
    ref: str, action: str, body: dict[str, Any]
) -> None:
    sent = ref_of(ref)
    found = frame("", {}, sent)
    assert (found.action, found.body) == (action, body)


def test_numbers_and_truths_written_as_text_get_their_types() -> None:
    asked = frame("message_list", {"queue_name": "7", "limit": "3", "echo": "True"})
    assert asked.body == {"queue_name": "7", "limit": 3, "echo": True}
    odd = frame("message_list", {"queue_name": "q", "limit": "many", "echo": "yes"})
    assert odd.body == {"queue_name": "q", "limit": "many", "echo": "yes"}


def test_popping_through_the_bulk_delete_is_not_sent_twice() -> None:
    deleting = frame("message_delete_many", {"queue_name": "q", "ids": ["a"]})
    popping = frame("message_delete_many", {"queue_name": "q", "pop": 2})
    assert popping.body == {"queue_name": "q", "pop": 2}
    assert popping.rule is not deleting.rule


def test_an_api_without_websocket_says_so() -> None:
    with pytest.raises(InvalidOperation, match="no WebSocket"):
        Api().frame(Request(operation="ping"))
    with pytest.raises(InvalidOperation, match="no operation"):
        V2().frame(Request(operation="fly"))


def test_subscriptions_are_not_asked_for_in_detail() -> None:
    """Over HTTP it means nothing; the action has no such argument."""
    asked = frame("subscription_list", {"queue_name": "q", "detailed": False})
    assert asked.body == {"queue_name": "q"}
    topics = frame("topic_list", {"detailed": True, "limit": 3})
    assert topics.body == {"detailed": True, "limit": 3}
