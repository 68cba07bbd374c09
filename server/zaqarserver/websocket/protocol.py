"""One WebSocket connection on the wire, with a way to be rid of it."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from zaqarserver.budget import Account, Budget

#: Seconds that a dropped peer gets to read what was sent to it.
PATIENCE = 5.0
#: The close code of peers that do not read.
TOO_SLOW = 1008
#: The member of the scope's extensions that drops the connection.
DROP = "zaqar.drop"
#: The member that says whether answers are to be sent together.
JOIN = "zaqar.join"


class _Joining:
    """A transport that can send what one turn of the loop writes in one piece.

    Worth it while several answers are on their way: one system call for all of
    them. A lone answer goes out at once.
    """

    __slots__ = ("_loop", "_parts", "joins", "plain")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.plain = transport
        self.joins = False
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send, or keep for the end of this turn."""
        if self._parts:
            self._parts.append(data)
        elif self.joins:
            self._parts.append(data)
            self._loop.call_soon(self.flush)
        else:
            self.plain.write(data)

    def flush(self) -> None:
        """Send what was kept."""
        if self._parts:
            parts, self._parts = self._parts, []
            self.plain.write(b"".join(parts))

    def close(self) -> None:
        """Send what was kept, then close."""
        self.flush()
        self.plain.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class DroppableWebSocket(WebSocketsSansIOProtocol):
    """A connection that can be closed although its peer does not read."""

    budget = Budget()
    account: Account

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the joining transport in the place of the plain one."""
        super().connection_made(transport)
        plain = self.transport
        # Paused whenever the peer does not take all at once: so it is known how much
        # waits, and there is at most one answer in the transport.
        plain.set_write_buffer_limits(0)
        self.account = self.budget.account(plain.get_write_buffer_size, self._drop_slow)
        joining = _Joining(plain, self.loop)
        self.transport = joining  # type: ignore[assignment]  # a stand-in

    def _drop_slow(self) -> None:
        """Be rid of a peer that does not read, at once if others need its room."""
        if self.budget.is_full:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.drop(TOO_SLOW, "The peer does not read its answers.")

    def pause_writing(self) -> None:
        """Count what the peer does not read."""
        super().pause_writing()
        self.account.measure()

    def resume_writing(self) -> None:
        """Count nothing more: the peer has read all."""
        super().resume_writing()
        self.account.measure()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what the connection kept."""
        super().connection_lost(exc)
        self.account.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send when the peer has taken what was sent before; in turn."""
        while not self.writable.is_set():
            await self.writable.wait()
        await super().send(message)

    def handle_connect(self, event: Request) -> None:
        """Give the application the means to steer the connection."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][DROP] = self.drop
            scope["extensions"][JOIN] = self.join

    def join(self, joins: bool) -> None:
        """Send the answers of one turn of the loop together, or each at once."""
        self.transport.joins = joins  # type: ignore[attr-defined]

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


def bounded_websocket(budget: Budget) -> type[DroppableWebSocket]:
    """Return the protocol with the budget that its connections share."""
    return type("BoundedWebSocket", (DroppableWebSocket,), {"budget": budget})
