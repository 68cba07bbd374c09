"""Where messages come from and how they are cut into requests."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zaqarclient.queues.v2.cli import bodies
from zaqarclient.queues.v2.cli.bodies import Input
from zaqarclient.queues.v2.cli.output import CommandError


@pytest.mark.parametrize(
    ("document", "messages"),
    [
        ({"body": 1, "ttl": 60}, [{"body": 1, "ttl": 60}]),
        ([{"body": 1}, {"body": None}], [{"body": 1}, {"body": None}]),
        ("text", [{"body": "text"}]),
        (5, [{"body": 5}]),
        (None, [{"body": None}]),
        (False, [{"body": False}]),
        ({"item": "tea"}, [{"body": {"item": "tea"}}]),
        ([1, {"a": 2}], [{"body": [1, {"a": 2}]}]),
    ],
)
def test_a_document_stands_for_messages(document: Any, messages: Any) -> None:
    assert bodies.messages_of(document) == messages


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "the list holds no message"),
        ([{"a": 1}, {"body": 2}], "message 1 is not an object with a body"),
        ([{"body": 1}, 2], "message 2 is not an object with a body"),
    ],
)
def test_a_document_that_holds_no_messages_is_refused(document: Any, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        bodies.messages_of(document)


def test_a_dash_is_the_standard_input_and_an_at_sign_a_file(tmp_path: Path) -> None:
    assert bodies.messages_argument("-") == Input(None)
    assert bodies.messages_argument(f"@{tmp_path}") == Input(tmp_path)


def test_the_size_of_a_file_is_known_and_that_of_the_input_is_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"12345")
    with file.open("rb") as stream:
        assert bodies.size_of(stream) == 5
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        assert bodies.size_of(stream) is None
    assert bodies.size_of(io.BytesIO(b"12345")) is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the input is empty"),
        (b" \n", "the input is empty"),
        (b'{"a":\n}', "at line 2, column 1"),
        (b'{"a": 1}\n{"a": 2}', "Extra data at line 2, column 1; --json-lines"),
        (b'"\xff"', "the input is not UTF-8 text"),
    ],
)
def test_a_document_that_is_not_json_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        bodies.read_document(io.BytesIO(content))


@pytest.mark.parametrize(
    ("content", "document"),
    [
        (b'{"a": 1}\n', {"a": 1}),
        (b"hello\n", "hello"),
        (b"two\r\nlines\r\n\n", "two\r\nlines\r\n"),
        (b"NaN", "NaN"),
        (b"12\n", 12),
    ],
)
def test_a_document_that_does_not_look_like_json_is_text(
    content: bytes, document: Any
) -> None:
    assert bodies.read_document(io.BytesIO(content)) == document


def texts(content: bytes) -> list[Any]:
    messages = bodies.line_messages(
        io.BufferedReader(io.BytesIO(content)), as_json=False
    )
    return [message["body"] for message in messages if message]


def test_each_line_that_holds_anything_is_a_message() -> None:
    assert texts(b"one\r\n\n  \ntwo words\nlast") == ["one", "two words", "last"]
    assert texts(b"") == []


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))))
def test_lines_come_back_as_they_went_in(lines: list[str]) -> None:
    content = "\n".join(lines).encode()
    # What counts as blank is what bytes.strip takes away.
    assert texts(content) == [line for line in lines if line.encode().strip()]


def test_lines_of_json_are_bodies() -> None:
    stream = io.BufferedReader(io.BytesIO(b'{"a": 1}\n2\n'))
    assert list(bodies.line_messages(stream, as_json=True)) == [
        {"body": {"a": 1}},
        {"body": 2},
    ]


@pytest.mark.parametrize(
    ("content", "as_json", "text"),
    [
        (b"1\nx\n", True, "line 2 is not valid JSON: Expecting value at column 1"),
        (b"a\n\n\xff\n", False, "line 3 is not UTF-8 text"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(
    content: bytes, as_json: bool, text: str
) -> None:
    stream = io.BufferedReader(io.BytesIO(content))
    with pytest.raises(CommandError, match=text):
        list(bodies.line_messages(stream, as_json=as_json))


def test_lines_that_have_come_are_given_before_waiting_for_more() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, os.fdopen(writer, "wb", 0) as source:
        source.write(b"one\ntwo\nthr")
        lines = bodies.read_lines(stream)
        assert [next(lines), next(lines)] == [(1, b"one"), (2, b"two")]
        assert next(lines) is None
        source.write(b"ee\n")
        assert next(lines) == (3, b"three")


def batch_bodies(messages: Any, limit: int) -> list[list[Any]]:
    found = bodies.batches(messages, lambda: limit)
    return [[message["body"] for message in batch] for batch in found]


def test_messages_are_cut_before_the_limit_and_keep_their_order() -> None:
    messages = [{"body": number} for number in range(7)]
    # A message is 11 bytes, 13 with what is between; the envelope has 16.
    assert batch_bodies(messages, 16 + 3 * 13) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_pause_sends_what_is_there() -> None:
    messages = [{"body": 1}, None, None, {"body": 2}]
    assert batch_bodies(messages, 1000) == [[1], [2]]


def test_a_request_carries_at_most_1000_messages() -> None:
    sizes = [len(batch) for batch in batch_bodies([{"body": 0}] * 2001, 1 << 30)]
    assert sizes == [1000, 1000, 1]


def test_a_message_that_fits_no_request_is_named_after_those_before_it() -> None:
    found = bodies.batches([{"body": 1}, {"body": "x" * 50}], lambda: 60)
    assert next(found) == [{"body": 1}]
    with pytest.raises(CommandError, match="message 2 has 64 bytes, more than the 44"):
        next(found)


@given(st.lists(st.text(max_size=40), max_size=60), st.integers(300, 600))
def test_no_request_is_larger_than_the_limit_and_none_gets_lost(
    content: list[str], limit: int
) -> None:
    messages: Iterator[Any] = iter([{"body": text} for text in content])
    found = list(bodies.batches(messages, lambda: limit))
    assert all(len(json.dumps({"messages": batch})) <= limit for batch in found)
    assert [message["body"] for batch in found for message in batch] == content
