"""A connection that is read only while somebody waits for it.

That is how connections are used that are not this package's own: whoever
overrides `WebsocketTransport._create_connection` or `recv` (contract, SDK
section 21) gets one frame out and then frames in, up to the answer.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.transport.channel import Frame


class Turns:
    """Asks over a connection one frame at a time, from one thread.

    Args:
        connection: Has ``send(text)``, ``recv()`` for a text, and ``close()``.
        receive: Returns the next frame, decoded.
    """

    is_open = True

    def __init__(self, connection: Any, receive: Callable[[], Any]) -> None:
        self._connection = connection
        self._receive = receive
        self._notifications: deque[Any] = deque()

    def ask(
        self,
        frame: Frame,
        timeout: float,  # noqa: ARG002 - the connection has its own
    ) -> Frame:
        """Send a frame and return its answer: the next frame with headers."""
        self._connection.send(json.dumps(frame))
        before: list[Any] = []
        while "headers" not in (received := self._receive()):
            before.append(received)
        self._notifications.extend(before)
        answer: Frame = received
        return answer

    def notification(
        self,
        timeout: float | None,  # noqa: ARG002 - the connection has its own
    ) -> Any:
        """Return the next frame, first those that came before an answer."""
        if self._notifications:
            return self._notifications.popleft()
        return json.loads(self._connection.recv())

    def close(self) -> None:
        """Close the connection."""
        self.is_open = False
        self._connection.close()

    def forget(self) -> None:
        """Leave the connection to the process that opened it."""
