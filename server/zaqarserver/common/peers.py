"""What the system knows about the peer of a TCP connection."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

_CLOSED = 7  # TCP_CLOSE in the state of TCP_INFO


def is_reset(sock: Any) -> bool:
    """Whether the peer has reset the connection and the loop has not noticed yet."""
    try:
        state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        # One that both sides have closed in good order is in this state too.
        return state == _CLOSED and bool(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        )
    except (OSError, AttributeError):
        return False  # no TCP, or a system that does not tell


def has_unread(sock: Any) -> bool:
    """Whether the peer's system has not confirmed all that was sent."""
    try:
        found = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    except OSError:
        return False
    return bool(struct.unpack("i", found)[0])
