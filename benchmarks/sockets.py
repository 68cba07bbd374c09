"""WebSocket load with little cost of its own: frames laid out once, one event loop.

A :class:`Socket` either posts (:meth:`Socket.run`), with one or more requests
under way at a time, or listens (:attr:`Socket.on_push`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from traffic import LoadError, Timings

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_FINAL = 0x80
_MASKED = 0x80
#: Clients must mask; with this key the bytes stay as they are.
_MASK = bytes(4)


class Answer(msgspec.Struct):
    """What counts of an incoming frame; a push has no headers."""

    headers: dict[str, Any] | None = None


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
    return wire(_TEXT, json.dumps(document).encode())


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
        self._requests: Sequence[bytes] = ()
        self._sent_at: dict[int, float] = {}
        self._latencies: list[float] = []
        self._expected = 0
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
        if opcode == _TEXT:
            headers = _decode(content).headers
            if headers is None:
                self.on_push()
            else:
                self._answered(headers, content, now)
        elif opcode == _PING:
            self._write(wire(_PONG, content))
        elif opcode == _CLOSE:
            self._fail(LoadError(f"the server closed: {content[:125]!r}"))

    # -- requests -------------------------------------------------------------

    async def run(
        self,
        requests: Sequence[bytes],
        expected: int,
        latencies: list[float],
        seconds: float,
    ) -> None:
        """Keep the requests under way, each sent again when it is answered.

        Args:
            requests: Laid out; more than one only with their index as request id.
            expected: The only status that is not an error.
            latencies: Takes the seconds of each answer.
            seconds: When to send no more; 0 sends each request once.

        Raises:
            LoadError: Another status, or the connection broke.
        """
        self._requests, self._expected = requests, expected
        self._latencies = latencies
        self._done = asyncio.get_running_loop().create_future()
        self._deadline = time.perf_counter() + seconds
        for index in range(len(requests)):
            self._ask(index)
        await self._done

    def _ask(self, index: int) -> None:
        self._sent_at[index] = time.perf_counter()
        self._write(self._requests[index])

    def _answered(self, headers: dict[str, Any], content: bytes, now: float) -> None:
        index = int(headers.get("X-Request-ID", 0))
        if headers.get("status") != self._expected:
            text = content[-300:].decode(errors="replace")
            self._fail(LoadError(f"expected {self._expected}, got … {text}"))
            return
        self._latencies.append(now - self._sent_at.pop(index))
        if now < self._deadline:
            self._ask(index)
        elif not self._sent_at and self._done is not None and not self._done.done():
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
    sockets: Sequence[Socket], requests: Sequence[bytes], label: str, seconds: float
) -> Timings:
    """Post on all connections for about ``seconds``; each expects 201.

    Raises:
        LoadError: A request got another status, or a connection broke.
    """
    latencies: list[float] = []
    start = time.perf_counter()
    runs = [one.run(requests, 201, latencies, seconds) for one in sockets]
    try:
        await asyncio.gather(*runs)
    except OSError as error:
        raise LoadError(f"a connection broke: {error}") from error
    return Timings(time.perf_counter() - start, {label: latencies})
