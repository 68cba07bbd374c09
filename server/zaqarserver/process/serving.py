"""Listening and serving: sockets, uvicorn, signals, and the chores beside it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import uvicorn
from oslo_config import cfg

from zaqarserver.common.budget import Budget
from zaqarserver.errors import StartupError
from zaqarserver.http.connection import HttpConnection
from zaqarserver.http.service import Service
from zaqarserver.process.web import Web
from zaqarserver.websocket import FrameEdge
from zaqarserver.websocket.protocol import bounded_websocket, drop_unfinished

LOG = logging.getLogger(__name__)

_SLOW_CHECK_SECONDS = 1.0
#: Of glibc's ``malloc.h``, and the size in bytes that it begins with.
_M_MMAP_THRESHOLD = -3
_LARGE = 131072


def calm_collector() -> None:
    """Leave what was loaded alone, and look for garbage less often.

    Requests make hardly any reference cycles; the default thresholds spend a
    tenth of a busy server's time looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def calm_allocator() -> None:
    """Give large pieces of memory back as soon as they are free.

    Left alone, glibc keeps pieces like those of a message in a heap, whose holes add
    half as much again to what connections keep.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def listen(conf: cfg.ConfigOpts, group: str) -> socket.socket:
    """Bind the address of ``[server]`` or ``[websocket]``.

    Raises:
        StartupError: The address is wrong or taken.
    """
    return _bind(conf[group].host, conf[group].port)


def _bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(address[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address[4])
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host} port {port}: {error.strerror}"
        ) from error
    return listener


def listen_all(
    conf: cfg.ConfigOpts, given: Mapping[str, socket.socket], worker: int | None
) -> dict[str, socket.socket]:
    """Bind the addresses of both transports, and the one of the metrics.

    WebSockets are done without (the REST port takes them too) if only their
    default port is taken.

    Args:
        conf: The settings.
        given: Sockets that this process was started with, by group.
        worker: Which worker this is, since each has a port for its own metrics;
            ``None`` for their supervisor, which has none.

    Returns:
        The sockets by what they are for: ``server``, ``websocket``, ``metrics``.

    Raises:
        StartupError: An address is wrong or taken.
    """
    found = dict(given) or {"server": listen(conf, "server")}
    if not given:
        try:
            found["websocket"] = listen(conf, "websocket")
        except StartupError as error:
            place = conf.get_location("port", "websocket")
            if place is None or place.location is not cfg.Locations.opt_default:
                found["server"].close()
                raise
            LOG.warning("%s; WebSockets are served on the REST port only", error)
    if conf.server.metrics_port and worker is not None:
        port = conf.server.metrics_port + worker
        # A worker and its successor have the same port for a moment.
        found["metrics"] = _bind(conf.server.metrics_host, port, shared=True)
    return found


def places(sockets: Mapping[str, socket.socket]) -> str:
    """Say where a server listens."""
    schemes = {"websocket": "ws"}
    return " and ".join(
        f"{schemes.get(name, 'http')}://{_host_and_port(one)}"
        for name, one in sockets.items()
    )


def _host_and_port(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _web(conf: cfg.ConfigOpts, rest: Any, frames: FrameEdge, budget: Budget) -> Web:
    server, transport = conf.server, conf.transport
    socket_class = bounded_websocket(budget)
    settings = uvicorn.Config(
        frames.serve,
        loop="none",
        http=HttpConnection,  # which it never makes
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
            (service.expire(loop.time()), "sent no whole request"),
            (drop_unfinished(service.connections, to_arrive), "sent half a message"),
            (budget.drop_slow(to_be_read), "did not read their answers"),
            (
                frames.close_anonymous(conf.websocket.authentication_timeout),
                "did not authenticate",
            ),
            (frames.close_idle(conf.websocket.idle_timeout), "were silent"),
        ):
            if closed:
                LOG.info("closed %d connections that %s", closed, why)


async def serve(
    conf: cfg.ConfigOpts,
    rest: Any,
    frames: FrameEdge,
    budget: Budget,
    listeners: list[socket.socket],
    *,
    ready: Callable[[], None],
    lifeline: int | None = None,
    chores: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Serve both transports until a signal says stop and requests are done.

    Args:
        conf: The settings.
        rest: The application of the REST API.
        frames: The WebSocket edge.
        budget: What connections may keep.
        listeners: Bound sockets.
        ready: Called once connections are accepted.
        lifeline: A descriptor that ends when the server is to stop.
        chores: What else runs meanwhile; cancelled at the end.
    """
    web = _web(conf, rest, frames, budget)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, web, number)
    if lifeline is not None:
        loop.add_reader(lifeline, _abandoned, loop, web, lifeline)
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
