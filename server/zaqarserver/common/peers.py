"""The state of the peer of a TCP connection, as the system knows it."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

_CLOSED = 7  # TCP_CLOSE in the state of TCP_INFO


def is_reset(sock: Any) -> bool:
    """Return True if the peer has reset the connection; the loop may not know yet."""
    try:
        state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        # A connection that both sides closed in order is in this state, too.
        return state == _CLOSED and bool(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        )
    except (OSError, AttributeError):
        return False  # not TCP, or a system without this information


def has_unread(sock: Any) -> bool:
    """Return True if the peer's system has not acknowledged all sent bytes."""
    try:
        found = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:
        return False
    return bool(struct.unpack("i", found)[0])
