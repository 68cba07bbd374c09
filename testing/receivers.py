"""Real receivers of webhooks on loopback, good and bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import ssl
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar

import msgspec
from multidict import CIMultiDict
from zaqarserver.clock import wall

T = TypeVar("T")

Answer = Callable[[StreamReader, StreamWriter], Awaitable[None]]


class Request(msgspec.Struct):
    """A request as it came.

    Attributes:
        line: Its first line.
        headers: Its headers, by names of any case.
        content: Its body.
        at: When it was complete, by the system's clock.
    """

    line: str
    headers: CIMultiDict[str]
    content: bytes
    at: float

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.content)


# -- answers --------------------------------------------------------------------------


def status(code: int, *headers: str, body: bytes = b"ok") -> Answer:
    """Return what answers with a status."""
    head = [f"HTTP/1.1 {code} X", f"Content-Length: {len(body)}", *headers]

    async def answer(_reader: StreamReader, writer: StreamWriter) -> None:
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()

    return answer


good = status(204, body=b"")


async def never(reader: StreamReader, _writer: StreamWriter) -> None:
    """Answer nothing for as long as the client waits."""
    while await reader.read(1024):
        pass


async def cut(_reader: StreamReader, writer: StreamWriter) -> None:
    """Promise a body and close in its middle."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def slam(_reader: StreamReader, writer: StreamWriter) -> None:
    """Close without an answer."""
    writer.close()


async def endless(_reader: StreamReader, writer: StreamWriter) -> None:
    """Answer with a body that does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()


# -- connections ----------------------------------------------------------------------


@contextlib.asynccontextmanager
async def streams(
    connection: socket.socket, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """Talk over an accepted connection; at the end nothing of it is open."""
    loop = asyncio.get_running_loop()
    reader = StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection, ssl=tls
    )
    writer = StreamWriter(transport, protocol, reader, loop)
    try:
        yield reader, writer
    finally:
        transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(
    serve: Callable[[socket.socket], Coroutine[Any, Any, None]],
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[int]:
    """Run ``serve`` for each connection; give the port.

    A server of asyncio's leaves connections open that are just being accepted, or
    shake hands for TLS, when the loop ends. Here each is closed by the end.
    """
    loop = asyncio.get_running_loop()
    served: dict[asyncio.Task[None], socket.socket] = {}

    def accept() -> None:
        with contextlib.suppress(OSError):  # the peer went away already
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = loop.create_task(serve(connection))
            served[task] = connection
            task.add_done_callback(end)

    def end(task: asyncio.Task[None]) -> None:
        served.pop(task).close()  # one that was cancelled at once has no transport
        # Some answers provoke that the peer gives up.
        with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
            task.result()

    with socket.create_server((host, port)) as listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)


# -- receivers ------------------------------------------------------------------------


class Receiver:
    """Records requests and answers as configured.

    Attributes:
        answers: The answers to come, the last one for good.
        requests: What came.
        connections: How many connections were made.
        port: Where it listens.
        on_request: Called with each request before it is answered.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [status(200)]
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self.on_request: Callable[[Request], None] | None = None
        self._changed = asyncio.Condition()

    async def serve(
        self, connection: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        """Answer what comes over a connection."""
        self.connections += 1
        async with streams(connection, tls) as (reader, writer):
            while (line := await reader.readline()) and not writer.is_closing():
                await self._one(line, reader, writer)

    async def _one(
        self, line: bytes, reader: StreamReader, writer: StreamWriter
    ) -> None:
        headers: CIMultiDict[str] = CIMultiDict()
        while (field := await reader.readline()).strip():
            name, _, value = field.decode("latin-1").partition(":")
            headers[name] = value.strip()
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(line.decode().strip(), headers, content, wall())
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
        """Return where it is to be reached."""
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
    serve = functools.partial(receiver.serve, tls=tls)
    async with listening(serve, host, port) as receiver.port:
        yield receiver


class Receivers:
    """Receivers in a separate thread.

    Attributes:
        requests: What came, by port.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[int, list[Request]] = defaultdict(list)
        self._open: dict[int, tuple[Receiver, contextlib.AsyncExitStack]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for port in list(self._open):
            self.shut(port)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, *answers: Answer, port: int = 0) -> int:
        """Start a receiver and return its port; without answers it says 204."""
        return self._do(self._start(answers or (good,), port))

    def answer(self, port: int, answer: Answer) -> None:
        """Set the answers of a receiver from now on."""
        self._open[port][0].answers = [answer]

    def shut(self, port: int) -> None:
        """Stop a receiver as a crash would."""
        self._do(self._open.pop(port)[1].aclose())

    def received(self, port: int) -> list[tuple[float, Any]]:
        """Return when which messages came, by their bodies."""
        return [(one.at, one.json["body"]) for one in list(self.requests[port])]

    def until(self, port: int, number: int, seconds: float) -> list[Request]:
        """Return the requests once there are so many, or the time is over."""
        end = time.monotonic() + seconds
        while len(self.requests[port]) < number and time.monotonic() < end:
            time.sleep(0.01)  # until the next one has come
        return list(self.requests[port])

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self, answers: tuple[Answer, ...], port: int) -> int:
        stack = contextlib.AsyncExitStack()
        receiver = await stack.enter_async_context(receiving(*answers, port=port))
        receiver.requests = self.requests[receiver.port]
        self._open[receiver.port] = (receiver, stack)
        return receiver.port
