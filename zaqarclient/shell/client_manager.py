"""The client of the ``zaqar`` program, and the global options that it is made from."""

from __future__ import annotations

import argparse
import contextlib
import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.auth.base import is_true
from zaqarclient.queues import cli
from zaqarclient.queues.v2.cli.arguments import flag
from zaqarclient.shell import credentials
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.queues.clouds import ConnectionSettings
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.shell.connection import PlainConnection
    from zaqarclient.shell.tokens import CachedToken, CachedTokenAuth

#: Where ``zaqarserver`` listens when nothing is configured.
DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8888"

#: Plugins that ask no identity service for a token.
_WITHOUT_TOKENS: Final = frozenset({"none", "admin_token", "http_basic"})

_CONNECTION_OPTIONS: Final = (
    ("region-name", "Region of the service in the catalog"),
    ("interface", "Interface of the service in the catalog (default: public)"),
    ("service-type", "Type of the service in the catalog (default: messaging)"),
    ("cacert", "File of CA certificates to trust"),
    ("cert", "File of the client certificate"),
    ("key", "File of the key of the client certificate"),
)

_AUTH_OPTIONS: Final = (
    ("cloud", "Name of a cloud in clouds.yaml"),
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
    """Add the global options for the endpoint and the credentials."""
    service = parser.add_argument_group(
        "where the service is",
        "Without any of these and those below, the service is looked for at "
        f"{DEFAULT_ENDPOINT}, without authentication.",
    )
    cli.build_option_parser(service)
    _add(service, _CONNECTION_OPTIONS)
    flag("--insecure", "Do not check the certificate of the service").add_to(service)
    auth = parser.add_argument_group(
        "credentials",
        "A plugin's further options are taken too, as --os-trust-id ID for the "
        "plugin's option trust-id (Env: OS_TRUST_ID).",
    )
    _add(auth, _AUTH_OPTIONS)
    flag(
        "--os-token-cache",
        "Keep the token in your cache directory, readable by you alone, and use "
        "it until it expires: later commands ask no identity service. `zaqar "
        "logout` removes it (Env: ZAQAR_TOKEN_CACHE=1)",
        default=is_true(os.environ.get("ZAQAR_TOKEN_CACHE")),
    ).add_to(auth)
    parser.set_defaults(os_plugin={})


def take_plugin_options(options: argparse.Namespace, words: list[str]) -> list[str]:
    """Move the options of plugins from the words to the options.

    Args:
        options: The parsed options; ``os_plugin`` is set.
        words: The words that the parser of the global options did not take;
            returned without those of the plugins.
    """
    rest: list[str] = []
    options.os_plugin = {}
    remaining = iter(words)
    for word in remaining:
        if not word.startswith("--os-"):
            rest.append(word)
            continue
        name, equals, value = word.removeprefix("--os-").partition("=")
        given = value if equals else next(remaining, "")
        options.os_plugin[name.replace("-", "_")] = given
    return rest


class ClientManager:
    """The client of the program, made at the first use.

    Commands know it as ``app.client_manager``, the name that ``openstack`` has
    for the same thing.

    Args:
        options: The parsed options of :func:`add_options`, and ``timing``.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._answers: list[tuple[str, str, float]] = []
        self._opened = contextlib.ExitStack()

    @property
    def configured(self) -> bool:
        """True if an endpoint or credentials are given; else a default is assumed."""
        options = self._options
        return bool(
            options.signed_url
            or options.os_cloud
            or credentials.auth_type(options) != "none"
            or options.os_queues_endpoint
            or options.os_endpoint
        )

    @cached_property
    def messaging(self) -> Client:
        """The client of the messaging service.

        Raises:
            zaqarclient.errors.ZaqarError: The options do not fit together.
            zaqarclient.shell.credentials.UnknownOption: No plugin has one of them.
        """
        auth = self._cached_auth
        if auth is None:
            return self._plain
        token = auth.current()
        session = self._connect(token.verify, token.cert)
        return self._client(token.endpoint, {"backend": auth}, session)

    @cached_property
    def _plain(self) -> Client:
        """The client without a token cache."""
        settings = self._settings
        auth_opts: dict[str, Any] = {"options": settings.options}
        endpoint = settings.endpoint
        if settings.auth is None:
            auth_opts["backend"] = "noauth"
            endpoint = endpoint or DEFAULT_ENDPOINT
        return self._client(endpoint, auth_opts, self.session)

    def _client(
        self, endpoint: str | None, auth_opts: dict[str, Any], session: Any
    ) -> Client:
        from zaqarclient.queues.v2 import client  # noqa: PLC0415 - only when needed

        cli.hide_retries()
        conf = {"auth_opts": auth_opts, "on_answer": self._answers.append}
        if self._options.signed_url:
            made = cli.signed_client(self._options.signed_url, session, conf)
        else:
            made = client.Client(endpoint, 2, conf, session)
        self._opened.callback(made.close)
        return made

    @cached_property
    def _cached_auth(self) -> CachedTokenAuth | None:
        """The backend that sends a cached token; None if none is wanted or possible."""
        options = self._options
        kind = credentials.auth_type(options)
        named = credentials.cloud_name(options)
        if not options.os_token_cache or (kind in _WITHOUT_TOKENS and not named):
            return None
        from zaqarclient.shell import tokens  # noqa: PLC0415 - only when needed

        file = tokens.TokenFile.of(options)
        token = file.read()
        if token is None and not hasattr(self._settings.auth, "get_access"):
            return None  # there is no token to cache
        project = options.os_queues_project_id
        return tokens.CachedTokenAuth(file, token, self._request_token, project)

    def _request_token(self) -> CachedToken:
        """Return a new token, with what has to be cached beside it."""
        from zaqarclient.auth.session import typed_errors  # noqa: PLC0415 - only when needed
        from zaqarclient.shell.tokens import CachedToken  # noqa: PLC0415 - same

        session, settings = self.session, self._settings
        with typed_errors():
            session.invalidate()
            known = settings.auth.get_access(session)
        return CachedToken(
            token=known.auth_token,
            expires=known.expires.timestamp(),
            endpoint=self._plain.api_url or "",
            project=known.project_id,
            verify=settings.verify,
            cert=settings.cert,
        )

    @cached_property
    def session(self) -> Any:
        """The keystoneauth1 session of the program; a plain one without credentials.

        Raises:
            zaqarclient.errors.ZaqarError: There is no such plugin, or it lacks
                an option.
        """
        settings = self._settings
        if settings.auth is None:
            return self._connect(settings.verify, settings.cert)
        from keystoneauth1 import session  # noqa: PLC0415 - only when needed

        _silence_warnings(settings.verify)
        made = session.Session(
            auth=settings.auth,
            verify=settings.verify,
            cert=settings.cert,
            app_name="zaqar",
            app_version=__version__,
            collect_timing=self._options.timing,
        )
        self._opened.callback(made.session.close)
        return made

    def _connect(
        self, verify: bool | str, cert: str | tuple[str, str] | None
    ) -> PlainConnection:
        from zaqarclient.shell.connection import PlainConnection  # noqa: PLC0415 - only when needed

        _silence_warnings(verify)
        connection = PlainConnection(self._answers.append, verify, cert)
        self._opened.callback(connection.close)
        return connection

    def timings(self) -> list[tuple[str, str, float]]:
        """Return method (or action), URL and seconds of each request so far."""
        session: Any = self.__dict__.get("session")
        timed = session.get_timings() if hasattr(session, "get_timings") else []
        asked = [(one.method, one.url, one.elapsed.total_seconds()) for one in timed]
        return asked + self._answers

    def close(self) -> None:
        """Close the connections, if any were opened."""
        self._opened.close()

    @cached_property
    def _settings(self) -> ConnectionSettings:
        return credentials.resolve(self._options)


def _silence_warnings(verify: bool | str) -> None:
    """Silence urllib3's warning under ``--insecure``."""
    if verify is False:
        warnings.filterwarnings("ignore", "Unverified HTTPS request")


def _add(group: argparse._ArgumentGroup, options: tuple[tuple[str, str], ...]) -> None:
    for name, text in options:
        variable = "OS_" + name.upper().replace("-", "_")
        cli.add_option(group, f"--os-{name}", name, variable, text)
