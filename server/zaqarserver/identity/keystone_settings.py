"""The settings of ``[keystone_authtoken]``, as ``keystonemiddleware`` reads them.

Its options are registered with the server's own and checked at the start: an invalid
value is an error at once, with the option's name, instead of refused requests later.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import msgspec
from keystoneauth1 import exceptions, loading
from keystonemiddleware import auth_token
from oslo_config import cfg

from zaqarserver.common.options import check_files, missing
from zaqarserver.errors import SettingsError

GROUP = "keystone_authtoken"
#: Time limit of one request to Keystone, in seconds, unless ``http_connect_timeout``
#: is set; the middleware itself has none.
REQUEST_SECONDS = 5
#: The key of the cache in the middleware's environment.
CACHE = "zaqarserver.cache"
DOCUMENTED_PLUGIN = "password"
WITH_PASSWORD = ("password", "v3password")
_WITH_PASSWORD_NEEDED = (
    "username or user_id",
    "password",
    "project_name or project_id or domain_name or domain_id or system_scope",
)


class MiddlewareOptions(msgspec.Struct, frozen=True):
    """Options for the middleware that override or complete its settings.

    Attributes:
        options: The options.
        www_authenticate_uri: The URL where callers get tokens.
        seconds: How long a verdict may be cached; 0 or less is not at all.
        is_shared: True if the middleware caches verdicts in memcached.
    """

    options: dict[str, Any]
    www_authenticate_uri: str
    seconds: float
    is_shared: bool


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return the options, with those of the plug-in ``password``."""
    ((_, options),) = auth_token.list_opts()
    known = {option.dest for option in options}
    plugin = loading.get_auth_plugin_conf_options(DOCUMENTED_PLUGIN)
    return [(GROUP, [*options, *(one for one in plugin if one.dest not in known)])]


def prepare(conf: cfg.ConfigOpts) -> MiddlewareOptions:
    """Register the options, check their values, and fill in defaults.

    Raises:
        SettingsError: A setting is missing or invalid; the text names it.
    """
    _register(conf)
    settings = conf[GROUP]
    check_files(GROUP, settings)
    _check_memcached(settings)
    auth_url = _check_login(conf)
    uri = settings.www_authenticate_uri or auth_url
    options = {
        # The middleware must decide at once: callers rely on its status.
        "delay_auth_decision": False,
        "www_authenticate_uri": uri,
    }
    if settings.http_connect_timeout is None:
        options["http_connect_timeout"] = REQUEST_SECONDS
    shared = bool(settings.memcached_servers)
    if not shared:
        options["cache"] = CACHE
    return MiddlewareOptions(options, uri, settings.token_cache_time, shared)


def _register(conf: cfg.ConfigOpts) -> None:
    for group, options in auth_token.list_opts():
        conf.register_opts(options, group=group)
        for option in options:
            try:
                _ = conf[group][option.dest]  # reading a value checks it
            except cfg.Error as error:
                raise SettingsError(f"[{group}] {option.dest}: {error}") from error
    # Registers them in the section that auth_section names, too.
    loading.register_auth_conf_options(conf, GROUP)


def _check_memcached(settings: Any) -> None:
    if not settings.memcached_servers:
        return
    module, package = "memcache", "python-memcached"
    if settings.memcache_sasl_enabled or settings.memcache_tls_enabled:
        module, package = "bmemcached", "python-binary-memcached"
    if importlib.util.find_spec(module) is None:
        raise SettingsError(
            f"[{GROUP}] memcached_servers: this needs pip install {package}"
        )


def register_plugin(conf: cfg.ConfigOpts, group: str, name: str) -> list[cfg.Opt]:
    """Register the options of an authentication plug-in, and return them.

    Raises:
        SettingsError: There is no such plug-in.
    """
    try:
        options: list[cfg.Opt] = loading.get_auth_plugin_conf_options(name)
    except exceptions.ClientException as error:
        raise SettingsError(f"[{group}] auth_type: {error}.") from error
    conf.register_opts(options, group=group)
    return options


def _check_login(conf: cfg.ConfigOpts) -> str:
    """Check the settings with which this server authenticates; return ``auth_url``.

    Raises:
        SettingsError: A setting is missing.
    """
    group = conf[GROUP].auth_section or GROUP
    name = conf[group].auth_type
    if not name:
        raise SettingsError(
            f"[{group}] auth_type is required: how this server authenticates to "
            "Keystone, for example password."
        )
    options = register_plugin(conf, group, name)
    given = {option.dest: conf[group][option.dest] for option in options}
    needed = [option.dest for option in options if option.required]
    if name in WITH_PASSWORD:
        needed += _WITH_PASSWORD_NEEDED
    if lacking := missing(needed, given):
        raise SettingsError(
            f"[{group}] {lacking} is required: this server authenticates to Keystone "
            "with it."
        )
    return str(given.get("auth_url", ""))
