"""Typed fields of operations: where each comes from and what it may be.

An operation's arguments are a flat :class:`Fields` struct. Each member carries
a :class:`Source` (path, query or body on REST; all from the frame's body on the
WebSocket) and its bounds. Both edges fill the same struct and
:class:`Checker` then applies the same bounds, so that a rule cannot hold on
one transport only.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union

import msgspec

from zaqarserver.errors import BadRequest

Settings = Any  # the struct of zaqarserver.context; only attribute look-ups here

QUEUE_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_INTEGER = re.compile(r"[ \t]*[+-]?[0-9]{1,18}[ \t]*")
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "t", "yes", "y", "1", "on"), True),
    **dict.fromkeys(("false", "False", "f", "no", "n", "0", "off"), False),
}
# Text that may hide a number or string that JSON allows but we do not: only
# then is the document decoded in full.
# (One leading character class: the search then runs at memory speed.)
_SUSPECT = re.compile(rb"[0-9](?:[0-9]{18}|[eE][+]?[0-9]{3})")
_INT64 = range(-(2**63), 2**63)


class Source(enum.Enum):
    """Where a REST request carries a field."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    #: The request body as a whole is this field's value.
    DOCUMENT = "document"
    #: Every query parameter that is no field of its own.
    OTHERS = "others"
    #: Measured by the edge, never sent by a client.
    EDGE = "edge"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a field beyond its type.

    Attributes:
        source: Where REST carries it.
        minimum: The least integer, or the least number of list items.
        maximum: The greatest; a text names the setting that holds it.
        name: Whether it is a queue name.
        required: Whether a REST body, if there is one, must have it.
        rest_name: Its name in a REST query, if that is another one.
        help: What it means, for the reference.
    """

    source: Source = Source.BODY
    minimum: int | None = None
    maximum: int | str | None = None
    name: bool = False
    required: bool = False
    rest_name: str = ""
    help: str = ""


def path(**spec: Any) -> Spec:
    """Describe a field that REST carries in the path."""
    return Spec(source=Source.PATH, **spec)


def query(**spec: Any) -> Spec:
    """Describe a field that REST carries in the query string."""
    return Spec(source=Source.QUERY, **spec)


def body(**spec: Any) -> Spec:
    """Describe a field that REST carries as a member of the body."""
    return Spec(source=Source.BODY, **spec)


def document(**spec: Any) -> Spec:
    """Describe a field that is the REST body as a whole."""
    return Spec(source=Source.DOCUMENT, **spec)


QueueName = Annotated[
    str, path(name=True, help="Name of the queue: 1 to 64 of A-Z a-z 0-9 _ - .")
]


class Fields(msgspec.Struct, kw_only=True):
    """The arguments of one operation.

    Attributes:
        sent: The query parameters that a REST request carried, by field name.
    """

    sent: Annotated[frozenset[str], Spec(source=Source.EDGE)] = frozenset()


class Member(msgspec.Struct, frozen=True):
    """A field of a struct, taken apart.

    Attributes:
        name: Its name.
        spec: What is known of it.
        type: Its type without the annotation.
        optional: Whether it may be left out.
    """

    name: str
    spec: Spec
    type: Any
    optional: bool


def members(struct: type[msgspec.Struct]) -> Iterator[Member]:
    """Take a struct's fields apart, in their order."""
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        spec = Spec()
        if typing.get_origin(hint) is Annotated:
            hint, *extras = typing.get_args(hint)
            spec = next((extra for extra in extras if isinstance(extra, Spec)), spec)
        yield Member(field.name, spec, hint, not field.required)


def check_queue_name(name: str, title: str = "Invalid queue identification") -> None:
    """Refuse what is not a queue name (``rest-v2`` 1.10).

    Raises:
        BadRequest: It is not.
    """
    if QUEUE_NAME.fullmatch(name) is None or name in (".", ".."):
        raise BadRequest(
            "A queue name has 1 to 64 characters out of A-Z a-z 0-9 _ - . "
            "and is neither . nor ..",
            title=title,
        )


def check_integer(where: str, value: Any, minimum: int, maximum: int) -> int:
    """Return an integer that lies within bounds.

    Raises:
        BadRequest: It is of another type or out of bounds.
    """
    if type(value) is not int or not minimum <= value <= maximum:
        raise BadRequest(f"{where} must be an integer between {minimum} and {maximum}.")
    return value


class Checker:
    """The bounds of one struct, with the settings filled in."""

    def __init__(self, struct: type[msgspec.Struct], settings: Settings) -> None:
        self._integers: list[tuple[str, int, int]] = []
        self._lists: list[tuple[str, int, int]] = []
        self._names: list[str] = []
        self._nested: list[tuple[str, Checker]] = []
        for member in members(struct):
            self._add(member, settings)

    def _add(self, member: Member, settings: Settings) -> None:
        spec = member.spec
        item = _item_struct(member.type)
        if item is not None:
            nested = Checker(item, settings)
            if not nested.is_empty:
                self._nested.append((member.name, nested))
        if spec.name:
            self._names.append(member.name)
        if spec.minimum is None:
            return
        maximum = spec.maximum
        if isinstance(maximum, str):
            maximum = int(getattr(settings, maximum))
        bounds = (member.name, spec.minimum, 2**63 - 1 if maximum is None else maximum)
        (self._lists if _is_list(member.type) else self._integers).append(bounds)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to check."""
        return not (self._integers or self._lists or self._names or self._nested)

    def check(self, value: msgspec.Struct, where: str = "") -> None:
        """Refuse values out of bounds.

        Raises:
            BadRequest: A field is; the text names it and the bounds.
        """
        for name in self._names:
            check_queue_name(getattr(value, name))
        for name, low, high in self._integers:
            number = getattr(value, name)
            if type(number) is int and not low <= number <= high:
                check_integer(where + name, number, low, high)
        for name, low, high in self._lists:
            items = getattr(value, name)
            if type(items) is list and not low <= len(items) <= high:
                bounds = f"at least {low}" if high > 2**62 else f"{low} to {high}"
                raise BadRequest(f"{where}{name} must have {bounds} items.")
        for name, nested in self._nested:
            for index, item in enumerate(getattr(value, name) or ()):
                nested.check(item, f"{where}{name}[{index}].")


def _alternatives(hint: Any) -> Sequence[Any]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _is_list(hint: Any) -> bool:
    return any(typing.get_origin(part) is list for part in _alternatives(hint))


def _item_struct(hint: Any) -> type[msgspec.Struct] | None:
    for part in _alternatives(hint):
        if typing.get_origin(part) is list:
            (item,) = typing.get_args(part)
            if isinstance(item, type) and issubclass(item, msgspec.Struct):
                return item
    return None


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
            if spec.source is Source.QUERY:
                reader = _query_reader(member.type)
                self._readers[spec.rest_name or member.name] = (member.name, reader)
            elif spec.source is Source.OTHERS:
                self._others = member.name

    def read(self, query: Mapping[str, QueryValue]) -> dict[str, Any]:
        """Return the fields that the query holds, each of its type.

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
    alternatives = _alternatives(hint)
    if bool in alternatives:
        return _query_boolean
    if int in alternatives:
        return _query_integer
    return _query_list if _is_list(hint) else _query_text


# -- JSON bodies ------------------------------------------------------------


def check_json(data: bytes) -> None:
    """Refuse JSON text that is not UTF-8 or has values outside our range.

    Integers of more than 64 bits, numbers beyond a double and lone surrogates
    are refused at any depth (``rest-v2`` 1.6); syntax is the decoder's matter.

    Raises:
        BadRequest: The text has one.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise _bad_body(f"not UTF-8 at byte {error.start}") from None
    if _SUSPECT.search(data) is not None:
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _bad_body(str(error)) from None
        _check_numbers(value)


def _check_numbers(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is int:
            if item not in _INT64:
                raise _bad_body("an integer does not fit 64 bits")
        elif type(item) is list:
            waiting.extend(item)
        elif type(item) is dict:
            waiting.extend(item.values())


def _bad_body(reason: str) -> BadRequest:
    return BadRequest(
        f"The request body could not be parsed: {reason}.",
        title="Invalid request body",
    )


_NESTED_AT = re.compile(r" - at `\$\.?(.*)`$")


def explain(error: Exception) -> BadRequest:
    """Turn a decoder's complaint into an error that names the member."""
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
    """Decodes the body fields of one struct from JSON."""

    def __init__(self, struct: type[Fields]) -> None:
        self.document: str | None = None
        fields: list[tuple[str, Any, Any]] = []
        for member in members(struct):
            if member.spec.source is Source.DOCUMENT:
                self.document = member.name
                self._decoder = msgspec.json.Decoder(_without_none(member.type))
            elif member.spec.source is Source.BODY:
                hint, default = member.type, _default(struct, member.name)
                if member.spec.required:
                    hint, default = _without_none(hint), msgspec.NODEFAULT
                fields.append((member.name, hint, default))
        self.names = tuple(name for name, _, _ in fields)
        if self.document is None:
            self._decoder = msgspec.json.Decoder(
                msgspec.defstruct(f"{struct.__name__}Body", fields, kw_only=True)
            )

    def read(self, data: bytes) -> dict[str, Any]:
        """Return the fields that the body holds.

        Raises:
            BadRequest: It is not JSON, or a member is missing or of a wrong type.
        """
        check_json(data)
        try:
            value = self._decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise explain(error) from None
        if self.document is not None:
            return {self.document: value}
        return {name: getattr(value, name) for name in self.names}


def _without_none(hint: Any) -> Any:
    parts = tuple(part for part in _alternatives(hint) if part is not type(None))
    return parts[0] if len(parts) == 1 else Union[parts]  # noqa: UP007 - built at run time


def _default(struct: type[Fields], name: str) -> Any:
    field = next(f for f in msgspec.structs.fields(struct) if f.name == name)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default
