"""Output: values in each format, rows printed as they come, progress and errors.

JSON and YAML carry structures as they are. The formats for people and for the
shell carry text, and the text of a structure is compact JSON. Text of others never
reaches a terminal, or a shell, as it came.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from zaqarclient.common.text import printable
from zaqarclient.transport.errors import (
    NetworkError,
    ResourceNotFound,
    TransportError,
)

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


# -- rows printed as they come; the formats of a list need all of them first ---------


class Lines:
    """Prints each row in a line of its own.

    Args:
        stream: Where to print.
        columns: The columns to print.
    """

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._columns = columns
        self._stream = stream

    def print(self, row: Mapping[str, Any]) -> None:
        """Print a row."""
        self._write(self._line([row[column] for column in self._columns]))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _line(self, values: list[Any]) -> str:
        """Return the values with blanks between."""
        render = renderer("value", terminal=self._stream.isatty())
        return " ".join(str(render(value)) for value in values)


class JsonLines(Lines):
    """Prints each row as a JSON object."""

    def _line(self, values: list[Any]) -> str:
        return json.dumps(dict(zip(self._columns, map(_as_data, values), strict=True)))


class AlignedLines(Lines):
    """Prints the names of the columns, then each row below them, for people."""

    _widths: list[int] | None = None

    def _line(self, values: list[Any]) -> str:
        texts = list(map(one_line, values))
        if self._widths is None:
            pairs = zip(self._columns, texts, strict=True)
            # What begins a queue says how wide the rest is going to be: ids are
            # of one length, and ages only get shorter. The last one may be long.
            self._widths = [max(map(len, pair)) for pair in pairs]
            self._widths[-1] = 0
            self._write(self._aligned(self._columns))
        return self._aligned(texts)

    def _aligned(self, texts: Sequence[str]) -> str:
        cells = zip(texts, self._widths or (), strict=True)
        return "  ".join(text.ljust(width) for text, width in cells).rstrip()


#: The class that prints each format.
FORMATS: Final[Mapping[str, type[Lines]]] = {
    "json": JsonLines,
    "table": AlignedLines,
    "value": Lines,
}


# -- progress --------------------------------------------------------------------

#: The line is rewritten no more often than this, in seconds.
_PERIOD: Final = 0.1

_BAR: Final = 24


class Progress:
    """Progress of a post; silent unless the stream is a terminal.

    Args:
        stream: Where to write, the error stream of the program.
        total: Size of the input in bytes, None if it is not known.
        wanted: False keeps it silent anyway.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        total: int | None = None,
        *,
        wanted: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._total = total
        self._shown = wanted and stream.isatty()
        self._clock = clock
        self._began = clock()
        self._next = self._began

    def show(self, messages: int, size: int) -> None:
        """Show how many messages and bytes are posted so far."""
        now = self._clock()
        if self._shown and now >= self._next:
            self._next = now + _PERIOD
            rate = messages / max(now - self._began, 0.001)
            self._stream.write(
                f"\r{self._bar(size)}{messages:,} messages, {rate:,.0f}/s\033[K"
            )
            self._stream.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()

    def _bar(self, size: int) -> str:
        if not self._total:
            return ""
        share = min(size / self._total, 1.0)
        done = round(share * _BAR)
        return f"[{'#' * done}{'.' * (_BAR - done)}] {share:4.0%}  "


# -- errors as the user sees them ----------------------------------------------------

#: The part before the host of a URL: a user, and most often a password.
_USER: Final = re.compile(r"(?<=//)[^/\s'\"]*@")

_ANOTHER: Final = (
    "the URL is not that of a messaging service, or the service does not offer this."
)


class CommandError(Exception):
    """A command failed; the text is for the user."""


def explained(error: Exception) -> Exception:
    """Return the error to show for one of a call: the same if it says enough."""
    text = shown = str(error)
    if isinstance(error, NetworkError):
        shown = _unreachable(error)
    elif isinstance(error, KeyError):
        shown = f"the answer has no {error}: {_ANOTHER}"
    elif isinstance(error, ResourceNotFound) and not error.description:
        # The service describes the resources that it lacks; a proxy does not.
        shown = f"{error} {_ANOTHER[0].upper()}{_ANOTHER[1:]}"
    elif isinstance(error, TransportError) and error.retry_after is not None:
        shown = f"{error} It asks to wait for {error.retry_after:.0f} s."
    return error if printable(shown) == text else CommandError(printable(shown))


def _unreachable(error: NetworkError) -> str:
    """Return the text for an error of the network: which service, and why."""
    # Another path is another service: that of identity, in most cases.
    path = _url(error).partition("://")[2].partition("/")[2]
    service = "Zaqar at " if not path or path.startswith("v2/") else ""
    where_and_why = (error.description or error.text or str(error)).rstrip(".")
    return without_users(f"cannot reach {service}{where_and_why}")


def without_users(text: str) -> str:
    """Return a text without the users and passwords of the URLs in it."""
    return _USER.sub("", text)


def _url(error: BaseException) -> str:
    """Return the URL of the request that failed, where a cause knows it."""
    cause: BaseException | None = error
    while cause is not None:
        url = getattr(getattr(cause, "request", None), "url", None)
        if url:
            return str(url)
        cause = cause.__cause__ or cause.__context__
    return ""


def discard_output() -> None:
    """Send the rest of the output nowhere, the final flush included."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
