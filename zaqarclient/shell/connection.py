"""The connection of ``zaqar`` where no identity service is asked.

keystoneauth1 takes longer to import than a command takes to run, so requests that
need nothing from it do not go through it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin

from zaqarclient.auth import base
from zaqarclient.common import http
from zaqarclient.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOG = logging.getLogger("zaqarclient.cli")

#: A request follows no more redirects than this, as in keystoneauth1.
_MOST_REDIRECTS: Final = 30


class PlainConnection(base.Connection):
    """Sends requests as they are.

    Args:
        on_answer: Called with method, URL and seconds of each request.
        verify: Whether, or against which CA file, certificates are checked.
        cert: The client certificate, as a file or as files of it and its key.

    Attributes:
        verify: The same.
        cert: The same.
    """

    def __init__(
        self,
        on_answer: Callable[[tuple[str, str, float]], object],
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
    ) -> None:
        self.verify = verify
        self.cert = cert
        self._on_answer = on_answer
        self._client = http.Client()

    def request(self, method: str, *, url: str, **kwargs: Any) -> http.Reply:
        """Send one request, and again where a redirect leads; see `Connection`."""
        headers = {"User-Agent": f"zaqar/{__version__}", **kwargs["headers"]}
        tls = {"verify": self.verify, "cert": self.cert}
        kwargs |= {"headers": headers, "allow_redirects": False, **tls}
        reply = self._send(method, url, kwargs)
        for _ in range(_MOST_REDIRECTS):
            if not reply.is_redirect:
                break
            url = urljoin(url, reply.headers["Location"])
            reply = self._send(method, url, kwargs | {"params": None})
        return reply

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _send(self, method: str, url: str, sent: Mapping[str, Any]) -> http.Reply:
        LOG.debug("REQ: %s", _as_curl(method, url, sent))
        began = time.monotonic()
        reply = self._client.request(method, url, **sent)
        self._on_answer((method, url, time.monotonic() - began))
        if LOG.isEnabledFor(logging.DEBUG):
            lines = (f"{name}: {value}" for name, value in reply.headers.items())
            LOG.debug("RESP: [%s] %s", reply.status_code, " ".join(lines))
            LOG.debug("RESP BODY: %s", reply.text)
        return reply


def _as_curl(method: str, url: str, sent: Mapping[str, Any]) -> str:
    """Return a request as ``curl`` would send it, secrets as their digests."""
    words = [f"curl -g -i -X {method} {url}"]
    for name, value in sent["headers"].items():
        shown = value
        if name.lower() in {"x-auth-token", "url-signature"}:
            shown = "{SHA256}" + hashlib.sha256(value.encode()).hexdigest()
        words.append(f'-H "{name}: {shown}"')
    words += (f"{name}: {sent[name]}" for name in ("params", "data") if sent.get(name))
    return " ".join(words)
