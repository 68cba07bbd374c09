"""Arguments of commands as data, their types, and those that several commands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

_Container: TypeAlias = argparse.ArgumentParser | argparse._ArgumentGroup  # noqa: SLF001 - a group has no public name


class Argument(NamedTuple):
    """One argument of a command; `arg` and `flag` make it.

    Attributes:
        names: The spellings of an option, or the name of a positional argument.
        settings: As for `argparse.ArgumentParser.add_argument`.
        queues_only: Topics do not have it.
        old_spelling: An option ``--like-this`` is also accepted, but not shown, as
            ``--like_this``, the spelling of earlier versions.
        anywhere: An optional positional argument that may also follow options.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    queues_only: bool = False
    old_spelling: bool = False
    anywhere: bool = False

    def add_to(self, container: _Container, kind: str = "queue") -> None:
        """Add it to a parser or group.

        Args:
            container: The parser or group.
            kind: ``queue``, or ``topic``: its help then names topics.
        """
        if self.queues_only and kind != "queue":
            return
        settings = dict(self.settings)
        for name in ("metavar", "help"):
            if name in settings:
                settings[name] = settings[name].replace("queue", kind)
        action = container.add_argument(*self.names, **settings)
        if self.old_spelling:
            # Whichever spelling is left out, the default is that of the first.
            hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
            container.add_argument(self._old_name, **settings | hidden)
        if self.anywhere and isinstance(container, argparse.ArgumentParser):
            _take_anywhere(container, action)

    @property
    def _old_name(self) -> str:
        return "--" + self.names[0].removeprefix("--").replace("-", "_")


class Group(NamedTuple):
    """Arguments under a title, or without one: at most one of them may be given."""

    arguments: tuple[Argument, ...]
    title: str | None = None
    required: bool = False

    def add_to(self, container: _Container, kind: str = "queue") -> None:
        """Add them to a parser or group; see `Argument.add_to`."""
        group: _Container
        if self.title is None:
            group = container.add_mutually_exclusive_group(required=self.required)
        else:
            group = container.add_argument_group(self.title.replace("queue", kind))
        for argument in self.arguments:
            argument.add_to(group, kind)


Arguments: TypeAlias = tuple[Argument | Group, ...]


def arg(
    name: str,
    text: str,
    convert: Callable[[str], Any] | None = None,
    *,
    also: Sequence[str] = (),
    queues_only: bool = False,
    old_spelling: bool = False,
    anywhere: bool = False,
    **settings: Any,
) -> Argument:
    """Return an argument that takes a value.

    Args:
        name: ``--name``, or the name of a positional argument.
        text: The help.
        convert: The argument type; None for text.
        also: Further spellings.
        queues_only: See `Argument`.
        old_spelling: See `Argument`.
        anywhere: See `Argument`.
        **settings: Further settings of `argparse`; the placeholder is by default the
            name in angle brackets, or the choices if there are any.
    """
    if not {"choices", "metavar"} & settings.keys():
        placeholder = name.removeprefix("--").replace("-", "_")
        settings["metavar"] = f"<{placeholder}>"
    if convert is not None:
        settings["type"] = convert
    settings["help"] = text
    return Argument((name, *also), settings, queues_only, old_spelling, anywhere)


def flag(name: str, text: str, **settings: Any) -> Argument:
    """Return an option that takes no value; the arguments are those of `arg`."""
    made = arg(name, text, **{"action": "store_true", **settings})
    del made.settings["metavar"]
    return made


def one_of(*arguments: Argument, required: bool = False) -> Group:
    """Return arguments of which at most one, or exactly one, may be given."""
    return Group(arguments, required=required)


def _take_anywhere(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
    """Accept the last positional argument after options too, though it is optional.

    To argparse an optional positional is missing as soon as an option follows the
    positional before it.
    """
    parse = parser.parse_known_args

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, rest = parse(args, namespace)
        last = rest[0] if len(rest) == 1 else "--"
        if getattr(parsed, action.dest) is None and (last == "-" or last[:1] != "-"):
            text = rest.pop()
            try:
                value = action.type(text) if callable(action.type) else text
            except argparse.ArgumentTypeError as error:
                parser.error(f"argument {action.metavar}: {error}")
            setattr(parsed, action.dest, value)
        return parsed, rest

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign,assignment]  # this parser only


# -- argument types: they convert and check a text ---------------------------------


def integer(minimum: int) -> Callable[[str], int]:
    """Return an argument type: an integer of at least ``minimum``.

    Upper bounds are the service's own settings, so it is the service that
    checks them.
    """

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {minimum}")
        return number

    return parse


def seconds(text: str) -> float:
    """Argument type: a time in seconds, 0 or more, fractions allowed."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return number


def load_json(text: str | bytes) -> Any:
    """Read a JSON document strictly.

    Raises:
        json.JSONDecodeError: It is not JSON, which lacks ``NaN`` and ``Infinity``.
        UnicodeDecodeError: The bytes are not UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode()

    def refuse(constant: str) -> Any:
        position = text.find(constant)
        raise json.JSONDecodeError(f"{constant} is not JSON", text, position)

    return json.loads(text, parse_constant=refuse)


def json_value(text: str) -> Any:
    """Argument type: any JSON document."""
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(not_json(error)) from None


def not_json(error: json.JSONDecodeError) -> str:
    """Return the position and reason for which a text is not JSON."""
    line = f"line {error.lineno}, " if error.lineno > 1 else ""
    return f"not valid JSON: {error.msg} at {line}column {error.colno}"


def json_or_text(text: str) -> Any:
    """Argument type: JSON where it is valid JSON, else the text itself.

    A text that begins like a JSON object, array or string is meant to be one,
    so there a mistake is an error.
    """
    try:
        return load_json(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith(("{", "[", '"')):
            raise argparse.ArgumentTypeError(not_json(error)) from None
        return text


def text_or_file(text: str) -> str:
    """Argument type: a text, or the text of a file for ``@file``."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(unreadable(text[1:], error)) from None


def unreadable(path: object, error: Exception) -> str:
    """Return the path and reason for which a file cannot be read."""
    return f"cannot read {path}: {getattr(error, 'strerror', None) or error}"


def json_or_file(text: str) -> Any:
    """Argument type: a JSON document, or ``@file`` for the one in a file."""
    return json_value(text_or_file(text))


def json_object(text: str) -> dict[str, Any]:
    """Argument type: a JSON object, or ``@file`` for the one in a file."""
    value = json_or_file(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("a JSON object is expected")
    return value


def key_value(text: str) -> tuple[str, str]:
    """Argument type: ``key=value``."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form key=value")
    return key, value


def property_value(text: str) -> tuple[str, Any]:
    """Argument type: ``key=value``, the value JSON where it is valid JSON."""
    key, value = key_value(text)
    return key, json_or_text(value)


def names(text: str) -> list[str]:
    """Argument type: names with commas between, at least one."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names: a,b")
    return found


# -- values of arguments ---------------------------------------------------------


def present(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


# -- arguments of several commands -------------------------------------------------

QUEUE: Final = arg("queue_name", "Name of the queue")

YES: Final = flag(
    "-y", "Do not ask; without a terminal nothing is asked anyway", also=["--yes"]
)


def targets(dest: str, text: str) -> tuple[Argument, Argument]:
    """Return the arguments that name one or more things to work on.

    Args:
        dest: The name of the first, which is one text as it always was.
        text: The help for the first.
    """
    more = arg("more", "Further ones", metavar=f"<{dest}>", nargs="*")
    return arg(dest, text), more


def given_targets(parsed_args: argparse.Namespace, dest: str) -> list[str]:
    """Return the names that the arguments of `targets` have."""
    return [getattr(parsed_args, dest), *parsed_args.more]


def paging(marker: str, meaning: str) -> Arguments:
    """Return ``--marker``, ``--limit`` and ``--all``.

    Args:
        marker: Placeholder of the marker.
        meaning: The help for the marker.
    """
    return (
        arg("--marker", meaning, metavar=f"<{marker}>"),
        arg(
            "--limit",
            "Show at most this many, asking for as many pages as that needs; "
            "0 shows all (default: one page of the service, 10)",
            integer(0),
        ),
        flag(
            "--all",
            "Show all; the same as --limit 0",
            action="store_const",
            const=0,
            dest="limit",
        ),
    )
