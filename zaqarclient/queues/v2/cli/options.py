"""Types and groups of arguments that several commands share."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


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
    """Read a JSON document, and nothing but what JSON allows.

    Raises:
        json.JSONDecodeError: It is none; ``NaN`` and ``Infinity`` are none.
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
    """Say where a text stops to be JSON."""
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
        reason = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(f"cannot read {text[1:]}: {reason}") from None


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


def add_option(
    parser: argparse.ArgumentParser, name: str, *others: str, **settings: Any
) -> None:
    """Add an option that may also be written as earlier versions spell it.

    Args:
        parser: Where to add it.
        name: The option, ``--like-this``; ``--like_this`` is understood too, but
            not told about.
        *others: Further spellings.
        **settings: As for `argparse.ArgumentParser.add_argument`.
    """
    parser.add_argument(name, *others, **settings)
    old = "--" + name.removeprefix("--").replace("-", "_")
    # Left out, either spelling leaves the default of the first.
    hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    parser.add_argument(old, **settings | hidden)


def take_anywhere(parser: argparse.ArgumentParser, dest: str) -> None:
    """Let the last positional stand behind options too, though it may be missing.

    A positional that may be missing counts as missing for argparse as soon as
    an option follows the one before it.

    Args:
        parser: The parser; changed.
        dest: The name of the positional; None means missing.
    """
    parse = parser.parse_known_args
    (action,) = (one for one in parser._actions if one.dest == dest)  # noqa: SLF001 - argparse has no other way

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, rest = parse(args, namespace)
        last = rest[0] if len(rest) == 1 else "--"
        if getattr(parsed, dest) is None and (last == "-" or last[:1] != "-"):
            try:
                setattr(parsed, dest, _converted(action, rest.pop()))
            except argparse.ArgumentTypeError as error:
                parser.error(f"argument {action.metavar}: {error}")
        return parsed, rest

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign,assignment]  # this parser only


def _converted(action: argparse.Action, text: str) -> Any:
    return action.type(text) if callable(action.type) else text


def names(text: str) -> list[str]:
    """Argument type: names with commas between, at least one."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names: a,b")
    return found


def add_queue_name(parser: argparse.ArgumentParser) -> None:
    """Add the name of the one queue that a command works on."""
    parser.add_argument("queue_name", metavar="<queue_name>", help="Name of the queue")


def add_targets(parser: argparse.ArgumentParser, dest: str, text: str) -> None:
    """Add the names of the things that a command works on, one or more.

    Args:
        parser: Where to add them.
        dest: What the first is called, which is one text as it always was.
        text: The help for the first.
    """
    parser.add_argument(dest, metavar=f"<{dest}>", help=text)
    parser.add_argument("more", metavar=f"<{dest}>", nargs="*", help="Further ones")


def targets(parsed_args: argparse.Namespace, dest: str) -> list[str]:
    """Return the names that `add_targets` took."""
    return [getattr(parsed_args, dest), *parsed_args.more]


def add_paging(parser: argparse.ArgumentParser, marker: str, meaning: str) -> None:
    """Add ``--marker``, ``--limit`` and ``--all``.

    Args:
        parser: Where to add them.
        marker: Placeholder of the marker.
        meaning: What the marker is, for the help.
    """
    parser.add_argument("--marker", metavar=f"<{marker}>", help=meaning)
    parser.add_argument(
        "--limit",
        metavar="<limit>",
        type=integer(0),
        help="Show at most this many, asking for as many pages as that needs; "
        "0 shows all (default: one page of the service, 10)",
    )
    parser.add_argument(
        "--all",
        action="store_const",
        const=0,
        dest="limit",
        help="Show all; the same as --limit 0",
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add ``--yes``, for commands that ask first on a terminal."""
    parser.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="Do not ask; without a terminal nothing is asked anyway",
    )
