"""The one module that knows keystoneauth1.

Every request, also those to servers without authentication, goes through a
keystoneauth1 session: there is one path, one pool of connections and one
token.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

from keystoneauth1 import exceptions, token_endpoint
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3

from zaqarclient import errors, version
from zaqarclient.common import http

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zaqarclient.auth.base import ConnectionOptions

__all__ = [
    "Connection",
    "identity_plugin",
    "open_session",
    "static_token",
    "typed_errors",
]

_PRODUCT = "python-zaqarclient"

_POOL_SIZE = 64
"""Connections kept per host: as many threads as one client may serve before
some of them open a connection a call. One thread opens one connection."""


class Connection:
    """Sends requests through one keystoneauth1 session.

    It may be used from several threads, and by both sides of a fork.

    Args:
        session: The session, None to open one.
        plugin: A plugin to use in place of the session's.
        authenticated: Whether requests carry the plugin's token; then an
            answer of 401 makes the session fetch a new one and send again,
            once.
        options: Timeout and user agent.
        verify: False or a path of CA certificates, if they are to override
            those of a given session.
    """

    def __init__(
        self,
        session: Any,
        plugin: Any = None,
        *,
        authenticated: bool,
        options: ConnectionOptions,
        verify: bool | str = True,
    ) -> None:
        self._given = session
        self._plugin = plugin
        self._authenticated = authenticated
        self._options = options
        self._verify = verify
        self._lock = threading.Lock()
        self._session = session
        self._process = os.getpid()

    def request(self, method: str, *, url: str, **kwargs: Any) -> http.Reply:
        """Send one request and return the answer, whatever its status.

        Args:
            method: The HTTP method.
            url: The whole URL.
            **kwargs: ``params``, ``headers``, ``data`` and ``verify`` as for
                ``requests``.

        Raises:
            zaqarclient.transport.errors.NetworkError: No answer came.
            zaqarclient.errors.AuthenticationFailed: No token could be had.
        """
        session = self._current()
        kwargs["params"] = kwargs.get("params") or {}
        # True is also what a caller sends who has no opinion: the session may
        # have a CA file of its own.
        if kwargs.get("verify", True) is True:
            kwargs["verify"] = session.verify if self._verify is True else self._verify
        with typed_errors():
            reply: http.Reply = session.request(
                url,
                method,
                auth=self._plugin,
                authenticated=self._authenticated,
                raise_exc=False,
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
        if self._given is None:
            with self._lock:
                session, self._session = self._session, None
            if session is not None:
                # The inner one: older sessions cannot be closed themselves.
                session.session.close()

    def _current(self) -> Any:
        if self._process != os.getpid():
            self._after_fork()
        session = self._session
        if session is None:
            with self._lock:
                if self._session is None:
                    self._session = open_session(None, self._options, self._verify)
                session = self._session
        return session

    def _after_fork(self) -> None:
        """Leave the parent its sockets: two processes must not share one."""
        self._lock = threading.Lock()
        self._process = os.getpid()
        if self._given is None:
            self._session = None
        else:
            # Drops this process's copies; the parent's stay open.
            self._given.session.close()

    def _timeout(self, session: Any) -> float | tuple[float, float]:
        if self._options.timeout is not None:
            return http.timeouts(self._options.timeout)
        if self._given is not None and session.timeout is not None:
            return float(session.timeout)
        return http.timeouts(http.DEFAULT_TIMEOUT)

    def _user_agent(self) -> str | None:
        chosen = self._options.user_agent
        if chosen is None:
            return None
        return (
            f"{chosen} {_PRODUCT}/{version.__version__} {ks_session.DEFAULT_USER_AGENT}"
        )


def open_session(plugin: Any, options: ConnectionOptions, verify: bool | str) -> Any:
    """Return a new keystoneauth1 session; nothing is sent.

    Args:
        plugin: Its authentication plugin, None for none.
        options: Its timeout.
        verify: Whether, or against which CA file, certificates are checked.
    """
    session = ks_session.Session(
        auth=plugin,
        verify=verify,
        timeout=options.timeout or http.DEFAULT_TIMEOUT,
    )
    for prefix in ("http://", "https://"):
        session.mount(
            prefix,
            ks_session.TCPKeepAliveAdapter(
                pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE
            ),
        )
    return session


def static_token(endpoint: str, token: str) -> Any:
    """Return a plugin that always sends this token."""
    return token_endpoint.Token(endpoint, token)


def identity_plugin(
    *,
    auth_url: str,
    token: str | None = None,
    username: str | None = None,
    user_id: str | None = None,
    password: str | None = None,
    user_domain_id: str | None = None,
    user_domain_name: str | None = None,
    **scope: Any,
) -> Any:
    """Return an Identity v3 plugin, for a token if there is one.

    Args:
        auth_url: The identity service, with or without ``/v3``.
        token: A token to trade in; else the password is used.
        username: The user; needs a domain, ``default`` if none is named.
        user_id: The user, in place of name and domain.
        password: The user's password.
        user_domain_id: The user's domain.
        user_domain_name: The same by name.
        **scope: ``project_id``, or ``project_name`` with
            ``project_domain_id`` or ``project_domain_name``.
    """
    url = auth_url.rstrip("/").removesuffix("/v2.0")
    if not url.endswith("/v3"):
        url += "/v3"
    if scope.get("project_name") and not (
        scope.get("project_domain_id") or scope.get("project_domain_name")
    ):
        scope["project_domain_id"] = "default"
    if token is not None:
        return v3.Token(url, token, **scope)
    if username and not (user_id or user_domain_id or user_domain_name):
        user_domain_id = "default"
    return v3.Password(
        url,
        username=username,
        user_id=user_id,
        password=password or "",
        user_domain_id=user_domain_id,
        user_domain_name=user_domain_name,
        **scope,
    )


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
