"""WebSocket load with little cost of its own: frames laid out once, one event loop.

A :class:`Socket` either asks (:meth:`Socket.run`), with one or more requests
under way at a time, or listens (:attr:`Socket.on_push`). What it asks are scripts as
in :mod:`traffic`; each of several has its own request id, its place among them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from traffic import LoadError, Reply, Request, Script, Timings

TEXT = 0x1
_CLOSE, _PING, _PONG = 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
#: Clients must mask; with this key the bytes stay as they are.
_MASK = bytes(4)


class Answer(msgspec.Struct):
    """What counts of an incoming frame; a push has no headers."""

    headers: dict[str, Any] | None = None
    body: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(Answer).decode


def wire(opcode: int, content: bytes) -> bytes:
    """Lay out one unfragmented frame of a client."""
    size = len(content)
    if size < 126:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + size.to_bytes(2)
    else:
        head = bytes((_FINAL | opcode, _MASKED | 127)) + size.to_bytes(8)
    return head + _MASK + content


def request(
    action: str, headers: Mapping[str, str], body: Any, request_id: int | None = None
) -> bytes:
    """Lay out a request frame, with a request id if there is one."""
    shown = dict(headers)
    if request_id is not None:
        shown["X-Request-ID"] = str(request_id)
    document = {"action": action, "headers": shown, "body": body}
    return wire(TEXT, json.dumps(document).encode())


class Socket(asyncio.Protocol):
    """One WebSocket connection.

    Attributes:
        opened: Done when the handshake is.
        on_push: Called for each frame that is no answer.
    """

    def __init__(self, host: str) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_push: Callable[[], None] = lambda: None
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._scripts: Sequence[Script] = ()
        self._asked: dict[int, tuple[Request, float]] = {}
        self._timings = Timings()
        self._deadline = 0.0
        self._done: asyncio.Future[None] | None = None

    # -- asyncio.Protocol -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET / HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take apart what arrived."""
        buffer = self._buffer + data if self._buffer else data
        if not self.opened.done():
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self._fail(LoadError(f"no WebSocket: {head[:80].decode()}"))
                return
            self.opened.set_result(None)
        start = 0
        while (frame := _frame_at(buffer, start)) is not None:
            opcode, content, start = frame
            self._take(opcode, content)
        self._buffer = buffer[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        self._fail(exc or LoadError("the server closed the connection"))

    def _take(self, opcode: int, content: bytes) -> None:
        now = time.perf_counter()
        if opcode == TEXT:
            answer = _decode(content)
            if answer.headers is None:
                self.on_push()
            else:
                self._answered(answer.headers, bytes(answer.body), now)
        elif opcode == _PING:
            self._write(wire(_PONG, content))
        elif opcode == _CLOSE:
            self._fail(LoadError(f"the server closed: {content[:125]!r}"))

    # -- requests -------------------------------------------------------------

    async def run(
        self, scripts: Sequence[Script], timings: Timings, deadline: float
    ) -> None:
        """Run scripts beside each other until they end or ``deadline`` has passed.

        Args:
            scripts: They yield frames; if they are several, each with its place
                among them as request id.
            timings: Takes the seconds of each answer.
            deadline: When to ask no more, by ``time.perf_counter``.

        Raises:
            LoadError: Another status than expected, or the connection broke.
        """
        self._scripts, self._timings, self._deadline = scripts, timings, deadline
        self._done = asyncio.get_running_loop().create_future()
        for index, script in enumerate(scripts):
            self._ask(index, next(script))
        await self._done

    def _ask(self, index: int, asked: Request) -> None:
        self._asked[index] = asked, time.perf_counter()
        self._write(asked.wire)

    def _answered(self, headers: dict[str, Any], body: bytes, now: float) -> None:
        index = int(headers.get("X-Request-ID", 0))
        asked, sent_at = self._asked.pop(index)
        reply = Reply(headers.get("status", 0), body)
        if reply.status != asked.expected:
            text = f"{reply.status}: {body[:300].decode(errors='replace')}"
            self._fail(
                LoadError(f"{asked.label}: expected {asked.expected}, got {text}")
            )
            return
        self._timings.latencies.setdefault(asked.label, []).append(now - sent_at)
        try:
            following = self._scripts[index].send(reply)
        except StopIteration:
            following = None
        if following is not None and now < self._deadline:
            self._ask(index, following)
        elif not self._asked and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, error: Exception) -> None:
        for waiting in (self.opened, self._done):
            if waiting is not None and not waiting.done():
                waiting.set_exception(error)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _frame_at(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """Return opcode, content and end of a server's frame, if it is complete."""
    left = len(data) - start
    if left < 2:
        return None
    size, head = data[start + 1], 2
    if size >= 126:
        head = 4 if size == 126 else 10
        if left < head:
            return None
        size = int.from_bytes(data[start + 2 : start + head])
    if left < head + size:
        return None
    first = start + head
    return data[start] & 0x0F, data[first : first + size], first + size


async def connect(url: str, size: int) -> list[Socket]:
    """Open connections to a server, by the URL of its REST API or its WebSocket.

    Raises:
        LoadError: It cannot be reached, or does not speak WebSocket.
    """
    parts = urlsplit(url)
    secure = parts.scheme in {"https", "wss"}
    port = parts.port or (443 if secure else 80)
    loop = asyncio.get_running_loop()
    sockets = []
    for _ in range(size):
        try:
            _, opened = await loop.create_connection(
                lambda: Socket(parts.netloc),
                parts.hostname or "",
                port,
                ssl=secure or None,
            )
        except OSError as error:
            raise LoadError(f"cannot connect to {url}: {error}") from error
        sockets.append(opened)
        await opened.opened
    return sockets


async def run_all(
    sockets: Sequence[Socket],
    scripts: Callable[[], Sequence[Script]],
    seconds: float = math.inf,
) -> Timings:
    """Run scripts of their own on all connections, for about ``seconds``.

    Raises:
        LoadError: A request got another status, or a connection broke.
    """
    timings = Timings()
    start = time.perf_counter()
    runs = [one.run(scripts(), timings, start + seconds) for one in sockets]
    try:
        await asyncio.gather(*runs)
    except OSError as error:
        raise LoadError(f"a connection broke: {error}") from error
    timings.elapsed = time.perf_counter() - start
    return timings
