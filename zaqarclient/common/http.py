"""HTTP requests; the only module that imports ``requests``."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import requests
import urllib3
from urllib3 import exceptions as urllib3_exceptions

from zaqarclient.common import interrupts
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for the next bytes of an answer."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection at most: it opens soon or not at all."""

Reply = requests.Response


_LIBRARY_SEND = requests.Session.send
_PLAIN_ARGUMENTS = frozenset(
    {"params", "data", "headers", "timeout", "verify", "cert", "allow_redirects"}
)
_PLAIN_URL = re.compile(
    r"https?://[a-z0-9.:-]+/(?:[\w.~/,:-]|%[0-9A-Fa-f]{2})*", re.ASCII
)
"""A URL without a query that the library leaves as it is."""
_SERVICES = 64
"""Services whose settings are kept."""


class Sender(Protocol):
    """The connection of a request that has its own."""

    def request(self, method: str, *, url: str, **kwargs: Any) -> Reply:
        """Send a request and return the answer, whatever its status."""


class ConnectionFailed(errors.ConnectionFailed, requests.exceptions.ConnectionError):
    """The connection could not be opened, or broke.

    Also a ``requests.exceptions.ConnectionError``, which is what callers of
    earlier versions catch.
    """


class TimedOut(errors.TimedOut, requests.exceptions.Timeout):
    """No answer within the timeout; also a ``requests.exceptions.Timeout``."""


class _Connection(urllib3.connection.HTTPConnection):
    """A connection whose wait for an answer can be ended."""

    def getresponse(self) -> Any:
        """Read the head of the answer."""
        with interrupts.current().watching(self.sock):
            return super().getresponse()


class _TLSConnection(_Connection, urllib3.connection.HTTPSConnection):
    """The same with TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class Adapter(requests.adapters.HTTPAdapter):
    """An adapter that looks for the pool of connections to a service once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._pools: dict[Any, Any] = {}
        super().__init__(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, of connections whose waits can be ended."""
        super().init_poolmanager(*args, **kwargs)
        classes = {"http": _Pool, "https": _TLSPool}
        self.poolmanager.pool_classes_by_scheme = classes

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> Any:
        """Return the pool for a request."""
        if proxies:
            return super().get_connection_with_tls_context(
                request, verify, proxies, cert
            )
        key = _service(str(request.url)), verify, cert
        if key not in self._pools:
            self._pools[key] = super().get_connection_with_tls_context(
                request, verify, None, cert
            )
        return self._pools[key]

    def request_url(
        self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> str:
        """Return the URL as the request line has it."""
        if proxies:
            return super().request_url(request, proxies)
        return str(request.url).removeprefix(_service(str(request.url)))

    def close(self) -> None:
        """Close the connections."""
        self._pools = {}
        super().close()


class Session(requests.Session):
    """A session that does for each request only what differs between requests.

    ``requests`` looks for proxies, CA files and passwords in the environment and in
    ``~/.netrc`` at each request, and takes URL and headers apart again: more than
    half of the time of a call. Here that is done once for each service; a change of
    the environment is seen by the next session. A request that needs more (redirects,
    cookies, a password of ``~/.netrc``, another body than text) goes the library's
    own way.

    The library follows a redirect of a POST with a GET, and reads its success: a
    session never turns a write into a read.

    Args:
        timeout: Seconds to wait between bytes; for a connection at most 10.
    """

    def __init__(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        super().__init__()
        for prefix in ("http://", "https://"):
            self.mount(prefix, Adapter())
        self._timeouts = timeouts(timeout)
        self._settings: dict[Any, Mapping[str, Any] | None] = {}

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a redirect leads, if it leaves the method as it is."""
        target: str | None = super().get_redirect_target(resp)
        is_read = resp.request.method in {"GET", "HEAD", "OPTIONS"}
        return target if is_read or resp.status_code in {307, 308} else None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> Reply:
        """Send a request, with the time-outs of the session by default."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeouts
        return super().send(request, **kwargs)

    def request(  # type: ignore[override]  # the arguments are the library's
        self, method: str, url: str, **kwargs: Any
    ) -> Reply:
        """Send a request; the arguments are those of ``requests``."""
        settings = self._settings_for(url, kwargs)
        if settings is None:
            return super().request(method, url, **kwargs)
        data = kwargs.get("data")
        request = requests.PreparedRequest()
        request.method, request.url = method, url
        if params := kwargs.get("params"):
            request.prepare_url(url, params)
        request.body = data.encode() if isinstance(data, str) else data
        request.headers = self._headers_for(  # type: ignore[assignment]  # a mapping
            method, kwargs.get("headers") or {}, request.body
        )
        reply = self.get_adapter(url).send(
            request, timeout=kwargs.get("timeout") or self._timeouts, **settings
        )
        self.cookies.update(reply.cookies)
        reply.content  # noqa: B018 - reads it, which gives the connection back
        return reply

    def close(self) -> None:
        """Close the connections; the next request looks everything up again."""
        self._settings = {}
        super().close()

    def _settings_for(
        self, url: str, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Return how to reach a service, None for the library's own way."""
        plain = (
            arguments.keys() <= _PLAIN_ARGUMENTS
            and arguments.get("allow_redirects") is False
            and isinstance(arguments.get("data"), str | bytes | None)
            and not self.cookies
            # Tests of callers put their own in its place.
            and requests.Session.send is _LIBRARY_SEND
            and _PLAIN_URL.fullmatch(url)
        )
        if not plain:
            return None
        key = _service(url), arguments.get("verify"), arguments.get("cert")
        if key not in self._settings:
            if len(self._settings) >= _SERVICES:
                self._settings = {}
            self._settings[key] = self._look_up(*key)
        return self._settings[key]

    def _look_up(self, service: str, verify: Any, cert: Any) -> Any:
        if requests.utils.get_netrc_auth(service):
            return None
        return self.merge_environment_settings(service, {}, False, verify, cert)

    def _headers_for(
        self, method: str, given: Mapping[str, str], body: bytes | None
    ) -> dict[str, str]:
        names = {name.lower() for name in given}
        headers = {k: str(v) for k, v in self.headers.items() if k.lower() not in names}
        headers |= given
        if body is not None or method not in {"GET", "HEAD"}:
            headers["Content-Length"] = str(len(body or b""))
        return headers


class Client:
    """Sends requests over one pooled session, without authentication.

    Args:
        timeout: Seconds to wait between bytes; for a connection at most 10.

    Attributes:
        session: The ``requests`` session.
    """

    def __init__(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.session: requests.Session = Session(timeout)

    def request(
        self, method: str, url: str, *, connection: Sender | None = None, **kwargs: Any
    ) -> Reply:
        """Send a request; the further arguments are those of ``requests``.

        Args:
            method: The HTTP method.
            url: The whole URL.
            connection: What to send it over in place of the own session.
            **kwargs: See above.

        Raises:
            zaqarclient.transport.errors.NetworkError: No answer came.
        """
        if connection is not None:
            return connection.request(method, url=url, **kwargs)
        # By its name: callers' tests put their own in its place.
        send = getattr(self.session, method.lower())
        if method == "HEAD":
            kwargs.setdefault("allow_redirects", True)
        try:
            return cast("Reply", send(url, **kwargs))
        except requests.RequestException as error:
            raise network_error(error) from error

    def with_json(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request; ``data`` is encoded as JSON."""
        if "data" in kwargs:
            kwargs["data"] = json.dumps(kwargs["data"])
        return self.request(method, url, **kwargs)

    get = functools.partialmethod(request, "GET")
    head = functools.partialmethod(request, "HEAD")
    options = functools.partialmethod(request, "OPTIONS")
    delete = functools.partialmethod(request, "DELETE")
    post = functools.partialmethod(with_json, "POST")
    put = functools.partialmethod(with_json, "PUT")
    patch = functools.partialmethod(with_json, "PATCH")

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self.session.close()


def _service(url: str) -> str:
    """Return scheme, host and port of a URL."""
    return url[: url.index("/", 8)] if "/" in url[8:] else url


def timeouts(seconds: float) -> tuple[float, float]:
    """Return how long to wait for a connection, and between bytes."""
    return min(seconds, CONNECT_TIMEOUT), seconds


def network_cause(error: BaseException) -> requests.RequestException | None:
    """Return the network's error behind another one, None if it had no part."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, requests.RequestException):
        cause = cause.__cause__ or cause.__context__
    return cause


def network_error(error: requests.RequestException) -> errors.NetworkError:
    """Return the error to raise for one of the network."""
    words = _explanation(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TimedOut(description=words, unsent=True)
    if isinstance(error, requests.exceptions.Timeout):
        # After a whole timeout there is no second try.
        return TimedOut(description=words, transient=False)
    if isinstance(error, requests.exceptions.SSLError):
        return ConnectionFailed(description=words, transient=False)
    if isinstance(error, requests.exceptions.ConnectionError):
        return ConnectionFailed(description=words, unsent=_never_opened(error))
    broke_off = isinstance(error, requests.exceptions.ChunkedEncodingError)
    return ConnectionFailed(description=words, transient=broke_off)


def _explanation(error: requests.RequestException) -> str:
    """Return where the request went and the innermost reason of its failure."""
    reason: BaseException = error
    while (deeper := _behind(reason)) is not None:
        reason = deeper
    words = getattr(reason, "strerror", None) or str(reason)
    url = getattr(error.request, "url", None)
    if not url:
        return words
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}: {words}"


def _behind(error: BaseException) -> BaseException | None:
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return None
    for inner in (error.__cause__, error.__context__, *error.args):
        # urllib3 keeps the reason of a timeout in words of its own.
        if isinstance(inner, BaseException) and not isinstance(inner, TimeoutError):
            return inner
    return None


def _never_opened(error: requests.exceptions.ConnectionError) -> bool:
    """Return True if no connection was opened, so nothing was sent."""
    reason = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return isinstance(reason, urllib3_exceptions.NewConnectionError)
