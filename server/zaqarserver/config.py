"""The settings of the server, on ``oslo.config``.

Options that the messaging API knows have the names of ``rest-v2`` section 7;
each can be set in a file, by the environment (``OS_<GROUP>__<OPTION>``), and a
few on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from oslo_config import cfg

from zaqarserver import __version__
from zaqarserver.budget import MIB, MOST
from zaqarserver.context import Settings
from zaqarserver.errors import SettingsError
from zaqarserver.notify.options import NOTIFICATION_OPTS
from zaqarserver.notify.settings import NotifySettings, TrustTokens
from zaqarserver.quota_options import QUOTA_OPTS

_BASE = Settings()
#: The server's own page behind the links of confirmation mails.
CONFIRM_PAGE = "/confirm"

DEFAULT_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "auth_strategy",
        default="",
        choices=[
            ("", "No authentication: requests are believed. Loopback only."),
            ("keystone", "Keystone tokens, checked as [keystone_authtoken] says."),
        ],
        help="How callers are authenticated.",
    ),
    cfg.BoolOpt(
        "admin_mode",
        default=_BASE.admin_mode,
        help="Serve the routes for administrators (health, pools) as well.",
    ),
    cfg.BoolOpt(
        "pooling",
        default=_BASE.pooling,
        help="Keep queues in pools: stores that administrators register. The store of "
        "[storage] uri keeps the catalogue of them.",
    ),
    cfg.BoolOpt(
        "enable_checksum",
        default=_BASE.enable_checksum,
        help="Keep a checksum with each posted message.",
    ),
    cfg.BoolOpt("debug", default=False, help="Log more: level DEBUG."),
    cfg.BoolOpt("use_json", default=False, help="Log JSON lines instead of text."),
]

CLI_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        help="Server processes on the same port. More than one needs a store that "
        "processes share, such as redis://HOST. SIGHUP replaces them one by one.",
    ),
    cfg.BoolOpt(
        "insecure",
        default=False,
        help="Without authentication, listen on other addresses than loopback too. "
        "Everybody who reaches the port then has full access to every project.",
    ),
]

SERVER_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        deprecated_opts=[cfg.DeprecatedOpt("bind", group="drivers:transport:wsgi")],
        help="The address to listen on.",
    ),
    cfg.PortOpt(
        "port",
        default=8888,
        deprecated_opts=[cfg.DeprecatedOpt("port", group="drivers:transport:wsgi")],
        help="The port to listen on; 0 picks a free one.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=10,
        min=0,
        help="Seconds that requests under way get to finish after SIGTERM.",
    ),
    cfg.IntOpt(
        "request_timeout",
        default=30,
        min=1,
        help="Seconds that a request may take to arrive.",
    ),
    cfg.IntOpt(
        "keep_alive",
        default=75,
        min=1,
        help="Seconds that an idle connection is kept open.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=4096,
        min=1,
        help="Connections at once; more are answered 503.",
    ),
    cfg.IntOpt(
        "write_timeout",
        default=30,
        min=1,
        help="Seconds that a peer may leave an answer unread before it is dropped. "
        "Each 16 KiB that it reads prolong them by a second.",
    ),
    cfg.IntOpt(
        "max_waiting_bytes",
        default=MOST,
        min=16 * MIB,
        help="Bytes that all connections of a process may keep waiting: requests that "
        "arrive, and answers and pushes that were not read yet. Requests beyond are "
        "answered 503.",
    ),
    cfg.HostAddressOpt(
        "metrics_host",
        default="127.0.0.1",
        help="The address of the additional port for metrics.",
    ),
    cfg.PortOpt(
        "metrics_port",
        default=0,
        help="A port on which only this process answers, for its /metrics; 0 for "
        "none. With several workers each has the next port.",
    ),
]

WEBSOCKET_OPTS: list[cfg.Opt] = [
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        deprecated_opts=[
            cfg.DeprecatedOpt("bind", group="drivers:transport:websocket")
        ],
        help="The address to listen on for WebSockets.",
    ),
    cfg.PortOpt(
        "port",
        default=9000,
        deprecated_opts=[
            cfg.DeprecatedOpt("port", group="drivers:transport:websocket")
        ],
        help="The port to listen on for WebSockets; 0 picks a free one. The REST "
        "port takes them too.",
    ),
    cfg.IntOpt(
        "ping_interval",
        default=20,
        min=1,
        help="Seconds between pings; a peer that does not answer one is dropped.",
    ),
    cfg.IntOpt(
        "idle_timeout",
        default=3600,
        min=1,
        help="Seconds after which a connection is closed that sends nothing and is "
        "subscribed to nothing.",
    ),
    cfg.IntOpt(
        "authentication_timeout",
        default=60,
        min=1,
        help="With auth_strategy: seconds after which a connection is closed that has "
        "not authenticated and sends nothing with a valid signature.",
    ),
]

STORAGE_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "uri",
        default="",
        sample_default="sqlite:///$XDG_STATE_HOME/zaqarserver/zaqar.db",
        help="Where messages are kept: sqlite:///PATH, or sqlite://:memory: to "
        "forget all at the end; or a store that servers share: redis://HOST:PORT, "
        "rediss://, redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST. "
        "Empty: a file under the state directory.",
    ),
    cfg.StrOpt(
        "synchronous",
        default="full",
        choices=[
            ("full", "A 201 means that the message is on disk."),
            ("normal", "A power loss may take the last moments; a crash does not."),
        ],
        help="How durable SQLite makes a message before it is acknowledged.",
    ),
    cfg.ListOpt(
        "message_pipeline",
        default=["json_schema", "encryption"],
        help="The stages that each message goes through, in the order of posting.",
    ),
]


POOLING_OPTS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enable_virtual_pool",
        default=False,
        help="While no pool is registered, let the store of [storage] uri take new "
        "queues. Without it they are refused with 503 until there is one.",
    ),
]


CORS_OPTS: list[cfg.Opt] = [
    cfg.ListOpt(
        "allowed_origin",
        default=[],
        help="Origins of web pages that may use the service from a browser, such as "
        "https://app.example; * for all.",
    ),
    cfg.BoolOpt(
        "allow_credentials",
        default=False,
        help="Whether those pages may send credentials of the browser's.",
    ),
]


SIGNED_URL_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "secret_key",
        default="",
        secret=True,
        help="The key that pre-signed access is signed with. Without it nothing is "
        "signed, and subscribers cannot be asked to confirm. A new key ends all "
        "access that was signed with the old one.",
    ),
]


def _transport(name: str, text: str, minimum: int = 0) -> cfg.Opt:
    return cfg.IntOpt(name, default=getattr(_BASE, name), min=minimum, help=text)


TRANSPORT_OPTS: list[cfg.Opt] = [
    _transport("default_message_ttl", "Seconds that a message lives.", 60),
    _transport("default_message_delay", "The delay shown for queues without one."),
    _transport("default_claim_ttl", "Seconds that a claim holds.", 60),
    _transport("default_claim_grace", "Seconds that messages outlive a claim.", 60),
    _transport("max_queues_per_page", "The largest page of queues.", 1),
    _transport("max_messages_per_page", "The largest page of messages.", 1),
    _transport("max_messages_per_claim_or_pop", "The most that one claim takes.", 1),
    _transport("max_queue_metadata", "Bytes of a queue's metadata.", 2),
    _transport("max_messages_post_size", "Bytes of one post.", 1),
    _transport(
        "max_messages_per_post",
        "Messages of one post. More than the default do not fit into the bytes that "
        "are the default of one.",
        1,
    ),
    _transport("max_message_ttl", "The longest life of a message, seconds.", 60),
    _transport("max_message_delay", "The longest delay, seconds."),
    _transport("max_claim_ttl", "The longest claim, seconds.", 60),
    _transport("max_claim_grace", "The longest grace, seconds.", 60),
    _transport("default_subscription_ttl", "Seconds that a subscription lives.", 60),
    _transport("max_subscriptions_per_page", "The largest page of subscriptions.", 1),
    _transport("max_pools_per_page", "The largest page of pools.", 1),
    _transport("max_flavors_per_page", "The largest page of flavors.", 1),
    _transport("max_signed_urls_per_page", "The largest page of signed URLs.", 1),
    _transport(
        "max_signed_urls_per_queue",
        "How many signed URLs that have not expired, revoked ones included, a queue "
        "may have.",
    ),
    cfg.StrOpt(
        "message_encryption_key",
        default="",
        secret=True,
        help="The key text, at least 16 characters, that encrypts the messages of "
        "queues with _enable_encrypt_messages. Without it there are none.",
    ),
    cfg.ListOpt(
        "message_encryption_old_keys",
        default=[],
        help="Earlier key texts, to read what was encrypted with them.",
    ),
    cfg.ListOpt(
        "subscriber_types",
        default=list(_BASE.subscriber_types),
        help="The schemes that a subscriber may have.",
    ),
    cfg.StrOpt(
        "client_id_uuid_safe",
        default=_BASE.client_id_uuid_safe,
        choices=[
            ("strict", "Client ids are UUIDs."),
            ("off", "Client ids are texts of a bounded length."),
        ],
        help="What a Client-ID may be.",
    ),
    _transport("min_length_client_id", "The shortest Client-ID, with off.", 1),
    _transport("max_length_client_id", "The longest Client-ID, with off.", 1),
    cfg.BoolOpt(
        "message_delete_with_claim_id",
        default=_BASE.message_delete_with_claim_id,
        help="Messages can be deleted only with the claim that holds them.",
    ),
]

GROUPS: dict[str, list[cfg.Opt]] = {
    "DEFAULT": [*DEFAULT_OPTS, *CLI_OPTS],
    "server": SERVER_OPTS,
    "websocket": WEBSOCKET_OPTS,
    "storage": STORAGE_OPTS,
    "pooling:catalog": POOLING_OPTS,
    "transport": TRANSPORT_OPTS,
    "cors": CORS_OPTS,
    "signed_url": SIGNED_URL_OPTS,
    "quota": QUOTA_OPTS,
    "notification": NOTIFICATION_OPTS,
}


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return all options by group, as the oslo.config tools ask for them."""
    return list(GROUPS.items())


def load(arguments: Sequence[str]) -> cfg.ConfigOpts:
    """Read the configuration.

    Args:
        arguments: The command line without the program's name.

    Raises:
        SettingsError: A file or value cannot be used; the text says which.
    """
    conf = cfg.ConfigOpts()
    conf.register_cli_opts(CLI_OPTS)
    conf.register_opts(DEFAULT_OPTS)
    for group, options in GROUPS.items():
        if group != "DEFAULT":
            conf.register_opts(options, group=group)
    try:
        conf(
            list(arguments),
            project="zaqarserver",
            version=f"zaqarserver {__version__}",
            description="Serve the messaging API: queues, messages and claims. "
            "Without arguments it listens on http://127.0.0.1:8888 and keeps its "
            "messages in an SQLite file of the user's. 'zaqarserver check --help' "
            "tells how to look for damage in a store.",
        )
        _check(conf)
    except cfg.Error as error:
        raise SettingsError(str(error)) from error
    return conf


def _check(conf: cfg.ConfigOpts) -> None:
    for group, options in GROUPS.items():
        for option in options:
            # Reading a value is what checks it.
            _ = conf[option.dest] if group == "DEFAULT" else conf[group][option.dest]
    transport = conf.transport
    for low, high in (
        ("default_message_ttl", "max_message_ttl"),
        ("default_claim_ttl", "max_claim_ttl"),
        ("default_claim_grace", "max_claim_grace"),
        ("min_length_client_id", "max_length_client_id"),
    ):
        if transport[low] > transport[high]:
            raise SettingsError(f"[transport] {low} must not exceed {high}.")


def settings_of(conf: cfg.ConfigOpts) -> Settings:
    """Return what handlers and edges read of the configuration."""
    values: dict[str, Any] = {
        "admin_mode": conf.admin_mode,
        "pooling": conf.pooling,
        "enable_checksum": conf.enable_checksum,
    }
    names = {option.dest for option in TRANSPORT_OPTS}
    for field in msgspec.structs.fields(Settings):
        if field.name in names:
            value = conf.transport[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return Settings(**values)


def storage_uri(conf: cfg.ConfigOpts) -> str:
    """Return the storage URI, by default a file under the XDG state directory."""
    if conf.storage.uri:
        return str(conf.storage.uri)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    path = Path(home).absolute() / "zaqarserver" / "zaqar.db"
    return f"sqlite:///{quote(str(path))}"


def notify_settings_of(
    conf: cfg.ConfigOpts, trusts: TrustTokens | None = None
) -> NotifySettings:
    """Return what the notifier reads of the configuration, and has tokens from.

    Without authentication only callers on this machine are served; what they can
    reach here by themselves, webhooks may reach as well.
    """
    values: dict[str, Any] = {"trusts": trusts}
    for field in msgspec.structs.fields(NotifySettings):
        if field.name in values:
            continue
        value = conf.notification[field.name]
        values[field.name] = tuple(value) if isinstance(value, list) else value
    if not conf.auth_strategy and not conf.insecure:
        values["allowed_networks"] += ("127.0.0.0/8", "::1/128")
    if not values["external_confirmation_url"] and values["public_url"]:
        page = values["public_url"].rstrip("/") + CONFIRM_PAGE
        values["external_confirmation_url"] = page
    return NotifySettings(**values)
