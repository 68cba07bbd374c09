"""One connection to a server: requests are sent together, replies come in order.

The requests of one turn of the event loop are one write, and so one packet for the
server to read. Nothing is sent twice here, and a request does not wait for the reply to
an earlier one.

Replies do not have names: only their order shows to which request they belong. Each
write therefore ends with a ``PING`` with a unique word, its mark, and its replies are
handed out when the mark has arrived at its position. If a reply is missing, or comes
twice, the connection ends, and the outcome of its unanswered requests is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import hiredis

from zaqarserver.storage.redis.location import Address, RedisCredentials, RedisLocation

_MESSAGE: Final = b"message"

#: What marks begin with, and no other reply.
_MARK: Final = os.urandom(6).hex().encode()

#: What a command is made of; a float is sent as its ``repr``.
Word = str | int | float | bytes

#: Seconds without a reply after which nothing more is sent to a server.
SILENCE = 0.5

#: Finds the addresses of a host.
Find = Callable[[str], Awaitable[Sequence[str]]]

#: Called with each message on the channel of a connection.
Listener = Callable[[bytes], None]


def pack(*words: Word) -> bytes:
    """Pack a command."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return packed


class Unsent(Exception):
    """The request was certainly not executed; it may be sent again."""


class Unanswered(Exception):
    """The request may have been executed, or not."""


class OutOfStep(Exception):
    """Replies are missing, or come twice."""


def is_misconf(reply: Any) -> bool:
    """True if a server cannot write to its disk: a ``PING`` gets this error, too."""
    return isinstance(reply, hiredis.ReplyError) and str(reply).startswith("MISCONF")


class _Call(NamedTuple):
    """A request; ``confirmed``: its reply waits until replicas have the change."""

    future: asyncio.Future[Any]
    confirmed: bool

    def answer(self, reply: Any) -> None:
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Batch:
    """The requests of one write.

    Args:
        calls: The requests.
        replicas: How many replicas a ``WAIT`` after them asks for; 0 without a
            ``WAIT``.
        mark: The word of the ``PING`` at the end; empty without a ``PING``.
    """

    __slots__ = ("_awaited", "_calls", "_mark", "_replicas", "_replies", "sent")

    def __init__(self, calls: list[_Call], replicas: int, mark: bytes) -> None:
        self._calls = calls
        self._replicas = replicas
        self._mark = mark
        self._replies: list[Any] = []
        self._awaited = len(calls) + bool(replicas) + bool(mark)
        self.sent = time.monotonic()

    def take(self, reply: Any) -> bool:
        """Take the next reply; return True if it was the last.

        Raises:
            OutOfStep: The last one is not the mark.
        """
        self._replies.append(reply)
        if len(self._replies) < self._awaited:
            return False
        if self._mark and reply != self._mark and not self._is_refused(reply):
            raise OutOfStep("replies are missing or came twice")
        replicas = self._replies[len(self._calls)] if self._replicas else 0
        missing = not isinstance(replicas, int) or replicas < self._replicas
        for call, answer in zip(self._calls, self._replies, strict=False):
            # A refused request has nothing to confirm.
            refused = isinstance(answer, hiredis.ReplyError)
            if missing and call.confirmed and not refused:
                call.fail(Unanswered(f"replicas did not confirm in time: {replicas}"))
            else:
                call.answer(answer)
        return True

    @property
    def waits_for_replicas(self) -> bool:
        """True if the server has executed it, and waits for its replicas."""
        return bool(self._replicas) and len(self._replies) == len(self._calls)

    @property
    def is_question(self) -> bool:
        """True if it only checks that the server answers."""
        return not self._calls

    def _is_refused(self, mark: Any) -> bool:
        """True if the server refused all, or the mark: its disk may be full."""
        return is_misconf(mark) or all(
            isinstance(one, hiredis.ReplyError) for one in self._replies
        )

    def fail(self, error: Exception) -> None:
        for call in self._calls:
            call.fail(error)


class RedisConnection(asyncio.Protocol):
    """A connection; made by :func:`connect`.

    Args:
        location: The settings.
        listener: Called with each message on a channel, if it listens to one.

    Attributes:
        closed: True if it has ended.
        ended: Set when it has.
    """

    def __init__(
        self, location: RedisLocation, listener: Listener | None = None
    ) -> None:
        self.closed = False
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timeout = location.timeout + location.wait_timeout
        self._replicas = location.wait_replicas
        self._wait = pack(
            "WAIT", location.wait_replicas, int(location.wait_timeout * 1000)
        )
        self._listener = listener
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._calls: list[_Call] = []
        self._awaited: deque[_Batch] = deque()
        self._marks = itertools.count(1)
        self._watchdog: asyncio.TimerHandle | None = None
        self._received = 0.0
        self._progress = asyncio.Event()
        self._wait_timeout = location.wait_timeout

    @property
    def silent(self) -> bool:
        """True if the server owes a reply, and has sent nothing for a while."""
        if self.closed or not self._awaited:
            return False
        first, patience = self._awaited[0], SILENCE
        if first.waits_for_replicas:
            patience += self._wait_timeout
        return time.monotonic() > max(self._received, first.sent) + patience

    async def progress(self) -> None:
        """Wait until the server sends something, or the connection has ended."""
        self._progress.clear()
        if not self.closed:
            await self._progress.wait()

    # -- sending ------------------------------------------------------------

    def call(self, packed: bytes, *, confirmed: bool = False) -> asyncio.Future[Any]:
        """Send a packed command together with the others of this turn.

        Args:
            packed: The command.
            confirmed: Reply only when enough replicas have the change.

        Returns:
            The reply, also if it is an error.

        Raises:
            Unsent: The connection has ended.
            Unanswered: It ended after the command was sent; or the replicas did
                not confirm.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        call = _Call(future, confirmed)
        if self.closed:
            call.fail(Unsent("the connection has ended"))
            return future
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        self._calls.append(call)
        return future

    async def ask(self, *command: Word) -> Any:
        """Send a command and return its reply, also if it is an error."""
        return await self.call(pack(*command))

    def _flush(self) -> None:
        packed, self._unsent = self._unsent, []
        calls, self._calls = self._calls, []
        if self.closed or self._transport is None or self._transport.is_closing():
            for call in calls:
                call.fail(Unsent("the connection has ended"))
            return
        self._write(self._transport, packed, calls)
        if self._watchdog is None:
            self._watch(SILENCE)

    def _write(
        self, transport: asyncio.Transport, packed: list[bytes], calls: list[_Call]
    ) -> None:
        replicas, mark = 0, b""
        if self._replicas and any(call.confirmed for call in calls):
            replicas = self._replicas
            packed.append(self._wait)
        if self._listener is None:
            mark = b"%s%d" % (_MARK, next(self._marks))
            packed.append(b"*2\r\n$4\r\nPING\r\n$%d\r\n%s\r\n" % (len(mark), mark))
        self._awaited.append(_Batch(calls, replicas, mark))
        transport.writelines(packed)

    # -- receiving ----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        # uvloop's transports do not derive from asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand out the replies that are complete."""
        self._received = time.monotonic()
        self._progress.set()
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not False:
                self._take(reply)
        except (hiredis.HiredisError, IndexError, OutOfStep) as error:
            self._end(f"protocol error: {error}")

    def _take(self, reply: Any) -> None:
        if self._listener is not None and type(reply) is list and reply[0] == _MESSAGE:
            self._listener(reply[2])
        elif self._awaited[0].take(reply):
            self._awaited.popleft()

    # -- ending -------------------------------------------------------------

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the requests that were not answered."""
        self._end(f"the connection was lost: {error}" if error else "it was closed")

    def close(self) -> None:
        """End the connection."""
        self._end("the connection was closed")

    def _end(self, why: str) -> None:
        self.closed = True
        self.ended.set()
        self._progress.set()
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        if self._transport is not None:
            self._transport.abort()
        awaited, self._awaited = self._awaited, deque()
        for one in awaited:
            one.fail(Unanswered(why))

    def _watch(self, seconds: float) -> None:
        self._watchdog = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._watchdog = None
        if not self._awaited:
            return
        left = self._awaited[0].sent + self._timeout - time.monotonic()
        if left <= 0:
            self._end(f"no answer within {self._timeout:g} s")
            return
        asked = self._awaited[-1].is_question or self._listener is not None
        if self.silent and not asked and self._transport is not None:
            # If a reply was lost, the reply to this request shows it.
            self._write(self._transport, [], [])
        self._watch(min(left, SILENCE))


def _tls(location: RedisLocation) -> ssl.SSLContext | None:
    if not location.tls:
        return None
    context = ssl.create_default_context(cafile=location.ca_file or None)
    if location.cert_file:
        context.load_cert_chain(location.cert_file, location.key_file or None)
    return context


async def connect(
    address: Address,
    location: RedisLocation,
    find: Find,
    *,
    credentials: RedisCredentials | None = None,
    database: int = 0,
    listener: Listener | None = None,
) -> RedisConnection:
    """Connect, authenticate, and choose the database.

    Raises:
        Unsent: One of these steps failed.
    """
    connection = RedisConnection(location, listener)
    try:
        async with asyncio.timeout(location.connect_timeout):
            await _open(connection, address, location, find)
            await _greet(connection, credentials or RedisCredentials(), database)
    except (OSError, TimeoutError, Unsent, Unanswered) as error:
        connection.close()
        why = str(error) or "timed out"
        raise Unsent(f"cannot connect to {address}: {why}") from error
    except BaseException:
        connection.close()
        raise
    return connection


async def _open(
    connection: RedisConnection, address: Address, location: RedisLocation, find: Find
) -> None:
    loop = asyncio.get_running_loop()
    if not address.port:
        await loop.create_unix_connection(lambda: connection, address.host)
        return
    context = _tls(location)
    name = address.host if context else None

    async def attempt(host: str) -> None:
        await loop.create_connection(
            lambda: connection, host, address.port, ssl=context, server_hostname=name
        )

    *others, last = await find(address.host)
    share = location.connect_timeout / (len(others) + 1)
    for host in others:
        with contextlib.suppress(OSError):  # a time-out is one
            async with asyncio.timeout(share):
                await attempt(host)
                return
    await attempt(last)


async def _greet(
    connection: RedisConnection, credentials: RedisCredentials, database: int
) -> None:
    greetings: list[tuple[Word, ...]] = []
    if credentials.username:
        greetings.append(("AUTH", credentials.username, credentials.password))
    elif credentials.password:
        greetings.append(("AUTH", credentials.password))
    if database:
        greetings.append(("SELECT", database))
    greetings.append(("PING",))
    for reply in await asyncio.gather(*(connection.ask(*words) for words in greetings)):
        if isinstance(reply, hiredis.ReplyError) and not is_misconf(reply):
            raise Unsent(str(reply))
