"""Ending a wait for messages from another thread."""

from __future__ import annotations

import contextlib
import contextvars
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupt:
    """Ends the waits of one call, or of one thread.

    It ends the sending side of the connection on which a request waits. The service
    answers that at once: with nothing, or with what it had taken just before, which so
    can be given back.

    Attributes:
        is_set: Whether waits are ended.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._lock = threading.Lock()
        self._waits = False
        self._socket: socket.socket | None = None

    def set(self) -> None:
        """End the wait, and all that follow."""
        with self._lock:
            self.is_set = True
            self._end_sending()

    @contextlib.contextmanager
    def using(self) -> Iterator[None]:
        """Make it the interrupt of this context."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Mark requests as ones that wait: others are not ended."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    @contextlib.contextmanager
    def watching(self, connected: socket.socket | None) -> Iterator[None]:
        """End what waits on a connection, while its answer is read."""
        with self._lock:
            self._socket = connected if self._waits else None
            if self.is_set:
                self._end_sending()
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def _end_sending(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError, TypeError):
                # The method of a TLS socket would also end its reading.
                socket.socket.shutdown(self._socket, socket.SHUT_WR)


_current: contextvars.ContextVar[Interrupt | None] = contextvars.ContextVar(
    "interrupt", default=None
)


def current() -> Interrupt:
    """Return the interrupt of this context, or one that nobody sets."""
    return _current.get() or Interrupt()
