"""The server put together: the one module that knows every part."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from oslo_config import cfg

from zaqarserver import __version__, config
from zaqarserver.clock import Clock
from zaqarserver.common.budget import Budget
from zaqarserver.common.metrics import Metrics
from zaqarserver.common.plugins import load_plugin
from zaqarserver.common.tasks import Turns
from zaqarserver.errors import SettingsError, StartupError, Unavailable
from zaqarserver.http import RestEdge
from zaqarserver.identity.access import RulePolicy
from zaqarserver.identity.auth import Authenticator, NoAuth, is_loopback_host
from zaqarserver.identity.trusts import KeystoneTrusts
from zaqarserver.notify.confirmation import Confirmations
from zaqarserver.notify.cursors import BacklogReader
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.notify.websocket import Hub
from zaqarserver.notify.worker import Notifier
from zaqarserver.operations.context import NoTrusts, Server, SubscriptionEvents
from zaqarserver.operations.limits import quotas_of
from zaqarserver.operations.signed_urls import Signer
from zaqarserver.process import listening, serving
from zaqarserver.process.edges import cors_of, origins_of, push_base_of
from zaqarserver.process.timekeeping import Timekeeper
from zaqarserver.spaces import project_of
from zaqarserver.stages.pipeline import load_pipeline
from zaqarserver.storage.base import Durability, Metadata, Storage
from zaqarserver.storage.commands import QueueGet
from zaqarserver.storage.pooled import PooledStorage
from zaqarserver.storage.subscriptions import NoticeMessage
from zaqarserver.storage.uris import masked
from zaqarserver.websocket import FrameEdge

LOG = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5
#: The end of the sentence on messages that were acknowledged.
_LASTING = {
    Durability.POWER_LOSS: "survive a power loss",
    Durability.PROCESS_CRASH: "survive a crash of the server, but not a power loss",
    Durability.MEMORY: "are lost when the store ends: it is in memory",
}
#: Expired rows are removed after this time: by then they have expired for every
#: server of the store, whose times differ by less.
_SWEEP_LATE = 2.0


def load_driver(uri: str, options: Mapping[str, Any]) -> Storage:
    """Return the driver of a URI; unknown options have no effect.

    Raises:
        SettingsError: No driver has this scheme, or an option is invalid.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator:
        raise SettingsError(f"{uri!r} is not a URI; a file is sqlite://{uri}")
    driver: type[Storage] = load_plugin(
        "zaqarserver.storage", scheme, f"a store {scheme}://"
    )
    known_options = {
        name: str(value)
        for name, value in options.items()
        if name in driver.option_names
    }
    return driver.from_uri(uri, known_options)


def load_storage(conf: cfg.ConfigOpts, clock: Clock | None = None) -> Storage:
    """Return the store of the configuration.

    Args:
        conf: The settings.
        clock: The clock; not needed for a store that is never opened.

    Raises:
        SettingsError: A setting is invalid.
    """
    uri, options = config.storage_uri(conf), {"synchronous": conf.storage.synchronous}
    try:
        home = load_driver(uri, options)
    except SettingsError as error:
        raise SettingsError(f"[storage] uri: {error}") from error
    if not conf.pooling:
        return home
    return PooledStorage(
        home,
        # A pool has the options of the home store, unless its own override them.
        lambda of_pool, own: load_driver(of_pool, {**options, **own}),
        project_of,
        home_uri=uri,
        virtual=conf["pooling:catalog"].enable_virtual_pool,
        clock=(clock or Clock()).now,
    )


def check_exposure(conf: cfg.ConfigOpts) -> None:
    """Refuse to serve other machines without authentication, unless ``insecure``.

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
                "there is no authentication. Listen on 127.0.0.1, or use --insecure "
                "to give every client full access."
            )


def load_authenticator(
    conf: cfg.ConfigOpts, clock: Clock | None = None
) -> Authenticator:
    """Return the authenticator of the configuration.

    Raises:
        SettingsError: Its settings are invalid, or a module is not installed.
    """
    if not conf.auth_strategy:
        return NoAuth()
    make = load_plugin(
        "zaqarserver.auth",
        conf.auth_strategy,
        f"[DEFAULT] auth_strategy = {conf.auth_strategy}",
    )
    authenticator: Authenticator = make(conf, clock)
    return authenticator


def load_trusts(conf: cfg.ConfigOpts, clock: Clock) -> KeystoneTrusts | None:
    """Return the trusts of the configuration; ``None`` without a trustee.

    Raises:
        SettingsError: Its settings are invalid.
    """
    if conf.auth_strategy != "keystone":
        return None
    # Its requirements are installed only with Keystone, and checked by now.
    from zaqarserver.identity.trustee import load_trustee  # noqa: PLC0415

    trustee = load_trustee(conf)
    return None if trustee is None else KeystoneTrusts(trustee, clock)


def _sizes(store: Path | None) -> Iterator[int]:
    """Yield the sizes of the files of a store, its log and its reserve included."""
    for suffix in ("", "-wal", "-reserve") if store else ():
        with contextlib.suppress(OSError):
            yield Path(f"{store}{suffix}").stat().st_size


class Application:
    """A server from its start to its end.

    Args:
        conf: The settings.
        clock: Its clock; by default the real one.
    """

    def __init__(self, conf: cfg.ConfigOpts, clock: Clock | None = None) -> None:
        check_exposure(conf)
        self._conf = conf
        self.clock = clock or Clock()
        authenticator = load_authenticator(conf, self.clock)
        self.storage = load_storage(conf, self.clock)
        self._timekeeper = Timekeeper(self.clock, self.storage)
        self.metrics = Metrics()
        self._stages = load_pipeline(conf.storage.message_pipeline, conf.transport)
        self._signer = Signer(conf.signed_url.secret_key)
        self._trusts = load_trusts(conf, self.clock)
        self._turns = Turns()
        self._make_notifier(config.notify_settings_of(conf, self._trusts))
        self.policy = RulePolicy(conf)
        self.server = self._server()
        self._watch()
        self.frames = FrameEdge(
            self.server,
            authenticator,
            self.metrics,
            self._hub,
            push_base_of(conf),
            origins_of(conf),
        )
        self.storage.watch(
            self._hub.on_post,
            self.notifier.wake,
            self.frames.restart_listeners,
            self._read_again,
            self.server.waiters.on_free,
        )
        self.rest = RestEdge(self.server, authenticator, self.metrics, cors_of(conf))

    def _make_notifier(self, settings: NotifySettings) -> None:
        """Make what sends notifications, pushes and requests to confirm."""
        self.notifier = Notifier(
            self.storage,
            settings,
            queue_metadata=self._metadata,
            readable=self._readable,
            clock=self.clock,
            turns=self._turns,
        )
        self.confirmations = Confirmations(
            settings,
            self._signer.sign_text if self._signer.can_sign else None,
            dispatcher=self.notifier.dispatcher,
            slots=self.notifier.slots,
            clock=self.clock,
        )
        most = self._conf.transport.max_messages_post_size
        reader = BacklogReader(self.storage, self.clock.now, most)
        self._hub = Hub(self._stages.read, self._turns, reader)

    def _server(self) -> Server:
        """Return the parts that handlers use."""
        settings = config.settings_of(self._conf)
        pooled = self.storage if isinstance(self.storage, PooledStorage) else None
        events = SubscriptionEvents(
            subscribed=self.confirmations.subscribed,
            changed=self._hub.change,
            deleted=self._hub.forget,
            unsubscribed=functools.partial(
                self.confirmations.unsubscribed, ttl=settings.default_subscription_ttl
            ),
        )
        return Server(
            settings,
            self.storage,
            self.policy,
            self._signer,
            events,
            self._stages,
            quotas_of(self._conf),
            pools=pooled.pools if pooled else None,
            drains=pooled.drains if pooled else None,
            trusts=self._trusts or NoTrusts(),
            turns=self._turns,
            budget=Budget(self._conf.server.max_waiting_bytes),
            clock=self.clock,
        )

    def _watch(self) -> None:
        self.metrics.watch(
            "zaqar_notifications",
            "Messages for subscribers by what became of them.",
            ("event", "kind"),
            self.notifier.counters,
        )
        self.metrics.watch(
            "zaqar_quota_refusals",
            "Requests and sockets that a quota refused.",
            ("quota",),
            lambda: self.server.quotas.refused,
        )
        self.metrics.watch(
            "zaqar_trusts",
            "Trusts of subscriptions: made, removed, or left to expire because they "
            "could not be removed.",
            ("event",),
            self._trusts.counters if self._trusts else dict,
        )

        self.metrics.show(
            "zaqar_websockets", "Open WebSockets.", lambda: self.frames.count
        )
        self.metrics.show(
            "zaqar_waiters",
            "Requests that wait for messages.",
            self.server.waiters.count,
        )
        self.metrics.show(
            "zaqar_waiting_bytes",
            "Bytes of requests that arrive and of answers that were not read.",
            lambda: self.server.budget.held,
        )
        self.metrics.show(
            "zaqar_store_bytes",
            "Bytes of the files of the store; 0 if it is not in files.",
            lambda: sum(_sizes(self.storage.file)),
        )

    def _read_again(self) -> None:
        """Look for what other servers have posted unheard."""
        self._hub.read_again()
        self.server.waiters.wake_all()

    async def _metadata(self, project: str, queue: str) -> Metadata | None:
        found = await self.storage.do(QueueGet(project, queue))
        return None if found is None else found.metadata

    def _readable(self, project: str, queue: str, message: NoticeMessage) -> bytes:
        return self._stages.read(project, queue, message.body)

    async def run(
        self,
        sockets: Mapping[str, socket.socket],
        control: Callable[[serving.Web], None],
    ) -> None:
        """Open the store, serve until ``control`` ends it, close the store.

        Args:
            sockets: Bound sockets by group: ``server``, ``websocket``, ``metrics``.
            control: Gets what serves once the store is open, to stop it later.

        Raises:
            StartupError: The store cannot be used.
        """
        try:
            await self.storage.open()
            await self._timekeeper.begin()
        except Unavailable as error:
            reason = str(error).removeprefix("the store cannot be used: ")
            raise StartupError(f"the store cannot be reached: {reason}") from error
        try:
            await self.notifier.start()
            await serving.serve(
                self._conf,
                self.rest,
                self.frames,
                self.server.budget,
                list(sockets.values()),
                ready=lambda: self._announce(listening.places(sockets)),
                control=control,
                chores=[self._timekeeper.keep(), self._sweep()],
            )
        finally:
            self.confirmations.close()
            await self.notifier.stop()
            if self._trusts is not None:
                await self._trusts.close()
            await self.storage.close()
            LOG.info("stopped")

    def _announce(self, places: str) -> None:
        listening.notify(os.environ, "READY=1")
        LOG.info(
            "zaqarserver %s ready on %s; messages are kept in %s",
            __version__,
            places,
            masked(config.storage_uri(self._conf)),
        )
        durability = self.storage.durability
        LOG.log(
            logging.INFO if durability is Durability.POWER_LOSS else logging.WARNING,
            "messages %s",
            _LASTING[durability],
        )
        if not self._conf.auth_strategy:
            LOG.warning(
                "no authentication: every program that reaches the server may use "
                "every project"
            )

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                while rows := await self.storage.sweep(*self._over()):
                    self.metrics.count_swept(rows)
                    await asyncio.sleep(0)
            except Unavailable as error:
                LOG.warning("sweep postponed: %s", error)

    def _over(self) -> tuple[float, float]:
        """Return the times before which rows, and signed URLs, have expired.

        Signed URLs expire by the system's clock. If it was set, they are kept until
        they have expired by both clocks: a revoked one must not become valid again.
        """
        now = self.clock.now()
        return now - _SWEEP_LATE, min(now, self.clock.wall()) - _SWEEP_LATE
