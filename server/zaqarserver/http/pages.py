"""The pages that are open to all: what this is, health, metrics, confirmation."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

import msgspec

from zaqarserver import __version__
from zaqarserver.common.metrics import Metrics
from zaqarserver.common.tasks import SingleFlight
from zaqarserver.config import CONFIRM_PAGE
from zaqarserver.errors import Unavailable
from zaqarserver.http.answers import MethodNotAllowed, error_reply
from zaqarserver.http.reading import check_accept, names_media
from zaqarserver.http.requests import RestRequest
from zaqarserver.operations import Reply
from zaqarserver.operations.service import VERSIONS

Page = Callable[[RestRequest], Awaitable[Reply]]
Ping = Callable[[], Awaitable[None]]

_METHODS = "GET, HEAD, OPTIONS"
_TEXT = "text/plain; charset=utf-8"
#: Seconds for which the store's answer to a readiness check is shown again.
_FRESH = 1.0
#: Seconds that the store may take to answer one.
_PATIENCE = 5.0


def pages(metrics: Metrics, ping: Ping) -> dict[str, Page]:
    """Return the pages, by path.

    Args:
        metrics: The counters.
        ping: Returns if the store can be used, else raises ``Unavailable``.
    """
    return {
        "/": _Home().show,
        "/healthz": _always(Reply(200, msgspec.Raw(b"ok\n"), None, _TEXT)),
        "/readyz": _Readiness(ping).show,
        "/metrics": _metrics(metrics),
        CONFIRM_PAGE: _always(_document("confirm.html")),
    }


async def show(page: Page, request: RestRequest) -> Reply:
    """Return the reply of a page to a request, or an error."""
    if request.method == "OPTIONS":
        return Reply(200, None, {"Allow": _METHODS})
    if request.method not in ("GET", "HEAD"):
        return error_reply(MethodNotAllowed(_METHODS))
    try:
        return await page(request)
    except Exception as error:  # noqa: BLE001 - every error is answered
        return error_reply(error)


def _always(reply: Reply) -> Page:
    async def show(_request: RestRequest) -> Reply:
        return reply

    return show


def _metrics(metrics: Metrics) -> Page:
    async def show(_request: RestRequest) -> Reply:
        # Few servers are asked, and the library takes a while to import.
        from zaqarserver.common import exposition  # noqa: PLC0415

        page = msgspec.Raw(exposition.page_of(metrics))
        return Reply(200, page, None, exposition.CONTENT_TYPE)

    return show


class _Home:
    """Shows what this is: programs see the versions (``rest-v2`` 1.2)."""

    def __init__(self) -> None:
        self._page = _document("home.html", {"{version}": __version__})

    async def show(self, request: RestRequest) -> Reply:
        """Return the page if a browser asks, else the versions."""
        request.check_headers()
        accept = request.headers.get(b"accept", b"")
        if names_media(accept, b"text/html") and not names_media(
            accept, b"application/json"
        ):
            return self._page
        check_accept(request.headers)
        return Reply(300, VERSIONS)


class _Readiness:
    """Shows if the store can be used; it is asked once a second at most.

    Args:
        ping: Returns if the store can be used, else raises ``Unavailable``.
    """

    def __init__(self, ping: Ping) -> None:
        self._ping = ping
        self._flights: SingleFlight[str, Reply] = SingleFlight()
        self._known = Reply(200)
        self._until = 0.0

    async def show(self, _request: RestRequest) -> Reply:
        """Return 200, or 503 if the store does not answer."""
        if asyncio.get_running_loop().time() < self._until:
            return self._known
        return await self._flights.join("readiness", self._check)

    async def _check(self) -> Reply:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._ping()
            self._known = Reply(200, msgspec.Raw(b"ready\n"), None, _TEXT)
        except TimeoutError:
            self._known = error_reply(Unavailable("the store does not answer"))
        except Unavailable as error:
            self._known = error_reply(error)
        self._until = asyncio.get_running_loop().time() + _FRESH
        return self._known


def _document(name: str, values: Mapping[str, str] | None = None) -> Reply:
    """Return a page of this package that may load nothing and send nothing away.

    The page of confirmations decides nothing by being opened: programs that follow
    the links of mails must not subscribe an address.

    Args:
        name: The file.
        values: Texts by the marks in it that they replace.
    """
    page = resources.files(__package__).joinpath(name).read_text()
    for mark, value in (values or {}).items():
        page = page.replace(mark, value)
    policy = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"
    for tag in ("script", "style"):
        content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        if content:
            digest = hashlib.sha256(content.encode()).digest()
            policy += f"; {tag}-src 'sha256-{base64.b64encode(digest).decode()}'"
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Reply(200, msgspec.Raw(page.encode()), headers, "text/html; charset=utf-8")
