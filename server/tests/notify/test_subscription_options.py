"""The options of subscriptions that mean something."""

from __future__ import annotations

import pytest
from zaqarserver.errors import BadRequest
from zaqarserver.subscribers.options import (
    MAX_HEADER,
    MAX_HEADERS,
    MAX_PLACEHOLDERS,
    check_options,
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"anything": ["goes", None], "trust_id": 1},
        {"_retry_policy": {"minimum_delay": 1}, "filter": {"/a": {"exists": True}}},
        {"post_data": '{"x": "$zaqar_message$"}', "post_headers": {"X-A": "é\tb"}},
        {"from": "Zoë <z@x.example>", "subject": "Grüße"},
    ],
)
def test_options_that_can_be_followed_pass(options):
    before = repr(options)
    check_options(options)
    assert repr(options) == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (1, "Options must be a dict."),
        ("123", "Options must be a dict."),
        (None, "Options must be a dict."),
        ([], "Options must be a dict."),
        ({"_retry_policy": 1}, "retry_policy must be a dict."),
        ({"filter": {"/a": {"is": 1}}}, "filter['/a']"),
        ({"post_data": {}}, "post_data must be a string."),
        ({"post_data": "\ud800"}, "post_data must be text"),
        (
            {"post_data": '"$zaqar_message$"' * (MAX_PLACEHOLDERS + 1)},
            "post_data must not hold more than",
        ),
        ({"post_headers": []}, "post_headers must be an object of strings."),
        ({"post_headers": {"X": 1}}, "post_headers['X'] must be a string."),
        ({"post_headers": {"X": "a\nb"}}, "post_headers['X'] must be one line"),
        ({"post_headers": {"X": "\ud800"}}, "post_headers['X'] must be text"),
        ({"post_headers": {"X Y": "a"}}, "'X Y' is not the name of a header"),
        ({"post_headers": {"": "a"}}, "'' is not the name of a header"),
        ({"post_headers": {"content-LENGTH": "1"}}, "is set by the server"),
        ({"post_headers": {"Transfer-Encoding": "x"}}, "is set by the server"),
        ({"post_headers": {"webhook-id": "1"}}, "is set by the server"),
        (
            {"post_headers": {f"X-{n}": "" for n in range(MAX_HEADERS + 1)}},
            "post_headers must not hold more than",
        ),
        ({"from": "a\r\nBcc: b"}, "from must be one line"),
        ({"subject": "x" * (MAX_HEADER + 1)}, "subject must be one line"),
        ({"subject": ["a"]}, "subject must be a string."),
    ],
)
def test_options_that_cannot_be_followed_are_refused_by_name(options, text):
    with pytest.raises(BadRequest) as caught:
        check_options(options)
    assert text in caught.value.description
