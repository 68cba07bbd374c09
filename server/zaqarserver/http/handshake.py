"""Which requests to change to a WebSocket are proper (RFC 6455 4.2.1)."""

from __future__ import annotations

import base64
import binascii

from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from zaqarserver.http.heads import Head
from zaqarserver.http.refusals import Refusal

_UPGRADE = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
#: Bytes of the longest header, as the library counts lines.
_LONGEST = MAX_LINE_LENGTH - 32
_KEY_BYTES = 16


def wants_websocket(head: Head) -> bool:
    """Whether a request that asks for another protocol asks for WebSocket alone."""
    return b",".join(head.values(b"upgrade")).strip().lower() == b"websocket"


def check_handshake(head: Head) -> None:
    """Refuse what is no handshake of a WebSocket.

    Raises:
        Refusal: It says what is wrong.
    """
    if head.method != b"GET":
        raise Refusal(405, "A WebSocket is opened with GET.", "Allow: GET\r\n")
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
