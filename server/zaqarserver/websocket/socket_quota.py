"""The quota of WebSocket connections of a project (``[quota] sockets``)."""

from __future__ import annotations

from collections.abc import Callable

from zaqarserver.errors import QuotaExceeded
from zaqarserver.operations.limits import Quotas


class SocketQuota:
    """Counts a connection for one project at a time.

    The project is the one that it authenticated for; without authentication, the one
    of its first authorized frame.

    Attributes:
        is_refused: True if the quota refused it.

    Args:
        quotas: The quotas of projects.
        clock: Returns the time, seconds since the epoch.
    """

    def __init__(self, quotas: Quotas, clock: Callable[[], float]) -> None:
        self.is_refused = False
        self._quotas = quotas
        self._clock = clock
        self._project: str | None = None

    def take(self, project: str) -> None:
        """Count the connection, unless it is counted already.

        Raises:
            QuotaExceeded: The project has reached its quota.
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
        """Count the connection for this project only.

        Raises:
            QuotaExceeded: The project has reached its quota.
        """
        if project != self._project:
            self.leave()
            self.take(project)

    def leave(self) -> None:
        """Stop counting the connection."""
        if self._project is not None:
            self._quotas.close_socket(self._project)
            self._project = None
