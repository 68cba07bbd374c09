"""Requests: their head, and their body, which may not have arrived yet."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import unquote

import httptools
import msgspec

from zaqarserver.common.log import new_request_id
from zaqarserver.errors import BadRequest
from zaqarserver.identity.auth import SINGLE_HEADERS
from zaqarserver.operations.waiting import Peer

Pairs = Sequence[tuple[bytes, bytes]]
Undo = Callable[[], Awaitable[object]]
#: Bytes of a body that are read before the edge asks for it.
HIGH_WATER = 65536


class Head(msgspec.Struct, frozen=True, gc=False):
    """The head of a request, header names in lower case."""

    method: str
    target: bytes
    version: str
    headers: Pairs

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a header."""
        return [value for one, value in self.headers if one == name]

    def encode(self) -> bytes:
        """Return the head as it is sent."""
        lines = [
            b"%b %b HTTP/%b"
            % (self.method.encode(), self.target, self.version.encode())
        ]
        lines += [b"%b: %b" % pair for pair in self.headers]
        return b"\r\n".join([*lines, b"", b""])


class RestRequest(Peer, abc.ABC):
    """A request; its body may not have arrived yet.

    Args:
        method: Its method.
        path: Its path, decoded.
        query: Its query as it was sent.
        pairs: Its headers, names in lower case.

    Attributes:
        method: Its method.
        path: Its path, decoded.
        query: Its query as it was sent.
        id: Its id, as sent in ``X-OpenStack-Request-ID``.
        headers: The headers by name; the last value of one that was sent twice.
        is_cut: True if it ended before its body was whole.
        is_link: True if its query presents a signature.
        undo: Undoes the operation, if the answer does not reach the peer.
    """

    __slots__ = (
        *("_pairs", "headers", "id", "is_cut", "is_link"),
        *("method", "path", "query", "undo"),
    )

    def __init__(self, method: str, path: str, query: str, pairs: Pairs) -> None:
        super().__init__()
        self.id = new_request_id()
        self.method = method
        self.path = path
        self.query = query
        self.headers = dict(pairs)
        self.is_cut = False
        self.is_link = False
        self.undo: Undo | None = None
        self._pairs = pairs

    @property
    def takes_text(self) -> bool:
        """True if its body may be any text: a message that is posted with a link."""
        return (
            self.is_link and self.method == "POST" and self.path.endswith("/messages")
        )

    @property
    @abc.abstractmethod
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""

    @abc.abstractmethod
    async def read(self, most: int) -> bytes:
        """Return the body once it is whole, is cut, or has so many bytes."""

    def check_headers(self) -> None:
        """Join the parts of ``Accept``, which may be sent several times.

        Raises:
            BadRequest: A header that identifies the caller was sent twice.
        """
        if len(self.headers) == len(self._pairs):
            return
        names = [name for name, _ in self._pairs]
        for name in SINGLE_HEADERS:
            if names.count(name) > 1:
                raise BadRequest(
                    f"The header {name.decode()} must be sent once.",
                    title="Invalid header value",
                )
        if b"accept" in self.headers:
            parts = [value for name, value in self._pairs if name == b"accept"]
            self.headers[b"accept"] = b",".join(parts)


class BodySource(Protocol):
    """The side of a connection that its request uses."""

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""

    def read_body(self) -> None:
        """Read the body that the edge waits for; ask the peer if it holds it back."""


class HttpRequest(RestRequest):
    """A request whose body arrives on a connection.

    Args:
        source: The connection.
        head: The head.
        keep_alive: True if the peer wants to keep the connection open.

    Attributes:
        keep_alive: True if the connection may stay open after the answer.
        expects: True while the peer holds the body back until it is asked for it.
        is_answered: True if its answer was sent, or is not needed any more.
        task: The task that serves it.

    Raises:
        httptools.HttpParserInvalidURLError: The target is not a URL.
    """

    __slots__ = (
        *("_body", "_is_whole", "_source", "_waiter", "_wanted"),
        *("expects", "is_answered", "keep_alive", "task"),
    )

    task: asyncio.Task[None]

    def __init__(self, source: BodySource, head: Head, *, keep_alive: bool) -> None:
        path, query = _parts_of(head.target)
        shown = unquote(path) if "%" in path else path
        super().__init__(head.method, shown, query, head.headers)
        is_new = head.version != "1.0"
        expected = self.headers.get(b"expect", b"").lower()
        self.keep_alive = keep_alive and is_new
        self.expects = is_new and expected == b"100-continue"
        self.is_answered = False
        self._source = source
        self._body = bytearray()
        self._wanted = HIGH_WATER
        self._is_whole = False
        self._waiter: asyncio.Future[None] | None = None

    # -- the connection's side --------------------------------------------------

    @property
    def takes_more(self) -> bool:
        """True if more of the body may be read; after the answer it is dropped."""
        return self.is_answered or len(self._body) < self._wanted

    def feed(self, part: bytes) -> None:
        """Add a part of the body."""
        self.expects = False
        self._body += part
        if len(self._body) >= self._wanted:
            self._wake()

    def complete(self) -> None:
        """End the body: it is whole."""
        self.expects = False
        self._is_whole = True
        self._wake()

    def cut(self) -> None:
        """End the body, whole or not."""
        self.is_cut = not self._is_whole
        self._wake()

    def close(self) -> None:
        """Drop the reference to the connection, which refers to the request."""
        del self._source

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the edge's side --------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""
        return self._source.is_gone

    async def read(self, most: int) -> bytes:
        """Return the body once it is whole, is cut, or has so many bytes."""
        self._wanted = most
        if not self._is_whole:
            self._source.read_body()
        while not (self._is_whole or self.is_cut or len(self._body) >= most):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = bytes(self._body)
        self._body.clear()
        return data


def _parts_of(target: bytes) -> tuple[str, str]:
    """Return the path and the query of a target, as they were sent."""
    if target[:1] == b"/" and b"#" not in target:
        path, _, query = target.partition(b"?")
    else:
        url = httptools.parse_url(target)
        path, query = url.path, url.query or b""
    return path.decode("ascii"), query.decode()
