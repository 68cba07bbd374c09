"""A command that is run as if nobody stood between: its streams, signals and status."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import signal
import subprocess
from collections.abc import Iterator
from typing import IO, Any, Final

from zaqarclient.queues.v2.cli.base import LOG

#: What is passed on to the command.
_SIGNALS: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)

#: What a terminal sends to all programs in its foreground, the command too.
_OF_TERMINALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT})

#: The statuses of shells for a command that cannot be run, and one that is missing.
_NOT_RUNNABLE, _MISSING = 126, 127

#: How much of the output is kept, in bytes: as JSON it still fits a message.
_KEPT_BYTES: Final = 32 * 1024

_CHUNK: Final = 65536

#: How long to wait for output of what a command left behind when it ended, in seconds.
_GRACE: Final = 1.0

_OUT, _ERR = 1, 2


class Child:
    """A command with the input and the signals of this process.

    Its output is untouched. Without lines to keep it has that of this process itself,
    so that it sees a terminal where there is one; else it goes through a pipe.

    Args:
        command: The program and its arguments.
        lines: How many of the last lines of its output to keep, at most 32 KiB; 0 for
            none.
        stdin: What it reads.
    """

    def __init__(self, command: list[str], lines: int, stdin: IO[Any] | None) -> None:
        self._command = command
        self._lines = lines
        self._stdin = stdin
        self._kept = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    @property
    def tail(self) -> str | None:
        """The last lines of the output, what is no UTF-8 replaced; None if not kept."""
        if not self._lines:
            return None
        lines = self._kept.removesuffix(b"\n").split(b"\n")[-self._lines :]
        return b"\n".join(lines).decode(errors="replace")

    def run(self) -> int:
        """Run the command to its end.

        Returns:
            Its exit status, 128 and the number of the signal that ended it, or 126 or
            127 if it could not be started, which is logged.
        """
        with self._signals():
            try:
                process = self._start()
            except OSError as error:
                LOG.error("cannot run %s: %s", self._command[0], error.strerror)
                return _MISSING if error.errno == errno.ENOENT else _NOT_RUNNABLE
            with process:
                self._copy(process)
            status = process.returncode
        return status if status >= 0 else 128 - status

    def _start(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE if self._lines else None
        merged = self._lines and _same_output()
        process = subprocess.Popen(  # noqa: S603 - running a command is the point
            self._command,
            stdin=self._stdin,
            stdout=pipe,
            stderr=subprocess.STDOUT if merged else pipe,
            bufsize=0,
        )
        self._process = process
        for number in self._early:
            process.send_signal(number)
        return process

    def _copy(self, process: subprocess.Popen[bytes]) -> None:
        """Pass the output through, as it comes, until it ends."""
        with selectors.DefaultSelector() as selector:
            for stream, target in ((process.stdout, _OUT), (process.stderr, _ERR)):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, target)
            while selector.get_map():
                ready = selector.select(_GRACE)
                if not ready and process.poll() is not None:
                    return  # what it left behind in the background has the pipe
                for key, _ in ready:
                    data = os.read(key.fd, _CHUNK)
                    self._kept = (self._kept + data)[-_KEPT_BYTES:]
                    if not data or not _write(key.data, data):
                        selector.unregister(key.fileobj)
                        # If the reader went away, the command is to notice.
                        key.fileobj.close()  # type: ignore[union-attr]  # a stream

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Pass signals on; those that this process ignores, the command ignores too."""

        def receive(number: int, _frame: object) -> None:
            if number in _OF_TERMINALS and _is_in_foreground():
                return
            if self._process is None:
                self._early.append(number)
            else:
                self._process.send_signal(number)

        before = {
            number: signal.signal(number, receive)
            for number in _SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _same_output() -> bool:
    """Return True if both outputs go to one place, where their order matters."""
    try:
        return os.path.sameopenfile(_OUT, _ERR)
    except OSError:
        return False


def _is_in_foreground() -> bool:
    """Return True if a terminal sends its signals to this process."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _write(target: int, data: bytes) -> bool:
    """Write all of the data; return False if nobody reads it any more."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(target, left) :]
        except BlockingIOError:
            select.select([], [target], [])
        except OSError:
            return False
    return True
