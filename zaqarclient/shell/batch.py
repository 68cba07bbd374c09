"""Many commands in one run of the ``zaqar`` program: one connection, one token."""

from __future__ import annotations

import contextlib
import io
import logging
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from zaqarclient.errors import ZaqarError
from zaqarclient.shell import help  # noqa: A004 - the module

if TYPE_CHECKING:
    from zaqarclient.shell import Program

LOG = logging.getLogger("zaqarclient.cli")

_FAILED: Final = 1

_DESCRIPTION: Final = """Run commands, one a line, over one connection with one token.

A line is what follows "zaqar" and the global options, quoted as for a
shell; empty lines and "#" with what follows are left out. The first command that
fails ends the batch, with its status. The commands have no standard input."""


def run(program: Program, words: list[str], execute: Callable[[list[str]], int]) -> int:
    """Run a batch and return its exit status.

    Args:
        program: Its standard input may hold the commands; these get an empty one.
        words: The words after ``batch``.
        execute: Runs one command and returns its status.
    """
    example = "printf 'queue create a\\nqueue create b\\n' | zaqar batch"
    parser = help.own_parser(f"{program.NAME} batch", _DESCRIPTION, example)
    parser.add_argument(
        "file",
        metavar="<file>",
        nargs="?",
        default="-",
        help='Where the commands are; "-" for the standard input (default: -)',
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="Run the rest after a failure too; the status is 1 then",
    )
    arguments = parser.parse_args(words)
    worst = 0
    with _lines(program, arguments.file) as lines:
        for number, line in enumerate(lines, start=1):
            status = _run_line(line, execute)
            program.stdout.flush()
            if status:
                LOG.error("line %d: status %d: %s", number, status, line.strip())
                if not arguments.keep_going:
                    return status
                worst = _FAILED
    return worst


def _run_line(line: str, execute: Callable[[list[str]], int]) -> int:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        LOG.error("%s", error)  # noqa: TRY400 - people want no traceback
        return _FAILED
    if words[:1] == ["batch"]:
        LOG.error("a batch runs no batch")
        return _FAILED
    return execute(words) if words else 0


@contextlib.contextmanager
def _lines(program: Program, file: str) -> Iterator[TextIO]:
    """Yield the lines, while the standard input of the commands is empty."""
    with contextlib.ExitStack() as stack:
        stdin = program.stdin
        program.stdin = stack.enter_context(Path("/dev/null").open(encoding="utf-8"))
        stack.callback(setattr, program, "stdin", stdin)
        if file == "-":
            yield stdin or io.StringIO()
        else:
            yield stack.enter_context(_open(file))


def _open(file: str) -> TextIO:
    try:
        return Path(file).open(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ZaqarError(f"cannot read {file}: {reason}") from error
