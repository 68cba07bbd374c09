"""The transport of WebSocket connections, with bounds on what a peer may do.

The parser comes from ``websockets``, the protocol class from uvicorn. Received bytes
are parsed in small slices, so that many small frames of one peer do not delay the
others, and only as fast as the application takes the messages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import (
    WebSocketsSansIOProtocol,
)
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

from zaqarserver.common.budget import Account, Budget
from zaqarserver.common.peers import is_reset
from zaqarserver.common.tasks import SLICE_SECONDS
from zaqarserver.storage.subscriptions import ignore
from zaqarserver.websocket.joining import JoiningTransport

#: Seconds that a dropped peer has to read what was sent to it.
PATIENCE = 5.0
#: Seconds that a peer has to answer the close frame of a draining server.
CLOSE_SECONDS = 2.0
#: Seconds after which a draining server checks whether a peer reads.
LOOK_SECONDS = 4.0
#: Bytes that are parsed at a time.
SLICE = 4096
#: Fragments that a message may have.
MAX_FRAGMENTS = 4096
#: Pings and pongs of a peer per second.
MAX_CONTROLS = 1000
#: Bytes of an incomplete message of a peer while the budget is full.
MAX_UNFINISHED = 65536

TOO_SLOW = 1008
TOO_MANY = 1008
DRAINING = 1012
NO_ROOM = 1013
#: The key of this transport in the extensions of the ASGI scope.
TRANSPORT = "zaqar.transport"


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A bounded connection, which can be closed although its peer does not read.

    Attributes:
        budget: The memory that all connections of the process share.
        account: The memory that this one uses.
        unfinished_since: When the incomplete message began to arrive.
        on_end: Called when the connection has ended.
    """

    budget = Budget()
    account: Account
    on_end: Callable[[], None] = staticmethod(ignore)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wrap the transport in the joining one."""
        super().connection_made(transport)
        plain = self.transport
        # Writing pauses whenever the peer does not take everything at once. So there
        # is at most one answer in the transport, and its size is known.
        plain.set_write_buffer_limits(0)
        self.account = self.budget.account(self.unsent, self._drop_slow)
        self.transport = JoiningTransport(plain, self.loop)  # type: ignore[assignment]  # a wrapper
        self.close_timeout = CLOSE_SECONDS
        self.unfinished_since: float | None = None
        self._arrived = bytearray()
        self._partial = 0
        self._received = 0
        self._controls = 0
        self._controls_since = 0.0
        self._parsing: asyncio.Handle | None = None

    def handle_connect(self, event: Request) -> None:
        """Pass this transport to the application in the scope."""
        super().handle_connect(event)
        scope: Any = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][TRANSPORT] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the memory of the connection."""
        super().connection_lost(exc)
        self.on_end()
        self._forget()
        self._count()
        self.account.close()

    # -- receiving ------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, a slice at a time."""
        self._arrived += data
        if self._parsing is None:
            self._parse()

    def _parse(self) -> None:
        """Parse until there is a message for the application, or time is up."""
        self._parsing = None
        until = time.perf_counter() + SLICE_SECONDS
        while self._arrived and not self._is_busy() and not self.transport.is_closing():
            if time.perf_counter() > until:
                self._parsing = self.loop.call_soon(self._parse)
                break
            piece = bytes(self._arrived[:SLICE])
            del self._arrived[:SLICE]
            super().data_received(piece)
        if self.transport.is_closing():
            self._forget()
        self._count()
        self._pause_reading()

    def _is_busy(self) -> bool:
        """Return True if a message waits for the application of an open connection."""
        return not self.queue.empty() and not self.close_sent

    def _pause_reading(self) -> None:
        """Pause reading while more has arrived than is parsed and taken."""
        if self._arrived or self._is_busy():
            self.unfinished_since = None
            if self._arrived and not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()
            return
        if self._received == 0:
            self.unfinished_since = None
        elif self.unfinished_since is None:
            self.unfinished_since = time.monotonic()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message; continue to parse if it is the last one."""
        message = await self.queue.get()
        if self.queue.empty() and not self.disconnected:
            self._go_on()
        return message

    def _go_on(self) -> None:
        if self._arrived and self._parsing is None:
            self._parsing = self.loop.call_soon(self._parse)
        else:
            self._pause_reading()

    def _count(self) -> None:
        """Count the received bytes that are not a complete message yet."""
        received = len(self._arrived) + len(self.conn.reader.buffer) + self._partial
        self.account.keep(received - self._received)
        self._received = received
        if self.budget.is_full and received > MAX_UNFINISHED:
            self.drop(NO_ROOM, "The server is out of memory for connections.")

    def _forget(self) -> None:
        """Discard received bytes that are not parsed."""
        self._arrived.clear()
        self.conn.reader.discard()
        self.frames = []
        self._partial = 0

    def handle_text(self, event: Frame) -> None:
        """Begin a message, or take a complete one."""
        self._partial = 0 if event.fin else len(event.data)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Begin a message, or take a complete one."""
        self._partial = 0 if event.fin else len(event.data)
        super().handle_bytes(event)

    def send_receive_event_to_app(self) -> None:
        """Queue a message, without a pause: reading pauses when more arrives."""
        paused, self.read_paused = self.read_paused, True
        super().send_receive_event_to_app()
        self.read_paused = paused

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment, unless the message has too many."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.drop(TOO_MANY, f"A message has at most {MAX_FRAGMENTS} fragments.")
            return
        self._partial = 0 if event.fin else self._partial + len(event.data)
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer, unless the peer does not read its answers."""
        if self._admits_control():
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.conn.data_to_send()

    def handle_pong(self, event: Frame) -> None:
        """Take the answer to a ping."""
        if self._admits_control():
            super().handle_pong(event)

    def _admits_control(self) -> bool:
        """Count a control frame; drop a peer that sends too many."""
        now = time.monotonic()
        if now - self._controls_since > 1.0:
            self._controls_since = now
            self._controls = 0
        self._controls += 1
        if self._controls > MAX_CONTROLS and not self.close_sent:
            self.drop(TOO_MANY, f"More than {MAX_CONTROLS} pings in a second.")
        return not self.close_sent

    # -- sending --------------------------------------------------------------

    def unsent(self) -> int:
        """Return the number of bytes that the peer has not taken."""
        return int(self.transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        """Count the bytes that the peer does not read."""
        super().pause_writing()
        self.account.measure()

    def resume_writing(self) -> None:
        """Stop counting: the peer has read everything."""
        super().resume_writing()
        self.account.measure()

    def is_closed(self) -> bool:
        """True if nothing can be sent any more."""
        return self.close_sent or self.disconnected or self.transport.is_closing()

    async def ready(self) -> None:
        """Wait until the peer has taken everything sent so far."""
        while not self.writable.is_set():
            await self.writable.wait()

    async def send(self, message: ASGISendEvent) -> None:
        """Accept or close the connection."""
        await self.ready()
        await super().send(message)
        self._go_on()

    def send_frame(self, data: bytes, *, binary: bool, proven: bool = False) -> None:
        """Send one message; call it when the connection is :meth:`ready`.

        Args:
            data: The message; UTF-8 unless it is binary.
            binary: The type of its frame.
            proven: True to fail if the system knows that the peer does not read it.

        Raises:
            ConnectionError: The connection is closed.
        """
        if self.is_closed():
            raise ConnectionError("the connection is closed")
        if proven:
            self._check_peer()
        try:
            (self.conn.send_binary if binary else self.conn.send_text)(data)
        except InvalidState:
            raise ConnectionError("the connection is closed") from None
        self.transport.write(b"".join(self.conn.data_to_send()))
        if proven:
            self._check_peer()  # a peer that had closed resets the connection now

    def is_gone(self) -> bool:
        """Return True if the system knows that the peer does not read."""
        return self.is_closed() or is_reset(self.transport.get_extra_info("socket"))

    def _check_peer(self) -> None:
        if is_reset(self.transport.get_extra_info("socket")):
            self.transport.abort()
            raise ConnectionError("the peer disconnected")

    def join(self, joins: bool) -> None:
        """Send the answers of one turn of the loop together, or each at once."""
        self.transport.joins = joins  # type: ignore[attr-defined]

    # -- ending ---------------------------------------------------------------

    def shutdown(self) -> None:
        """Close after all received requests are answered, because the server drains."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": DRAINING})
        self.loop.call_later(LOOK_SECONDS, self._wait_for_reader)

    def _wait_for_reader(self) -> None:
        """While the server drains, abort the connection if its peer does not read."""
        if self.disconnected:
            return
        if self.account.is_unread_since(time.monotonic() - LOOK_SECONDS):
            self.transport.abort()
        else:
            self.loop.call_later(LOOK_SECONDS, self._wait_for_reader)

    def _drop_slow(self) -> None:
        """Drop a peer that does not read, at once if others need the memory."""
        if self.budget.is_full:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.drop(TOO_SLOW, "The peer does not read its answers.")

    def drop(self, code: int, reason: str) -> None:
        """Close with a code; abort if the peer does not read within ``PATIENCE``."""
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


def bounded_websocket(budget: Budget) -> type[BoundedWebSocket]:
    """Return the protocol with the budget that its connections share."""
    return type("BoundedWebSocket", (BoundedWebSocket,), {"budget": budget})


def drop_unfinished(connections: set[Any], older_than: float) -> int:
    """Drop peers whose message is incomplete for too long.

    Args:
        connections: The server's connections.
        older_than: Seconds that a message may take to arrive.

    Returns:
        The number of dropped peers.
    """
    oldest = time.monotonic() - older_than
    slow = [
        one
        for one in connections
        if isinstance(one, BoundedWebSocket)
        and one.unfinished_since is not None
        and one.unfinished_since < oldest
        and not one.close_sent
    ]
    for connection in slow:
        connection.drop(TOO_SLOW, "The message did not arrive in time.")
    return len(slow)
