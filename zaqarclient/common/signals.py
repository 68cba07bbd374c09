"""SIGTERM as an exception, so that a program cleans up as after Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final


class Terminated(KeyboardInterrupt):
    """SIGTERM ended the work; what handles Ctrl-C handles it too."""

    #: The exit status of a program that it ends.
    status: Final = 128 + signal.SIGTERM


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise `Terminated` where SIGTERM comes, unless the program handles it itself.

    Python delivers signals to the main thread; in another one nothing changes.
    """
    if not _in_main() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def _raise(*_: Any) -> None:
    raise Terminated
