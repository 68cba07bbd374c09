"""Subscription filters (``options.filter``), which select a subscriber's messages.

A filter is an object: each key is a JSON pointer (RFC 6901) into the message
body, each value an object of conditions on the member found there. A message
matches if every condition holds::

    {"/status": {"any_of": ["paid", "sent"]},
     "/total": {"at_least": 10, "below": 100},
     "/customer/name": {"prefix": "A"},
     "/test": {"exists": false}}

JSON pointers rather than dotted paths: member names may contain dots. A condition
on a member that is missing, or of another type, does not hold. Numbers compare
by value (1 equals 1.0); true and false are not numbers.

The cost of a match is bounded: the body is decoded once, then at most 32 predicates
of at most 16 steps each are evaluated. There are no patterns, whose cost is unbounded.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from zaqarserver.errors import BadRequest

MAX_PREDICATES: Final = 32
MAX_DEPTH: Final = 16
MAX_TEXT: Final = 1024
MAX_CHOICES: Final = 100

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


class _Missing:
    """The value of a member that does not exist."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Predicate(msgspec.Struct, frozen=True):
    """One condition on one member of the body.

    Attributes:
        pointer: The member, as a JSON pointer.
        operator: The name of the comparison.
        operand: The value to compare with.
    """

    pointer: str
    operator: str
    operand: Any

    def holds(self, value: Any) -> bool:
        """Return True if the condition holds for a value of the body."""
        return _OPERATORS[self.operator].holds(value, self.operand)


class PredicateResult(msgspec.Struct, frozen=True):
    """The result of one predicate on a body.

    Attributes:
        predicate: The predicate.
        found: The value in the body, or :data:`MISSING`.
        holds: True if it holds.
    """

    predicate: Predicate
    found: Any
    holds: bool


class Filter(msgspec.Struct, frozen=True):
    """A valid filter; made by :func:`compile_filter`."""

    predicates: tuple[Predicate, ...]

    def matches(self, body: bytes) -> bool:
        """Return True if the filter selects a message with this body (JSON text)."""
        return self.selects(decoded(body))

    def selects(self, document: Any) -> bool:
        """Return True if the filter selects a message with this decoded body."""
        for one in self.predicates:
            found = _find(document, one.pointer)
            if not _OPERATORS[one.operator].holds(found, one.operand):
                return False
        return True

    def explain(self, body: bytes) -> list[PredicateResult]:
        """Return the result of each predicate on a body (JSON text)."""
        document = decoded(body)
        return list(_results(self.predicates, document))


def compile_filter(raw: Any) -> Filter:
    """Return a checked filter.

    Args:
        raw: The value of ``options.filter``.

    Raises:
        BadRequest: It is not a valid filter; the text names the invalid member.
    """
    if not isinstance(raw, Mapping):
        raise BadRequest(
            "filter must be an object of JSON pointers and their conditions."
        )
    predicates: list[Predicate] = []
    for pointer, conditions in raw.items():
        _check_pointer(pointer)
        if not isinstance(conditions, Mapping) or not conditions:
            raise BadRequest(
                f"filter[{pointer!r}] must be an object with at least one of "
                f"{', '.join(_OPERATORS)}."
            )
        for operator, operand in conditions.items():
            _check_condition(pointer, operator, operand)
            predicates.append(Predicate(pointer, operator, operand))
    if not 0 < len(predicates) <= MAX_PREDICATES:
        raise BadRequest(
            f"filter must have from 1 to {MAX_PREDICATES} conditions, "
            f"not {len(predicates)}."
        )
    return Filter(tuple(predicates))


def _check_pointer(pointer: Any) -> None:
    if not isinstance(pointer, str) or len(pointer) > MAX_TEXT:
        raise BadRequest(f"filter: a key must be text of at most {MAX_TEXT}.")
    if pointer and not pointer.startswith("/"):
        raise BadRequest(
            f"filter[{pointer!r}]: a key must be a JSON pointer such as /status."
        )
    if _BAD_ESCAPE.search(pointer):
        raise BadRequest(f"filter[{pointer!r}]: write ~ as ~0 and / as ~1.")
    if pointer.count("/") > MAX_DEPTH:
        raise BadRequest(
            f"filter[{pointer!r}] must not go deeper than {MAX_DEPTH} members."
        )


def _check_condition(pointer: str, operator: Any, operand: Any) -> None:
    where = f"filter[{pointer!r}]"
    known = _OPERATORS.get(operator)
    if known is None:
        raise BadRequest(
            f"{where}: {operator!r} is not one of {', '.join(_OPERATORS)}."
        )
    if not known.takes(operand):
        raise BadRequest(f"{where}.{operator} must be {known.wants}.")


def decoded(body: bytes) -> Any:
    """Return a decoded body, to evaluate several filters on it."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        # Valid JSON, but with numbers or nesting that cannot be decoded.
        return MISSING


def _results(
    predicates: tuple[Predicate, ...], document: Any
) -> Iterator[PredicateResult]:
    for predicate in predicates:
        found = _find(document, predicate.pointer)
        yield PredicateResult(predicate, found, predicate.holds(found))


def _find(document: Any, pointer: str) -> Any:
    found = document
    for name in _steps(pointer):
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif (
            isinstance(found, list)
            and _INDEX.fullmatch(name)
            and int(name) < len(found)
        ):
            found = found[int(name)]
        else:
            return MISSING
    return found


@functools.lru_cache(maxsize=4096)
def _steps(pointer: str) -> tuple[str, ...]:
    return tuple(
        step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]
    )


# -- operators --------------------------------------------------------------


class _Operator(msgspec.Struct, frozen=True):
    """A comparison of a value in the body with an operand.

    Attributes:
        wants: A description of valid operands, for errors.
        takes: Returns True if an operand is valid.
        holds: Returns True if the condition holds, given the value and the operand.
    """

    wants: str
    takes: Callable[[Any], bool]
    holds: Callable[[Any, Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_scalar(value: Any) -> bool:
    return value is None or type(value) is bool or _is_number(value) or _is_text(value)


def _is_choice(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= MAX_CHOICES
        and all(map(_is_scalar, value))
    )


def _equal(found: Any, wanted: Any) -> bool:
    if _is_number(found) and _is_number(wanted):
        return bool(found == wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def _numeric(compare: Callable[[Any, Any], bool]) -> _Operator:
    return _Operator(
        "a number",
        _is_number,
        lambda found, wanted: _is_number(found) and compare(found, wanted),
    )


_SCALAR = f"text of at most {MAX_TEXT}, a number, true, false or null"

_OPERATORS: Final[dict[str, _Operator]] = {
    "equals": _Operator(_SCALAR, _is_scalar, _equal),
    "any_of": _Operator(
        f"a list of 1 to {MAX_CHOICES} values, each {_SCALAR}",
        _is_choice,
        lambda found, wanted: any(_equal(found, one) for one in wanted),
    ),
    "prefix": _Operator(
        f"text of at most {MAX_TEXT}",
        _is_text,
        lambda found, wanted: isinstance(found, str) and found.startswith(wanted),
    ),
    "at_least": _numeric(lambda found, wanted: bool(found >= wanted)),
    "above": _numeric(lambda found, wanted: bool(found > wanted)),
    "at_most": _numeric(lambda found, wanted: bool(found <= wanted)),
    "below": _numeric(lambda found, wanted: bool(found < wanted)),
    "exists": _Operator(
        "true or false",
        lambda operand: type(operand) is bool,
        lambda found, wanted: (found is not MISSING) is wanted,
    ),
}
