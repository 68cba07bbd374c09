"""Hearing of new messages over WebSocket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from zaqarclient.queues.v2.cli.tail import MOST_PAUSE_WITH_PUSH
from zaqarclient.transport import scheme_of
from zaqarclient.transport.errors import NetworkError

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.source import Source

#: How soon a connection that was opened again is noticed, in seconds: what was
#: posted in between was not pushed.
_NOTICE: Final = 1.0


class PushPause:
    """A pause that ends when the service pushes something of a queue or topic.

    What is pushed has no id, so it serves as a bell only. Leaving the context
    ends the subscription.

    Args:
        source: The queue or topic, of a client of an endpoint of WebSocket.

    Raises:
        zaqarclient.errors.ZaqarError: The service does not let this
            connection subscribe.
    """

    most = MOST_PAUSE_WITH_PUSH

    def __init__(self, source: Source) -> None:
        self._reconnected = False
        self._listener = source.listen(on_reconnect=self._on_reconnect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @staticmethod
    def serves(client: Client) -> bool:
        """Return whether the service of a client can push."""
        return scheme_of(client.api_url) in {"ws", "wss"}

    def wait(self, seconds: float) -> bool:
        """Wait so long; return early, and True, if messages may have come."""
        ends = time.monotonic() + seconds
        while not self._reconnected:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            try:
                rung = self._listener.get(min(left, _NOTICE)) is not None
            except NetworkError:
                time.sleep(max(0.0, ends - time.monotonic()))
                return False
            if rung:
                # One look finds all that was pushed up to now.
                while self._listener.get(0) is not None:
                    pass
                return True
        self._reconnected = False
        return True

    def _on_reconnect(self) -> None:
        self._reconnected = True
