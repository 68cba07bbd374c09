"""Endpoint and credentials, from the options of ``zaqar`` or a cloud.

The ``OS_*`` variables, the ``--os-*`` options and ``clouds.yaml`` are those of
``openstack``. keystoneauth1 and openstacksdk are imported only where their rules
are needed: the first for credentials, the second where a cloud is named.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from typing import TYPE_CHECKING, Any

from zaqarclient.errors import AuthenticationFailed
from zaqarclient.queues import clouds
from zaqarclient.queues.v2.cli.arguments import present

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownOption(Exception):
    """No plugin has an option of the form ``--os-...``; the text lists those known."""


def cloud_name(options: argparse.Namespace) -> str | None:
    """Return the cloud of clouds.yaml that is named, or None."""
    name: str | None = None if options.signed_url else options.os_cloud
    return name


def auth_type(options: argparse.Namespace) -> str:
    """Return the plugin to use: the one named, else by the options that are given."""
    if options.signed_url:
        return "none"  # it is the credentials, whatever else is set
    if options.os_auth_type:
        named: str = options.os_auth_type
        return "none" if named == "noauth" else named
    if options.os_auth_url:
        if options.os_application_credential_secret:
            return "v3applicationcredential"
        return "token" if options.os_token else "password"
    return "admin_token" if options.os_token else "none"


def resolve(options: argparse.Namespace) -> clouds.ConnectionSettings:
    """Return the settings of options, environment and, if one is named, the cloud.

    Raises:
        UnknownOption: The plugin does not have an option.
        zaqarclient.errors.AuthenticationFailed: There is no such cloud or
            plugin, or it lacks an option.
    """
    name = cloud_name(options)
    if name is None:
        return _of_options(options)
    return clouds.settings_of(name, _given(options), _ask_password)


def _of_options(options: argparse.Namespace) -> clouds.ConnectionSettings:
    kind = auth_type(options)
    key = options.os_key
    return clouds.ConnectionSettings(
        auth=_plugin(options, kind),
        endpoint=options.os_queues_endpoint or options.os_endpoint,
        verify=False if options.insecure else (options.os_cacert or True),
        cert=(options.os_cert, key) if key else options.os_cert,
        options=present(
            region_name=options.os_region_name,
            endpoint_type=options.os_interface,
            service_type=options.os_service_type,
            project_id=options.os_queues_project_id,
            roles=options.os_queues_roles,
        ),
    )


def _plugin(options: argparse.Namespace, kind: str) -> Any:
    """Return the plugin of this name, with its options."""
    if kind == "none":
        _refuse_unknown(options.os_plugin, (), "a service without authentication")
        return None
    from keystoneauth1 import exceptions, loading  # noqa: PLC0415 - only when needed

    try:
        loader: Any = loading.get_plugin_loader(kind)
        known = [name for option in loader.get_options() for name in _names(option)]
        _refuse_unknown(options.os_plugin, known, f"the plugin {kind}")
        return loader.load_from_options_getter(lambda option: _value(options, option))
    except exceptions.ClientException as error:
        raise AuthenticationFailed(str(error)) from error


def _value(options: argparse.Namespace, option: Any) -> str | None:
    """Return the value of a plugin's option: from the command line or environment."""
    for name in _names(option):
        value: str | None = getattr(options, f"os_{name}", None)
        value = value or options.os_plugin.get(name)
        value = value or os.environ.get(f"OS_{name.upper()}")
        if value:
            return value
    if option.dest == "endpoint":
        found: str | None = options.os_queues_endpoint or options.os_endpoint
        return found
    if option.dest == "password" and sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass("Password: ")
    default: str | None = option.default
    return default


def _names(option: Any) -> list[str]:
    return [option.dest, *(item.dest for item in option.deprecated)]


def _refuse_unknown(given: Mapping[str, str], known: Any, whose: str) -> None:
    unknown = sorted(set(given).difference(known))
    if not unknown:
        return
    has = ", ".join(sorted(map(_spelled, known))) or "none of its own"
    raise UnknownOption(
        f"there is no option {', '.join(map(_spelled, unknown))}: {whose} has {has}"
    )


def _spelled(name: str) -> str:
    return "--os-" + name.replace("_", "-")


def _ask_password(prompt: str | None = None) -> str:
    return getpass.getpass(prompt or "Password: ")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that override those of a cloud."""
    given = {
        name: value
        for name, value in vars(options).items()
        if name.startswith("os_") and value and name not in {"os_cloud", "os_plugin"}
    }
    given |= {f"os_{name}": value for name, value in options.os_plugin.items()}
    return given | ({"insecure": True} if options.insecure else {})
