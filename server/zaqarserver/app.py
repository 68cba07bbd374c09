"""The server put together: the one module that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

import uvicorn
from oslo_config import cfg

from zaqarserver import __version__, config
from zaqarserver.auth import NoAuth, is_loopback_host
from zaqarserver.context import Server
from zaqarserver.errors import SettingsError, StartupError, Unavailable
from zaqarserver.http import make_app
from zaqarserver.http.app import Cors
from zaqarserver.http.protocol import bounded_http, close_slow
from zaqarserver.metrics import Metrics
from zaqarserver.notify.confirmation import Confirmations
from zaqarserver.notify.websocket import Hub, admits
from zaqarserver.notify.worker import Notifier
from zaqarserver.policy import RulePolicy
from zaqarserver.signing import Signer
from zaqarserver.stages.pipeline import load_pipeline
from zaqarserver.storage.base import Durability, Metadata, Storage
from zaqarserver.storage.subscriptions import Noticed, Subscription
from zaqarserver.websocket import FrameEdge
from zaqarserver.websocket.protocol import DroppableWebSocket

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
    for group in ("server", "websocket"):
        host = conf[group].host
        if not is_loopback_host(host):
            raise SettingsError(
                f"[{group}] host = {host} can be reached from other machines and "
                "there is no authentication. Listen on 127.0.0.1, or say --insecure "
                "to give everybody full access."
            )


def dispatcher(rest: Any, frames: FrameEdge) -> Callable[[Any, Any, Any], Any]:
    """Return an ASGI application that serves REST and WebSockets."""

    def app(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] == "websocket":
            return frames.serve(scope, receive, send)
        return rest(scope, receive, send)

    return app


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


_EXPOSED = (
    "X-Auth-Token",
    "X-Subject-Token",
    "X-Service-Token",
    "X-OpenStack-Request-ID",
)


def _cors(conf: cfg.ConfigOpts) -> Cors | None:
    origins = conf.cors.allowed_origin
    if not origins:
        return None
    shown = "*" if "*" in origins else origins
    return Cors(
        allow_origins=shown,
        expose_headers=_EXPOSED,
        allow_credentials=shown if conf.cors.allow_credentials else None,
    )


def _origins(conf: cfg.ConfigOpts) -> frozenset[str] | None:
    """Return which web pages may open WebSockets; ``None`` for all.

    Where callers authenticate, a foreign page lacks the token. Where they do not,
    any page that a developer looks at could use the server on the same machine.
    """
    if conf.auth_strategy or "*" in conf.cors.allowed_origin:
        return None
    return frozenset(conf.cors.allowed_origin)


def _push_base(conf: cfg.ConfigOpts) -> str:
    """Return what the subscribers of push subscriptions begin with."""
    host = conf.websocket.host
    shown = f"[{host}]" if ":" in host else host
    port = conf.websocket.port
    return f"http://{shown}:{port}" if port else f"http://{shown}"


def _host_and_port(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Notices:
    """What handlers need of the notifier."""

    def __init__(self, confirmations: Confirmations, hub: Hub, ttl: int) -> None:
        self._confirmations = confirmations
        self._hub = hub
        self._ttl = ttl

    def subscribed(self, subscription: Subscription) -> None:
        """Ask a new subscriber whether it wants messages, if that is required."""
        self._confirmations.subscribed(subscription)

    def changed(self, subscription: Subscription) -> None:
        """Follow a change of a subscription that a connection listens to."""
        self._hub.change(subscription)

    def unsubscribed(self, subscription: Subscription) -> None:
        """Tell a subscriber that it gets nothing more, if it had to agree."""
        self._confirmations.unsubscribed(subscription, self._ttl)


class Application:
    """A server from its start to its end."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        check_exposure(conf)
        self._conf = conf
        self.storage = load_storage(conf)
        self.metrics = Metrics()
        stages = load_pipeline(conf.storage.message_pipeline, conf.transport)
        signer = Signer(conf.signed_url.secret_key)
        settings = config.settings_of(conf)
        notify_settings = config.notify_settings_of(conf)
        self.notifier = Notifier(
            self.storage,
            notify_settings,
            queue_metadata=self._metadata,
            readable=self._readable,
        )
        self.confirmations = Confirmations(
            notify_settings,
            signer.sign_text if signer.can_sign else None,
            dispatch=self.notifier.dispatch,
            slots=self.notifier.slots,
            clock=self.notifier.clock,
        )
        hub = Hub(stages.read, admits)
        self.server = Server(
            settings,
            self.storage,
            RulePolicy(conf),
            _Notices(self.confirmations, hub, settings.default_subscription_ttl),
            stages,
            signer,
        )
        self.metrics.watch_notifications(self.notifier.counters)
        self.storage.watch(hub.posted, self.notifier.noticed)
        self.frames = FrameEdge(
            self.server,
            NoAuth(),
            self.metrics,
            hub,
            _push_base(conf),
            _origins(conf),
        )
        self.app = dispatcher(
            make_app(self.server, NoAuth(), self.metrics, cors=_cors(conf)),
            self.frames,
        )
        self._ready = asyncio.Event()

    async def _metadata(self, project: str, queue: str) -> Metadata | None:
        found = await self.storage.queue_get(project, queue)
        return None if found is None else found.metadata

    async def _readable(self, project: str, queue: str, message: Noticed) -> bytes:
        return self.server.stages.read(project, queue, message.body)

    async def run(self) -> None:
        """Open the store, serve until a signal says stop, close the store.

        Raises:
            StartupError: The store or the address cannot be used.
        """
        listeners = [self._listen("server")]
        frames = self._listen_for_frames()
        if frames is not None:
            listeners.append(frames)
        try:
            await self.storage.open()
        except Unavailable as error:
            raise StartupError(f"the store cannot be reached: {error}") from error
        _calm_collector()
        try:
            await self.notifier.start()
            await self._serve(listeners)
        finally:
            self.confirmations.close()
            await self.notifier.stop()
            await self.storage.close()
            LOG.info("stopped")

    def _listen(self, group: str) -> socket.socket:
        settings = self._conf[group]
        try:
            address = socket.getaddrinfo(
                settings.host, settings.port, type=socket.SOCK_STREAM
            )[0]
            listener = socket.socket(address[0], socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address[4])
        except OSError as error:
            raise StartupError(
                f"cannot listen on {settings.host} port {settings.port}: "
                f"{error.strerror}"
            ) from error
        return listener

    def _listen_for_frames(self) -> socket.socket | None:
        """Listen for WebSockets; do without if only the default port is taken."""
        try:
            return self._listen("websocket")
        except StartupError as error:
            place = self._conf.get_location("port", "websocket")
            if place is None or place.location is not cfg.Locations.opt_default:
                raise
            LOG.warning("%s; WebSockets are served on the REST port only", error)
            return None

    def _uvicorn(self) -> _Uvicorn:
        server, transport = self._conf.server, self._conf.transport
        settings = uvicorn.Config(
            self.app,
            loop="none",
            http=bounded_http(server.max_connections),
            interface="asgi3",
            ws=DroppableWebSocket,
            ws_max_size=2 * transport.max_messages_post_size + 65536,
            ws_per_message_deflate=False,
            ws_ping_interval=float(self._conf.websocket.ping_interval),
            ws_ping_timeout=float(self._conf.websocket.ping_interval),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
            timeout_keep_alive=server.keep_alive,
            timeout_graceful_shutdown=server.graceful_timeout,
        )
        return _Uvicorn(settings, self._ready)

    async def _serve(self, listeners: list[socket.socket]) -> None:
        web = self._uvicorn()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, web, number)
        chores = [
            asyncio.create_task(self._announce(listeners)),
            asyncio.create_task(self._sweep()),
            asyncio.create_task(self._close_slow(web)),
        ]
        try:
            await web.serve(sockets=listeners)
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

    async def _announce(self, listeners: list[socket.socket]) -> None:
        await self._ready.wait()
        places = [
            f"{scheme}://{_host_and_port(listener)}"
            for scheme, listener in zip(("http", "ws"), listeners, strict=False)
        ]
        LOG.info(
            "zaqarserver %s ready on %s, storage %s, durability %s",
            __version__,
            " and ".join(places),
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
            idle = self.frames.close_idle(self._conf.websocket.idle_timeout)
            if idle:
                LOG.info("closed %d WebSockets that were silent", idle)
