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
from zaqarserver.http.reading import Head

MAX_HEAD = 65536  # bytes of request line and headers
_VERSIONS = ("1.0", "1.1")
_UPGRADE = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
#: Bytes of the longest header of a handshake, as the library counts lines.
_LONGEST = MAX_LINE_LENGTH - 32
_KEY_BYTES = 16
_END = b"\r\n\r\n"  # of a head, and of a chunked body


class Framing(msgspec.Struct, frozen=True, gc=False):
    """How a body comes.

    Attributes:
        length: Its bytes, 0 if they are not known.
        has_body: Whether there is one.
        expects: Whether the peer holds it back until it is asked for it.
    """

    length: int = 0
    has_body: bool = False
    expects: bool = False


_NO_BODY = Framing()


def framing(head: Head, headers: Mapping[bytes, bytes]) -> Framing:
    """Return how the body of a request arrives.

    Args:
        head: The head of the request.
        headers: Its headers by name.

    Raises:
        Refusal: Two readers of this head could disagree about it.
    """
    if head.version not in _VERSIONS:
        raise Refusal(400, "The version of HTTP must be 1.1 or 1.0.")
    length = int(headers.get(b"content-length", 0))
    if b"transfer-encoding" in headers:
        codings = [value.lower() for value in head.values(b"transfer-encoding")]
        if codings != [b"chunked"] or head.version == "1.0":
            raise Refusal(
                400, "Transfer-Encoding must be chunked, sent once, and with HTTP/1.1."
            )
    elif not length:
        return _NO_BODY
    expects = headers.get(b"expect", b"").lower() == b"100-continue"
    return Framing(length, True, expects and head.version != "1.0")


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


class Inbox:
    """Bytes that a connection received and has not parsed.

    The parser takes whole pieces. One that ends behind each empty line, or with
    the last byte of a body of known length, never reads into the next request.

    Attributes:
        size: How many they are.
    """

    __slots__ = ("_at", "_data", "size")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._data, self._at, self.size = b"", 0, 0

    def add(self, data: bytes) -> None:
        """Append what arrived."""
        # An empty line may have begun in the three bytes before.
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
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

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
        if self._head_bytes >= MAX_HEAD and not self._is_in_body:
            raise Refusal(
                431, f"The request line and headers may have {MAX_HEAD} bytes."
            )

    def close(self) -> None:
        """Forget the connection, so that both are freed at once."""
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
        if head.method == "CONNECT":
            raise Refusal(405, "This is no proxy.", {"Allow": "GET, OPTIONS"})
        if wants_websocket(head):
            check_handshake(head)
            self._requests.on_websocket(head, self.inbox.take(self.inbox.size))
            return
        # The parser takes what follows such a head for the other protocol. Without
        # the header that asks for it, it reads the body.
        kept = [pair for pair in head.headers if pair[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self._feed(msgspec.structs.replace(head, headers=kept).encode())

    # -- what the library calls ---------------------------------------------------

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


# -- handshakes ---------------------------------------------------------------


def wants_websocket(head: Head) -> bool:
    """Whether a request that asks for another protocol asks for WebSocket alone."""
    return b",".join(head.values(b"upgrade")).strip().lower() == b"websocket"


def check_handshake(head: Head) -> None:
    """Refuse what is no handshake of a WebSocket (RFC 6455 4.2.1).

    Raises:
        Refusal: It says what is wrong.
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
    # More than that the library of WebSockets does not read, and does not answer.
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
