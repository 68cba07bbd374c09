"""The client of the ``zaqar`` program, and the options that lead to it."""

from __future__ import annotations

import argparse
import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from zaqarclient import shell_credentials
from zaqarclient.queues import cli
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.shell_cached import CachedToken
    from zaqarclient.shell_credentials import Access
    from zaqarclient.shell_tokens import Entry

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
    who = parser.add_argument_group(
        "who asks",
        "A plugin's further options are taken too, as --os-trust-id ID for the "
        "plugin's option trust-id (Env: OS_TRUST_ID).",
    )
    _add(who, _AUTH_OPTIONS)
    who.add_argument(
        "--os-token-cache",
        action="store_true",
        default=cli.is_on(os.environ.get("ZAQAR_TOKEN_CACHE")),
        help="Keep the token in your cache directory, for your eyes only, and use "
        "it until it expires: later commands ask no identity service. `zaqar "
        "logout` removes it (Env: ZAQAR_TOKEN_CACHE=1)",
    )
    parser.set_defaults(os_plugin={})


def take_plugin_options(options: argparse.Namespace, words: list[str]) -> list[str]:
    """Move options that only a plugin can know from the words to the options.

    Args:
        options: The parsed options; ``os_plugin`` is set.
        words: What the parser of the global options left over.

    Returns:
        The words without them.
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


class Connection:
    """The client of the program, made at the first use.

    Commands know it as ``app.client_manager``, the name that ``openstack`` has
    for the same thing.

    Args:
        options: The parsed options of :func:`add_options`, and ``timing``.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._frames: list[tuple[str, str, float]] = []

    @property
    def configured(self) -> bool:
        """Whether anything says where the service is; else it is assumed."""
        options = self._options
        return bool(
            options.signed_url
            or options.os_cloud
            or shell_credentials.auth_type(options) != "none"
            or options.os_queues_endpoint
            or options.os_endpoint
        )

    @cached_property
    def messaging(self) -> Client:
        """The client of the messaging service.

        Raises:
            zaqarclient.errors.ZaqarError: The options do not fit together.
            zaqarclient.shell_credentials.UnknownOption: One is no plugin's.
        """
        if self._options.signed_url:
            url = self._options.signed_url
            return cli.signed_client(url, self.session, self._conf({}))
        if self._kept is None:
            return self._plain
        from zaqarclient.queues import client  # noqa: PLC0415 - only when needed

        entry = self._kept.current()
        _accept(entry.verify)
        names = ("cert", "key") if isinstance(entry.cert, tuple) else ("cert",)
        files = entry.cert if isinstance(entry.cert, tuple) else (entry.cert,)
        options = dict(zip(names, files, strict=True))
        auth_opts = {"backend": self._kept, "options": options}
        return client.Client(entry.endpoint, 2, self._conf(auth_opts))

    @cached_property
    def _plain(self) -> Client:
        """The client that goes through the session, whatever it does."""
        from zaqarclient.queues import client  # noqa: PLC0415 - only when needed

        access = self._access
        if access.auth is None:
            named = {"queues_project_id": access.project, "queues_roles": access.roles}
            conf = self._conf(cli.noauth_conf(named)["auth_opts"])
            endpoint = access.endpoint or DEFAULT_ENDPOINT
            return client.Client(endpoint, 2, conf, self.session)
        given = {
            "region_name": access.region,
            "endpoint_type": access.interface,
            "service_type": access.service_type,
            "project_id": access.project,
        }
        conf = self._conf({"options": {k: v for k, v in given.items() if v}})
        return client.Client(access.endpoint, 2, conf, self.session)

    def _conf(self, auth_opts: dict[str, Any]) -> dict[str, Any]:
        return {"auth_opts": auth_opts, "on_answer": self._frames.append}

    @cached_property
    def _kept(self) -> CachedToken | None:
        """What sends a token that is kept; None if none is to be, or can be."""
        options = self._options
        kind = shell_credentials.auth_type(options)
        named = shell_credentials.cloud_name(options)
        if not options.os_token_cache or (kind in _WITHOUT_TOKENS and not named):
            return None
        from zaqarclient import shell_tokens  # noqa: PLC0415 - only when needed

        file = shell_tokens.TokenFile.of(options)
        entry = file.read()
        if entry is None and not hasattr(self._access.auth, "get_access"):
            return None  # there is nothing to keep for long
        from zaqarclient import shell_cached  # noqa: PLC0415 - only when needed

        project = options.os_queues_project_id
        return shell_cached.CachedToken(file, entry, self._ask_identity, project)

    def _ask_identity(self) -> Entry:
        """Return a new token, and all that has to be kept with it."""
        from zaqarclient import shell_tokens  # noqa: PLC0415 - only when needed
        from zaqarclient.auth.session import typed_errors  # noqa: PLC0415 - same

        session, access = self.session, self._access
        with typed_errors():
            session.invalidate()
            known = access.auth.get_access(session)
        return shell_tokens.Entry(
            token=known.auth_token,
            expires=known.expires.timestamp(),
            endpoint=self._plain.api_url or "",
            project=known.project_id,
            verify=access.verify,
            cert=access.cert,
        )

    @cached_property
    def session(self) -> Any:
        """The keystoneauth1 session that all requests go through.

        Raises:
            zaqarclient.errors.ZaqarError: There is no such plugin, or it lacks
                an option.
        """
        from keystoneauth1 import session  # noqa: PLC0415 - only when needed

        access = self._access
        _accept(access.verify)
        return session.Session(
            auth=access.auth,
            verify=access.verify,
            cert=access.cert,
            app_name="zaqar",
            app_version=__version__,
            collect_timing=self._options.timing,
        )

    def timings(self) -> list[tuple[str, str, float]]:
        """Return method (or action), URL and seconds of each request so far."""
        found: list[tuple[str, str, float]] = []
        if "session" in self.__dict__:
            found += (
                (timing.method, timing.url, timing.elapsed.total_seconds())
                for timing in self.session.get_timings()
            )
        if "_kept" in self.__dict__ and self._kept is not None:
            found += self._kept.timings
        return found + self._frames

    def close(self) -> None:
        """Close the connections, if any were opened."""
        for name in ("messaging", "_plain"):
            if name in self.__dict__:
                getattr(self, name).close()
        if "session" in self.__dict__:
            self.session.session.close()

    @cached_property
    def _access(self) -> Access:
        return shell_credentials.resolve(self._options)


def _accept(verify: bool | str) -> None:
    """Say nothing about unchecked certificates to who wants them unchecked."""
    if verify is False:
        warnings.filterwarnings("ignore", "Unverified HTTPS request")


def _add(group: argparse._ArgumentGroup, options: tuple[tuple[str, str], ...]) -> None:
    for name, text in options:
        variable = "OS_" + name.upper().replace("-", "_")
        group.add_argument(
            f"--os-{name}",
            metavar=f"<{name}>",
            default=os.environ.get(variable) or None,
            help=f"{text} (Env: {variable})",
        )
