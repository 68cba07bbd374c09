"""HTTP load with little cost of its own: many connections, one event loop.

A :class:`Script` is a generator that yields :class:`Request` objects and is
sent the :class:`Reply` of each; every connection runs one, one request at a
time (no pipelining), over one TCP connection that stays open.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools


class LoadError(Exception):
    """The measurement cannot go on; the text says what the server did."""


class Request(NamedTuple):
    """One request, ready for the wire.

    Attributes:
        label: What it counts as in the figures.
        wire: The bytes to send.
        expected: The only status that is not an error.
    """

    label: str
    wire: bytes
    expected: int


class Reply(NamedTuple):
    """The answer to a request."""

    status: int
    body: bytes


Script = Generator[Request, Reply, None]


def once(request: Request) -> Script:
    """Ask one thing."""
    yield request


def repeated(request: Request) -> Script:
    """Ask the same for ever."""
    while True:
        yield request


def unexpected(asked: Request, reply: Reply) -> LoadError:
    """Say that a request got another status than the one it must have."""
    request_line = asked.wire.split(b"\r\n", 1)[0].decode()
    text = reply.body[:300].decode(errors="replace")
    return LoadError(
        f"{request_line}: expected {asked.expected}, got {reply.status}: {text}"
    )


@dataclass(frozen=True)
class Target:
    """A Zaqar v2 server and who asks it.

    Attributes:
        url: Its base, with or without ``/v2``.
        headers: Sent with every request.
    """

    url: str
    headers: Mapping[str, str]

    @property
    def base(self) -> str:
        """The path before ``/v2``, without a closing slash."""
        return urlsplit(self.url).path.rstrip("/").removesuffix("/v2")

    def request(
        self, label: str, method: str, path: str, expected: int, document: Any = None
    ) -> Request:
        """Lay out a request; ``path`` starts with ``/v2/``."""
        parts = urlsplit(self.url)
        content = b"" if document is None else json.dumps(document).encode()
        lines = [f"{method} {self.base}{path} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if content:
            lines += ["Content-Type: application/json"]
        if method in {"POST", "PUT", "PATCH"}:
            lines += [f"Content-Length: {len(content)}"]
        head = "\r\n".join([*lines, "", ""]).encode()
        return Request(label, head + content, expected)


@dataclass
class Timings:
    """What one run of one scenario measured.

    Attributes:
        elapsed: Seconds from the first request to the end of the last.
        latencies: Seconds of each answered request, by label.
    """

    elapsed: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return sum(map(len, self.latencies.values()))


class Connection(asyncio.Protocol):
    """One connection that runs one script after another."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._script: Script | None = None
        self._timings = Timings()
        self._deadline = 0.0
        self._done: asyncio.Future[None] | None = None
        self._asked: Request | None = None
        self._sent_at = 0.0
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    def run(
        self, script: Script, timings: Timings, deadline: float
    ) -> asyncio.Future[None]:
        """Run the script until it ends or ``deadline`` (monotonic) has passed."""
        self._script, self._timings, self._deadline = script, timings, deadline
        self._done = asyncio.get_running_loop().create_future()
        first = next(script, None)
        if first is None:
            self._done.set_result(None)
        else:
            self._send(first)
        return self._done

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(LoadError(f"the answer is not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the script that waits for an answer."""
        self._fail(exc or LoadError("the server closed the connection"))

    # -- httptools ----------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin an answer."""
        self._body = []

    def on_body(self, data: bytes) -> None:
        """Collect the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the answer and go on with the script."""
        now = time.perf_counter()
        asked, script, done = self._asked, self._script, self._done
        if asked is None or script is None or done is None or done.done():
            return
        reply = Reply(self._parser.get_status_code(), b"".join(self._body))
        if reply.status != asked.expected:
            self._fail(unexpected(asked, reply))
            return
        self._timings.latencies.setdefault(asked.label, []).append(now - self._sent_at)
        try:
            following = script.send(reply)
        except StopIteration:
            done.set_result(None)
            return
        if now >= self._deadline:
            script.close()
            done.set_result(None)
        else:
            self._send(following)

    # -- the script ---------------------------------------------------------

    def _send(self, request: Request) -> None:
        if self._transport is None or self._transport.is_closing():
            self._fail(LoadError("the server closed the connection"))
            return
        self._asked = request
        self._sent_at = time.perf_counter()
        self._transport.write(request.wire)

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


class Crowd:
    """Connections to one target that stay open between measurements."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections

    @classmethod
    async def connect(cls, target: Target, size: int) -> Crowd:
        """Open ``size`` connections.

        Raises:
            LoadError: The server cannot be reached.
        """
        parts = urlsplit(target.url)
        secure = parts.scheme == "https"
        loop = asyncio.get_running_loop()
        connections = []
        for _ in range(size):
            try:
                _, connection = await loop.create_connection(
                    Connection,
                    parts.hostname or "",
                    parts.port or (443 if secure else 80),
                    ssl=secure or None,
                )
            except OSError as error:
                raise LoadError(f"cannot connect to {target.url}: {error}") from error
            connections.append(connection)
        return cls(connections)

    async def run(self, script: Callable[[], Script], seconds: float) -> Timings:
        """Run a script of its own on each connection, for about ``seconds``.

        Raises:
            LoadError: A request was answered with another status than expected.
        """
        timings = Timings()
        start = time.perf_counter()
        runs = [
            connection.run(script(), timings, start + seconds)
            for connection in self._connections
        ]
        try:
            await asyncio.gather(*runs)
        except OSError as error:
            raise LoadError(f"the connection broke: {error}") from error
        timings.elapsed = time.perf_counter() - start
        return timings

    async def once(self, *requests: Request) -> list[Reply]:
        """Send the requests one after another on one connection."""
        replies: list[Reply] = []

        def script() -> Script:
            for request in requests:
                reply = yield request
                replies.append(reply)

        await self._connections[0].run(script(), Timings(), float("inf"))
        return replies

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()
