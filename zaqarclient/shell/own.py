"""The commands that only ``zaqar`` has: many in one run, log-out and completion."""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from zaqarclient.queues.v2.cli.argument_types import unreadable
from zaqarclient.queues.v2.cli.arguments import arg, flag
from zaqarclient.queues.v2.cli.base import LOG, Command
from zaqarclient.queues.v2.cli.output import CommandError
from zaqarclient.shell import completion, tokens

if TYPE_CHECKING:
    from zaqarclient.shell import Program


class _OwnCommand(Command):
    """A command of the program itself."""

    has_client_id = False

    @property
    def program(self) -> Program:
        """The program that runs it."""
        program: Program = self.app  # type: ignore[assignment]  # no other runs it
        return program


class RunBatch(_OwnCommand):
    """Run commands, one a line, over one connection with one token.

    A line is what follows "zaqar" and the global options, quoted as for a
    shell; empty lines and "#" with what follows are left out. The first command that
    fails ends the batch, with its status. The commands have no standard input.
    """

    words = "batch"
    example = """commands.txt
  printf 'queue create a\\nqueue create b\\n' | zaqar batch"""
    arguments = (
        arg(
            "file",
            'Where the commands are; "-" for the standard input (default: -)',
            nargs="?",
            default="-",
        ),
        flag("--keep-going", "Run the rest after a failure too; the status is 1 then"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Run the commands, one after the other."""
        with _lines(self.program, parsed_args.file) as lines:
            for number, line in enumerate(lines, start=1):
                self.done = f"the batch ended in line {number}: {line.strip()}"
                status = self._run_line(line)
                self.app.stdout.flush()
                if status:
                    LOG.error("line %d: status %d: %s", number, status, line.strip())
                    self.exit_status = 1 if parsed_args.keep_going else status
                    if not parsed_args.keep_going:
                        return

    def _run_line(self, line: str) -> int:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            LOG.error("%s", error)
            return 1
        if words[:1] == ["batch"]:
            LOG.error("a batch runs no batch")
            return 1
        try:
            return self.program.execute(words) if words else 0
        except SystemExit as ended:  # of a parser, which has printed the reason
            return int(ended.code or 0)


class LogOut(_OwnCommand):
    """Remove the tokens that --os-token-cache has kept."""

    words = "logout"

    def take_action(self, _parsed_args: argparse.Namespace) -> None:
        """Remove the tokens."""
        tokens.forget_all()


class Complete(_OwnCommand):
    """Print what a shell has to read to complete commands by Tab.

    Commands, options, their values, columns, files, and the names of queues and topics
    are completed.
    """

    words = "complete"
    example = """--shell fish | source
  eval "$(zaqar complete)\""""
    arguments = (
        arg(
            "--shell",
            "The shell (default: bash)",
            choices=completion.SHELLS,
            default="bash",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Print the script."""
        self.app.stdout.write(completion.script(parsed_args.shell))


@contextlib.contextmanager
def _lines(program: Program, file: str) -> Iterator[TextIO]:
    """Yield the lines, while the standard input of the commands is empty."""
    with contextlib.ExitStack() as stack:
        stdin = program.stdin
        program.stdin = stack.enter_context(Path("/dev/null").open(encoding="utf-8"))
        stack.callback(setattr, program, "stdin", stdin)
        if file == "-":
            yield stdin or io.StringIO()
            return
        try:
            lines = stack.enter_context(Path(file).open(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(unreadable(file, error)) from error
        yield lines
