"""Types of arguments: they convert a text and check it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from zaqarclient.common import quantities

_LIKE: Final = {
    "<time>": "a time such as 90, 90s, 15m, 2h or 7d",
    "<size>": "a size such as 300, 64k or 1M",
}
#: What help says of the placeholders that are in it.
FORMS: Final = {
    "<time>": "A <time> is a number of seconds, or has a unit: 90s, 15m, 2h, 7d.",
    "<size>": "A <size> is a number of bytes, or has a unit: 64k, 1M.",
}
_CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)


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


class Quantity:
    """An argument type: a time or a size, such as ``15m`` or ``64k``.

    Args:
        placeholder: How help names the value; `FORMS` explains it.
        parse: Returns the number of seconds or bytes of a text, or raises ValueError.
        minimum: The least number. Upper bounds are the service's own settings.
        whole: Whether the number has to be an integer.
    """

    def __init__(
        self,
        placeholder: str,
        parse: Callable[[str], float],
        minimum: int = 0,
        *,
        whole: bool = True,
    ) -> None:
        self.placeholder = placeholder
        self._parse = parse
        self._minimum = minimum
        self._whole = whole

    def __call__(self, text: str) -> float:
        """Return the number."""
        try:
            number = self._parse(text)
        except ValueError:
            number = -0.5
        whole = number == int(number)
        if number == -0.5 or (self._whole and not whole):
            like = _LIKE[self.placeholder]
            raise argparse.ArgumentTypeError(f"{text!r} is not {like}")
        if number < self._minimum:
            raise argparse.ArgumentTypeError(f"{text} is less than {self._minimum}")
        return int(number) if self._whole else number


#: Argument type: a time, fractions of a second allowed.
seconds: Final = Quantity("<time>", quantities.seconds, whole=False)


def whole_seconds(minimum: int = 0) -> Quantity:
    """Return an argument type: a time of at least so many whole seconds."""
    return Quantity("<time>", quantities.seconds, minimum)


#: Argument type: a number of bytes.
size: Final = Quantity("<size>", quantities.size)


def moment(text: str) -> int:
    """Argument type: a time of day or a date, as the seconds until then.

    ``14:30`` is the next one; without a zone the time is that of this machine.
    """
    now = dt.datetime.now().astimezone()
    try:
        if _CLOCK.fullmatch(text):
            clock = dt.time.fromisoformat(text)
            then = dt.datetime.combine(now, clock).astimezone()
            if then <= now:
                then += dt.timedelta(days=1)
        else:
            then = dt.datetime.fromisoformat(text).astimezone()
        left = (then - now).total_seconds()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 14:30 or 2030-01-31T14:30Z"
        ) from None
    if left < 0:
        raise argparse.ArgumentTypeError(f"{text} is over")
    return math.ceil(left)


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


def field_value(text: str) -> tuple[str, Any]:
    """Argument type: ``key=text`` or ``key:=json``."""
    key, value = key_value(text)
    return (key[:-1], json_value(value)) if key[1:].endswith(":") else (key, value)


def names(text: str) -> list[str]:
    """Argument type: names with commas between, at least one."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of names: a,b")
    return found
