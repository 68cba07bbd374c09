"""Argument types: what converts and checks the text of an argument."""

import argparse
import json
from collections.abc import Callable
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


def names(text: str) -> list[str]:
    """Argument type: names with commas between, at least one."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names: a,b")
    return found
