"""Subscription filters, as the service understands them, and their explanation.

A filter is an object: each key is a JSON pointer (RFC 6901) into the body of a
message, each value an object of conditions on the member found there. A
message matches if every condition holds. A condition on a member that is
missing or of another type does not hold; numbers compare by value, and true
and false are not numbers.

The service applies filters when it notifies subscribers; here they are applied to
messages that are read anyway, and explained. Both sides are tested against the samples
of ``tests/golden/filters.json``.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from zaqarclient.queues.v2.cli.argument_types import (
    json_object,
    json_or_file,
    json_or_text,
)
from zaqarclient.queues.v2.cli.arguments import QUEUE, Argument, arg, one_of
from zaqarclient.queues.v2.cli.displays import Lister, Shown
from zaqarclient.queues.v2.cli.output import Body, CommandError, compact

#: The bounds of the service.
_MOST_CONDITIONS: Final = 32
_MOST_STEPS: Final = 16
_MOST_TEXT: Final = 1024
_MOST_CHOICES: Final = 100

_WRONG_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")

#: What a pointer finds where there is nothing.
MISSING: Final = object()


class FilterError(argparse.ArgumentTypeError):
    """The filter is not valid; the text names the part that is wrong."""


class Condition(NamedTuple):
    """One condition on one member of the body.

    Attributes:
        pointer: The member, as a JSON pointer.
        operator: The comparison.
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
        return all(result.holds for result in self.explain(body))

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


# -- the option, and the command that explains a filter ---------------------------

_SHORT: Final = re.compile(r"(.+?)(>=|<=|\^=|=|>|<)(.*)", re.DOTALL)
_SIGNS: Final = {
    "=": "equals",
    "^=": "prefix",
    ">=": "at_least",
    ">": "above",
    "<=": "at_most",
    "<": "below",
}


def short_filter(text: str) -> dict[str, Any]:
    """Argument type: a filter as a JSON object, as ``@file`` or as ``name=value``.

    The name is that of a member, or a path such as ``customer/name``; the value is
    JSON where it is valid JSON.
    """
    if text.startswith(("{", "[", "@")):
        return json_object(text)
    found = _SHORT.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a JSON object nor of the form name=value"
        )
    name, sign, value = found.groups()
    pointer = name if name.startswith("/") else f"/{name.replace('~', '~0')}"
    operand = value if sign == "^=" else json_or_text(value)
    return {pointer: {_SIGNS[sign]: operand}}


class _Both(argparse.Action):
    """Joins the filters of an option that is repeated: all of them must hold."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> None:
        joined = dict(getattr(namespace, self.dest) or {})
        for pointer, conditions in values.items():
            known = joined.setdefault(pointer, conditions)
            if known is conditions:
                continue
            both = isinstance(known, dict) and isinstance(conditions, dict)
            if not both or known.keys() & conditions.keys():
                parser.error(f"argument --filter: two of the same kind on {pointer}")
            joined[pointer] = known | conditions
        setattr(namespace, self.dest, joined)


def filter_arg(text: str) -> Argument:
    """Return the option ``--filter``; its help begins with this text."""
    return arg(
        "--filter",
        f"{text}: name=value, also with >, >=, <, <= or ^= (begins with) in place of "
        '=, a JSON object, or "@FILE". Can be repeated: all must hold',
        short_filter,
        metavar="<name=value>",
        action=_Both,
    )


_COLUMNS = ("Member", "Condition", "Wanted", "Found", "Holds")

#: How a member that is not in the body is shown where there is only text.
_NOTHING = "(missing)"


class ExplainSubscription(Lister):
    """Show if a message matches the filter of a subscription, and why.

    Each condition of the filter is a row: the member of the body that it is
    about, as a JSON pointer, what is wanted, what was found there, and whether
    the condition holds. A message matches if all of them hold. The exit status
    is 0 if it matches, 1 if it does not.

    With --filter and --message no request is sent.
    """

    columns = _COLUMNS
    example = """orders --filter 'total>9' --message '{"total": 12}'"""
    arguments = (
        QUEUE,
        arg(
            "subscription_id",
            "ID of the subscription whose filter to explain",
            nargs="?",
        ),
        filter_arg("The filter to explain in place of a subscription's"),
        one_of(
            arg(
                "--message",
                'The body of a message, JSON; "@FILE" reads it from a file',
                json_or_file,
                metavar="<body>",
                default=argparse.SUPPRESS,
            ),
            arg("--message-id", "ID of a message in the queue"),
            required=True,
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Evaluate each condition."""
        if (parsed_args.subscription_id is None) is (parsed_args.filter is None):
            self.usage_error("give either <subscription_id> or --filter")
        raw = self._filter(parsed_args)
        if raw is None:
            self.hint("The subscription has no filter: every message matches.")
            return _COLUMNS, []
        try:
            checked = Filter(raw)
        except FilterError as error:
            raise CommandError(f"the filter is not valid: {error}") from error
        results = list(checked.explain(self._body(parsed_args)))
        if all(result.holds for result in results):
            self.hint("The message matches.")
        else:
            self.exit_status = 1
            self.hint("The message does not match.")
        text_only = parsed_args.formatter not in {"json", "yaml"}
        return _COLUMNS, [
            (
                result.condition.pointer,
                result.condition.operator,
                _value(result.condition.operand, text_only=text_only),
                _value(result.found, text_only=text_only),
                result.holds,
            )
            for result in results
        ]

    def _filter(self, parsed_args: argparse.Namespace) -> Any:
        """Return the filter to explain, None if the subscription has none."""
        if parsed_args.filter is not None:
            return parsed_args.filter
        queue_name = self.queue(parsed_args.queue_name).name
        subscription = self.client.subscription(
            queue_name, id=parsed_args.subscription_id
        )
        return (subscription.options or {}).get("filter")

    def _body(self, parsed_args: argparse.Namespace) -> Any:
        if parsed_args.message_id is not None:
            queue = self.queue(parsed_args.queue_name)
            return queue.message(parsed_args.message_id).body
        return parsed_args.message


def _value(value: Any, *, text_only: bool) -> Any:
    """Return a value so that text and numbers, null and nothing look different."""
    if value is MISSING:
        return _NOTHING if text_only else None
    return compact(value) if text_only else Body(value)
