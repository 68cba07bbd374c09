"""Connections to the receivers of webhooks: HTTP/1.1, kept open and used again.

Each of the requests of a run to one receiver needs one turn of the loop at most: the
callback that receives an answer writes the next request. Turns are long while many
messages are posted, so answers are also read between the requests of others. So the
deliveries of a busy server do not wait for tasks to have their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

import httptools
from aiohappyeyeballs import start_connection

from zaqarserver.common.tasks import HalfOfLoop
from zaqarserver.notify.addresses import AddressPolicy, CheckedResolver
from zaqarserver.notify.settings import NotifySettings

_KEEP_ALIVE = 15.0  # seconds that an idle connection is kept
_NEXT_ADDRESS = 0.25  # seconds after which the next address of a name is tried as well
_READ_BYTES = 65536
_MAX_HEAD: Final = 65536  # bytes of the head of an answer


class BrokenAnswer(ConnectionError):
    """An answer that is not HTTP, or a connection that ended before its answer."""


class WebhookAnswer(NamedTuple):
    """An answer.

    Attributes:
        status: The HTTP status.
        retry_after: The header ``Retry-After``, or ``None``.
    """

    status: int
    retry_after: str | None


#: Takes an answer, and returns the next request or ``None``.
NextRequest = Callable[[WebhookAnswer], bytes | None]


class WebhookConnection(asyncio.Protocol):
    """A connection to a receiver, with one request under way at a time.

    Args:
        max_body: Bytes to read of the body of an answer. A connection with a longer one
            is not used again.
        half: Bounds the time of all connections.
        awaited: The connections whose answers can be read ahead; ``None`` with TLS.

    Attributes:
        is_usable: True if another request may be sent.
    """

    _transport: asyncio.Transport

    def __init__(
        self, max_body: int, half: HalfOfLoop, awaited: set[WebhookConnection] | None
    ) -> None:
        self.is_usable = True
        self._half = half
        self._awaited = awaited
        self._loop = asyncio.get_running_loop()
        self._max_body = max_body
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[None] | None = None
        self._following: NextRequest
        self._seconds = self._deadline = 0.0
        self._timer: asyncio.TimerHandle
        self._begin()

    async def send(
        self, request: bytes, deadline: float, seconds: float, following: NextRequest
    ) -> None:
        """Send a request, and after each answer the next one.

        It ends after an answer that no request follows, or after which the connection
        cannot be used again.

        Args:
            request: The first request.
            deadline: Until when its answer may come, in the time of the loop.
            seconds: How long each of the others may take.
            following: Takes each answer, and returns the next request.

        Raises:
            TimeoutError: An answer took too long.
            OSError: The connection failed.
        """
        self._done = self._loop.create_future()
        self._following, self._seconds = following, seconds
        self._write(request, deadline)
        self._timer = self._loop.call_at(deadline, self._check_time)
        if self._awaited is not None:
            self._awaited.add(self)
        try:
            await self._done
        finally:
            self._timer.cancel()
            if self._awaited is not None:
                self._awaited.discard(self)
            if not self.is_usable or not self._done.done() or self._done.cancelled():
                self.close()
            self._done = None

    def close(self) -> None:
        """Close the connection, and drop what is unsent."""
        self.is_usable = False
        self._transport.abort()

    def _write(self, request: bytes, deadline: float) -> None:
        self._deadline = deadline
        self._begin()
        if self._transport.is_closing():
            self._fail(BrokenAnswer("the connection was closed"))
        else:
            self._transport.write(request)

    def _begin(self) -> None:
        """Prepare for the next answer."""
        self._head = self._body = 0
        self._is_head = True
        self._is_framed = False
        self._retry_after: str | None = None
        self._answer: WebhookAnswer | None = None

    def _check_time(self) -> None:
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check_time)
        else:
            self._fail(TimeoutError())

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    # -- the transport's side ---------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport."""
        self._transport = transport
        self._descriptor: int = transport.get_extra_info("socket").fileno()

    def read_ahead(self) -> None:
        """Read what has arrived, before the loop does; only the loop ends it."""
        # The descriptor of a transport that closes may be another one's soon.
        if self._done is None or self._done.done() or self._transport.is_closing():
            return
        with contextlib.suppress(OSError):
            if data := os.read(self._descriptor, _READ_BYTES):
                self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Parse an answer; send the next request after its end."""
        if self._done is None or self._done.done():
            self.close()  # an answer to nothing
            return
        begun = time.perf_counter()
        is_answered = self._answer is not None
        self._head += len(data) if self._is_head else 0
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.is_usable = False
            if self._answer is None:
                self._fail(BrokenAnswer(str(error)))
        if self._is_head and self._head > _MAX_HEAD:
            self._fail(BrokenAnswer("the head is too long"))
        if self._body > self._max_body:
            self.is_usable = False
            self._take_answer()
        if self._answer is not None and not is_answered:
            self._half.call(self._continue, begun)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer: as a whole, if its length was not given."""
        self.is_usable = False
        if self._done is None or self._done.done():
            return
        if self._answer is not None:
            return  # it goes on soon
        if exc is None and not self._is_head and not self._is_framed:
            self._take_answer()
            self._half.call(self._continue, time.perf_counter())
        else:
            self._fail(exc or BrokenAnswer("the connection was closed"))

    def _continue(self) -> None:
        """Send the next request, or end."""
        if self._done is None or self._done.done() or self._answer is None:
            return
        try:
            request = self._following(self._answer)
        except Exception as error:  # noqa: BLE001 - handed to who waits
            self._fail(error)
            return
        if request is None or not self.is_usable:
            self._done.set_result(None)
        else:
            self._write(request, self._loop.time() + self._seconds)

    # -- the parser's side ------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse an answer that nothing was asked for."""
        if self._answer is not None:
            self.is_usable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the members of a head that are needed."""
        name = name.lower()
        if name == b"retry-after":
            self._retry_after = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._is_framed = True

    def on_headers_complete(self) -> None:
        """Begin with the body."""
        self._is_head = False

    def on_body(self, part: bytes) -> None:
        """Count the bytes of a body, and drop them."""
        self._body += len(part)

    def on_message_complete(self) -> None:
        """End an answer, unless it is about one that is still to come."""
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._begin()
        elif self._answer is None:
            kept = self._parser.should_keep_alive()
            unsent = self._transport.get_write_buffer_size()
            self.is_usable = self.is_usable and kept and not unsent
            self._take_answer()

    def _take_answer(self) -> None:
        status = self._parser.get_status_code()
        self._answer = WebhookAnswer(status, self._retry_after)


class Origin(NamedTuple):
    """Names a receiver.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Its name or address, in ASCII.
        port: Its port.
    """

    scheme: str
    host: str
    port: int


class WebhookConnections:
    """The connections of a deliverer.

    Args:
        settings: The settings.
        policy: Decides which addresses may be connected to.
        resolver: Resolves names.
        tls: Returns what ``https`` needs.
    """

    def __init__(
        self,
        settings: NotifySettings,
        policy: AddressPolicy,
        resolver: CheckedResolver,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._resolver = resolver
        self._tls = tls
        self._half = HalfOfLoop()
        self._awaited: set[WebhookConnection] = set()
        self._idle: defaultdict[
            Origin, dict[WebhookConnection, asyncio.TimerHandle]
        ] = defaultdict(dict)

    async def take(self, origin: Origin) -> WebhookConnection:
        """Return an idle connection, or a new one.

        Raises:
            OSError: No allowed address can be connected to.
        """
        idle = self._idle[origin]
        while idle:
            connection, timer = idle.popitem()
            timer.cancel()
            if connection.is_usable:
                return connection
        return await self._connect(origin)

    def keep(self, origin: Origin, connection: WebhookConnection) -> None:
        """Take back a connection after its answer."""
        if connection.is_usable:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(_KEEP_ALIVE, self._drop, origin, connection)
            self._idle[origin][connection] = timer

    def _drop(self, origin: Origin, connection: WebhookConnection) -> None:
        del self._idle[origin][connection]
        if not self._idle[origin]:
            del self._idle[origin]
        connection.close()

    async def _connect(self, origin: Origin) -> WebhookConnection:
        addresses = await self._resolver.resolve(origin.host, origin.port)
        async with asyncio.timeout(self._settings.connect_timeout):
            made = await start_connection(
                addresses,
                happy_eyeballs_delay=_NEXT_ADDRESS,
                interleave=1,
                socket_factory=self._policy.socket,
            )
            try:
                return await self._begin(origin, made)
            except BaseException:
                made.close()
                raise

    async def _begin(self, origin: Origin, made: socket.socket) -> WebhookConnection:
        secure = origin.scheme == "https"
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: WebhookConnection(
                self._settings.max_response_size,
                self._half,
                None if secure else self._awaited,
            ),
            sock=made,
            ssl=self._tls() if secure else None,
            server_hostname=origin.host.rstrip(".") if secure else None,
        )
        return connection

    def proceed(self) -> None:
        """Read the answers that have arrived, if the loop's turn takes long."""
        if self._awaited and self._half.is_late:
            for connection in list(self._awaited):
                connection.read_ahead()

    def close(self) -> None:
        """Close the idle connections."""
        for idle in self._idle.values():
            for connection, timer in idle.items():
                timer.cancel()
                connection.close()
        self._idle.clear()
