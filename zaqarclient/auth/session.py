"""Sessions; the only module of the SDK that imports keystoneauth1.

Every request of the SDK, also those to servers without authentication, goes
through a keystoneauth1 session: there is one path, one pool of connections and one
token.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, TypeAlias

from keystoneauth1 import exceptions
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3

from zaqarclient import errors, version
from zaqarclient.common import http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zaqarclient.auth.base import ConnectionOptions


Certificate: TypeAlias = str | tuple[str, str] | None

_PRODUCT = "python-zaqarclient"

_POOL_SIZE = 64
"""Connections kept per host: as many threads as one client may serve before
some of them open a connection a call. One thread opens one connection."""


class _Adapter(http.Adapter, ks_session.TCPKeepAliveAdapter):
    """The adapter of the sessions that this package opens."""


class SessionConnection:
    """Sends requests through one keystoneauth1 session.

    It may be used from several threads, and by both sides of a fork.

    Args:
        session: The session, None to open one.
        authenticated: Whether requests carry a token of the session; then an
            answer of 401 makes the session fetch a new one and send again,
            once.
        options: Timeout and user agent.
        verify: False or a path of CA certificates, if they are to override
            those of a given session.
        cert: The files of a client certificate, if it is to override that of
            a given session.
    """

    def __init__(
        self,
        session: Any,
        *,
        authenticated: bool,
        options: ConnectionOptions,
        verify: bool | str = True,
        cert: Certificate = None,
    ) -> None:
        self._owns_session = session is None
        self._authenticated = authenticated
        self._options = options
        self._verify = verify
        self._cert = cert
        self._session = self._open() if session is None else session
        self._process = os.getpid()

    def request(self, method: str, *, url: str, **kwargs: Any) -> http.Reply:
        """Send one request; see `zaqarclient.auth.base.Connection`."""
        session = self._current()
        kwargs["params"] = kwargs.get("params") or {}
        # True is also what a caller sends that does not choose: the session may
        # have a CA file of its own.
        if kwargs.get("verify", True) is True:
            kwargs["verify"] = session.verify if self._verify is True else self._verify
        if self._cert is not None:
            kwargs["cert"] = self._cert
        # keystoneauth1 logs headers, and knows only tokens to be secret.
        is_signed = "URL-Signature" in (kwargs.get("headers") or {})
        with typed_errors():
            reply: http.Reply = session.request(
                url,
                method,
                authenticated=self._authenticated,
                raise_exc=False,
                log=not is_signed,
                timeout=self._timeout(session),
                user_agent=self._user_agent(),
                client_name=_PRODUCT,
                client_version=version.__version__,
                **kwargs,
            )
        return reply

    def endpoint(self) -> str | None:
        """Return the messaging endpoint that the session knows, or None."""
        with typed_errors():
            found: str | None = self._current().get_endpoint(
                service_type="messaging", interface="publicURL"
            )
        return found

    def close(self) -> None:
        """Close the connections, unless the session is the caller's own."""
        if self._owns_session:
            # The inner one: older sessions cannot be closed themselves.
            self._session.session.close()

    def _open(self) -> Any:
        return open_session(None, self._options, self._verify, self._cert)

    def _current(self) -> Any:
        """Return the session; after a fork the parent keeps its sockets."""
        if self._process != os.getpid():
            self._process = os.getpid()
            if self._owns_session:
                self._session = self._open()
            else:
                # Drops this process's copies; the parent's stay open.
                self._session.session.close()
        return self._session

    def _timeout(self, session: Any) -> float | tuple[float, float]:
        if self._options.timeout is not None:
            return http.timeouts(self._options.timeout)
        if not self._owns_session and session.timeout is not None:
            return float(session.timeout)
        return http.timeouts(http.DEFAULT_TIMEOUT)

    def _user_agent(self) -> str | None:
        chosen = self._options.user_agent
        if chosen is None:
            return None
        return (
            f"{chosen} {_PRODUCT}/{version.__version__} {ks_session.DEFAULT_USER_AGENT}"
        )


def open_session(
    plugin: Any,
    options: ConnectionOptions,
    verify: bool | str,
    cert: Certificate = None,
) -> Any:
    """Return a new keystoneauth1 session; nothing is sent.

    Args:
        plugin: Its authentication plugin, None for none.
        options: Its timeout.
        verify: Whether, or against which CA file, certificates are checked.
        cert: The files of its client certificate, None for none.
    """
    session = ks_session.Session(
        auth=plugin,
        verify=verify,
        cert=cert,
        timeout=options.timeout or http.DEFAULT_TIMEOUT,
        session=http.Session(),
    )
    for prefix in ("http://", "https://"):
        session.mount(
            prefix, _Adapter(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE)
        )
    return session


def named_plugin(auth_type: str, option: Callable[..., Any]) -> Any:
    """Return a plugin of keystoneauth1 by its name.

    Args:
        auth_type: The name, as ``v3applicationcredential`` or ``v3totp``.
        option: Returns the value of the first of some names that has one.

    Raises:
        zaqarclient.errors.AuthenticationFailed: There is no such plugin, or it
            needs an option that has no value.
    """
    # Looks for the plugins of all installed distributions.
    from keystoneauth1 import loading  # noqa: PLC0415

    def value(wanted: Any) -> Any:
        names = (wanted.dest, *(other.dest for other in wanted.deprecated))
        found = option(*names)
        return wanted.default if found is None else found

    with typed_errors():
        return loading.get_plugin_loader(auth_type).load_from_options_getter(value)


def identity_plugin(
    known: Mapping[str, Any], user: dict[str, Any], scope: dict[str, Any]
) -> Any:
    """Return an Identity v3 plugin for a token, application credential or password.

    Args:
        known: ``auth_url``, with or without ``/v3``; ``token`` to trade in, which goes
            first; ``application_credential_secret`` with
            ``application_credential_id``, or with ``application_credential_name`` and
            the user, which goes before ``password``.
        user: The user; its domain is ``default`` if none is named.
        scope: What the token is for; the same for the domain of a project.
    """
    url = str(known["auth_url"]).rstrip("/").removesuffix("/v2.0")
    if not url.endswith("/v3"):
        url += "/v3"
    if not (scope["project_domain_id"] or scope["project_domain_name"]):
        scope["project_domain_id"] = "default" if scope["project_name"] else None
    if known.get("token") is not None:
        return v3.Token(url, known["token"], **scope)
    domains = ("user_id", "user_domain_id", "user_domain_name")
    if user["username"] and not any(user[name] for name in domains):
        user["user_domain_id"] = "default"
    if known.get("application_credential_secret") is not None:
        # It has the scope that it was made with.
        return v3.ApplicationCredential(
            url,
            known["application_credential_secret"],
            application_credential_id=known.get("application_credential_id"),
            application_credential_name=known.get("application_credential_name"),
            **user,
        )
    return v3.Password(url, password=known.get("password") or "", **user, **scope)


@contextlib.contextmanager
def typed_errors() -> Iterator[None]:
    """Turn keystoneauth1's errors into this client's.

    Raises:
        zaqarclient.transport.errors.NetworkError: No answer came.
        zaqarclient.errors.EndpointNotFound: The catalog lacks the service.
        zaqarclient.errors.AuthenticationFailed: Anything else: the identity
            service refused.
    """
    try:
        yield
    except exceptions.ClientException as error:
        cause = http.network_cause(error)
        if cause is not None:
            raise http.network_error(cause) from error
        if isinstance(error, exceptions.EndpointNotFound):
            raise errors.EndpointNotFound(str(error)) from error
        raise errors.AuthenticationFailed(str(error)) from error
