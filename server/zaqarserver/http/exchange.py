"""One request and its answer, as the application sees them (ASGI)."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from zaqarserver.clock import wall
from zaqarserver.http.refusals import Refusal, first_lines

LOG = logging.getLogger(__name__)

#: The member of a request's scope that holds its :class:`Exchange`.
EXCHANGE = "zaqar.exchange"
_UNSAFE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NO_BODY = (204, 304)

Undo = Callable[[], Awaitable[object]]


class Line(Protocol):
    """What an exchange needs of its connection."""

    @property
    def is_gone(self) -> bool:
        """Whether the peer is known to read no answer any more."""

    def send_continue(self) -> None:
        """Ask the peer for the body that it holds back."""

    def read_on(self) -> None:
        """Take more of the body, now that there is room for it."""

    def answer(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Send the answer."""

    def refuse(self, refusal: Refusal) -> None:
        """Send this instead of an answer, and close."""


class Exchange:
    """One request and its answer.

    Args:
        line: The connection.
        scope: The request's head, in the form of ASGI.
        keep_alive: Whether the connection may stay open afterwards.
        expects: Whether the peer holds the body back until it is asked for it.

    Attributes:
        unread: Bytes of the body that the application has not taken.
        is_answered: Whether its answer was sent, or is not wanted any more.
        undo: Takes back what was done, if the answer does not reach the peer.
    """

    __slots__ = (
        "_changed", "_cut", "_is_first", "_line", "_start", "_whole", "expects",
        "is_answered", "keep_alive", "scope", "undo", "unread",
    )  # fmt: skip

    def __init__(
        self, line: Line, scope: dict[str, Any], *, keep_alive: bool, expects: bool
    ) -> None:
        scope[EXCHANGE] = self
        self.scope = scope
        self.keep_alive = keep_alive
        self.expects = expects
        self.unread = bytearray()
        self.is_answered = False
        self.undo: Undo | None = None
        self._line = line
        self._changed = asyncio.Event()
        self._cut = False
        self._whole = False
        self._is_first = True
        self._start: dict[str, Any] = {}

    # -- the connection's side --------------------------------------------------

    async def run(self, app: Callable[..., Awaitable[object]]) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            if self.is_gone:
                LOG.debug("a peer went away while it was answered", exc_info=True)
            else:
                LOG.exception("a request could not be answered")
        finally:
            del self.scope[EXCHANGE]  # a cycle, which would wait for the collector
        if not self.is_answered:
            self._line.refuse(Refusal(500, "The server met an error."))

    def feed(self, part: bytes) -> None:
        """Take a part of the body."""
        self.expects = False
        self.unread += part
        self._changed.set()

    def complete(self) -> None:
        """Know that the body is whole."""
        self.expects = False
        self._whole = True
        self._changed.set()

    def cut(self) -> None:
        """Know that no more of the body comes."""
        self._cut = not self._whole
        self._changed.set()

    # -- the application's side -------------------------------------------------

    @property
    def is_cut(self) -> bool:
        """Whether the request broke off before its end."""
        return self._cut

    @property
    def is_gone(self) -> bool:
        """Whether the peer is known to read no answer any more."""
        return self._line.is_gone

    async def receive(self) -> dict[str, Any]:
        """Return what came of the body; wait for more, except at first.

        The application asks once before it looks at the head. That must not wait:
        an answer that the head decides is due before the body.
        """
        if not self._is_first:
            if self.expects and not self.is_answered:
                self.expects = False
                self._line.send_continue()
            while not (self.unread or self._whole or self._cut):
                self._changed.clear()
                await self._changed.wait()
        self._is_first = False
        if self._cut and not self.unread:
            return {"type": "http.disconnect"}
        part = bytes(self.unread)
        self.unread.clear()
        if not self._whole:
            self._line.read_on()
        return {"type": "http.request", "body": part, "more_body": not self._whole}

    async def send(self, message: dict[str, Any]) -> None:
        """Send the answer once both its parts are known; the first is its head."""
        if message["type"] == "http.response.start":
            self._start = message
        elif not self.is_answered:
            body = message.get("body", b"")
            status, headers = self._start["status"], self._start["headers"]
            head = first_lines(status, int(wall())) + _lines(headers)
            if status in _NO_BODY or self.scope["method"] == "HEAD":
                body = b""
            self._line.answer(self, head, body)


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts: list[bytes] = []
    for name, value in headers:
        if _UNSAFE.search(value):
            raise ValueError(f"the header {name!r} of an answer has control characters")
        parts += (name, b": ", value, b"\r\n")
    return b"".join(parts)
