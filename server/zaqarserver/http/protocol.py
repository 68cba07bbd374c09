"""HTTP/1.1 with bounds on what a peer may send before it is served.

The parser itself is uvicorn's; this adds a limit on the size of the request
line and headers, a time limit on a request's arrival, and JSON in the answer
to what is not HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zaqarserver.log import new_request_id

MAX_HEAD = 65536  # bytes of request line and headers
#: Seconds that an idle connection has for one more request while the server drains.
LINGER = 0.5

_REASONS = {
    400: ("400 Bad Request", "Invalid HTTP request"),
    431: (
        "431 Request Header Fields Too Large",
        f"The request line and headers may have {MAX_HEAD} bytes.",
    ),
    503: ("503 Service Unavailable", "There are too many connections now."),
}

_MORE = {503: "Retry-After: 1\r\n"}
_VERSIONS = ("1.0", "1.1")


class _Corked:
    """A transport that sends an answer's head and body in one piece.

    The head waits for what follows it, and at the latest for the end of the
    answer: one system call and one packet instead of two.

    Attributes:
        plain: The transport itself.
        ended: Whether nothing more is sent: the peer is only heard out.
    """

    __slots__ = ("_head", "_sends_on", "ended", "plain")

    def __init__(
        self, transport: asyncio.Transport, sends_on: Callable[[], bool]
    ) -> None:
        self.plain = transport
        self.ended = False
        self._sends_on = sends_on
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send, or keep, a part of an answer."""
        if self.ended:
            return
        if self._head:
            data = self._head + data
            self._head = b""
        elif data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        self.plain.write(data)

    def flush(self) -> None:
        """Send what was kept."""
        if self._head:
            head, self._head = self._head, b""
            self.plain.write(head)

    def close(self) -> None:
        """Send what was kept, then close.

        A peer that was answered while it still sends its body is heard out first:
        what it sends to a closed connection would cost it the answer.
        """
        self.flush()
        if self.is_closing() or not self._sends_on():
            self.plain.close()
        else:
            self.ended = True
            self.plain.write_eof()

    def is_closing(self) -> bool:
        """Whether no more answers can be sent."""
        return self.ended or self.plain.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    #: How many connections may be open, WebSockets included; 0 is any number.
    max_connections = 0

    _in_head = True
    _head_bytes = 0
    _one_too_many = False
    _draining = False
    #: Whether the peer owes us the rest of a request, or its first one.
    is_receiving = True
    #: When the request under way, or the connection, began.
    began = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock of a peer that may stay silent."""
        self.began = time.monotonic()
        super().connection_made(transport)
        most = self.max_connections
        self._one_too_many = 0 < most < len(self.connections)
        corked = _Corked(transport, self._sends_on)
        self.transport = corked  # type: ignore[assignment]  # a stand-in

    def _sends_on(self) -> bool:
        """Whether the peer was answered before it had sent its request."""
        cycle = self.cycle
        return self.is_receiving and cycle is not None and cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Parse what came in, unless it is one connection or byte too many."""
        if self._one_too_many:
            self._refuse(503)
            return
        if not self.is_receiving:
            # Also before the first byte of a head: line ends may come without end.
            self.is_receiving = True
            self.began = time.monotonic()
        if self._in_head:
            self._head_bytes += len(data)
            # A body may share a packet with its head: what follows the head
            # is bounded by the packet's size, so allow that much.
            if self._head_bytes > MAX_HEAD and self._head_too_large(data):
                self._refuse(431)
                return
        super().data_received(data)

    def _head_too_large(self, data: bytes) -> bool:
        end = data.find(b"\r\n\r\n")
        return end < 0 or self._head_bytes - len(data) + end > MAX_HEAD

    def on_message_begin(self) -> None:
        """Start the clock of a request."""
        self.began = time.monotonic()
        self.is_receiving = True
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Leave the head behind.

        Raises:
            ValueError: It is of another version of HTTP; the parser refuses it then.
        """
        if self.parser.get_http_version() not in _VERSIONS:
            raise ValueError("neither HTTP/1.1 nor HTTP/1.0")
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()
        if self._draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection with its next answer, or soon if no request comes.

        A client that is about to send its next request on an idle connection would
        see it broken; so it gets an answer with ``Connection: close`` instead.
        """
        self._draining = True
        if self.cycle is None or not self.cycle.response_complete:
            super().shutdown()
        else:
            self.loop.call_later(LINGER, super().shutdown)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_head = True
        self.is_receiving = False
        super().on_message_complete()
        if self.transport.ended:  # type: ignore[attr-defined]
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over as it was: frames are not answers."""
        self.transport = self.transport.plain  # type: ignore[attr-defined]
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Send an answer that has a head only."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()
        if self.transport.ended:  # type: ignore[attr-defined]
            self.flow.resume_reading()

    def drop(self) -> None:
        """Close now, whatever the peer still sends."""
        self.transport.plain.close()  # type: ignore[attr-defined]

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, in JSON."""
        del msg
        self._refuse(400)

    def _refuse(self, status: int) -> None:
        reason, description = _REASONS[status]
        body = f'{{"title": "{reason[4:]}", "description": "{description}"}}'
        head = (
            f"HTTP/1.1 {reason}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nVary: Accept\r\nConnection: close\r\n"
            f"X-OpenStack-Request-ID: {new_request_id()}\r\n"
            f"{_MORE.get(status, '')}\r\n"
        )
        self.transport.write((head + body).encode())
        self.transport.close()


def bounded_http(most: int) -> type[BoundedHttp]:
    """Return the protocol with a bound on the connections."""
    return type("BoundedHttp", (BoundedHttp,), {"max_connections": most})


def close_slow(connections: set[Any], older_than: float) -> int:
    """Close connections whose request has been arriving for too long.

    Args:
        connections: The server's connections.
        older_than: Seconds that a request may take to arrive.

    Returns:
        How many were closed.
    """
    oldest = time.monotonic() - older_than
    slow = [
        connection
        for connection in connections
        if isinstance(connection, BoundedHttp)
        and connection.is_receiving
        and connection.began < oldest
    ]
    for connection in slow:
        connection.drop()
    return len(slow)
