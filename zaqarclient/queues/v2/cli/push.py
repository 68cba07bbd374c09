"""Hearing of new messages over WebSocket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.queues.v2 import operations
from zaqarclient.queues.v2.cli.tail import MOST_PAUSE_WITH_PUSH
from zaqarclient.transport import scheme_of
from zaqarclient.transport.errors import NetworkError, TimedOut

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client

#: How soon a connection that was opened again is noticed, in seconds: what was
#: posted in between was not pushed.
_NOTICE: Final = 1.0


class PushPause:
    """A pause that ends when the service pushes something of a queue.

    What is pushed has no id, so it serves as a bell only.

    Args:
        client: A client of an endpoint of WebSocket.
        queue_name: The queue.

    Raises:
        zaqarclient.errors.ZaqarError: The service does not let this
            connection subscribe.
    """

    most = MOST_PAUSE_WITH_PUSH

    def __init__(self, client: Client, queue_name: str) -> None:
        # Any: of the transports only that of WebSocket has what is used here.
        transport: Any = client.transport()
        self._transport = transport
        transport.on_reconnect = self._on_reconnect
        self._reconnected = False
        # Without a subscriber it is this connection that subscribes.
        client._run(operations.subscription_create(queue_name, {}))  # noqa: SLF001 - the SDK's subscriptions have a subscriber

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
                self._transport.recv(min(left, _NOTICE))
            except TimedOut:
                continue
            except NetworkError:
                time.sleep(max(0.0, ends - time.monotonic()))
                return False
            self._silence()
            return True
        self._reconnected = False
        return True

    def _silence(self) -> None:
        """Take what else was pushed: one look finds all of it."""
        try:
            while True:
                self._transport.recv(0)
        except NetworkError:
            return

    def _on_reconnect(self) -> None:
        self._reconnected = True
