"""Subscription filters, as the service understands them.

A filter is an object: each key is a JSON pointer (RFC 6901) into the body of a
message, each value an object of conditions on the member found there. A
message matches if every condition holds. A condition on a member that is
missing or of another type does not hold; numbers compare by value, and true
and false are no numbers.

The service applies filters when it notifies subscribers; here they are applied to
messages that are read anyway, and explained. Both sides are tested against the samples
of ``tests/golden/filters.json``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

#: The bounds of the service.
_MOST_CONDITIONS: Final = 32
_MOST_STEPS: Final = 16
_MOST_TEXT: Final = 1024
_MOST_CHOICES: Final = 100

_WRONG_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")

#: What a pointer finds where there is nothing.
MISSING: Final = object()


class FilterError(ValueError):
    """The filter is not valid; the text names the part that is wrong."""


class Condition(NamedTuple):
    """One condition on one member of the body.

    Attributes:
        pointer: The member, as a JSON pointer.
        operator: What is asked of it.
        operand: What it is compared with.
    """

    pointer: str
    operator: str
    operand: Any


class ConditionResult(NamedTuple):
    """The result of one condition.

    Attributes:
        condition: The condition.
        found: The member, or `MISSING`.
        holds: Whether the condition holds of it.
    """

    condition: Condition
    found: Any
    holds: bool


class Filter:
    """A filter.

    Args:
        raw: The JSON document of it.

    Raises:
        FilterError: It is not a filter.
    """

    def __init__(self, raw: Any) -> None:
        self.conditions = tuple(_conditions(raw))
        if not 0 < len(self.conditions) <= _MOST_CONDITIONS:
            raise FilterError(
                f"a filter has 1 to {_MOST_CONDITIONS} conditions, "
                f"not {len(self.conditions)}"
            )

    def matches(self, body: Any) -> bool:
        """Return whether every condition holds of a body."""
        return all(verdict.holds for verdict in self.explain(body))

    def explain(self, body: Any) -> Iterator[ConditionResult]:
        """Yield the result of each condition, in the order of the filter."""
        for condition in self.conditions:
            found = _find(body, condition.pointer)
            operator = _OPERATORS[condition.operator]
            yield ConditionResult(
                condition, found, operator.holds(found, condition.operand)
            )


def _conditions(raw: Any) -> Iterator[Condition]:
    if not isinstance(raw, Mapping):
        raise FilterError(
            'a filter is an object of JSON pointers and conditions, such as {"/status":'
            ' {"equals": "paid"}}'
        )
    for pointer, conditions in raw.items():
        _check_pointer(pointer)
        if not isinstance(conditions, Mapping) or not conditions:
            raise FilterError(
                f"{pointer!r}: an object of conditions is expected: "
                + ", ".join(_OPERATORS)
            )
        for name, operand in conditions.items():
            yield _checked(Condition(pointer, name, operand))


def _checked(condition: Condition) -> Condition:
    operator = _OPERATORS.get(condition.operator)
    where = f"{condition.pointer!r}: {condition.operator!r}"
    if operator is None:
        raise FilterError(f"{where} is not one of {', '.join(_OPERATORS)}")
    if not operator.takes(condition.operand):
        raise FilterError(f"{where} takes {operator.wants}")
    return condition


def _check_pointer(pointer: str) -> None:
    if pointer and not pointer.startswith("/"):
        raise FilterError(
            f"{pointer!r} is not a JSON pointer: these begin with a slash, as in "
            "/customer/name"
        )
    if _WRONG_ESCAPE.search(pointer):
        raise FilterError(f"{pointer!r}: ~ is written ~0 and / in a name ~1")
    if pointer.count("/") > _MOST_STEPS or len(pointer) > _MOST_TEXT:
        raise FilterError(
            f"{pointer!r}: a pointer has at most {_MOST_STEPS} steps and "
            f"{_MOST_TEXT} characters"
        )


def _find(body: Any, pointer: str) -> Any:
    found = body
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name, MISSING)
        elif isinstance(found, list) and _INDEX.fullmatch(name):
            found = found[int(name)] if int(name) < len(found) else MISSING
        else:
            return MISSING
    return found


class _Operator(NamedTuple):
    """A comparison: its operands, and when it holds."""

    wants: str
    takes: Callable[[Any], bool]
    holds: Callable[[Any, Any], bool]


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT


def _is_simple(value: Any) -> bool:
    return value is None or type(value) is bool or _is_number(value) or _is_text(value)


def _is_choice(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_CHOICES
        and all(map(_is_simple, value))
    )


def _equal(found: Any, wanted: Any) -> bool:
    if not (_is_number(found) and _is_number(wanted)) and type(found) is not type(
        wanted
    ):
        return False
    return bool(found == wanted)


def _range(holds: Callable[[Any, Any], bool]) -> _Operator:
    return _Operator(
        "a number",
        _is_number,
        lambda found, border: _is_number(found) and holds(found, border),
    )


_OPERATORS: Final[Mapping[str, _Operator]] = {
    "equals": _Operator("text, a number, true, false or null", _is_simple, _equal),
    "any_of": _Operator(
        f"a list of 1 to {_MOST_CHOICES} texts, numbers, true, false or null",
        _is_choice,
        lambda found, choices: any(_equal(found, choice) for choice in choices),
    ),
    "prefix": _Operator(
        "text",
        _is_text,
        lambda found, prefix: isinstance(found, str) and found.startswith(prefix),
    ),
    "at_least": _range(lambda found, border: bool(found >= border)),
    "above": _range(lambda found, border: bool(found > border)),
    "at_most": _range(lambda found, border: bool(found <= border)),
    "below": _range(lambda found, border: bool(found < border)),
    "exists": _Operator(
        "true or false",
        lambda wanted: type(wanted) is bool,
        lambda found, wanted: (found is not MISSING) is wanted,
    ),
}
