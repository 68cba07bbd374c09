"""HTTP requests; the only module that imports ``requests``."""

from __future__ import annotations

import json
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_exceptions

from zaqarclient.transport import errors

DEFAULT_TIMEOUT = 60.0
"""Seconds to wait for the next bytes of an answer."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection at most: it opens soon or not at all."""

Reply = requests.Response


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


class _Session(requests.Session):
    """A session that never turns a write into a read.

    The library follows a redirect of a POST with a GET, and reads its success.

    Args:
        timeout: Seconds to wait between bytes; for a connection at most 10.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeouts = timeouts(timeout)

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


class Client:
    """Sends requests over one pooled session, without authentication.

    Args:
        timeout: Seconds to wait between bytes; for a connection at most 10.

    Attributes:
        session: The ``requests`` session.
    """

    def __init__(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.session: requests.Session = _Session(timeout)

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

    def get(self, url: str, **kwargs: Any) -> Reply:
        """Send GET."""
        return self.request("GET", url, **kwargs)

    def head(self, url: str, **kwargs: Any) -> Reply:
        """Send HEAD."""
        return self.request("HEAD", url, **kwargs)

    def options(self, url: str, **kwargs: Any) -> Reply:
        """Send OPTIONS."""
        return self.request("OPTIONS", url, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> Reply:
        """Send DELETE."""
        return self.request("DELETE", url, **kwargs)

    def post(self, url: str, **kwargs: Any) -> Reply:
        """Send POST; ``data`` is encoded as JSON."""
        return self._with_json("POST", url, kwargs)

    def put(self, url: str, **kwargs: Any) -> Reply:
        """Send PUT; ``data`` is encoded as JSON."""
        return self._with_json("PUT", url, kwargs)

    def patch(self, url: str, **kwargs: Any) -> Reply:
        """Send PATCH; ``data`` is encoded as JSON."""
        return self._with_json("PATCH", url, kwargs)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self.session.close()

    def _with_json(self, method: str, url: str, kwargs: dict[str, Any]) -> Reply:
        if "data" in kwargs:
            kwargs["data"] = json.dumps(kwargs["data"])
        return self.request(method, url, **kwargs)


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
    return f"{parts.scheme}://{parts.netloc}: {words}"


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
