"""The ``zaqar`` program: the commands of the messaging service by themselves.

It runs the classes that ``openstack`` runs as a plugin, but reads them from a
table and imports only what the command at hand needs, so it starts in a
fraction of the time.

How it ends is in `zaqarclient.queues.v2.cli.statuses`.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import warnings
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from zaqarclient.common.signals import Terminated
from zaqarclient.common.text import printable
from zaqarclient.queues import cli
from zaqarclient.queues.v2 import cli as commands
from zaqarclient.queues.v2.cli.arguments import flag, one_of
from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.queues.v2.cli.output import (
    CommandError,
    discard_output,
    without_users,
)
from zaqarclient.queues.v2.cli.parsing import end_with_error
from zaqarclient.queues.v2.cli.statuses import Status, status_of
from zaqarclient.queues.v2.cli.terminal import styled
from zaqarclient.shell import client_manager
from zaqarclient.shell import help as program_help
from zaqarclient.shell.credentials import UnknownOption
from zaqarclient.transport.errors import NetworkError
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.queues.v2.cli.base import Command

#: How many words the longest command has.
_LONGEST: Final = max(len(name.split()) for name in COMMANDS)

LOG = logging.getLogger("zaqarclient.cli")

_FORMATTERS: Final = {
    "csv": "commaseparated:CSVLister",
    "json": "json_format:JSONFormatter",
    "shell": "shell:ShellFormatter",
    "table": "table:TableFormatter",
    "value": "value:ValueFormatter",
    "yaml": "yaml_format:YAMLFormatter",
}

_FORMATS: Final = {
    "cliff.formatter.list": ("csv", "json", "table", "value", "yaml"),
    "cliff.formatter.show": ("json", "shell", "table", "value", "yaml"),
}


_GENERAL_OPTIONS: Final = (
    flag("-h", "Show this, or the help of a command", also=["--help"]),
    flag("--version", "Show the version"),
    one_of(
        flag(
            "-v",
            "Print more; twice also prints each request",
            also=["--verbose"],
            action="count",
            dest="verbose_level",
            default=1,
        ),
        flag(
            "-q",
            "Print data and errors only",
            also=["--quiet"],
            action="store_const",
            const=0,
            dest="verbose_level",
        ),
    ),
    flag("--debug", "Print each request, and where an error comes from"),
    flag("--timing", "Print how long each request took"),
)


class LineFormatter(logging.Formatter):
    """Formats log lines, without the passwords in URLs; errors have a colour.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__("%(message)s")
        self._stream = stream

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, a traceback included."""
        text = printable(without_users(super().format(record)))
        return (
            styled(self._stream, text, "error")
            if record.levelno >= logging.ERROR
            else text
        )


class ClosedStream(io.TextIOBase):
    """Stands for a standard output that is closed (``>&-``)."""

    def write(self, _text: str) -> NoReturn:
        """Refuse a text.

        Raises:
            CommandError: Always.
        """
        raise CommandError("the standard output is closed")


class UsageError(Exception):
    """Unknown command; the message suggests one."""


class Program:
    """One run of the program; commands know it as their ``app``.

    Args:
        options: The global options.
        stdin: Where messages are read from.
        stdout: Where data goes.
        stderr: Where everything else goes.
    """

    NAME: Final = "zaqar"

    def __init__(
        self,
        options: argparse.Namespace,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.options = options
        self.stdin = stdin or sys.stdin
        self.stdout: Any = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.client_manager = client_manager.ClientManager(options)

    def command(self, name: str) -> Command:
        """Return the command of that name."""
        own = program_help.OWN_COMMANDS.get(name)
        if own is None:
            made = getattr(commands, COMMANDS[name].cls)
        else:
            module, cls = own
            made = getattr(import_module(f"{__name__}.{module}"), cls).on_cliff()
        command: Command = made(self, self.options)
        return command

    @staticmethod
    def formatters(kind: str) -> Any:
        """Return the output formats of a kind of command, without a scan for others.

        Args:
            kind: ``cliff.formatter.list`` or ``cliff.formatter.show``.
        """
        # cliff has imported both.
        from importlib.metadata import EntryPoint  # noqa: PLC0415

        from stevedore.extension import Extension, ExtensionManager  # noqa: PLC0415

        known = []
        for name in _FORMATS[kind]:
            entry = EntryPoint(name, f"cliff.formatters.{_FORMATTERS[name]}", kind)
            formatter = entry.load()
            known.append(Extension(name, entry, formatter, formatter()))
        return ExtensionManager.make_test_instance(known)

    def run(self, words: list[str]) -> int:
        """Run the command that the words begin with and return its status.

        Raises:
            UsageError: They begin with no command.
        """
        if words[:1] in ([], ["help"]) and set(words[1:]) <= {"--all", "-a"}:
            self._show_help(everything=len(words) > 1)
            return 0
        if words[0] == "help":
            words = [*words[1:], "--help"]
        name, arguments = find_command(words)
        if name is None:
            return self._list_commands(words)
        self._check_version()
        command = self.command(name)
        parser = command.get_parser(f"{self.NAME} {name}")
        return command.run(parser.parse_args(arguments))

    def _show_help(self, *, everything: bool) -> None:
        if not everything:
            self.stdout.write(program_help.overview(build_parser()))
            return
        from autopage.argparse import help_pager  # noqa: PLC0415 - only when needed

        with help_pager(self.stdout) as out:
            out.write(program_help.everything(build_parser()))

    def report(self, error: Exception) -> None:
        """Print what went wrong, with a traceback only for ``--debug``."""
        text = str(error) or type(error).__name__
        LOG.error("%s", text, exc_info=error if self.options.debug else None)
        lost = isinstance(error.__cause__, NetworkError)
        if lost and not self.client_manager.configured:
            LOG.error(
                "No service is configured: name one with --os-queues-endpoint "
                "or OS_QUEUES_ENDPOINT, put a signed URL into ZAQAR_SIGNED_URL, or "
                "give credentials (zaqar --help)."
            )

    def report_timings(self) -> None:
        """Print how long each request took, on the error stream."""
        for method, url, seconds in self.client_manager.timings():
            line = f"{seconds:8.3f} s  {method} {without_users(url)}"
            print(line, file=self.stderr)

    def _check_version(self) -> None:
        version = self.options.os_queues_api_version
        if version is not None and version not in cli.API_VERSIONS:
            raise UsageError(f"there is no API version {version}: use 2")

    def _list_commands(self, words: list[str]) -> int:
        """List the commands that begin with these words."""
        plain = [word for word in words if not word.startswith("-")]
        start = " ".join(plain)
        names = [name for name in COMMANDS if name.startswith(f"{start} ")]
        if not names:
            raise UsageError(program_help.unknown(plain or words))
        wanted = {"-h", "--help"} & set(words)
        stream = self.stdout if wanted else self.stderr
        stream.write(program_help.commands(names))
        return 0 if wanted else Status.USAGE

    def execute(self, words: list[str]) -> int:
        """Run a command and return its status; a failure ends in a line.

        Raises:
            BrokenPipeError: The reader of the output went away.
        """
        try:
            return self.run(words)
        except (UsageError, UnknownOption) as error:
            line = printable(f"{self.NAME}: {error}")
            print(styled(self.stderr, line, "error"), file=self.stderr)
            return Status.USAGE
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - people get a line, no traceback
            self.report(error)
            return status_of(error)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the global options."""
    parser = argparse.ArgumentParser(
        prog=Program.NAME,
        usage="%(prog)s [options] <command> [arguments]",
        description="Work with the queues, messages, claims and subscriptions of a "
        "messaging service.",
        add_help=False,
        allow_abbrev=False,
    )
    group = parser.add_argument_group("general")
    for option in _GENERAL_OPTIONS:
        option.add_to(group)
    client_manager.add_options(parser)
    parser.error = partial(end_with_error, parser)  # type: ignore[method-assign]  # this parser only
    return parser


def find_command(words: list[str]) -> tuple[str | None, list[str]]:
    """Return the longest command that the words begin with, and the rest.

    The prefix ``messaging`` of ``openstack`` is allowed.
    """
    if words[0] in program_help.OWN_COMMANDS:
        return words[0], words[1:]
    if words[0] == "messaging":
        words = words[1:]
    for count in range(min(_LONGEST, len(words)), 0, -1):
        name = " ".join(words[:count])
        if name in COMMANDS:
            return name, words[count:]
    return None, words


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit status.

    Args:
        argv: The words after the name of the program; its own by default.
    """
    arguments = sys.argv[1:] if argv is None else argv
    # Python has None for a stream that is closed.
    sys.stdout, sys.stderr = sys.stdout or ClosedStream(), sys.stderr or io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks is shown as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    # What follows "--" is another program's command line.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = build_parser()
    options, words = parser.parse_known_args(arguments[:end])
    words = client_manager.take_plugin_options(options, words)
    if options.version:
        print(f"{Program.NAME} {__version__}")
        return 0
    if options.help:
        words.insert(0, "help")
    return _guarded(Program(options), words + arguments[end:])


def _complete() -> None:
    """Answer a shell that completes a line, and end the process."""
    from zaqarclient.shell.completion import Completion  # noqa: PLC0415 - only when needed

    names = (*COMMANDS, *program_help.OWN_COMMANDS)
    Completion(build_parser(), names, find_command, Program).answer()


def _guarded(program: Program, words: list[str]) -> int:
    """Run a command; any failure becomes a message and an exit status."""
    _configure_logging(program)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda text, *_, **__: LOG.warning("%s", text)
            status = program.execute(words)
        program.stdout.flush()
        if program.options.timing:
            program.report_timings()
    except BrokenPipeError:
        discard_output()
        return Status.BROKEN_PIPE
    except Terminated as ended:
        return ended.status
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    finally:
        program.client_manager.close()
    return status


def _configure_logging(program: Program) -> None:
    options = program.options
    loud = options.debug or options.verbose_level > 2
    handler = logging.StreamHandler(program.stderr)
    handler.setFormatter(LineFormatter(program.stderr))
    own, root = logging.getLogger("zaqarclient"), logging.getLogger()
    own.setLevel(logging.INFO if options.verbose_level > 1 else logging.WARNING)
    if loud:
        own.setLevel(logging.DEBUG)
        root.setLevel(logging.DEBUG)
        root.addHandler(handler)
    else:
        # A library's failure is in the error that the command ends with.
        root.addHandler(logging.NullHandler())
        own.addHandler(handler)
