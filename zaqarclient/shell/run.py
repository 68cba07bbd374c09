"""The command that runs another one, and posts how it ended."""

from __future__ import annotations

import argparse
import os
import socket
import threading
import time
from typing import Any, Final

from zaqarclient.common.text import printable
from zaqarclient.queues.v2.cli.argument_types import integer, names
from zaqarclient.queues.v2.cli.arguments import arg, flag
from zaqarclient.queues.v2.cli.base import LOG, Command
from zaqarclient.queues.v2.cli.output import CommandError, explained
from zaqarclient.queues.v2.cli.statuses import Status, status_of
from zaqarclient.shell import ci
from zaqarclient.shell.child import Child

_EVENTS: Final = ("start", "success", "failure")

#: How long posting may take after the command has ended, in seconds: with the start
#: and the end of this program, less than 10.
_PATIENCE: Final = 8.0


def _events(text: str) -> list[str]:
    """Argument type: names of events, with commas between."""
    found = names(text)
    wrong = [name for name in found if name not in _EVENTS]
    if wrong:
        known = ", ".join(_EVENTS)
        raise argparse.ArgumentTypeError(f"there is no event {wrong[0]!r}, but {known}")
    return found


class RunCommand(Command):
    """Run a command, and post to a queue how it ended.

    Output, input, signals and exit status are those of the command; one that cannot
    be started has status 127 or 126, as in a shell. At its end one message is posted,
    which says in JSON what was run, with which status it ended, after how many
    seconds, on which host, and in which CI job, commit and branch if the variables of
    the CI system tell.

    If the message cannot be posted within 8 seconds, a line on the error stream says
    why, and the status is still that of the command, unless --strict is given.

    With --tail the output goes through a pipe, so the command sees no terminal.
    """

    words = "run"
    example = """--queue builds --tail 50 -- make test
  zaqar run --queue deploys --on start,success,failure --strict -- ./deploy"""
    has_client_id = False
    arguments = (
        arg(
            "command", 'Program to run and its arguments; put "--" before it', nargs="+"
        ),
        arg("--queue", "Name of the queue", metavar="<queue_name>", required=True),
        arg(
            "--on",
            "When to post: start, success, failure, with commas between (default: "
            "success,failure)",
            _events,
            metavar="<events>",
            default=_EVENTS[1:],
        ),
        arg(
            "--tail",
            "Post this many of the last lines of the output too, at most 32 KiB "
            "(default: 0)",
            integer(0),
            metavar="<lines>",
            default=0,
        ),
        flag(
            "--strict",
            "If a message cannot be posted, end with the status for that where the "
            "command ended with 0",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Run the command and post what is asked for."""
        posts = _Posts(self, parsed_args.queue)
        command = parsed_args.command
        about = {
            "type": "run",
            "command": [_text(word) for word in command],
            "host": socket.gethostname(),
            "ci": ci.description({k: _text(v) for k, v in os.environ.items()}),
        }
        measured: dict[str, Any] = {"exit_status": None, "duration": None, "tail": None}
        if "start" in parsed_args.on:
            posts.add({**about, "event": "start", **measured})
        child = Child(command, parsed_args.tail, self.app.stdin)
        began = time.monotonic()
        status = child.run()
        measured["exit_status"] = self.exit_status = status
        measured["duration"] = round(time.monotonic() - began, 3)
        measured["tail"] = child.tail
        event = "failure" if status else "success"
        if event in parsed_args.on:
            posts.add({**about, "event": event, **measured})
        failure = posts.finish(_PATIENCE)
        if failure is not None:
            what = f"queue {parsed_args.queue} was not told of the run: {failure}"
            LOG.warning("%s", printable(what))
            if parsed_args.strict and not status:
                self.exit_status = status_of(failure)


class _Posts:
    """Messages that are posted one after the other, while other things go on.

    Args:
        command: The command whose client posts them.
        queue: The name of the queue.
    """

    def __init__(self, command: Command, queue: str) -> None:
        self._command = command
        self._queue = queue
        self._last: threading.Thread | None = None
        self._failure: Exception | None = None

    def add(self, body: dict[str, Any]) -> None:
        """Post a message after those before it; return at once."""

        def post(before: threading.Thread | None) -> None:
            if before is not None:
                before.join()
            try:
                self._command.queue(self._queue).post({"body": body})
            except Exception as error:  # noqa: BLE001 - whatever it is, the build goes on
                shown = explained(error)
                shown.__cause__ = shown.__cause__ or error
                self._failure = self._failure or shown

        # A service that does not answer must not keep the program from ending.
        self._last = threading.Thread(target=post, args=(self._last,), daemon=True)
        self._last.start()

    def finish(self, seconds: float) -> Exception | None:
        """Wait for the posts, and return why one failed, if one did.

        Args:
            seconds: How long to wait.
        """
        if self._last is not None:
            try:
                self._last.join(seconds)
            except KeyboardInterrupt:
                return CommandError("interrupted", Status.INTERRUPTED)
            if self._last.is_alive():
                late = f"the service did not answer within {seconds:g} s"
                return CommandError(late, Status.UNREACHABLE)
        return self._failure


def _text(value: str) -> str:
    """Return a text of the system, what is no UTF-8 replaced."""
    return os.fsencode(value).decode(errors="replace")
