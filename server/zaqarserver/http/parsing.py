"""From bytes to requests, one at a time: the parser of a connection."""

from __future__ import annotations

from typing import Protocol

import httptools
import msgspec

from zaqarserver.http.handshake import check_handshake, wants_websocket
from zaqarserver.http.heads import Head
from zaqarserver.http.inbox import Inbox
from zaqarserver.http.refusals import Refusal

MAX_HEAD = 65536  # bytes of request line and headers


class Requests(Protocol):
    """What becomes of that which the parser finds."""

    def on_head(self, head: Head, *, keep_alive: bool) -> int:
        """Begin a request; return the bytes of its body if they are known."""

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""

    def on_end(self) -> None:
        """Know that the request is whole."""

    def on_websocket(self, head: Head, rest: bytes) -> None:
        """Hand over to the protocol that begins behind a proper handshake."""


class RequestParser:
    """Finds requests in what a peer sends, and stops behind each of them.

    Args:
        requests: Where they go.

    Attributes:
        inbox: What was not parsed yet.
    """

    def __init__(self, requests: Requests) -> None:
        self.inbox = Inbox()
        self._requests = requests
        self._parser = httptools.HttpRequestParser(self)
        self._is_in_body = False
        self._upgrades = False
        self._head_bytes = self._body_left = 0

    def step(self) -> None:
        """Parse the next piece.

        Raises:
            Refusal: It is no HTTP, or not as it is served here.
        """
        try:
            if self._feed(self._piece()):
                self._upgrade()
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, Refusal):
                raise cause from None
            raise Refusal(400, "This is no HTTP request.") from None
        if not self._is_in_body and self._head_bytes >= MAX_HEAD:
            raise Refusal(
                431, f"The request line and headers may have {MAX_HEAD} bytes."
            )

    def close(self) -> None:
        """Let go of the connection, so that both are freed at once."""
        self.inbox.clear()
        del self._parser, self._requests

    def _piece(self) -> bytes:
        if self._body_left:
            return self.inbox.take(self._body_left)
        if self._is_in_body:
            return self.inbox.take_line(len(self.inbox))
        piece = self.inbox.take_line(MAX_HEAD - self._head_bytes)
        self._head_bytes += len(piece)
        return piece

    def _feed(self, piece: bytes) -> bool:
        """Parse bytes; return whether their head asks for another protocol."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            return True
        return False

    def _upgrade(self) -> None:
        """Hand over to WebSocket; do without any other protocol (RFC 9110 7.8)."""
        head = self._head
        if head.method == b"CONNECT":
            raise Refusal(405, "This is no proxy.", "Allow: GET, OPTIONS\r\n")
        if wants_websocket(head):
            check_handshake(head)
            self._requests.on_websocket(head, self.inbox.take(len(self.inbox)))
            return
        # The parser takes what follows such a head for the other protocol. Without
        # the header that asks for it, it reads the body.
        kept = [pair for pair in head.headers if pair[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self._feed(msgspec.structs.replace(head, headers=kept).encode())

    # -- what the library calls ---------------------------------------------------

    def on_message_begin(self) -> None:
        """Start a head."""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, part: bytes) -> None:
        """Take a part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what follows a body decides nothing any more."""
        if not self._is_in_body:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Begin a request.

        Raises:
            Refusal: Its head is refused as it stands.
        """
        parser = self._parser
        self._head = Head(
            parser.get_method(), self._target, parser.get_http_version(), self._headers
        )
        self._upgrades = parser.should_upgrade()
        if not self._upgrades:
            keep_alive = parser.should_keep_alive()
            self._body_left = self._requests.on_head(self._head, keep_alive=keep_alive)
            self._is_in_body = True

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if self._body_left:
            self._body_left -= len(part)
        self._requests.on_body(part)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._upgrades:
            self._is_in_body = False
            self._head_bytes = 0
            self._requests.on_end()
