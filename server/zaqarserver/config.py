"""The settings of the server, on ``oslo.config``.

Options that the messaging API knows have the names of ``rest-v2`` section 7;
each can be set in a file, by the environment (``OS_<GROUP>__<OPTION>``), and a
few on the command line, which goes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oslo_config import cfg

from zaqarserver.common import command_line, config_files, options
from zaqarserver.common.budget import MIB, MOST
from zaqarserver.common.options import setting
from zaqarserver.common.plugins import installed
from zaqarserver.errors import SettingsError
from zaqarserver.identity.trusts import KeystoneTrusts
from zaqarserver.notify.settings import NotifySettings
from zaqarserver.operations.limits import Limits, QuotaFile
from zaqarserver.operations.settings import CommonSettings, Settings

#: The server's own page behind the links of confirmation mails.
CONFIRM_PAGE = "/confirm"


def _was(name: str, part: str) -> list[cfg.DeprecatedOpt]:
    return [cfg.DeprecatedOpt(name, group=f"drivers:transport:{part}")]


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The group ``[server]``."""

    host: str = setting(
        "127.0.0.1",
        "The address to listen on.",
        cfg.HostAddressOpt,
        deprecated_opts=_was("bind", "wsgi"),
    )
    port: int = setting(
        8888,
        "The port to listen on; 0 picks a free one.",
        cfg.PortOpt,
        deprecated_opts=_was("port", "wsgi"),
    )
    graceful_timeout: int = setting(
        10, "Seconds that requests under way have to finish after SIGTERM.", min=0
    )
    request_timeout: int = setting(
        30, "Seconds that a request may take to arrive.", min=1
    )
    keep_alive: int = setting(
        75, "Seconds that an idle connection is kept open.", min=1
    )
    max_connections: int = setting(
        4096, "Connections at once; more are answered 503.", min=1
    )
    write_timeout: int = setting(
        30,
        "Seconds that a peer may leave an answer unread before it is dropped. "
        "Each 16 KiB that it reads extend them by a second.",
        min=1,
    )
    max_waiting_bytes: int = setting(
        MOST,
        "Bytes that all connections of a process may keep in memory: requests that "
        "arrive, and answers and pushes that were not read yet. Requests above that "
        "are answered 503.",
        min=16 * MIB,
    )
    metrics_host: str = setting(
        "127.0.0.1",
        "The address of the additional port for metrics.",
        cfg.HostAddressOpt,
    )
    metrics_port: int = setting(
        0,
        "A port on which only this process answers, for its /metrics; 0 for "
        "none. With several workers each has the next port.",
        cfg.PortOpt,
    )


@dataclass(frozen=True, kw_only=True)
class WebSocketSettings:
    """The group ``[websocket]``."""

    host: str = setting(
        "127.0.0.1",
        "The address to listen on for WebSockets.",
        cfg.HostAddressOpt,
        deprecated_opts=_was("bind", "websocket"),
    )
    port: int = setting(
        9000,
        "The port to listen on for WebSockets; 0 picks a free one. The REST "
        "port takes them too.",
        cfg.PortOpt,
        deprecated_opts=_was("port", "websocket"),
    )
    ping_interval: int = setting(
        20, "Seconds between pings; a peer that does not answer one is dropped.", min=1
    )
    idle_timeout: int = setting(
        3600,
        "Seconds after which a connection is closed that sends nothing and is "
        "subscribed to nothing.",
        min=1,
    )
    authentication_timeout: int = setting(
        60,
        "With auth_strategy: seconds after which a connection is closed that has "
        "not authenticated and sends nothing with a valid signature.",
        min=1,
    )


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The group ``[storage]``."""

    uri: str = setting(
        "",
        "Where messages are stored: sqlite:///PATH, or sqlite://:memory: to "
        "lose all at the end; or a store that servers share: redis://HOST:PORT, "
        "rediss://, redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST. "
        "Empty: a file under the state directory.",
        sample_default="sqlite:///$XDG_STATE_HOME/zaqarserver/zaqar.db",
    )
    synchronous: str = setting(
        "full",
        "How durable SQLite makes a message before it is acknowledged.",
        choices=[
            ("full", "A 201 means that the message is on disk."),
            ("normal", "A power loss may lose the last changes; a crash does not."),
        ],
    )
    idempotency_window: int = setting(
        600,
        "Seconds for which the Idempotency-Key of a post is remembered; 0: such keys "
        "are not looked at.",
        min=0,
        max=86400,
    )
    message_pipeline: tuple[str, ...] = setting(
        ("json_schema", "encryption"),
        "The stages that each message goes through, in the order of posting.",
    )


@dataclass(frozen=True, kw_only=True)
class PoolingSettings:
    """The group ``[pooling:catalog]``."""

    enable_virtual_pool: bool = setting(
        False,
        "While no pool is registered, let the store of [storage] uri take new "
        "queues. Without it they are refused with 503 until there is one.",
    )


@dataclass(frozen=True, kw_only=True)
class CorsSettings:
    """The group ``[cors]``."""

    allowed_origin: tuple[str, ...] = setting(
        (),
        "Origins of web pages that may use the service from a browser, such as "
        "https://app.example; * for all.",
    )
    allow_credentials: bool = setting(
        False, "Allow those pages to send the browser's credentials."
    )


@dataclass(frozen=True, kw_only=True)
class SignedUrlSettings:
    """The group ``[signed_url]``."""

    secret_key: str = setting(
        "",
        "The key of pre-signed URLs. Without it no URL can be signed, and no request "
        "to confirm can be sent to subscribers. A new key invalidates all URLs that "
        "were signed with the old one.",
        secret=True,
    )


_GROUPS: dict[str, tuple[type, ...]] = {
    "DEFAULT": (CommonSettings,),
    "server": (ServerSettings,),
    "websocket": (WebSocketSettings,),
    "storage": (StorageSettings,),
    "pooling:catalog": (PoolingSettings,),
    "transport": (Settings,),
    "cors": (CorsSettings,),
    "signed_url": (SignedUrlSettings,),
    "quota": (Limits, QuotaFile),
    "notification": (NotifySettings,),
}

#: Pairs of settings in [transport] of which the first must not exceed the second.
_ORDERED = (
    ("min_message_ttl", "default_message_ttl"),
    ("default_message_ttl", "max_message_ttl"),
    ("min_claim_ttl", "default_claim_ttl"),
    ("default_claim_ttl", "max_claim_ttl"),
    ("min_claim_grace", "default_claim_grace"),
    ("default_claim_grace", "max_claim_grace"),
    ("min_length_client_id", "max_length_client_id"),
)
#: The groups of Keystone, which may be configured and switched off, by the entry
#: points with their options.
_OF_KEYSTONE = {"keystone": "keystone_authtoken", "trustee": "trustee"}

#: All options, by group.
GROUPS: dict[str, list[cfg.Opt]] = {
    group: options.options(*parts) for group, parts in _GROUPS.items()
}


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return all options by group, as the oslo.config tools ask for them."""
    return list(GROUPS.items())


def load(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration.

    Args:
        arguments: The command line without the program's name.

    Raises:
        SettingsError: A file or value is invalid; the text names it.
    """
    given = command_line.parse(arguments)
    conf = _register()
    try:
        conf(command_line.config_arguments(given), project="zaqarserver")
    except cfg.Error as error:
        raise SettingsError(str(error)) from error
    for (group, name), value in command_line.settings_of(given).items():
        _override(conf, group, name, value, command_line.option_of(group, name))
    _check(conf)
    return conf


def of_values(values: Mapping[str, Mapping[str, Any]]) -> cfg.ConfigOpts:
    """Return a configuration of these values, by group; no file or variable counts.

    Raises:
        SettingsError: A value is invalid; the text names it.
    """
    conf = _register()
    conf([], default_config_files=[], default_config_dirs=[], use_env=False)
    for group, some in values.items():
        for name, value in some.items():
            _override(conf, group, name, value, f"[{group}] {name}")
    _check(conf)
    return conf


def _register() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group, found in GROUPS.items():
        conf.register_opts(found, group=None if group == "DEFAULT" else group)
    return conf


def _override(
    conf: cfg.ConfigOpts, group: str, name: str, value: Any, shown: str
) -> None:
    try:
        conf.set_override(name, value, None if group == "DEFAULT" else group)
    except (cfg.Error, ValueError) as error:
        reason = config_files.reason_of(error)
        raise SettingsError(f"{shown}: {reason}") from error


def _check(conf: cfg.ConfigOpts) -> None:
    """Read each value, which checks it.

    Raises:
        SettingsError: One is invalid; the text names its place.
    """
    for group, found in GROUPS.items():
        for option in found:
            try:
                _ = value_of(conf, group, option.dest)
            except ValueError as error:
                place = config_files.place_of(conf, group, option)
                reason = config_files.reason_of(error)
                raise SettingsError(
                    f"{place}[{group}] {option.name}: {reason}"
                ) from error
    transport = conf.transport
    for low, high in _ORDERED:
        if transport[low] > transport[high]:
            raise SettingsError(
                f"[transport] {low} = {transport[low]} must not exceed {high} = "
                f"{transport[high]}."
            )


def value_of(conf: cfg.ConfigOpts, group: str, name: str) -> Any:
    """Return the value of an option."""
    return conf[name] if group == "DEFAULT" else conf[group][name]


def unknown_settings(conf: cfg.ConfigOpts) -> Iterator[str]:
    """Yield what files and environment set that the server does not know.

    Args:
        conf: The configuration of a server that was put together, since its parts
            register options of their own.
    """
    known = list_opts()
    foreign = set(_OF_KEYSTONE.values())
    for entry in installed("oslo.config.opts"):
        if (
            entry.name.removeprefix("zaqarserver.") in _OF_KEYSTONE
            and conf.auth_strategy
        ):
            known += entry.load()()
            foreign.clear()
    for assignment, hint in config_files.unknown(conf, known):
        if assignment.group not in foreign:
            yield f"{assignment.place}: {hint}"


def settings_of(conf: cfg.ConfigOpts) -> Settings:
    """Return the settings for handlers and edges."""
    common = options.values(CommonSettings, conf)
    window = conf.storage.idempotency_window
    return Settings(
        **common,
        **options.values(Settings, conf.transport),
        idempotency_window=window,
    )


def storage_uri(conf: cfg.ConfigOpts) -> str:
    """Return the storage URI, by default a file under the XDG state directory."""
    if conf.storage.uri:
        return str(conf.storage.uri)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    path = Path(home).absolute() / "zaqarserver" / "zaqar.db"
    return f"sqlite:///{quote(str(path))}"


def notify_settings_of(
    conf: cfg.ConfigOpts, trusts: KeystoneTrusts | None = None
) -> NotifySettings:
    """Return the settings of the notifier, with the source of its tokens.

    Without authentication only callers on this machine are served. They can reach
    loopback addresses anyway, so webhooks may reach them, too.
    """
    values = options.values(NotifySettings, conf.notification)
    if not conf.auth_strategy and not conf.insecure:
        values["allowed_networks"] += ("127.0.0.0/8", "::1/128")
    if not values["external_confirmation_url"] and values["public_url"]:
        page = values["public_url"].rstrip("/") + CONFIRM_PAGE
        values["external_confirmation_url"] = page
    return NotifySettings(trusts=trusts, **values)
