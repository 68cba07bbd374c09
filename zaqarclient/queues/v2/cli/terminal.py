"""What a terminal shows: tables that fit it, ids that can be copied, times in words.

Only the format ``table`` on a terminal is drawn here; other formats, and whatever a
program reads, stay as they are. `rich` is imported when the first table is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from zaqarclient.common.text import printable

if TYPE_CHECKING:
    import argparse

    from rich.console import Console
    from rich.table import Table

#: Below this width rows are shown one below the other.
_LEAST_TABLE: Final = 60

#: A text is cut to no fewer characters than this to make a table fit.
_LEAST_TEXT: Final = 8

#: Columns that are copied into other commands, besides those ending in "ID".
_COPIED: Final = frozenset({"Name", "Signature", "Line"})

#: Columns that a list shows only by ``-c``: nobody reads them, and they are wide.
_ASKED_FOR: Final = frozenset({"Checksum"})

#: Columns of points in time; the service writes them in UTC, without a zone.
_MOMENTS: Final = frozenset({"Expires", "Created"})

_UNITS: Final = (("days", 86400), ("h", 3600), ("min", 60))

_STYLES: Final = {"error": "31", "hint": "2"}


class Cell(NamedTuple):
    """A value of a table on a terminal.

    Attributes:
        key: What rows are sorted by.
        text: What is shown; empty for nothing.
        header: The header of its column.
        whole: True if it is shown in full or not at all.
    """

    key: tuple[bool, Any]
    text: str
    header: str
    whole: bool


class Escaped:
    """A stream to a terminal on which control characters become escapes.

    Args:
        stream: The stream of the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, what steers the terminal as escapes."""
        return self._stream.write(printable(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a stream is a terminal; a closed one is None, and is not."""
    return stream is not None and stream.isatty()


def safe(stream: Any) -> Any:
    """Return a stream for texts of others: escaped if it leads to a terminal."""
    return Escaped(stream) if is_terminal(stream) else stream


def styled(stream: TextIO, text: str, kind: str) -> str:
    """Return a text in the colour of an ``error`` or a ``hint``, on a terminal.

    A line that is wider than the terminal is broken between its words.
    """
    if not is_terminal(stream):
        return text
    if "\n" not in text:
        text = _broken(text, _columns_of(stream))
    if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{_STYLES[kind]}m{text}\033[0m"


def _columns_of(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def _broken(text: str, width: int) -> str:
    if not 0 < width < len(text):
        return text
    import textwrap  # noqa: PLC0415 - only for long lines

    # Ids, options and addresses stay whole.
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


# -- times ---------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Return a duration in its largest unit that says enough: ``90 min``, ``2 h``."""
    for unit, size in _UNITS:
        if seconds >= 2 * size or seconds == size:
            count = int(seconds // size)
            return f"{count} {'day' if (unit, count) == ('days', 1) else unit}"
    return f"{int(seconds)} s"


def distance(seconds: float) -> str:
    """Return how far away a moment is: ``in 55 min`` or ``4 min ago``."""
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def utc(moment: datetime) -> str:
    """Return a moment as ``2026-11-30T08:55:13Z``."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Times:
    """Finds the points in time that rows have, by the names of their columns.

    An age is one, a time to live beside its age another; alone it is a duration.

    Args:
        names: The names of the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._ages = {
            name: names.index(age)
            for name in names
            if name.endswith("TTL") and (age := name.replace("TTL", "Age")) in names
        }
        self._now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)

    def moment(self, name: str, row: Sequence[Any]) -> float | None:
        """Return how many seconds from now the moment in a column is, if it is one."""
        value = row[self._names.index(name)]
        if name in _MOMENTS and isinstance(value, str):
            try:
                return (datetime.fromisoformat(value) - self._now).total_seconds()
            except (ValueError, TypeError):
                return None
        if not _is_number(value):
            return None
        if name in self._ages:
            age = row[self._ages[name]]
            return value - age if _is_number(age) else None
        return -value if name.endswith("Age") else None

    def in_utc(self, row: Sequence[Any]) -> list[Any]:
        """Return a row with its moments in UTC."""
        moments = [self.moment(name, row) for name in self._names]
        return [
            value if away is None else self._utc(away)
            for value, away in zip(row, moments, strict=True)
        ]

    def _utc(self, away: float) -> str:
        return utc(self._now + timedelta(seconds=round(away)))

    def cells(
        self,
        row: Sequence[Any],
        as_text: Callable[[Any], str],
        *,
        in_utc: bool = False,
    ) -> list[Cell]:
        """Return the cells of a row.

        Args:
            row: The values.
            as_text: Returns the text of values that are neither times nor numbers.
            in_utc: Whether its moments are in UTC; else they are in words.
        """
        cells = []
        for name, value in zip(self._names, row, strict=True):
            header, text = name.replace("_", " "), None
            whole = name in _COPIED or name.lower().endswith("id")
            away = self.moment(name, row)
            if away is not None:
                header = header.replace("TTL", "Expires")
                if in_utc:
                    header = header.replace("Age", "Created")
                text = self._utc(away) if in_utc else distance(away)
            elif name.endswith(("TTL", "Delay")) and _is_number(value):
                text = duration(value)
            elif _is_number(value):
                text = f"{value}"
            whole = whole or text is not None
            shown = as_text(value) if text is None else text
            cells.append(Cell((value is None, value), shown, header, whole))
        return cells


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- tables --------------------------------------------------------------------------


class TableFormatter:
    """The format ``table`` on a terminal; cliff calls it as one of its own.

    A row is a list of `Cell`. Columns without any text are left out. What does not fit
    is cut with ``…``; where even ids do not fit, or below 60 columns, each row is a
    record: a line for each of its fields.
    """

    def emit_list(
        self,
        names: Sequence[str],
        data: Iterable[Sequence[Cell]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Print rows as a table, or as records."""
        console = _console(stdout, parsed_args.max_width)
        columns = [list(column) for column in zip(*data, strict=True)]
        if not columns:
            if parsed_args.print_empty:
                console.print(*names, sep="  ", style="bold")
            return
        if not parsed_args.print_empty:
            asked = bool(parsed_args.columns)
            columns = list(_worth_showing(columns, asked=asked)) or columns
        if _fits(console, columns):
            console.print(_table(columns))
            return
        for number, cells in enumerate(zip(*columns, strict=True)):
            if number:
                console.print()
            _print_record(console, cells, cut=True)

    def emit_one(
        self,
        _names: Sequence[str],
        data: Sequence[Cell],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Print the fields of one thing, in full."""
        console = _console(stdout, parsed_args.max_width)
        shown = [cell for cell in data if cell.text or parsed_args.print_empty]
        _print_record(console, shown or data, cut=False)


class RowPrinter:
    """Prints rows as they come, each in one line where that fits.

    Args:
        stdout: A terminal.
    """

    def __init__(self, stdout: TextIO) -> None:
        self._console = _console(stdout)
        self._widths: list[int] = []

    def print(self, cells: Sequence[Cell]) -> None:
        """Print a row; the first one, with the headers, sets the widths."""
        columns = [[cell] for cell in cells]
        first = not self._widths
        self._widths = self._widths or [_width(column) for column in columns]
        if not _fits(self._console, columns):
            if not first:
                self._console.print()
            _print_record(self._console, cells, cut=True)
            return
        # Ages get wider: leave room for the widest.
        widths = [max(width, 9) for width in self._widths[:-1]]
        self._console.print(_table(columns, widths, header=first))


def _console(stdout: TextIO, most: int = 0) -> Console:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal

    console = Console(file=stdout, highlight=False, markup=False, emoji=False)
    if 0 < most < console.width:
        console.width = most
    return console


def _worth_showing(columns: list[list[Cell]], *, asked: bool) -> Iterator[list[Cell]]:
    for column in columns:
        if any(cell.text for cell in column) and (
            asked or column[0].header not in _ASKED_FOR
        ):
            yield column


def _width(column: Sequence[Cell]) -> int:
    from rich.cells import cell_len  # noqa: PLC0415 - only for a terminal

    widest = max(cell_len(cell.text) for cell in column)
    least = widest if column[0].whole else min(widest, _LEAST_TEXT)
    return max(least, cell_len(column[0].header))


def _fits(console: Console, columns: Sequence[Sequence[Cell]]) -> bool:
    least = sum(map(_width, columns)) + 2 * (len(columns) - 1)
    return _LEAST_TABLE <= console.width >= least


def _table(
    columns: Sequence[Sequence[Cell]],
    widths: Sequence[int] = (),
    *,
    header: bool = True,
) -> Table:
    from rich.table import Table  # noqa: PLC0415 - only for a terminal
    from rich.text import Text  # noqa: PLC0415 - same

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header)
    for number, column in enumerate(columns):
        whole = column[0].whole
        least = widths[number] if number < len(widths) else _width(column)
        table.add_column(column[0].header, no_wrap=whole, min_width=least)
    for row in zip(*columns, strict=True):
        table.add_row(
            *(
                Text(_one_line(cell.text), no_wrap=True, overflow="ellipsis")
                for cell in row
            )
        )
    return table


def _print_record(console: Console, cells: Sequence[Cell], *, cut: bool) -> None:
    """Print cells one below the other, each beside its name, or below if it is long."""
    from rich.cells import cell_len  # noqa: PLC0415 - only for a terminal
    from rich.table import Table  # noqa: PLC0415 - same
    from rich.text import Text  # noqa: PLC0415 - same

    names = max(len(cell.header) for cell in cells)
    for cell in cells:
        if not cell.text and cut:
            continue
        text = Text(_one_line(cell.text) if cut else cell.text)
        text.no_wrap = cut or cell.whole
        text.overflow = "ellipsis" if cut else "fold"
        if cell.whole and names + 2 + cell_len(cell.text) > console.width:
            console.print(cell.header, style="bold")
            console.print(text, soft_wrap=True)
            continue
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(style="bold", no_wrap=True, width=names)
        row.add_column()
        row.add_row(cell.header, text)
        console.print(row)


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\t", "\\t")
