"""Logs, as text or JSON lines, with the request id on each line."""

from __future__ import annotations

import contextvars
import itertools
import logging
import os
import random
import select
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

request_id_var: contextvars.ContextVar[str] = contextvars.ContextVar(
    "request_id", default="-"
)

STDERR: Final = 2
#: Milliseconds that one line waits for a reader of stderr that hangs.
_PATIENCE: Final = 100
#: Lines per second from one place in the code.
MOST_ALIKE = 50

#: What the request ids of this process begin with; a number follows.
_PROCESS = "req-{:08x}-{:04x}-{:04x}-{:04x}-".format(
    *map(random.getrandbits, (32, 16, 16, 16))
)
_numbers = itertools.count(random.getrandbits(47))

_TEXT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def new_request_id() -> str:
    """Return a request id as OpenStack services write it."""
    return f"{_PROCESS}{next(_numbers):012x}"


class _RequestId(logging.Filter):
    """Adds the request id of the running task to a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; return True."""
        record.request_id = request_id_var.get()
        return True


class RepetitionFilter(logging.Filter):
    """Drops repeated lines above a rate, so that a peer cannot fill the disk.

    Args:
        most: Lines per second from one place in the code.
        clock: Returns seconds.
    """

    def __init__(
        self, most: int = MOST_ALIKE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most = most
        self._clock = clock
        self._second = -1
        self._seen: Counter[tuple[str, int]] = Counter()
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False above the rate; the next line reports the number dropped."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._seen.clear()
        kind = record.pathname, record.lineno
        self._seen[kind] += 1
        if self._seen[kind] > self._most:
            self._left_out += 1
            return False
        if self._left_out:
            text = f"{record.getMessage()} ({self._left_out} lines before left out)"
            record.msg, record.args = text, None
            self._left_out = 0
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON text."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


class StderrHandler(logging.Handler):
    """Writes to stderr, and drops lines that cannot be written.

    If the disk is full, or the reader has ended or hangs, the server continues. The
    next line that can be written reports the number of dropped ones.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lost = 0
        self._stderr = select.poll()
        self._stderr.register(STDERR, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            lines = [self.format(record)]
            if self._lost:
                text = f"{self._lost} lines of the log could not be written"
                loss = {"levelname": "WARNING", "msg": text, "name": __name__}
                loss["request_id"] = "-"
                lines.insert(0, self.format(logging.makeLogRecord(loss)))
        except Exception:  # noqa: BLE001 - a record can hold anything
            self.handleError(record)
            return
        text = "".join(f"{line}\n" for line in lines)
        written = self._write(text.encode(errors="backslashreplace"))
        self._lost = 0 if written else self._lost + 1

    def _write(self, data: bytes) -> bool:
        """Write all data, or return False; wait only before the first dropped line."""
        patience = 0 if self._lost else _PATIENCE
        try:
            while data:
                if not self._stderr.poll(patience):
                    return False
                # PIPE_BUF bytes never block on a pipe that is ready for writing.
                data = data[os.write(STDERR, data[: select.PIPE_BUF]) :]
        except OSError:
            return False
        return True


def open_streams() -> None:
    """Open /dev/null in place of a closed stdin, stdout or stderr.

    Otherwise the next file or socket gets its number, and receives everything that is
    written to stderr.
    """
    for number in range(STDERR + 1):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def set_level(*, debug: bool) -> None:
    """Set the level of the log: DEBUG or INFO."""
    logging.getLogger().setLevel(logging.DEBUG if debug else logging.INFO)


def set_up(*, as_json: bool, debug: bool) -> None:
    """Send all logs to stderr.

    Args:
        as_json: JSON lines instead of text.
        debug: True for the level DEBUG.
    """
    handler = StderrHandler()
    handler.addFilter(RepetitionFilter())
    handler.addFilter(_RequestId())
    if as_json:
        handler.setFormatter(JsonFormatter())
    else:
        formatter = logging.Formatter(_TEXT)
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(debug=debug)
    # The server logs its start and end itself.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
