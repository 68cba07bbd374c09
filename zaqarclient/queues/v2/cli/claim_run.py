"""The worker: claimed messages through a command, one after the other or several."""

from __future__ import annotations

import argparse
import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.common.signals import Terminated, in_main_thread
from zaqarclient.errors import LeaseLost
from zaqarclient.queues.v2.cli import emptiness
from zaqarclient.queues.v2.cli.argument_types import integer, seconds, whole_seconds
from zaqarclient.queues.v2.cli.arguments import FAIL_IF_EMPTY, QUEUE, arg, flag
from zaqarclient.queues.v2.cli.base import LOG, Command
from zaqarclient.queues.v2.cli.output import CommandError, body_text
from zaqarclient.queues.v2.consume import Backoff, ConsumeOptions
from zaqarclient.queues.v2.consumer import Consumer

if TYPE_CHECKING:
    from zaqarclient.queues.v2.consume import Action
    from zaqarclient.queues.v2.message import Message

#: Exit statuses that choose what becomes of the message, as those of sysexits.h.
_BURY: Final = 65
_RELEASE: Final = 75

#: What signals ask for: that commands finish, stop, or are killed. Each one more asks
#: for the next.
_FINISH, _STOP, _KILL = 1, 2, 3
_LEVELS: Final[dict[int, int]] = {signal.SIGTERM: _FINISH, signal.SIGINT: _STOP}

_LOOK_SECONDS: Final = 0.2
_KILL_SECONDS: Final = 10.0


class RunClaim(Command):
    """Run a command for each message of a queue, until none is free.

    Each message is claimed by itself. Its body comes on the standard input of
    the command: text as it is, anything else as JSON. The environment holds
    ZAQAR_QUEUE, ZAQAR_MESSAGE_ID and ZAQAR_CLAIM_ID. The claim is renewed for
    as long as the command runs; if it is lost, the command is stopped.

    When the command ends with status 0 the message is deleted, with 65 it goes
    to the dead letter queue, with 75 it is released and comes back after the
    delay of --retry-delay. For other statuses --on-error says what happens:
    "stop" gives the message back at once and ends with status 1.

    SIGTERM lets the commands that run finish, and ends with status 0. Ctrl-C,
    or a second SIGTERM, stops them and gives their messages back.
    """

    example = "orders --follow --concurrency 4 -- ./handle-order"
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
        flag("--follow", "Wait for further messages when none is free"),
        arg(
            "--concurrency",
            "How many commands run at once (default: 1)",
            integer(1),
            default=1,
        ),
        arg(
            "--on-error",
            "After a failure, release the message, bury it or stop the worker "
            "(default: stop; with --follow or --keep-going release)",
            choices=("release", "bury", "stop"),
        ),
        arg(
            "--retry-delay",
            "How long a released message rests, up to 15m (default: from 1s, twice as "
            "long each time, to 5m)",
            seconds,
        ),
        FAIL_IF_EMPTY,
        flag("--keep-going", 'The same as "--on-error release"'),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Work until there is nothing left to do, or a signal ends it."""
        delay = parsed_args.retry_delay
        is_lasting = parsed_args.follow or parsed_args.keep_going
        default: Action = "release" if is_lasting else "stop"
        action: Action = parsed_args.on_error or default
        work = _Work(parsed_args.command, str(parsed_args.queue_name), action)
        try:
            backoff = Backoff() if delay is None else Backoff(delay, delay)
        except ValueError:
            self.usage_error("argument --retry-delay: it must be 15m at most")
        if action == "bury":
            self.client.need("release")
        options = ConsumeOptions(
            lease=parsed_args.ttl,
            grace=parsed_args.grace,
            limit=1,
            wait=20 if parsed_args.follow else 0,
            idle_timeout=None if parsed_args.follow else 0,
            concurrency=parsed_args.concurrency,
            count=parsed_args.count,
            on_error=work.choose,
            backoff=backoff,
        )
        queue = self.queue(parsed_args.queue_name)
        consumer = Consumer(queue, options)
        with self.progress("messages") as progress, work.signals(consumer):
            work.on_handled = progress.show
            try:
                consumer.run(work.handle)
            except _Failure:
                self.exit_status = 1
            finally:
                progress.hide()
                self.hint(work.summary())
        if work.failed and not parsed_args.follow:
            self.exit_status = 1
        work.raise_signal()
        if not work.handled:
            self.nothing(parsed_args, lambda: emptiness.reason(queue))


class Consume(RunClaim):  # noqa: D101 - it has that of the other
    __doc__ = RunClaim.__doc__


class _Failure(Exception):
    """A command failed.

    Attributes:
        status: Its exit status; minus the number of the signal that ended it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the command ended with {status}")
        self.status = status


class _Work:
    """Commands at work on messages, in threads.

    Args:
        command: The program and its arguments.
        queue: The name of the queue.
        on_error: What becomes of a message after a failure.

    Attributes:
        on_handled: Called with the number of messages that were handled.
    """

    def __init__(self, command: list[str], queue: str, on_error: Action) -> None:
        self.on_handled: Any = None
        self.handled = self.failed = 0
        self._command = command
        self._queue = queue
        self._on_error = on_error
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._level = self._signal = 0

    def handle(self, message: Message) -> None:
        """Run the command for a message.

        Raises:
            _Failure: The command failed, or was stopped.
            CommandError: It could not be started.
            zaqarclient.errors.LeaseLost: The claim was lost, and the command stopped.
        """
        environment = {
            **os.environ,
            "ZAQAR_QUEUE": self._queue,
            "ZAQAR_MESSAGE_ID": message.id,
            "ZAQAR_CLAIM_ID": str(message.claim_id),
        }
        try:
            process = subprocess.Popen(  # noqa: S603 - running a command is the point
                self._command, stdin=subprocess.PIPE, env=environment
            )
        except OSError as error:
            name = self._command[0]
            raise CommandError(f"cannot run {name}: {error.strerror}") from error
        status = self._wait(process, message)
        if message.lease_lost.is_set():
            raise LeaseLost(message.id)
        with self._lock:
            self.handled += 1
            self.failed += status != 0
            if self.on_handled is not None:
                self.on_handled(self.handled)
        if status:
            raise _Failure(status)

    def _wait(self, process: subprocess.Popen[bytes], message: Message) -> int:
        """Write the input of a command, and return its exit status.

        It is stopped when the claim is lost or a signal says so, and killed if it does
        not end soon after or one more signal comes.
        """
        # JSON allows halves of characters, which UTF-8 cannot encode.
        text = body_text(message.body).encode(errors="backslashreplace")
        # It may not read all, or for a long time nothing.
        threading.Thread(target=_feed, args=(process, text), daemon=True).start()
        kill_at = float("inf")
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(_LOOK_SECONDS)
                # Who was told to end did not do the work, whatever it says.
                return status if kill_at == float("inf") else status or 1
            if time.monotonic() >= kill_at or self._level >= _KILL:
                process.kill()
            elif kill_at == float("inf") and (
                self._level >= _STOP or message.lease_lost.is_set()
            ):
                kill_at = time.monotonic() + _KILL_SECONDS
                process.terminate()

    def choose(self, message: Message, error: Exception) -> Action:
        """Return what becomes of a message after a failure, and log that."""
        if isinstance(error, CommandError) or self._level >= _STOP:
            return "stop"
        if isinstance(error, LeaseLost):
            LOG.error("%s", error)
            return self._on_error
        LOG.error("message %s: %s", message.id, error)
        status = error.status if isinstance(error, _Failure) else None
        by_status: dict[int | None, Action] = {_BURY: "bury", _RELEASE: "release"}
        return by_status.get(status, self._on_error)

    def summary(self) -> str:
        """Return what was done, in a line."""
        rate = self.handled / max(time.monotonic() - self._began, 0.001)
        how = f" ({rate:.1f}/s)" if self.handled else ""
        return f"Messages handled: {self.handled}, failed: {self.failed}{how}"

    # -- signals -------------------------------------------------------------------

    @contextlib.contextmanager
    def signals(self, consumer: Consumer) -> Iterator[None]:
        """Stop a consumer at a signal, and at further ones the commands that run."""

        def receive(number: int, _frame: object) -> None:
            self._level = max(self._level + 1, _LEVELS[number])
            self._signal = number
            # It may have come while this very thread holds locks, also those that the
            # start of a thread takes; a SimpleQueue is made for that.
            asked.put(number)

        def stop() -> None:
            while asked.get():
                consumer.stop()

        if not in_main_thread():
            yield
            return
        asked: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=stop, daemon=True).start()
        before = {number: signal.signal(number, receive) for number in _LEVELS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            asked.put(0)

    def raise_signal(self) -> None:
        """End as a program does that a signal interrupted, if one did."""
        if self._level >= _STOP:
            raise KeyboardInterrupt if self._signal == signal.SIGINT else Terminated


def _feed(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - for mypy
    with contextlib.suppress(OSError), process.stdin as stdin:
        stdin.write(text)
