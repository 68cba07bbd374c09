"""A small real HTTP server that plays the answers a test wants."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Seen(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content) if self.content else None


class Answer(NamedTuple):
    """What to answer; a status of 0 drops the connection without a word."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.stub.accepted(self.request)

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle_one_request()

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        split = urlsplit(self.path)
        seen = Seen(
            self.command,
            split.path,
            parse_qs(split.query, keep_blank_values=True),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length),
        )
        answer = self.server.stub.take(seen)
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(answer.content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


for _method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, stub: HttpStub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stub = stub


class HttpStub:
    """Plays `answers` in order, then `default`, and notes what it saw.

    Args:
        tls: What the server proves itself with; None for plain HTTP.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.answers: list[Answer | Callable[[Seen], Answer]] = []
        self.default: Answer | Callable[[Seen], Answer] = Answer(200, {})
        self._release = threading.Event()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if tls is not None:
            self.url = f"https://127.0.0.1:{self.port}"
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return len(self._sockets)

    def calls(self) -> list[tuple[str, str]]:
        return [(seen.method, seen.path) for seen in self.seen]

    def hang(self, _: Seen) -> Answer:
        """Say nothing until the test is over."""
        self._release.wait(60)
        return Answer(0)

    def accepted(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.append(connection)

    def take(self, seen: Seen) -> Answer:
        with self._lock:
            self.seen.append(seen)
            answer = self.answers.pop(0) if self.answers else self.default
        return answer(seen) if callable(answer) else answer

    @contextlib.contextmanager
    def running(self) -> Iterator[HttpStub]:
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        try:
            yield self
        finally:
            self._release.set()
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
