"""Requests with a kept token, without keystoneauth as long as it is accepted."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from zaqarclient.auth import base
from zaqarclient.common import http
from zaqarclient.transport.request import service_root
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zaqarclient.shell_tokens import Entry, TokenFile
    from zaqarclient.transport.request import Request

LOG = logging.getLogger("zaqarclient.cli")

_UNAUTHORIZED: Final = 401


class CachedToken(base.AuthBackend):
    """Sends a kept token; asks for another when there is none or it is refused.

    Args:
        file: Where it is kept.
        entry: What is kept there; None for nothing.
        ask: Gets a new one from the identity service.
        project: The project to name beside the token; None to leave it to the
            token.

    Attributes:
        timings: Method, URL and seconds of each request over HTTP.
    """

    def __init__(
        self,
        file: TokenFile,
        entry: Entry | None,
        ask: Callable[[], Entry],
        project: str | None = None,
    ) -> None:
        super().__init__({})
        self._file = file
        self._entry = entry
        self._ask = ask
        self._project = project
        self._client = http.Client()
        self.timings: list[tuple[str, str, float]] = []

    def locates(self, session: Any) -> bool:  # noqa: ARG002 - of the interface
        """Return that the endpoint is known: it is kept with the token."""
        return True

    def authenticate(
        self,
        api_version: object,  # noqa: ARG002 - the same for every version
        request: Request,
    ) -> Request:
        """Add the token, where to send it and over what.

        Raises:
            zaqarclient.errors.ZaqarError: No token could be had.
        """
        entry = self.current()
        request.headers["X-Auth-Token"] = entry.token
        request.endpoint = request.endpoint or service_root(entry.endpoint)
        request.verify = entry.verify is not False
        request.cert = entry.verify if isinstance(entry.verify, str) else None
        project = self._project
        if base.uses_http(request):
            request.connection = self
        else:
            project = project or entry.project  # frames have to name it
        if project:
            request.headers["X-Project-Id"] = project
        return request

    def current(self) -> Entry:
        """Return a token that is valid now, got if need be."""
        entry = self._entry
        if entry is None or not entry.is_valid():
            entry = self._got()
        return entry

    def renew(self, session: Any) -> None:  # noqa: ARG002 - it has its own
        """Forget a token that was refused, and get another."""
        self._got()

    def request(
        self, method: str, *, url: str, headers: Mapping[str, str], **kwargs: Any
    ) -> http.Reply:
        """Send one request; with a new token again if the kept one is refused.

        Args:
            method: The HTTP method.
            url: The whole URL.
            headers: Its headers, the token among them.
            **kwargs: ``params`` and ``data`` as for ``requests``.

        Raises:
            zaqarclient.transport.errors.NetworkError: No answer came.
            zaqarclient.errors.ZaqarError: No new token could be had.
        """
        reply = self._send(method, url, headers, kwargs)
        if reply.status_code == _UNAUTHORIZED:
            headers = {**headers, "X-Auth-Token": self._got().token}
            reply = self._send(method, url, headers, kwargs)
        if reply.status_code == _UNAUTHORIZED:
            self._file.drop()
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _got(self) -> Entry:
        self._file.drop()
        self._entry = entry = self._ask()
        self._file.write(entry)
        return entry

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], kwargs: dict[str, Any]
    ) -> http.Reply:
        entry = self._entry or self.current()
        named = {"User-Agent": f"zaqar/{__version__}", **headers}
        LOG.debug("REQ: %s", _as_typed(method, url, named, kwargs))
        sent = {**kwargs, "verify": entry.verify, "cert": entry.cert}
        reply = self._client.request(method, url, headers=named, **sent)
        LOG.debug("RESP: [%s] %s", reply.status_code, dict(reply.headers))
        self.timings.append((method, url, reply.elapsed.total_seconds()))
        return reply


def _as_typed(
    method: str, url: str, headers: Mapping[str, str], kwargs: Mapping[str, Any]
) -> str:
    """Return a request as ``curl`` would send it, the token as its digest."""
    words = [f"curl -g -i -X {method} {url}"]
    for name, value in headers.items():
        shown = value
        if name.lower() == "x-auth-token":
            shown = "{SHA256}" + hashlib.sha256(value.encode()).hexdigest()
        words.append(f'-H "{name}: {shown}"')
    more = ("params", "data")
    words += (f"{name}: {kwargs[name]}" for name in more if kwargs.get(name))
    return " ".join(words)
