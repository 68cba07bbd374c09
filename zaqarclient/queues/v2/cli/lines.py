"""Rows that are printed one by one, as they come.

The formats of a list need all of its rows before they print the first; here a
row is out as soon as it is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TextIO

from zaqarclient.queues.v2.cli import values

Row = Mapping[str, Any]


class JsonLines:
    """Prints each row as a JSON object in a line of its own."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._render = values.renderer("json")

    def print(self, row: Row) -> None:
        """Print a row."""
        chosen = {column: self._render(row[column]) for column in self._columns}
        self._stream.write(json.dumps(chosen) + "\n")
        self._stream.flush()


class ValueLines:
    """Prints the values of each row in a line, with blanks between."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._render = values.renderer("value", terminal=stream.isatty())

    def print(self, row: Row) -> None:
        """Print a row."""
        texts = (str(self._render(row[column])) for column in self._columns)
        self._stream.write(" ".join(texts) + "\n")
        self._stream.flush()


class AlignedLines:
    """Prints the names of the columns, then each row below them, for people."""

    def __init__(self, stream: TextIO, columns: Sequence[str]) -> None:
        self._stream = stream
        self._columns = columns
        self._widths: list[int] | None = None

    def print(self, row: Row) -> None:
        """Print a row; before the first one, the names."""
        texts = [values.one_line(row[column]) for column in self._columns]
        if self._widths is None:
            pairs = zip(self._columns, texts, strict=True)
            # What begins a queue says how wide the rest is going to be: ids are
            # of one length, and ages only get shorter. The last one may be long.
            self._widths = [max(map(len, pair)) for pair in pairs]
            self._widths[-1] = 0
            self._write(self._columns)
        self._write(texts)

    def _write(self, texts: Sequence[str]) -> None:
        cells = zip(texts, self._widths or (), strict=True)
        line = "  ".join(text.ljust(width) for text, width in cells)
        self._stream.write(line.rstrip() + "\n")
        self._stream.flush()


#: Name of a format -> what prints it.
FORMATS: Final[Mapping[str, Callable[[TextIO, Sequence[str]], Any]]] = {
    "json": JsonLines,
    "table": AlignedLines,
    "value": ValueLines,
}
