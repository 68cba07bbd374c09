"""One WebSocket connection on the wire, with a way to be rid of it."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.exceptions import InvalidState
from websockets.http11 import Request

#: Seconds that a dropped peer gets to read what was sent to it.
PATIENCE = 5.0
#: The member of the scope's extensions that drops the connection.
DROP = "zaqar.drop"


class DroppableWebSocket(WebSocketsSansIOProtocol):
    """A connection that can be closed although its peer does not read."""

    def handle_connect(self, event: Request) -> None:
        """Give the application the means to drop the connection."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][DROP] = self.drop

    def drop(self, code: int, reason: str) -> None:
        """Close now: with a code if the peer reads on, by force if it does not."""
        if not self.close_sent and not self.disconnected:
            try:
                self.conn.send_close(code, reason)
            except InvalidState:
                pass
            else:
                self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        self.transport.close()
        self.loop.call_later(PATIENCE, self.transport.abort)
