"""The server put together: the one module that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import uvicorn
from oslo_config import cfg

from zaqarserver import __version__, config
from zaqarserver.auth import NoAuth
from zaqarserver.context import Server
from zaqarserver.errors import SettingsError, StartupError, Unavailable
from zaqarserver.http import make_app
from zaqarserver.http.protocol import BoundedHttp, close_slow
from zaqarserver.metrics import Metrics
from zaqarserver.policy import RulePolicy
from zaqarserver.storage.base import Durability, Storage

LOG = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5
_SLOW_CHECK_SECONDS = 1.0


def load_storage(conf: cfg.ConfigOpts) -> Storage:
    """Make the driver for the configured URI.

    Raises:
        SettingsError: No driver takes the URI.
    """
    uri = config.storage_uri(conf)
    scheme = uri.partition(":")[0]
    found = entry_points(group="zaqarserver.storage", name=scheme)
    if not found:
        known = sorted(entry_points(group="zaqarserver.storage").names)
        raise SettingsError(
            f"[storage] uri: no driver for {scheme!r}; there are {', '.join(known)}."
        )
    driver = next(iter(found)).load()
    storage: Storage = driver.from_uri(uri, {"synchronous": conf.storage.synchronous})
    return storage


def check_exposure(conf: cfg.ConfigOpts) -> None:
    """Refuse to serve strangers without authentication, unless told to.

    Raises:
        SettingsError: The address is not a loopback one.
    """
    if conf.auth_strategy or conf.insecure:
        return
    host = conf.server.host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise SettingsError(
            f"[server] host = {host} can be reached from other machines and there is "
            "no authentication. Listen on 127.0.0.1, or say --insecure to give "
            "everybody full access."
        )


def _calm_collector() -> None:
    """Leave what was loaded alone, and look for garbage less often.

    Requests make hardly any reference cycles; the default thresholds spend a
    tenth of a busy server's time looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class _Uvicorn(uvicorn.Server):
    """Uvicorn that leaves signals to us and tells when it listens."""

    def __init__(self, settings: uvicorn.Config, ready: asyncio.Event) -> None:
        super().__init__(settings)
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: a drained server ends with status 0."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self._ready.set()


class Application:
    """A server from its start to its end."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        check_exposure(conf)
        self._conf = conf
        self.storage = load_storage(conf)
        self.metrics = Metrics()
        self.server = Server(config.settings_of(conf), self.storage, RulePolicy(conf))
        self.app = make_app(self.server, NoAuth(), self.metrics)
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Open the store, serve until a signal says stop, close the store.

        Raises:
            StartupError: The store or the address cannot be used.
        """
        listener = self._listen()
        try:
            await self.storage.open()
        except Unavailable as error:
            raise StartupError(f"the store cannot be reached: {error}") from error
        _calm_collector()
        try:
            await self._serve(listener)
        finally:
            await self.storage.close()
            LOG.info("stopped")

    def _listen(self) -> socket.socket:
        server = self._conf.server
        try:
            address = socket.getaddrinfo(
                server.host, server.port, type=socket.SOCK_STREAM
            )[0]
            listener = socket.socket(address[0], socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address[4])
        except OSError as error:
            raise StartupError(
                f"cannot listen on {server.host} port {server.port}: {error.strerror}"
            ) from error
        return listener

    def _uvicorn(self) -> _Uvicorn:
        server = self._conf.server
        settings = uvicorn.Config(
            self.app,
            loop="none",
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            limit_concurrency=server.max_connections,
            timeout_keep_alive=server.keep_alive,
            timeout_graceful_shutdown=server.graceful_timeout,
        )
        return _Uvicorn(settings, self._ready)

    async def _serve(self, listener: socket.socket) -> None:
        web = self._uvicorn()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, web, number)
        chores = [
            asyncio.create_task(self._announce(listener)),
            asyncio.create_task(self._sweep()),
            asyncio.create_task(self._close_slow(web)),
        ]
        try:
            await web.serve(sockets=[listener])
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)

    @staticmethod
    def _stop(web: _Uvicorn, number: int) -> None:
        if web.should_exit:
            LOG.warning("second signal: not waiting for requests under way")
            web.force_exit = True
            return
        LOG.info("%s: draining", signal.Signals(number).name)
        web.should_exit = True

    async def _announce(self, listener: socket.socket) -> None:
        await self._ready.wait()
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        LOG.info(
            "zaqarserver %s ready on http://%s:%d, storage %s, durability %s",
            __version__,
            shown,
            port,
            config.storage_uri(self._conf),
            self.storage.durability.value,
        )
        if self.storage.durability is not Durability.POWER_LOSS:
            LOG.warning(
                "an acknowledged message can be lost: durability is %s",
                self.storage.durability.value,
            )
        if not self._conf.auth_strategy:
            LOG.warning("no authentication: callers say who they are")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                while rows := await self.storage.sweep(time.time()):
                    self.metrics.count_swept(rows)
                    await asyncio.sleep(0)
            except Unavailable as error:
                LOG.warning("sweep put off: %s", error)

    async def _close_slow(self, web: Any) -> None:
        while True:
            await asyncio.sleep(_SLOW_CHECK_SECONDS)
            closed = close_slow(
                web.server_state.connections, self._conf.server.request_timeout
            )
            if closed:
                LOG.info("closed %d connections that sent no whole request", closed)
