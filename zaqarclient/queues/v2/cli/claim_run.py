"""The worker: one claimed message after the other through a command."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

from zaqarclient.common.signals import signals_held
from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.cli import emptiness
from zaqarclient.queues.v2.cli.argument_types import integer, whole_seconds
from zaqarclient.queues.v2.cli.arguments import FAIL_IF_EMPTY, QUEUE, arg, flag
from zaqarclient.queues.v2.cli.base import LOG, Command
from zaqarclient.queues.v2.cli.output import CommandError, body_text

if TYPE_CHECKING:
    from zaqarclient.queues.v2.claim import Claim
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue


_LOOK_SECONDS = 0.05
_KILL_SECONDS = 10.0


class RunClaim(Command):
    """Run a command for each message of a queue, until none is free.

    Each message is claimed by itself. Its body comes on the standard input of
    the command: text as it is, anything else as JSON. The environment holds
    ZAQAR_QUEUE, ZAQAR_MESSAGE_ID and ZAQAR_CLAIM_ID. The claim is renewed for
    as long as the command runs. When the command ends with status 0 the
    message is deleted. When it fails the message is given back and the worker
    ends with status 1; with --keep-going it goes on with the next one, and the
    failed message comes back when its claim runs out.
    """

    example = "orders --ttl 2m -- ./handle-order"
    arguments = (
        QUEUE,
        arg(
            "command", 'Program to run and its arguments; put "--" before it', nargs="+"
        ),
        arg(
            "--ttl",
            "How long a claim lasts if this worker dies, 60 s to 12 h (default: 5m)",
            whole_seconds(2),
            default=300,
        ),
        arg(
            "--grace",
            "How long a message lives at least after that, 60 s to 12 h (default: 1m)",
            whole_seconds(1),
            default=60,
        ),
        arg(
            "--count",
            "End after this many messages (default: when none is free)",
            integer(1),
        ),
        FAIL_IF_EMPTY,
        flag("--keep-going", "Go on with the next message after a failure"),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Work until there is nothing left to do."""
        queue = self.queue(parsed_args.queue_name)
        handled = failed = 0
        while parsed_args.count is None or handled < parsed_args.count:
            claim = queue.claim(ttl=parsed_args.ttl, grace=parsed_args.grace, limit=1)
            message = next(iter(claim), None)
            if message is None:
                break
            handled += 1
            if not _MessageRun(queue, claim, message, parsed_args).work():
                failed += 1
                self.exit_status = 1
                if not parsed_args.keep_going:
                    break
        self.hint(f"Messages handled: {handled}, failed: {failed}")
        if not handled:
            self.nothing(parsed_args, lambda: emptiness.reason(queue))


class _MessageRun:
    """A command at work on one message."""

    def __init__(
        self,
        queue: Queue,
        claim: Claim,
        message: Message,
        parsed_args: argparse.Namespace,
    ) -> None:
        self._queue = queue
        self._claim = claim
        self._message = message
        self._arguments = parsed_args
        self._environment = {
            **os.environ,
            "ZAQAR_QUEUE": str(queue.name),
            "ZAQAR_MESSAGE_ID": message.id,
            "ZAQAR_CLAIM_ID": str(claim.id),
        }

    def work(self) -> bool:
        """Run the command and delete the message if it succeeds; return if it did."""
        try:
            status = self.run()
        except BaseException:
            # Whatever stopped the worker, a Ctrl-C included: the message is free
            # for other workers at once.
            with contextlib.suppress(ZaqarError):
                self._claim.delete()
            raise
        if status == 0:
            self._queue.delete_message(self._message.id, self._claim.id)
            return True
        LOG.error("message %s: the command ended with %d", self._message.id, status)
        if not self._arguments.keep_going:
            self._claim.delete()
        return False

    def run(self) -> int:
        """Run the command to its end and return its status.

        Raises:
            CommandError: The command could not be started, or the claim was
                lost while it ran (the command is stopped then).
        """
        process = None
        try:
            with signals_held():
                # One that came before the process is known would leave it behind.
                process = self._start()
            self._feed(process)
        except BaseException:
            if process is not None:
                self._stop(process)
            raise
        return process.returncode

    def _start(self) -> subprocess.Popen[bytes]:
        command = self._arguments.command
        try:
            return subprocess.Popen(  # noqa: S603 - running a command is the point
                command, stdin=subprocess.PIPE, env=self._environment
            )
        except OSError as error:
            raise CommandError(f"cannot run {command[0]}: {error.strerror}") from error

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """End the command, holding the claim until it has ended.

        Whatever interrupts the wait, a second Ctrl-C for example, kills it.
        """
        process.terminate()
        try:
            if process.stdin is not None:
                # It may wait for the rest of the message, which does not come.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            while not _has_ended(process, self._arguments.ttl / 2):
                with contextlib.suppress(CommandError):
                    self._renew()
        except BaseException:
            process.kill()
            _has_ended(process, _KILL_SECONDS)
            raise

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """Write the input of the command, and renew the claim until it ends."""
        text = body_text(self._message.body)
        # JSON allows halves of characters, which UTF-8 cannot encode.
        body: bytes | None = text.encode(errors="backslashreplace")
        while True:
            try:
                process.communicate(body, timeout=self._arguments.ttl / 2)
            except subprocess.TimeoutExpired:
                body = None
                self._renew()
            else:
                return

    def _renew(self) -> None:
        try:
            self._claim.update(ttl=self._arguments.ttl, grace=self._arguments.grace)
        except ZaqarError as error:
            raise CommandError(
                f"message {self._message.id}: the claim was lost: {error}"
            ) from error


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a command ends within some seconds.

    ``Popen.wait`` is of no use after a signal raised an exception in it: it may hold
    its own lock since then, and never sees the end.
    """
    how = os.WEXITED | os.WNOHANG | os.WNOWAIT
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            if os.waitid(os.P_PID, process.pid, how) is not None:
                process.poll()  # takes its status, where the lock is free
                return True
        except ChildProcessError:
            return True  # it was waited for before
        time.sleep(_LOOK_SECONDS)
    return False
