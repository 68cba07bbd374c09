"""Clouds of ``clouds.yaml``: where their service is, and the credentials."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from zaqarclient.auth.keystone import KeystoneAuth
from zaqarclient.errors import AuthenticationFailed
from zaqarclient.queues import cli

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.queues.v2.client import Client


class ConnectionSettings(NamedTuple):
    """Endpoint, credentials and TLS settings.

    Attributes:
        auth: A plugin of keystoneauth1; None for a service without
            authentication.
        endpoint: The URL of the service; None to look it up in the catalog.
        verify: Whether, or against which CA file, certificates are checked.
        cert: The file of the client certificate, or files of it and its key.
        options: The region, interface and type of the service in the catalog, and
            the project and roles to name to it: options of the backend.
    """

    auth: Any
    endpoint: str | None
    verify: bool | str
    cert: str | tuple[str, str] | None
    options: dict[str, Any]


class _SkippedFiles(logging.Handler):
    """Collects the files that ``openstack`` skips because of a mistake in them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take the path, line and mistake of a file, in one line."""
        if not isinstance(record.args, tuple) or len(record.args) != 2:
            return
        path, error = record.args
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1} column {mark.column + 1}:" if mark else ""
        text = f"{path}:{line} {getattr(error, 'problem', None) or error}"
        self.found.append(" ".join(text.split()))

    def __enter__(self) -> Self:
        logging.getLogger("openstack.config").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("openstack.config").removeHandler(self)


def settings_of(
    name: str | None,
    given: Mapping[str, Any],
    ask_password: Any = None,
) -> ConnectionSettings:
    """Return the settings of a cloud in ``clouds.yaml``.

    Args:
        name: The cloud; None for the one of ``OS_CLOUD`` or the ``OS_*`` variables.
        given: What overrides the file, as ``os_region_name``.
        ask_password: Called with a text to ask for a password that is not in the
            file.

    Raises:
        zaqarclient.errors.AuthenticationFailed: There is no such cloud or
            plugin, or it lacks an option; a file that cannot be read is named then.
    """
    # These take 0.4 s to import, and are needed only for a cloud.
    from openstack import exceptions  # noqa: PLC0415
    from openstack.config import OpenStackConfig  # noqa: PLC0415

    from zaqarclient.auth import session as ks  # noqa: PLC0415

    skipped = _SkippedFiles()
    try:
        with ks.typed_errors(), skipped:
            config = OpenStackConfig(pw_func=ask_password, app_name="zaqar")
            options = argparse.Namespace(**given)
            cloud = config.get_one(cloud=name, argparse=options, validate=False)
            found = cloud.config
            anonymous = found.get("auth_type") == "none"
            anonymous = anonymous or not cli.needs_authentication(found)
            if not anonymous:
                # Now with the plugin, which may ask for a password.
                cloud = config.get_one(cloud=name, argparse=options)
            return _settings(cloud, None if anonymous else cloud.get_auth(), given)
    except (exceptions.SDKException, AuthenticationFailed) as error:
        where = "".join(f"{text}; " for text in skipped.found)
        where += f"cloud {name}: " if name else ""
        raise AuthenticationFailed(f"{where}{error}") from error


def _settings(cloud: Any, auth: Any, given: Mapping[str, Any]) -> ConnectionSettings:
    verify, cert = cloud.get_requests_verify_args()
    options = {
        "region_name": cloud.get_region_name(cli.API_NAME),
        "endpoint_type": cloud.get_interface(cli.API_NAME),
        "service_type": given.get("os_service_type"),
        "project_id": cloud.config.get("queues_project_id"),
        "roles": cloud.config.get("queues_roles"),
    }
    return ConnectionSettings(
        auth=auth,
        endpoint=cloud.config.get("queues_endpoint")
        or cloud.get_endpoint(cli.API_NAME),
        verify=True if verify is None else verify,
        cert=cert,
        options={name: value for name, value in options.items() if value is not None},
    )


def connect(
    cloud: str | None = None,
    *,
    region_name: str | None = None,
    conf: Mapping[str, Any] | None = None,
) -> Client:
    """Return a client for a cloud of ``clouds.yaml``; nothing is sent.

    Args:
        cloud: Its name; None for the one of ``OS_CLOUD`` or the ``OS_*`` variables.
        region_name: Another region than that of the file.
        conf: As of `Client`, without ``auth_opts``.

    Raises:
        zaqarclient.errors.AuthenticationFailed: There is no such cloud or
            plugin, or it lacks an option.
    """
    # The commands, which share the rest, may not need it.
    from zaqarclient.queues.v2.client import Client  # noqa: PLC0415

    given = {"os_region_name": region_name} if region_name else {}
    settings = settings_of(cloud, given)
    cert = settings.cert
    options = {
        **settings.options,
        "insecure": settings.verify is False,
        "cacert": settings.verify if isinstance(settings.verify, str) else None,
        "cert": cert[0] if isinstance(cert, tuple) else cert,
        "key": cert[1] if isinstance(cert, tuple) else None,
    }
    auth_opts: dict[str, Any] = {"backend": "noauth", "options": options}
    if settings.auth is not None:
        auth_opts = {"backend": _CloudAuth(options, settings.auth)}
    return Client(settings.endpoint, 2, {**(conf or {}), "auth_opts": auth_opts})


class _CloudAuth(KeystoneAuth):
    """Sends the token of a plugin.

    Args:
        conf: Where in the catalog the service is, and how certificates are checked.
        plugin: A plugin of keystoneauth1.
    """

    def __init__(self, conf: Mapping[str, Any], plugin: Any) -> None:
        super().__init__(conf)
        self._plugin = plugin

    def locates(self, session: Any) -> bool:  # noqa: ARG002 - of the contract
        """Return True: the plugin knows the catalog."""
        return True

    def _get_keystone_session(self, **_: Any) -> Any:
        from zaqarclient.auth import session as ks  # noqa: PLC0415 - heavy

        return ks.open_session(
            self._plugin,
            self.connection_options,
            self.verification(),
            self.client_certificate(),
        )
