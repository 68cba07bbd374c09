"""Real HTTP receivers on loopback, good and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

# The loop of the standard library and the one that the server runs on.
LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": uvloop}), id=name)
    for name, uvloop in (("asyncio", False), ("uvloop", True))
]

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Request(msgspec.Struct):
    """A request as it came."""

    line: str
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


def status(code: int, *headers: str, body: bytes = b"ok") -> Answer:
    """Answer with this status."""
    head = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers]

    async def answer(reader, writer):
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

    return answer


async def never(reader, writer):
    """Answer nothing for as long as the client waits."""
    while await reader.read(1024):
        pass


async def cut(reader, writer):
    """Promise a body and close in its middle."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def slam(reader, writer):
    """Close without a word."""
    writer.close()


async def endless(reader, writer):
    """Answer with a body that does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()


class Receiver:
    """A receiver; it keeps what it was sent and answers as it is told.

    Attributes:
        answers: The answers to come, the last one for good.
        requests: What came.
        connections: How many connections were made.
        port: Where it listens.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [status(200)]
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self.on_request: Callable[[Request], None] | None = None
        self._changed = asyncio.Condition()

    async def serve(self, reader, writer) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                await self._one(line, reader, writer)
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up, which some answers provoke
        finally:
            writer.close()

    async def _one(self, line, reader, writer) -> None:
        headers = {}
        while (field := await reader.readline()).strip():
            name, _, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(line.decode("latin-1").strip(), headers, content)
        self.requests.append(request)
        if self.on_request is not None:
            self.on_request(request)
        async with self._changed:
            self._changed.notify_all()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await answer(reader, writer)

    async def until(self, number: int) -> list[Request]:
        """Return the requests once there are so many."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= number)
        return self.requests

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextlib.asynccontextmanager
async def receiving(
    *answers: Answer,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Receiver]:
    """Run a receiver; without answers it says 200."""
    receiver = Receiver(*answers)
    tasks = {}

    async def serve(reader, writer):
        tasks[asyncio.current_task()] = writer.transport
        with contextlib.suppress(asyncio.CancelledError):  # the end of the test
            await receiver.serve(reader, writer)

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await turns()  # what was accepted last begins to be served
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in tasks.values():
            transport.abort()  # also those whose peers read no more
        await turns()


async def turns() -> None:
    """Let the loop do what was put off: accepting alone takes several turns."""
    for _ in range(20):
        await asyncio.sleep(0)
