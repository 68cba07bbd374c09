"""How values look in each output format.

JSON and YAML carry structures as they are. The formats for people and for the
shell carry text, and the text of a structure is compact JSON. Text of others never
reaches a terminal, or a shell, as it came.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from zaqarclient.common.text import printable

#: Formats that can only carry text; formats of other origin get real values.
_TEXT_FORMATS: Final = frozenset({"csv", "shell", "table", "value"})

#: What a shell acts on within double quotes; cliff escapes the quotes themselves.
_SHELL: Final = re.compile(r"[\\$`]")
#: What a name of a variable may not have; cliff replaces blanks and dashes itself.
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_ -]|^(?=[0-9])")


class Body:
    """The body of a message: any JSON, where text stays plain text.

    Unlike other values, ``null``, ``true`` and numbers are shown as the JSON
    that they are, so that what is printed can be posted again.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


def renderer(output_format: str, *, terminal: bool = False) -> Callable[[Any], Any]:
    """Return the function that prepares a value for an output format.

    Args:
        output_format: The name of the format.
        terminal: Whether the output is a terminal: a program that reads a pipe gets
            every byte of a text, a terminal only what it can show.
    """
    if output_format not in _TEXT_FORMATS:
        return _as_data
    as_text = _as_shown if terminal or output_format == "table" else _as_text
    if output_format == "shell":
        return lambda value: _quoted(as_text(value))
    return as_text


def column(name: str, output_format: str) -> str:
    """Return the name of a column, or of a variable, for an output format."""
    return _NO_NAME.sub("_", name) if output_format == "shell" else printable(name)


def _quoted(value: Any) -> Any:
    r"""Return a text that stays itself in the double quotes of a shell.

    A NUL cannot be in a variable; it is written as ``\0``.
    """
    if not isinstance(value, str):
        return value
    return _SHELL.sub(r"\\\g<0>", value.replace("\0", "\\0"))


def compact(value: Any) -> str:
    """Return the shortest JSON text of a value, readable characters kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def body_text(body: Any) -> str:
    """Return the body of a message as text: plain if it is text, else JSON."""
    return body if isinstance(body, str) else compact(body)


def one_line(value: Any) -> str:
    """Return the text of a value in one line that cannot steer a terminal."""
    text = str(_as_shown(value))
    return "" if value is None else text.replace("\n", "\\n").replace("\t", "\\t")


def _as_data(value: Any) -> Any:
    return value.value if isinstance(value, Body) else value


def _as_shown(value: Any) -> Any:
    """Return a text that cannot steer the terminal that it is shown on.

    Messages are other people's: what they hold is shown, not obeyed.
    """
    text = _as_text(value)
    return printable(text) if isinstance(text, str) else text


def _as_text(value: Any) -> Any:
    if isinstance(value, Body):
        return body_text(value.value)
    return compact(value) if isinstance(value, dict | list | tuple) else value
