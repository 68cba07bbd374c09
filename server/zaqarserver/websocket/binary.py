"""MessagePack frames: requests to JSON text, answers and pushes from JSON text.

A few bytes of either can become many objects, so both directions have bounds: the
values of a request are counted before it is decoded, and an answer is converted message
by message while other tasks run in between.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from zaqarserver.websocket.frames import FrameError

#: Minimum bytes of JSON text of a value, with its separator.
_LEAST_TEXT = 3
#: Pushes whose binary form is cached: many connections get the same push.
_CACHED_PUSHES = 16

_parts_of_map = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_parts_of_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_pack = msgspec.msgpack.Encoder().encode


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the garbage collector: the many new objects have no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# -- requests -------------------------------------------------------------------


def _sizes() -> list[int]:
    """Return, for each first byte of a value, the size of the value in bytes.

    For a map or list it is the size of its header; for a text or bytes it is the
    negative number of bytes that hold its length.
    """
    sizes = [1] * 256
    sizes[0xA0:0xC0] = range(1, 33)
    for first, lengths in (
        (0xC4, (-1, -2, -4)),  # bytes
        (0xC7, (-1, -2, -4)),  # extensions; their kind is one byte more, see below
        (0xCA, (5, 9)),  # floats
        (0xCC, (2, 3, 5, 9, 2, 3, 5, 9)),  # integers
        (0xD4, (3, 4, 6, 10, 18)),  # extensions of a fixed size
        (0xD9, (-1, -2, -4)),  # texts
        (0xDC, (3, 5, 3, 5)),  # lists and maps
    ):
        sizes[first : first + len(lengths)] = lengths
    return sizes


_SIZES = _sizes()
_EXTENSIONS = range(0xC7, 0xCA)


def _check_count(data: bytes, most: int) -> None:
    """Refuse a frame with more values than any request has.

    Raises:
        ValueError: It has more than ``most`` values.
    """
    at = count = 0
    end = len(data)
    while at < end:
        first = data[at]
        size = _SIZES[first]
        if size < 0:
            length = int.from_bytes(data[at + 1 : at + 1 - size])
            size = 1 - size + length + (first in _EXTENSIONS)
        at += size
        count += 1
        if count > most:
            raise ValueError(f"it has more than {most} values")


def text_of_binary(data: bytes, max_text: int) -> bytes:
    """Return a MessagePack frame as JSON text.

    Args:
        data: The frame.
        max_text: Maximum bytes of JSON text of a request.

    Raises:
        FrameError: It is not MessagePack, has values unknown to JSON, or too many.
    """
    try:
        _check_count(data, max_text // _LEAST_TEXT)
        with _no_collection():
            return _text_of(msgspec.msgpack.decode(data))
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError) as error:
        raise FrameError(
            400, f"Can't decode binary (MessagePack) request. EXC: {error}"
        ) from None


def _text_of(value: Any) -> bytes:
    if type(value) is dict:
        # A key of bytes cannot be a known member; unknown members are ignored.
        value = {key: value[key] for key in value if type(key) is not bytes}
    _check_keys(value)
    # Text clients use the same separators, so that sizes are the same.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def _check_keys(value: Any) -> None:
    """Refuse maps with keys that are not texts, which the encoder would convert."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            if set(map(type, item)) - {str}:
                raise ValueError("the keys of a map must be text")
            item = item.values()
        elif type(item) is not list:
            continue
        waiting += [one for one in item if one and type(one) in (dict, list)]


# -- answers and pushes ---------------------------------------------------------


def to_binary(text: bytes) -> bytes:
    """Return JSON text as MessagePack."""
    with _no_collection():
        return _pack(msgspec.json.decode(text))


#: The same for pushes, cached.
push_to_binary = functools.lru_cache(_CACHED_PUSHES)(to_binary)


async def answer_to_binary(text: bytes, pause: Callable[[], Awaitable[None]]) -> bytes:
    """Return an answer as MessagePack; let other tasks run in between.

    Args:
        text: The answer's JSON text.
        pause: Lets other tasks run.
    """
    parts = _parts_of_map(text)
    body = bytes(parts["body"])
    if body.startswith(b"{"):
        members = _parts_of_map(body)
        for name, value in members.items():
            members[name] = await _in_pieces(bytes(value), pause)
        parts["body"] = msgspec.Raw(_pack(members))
    for name, value in parts.items():
        if name != "body" or not body.startswith(b"{"):
            parts[name] = msgspec.Raw(to_binary(bytes(value)))
            await pause()
    return _pack(parts)


async def _in_pieces(text: bytes, pause: Callable[[], Awaitable[None]]) -> msgspec.Raw:
    """Convert a list item by item, anything else at once."""
    if not text.startswith(b"["):
        await pause()
        return msgspec.Raw(to_binary(text))
    items = _parts_of_list(text)
    for index, item in enumerate(items):
        items[index] = msgspec.Raw(to_binary(bytes(item)))
        await pause()
    return msgspec.Raw(_pack(items))
