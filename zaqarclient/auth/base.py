"""The contract of authentication backends, and the simplest of them."""

from __future__ import annotations

import abc
import threading
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zaqarclient.auth.session import SessionConnection
    from zaqarclient.common.http import Reply
    from zaqarclient.transport.request import Request

NOAUTH_PROJECT = "fake_project_id_for_noauth"
"""The project of a caller that names none to a server without authentication
(contract, SDK section 5)."""


class ConnectionOptions(NamedTuple):
    """How the connection of a client behaves.

    Attributes:
        timeout: Seconds to wait between bytes of the answer, and for a
            connection but there at most 10; None for the given session's own
            timeout, or 60.
        user_agent: What the ``User-Agent`` begins with; None for the given
            session's own, or that of this package.
    """

    timeout: float | None = None
    user_agent: str | None = None


class Connection(abc.ABC):
    """Sends requests over HTTP; given as the session of a client, in place of one."""

    @abc.abstractmethod
    def request(self, method: str, *, url: str, **kwargs: Any) -> Reply:
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

    def endpoint(self) -> str | None:
        """Return the messaging endpoint that the connection knows, or None."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Close what was opened here."""


class AuthBackend(abc.ABC):
    """Authenticates requests: fills in their headers, endpoint and connection.

    One backend serves one client for its whole life: it keeps the connection
    and with it the token. It may be used from several threads.

    Args:
        conf: The ``options`` of the client's ``auth_opts``.

    Attributes:
        conf: The same.
        connection_options: Set by the client before the first request.
    """

    sends_token: ClassVar[bool] = True
    """Whether requests carry a token."""

    def __init__(self, conf: Mapping[str, Any]) -> None:
        self.conf = conf
        self.connection_options = ConnectionOptions()
        self._lock = threading.RLock()
        self._connection: SessionConnection | None = None
        self._connected_to: Any = None

    @abc.abstractmethod
    def authenticate(self, api_version: object, request: Request) -> Request:
        """Fill in what the request needs to be accepted.

        Args:
            api_version: The version of the messaging API.
            request: The request; it is changed.

        Returns:
            The same request.

        Raises:
            zaqarclient.errors.ZaqarError: The credentials are not complete or
                not accepted, or the endpoint is not known.
        """

    def locates(self, session: Any) -> bool:
        """Return whether the endpoint can be found without being given."""
        return session is not None

    def websocket_endpoint(self, session: Any) -> str | None:
        """Return where the catalog has the service's WebSocket, or None.

        Args:
            session: The keystoneauth1 session of the client, or None.
        """
        return None

    def renew(self, session: Any) -> None:  # noqa: B027 - most have nothing to renew
        """Forget a token that was refused, if there can be another.

        Args:
            session: The keystoneauth1 session of the client, or None.
        """

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def option(self, *names: str) -> Any:
        """Return the first of these options that has a value, or None.

        Each name may also have the prefix ``os_``; the bare one goes first.
        """
        for name in names:
            for key in (name, f"os_{name}"):
                value = self.conf.get(key)
                if value is not None and value != "":
                    return value
        return None

    def project_id(self) -> str | None:
        """Return the project that the options name, or None."""
        return self.conf.get("os_project_id") or self.conf.get("project_id") or None

    def connect(
        self,
        request: Request,
        session: Any,
        *,
        authenticated: bool = False,
    ) -> Connection | SessionConnection:
        """Return the one connection of this backend, and note it in the request.

        Args:
            request: The request that it will carry.
            session: The keystoneauth1 session to send through, or a connection;
                None for a session of its own.
            authenticated: Whether requests carry a token of the session.
        """
        if isinstance(session, Connection):
            request.connection = session
            return session
        # keystoneauth1 and requests cost some 200 ms to import.
        from zaqarclient.auth import session as ks  # noqa: PLC0415

        with self._lock:
            if self._connection is None or self._connected_to is not session:
                self._connected_to = session
                self._connection = ks.SessionConnection(
                    session,
                    authenticated=authenticated,
                    options=self.connection_options,
                    verify=self.verification(),
                    cert=self.client_certificate(),
                )
            request.connection = self._connection
            return self._connection

    def verification(self) -> bool | str:
        """Return whether, or against which CA file, certificates are checked."""
        if is_true(self.option("insecure")):
            return False
        cacert = self.option("cacert")
        return True if cacert is None else str(cacert)

    def client_certificate(self) -> str | tuple[str, str] | None:
        """Return the files of the certificate to show to the service, if any.

        Either one file of certificate and key, or one of each.
        """
        cert, key = self.option("cert"), self.option("key")
        if cert is None:
            return None
        return str(cert) if key is None else (str(cert), str(key))


class NoAuth(AuthBackend):
    """For servers without authentication: it only names the project.

    Options: ``os_project_id`` or ``project_id``; ``roles`` to act in, with
    commas between; also ``insecure``, ``cacert``, ``cert`` and ``key``.
    """

    sends_token = False

    def authenticate(self, api_version: object, request: Request) -> Request:
        """Name the project, and take the endpoint from the session if need be."""
        request.headers["X-Project-Id"] = self.project_id() or NOAUTH_PROJECT
        roles = self.option("roles")
        if roles:
            request.headers["X-Roles"] = str(roles)
        if uses_http(request):
            connection = self.connect(request, request.session)
            if not request.endpoint and request.session is not None:
                request.endpoint = connection.endpoint() or ""
        return request


def uses_http(request: Request) -> bool:
    """Return whether a request needs a connection of this backend's.

    Those to a WebSocket have their own; the libraries of HTTP are not loaded
    for them.
    """
    return not request.endpoint.startswith(("ws://", "wss://"))


def is_true(value: object) -> bool:
    """Return whether an option, perhaps a text from a file, is switched on."""
    return str(value).strip().lower() in {"1", "true", "t", "yes", "y", "on"}
