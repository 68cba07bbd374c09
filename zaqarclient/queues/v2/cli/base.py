"""The base class of commands: client, client id, hints, prompts and failures.

`Command.on_cliff` bases the classes on cliff's own, so one class serves
``openstack`` and ``zaqar``: a command needs only ``app.client_manager.messaging``
and the three streams of the program around it, as test doubles have them;
``app.NAME`` and ``app.options`` are looked at where they are.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn

from zaqarclient.common.signals import sigterm_raises
from zaqarclient.common.text import printable
from zaqarclient.errors import ZaqarError
from zaqarclient.queues.cli import needs_authentication
from zaqarclient.queues.v2.cli import client_id, emptiness, parsing
from zaqarclient.queues.v2.cli.argument_types import FORMS
from zaqarclient.queues.v2.cli.arguments import arg
from zaqarclient.queues.v2.cli.commands import COMMANDS
from zaqarclient.queues.v2.cli.output import (
    CommandError,
    discard_output,
    explained,
    without_users,
)
from zaqarclient.queues.v2.cli.progress import Progress
from zaqarclient.queues.v2.cli.statuses import Status, status_of
from zaqarclient.queues.v2.cli.terminal import is_terminal, styled
from zaqarclient.transport.errors import NetworkError

if TYPE_CHECKING:
    from cliff.command import Command as CliffCommand

    from zaqarclient.queues.v2.cli.arguments import Arguments
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic
    from zaqarclient.queues.v2.queues import Queue
else:
    # cliff takes longer to import than all commands together, and their texts and
    # arguments need nothing of it: `Command.on_cliff` adds it to a command that runs.
    CliffCommand = object

LOG = logging.getLogger("zaqarclient.cli")

_POOLING: Final = (
    "This service has no pools: its settings admin_mode = true and pooling = true "
    "switch them on."
)
_NEEDS: Final = {
    "pool": _POOLING,
    "flavor": _POOLING,
    "health": "This service does not report its health: its setting admin_mode = true "
    "switches that on.",
}

#: More targets than this are not looked up before they are deleted.
_MOST_LOOKS = 20


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help that keeps the lines of descriptions and examples, where they fit."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(parsing.reflowed(text, width), width, indent)

    def _format_usage(self, *args: Any) -> str:
        # argparse never breaks a line between the options of which one may be given.
        text = super()._format_usage(*args)
        if max(map(len, text.splitlines())) <= self._width:
            return text
        # An option and its value stay together.
        words = re.sub(r"(-[\w-]+) (?=<)", "\\1\xa0", " ".join(text.split()))
        wrapped = textwrap.fill(
            words,
            self._width,
            subsequent_indent=" " * len("usage: "),
            break_long_words=False,
            break_on_hyphens=False,
        )
        return wrapped.replace("\xa0", " ") + "\n\n"


class Command(CliffCommand):
    """A command of the messaging service; it prints nothing on success."""

    #: The class of cliff that runs it: module and name.
    cliff: ClassVar[tuple[str, str]] = ("cliff.command", "Command")

    #: What follows the words in an example; further lines are whole commands.
    example: ClassVar[str] = ""

    #: Its arguments, besides those that all commands have.
    arguments: ClassVar[Arguments] = ()

    #: What the command works on: ``queue`` or ``topic``.
    kind: ClassVar[str] = "queue"

    #: Docstring and example of the command on topics, where it is more than the same
    #: with topics in place of queues.
    topic_text: ClassVar[str] = ""
    topic_example: ClassVar[str] = ""

    #: False for a command that asks nothing of the service.
    has_client_id: ClassVar[bool] = True

    #: Set during the action to end with another status than 0.
    exit_status = 0

    #: Set during long work: how much of it is done, in case it does not end.
    done = ""

    _parser: argparse.ArgumentParser
    _client_id: str | None = None

    @classmethod
    def on_topics(cls, name: str) -> type[Command]:
        """Return the command on topics that is made from this one on queues."""
        members = {
            "__doc__": cls.topic_text or str(cls.__doc__).replace("queue", "topic"),
            "example": cls.topic_example or cls.example.replace("orders", "news"),
            "kind": "topic",
        }
        return type(name, (cls,), members)

    @classmethod
    def on_cliff(cls) -> type[Command]:
        """Return the class that programs run: this one, based on that of cliff."""
        module, name = cls.cliff
        base = getattr(import_module(module), name)
        members = {"__doc__": cls.__doc__, "__module__": cls.__module__}
        made: type[Command] = type(base)(cls.__name__, (cls, base), members)
        return made

    @property
    def words(self) -> str:
        """The words that call it, after the name of the program."""
        names = (
            name for name, row in COMMANDS.items() if row.cls == type(self).__name__
        )
        return next(names)

    @property
    def needs(self) -> str:
        """The settings that a service without the command has to switch on."""
        return _NEEDS.get(self.words.partition(" ")[0], "")

    @property
    def auth_required(self) -> bool:
        """True if ``openstack`` has to authenticate before this command."""
        cloud = getattr(self.app, "cloud", None)
        return cloud is None or needs_authentication(cloud.config)

    @property
    def client(self) -> Client:
        """The client of the program, made at the first use, with its id set."""
        client: Client = self.app.client_manager.messaging  # type: ignore[attr-defined]  # cliff's App does not declare what its programs add
        client.client_uuid = self._client_id or client_id.persistent()
        return client

    @property
    def is_zaqar(self) -> bool:
        """False if ``openstack`` runs it, whose users' scripts are older."""
        return getattr(self.app, "NAME", "openstack") == "zaqar"

    @property
    def is_quiet(self) -> bool:
        """True if only data and errors are wanted."""
        options = getattr(self.app, "options", None)
        return getattr(options, "verbose_level", 1) == 0

    def queue(self, name: str) -> Queue:
        """Return the queue of that name; nothing is sent."""
        return self.client.queue(name, auto_create=False)

    def queue_or_topic(self, name: str) -> QueueOrTopic:
        """Return what `kind` says, of that name; nothing is sent."""
        return self.client.topic(name) if self.kind == "topic" else self.queue(name)

    def get_epilog(self) -> str:
        """Return what the program adds of its own."""
        # The search for the distribution that brought a command reads the
        # metadata of all of them; only openstack, with its many plugins, needs it.
        return super().get_epilog() if self.cmd_name else ""

    def typed_example(self, program: str) -> str:
        """Return the example as it is typed after the name of a program."""
        typed = f"{self.words} {self.example}".rstrip()
        return typed.replace("| zaqar", f"| {program}")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the command: own arguments, then shared ones."""
        parser = super().get_parser(prog_name)
        parser.formatter_class = HelpFormatter
        program = getattr(self.app, "NAME", "openstack")
        example = f"Example:\n  {program} {self.typed_example(program)}"
        parser.description = f"{str(parser.description).rstrip()}\n\n{example}"
        self._parser = parser
        for argument in self.arguments:
            argument.add_to(parser, self.kind)
        shown = {action.metavar for action in parser._actions}  # noqa: SLF001 - argparse has no other way
        forms = [text for placeholder, text in FORMS.items() if placeholder in shown]
        parser.epilog = "\n\n".join(filter(None, ("\n".join(forms), parser.epilog)))
        if self.has_client_id:
            arg(
                "--client-id",
                "UUID that the service knows this client by (default: one made "
                "for this user and kept) (Env: OS_MESSAGE_CLIENT_ID)",
                self._take_client_id,
                default=os.environ.get("OS_MESSAGE_CLIENT_ID") or None,
            ).add_to(parser)
        parsing.prepare(parser)
        return parser

    def _take_client_id(self, text: str) -> str:
        """Argument type: the id; from then on it is that of the client."""
        self._client_id = text
        return text

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command and return the exit status.

        Raises:
            BrokenPipeError: The reader of the output is gone; the output is
                closed, so that closing it causes no second error.
            CommandError: In place of an error whose own text says too little or is
                not safe to show on a terminal.
        """
        try:
            with sigterm_raises():
                status = super().run(parsed_args)
            self.app.stdout.flush()
        except BrokenPipeError:
            discard_output()
            raise
        except KeyboardInterrupt:
            self._report_done()
            raise
        except Exception as error:
            self._report_done()
            shown = explained(error, self.needs)
            if shown is error:
                raise
            raise shown from error
        # openstack has always known 0, 1 and 2 only.
        own = self.exit_status if self.is_zaqar else min(self.exit_status, 1)
        return status or own

    def _report_done(self) -> None:
        """Print how much of the work was done, for a command that did not end it."""
        if self.done:
            LOG.error("%s", self.done)

    def usage_error(self, text: str) -> NoReturn:
        """End with status 2, the usage of the command and an explanation."""
        self._parser.error(text)

    def refuse(self, problem: str) -> None:
        """End with status 2 because of something that the service would ignore.

        What ``openstack`` has always taken it still takes, with a warning.
        """
        if self.is_zaqar:
            self.usage_error(problem)
        LOG.warning("%s", printable(problem))

    def hint(self, text: str) -> None:
        """Print a line beside the data, on the error stream, unless ``-q``."""
        if not self.is_quiet:
            line = styled(self.app.stderr, printable(without_users(text)), "hint")
            print(line, file=self.app.stderr, flush=True)

    def nothing(
        self, parsed_args: argparse.Namespace, why: Callable[[], str | None]
    ) -> None:
        """End without a result: print why, and set the status if one is asked for.

        Args:
            parsed_args: The arguments, ``--fail-if-empty`` or `paging.WAIT` among them.
            why: Returns a sentence for the user, or nothing; not called with ``-q``.
        """
        reason = None if self.is_quiet else why()
        if reason:
            self.hint(reason)
        if getattr(parsed_args, "fail_if_empty", False):
            self.exit_status = Status.EMPTY
        if getattr(parsed_args, "wait", 0):
            self.exit_status = Status.TIMED_OUT

    def confirm(
        self, question: Callable[[], str], parsed_args: argparse.Namespace
    ) -> None:
        """Ask before something that cannot be undone, on a terminal only.

        Args:
            question: Returns the question; it may ask the service.
            parsed_args: The arguments, ``--yes`` among them.

        Raises:
            CommandError: the answer was not yes.
        """
        if parsed_args.yes or not (
            is_terminal(self.app.stdin) and is_terminal(self.app.stderr)
        ):
            return
        self.app.stderr.write(f"{question()} [y/N] ")
        self.app.stderr.flush()
        if self.app.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise CommandError("nothing was changed")

    def for_each(
        self,
        what: str,
        targets: Sequence[str],
        action: Callable[[str], object],
        find: Callable[[str], object] | None = None,
    ) -> None:
        """Do something to each target; a failure does not stop the rest.

        Each failure is logged. The command ends with the status of the failures, or
        with 1 if they differ.

        Args:
            what: The kind of thing that the targets are, for the report.
            targets: Names or ids.
            action: What to do to each of them.
            find: Looks a target up for ``zaqar``, as for `emptiness.is_absent`: a line
                says that it does not exist, as the action succeeds all the same.
        """
        names = list(targets)
        looks = self.is_zaqar and not self.is_quiet and len(names) <= _MOST_LOOKS
        with self.progress(f"{what}s", len(names)) as progress:
            for count, target in enumerate(progress.over(names)):
                if count:
                    self.done = f"{count:,} of {len(names):,} {what}s were done"
                try:
                    if find and looks and emptiness.is_absent(target, find):
                        progress.hide()
                        self.hint(f"There is no {what} {target}.")
                    action(target)
                except NetworkError:
                    raise  # the others would fail the same way, each after a while
                except (ZaqarError, ValueError) as error:
                    shown = explained(error, self.needs)
                    progress.hide()
                    LOG.error("%s %s: %s", what, target, shown)  # noqa: TRY400 - people want no traceback
                    status = status_of(error)
                    same = self.exit_status in {0, status}
                    self.exit_status = status if same else Status.FAILED

    def progress(
        self, what: str, total: int | None = None, *, wanted: bool = True
    ) -> Progress:
        """Return the progress of long work, as a context; none is shown with ``-q``."""
        wanted = wanted and not self.is_quiet
        return Progress(self.app.stderr, what, total, wanted=wanted)
