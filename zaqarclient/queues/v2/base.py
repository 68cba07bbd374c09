"""A client's credentials, endpoint and transports: the part below its operations."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from zaqarclient import auth, errors, names, transport
from zaqarclient.auth import signed_url
from zaqarclient.auth.base import ConnectionOptions
from zaqarclient.transport.request import Request, service_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.auth.base import AuthBackend
    from zaqarclient.transport.base import Transport


@names.checked
class BaseClient:
    """Prepares and authenticates requests, and keeps what carries them.

    The arguments and attributes are those of `Client`.
    """

    def __init__(
        self,
        url: str | None = None,
        version: object = 2,
        conf: Mapping[str, Any] | None = None,
        session: Any = None,
        *,
        project: str | None = None,
    ) -> None:
        url, self.conf = _resolved(url, conf, project)
        if isinstance(self.conf, Mapping):
            names.CONF.warn(self.conf)
        self.api_version = _version_two(version)
        self.auth_opts: Mapping[str, Any] = self.conf.get("auth_opts") or {}
        self.client_uuid: str = _client_id_of(self.conf) or uuid.uuid4().hex
        self.session = session
        self._url = url
        self._options = _connection_options(self.conf)
        self._lock = threading.RLock()
        self._backend: AuthBackend | None = None
        self._transports: dict[str, Transport] = {}

    def __repr__(self) -> str:
        options = self.auth_opts.get("options") or {}
        project = options.get("os_project_id") or options.get("project_id")
        of_project = f" project {project}" if project else ""
        url = _without_password(self._url) or "of a catalog"
        return f"<Client {url}{of_project}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, but not those of a given session.

        The client can still be used; it opens new ones then.
        """
        with self._lock:
            if self._backend is not None:
                self._backend.close()
            for opened in self._transports.values():
                opened.close()

    @property
    def api_url(self) -> str | None:
        """The URL of the service, without the version.

        Looked up in the service catalog if it was not given; None if there
        is nothing to look it up with.

        Raises:
            zaqarclient.errors.ZaqarError: The catalog cannot be read or has no
                messaging service.
        """
        if self._url:
            return service_root(self._url)
        if not self._auth_backend().locates(self.session):
            return None
        request = self._authenticated(Request(api=2, session=self.session))
        return service_root(request.endpoint) if request.endpoint else None

    @api_url.setter
    def api_url(self, url: str | None) -> None:
        self._url = url

    def transport(self) -> Transport:
        """Return the transport that the client sends through."""
        return self._get_transport(Request(self.api_url or ""))

    def _request_and_transport(self) -> tuple[Request, Transport]:
        """Return a new request with everything but the call, and the transport."""
        request = self._prepared()
        return request, self._get_transport(request)

    def _prepared(self, url: str | None = None) -> Request:
        endpoint = service_root(url or self._url or "")
        request = Request(endpoint, api=self.api_version, session=self.session)
        self._authenticated(request)
        request.headers["Client-ID"] = self.client_uuid
        return request

    def _get_transport(self, request: Request) -> Transport:
        """Return the transport for the endpoint; always the same one."""
        scheme = transport.scheme_of(request.endpoint)
        with self._lock:
            if scheme not in self._transports:
                # Found through the module: callers put their own there.
                opened = transport.get_transport_for(
                    request, version=self.api_version, options=self.conf
                )
                opened.credentials = functools.partial(
                    self._credentials, self._prepared
                )
                self._transports[scheme] = opened
            return self._transports[scheme]

    def _credentials(
        self, prepare: Callable[[], Request], *, renewed: bool = False
    ) -> Request:
        """Return a request without a call, for a transport that logs in."""
        if renewed:
            self._auth_backend().renew(self.session)
        return prepare()

    def _websocket_requests(self) -> Callable[[], Request]:
        """Return what prepares requests to the service's WebSocket.

        It is where the catalog has it, else where the service itself is.

        Raises:
            zaqarclient.errors.InvalidOperation: It is not known where that is.
        """
        endpoint = self._prepared().endpoint
        scheme = transport.scheme_of(endpoint)
        if scheme in {"ws", "wss"}:
            return self._prepared
        url = self._auth_backend().websocket_endpoint(self.session)
        if url is None:
            if scheme not in {"http", "https"}:
                raise errors.InvalidOperation(
                    "listening needs the service's WebSocket: give a URL that begins "
                    f"with ws:// or wss://, not {scheme}://"
                )
            url = endpoint.replace("http", "ws", 1)
        return functools.partial(self._prepared, url)

    def _authenticated(self, request: Request) -> Request:
        return self._auth_backend().authenticate(self.api_version, request)

    def _auth_backend(self) -> AuthBackend:
        with self._lock:
            if self._backend is None:
                self._backend = auth.get_backend(**self.auth_opts)
                self._backend.connection_options = self._options
            return self._backend


# -- the meaning of the arguments (contract, SDK sections 3 and 4) -----------------


def _version_two(version: object) -> int:
    """Return 2, for any spelling of it and for None.

    Raises:
        zaqarclient.errors.ZaqarError: It is another version, or none.
    """
    try:
        number = 2 if version is None else transport.api_version(version)
    except ValueError:
        number = 0
    if number != 2:
        raise errors.ZaqarError(f"Unknown client version: {version!r}")
    return number


def _resolved(
    url: str | None, conf: Mapping[str, Any] | None, project: str | None
) -> tuple[str | None, Mapping[str, Any]]:
    """Return URL and configuration, taken from a signed URL if it is one.

    Args:
        url: The service, or a signed URL in one line.
        conf: The configuration of the client; returned untouched unless the
            URL is a signed one, which has the credentials, but not how certificates
            are checked, or there is a project.
        project: The project of a service without authentication, or None.

    Raises:
        ValueError: The signed URL is not one, or there are other credentials than
            the project.
    """
    conf = {} if conf is None else conf
    is_signed = signed_url.is_signed_url(url)
    if project is not None:
        if is_signed or conf.get("auth_opts"):
            raise ValueError(
                "project is for a service without authentication, and is not needed "
                "beside other credentials: name it in the options of auth_opts"
            )
        auth_opts = {"backend": "noauth", "options": {"project_id": project}}
        return url, {**conf, "auth_opts": auth_opts}
    if url is None or not is_signed:
        return url, conf
    signed = signed_url.parse_signed_url(url)
    given = (conf.get("auth_opts") or {}).get("options") or {}
    options = {**given, **signed.options()}
    auth_opts = {"backend": "signed-url", "options": options}
    return signed.endpoint, {**conf, "auth_opts": auth_opts}


def _without_password(url: str | None) -> str | None:
    """Return a URL without the user and password that it may have."""
    scheme, separator, rest = (url or "").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" or None


def _client_id_of(conf: Mapping[str, Any]) -> str | None:
    """Return the client id that a configuration names, or None.

    It belongs at the top, and may also be an option of ``auth_opts``.
    """
    options = (conf.get("auth_opts") or {}).get("options") or {}
    return conf.get("client_uuid") or options.get("client_uuid") or None


def _connection_options(conf: Mapping[str, Any]) -> ConnectionOptions:
    """Return how the connection is to behave.

    Raises:
        ValueError: ``timeout``, ``retries`` or ``max_retry_after`` is not a
            number in bounds.
    """
    _number(conf, "retries", above=-1)
    _number(conf, "max_retry_after", above=-1)
    return ConnectionOptions(
        timeout=_number(conf, "timeout", above=0), user_agent=conf.get("user_agent")
    )


def _number(conf: Mapping[str, Any], name: str, *, above: float) -> float | None:
    value = conf.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = above
    if not above < number < float("inf"):
        raise ValueError(f"{name} must be a number above {above}, not {value!r}")
    return number
