"""MessagePack frames: counted before they are decoded, made over in pieces."""

import asyncio
import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zaqarserver.websocket.binary import (
    _check_count,
    answer_to_binary,
    text_of_binary,
    to_binary,
)
from zaqarserver.websocket.frames import FrameError

MOST = 100_000

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=80)
    | st.text(min_size=300, max_size=300),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner)
    ),
    max_leaves=40,
)


def count(value):
    if isinstance(value, dict):
        return 1 + sum(1 + count(one) for one in value.values())
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    return 1


@settings(deadline=None)  # a shared machine is slow at times
@given(values)
def test_a_frame_has_as_many_values_as_are_counted(value):
    data = msgspec.msgpack.encode(value)
    _check_count(data, count(value))
    with pytest.raises(ValueError, match="more than"):
        _check_count(data, count(value) - 1)


@settings(deadline=None)  # a shared machine is slow at times
@given(values)
def test_a_frame_becomes_the_text_that_a_text_client_would_send(value):
    text = text_of_binary(msgspec.msgpack.encode({"body": value}), MOST)
    assert text == json.dumps({"body": value}, ensure_ascii=False).encode()


@settings(deadline=None)  # a shared machine is slow at times
@given(values)
def test_an_answer_made_over_in_pieces_is_the_same_as_at_once(value):
    async def pause():
        pass

    answer = {"request": {"body": value}, "body": {"messages": [value], "a": value}}
    for body in (answer["body"], value):
        text = msgspec.json.encode({**answer, "body": body})
        assert msgspec.msgpack.decode(
            asyncio.run(answer_to_binary(text, pause))
        ) == msgspec.msgpack.decode(to_binary(text))


def test_an_answer_of_many_messages_gives_others_a_turn_after_each():
    turns = []

    async def pause():
        turns.append(1)

    text = msgspec.json.encode({"body": {"messages": [{"body": 1}] * 20}})
    asyncio.run(answer_to_binary(text, pause))
    assert len(turns) >= 20


@pytest.mark.parametrize(
    "value",
    [{"a": b"bytes"}, {"a": math.inf}, {"a": {1: 2}}, {"a": [{b"k": 1}]}],
    ids=repr,
)
def test_what_json_has_not_is_refused(value):
    with pytest.raises(FrameError):
        text_of_binary(msgspec.msgpack.encode(value), MOST)


def test_extensions_are_counted_and_refused():
    for size in (1, 2, 4, 8, 16, 3, 300, 70_000):
        data = msgspec.msgpack.encode([msgspec.msgpack.Ext(5, bytes(size)), 1])
        _check_count(data, 3)
        with pytest.raises(ValueError, match="more than"):
            _check_count(data, 2)
        with pytest.raises(FrameError):
            text_of_binary(data, MOST)
