"""A connection's place among the WebSockets of a project (``[quota] sockets``)."""

from __future__ import annotations

from collections.abc import Callable

from zaqarserver.errors import QuotaExceeded
from zaqarserver.operations.limits import Quotas


class Seat:
    """Counts a connection for one project at a time.

    That is the project that it authenticated for; without authentication, the one
    that its first frame was let in for.

    Attributes:
        is_refused: Whether the project has no place for it.

    Args:
        quotas: Where it is counted.
        clock: Seconds since the epoch.
    """

    def __init__(self, quotas: Quotas, clock: Callable[[], float]) -> None:
        self.is_refused = False
        self._quotas = quotas
        self._clock = clock
        self._project: str | None = None

    def take(self, project: str) -> None:
        """Count the connection, unless it is counted already.

        Raises:
            QuotaExceeded: The project has as many as it may have.
        """
        if self._project is not None:
            return
        try:
            self._quotas.open_socket(project, self._clock())
        except QuotaExceeded:
            self.is_refused = True
            raise
        self._project = project

    def change(self, project: str) -> None:
        """Count the connection for this project, and no other.

        Raises:
            QuotaExceeded: The project has as many as it may have.
        """
        if project != self._project:
            self.leave()
            self.take(project)

    def leave(self) -> None:
        """Count the connection no longer."""
        if self._project is not None:
            self._quotas.close_socket(self._project)
            self._project = None
