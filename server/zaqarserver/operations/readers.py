"""Readers that fill :class:`~zaqarserver.operations.fields.Fields` from requests.

One reads a REST query string, one a REST body, one the body of a WebSocket frame. They
check types; :class:`~zaqarserver.operations.fields.Checker` checks bounds.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Union

import msgspec

from zaqarserver.errors import BadRequest
from zaqarserver.operations.fields import (
    Fields,
    Member,
    RequestPart,
    alternatives,
    is_list,
    members,
)

_INTEGER = re.compile(r"[ \t]*[+-]?[0-9]{1,18}[ \t]*")
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "t", "yes", "y", "1", "on"), True),
    **dict.fromkeys(("false", "False", "f", "no", "n", "0", "off"), False),
}
# All digits as 0: a text without one of these parts then has no number that JSON allows
# but the service does not. Only if it has one, all numbers are checked.
_OUTLINE = bytes.maketrans(b"123456789E", b"000000000e")
_LONG, _HUGE = b"0" * 19, b"0e000"
_INT64 = range(-(2**63), 2**63)
#: Maximum levels of arrays and objects of a document. Answers show it within a few more
#: levels, and decoders fail near a thousand.
MAX_DEPTH = 500
# A string, also an unterminated one; possessive, so that no text is read twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1
# A complete number that may be such a number.
_LONG_NUMBER = re.compile(rb"[-+.0-9eE]{19,}|[-+.0-9]{1,18}[eE][-+0-9]{3,}")
_INT64_DIGITS = 20

# -- query strings ----------------------------------------------------------

QueryValue = str | list[str]


def _last(value: QueryValue) -> str:
    return value if isinstance(value, str) else value[-1]


def _query_integer(name: str, value: QueryValue) -> int:
    text = _last(value)
    if _INTEGER.fullmatch(text) is None:
        raise BadRequest(f"{name} must be an integer.", title="Invalid parameter")
    return int(text)


def _query_boolean(name: str, value: QueryValue) -> bool:
    try:
        return _BOOLEANS[_last(value)]
    except KeyError:
        raise BadRequest(
            f"{name} must be true or false.", title="Invalid parameter"
        ) from None


def _query_text(_name: str, value: QueryValue) -> str:
    return _last(value)


def _query_list(_name: str, value: QueryValue) -> list[str]:
    parts = [value] if isinstance(value, str) else value
    return [item for part in parts for item in part.split(",") if item]


class QueryReader:
    """Reads the query fields of one struct (``rest-v2`` 1.11)."""

    def __init__(self, struct: type[Fields]) -> None:
        self._readers: dict[str, tuple[str, Callable[[str, QueryValue], Any]]] = {}
        self._others: str | None = None
        for member in members(struct):
            spec = member.spec
            if spec.part is RequestPart.QUERY:
                reader = _query_reader(member.type)
                self._readers[spec.rest_name or member.name] = (member.name, reader)
            elif spec.part is RequestPart.OTHERS:
                self._others = member.name

    def read(self, query: Mapping[str, QueryValue]) -> dict[str, Any]:
        """Return the fields of the query, each of its type.

        Raises:
            BadRequest: A value is not of its type.
        """
        fields: dict[str, Any] = {}
        others: dict[str, list[str]] = {}
        for name, value in query.items():
            if name in self._readers:
                field, reader = self._readers[name]
                fields[field] = reader(name, value)
            elif self._others is not None:
                others[name] = [value] if isinstance(value, str) else value
        fields["sent"] = frozenset(fields)
        if others and self._others is not None:
            fields[self._others] = others
        return fields


def _query_reader(hint: Any) -> Callable[[str, QueryValue], Any]:
    kinds = alternatives(hint)
    if bool in kinds:
        return _query_boolean
    if int in kinds:
        return _query_integer
    return _query_list if is_list(hint) else _query_text


# -- JSON bodies ------------------------------------------------------------


def check_json(data: bytes) -> None:
    """Refuse JSON text that is not UTF-8 or has values out of range.

    Integers of more than 64 bits, numbers beyond a double and lone surrogates
    are refused at any depth (``rest-v2`` 1.6), and so are more than ``MAX_DEPTH``
    levels. The decoder checks the syntax.

    Raises:
        BadRequest: The text is refused.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise _bad_body(f"not UTF-8 at byte {error.start}") from None
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data)
    outline = data.translate(_OUTLINE, b"+")
    if _LONG in outline or _HUGE in outline:
        _check_numbers(_STRING.sub(b"", data))


def _check_depth(data: bytes) -> None:
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    steps = array("b", brackets.translate(_STEPS))
    if max(itertools.accumulate(steps), default=0) > MAX_DEPTH:
        raise _bad_body(f"it has more than {MAX_DEPTH} levels")


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw] = []


def check_count(data: bytes | msgspec.Raw, most: int) -> None:
    """Refuse a document with too many messages before they are decoded.

    Raises:
        BadRequest: Its member ``messages`` has more than ``most``.
    """
    if bytes(data).count(b"{") <= most:
        return
    try:
        count = len(msgspec.json.decode(data, type=_Messages).messages)
    except (msgspec.MsgspecError, RecursionError):
        return  # the decoder reports the error
    if count > most:
        raise BadRequest(f"messages must have 1 to {most} items, not {count}.")


def _check_numbers(bare: bytes) -> None:
    """Check the long numbers of a text without its strings."""
    for found in _LONG_NUMBER.finditer(bare):
        number = found[0]
        try:
            if number.lstrip(b"-").isdigit():
                if len(number) > _INT64_DIGITS or int(number) not in _INT64:
                    raise _bad_body("an integer does not fit 64 bits")
            elif not math.isfinite(float(number)):
                raise _bad_body("a number is out of range")
        except ValueError:
            continue  # not a number: the decoder reports it


def _bad_body(reason: str) -> BadRequest:
    return BadRequest(
        f"The request body could not be parsed: {reason}.",
        title="Invalid request body",
    )


_NESTED_AT = re.compile(r" - at `\$\.?(.*)`$")


def explain(error: Exception) -> BadRequest:
    """Convert a decoder's exception to an error that names the member."""
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        place = _NESTED_AT.search(text)
        if place is not None:
            reason = text[: place.start()].replace("`", "")
            where = place.group(1) or "the body"
            return BadRequest(f"{where}: {reason}.", title="Invalid request body")
        return BadRequest(text.replace("`", "") + ".", title="Invalid request body")
    if isinstance(error, RecursionError):
        return _bad_body("it is nested too deeply")
    return _bad_body(str(error))


class BodyReader:
    """Decodes the body fields of one struct from a REST body."""

    def __init__(self, struct: type[Fields]) -> None:
        self._document: str | None = None
        found = []
        for member in members(struct):
            if member.spec.part is RequestPart.DOCUMENT:
                self._document = member.name
                self._decoder = msgspec.json.Decoder(_without_none(member.type))
            elif member.spec.part is RequestPart.BODY:
                found.append(member)
        if self._document is None:
            self._decoder = msgspec.json.Decoder(_part_of(struct, found, rest=True))

    def read(self, data: bytes) -> dict[str, Any]:
        """Return the fields of the body.

        Raises:
            BadRequest: It is not JSON, or a member is missing or of a wrong type.
        """
        check_json(data)
        try:
            value = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise explain(error) from None
        if self._document is not None:
            return {self._document: value}
        return msgspec.structs.asdict(value)


class FrameReader:
    """Decodes all fields of one struct from the body of a WebSocket frame.

    Args:
        struct: The fields.
        refused: Names of members that are an error unless they are null.
    """

    def __init__(self, struct: type[Fields], refused: Iterable[str]) -> None:
        found = []
        self._spread: str | None = None
        for member in members(struct):
            if member.spec.spread:
                self._spread = member.name
            elif member.spec.part not in (RequestPart.EDGE, RequestPart.HEADER):
                found.append(member)
        self._names = tuple(member.name for member in found)
        self._decoder = msgspec.json.Decoder(
            _part_of(struct, found, rest=False, never=refused)
        )

    def read(self, data: bytes | msgspec.Raw) -> dict[str, Any]:
        """Return the fields of a frame's body.

        Raises:
            msgspec.ValidationError: A member is missing or of a wrong type.
        """
        value = self._decoder.decode(data)
        fields = {name: getattr(value, name) for name in self._names}
        if self._spread is not None:
            rest = msgspec.json.decode(data)
            for name in self._names:
                rest.pop(name, None)
            fields[self._spread] = rest
        return fields


def _part_of(
    struct: type[Fields],
    wanted: Sequence[Member],
    *,
    rest: bool,
    never: Iterable[str] = (),
) -> type[msgspec.Struct]:
    """Return a struct with some members of another one.

    Args:
        struct: The other struct.
        wanted: The members.
        rest: True for a REST body.
        never: Names of members that it refuses unless they are null.
    """
    fields: list[tuple[str, Any, Any]] = []
    for member in wanted:
        hint, default = member.type, _defaults(struct)[member.name]
        if rest and member.spec.required:
            hint, default = _without_none(hint), msgspec.NODEFAULT
        fields.append((member.name, hint, default))
    fields += [(name, None, None) for name in sorted(never)]
    return msgspec.defstruct(f"{struct.__name__}Part", fields, kw_only=True)


def _without_none(hint: Any) -> Any:
    parts = tuple(part for part in alternatives(hint) if part is not type(None))
    return parts[0] if len(parts) == 1 else Union[parts]  # noqa: UP007 - built at run time


@functools.cache
def _defaults(struct: type[Fields]) -> dict[str, Any]:
    """Return the default of each field, cached: looking them up is slow."""
    return {
        field.name: field.default
        if field.default_factory is msgspec.NODEFAULT
        else msgspec.field(default_factory=field.default_factory)
        for field in msgspec.structs.fields(struct)
    }
