"""Typed fields of operations, with the part of the request and the bounds.

An operation's arguments are a flat :class:`Fields` struct. Each member carries
a :class:`RequestPart` (path, query or body on REST; all from the frame's body on the
WebSocket) and its bounds. Both edges fill the same struct and
:class:`Checker` then applies the same bounds, so that a rule cannot hold on
one transport only.
"""

from __future__ import annotations

import enum
import functools
import re
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union

import msgspec

from zaqarserver.errors import BadRequest

Settings = Any  # the struct of context.py; only attribute look-ups here

NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


class RequestPart(enum.Enum):
    """Where a REST request carries a field."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    #: The request body as a whole is this field's value.
    DOCUMENT = "document"
    #: Every query parameter that is not another field.
    OTHERS = "others"
    #: A header, of the HTTP request or of the frame.
    HEADER = "header"
    #: Set by the edge, never sent by a client.
    EDGE = "edge"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a field beyond its type.

    Attributes:
        part: Where REST carries it.
        minimum: The minimum of an integer, or of the number of list items; a text is
            the name of a setting.
        maximum: The maximum, likewise.
        name: For names: the kind of resource, ``queue`` or ``topic``.
        required: True if a REST body, if sent, must have it.
        rest_name: Its name in a REST query, or the name of the header, if different.
        spread: On the WebSocket, True if the members of the document are members of
            the frame's body, next to the other fields.
        help: The description for the reference.
    """

    part: RequestPart = RequestPart.BODY
    minimum: int | str | None = None
    maximum: int | str | None = None
    name: str = ""
    required: bool = False
    rest_name: str = ""
    spread: bool = False
    help: str = ""


def path(**spec: Any) -> Spec:
    """Describe a field that REST carries in the path."""
    return Spec(part=RequestPart.PATH, **spec)


def query(**spec: Any) -> Spec:
    """Describe a field that REST carries in the query string."""
    return Spec(part=RequestPart.QUERY, **spec)


def count(maximum: str, text: str, **spec: Any) -> Spec:
    """Describe a number, or a list, of 1 to so many items, in the query string.

    Args:
        maximum: The setting that holds the greatest number.
        text: What it means, for the reference.
        **spec: What else is known of it.
    """
    return query(minimum=1, maximum=maximum, help=text, **spec)


def header(name: str, text: str) -> Spec:
    """Describe a text that both transports carry in a header.

    Args:
        name: The header.
        text: What it means, for the reference.
    """
    return Spec(part=RequestPart.HEADER, rest_name=name, help=text)


def body(**spec: Any) -> Spec:
    """Describe a field that REST carries as a member of the body."""
    return Spec(part=RequestPart.BODY, **spec)


def document(**spec: Any) -> Spec:
    """Describe a field that is the REST body as a whole."""
    return Spec(part=RequestPart.DOCUMENT, **spec)


def spread(text: str) -> Spec:
    """Describe the REST body as a whole; in a frame, its members are those of ``body``.

    Args:
        text: The description for the reference.
    """
    return document(spread=True, help=text)


QueueName = Annotated[
    str, path(name="queue", help="Name of the queue: 1 to 64 of A-Z a-z 0-9 _ - .")
]
TopicName = Annotated[
    str, path(name="topic", help="Name of the topic: 1 to 64 of A-Z a-z 0-9 _ - .")
]


Wait = Annotated[
    int,
    query(
        minimum=0,
        maximum="max_wait",
        help="Seconds to wait until there is something to answer with.",
    ),
]


class Fields(msgspec.Struct, kw_only=True):
    """The arguments of one operation.

    Attributes:
        sent: The query parameters that a REST request carried, by field name.
    """

    sent: Annotated[frozenset[str], Spec(part=RequestPart.EDGE)] = frozenset()


class QueueArgs(Fields):
    """One queue."""

    queue_name: QueueName


class Member(msgspec.Struct, frozen=True):
    """A field of a struct with its parts.

    Attributes:
        name: Its name.
        spec: Its description.
        type: Its type without the annotation.
        optional: True if it may be left out.
    """

    name: str
    spec: Spec
    type: Any
    optional: bool


@functools.cache
def members(struct: type[msgspec.Struct]) -> tuple[Member, ...]:
    """Return the fields of a struct in their order.

    Cached, because every reader and checker of an operation uses them.
    """
    return tuple(_members(struct))


def _members(struct: type[msgspec.Struct]) -> Iterator[Member]:
    hints = typing.get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        spec = Spec()
        if typing.get_origin(hint) is Annotated:
            hint, *extras = typing.get_args(hint)
            spec = next((extra for extra in extras if isinstance(extra, Spec)), spec)
        yield Member(field.name, spec, hint, not field.required)


@functools.lru_cache(maxsize=4096)
def check_name(name: str, kind: str = "queue") -> None:
    """Refuse an invalid name of a queue or topic (``rest-v2`` 1.10).

    Args:
        name: The name.
        kind: The kind of resource, for the error: ``queue`` or ``topic``.

    Raises:
        BadRequest: The name is invalid.
    """
    if NAME.fullmatch(name) is None or name in (".", ".."):
        raise BadRequest(
            f"A {kind} name has 1 to 64 characters out of A-Z a-z 0-9 _ - . "
            "and is neither . nor ..",
            title=f"Invalid {kind} identification",
        )


def check_integer(where: str, value: Any, minimum: int, maximum: int) -> int:
    """Return an integer if it is within bounds.

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
        self._names: list[tuple[str, str]] = []
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
            self._names.append((member.name, spec.name))
        if spec.minimum is None:
            return
        low, high = (
            int(getattr(settings, bound)) if isinstance(bound, str) else bound
            for bound in (spec.minimum, spec.maximum)
        )
        bounds = (member.name, low or 0, 2**63 - 1 if high is None else high)
        (self._lists if is_list(member.type) else self._integers).append(bounds)

    @property
    def is_empty(self) -> bool:
        """True if no field has bounds."""
        return not (self._integers or self._lists or self._names or self._nested)

    def check(self, value: msgspec.Struct, where: str = "") -> None:
        """Refuse values out of bounds.

        Raises:
            BadRequest: A field is out of bounds; the text names it and the bounds.
        """
        for name, kind in self._names:
            check_name(getattr(value, name), kind)
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


def alternatives(hint: Any) -> Sequence[Any]:
    """Return the members of a union, or the type itself."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def is_list(hint: Any) -> bool:
    """Return True if a type is a list, or a union with one."""
    return any(typing.get_origin(part) is list for part in alternatives(hint))


def _item_struct(hint: Any) -> type[msgspec.Struct] | None:
    for part in alternatives(hint):
        if typing.get_origin(part) is list:
            (item,) = typing.get_args(part)
            if isinstance(item, type) and issubclass(item, msgspec.Struct):
                return item
    return None
