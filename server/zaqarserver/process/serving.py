"""Serving: connections, signals, background tasks, and the drain at the end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import uvicorn
from oslo_config import cfg

from zaqarserver import config
from zaqarserver.common import log
from zaqarserver.common.budget import Budget
from zaqarserver.errors import StartupError
from zaqarserver.http import RestEdge
from zaqarserver.http.connection import HttpConnection
from zaqarserver.http.service import Service
from zaqarserver.identity.access import RulePolicy
from zaqarserver.process.listening import Inherited, refuse_new_peers
from zaqarserver.websocket import FrameEdge
from zaqarserver.websocket.protocol import bounded_websocket, drop_unfinished

LOG = logging.getLogger(__name__)

_SLOW_CHECK_SECONDS = 1.0
#: The option of glibc's ``malloc.h``, and its initial value in bytes.
_M_MMAP_THRESHOLD = -3
_LARGE = 131072
_BACKLOG = 2048
_CHECK_SECONDS = 0.05  # between checks whether the drain is complete
_OTHER_FILES = 256  # descriptors that are not connections


def allow_files(connections: int) -> None:
    """Raise the limit of open files for a number of connections."""
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
    """The listeners of a process, and their connections.

    Args:
        service: The state that the connections share.
        graceful_timeout: Seconds that they have to end.

    Attributes:
        service: The state that the connections share.
        stopping: Set when the drain begins.
        is_forced: True if the drain does not wait.
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
        """Serve until ``stopping`` is set, then until the connections have ended.

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
            # The queue is empty now, so few peers are delayed.
            if not isinstance(listener, Inherited):
                refuse_new_peers(listener)
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
    """Accept all connections in a listener's queue."""
    found = []
    with contextlib.suppress(OSError):  # raised when the queue is empty
        while True:
            found.append(listener.accept()[0])
    return found


def tune_collector() -> None:
    """Exclude loaded modules from garbage collection, and collect less often.

    Requests make hardly any reference cycles; with the default thresholds a busy
    server spends a tenth of its time looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def tune_allocator() -> None:
    """Return large blocks of memory to the system as soon as they are free.

    By default glibc keeps blocks of the size of a message in its heap, where
    fragmentation adds half as much again to the memory of connections.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def _web(
    conf: cfg.ConfigOpts, rest: RestEdge, frames: FrameEdge, budget: Budget
) -> Web:
    server, transport = conf.server, conf.transport
    socket_class = bounded_websocket(budget)
    settings = uvicorn.Config(
        frames.serve,
        loop="none",
        http=HttpConnection,  # required, but never used
        interface="asgi3",
        ws=socket_class,
        ws_max_size=2 * transport.max_messages_post_size + 65536,
        ws_per_message_deflate=False,
        ws_ping_interval=float(conf.websocket.ping_interval),
        ws_ping_timeout=float(conf.websocket.ping_interval),
        lifespan="off",
        log_config=None,
    )
    state = uvicorn.server.ServerState()

    def websocket() -> Any:
        return socket_class(settings, state, {})

    service = Service(
        rest,
        websocket,
        budget,
        request_timeout=server.request_timeout,
        keep_alive=server.keep_alive,
        max_connections=server.max_connections,
    )
    state.connections, state.tasks = service.connections, service.tasks
    return Web(service, server.graceful_timeout)


def obey_signals(web: Web, lifeline: int | None) -> None:
    """Begin the drain on SIGTERM and SIGINT; do not wait on the second.

    Args:
        web: What to stop.
        lifeline: A pipe; the drain also begins when its other end is closed.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, web, number)
    if lifeline is not None:
        loop.add_reader(lifeline, _abandoned, loop, web, lifeline)


def _stop(web: Web, number: int) -> None:
    if web.stopping.is_set():
        LOG.warning("second signal: not waiting for requests under way")
        web.is_forced = True
        return
    LOG.info("%s: draining", signal.Signals(number).name)
    web.stopping.set()


def _abandoned(loop: asyncio.AbstractEventLoop, web: Web, lifeline: int) -> None:
    loop.remove_reader(lifeline)
    LOG.warning("the supervisor is gone: draining")
    web.stopping.set()


async def _close_slow(
    conf: cfg.ConfigOpts, web: Web, frames: FrameEdge, budget: Budget
) -> None:
    service, loop = web.service, asyncio.get_running_loop()
    to_arrive, to_be_read = conf.server.request_timeout, conf.server.write_timeout
    while True:
        await asyncio.sleep(_SLOW_CHECK_SECONDS)
        for closed, why in (
            (service.expire(loop.time()), "sent no complete request"),
            (
                drop_unfinished(service.connections, to_arrive),
                "sent an incomplete message",
            ),
            (budget.drop_slow(to_be_read), "did not read their answers"),
            (
                frames.close_anonymous(conf.websocket.authentication_timeout),
                "did not authenticate",
            ),
            (frames.close_idle(conf.websocket.idle_timeout), "were idle"),
        ):
            if closed:
                LOG.info("closed %d connections that %s", closed, why)


async def serve(
    conf: cfg.ConfigOpts,
    rest: RestEdge,
    frames: FrameEdge,
    budget: Budget,
    listeners: list[socket.socket],
    *,
    ready: Callable[[], None],
    control: Callable[[Web], None],
    chores: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Serve both transports until ``control`` ends it and requests are done.

    Args:
        conf: The settings.
        rest: The REST edge.
        frames: The WebSocket edge.
        budget: The memory budget of connections.
        listeners: Bound sockets.
        ready: Called once connections are accepted.
        control: Gets what serves, to set ``stopping`` when it should end.
        chores: Background tasks; cancelled at the end.
    """
    web = _web(conf, rest, frames, budget)
    control(web)
    running = [
        asyncio.create_task(chore)
        for chore in (*chores, _close_slow(conf, web, frames, budget))
    ]
    try:
        await web.serve(listeners, ready)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


# -- SIGHUP --------------------------------------------------------------------


class Reload:
    """Reads the configuration again, applies what it can, and logs the rest.

    Args:
        conf: The settings that the server was started with.
        load: Reads them again.
        policy: The policy rules.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        load: Callable[[], cfg.ConfigOpts],
        policy: RulePolicy,
    ) -> None:
        self._conf = conf
        self._load = load
        self._policy = policy
        self._debug = conf.debug

    def __call__(self) -> None:
        """Reload; if a file is invalid, the previous settings stay in force."""
        LOG.info("SIGHUP: reading the policy and the settings again")
        self._policy.reload()
        try:
            found = self._load()
        except StartupError as error:
            LOG.error("the settings stay as they were: %s", error)  # noqa: TRY400 - the text says all
            return
        if found.debug != self._debug:
            self._debug = found.debug
            LOG.info("debug = %s", found.debug)
            log.set_level(debug=found.debug)
        waiting = sorted(self._changed(found))
        if waiting:
            LOG.warning("needs a restart: %s", ", ".join(waiting))
        LOG.info("SIGHUP: done")

    def _changed(self, found: cfg.ConfigOpts) -> Iterator[str]:
        """Yield the names of changed settings that need a restart."""
        for group, options in config.GROUPS.items():
            for option in options:
                name = option.dest
                now, then = (
                    config.value_of(conf, group, name) for conf in (found, self._conf)
                )
                if now != then and name != "debug":
                    yield f"[{group}] {option.name}"
