"""How the ``zaqar`` program reaches the service, and as whom.

The ``OS_*`` variables and ``--os-*`` options are those of ``openstack``.
keystoneauth1 is imported only when a command sends its first request.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.errors import AuthenticationFailed
from zaqarclient.queues import cli
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client

#: Where ``zaqarserver`` listens when nothing is configured.
DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8888"

_CONNECTION_OPTIONS: Final = (
    ("region-name", "Region of the service in the catalog"),
    ("interface", "Interface of the service in the catalog (default: public)"),
    ("cacert", "File of CA certificates to trust"),
    ("cert", "File of the client certificate"),
    ("key", "File of the key of the client certificate"),
)

_AUTH_OPTIONS: Final = (
    ("auth-type", "Plugin of keystoneauth (default: by the options given)"),
    ("auth-url", "URL of the identity service"),
    ("token", "Token; together with the endpoint, nothing else is needed"),
    ("endpoint", "The same as --os-queues-endpoint, for tokens"),
    ("username", "Name of the user"),
    ("user-id", "ID of the user"),
    ("user-domain-name", "Name of the user's domain"),
    ("user-domain-id", "ID of the user's domain"),
    ("password", "Password of the user; asked for on a terminal"),
    ("project-name", "Name of the project"),
    ("project-id", "ID of the project"),
    ("project-domain-name", "Name of the project's domain"),
    ("project-domain-id", "ID of the project's domain"),
    ("application-credential-id", "ID of the application credential"),
    ("application-credential-name", "Name of the application credential"),
    ("application-credential-secret", "Secret of the application credential"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the service is and who asks."""
    service = parser.add_argument_group(
        "where the service is",
        "Without any of these and those below, the service is looked for at "
        f"{DEFAULT_ENDPOINT}, without authentication.",
    )
    cli.build_option_parser(service)
    _add(service, _CONNECTION_OPTIONS)
    service.add_argument(
        "--insecure",
        action="store_true",
        help="Do not check the certificate of the service",
    )
    _add(parser.add_argument_group("who asks"), _AUTH_OPTIONS)


class Connection:
    """The client of the program, made at the first use.

    Commands know it as ``app.client_manager``, the name that ``openstack`` has
    for the same thing.

    Args:
        options: The parsed options of :func:`add_options`, and ``timing``.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    @property
    def configured(self) -> bool:
        """Whether anything says where the service is; else it is assumed."""
        return bool(
            self._options.signed_url
            or self._auth_type != "none"
            or self._endpoint is not None
        )

    @cached_property
    def messaging(self) -> Client:
        """The client of the messaging service.

        Raises:
            zaqarclient.errors.ZaqarError: The options do not fit together.
        """
        if self._options.signed_url:
            return cli.signed_client(self._options.signed_url, self.session)
        if not self.configured and os.environ.get("OS_CLOUD"):
            # The cloud may be anywhere but at the default place.
            raise AuthenticationFailed(
                "OS_CLOUD names a cloud of clouds.yaml, which only openstack reads: "
                "give OS_AUTH_URL and credentials, or OS_QUEUES_ENDPOINT"
            )
        from zaqarclient.queues import client  # noqa: PLC0415 - only when needed

        if self._auth_type == "none":
            conf = cli.noauth_conf(
                {
                    "queues_project_id": self._options.os_queues_project_id,
                    "queues_roles": self._options.os_queues_roles,
                }
            )
            endpoint: str | None = self._endpoint or DEFAULT_ENDPOINT
        else:
            given = {
                "region_name": self._options.os_region_name,
                "endpoint_type": self._options.os_interface,
                "project_id": self._options.os_queues_project_id,
            }
            conf = {"auth_opts": {"options": {k: v for k, v in given.items() if v}}}
            endpoint = self._endpoint
        return client.Client(endpoint, 2, conf, self.session)

    @cached_property
    def session(self) -> Any:
        """The keystoneauth1 session that all requests go through.

        Raises:
            zaqarclient.errors.ZaqarError: There is no such plugin, or it lacks
                an option.
        """
        from keystoneauth1 import session  # noqa: PLC0415 - only when needed

        options = self._options
        cert = (options.os_cert, options.os_key) if options.os_key else options.os_cert
        anonymous = self._options.signed_url or self._auth_type == "none"
        return session.Session(
            auth=None if anonymous else self._plugin(),
            verify=False if options.insecure else (options.os_cacert or True),
            cert=cert,
            app_name="zaqar",
            app_version=__version__,
            collect_timing=options.timing,
        )

    def timings(self) -> list[tuple[str, str, float]]:
        """Return method, URL and seconds of each request so far."""
        if "session" not in self.__dict__:
            return []
        return [
            (timing.method, timing.url, timing.elapsed.total_seconds())
            for timing in self.session.get_timings()
        ]

    def close(self) -> None:
        """Close the connections, if any were opened."""
        if "messaging" in self.__dict__:
            self.messaging.close()
        if "session" in self.__dict__:
            self.session.session.close()

    @property
    def _endpoint(self) -> str | None:
        endpoint: str | None = (
            self._options.os_queues_endpoint or self._options.os_endpoint
        )
        return endpoint

    @property
    def _auth_type(self) -> str:
        """The plugin to use: as named, else what the options are enough for."""
        options = self._options
        if options.os_auth_type:
            named: str = options.os_auth_type
            return "none" if named == "noauth" else named
        if options.os_auth_url:
            if options.os_application_credential_secret:
                return "v3applicationcredential"
            return "token" if options.os_token else "password"
        return "admin_token" if options.os_token else "none"

    def _plugin(self) -> Any:
        from keystoneauth1 import exceptions, loading  # noqa: PLC0415 - only when needed

        try:
            loader: Any = loading.get_plugin_loader(self._auth_type)
            return loader.load_from_options_getter(self._option)
        except exceptions.ClientException as error:
            raise AuthenticationFailed(str(error)) from error

    def _option(self, option: Any) -> str | None:
        """Return what a plugin asks for: an option, a variable or an answer."""
        for name in (option.dest, *(item.dest for item in option.deprecated)):
            value: str | None = getattr(self._options, f"os_{name}", None)
            value = value or os.environ.get(f"OS_{name.upper()}")
            if value:
                return value
        if option.dest == "endpoint":
            return self._endpoint
        if option.dest == "password" and sys.stdin.isatty():
            return getpass.getpass("Password: ")
        default: str | None = option.default
        return default


def _add(group: argparse._ArgumentGroup, options: tuple[tuple[str, str], ...]) -> None:
    for name, text in options:
        variable = "OS_" + name.upper().replace("-", "_")
        group.add_argument(
            f"--os-{name}",
            metavar=f"<{name}>",
            default=os.environ.get(variable) or None,
            help=f"{text} (Env: {variable})",
        )
