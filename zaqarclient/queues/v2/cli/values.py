"""How values look in each output format.

JSON and YAML carry structures as they are. The formats for people and for the
shell carry text, and the text of a structure is compact JSON.
"""

import json
from collections.abc import Callable
from typing import Any, Final

#: Formats that can only carry text; formats of other origin get real values.
_TEXT_FORMATS: Final = frozenset({"csv", "shell", "table", "value"})

#: Control characters, all but the line break and the tab, as they are written.
_CONTROLS: Final = {
    code: f"\\x{code:02x}"
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\n\t"
}


class Body:
    """The body of a message: any JSON, where text stays plain text.

    Unlike other values, ``null``, ``true`` and numbers are shown as the JSON
    that they are, so that what is printed can be posted again.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


def renderer(output_format: str) -> Callable[[Any], Any]:
    """Return the function that prepares a value for an output format."""
    if output_format not in _TEXT_FORMATS:
        return _as_data
    return _as_shown if output_format == "table" else _as_text


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
    return text.translate(_CONTROLS) if isinstance(text, str) else text


def _as_text(value: Any) -> Any:
    if isinstance(value, Body):
        return body_text(value.value)
    return compact(value) if isinstance(value, dict | list | tuple) else value
