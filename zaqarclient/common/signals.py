"""SIGTERM as an exception, so that a program cleans up as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

#: Python runs the handler of a signal only between two steps of the main thread: one
#: that comes just before a wait is seen after it.
_MOST_WAIT: Final = 0.5


class Terminated(KeyboardInterrupt):
    """SIGTERM ended the work; what handles Ctrl-C handles it too."""

    #: The exit status of a program that it ends.
    status: Final = 128 + signal.SIGTERM


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM comes, unless the program handles it itself.

    Python delivers signals to the main thread; in another one nothing changes.
    """
    if not in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def most_wait() -> float:
    """Return how many seconds this thread may wait at once, to see signals."""
    return _MOST_WAIT if in_main_thread() else threading.TIMEOUT_MAX


def in_main_thread() -> bool:
    """Return whether this is the thread in which handlers of signals run."""
    return threading.current_thread() is threading.main_thread()


def _raise(*_: Any) -> None:
    raise Terminated
