"""The base classes of commands that print data: a list, or the fields of one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TextIO, TypeAlias

from zaqarclient.queues.v2.cli import output
from zaqarclient.queues.v2.cli.arguments import UTC
from zaqarclient.queues.v2.cli.base import Command
from zaqarclient.queues.v2.cli.output import Body, check_columns
from zaqarclient.queues.v2.cli.paging import Pages
from zaqarclient.queues.v2.cli.terminal import (
    TableFormatter,
    Times,
    is_terminal,
    safe,
)

if TYPE_CHECKING:
    import argparse

    from cliff.lister import Lister as CliffLister
    from cliff.show import ShowOne as CliffShowOne
else:
    CliffLister = CliffShowOne = object  # as in `base`

Columns: TypeAlias = tuple[str, ...]
Shown: TypeAlias = tuple[Columns, Iterable[Any]]
"""What a command prints: names, and values of one thing or rows of values."""


class _Safe:
    """A formatter of cliff, whose output cannot steer a terminal.

    Args:
        formatter: The formatter.
    """

    def __init__(self, formatter: Any) -> None:
        self._formatter = formatter

    def emit_list(self, names: Any, data: Any, stdout: TextIO, arguments: Any) -> None:
        """Print rows."""
        self._formatter.emit_list(names, data, safe(stdout), arguments)

    def emit_one(self, names: Any, data: Any, stdout: TextIO, arguments: Any) -> None:
        """Print the fields of one thing."""
        self._formatter.emit_one(names, data, safe(stdout), arguments)


class _Displaying(Command):
    """A command that prints data in the chosen format."""

    #: All columns that ``-c`` can name, where they are the same in every answer.
    columns: ClassVar[Columns] = ()

    formatter: Any

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return the exit status; see `Command.run`.

        Raises:
            CommandError: There is none of the columns. Nothing was done.
        """
        if self.columns:
            check_columns(parsed_args.columns, self.columns)
        return super().run(parsed_args)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser, which takes ``--utc`` besides the options of cliff."""
        parser = super().get_parser(prog_name)
        UTC.add_to(parser)
        return parser

    def _load_formatter_plugins(self) -> Any:
        """Take the formatters from the program, if it keeps a table of them."""
        table = getattr(self.app, "formatters", None)
        if table is None:
            return super()._load_formatter_plugins()  # type: ignore[misc]  # of the cliff class beside this one
        return table(self.formatter_namespace)  # type: ignore[attr-defined]  # same

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Any
    ) -> int:
        """Print the data, nested values as the format needs them."""
        chosen = parsed_args.formatter
        names = tuple(output.column(name, chosen) for name in column_names)
        times, render = Times(names), output.renderer(chosen)
        to_people = chosen == "table" and is_terminal(self.app.stdout)

        def shown(row: Sequence[Any]) -> Sequence[Any]:
            in_utc = parsed_args.utc
            if to_people:
                return times.cells(row, output.for_people, in_utc=in_utc)
            return tuple(map(render, times.in_utc(row) if in_utc else row))

        check_columns(parsed_args.columns, names)
        self.formatter = TableFormatter() if to_people else _Safe(self.formatter)
        status: int = super().produce_output(  # type: ignore[misc]  # same
            parsed_args, names, self.each_row(shown, data)
        )
        return status

    def each_row(self, shown: Callable[[Any], Any], data: Any) -> Any:
        """Return the data with each of its rows as it is shown."""
        return shown(data)


class Lister(_Displaying, CliffLister):
    """A command that prints a table of rows."""

    cliff = ("cliff.lister", "Lister")

    def listed(
        self,
        columns: Columns,
        fetch: Callable[..., Any],
        parsed_args: argparse.Namespace,
        empty: str,
    ) -> tuple[Columns, list[tuple[Any, ...]]]:
        """Return columns and rows of a listing, and hint where the next page begins.

        Args:
            columns: What to show of each item, as for `values_of`.
            fetch: As for `Pages`.
            parsed_args: The arguments of `paging` among others.
            empty: The sentence for a list that is empty, printed on a terminal.
        """
        pages = Pages(fetch, parsed_args.limit, parsed_args.marker)
        with self.progress(f"{self.kind}s") as progress:
            rows = [values_of(item, columns) for item in progress.over(pages)]
        self.hint_next_page(pages)
        if not rows:
            shown = empty if is_terminal(self.app.stderr) else None
            self.nothing(parsed_args, lambda: shown)
        return columns, rows

    def hint_next_page(self, pages: Pages) -> None:
        """Print where the next page of a listing begins, if there is one."""
        if pages.next_marker:
            self.hint(f"Next page: --marker {pages.next_marker} (or --all)")

    def each_row(self, shown: Callable[[Any], Any], data: Any) -> Any:
        """Return an iterator over the rows, each as it is shown."""
        return map(shown, data)


class ShowOne(_Displaying, CliffShowOne):
    """A command that prints the fields of one thing."""

    cliff = ("cliff.show", "ShowOne")


def values_of(item: Any, columns: Columns) -> tuple[Any, ...]:
    """Return what columns show of an item.

    Args:
        item: An object, or a document of the service.
        columns: Names of its members, capitals and blanks allowed.
    """
    read = item.get if isinstance(item, Mapping) else partial(getattr, item)
    names = [column.lower().replace(" ", "_") for column in columns]
    return tuple(Body(read(name)) if name == "body" else read(name) for name in names)
