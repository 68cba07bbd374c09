"""Subscription filters."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.filters import (
    MAX_CHOICES,
    MAX_DEPTH,
    MAX_PREDICATES,
    MAX_TEXT,
    MISSING,
    compile_filter,
)

BODY = {
    "status": "paid",
    "total": 42.5,
    "count": 3,
    "test": False,
    "note": None,
    "customer": {"name": "Anna", "a/b": 1, "c~d": 2, "e.f": 3},
    "items": [{"sku": "A-1"}, {"sku": "B-2"}],
}


def matches(raw, body=BODY):
    return compile_filter(raw).matches(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("pointer", "condition", "wanted"),
    [
        ("/status", {"equals": "paid"}, True),
        ("/status", {"equals": "open"}, False),
        ("/count", {"equals": 3.0}, True),
        ("/test", {"equals": False}, True),
        ("/test", {"equals": 0}, False),
        ("/count", {"equals": "3"}, False),
        ("/note", {"equals": None}, True),
        ("/missing", {"equals": None}, False),
        ("/status", {"any_of": ["sent", "paid"]}, True),
        ("/status", {"any_of": ["sent"]}, False),
        ("/customer/name", {"prefix": "An"}, True),
        ("/customer/name", {"prefix": "na"}, False),
        ("/count", {"prefix": "3"}, False),
        ("/total", {"at_least": 42.5}, True),
        ("/total", {"above": 42.5}, False),
        ("/total", {"at_most": 42.5, "above": 42}, True),
        ("/total", {"below": 42.5}, False),
        ("/status", {"at_least": 0}, False),
        ("/test", {"at_least": 0}, False),
        ("/note", {"exists": True}, True),
        ("/missing", {"exists": True}, False),
        ("/missing", {"exists": False}, True),
        ("/items/1/sku", {"equals": "B-2"}, True),
        ("/items/2/sku", {"exists": False}, True),
        ("/items/01", {"exists": False}, True),
        ("/items/-1", {"exists": False}, True),
        ("/customer/a~1b", {"equals": 1}, True),
        ("/customer/c~0d", {"equals": 2}, True),
        ("/customer/e.f", {"equals": 3}, True),
        ("/status/x", {"exists": False}, True),
        ("", {"exists": True}, True),
    ],
)
def test_a_condition_says_whether_the_member_is_wanted(pointer, condition, wanted):
    assert matches({pointer: condition}) is wanted


def test_every_condition_must_hold():
    assert matches({"/status": {"equals": "paid"}, "/count": {"above": 2}})
    assert not matches({"/status": {"equals": "paid"}, "/count": {"above": 3}})


def test_the_empty_pointer_is_the_body_itself():
    assert matches({"": {"prefix": "backup"}}, "backup started")


@pytest.mark.parametrize(
    "body", [b"{", b"", b"9" * 5000, b"[" * 5000 + b"]" * 5000, b'"\xff"']
)
def test_a_body_that_cannot_be_read_matches_nothing(body):
    assert not compile_filter({"/a": {"exists": True}}).matches(body)


def test_explain_says_what_each_condition_found():
    wanted = compile_filter({"/status": {"equals": "sent"}, "/x": {"exists": False}})
    first, second = wanted.explain(json.dumps(BODY).encode())
    assert (first.predicate.pointer, first.predicate.operator) == ("/status", "equals")
    assert (first.found, first.holds) == ("paid", False)
    assert (second.found, second.holds) == (MISSING, True)


@given(
    st.dictionaries(
        st.sampled_from(["/status", "/total", "/missing", "/items/0/sku"]),
        st.fixed_dictionaries(
            {},
            optional={
                "equals": st.sampled_from(["paid", 42.5, None]),
                "exists": st.booleans(),
                "at_least": st.integers(0, 100),
                "prefix": st.sampled_from(["", "p", "A"]),
            },
        ).filter(bool),
        min_size=1,
    )
)
def test_explain_and_matches_agree(raw):
    body = json.dumps(BODY).encode()
    wanted = compile_filter(raw)
    assert wanted.matches(body) is all(one.holds for one in wanted.explain(body))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ([], "must be an object"),
        (None, "must be an object"),
        ({}, "from 1 to"),
        ({"status": {"equals": 1}}, "JSON pointer"),
        ({"/a~2": {"equals": 1}}, "write ~ as ~0"),
        ({"/a": 1}, "filter['/a'] must be an object"),
        ({"/a": {}}, "filter['/a'] must be an object"),
        ({"/a": {"like": "x"}}, "'like' is not one of equals"),
        ({"/a": {"equals": {}}}, "filter['/a'].equals must be text"),
        ({"/a": {"equals": "x" * (MAX_TEXT + 1)}}, ".equals must be text"),
        ({"/a": {"any_of": []}}, ".any_of must be a list"),
        ({"/a": {"any_of": [[]]}}, ".any_of must be a list"),
        ({"/a": {"any_of": [1] * (MAX_CHOICES + 1)}}, ".any_of must be a list"),
        ({"/a": {"prefix": 1}}, ".prefix must be text"),
        ({"/a": {"above": "1"}}, ".above must be a number"),
        ({"/a": {"above": True}}, ".above must be a number"),
        ({"/a": {"above": float("nan")}}, ".above must be a number"),
        ({"/a": {"exists": 1}}, ".exists must be true or false"),
        ({"/a" * (MAX_DEPTH + 1): {"exists": True}}, "deeper than"),
        ({"/" + "a" * MAX_TEXT: {"exists": True}}, "text of at most"),
        (
            {f"/{number}": {"exists": True} for number in range(MAX_PREDICATES + 1)},
            "from 1 to",
        ),
    ],
)
def test_a_filter_that_is_wrong_is_refused_by_name(raw, text):
    with pytest.raises(BadRequest) as caught:
        compile_filter(raw)
    assert text in caught.value.description
