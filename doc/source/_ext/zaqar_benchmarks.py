"""Directives that show the newest figures in ``benchmarks/results``.

``.. benchmark:: GROUP`` is the table of a group of rows, ``.. benchmark-machine::``
says where and when they were measured, ``.. benchmark-sizes:: GROUP …`` what a message
takes, ``.. benchmark-projection:: ROW`` what a row means for more machines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import results  # noqa: E402 - found by the line above

#: What is projected: so many machines, each with so many cores for servers.
MACHINES, CORES = (1, 2, 4, 8), 4


def newest() -> Path:
    """Return the file of the last day on which all was measured."""
    return max((BENCHMARKS / "results").glob("*.json"))


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a table in reStructuredText."""
    yield from (".. csv-table::", "   :header-rows: 1", "")
    for cells in (heads, *rows):
        yield "   " + ",".join(f'"{_escaped(cell)}"' for cell in cells)
    yield ""


def _escaped(cell: str) -> str:
    """Keep a dash from being a list."""
    return r"\-" if cell == "-" else cell


class Figures(SphinxDirective):
    """Writes something about the figures; see the subclasses."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes."""
        path = newest()
        for source in (__file__, results.__file__, path):
            self.env.note_dependency(str(source))
        text = "\n".join(self.lines(json.loads(path.read_text())))
        return self.parse_text_to_nodes(text)

    def lines(self, report: dict[str, Any]) -> Iterator[str]:
        """Yield reStructuredText."""
        raise NotImplementedError

    def group(self, report: dict[str, Any], name: str) -> dict[str, Any]:
        """Return a group's figures."""
        try:
            found: dict[str, Any] = report["groups"][name]
        except KeyError:
            raise ExtensionError(f"{newest().name} has no group {name!r}") from None
        return found


class Machine(Figures):
    """Says where and when the figures were measured, and how."""

    def lines(self, report: dict[str, Any]) -> Iterator[str]:
        """Yield a list."""
        machine, settings = report["machine"], report["settings"]
        yield f"* {machine['date']}; {machine['cpu']}, {machine['cores']} cores, "
        yield f"  {machine['memory_gib']} GiB; Linux {machine['kernel']}"
        yield f"* Python {machine['python']}, SQLite {machine['sqlite']}, "
        yield f"  {machine['redis']}"
        yield f"* medians of {settings['rounds']} rounds of {settings['seconds']} s; "
        yield f"  bodies of {settings['body_bytes']} bytes"


class Benchmark(Figures):
    """The table of a group."""

    required_arguments = 1

    def lines(self, report: dict[str, Any]) -> Iterator[str]:
        """Yield a table of all operations, and the command that makes it."""
        name = self.arguments[0]
        group = self.group(report, name)
        yield from (f"*{group['title']}*", "")
        rows = [
            [operation, row, *cells]
            for operation in results.operations_of(group)
            for row, cells in results.lines(group, operation)
        ]
        yield from table(["", "row", *results.columns(group)], rows)
        yield f"``benchmarks/matrix.py --only {name}``"


class Sizes(Figures):
    """What a message takes in memory and on disk."""

    required_arguments = 1
    final_argument_whitespace = True

    def lines(self, report: dict[str, Any]) -> Iterator[str]:
        """Yield a table."""
        rows = [
            [
                f"{name}/{row}",
                f"{size.disk:,.0f}",
                f"{size.memory:,.0f}" if size.memory else "-",
                f"{size.server:,.0f}",
            ]
            for name in self.arguments[0].split()
            for row, size in results.footprints(self.group(report, name))
        ]
        heads = ["row", "bytes on disk", "bytes in Redis", "MiB in the server"]
        yield from table(heads, rows)


class Projection(Figures):
    """What the figures of a row mean for more machines."""

    required_arguments = 1

    def lines(self, report: dict[str, Any]) -> Iterator[str]:
        """Yield a table."""
        name, _, row = self.arguments[0].partition("/")
        operations = self.group(report, name)["rows"][row]["operations"]
        rows = []
        for operation, figures in operations.items():
            told = results.projection(figures)
            cells = [f"{told.server_core:,.0f}", f"{told.redis:,.0f}"]
            for count in MACHINES:
                rate, masters = told.rate(count, CORES), told.masters(count, CORES)
                cells.append(f"{rate:,.0f} with {masters}")
            rows.append([operation, *cells])
        machines = [f"{count} machine{'s' * (count > 1)}" for count in MACHINES]
        yield from table(["", "a server core", "one Redis", *machines], rows)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("benchmark", Benchmark)
    app.add_directive("benchmark-machine", Machine)
    app.add_directive("benchmark-sizes", Sizes)
    app.add_directive("benchmark-projection", Projection)
    return {"version": "1", "parallel_read_safe": True}
