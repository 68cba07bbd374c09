"""From bytes to requests, one at a time: the parser of a connection."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Protocol

import httptools
import msgspec
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from zaqarserver.http.answers import Refusal
from zaqarserver.http.requests import Head

MAX_HEAD = 65536  # bytes of request line and headers
_VERSIONS = ("1.0", "1.1")
_UPGRADE = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
#: Bytes of the longest header of a handshake, as the library counts lines.
_LONGEST = MAX_LINE_LENGTH - 32
_KEY_BYTES = 16
_END = b"\r\n\r\n"  # of a head, and of a chunked body


def body_length(head: Head, headers: Mapping[bytes, bytes]) -> int:
    """Return the bytes of the body of a request, -1 if it is chunked.

    Args:
        head: The head of the request.
        headers: Its headers by name.

    Raises:
        Refusal: Two readers of this head could disagree about the length.
    """
    if head.version not in _VERSIONS:
        raise Refusal(400, "The version of HTTP must be 1.1 or 1.0.")
    if b"transfer-encoding" not in headers:
        return int(headers.get(b"content-length", 0))
    codings = [value.lower() for value in head.values(b"transfer-encoding")]
    if codings != [b"chunked"] or head.version == "1.0":
        raise Refusal(
            400, "Transfer-Encoding must be chunked, sent once, and with HTTP/1.1."
        )
    return -1


class Requests(Protocol):
    """Receives what the parser finds."""

    def on_head(self, head: Head, *, keep_alive: bool) -> int:
        """Begin a request; return the bytes of its body, 0 if they are not known."""

    def on_body(self, part: bytes) -> None:
        """Add a part of the body."""

    def on_end(self) -> None:
        """End the request: it is whole."""

    def on_websocket(self, head: Head, rest: bytes) -> None:
        """Hand the connection to the WebSocket protocol after a valid handshake."""


class Inbox:
    """Bytes that a connection received and did not parse yet.

    The parser takes pieces that end after each empty line, or with the last byte of a
    body of known length, so that it never reads into the next request.

    Attributes:
        size: The number of bytes.
    """

    __slots__ = ("_at", "_data", "size")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Drop all bytes."""
        self._data, self._at, self.size = b"", 0, 0

    def add(self, data: bytes) -> None:
        """Append what arrived."""
        # An empty line may begin in the last three bytes that were taken.
        old = max(self._at - 3, 0)
        self._data = self._data[old:] + data
        self._at -= old
        self.size += len(data)

    def take(self, most: int) -> bytes:
        """Return at most so many bytes."""
        data, at = self._data, self._at
        piece = data[at : at + most]
        self._at += len(piece)
        self.size -= len(piece)
        if not self.size:
            self._data = data[-3:]
            self._at = len(self._data)
        return piece

    def take_line(self, most: int) -> bytes:
        """Return the bytes up to the next empty line, at most so many."""
        at = self._at
        found = self._data.find(_END, max(at - 3, 0))
        return self.take(most if found < 0 else min(most, found + 4 - at))


class RequestParser:
    """Finds requests in what a peer sends, and stops after each of them.

    Args:
        requests: Receives them.

    Attributes:
        inbox: The bytes that are not parsed yet.
    """

    def __init__(self, requests: Requests) -> None:
        self.inbox = Inbox()
        self._requests = requests
        self._parser = httptools.HttpRequestParser(self)
        self._is_in_body = False
        self._upgrades = False
        self._head_bytes = self._body_left = 0
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def step(self) -> None:
        """Parse the next piece.

        Raises:
            Refusal: It is not HTTP, or not supported.
        """
        upgrades = False
        try:
            try:
                self._parser.feed_data(self._piece())
            except httptools.HttpParserUpgrade:
                upgrades = True
            if upgrades:
                self._upgrade()
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, Refusal):
                raise cause from None
            raise Refusal(400, "The request is not valid HTTP.") from None
        if self._head_bytes >= MAX_HEAD and not self._is_in_body:
            raise Refusal(
                431, f"The request line and headers may have {MAX_HEAD} bytes."
            )

    def close(self) -> None:
        """Drop the reference to the connection, so that both are freed at once."""
        self.inbox.clear()
        del self._parser, self._requests

    def _piece(self) -> bytes:
        if self._body_left:
            return self.inbox.take(self._body_left)
        if self._is_in_body:
            return self.inbox.take_line(self.inbox.size)
        piece = self.inbox.take_line(MAX_HEAD - self._head_bytes)
        self._head_bytes += len(piece)
        return piece

    def _upgrade(self) -> None:
        """Switch to WebSocket; ignore any other protocol (RFC 9110 7.8)."""
        head = self._head
        if head.method == "CONNECT":
            raise Refusal(405, "This server is not a proxy.", {"Allow": "GET, OPTIONS"})
        if wants_websocket(head):
            check_handshake(head)
            self._requests.on_websocket(head, self.inbox.take(self.inbox.size))
            return
        # The parser treats what follows such a head as the other protocol. Without the
        # header that asks for it, it reads the body.
        kept = [pair for pair in head.headers if pair[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(msgspec.structs.replace(head, headers=kept).encode())

    # -- what the library calls ---------------------------------------------------

    def on_url(self, part: bytes) -> None:
        """Add a part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; those that follow a body are ignored."""
        if not self._is_in_body:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Begin a request.

        Raises:
            Refusal: The head is refused.
        """
        parser = self._parser
        self._head = Head(
            parser.get_method().decode(),
            self._target,
            parser.get_http_version(),
            self._headers,
        )
        self._target, self._headers = b"", []
        self._upgrades = parser.should_upgrade()
        if not self._upgrades:
            keep_alive = parser.should_keep_alive()
            self._body_left = self._requests.on_head(self._head, keep_alive=keep_alive)
            self._is_in_body = True

    def on_body(self, part: bytes) -> None:
        """Add a part of the body."""
        if self._body_left:
            self._body_left -= len(part)
        self._requests.on_body(part)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._upgrades:
            self._is_in_body = False
            self._head_bytes = 0
            self._requests.on_end()


# -- handshakes ---------------------------------------------------------------


def wants_websocket(head: Head) -> bool:
    """Return True if a request to change the protocol names WebSocket alone."""
    return b",".join(head.values(b"upgrade")).strip().lower() == b"websocket"


def check_handshake(head: Head) -> None:
    """Refuse an invalid WebSocket handshake (RFC 6455 4.2.1).

    Raises:
        Refusal: It is invalid.
    """
    if head.method != "GET":
        raise Refusal(405, "A WebSocket is opened with GET.", {"Allow": "GET"})
    if head.version != "1.1":
        raise Refusal(400, "A WebSocket is opened with HTTP/1.1.")
    lengths = head.values(b"content-length")
    if head.values(b"transfer-encoding") or any(map(int, lengths)):
        raise Refusal(400, "A request that opens a WebSocket has no body.")
    if head.values(b"sec-websocket-version") != [b"13"]:
        raise Refusal(426, "Sec-WebSocket-Version must be 13.", _UPGRADE)
    keys = head.values(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise Refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64, sent once.")
    lines = [head.target, *(name + value for name, value in head.headers)]
    # The WebSocket library closes the connection without an answer beyond that.
    if len(head.headers) > MAX_NUM_HEADERS or max(map(len, lines)) > _LONGEST:
        raise Refusal(
            431,
            f"A request that opens a WebSocket may have {MAX_NUM_HEADERS} headers of "
            f"{_LONGEST} bytes each.",
        )


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
