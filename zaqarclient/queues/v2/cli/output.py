"""Output: values in each format, rows printed as they come, and errors.

JSON and YAML carry structures as they are. The formats for people and for the
shell carry text, and the text of a structure is compact JSON. Text of others never
reaches a terminal, or a shell, as it came.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from zaqarclient.common.text import printable
from zaqarclient.queues.v2.cli.parsing import did_you_mean
from zaqarclient.queues.v2.cli.terminal import RowPrinter, Times, is_terminal, safe
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


def renderer(output_format: str) -> Callable[[Any], Any]:
    """Return the function that prepares a value for an output format."""
    if output_format not in _TEXT_FORMATS:
        return _as_data
    as_text = _as_shown if output_format == "table" else _as_text
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


def for_people(value: Any) -> str:
    """Return the text of a value on a terminal; nothing for what is empty."""
    if value is None or value in ({}, []):
        return ""
    return printable(
        compact(value) if value is True or value is False else str(_as_text(value))
    )


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
        self._stream = safe(stream)

    def print(self, row: Mapping[str, Any]) -> None:
        """Print a row."""
        self._write(self._line([row[column] for column in self._columns]))

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _line(self, values: list[Any]) -> str:
        """Return the values with blanks between."""
        render = renderer("value")
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


class TerminalLines(Lines):
    """Prints each row so that it fits a terminal.

    Args:
        stream: The terminal.
        columns: The columns to print.
        in_utc: Whether points in time are in UTC; else they are in words.
    """

    def __init__(
        self, stream: TextIO, columns: Sequence[str], *, in_utc: bool = False
    ) -> None:
        super().__init__(stream, columns)
        self._in_utc = in_utc
        self._rows = RowPrinter(stream)

    def print(self, row: Mapping[str, Any]) -> None:
        """Print a row."""
        times, values = Times(tuple(row)), tuple(row.values())
        cells = times.cells(values, for_people, in_utc=self._in_utc)
        named = dict(zip(row, cells, strict=True))
        self._rows.print([named[column] for column in self._columns])


_FORMATS: Final[Mapping[str, type[Lines]]] = {
    "json": JsonLines,
    "table": AlignedLines,
    "value": Lines,
}

#: The names of the formats of rows that are printed as they come.
FORMATS: Final = tuple(_FORMATS)


def lines(
    output_format: str, stream: TextIO, columns: Sequence[str], *, in_utc: bool = False
) -> Lines:
    """Return what prints rows in a format, on a terminal with times in words or UTC."""
    if output_format == "table" and is_terminal(stream):
        return TerminalLines(stream, columns, in_utc=in_utc)
    return _FORMATS[output_format](stream, columns)


# -- errors as the user sees them ----------------------------------------------------

#: The part before the host of a URL: a user, and most often a password.
_USER: Final = re.compile(r"(?<=//)[^/\s'\"]*@")

#: What a terminal calls columns, and what they are.
_SHOWN_AS: Final = {"expires": "TTL"}

_ANOTHER: Final = (
    "the URL is not that of a messaging service, or the service does not offer this."
)


class CommandError(Exception):
    """A command failed; the text is for the user.

    Args:
        text: What is wrong.
        status: The exit status, if it is not 1.
    """

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def check_columns(asked: Sequence[str], names: Sequence[str]) -> None:
    """Check the columns that were asked for.

    Raises:
        CommandError: None of them is there.
    """
    known = {name.lower().replace(" ", "_"): name for name in names}
    wrong = [one for one in asked if one.lower().strip().replace(" ", "_") not in known]
    if wrong and len(wrong) == len(asked):
        shown = did_you_mean(_SHOWN_AS.get(wrong[0].lower(), wrong[0]), names)
        listed = ", ".join(names)
        raise CommandError(f"there is no column {wrong[0]}{shown}; there are {listed}")


def explained(error: Exception, needs: str = "") -> Exception:
    """Return the error to show for one of a call: the same if it says enough.

    Args:
        error: What the call raised.
        needs: What has to be switched on in a service for the command.
    """
    shown = text = str(error)
    if isinstance(error, NetworkError):
        shown = _unreachable(error)
    elif isinstance(error, KeyError):
        shown = f"the answer has no {error}: {_ANOTHER}"
    elif isinstance(error, TransportError):
        shown = _refusal(error, needs)
    return error if printable(shown) == text else CommandError(printable(shown))


def _refusal(error: TransportError, needs: str) -> str:
    """Return what a service said, in one line, and the id of the request."""
    sentence, said = error.sentence, (error.description or "").rstrip()
    if error.title and not said:
        sentence = f"{sentence.removesuffix('.')}: {error.title.removesuffix('.')}."
    if (error.text or "").lstrip().startswith("<"):
        sentence, said = "The service answered with HTML: not a messaging service.", ""
    elif error.text and not said:
        said = error.text.strip().partition("\n")[0]
    elif isinstance(error, ResourceNotFound) and not said:
        # The service describes the resources that it lacks; a proxy does not.
        sentence = "" if needs else error.sentence
        said = needs or f"{_ANOTHER[0].upper()}{_ANOTHER[1:]}"
    elif said and not error.outcome_unknown:
        sentence = ""
    parts = [sentence, f"{said.removesuffix('.')}." if said else ""]
    if error.retry_after is not None:
        parts.append(f"It asks to wait for {error.retry_after:.0f} s.")
    if error.request_id:
        parts.append(f"(request {error.request_id})")
    return " ".join(filter(None, parts))


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
