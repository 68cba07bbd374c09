"""Answers to what never becomes a request, or ends a connection: always JSON."""

from __future__ import annotations

import functools
import http
from email.utils import formatdate

import msgspec

from zaqarserver.clock import wall
from zaqarserver.common.log import new_request_id


class Refusal(Exception):
    """What a connection answers before it closes.

    Args:
        status: The HTTP status.
        description: What is wrong, and what is expected.
        headers: More lines of the head, each with its end.
    """

    def __init__(self, status: int, description: str, headers: str = "") -> None:
        super().__init__(description)
        self.status = status
        self._headers = headers

    def page(self) -> bytes:
        """Return the whole answer."""
        reason = http.HTTPStatus(self.status).phrase
        body = msgspec.json.encode({"title": reason, "description": str(self)})
        head = (
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Vary: Accept\r\nX-OpenStack-Request-ID: {new_request_id()}\r\n"
            f"{self._headers}Connection: close\r\n\r\n"
        )
        return first_lines(self.status, int(wall())) + head.encode() + body


@functools.lru_cache(maxsize=64)
def first_lines(status: int, now: int) -> bytes:
    """Return the status line and the date of an answer.

    Args:
        status: The HTTP status.
        now: Seconds since the epoch.
    """
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    date = formatdate(now, usegmt=True)
    return f"HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n".encode()


BUSY = "Retry-After: 1\r\n"
