"""Two ways to a REST edge in this process: a connection of our own, and ASGI."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote

import httptools
import msgspec
from zaqarserver.common.budget import Budget
from zaqarserver.http import RestEdge
from zaqarserver.http.asgi import AsgiApp
from zaqarserver.http.connection import HttpConnection
from zaqarserver.http.service import Service

_SECONDS = 60.0
_PRINTABLE = bytes(range(33, 127)).decode()


class Headers(dict[str, str]):
    """Headers of an answer, found by their names in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())


class Answer(msgspec.Struct):
    """A REST answer."""

    status: int
    headers: Headers
    content: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.content)


class RestCaller(Protocol):
    """Sends requests to a REST edge."""

    def __init__(self, edge: RestEdge) -> None: ...

    async def ask(
        self, method: str, target: str, headers: Mapping[str, bytes], body: bytes | None
    ) -> Answer:
        """Send one request."""


class AsgiCaller:
    """Sends requests as a server of ASGI does."""

    def __init__(self, edge: RestEdge) -> None:
        self._app = AsgiApp(edge)

    async def ask(
        self, method: str, target: str, headers: Mapping[str, bytes], body: bytes | None
    ) -> Answer:
        """Send one request."""
        path, _, query = target.partition("?")
        pairs = [(name.lower().encode(), value) for name, value in headers.items()]
        if body is not None and "Content-Length" not in headers:
            pairs.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": quote(query, safe=_PRINTABLE).encode(),
            "headers": pairs,
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body or b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, content = sent
        return Answer(start["status"], _texts(start["headers"]), content["body"])


class ConnectionCaller:
    """Sends requests over a connection that is served as the server does."""

    def __init__(self, edge: RestEdge) -> None:
        self._service = Service(
            edge,
            lambda: None,
            Budget(),
            request_timeout=_SECONDS,
            keep_alive=_SECONDS,
            max_connections=1000,
        )

    async def ask(
        self, method: str, target: str, headers: Mapping[str, bytes], body: bytes | None
    ) -> Answer:
        """Send one request."""
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: HttpConnection(self._service), theirs
        )
        reader, writer = await asyncio.open_connection(sock=ours)
        lines = [f"{method} {quote(target, safe=_PRINTABLE)} HTTP/1.1".encode()]
        lines += [name.encode() + b": " + value for name, value in headers.items()]
        if body is not None and "Content-Length" not in headers:
            lines.append(b"Content-Length: %d" % len(body))
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", body or b""]))
        try:
            received = await asyncio.wait_for(reader.read(), _SECONDS)
        finally:
            writer.close()
            await writer.wait_closed()
        return _parsed(received, method)


class _Received:
    """The result of parsing an answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        self.content += part


def _parsed(received: bytes, method: str) -> Answer:
    """Return an answer that was read to the end of its connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    found = _Received()
    parser = httptools.HttpResponseParser(found)
    parser.feed_data(head + b"\r\n\r\n" + (b"" if method == "HEAD" else body))
    if method == "HEAD":
        assert not body
    return Answer(parser.get_status_code(), _texts(found.headers), found.content)


def _texts(pairs: list[tuple[bytes, bytes]]) -> Headers:
    return Headers(
        (name.decode().lower(), value.decode("latin-1")) for name, value in pairs
    )
