"""Accepting connections, and the good order in which that ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import resource
import socket
import struct
import sys
from collections.abc import Callable, Sequence

from zaqarserver.http.connection import HttpConnection
from zaqarserver.http.service import Service
from zaqarserver.process.activation import Inherited

LOG = logging.getLogger(__name__)

_BACKLOG = 2048
_CHECK_SECONDS = 0.05  # between looks at what still drains
_OTHER_FILES = 256  # descriptors that are no connections
_SO_ATTACH_FILTER = 26
#: Load the flags of TCP; drop the packet if SYN is among them, else take it.
_NO_SYN = struct.pack(
    "=" + "HBBI" * 4,
    *(0x30, 0, 0, 13),
    *(0x45, 0, 1, 0x02),
    *(0x06, 0, 0, 0),
    *(0x06, 0, 0, 0xFFFFFFFF),
)


def admit_nobody(listener: socket.socket) -> None:
    """Let no new peer into the queue of a listener, which stays as it is.

    Those that try meanwhile do not notice: their system tries again after a second,
    and meets whoever listens then. Only Linux can do this.
    """
    if sys.platform == "linux":
        code = ctypes.create_string_buffer(_NO_SYN)
        program = struct.pack("HP", 4, ctypes.addressof(code))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def allow_files(connections: int) -> None:
    """Raise the limit of open files to what so many connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _OTHER_FILES
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))
    if hard < needed:
        LOG.warning(
            "the system allows %d open files: [server] max_connections = %d is not "
            "reached",
            hard,
            connections,
        )


class Web:
    """The listeners of a process, and the connections that came through them.

    Args:
        service: What the connections share.
        graceful_timeout: Seconds that they get to end.

    Attributes:
        service: The same.
        stopping: Set when the end begins.
        is_forced: Whether the end waits for nothing.
    """

    def __init__(self, service: Service, graceful_timeout: float) -> None:
        self.service = service
        self.stopping = asyncio.Event()
        self.is_forced = False
        self._graceful_timeout = graceful_timeout
        self._loop = asyncio.get_running_loop()

    async def serve(
        self,
        listeners: Sequence[socket.socket],
        ready: Callable[[], None],
    ) -> None:
        """Serve until it is time to stop, then until connections have ended.

        Args:
            listeners: Bound sockets; they are closed at the end.
            ready: Called once connections are accepted.
        """
        allow_files(self.service.max_connections)
        servers = [
            await self._loop.create_server(self._connection, sock=one, backlog=_BACKLOG)
            for one in listeners
        ]
        ready()
        await self.stopping.wait()
        waiting = [peer for one in listeners for peer in _queue(one)]
        for listener in listeners:
            # Now that the queue is short, nobody is kept out for long.
            if not isinstance(listener, Inherited):
                admit_nobody(listener)
            waiting += _queue(listener)
        for server in servers:
            server.close()
        for listener in listeners:
            listener.close()
        self.service.drain()
        for peer in waiting:
            await self._loop.connect_accepted_socket(self._connection, peer)
        await self._drained()

    def _connection(self) -> HttpConnection:
        return HttpConnection(self.service)

    async def _drained(self) -> None:
        service, last = self.service, self._loop.time() + self._graceful_timeout
        while service.connections or service.tasks:
            if self.is_forced or self._loop.time() > last:
                LOG.warning("%d connections are cut off", len(service.connections))
                break
            service.expire(self._loop.time())
            await asyncio.sleep(_CHECK_SECONDS)
        for task in service.tasks:
            task.cancel()
        for connection in list(service.connections):
            connection.transport.abort()


def _queue(listener: socket.socket) -> list[socket.socket]:
    """Accept all that wait at a listener."""
    found = []
    with contextlib.suppress(OSError):  # at its end there are none
        while True:
            found.append(listener.accept()[0])
    return found
