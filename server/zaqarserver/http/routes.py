"""The paths of operations as a tree, and the pages that are open to all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any

import msgspec

from zaqarserver.common.metrics import CONTENT_TYPE, Metrics
from zaqarserver.config import CONFIRM_PAGE
from zaqarserver.errors import NotFound
from zaqarserver.http.answers import MethodNotAllowed, error_reply
from zaqarserver.http.reading import RestRequest, check_accept
from zaqarserver.operations import BoundOperation, Reply
from zaqarserver.operations.service import VERSIONS

Page = Callable[[RestRequest], Reply]

METRICS_PAGE = "/metrics"
_PAGE_METHODS = "GET, HEAD, OPTIONS"
_SOURCES = ("queue", "topic")


class Route:
    """One path with an operation for each of its methods.

    Args:
        path: The template of the path.
        topics: True for a path of topics.

    Attributes:
        names: The names of its variables, in their order.
        source: What the path names: ``queue``, ``topic``, or empty for neither.
        is_home: True for the path of the home document.
        topics: True for a path of topics.
        allow: The value of the ``Allow`` header.
    """

    def __init__(self, path: str, *, topics: bool) -> None:
        self.names = [one[1:-1] for one in _split(path)[1]]
        self.source = next((one for one in _SOURCES if f"{one}_name" in self.names), "")
        self.is_home = path == "/v2/"
        self.topics = topics
        self.allow = ""
        self._rows: dict[str, BoundOperation] = {}
        self._special: dict[str, list[tuple[str, BoundOperation]]] = {}

    def add(self, operation: BoundOperation) -> None:
        """Register an operation for its method."""
        row = operation.row
        # HEAD asks for what GET answers, without its body.
        for method in ("GET", "HEAD") if row.method == "GET" else (row.method,):
            if row.when is not None:
                self._special.setdefault(method, []).append((row.when, operation))
            else:
                self._rows[method] = operation
        self.allow = ", ".join([*sorted(self._rows), "OPTIONS"])

    def find(self, method: str, query: Mapping[str, Any]) -> BoundOperation:
        """Return the operation of a request.

        Raises:
            MethodNotAllowed: The path does not support this method.
        """
        for name, operation in self._special.get(method, ()):
            if name in query:
                return operation
        if method not in self._rows:
            raise MethodNotAllowed(self.allow)
        return self._rows[method]


class Routes:
    """The paths of some operations.

    After ``/v2/`` words and variables alternate. So the words of a path, which are
    found by their places, name its route in one look-up.

    Raises:
        ValueError: The path of an operation is not of that form.
    """

    def __init__(self, operations: Iterable[BoundOperation]) -> None:
        self._routes: dict[tuple[object, ...], Route] = {}
        for operation in operations:
            path = operation.row.path
            words, variables = _split(path)
            if path.count("{") != sum(one.startswith("{") for one in variables):
                raise ValueError(f"words and variables of {path} do not alternate")
            if words not in self._routes:
                self._routes[words] = Route(path, topics=operation.row.topics)
            self._routes[words].add(operation)

    def find(self, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route of a path, and the values of its variables.

        Raises:
            NotFound: The path does not exist.
        """
        words, variables = _split(path)
        route = self._routes.get(words)
        if route is None:
            raise NotFound(title="404 Not Found")
        return route, dict(zip(route.names, variables, strict=True))


def _split(path: str) -> tuple[tuple[object, ...], list[str]]:
    """Return the words of a path, with the number of its parts, and its variables."""
    parts = path.split("/")
    return (len(parts), *parts[:2], *parts[2::2]), parts[3::2]


# -- pages --------------------------------------------------------------------


def pages(metrics: Metrics) -> dict[str, Page]:
    """Return the pages that are open to all, by path."""
    confirm = _confirm_page()
    return {
        "/": _versions,
        METRICS_PAGE: lambda _request: Reply(
            200, msgspec.Raw(metrics.page()), None, CONTENT_TYPE
        ),
        CONFIRM_PAGE: lambda _request: confirm,
    }


def show(page: Page, request: RestRequest) -> Reply:
    """Return the reply of a page to a request, or an error."""
    if request.method == "OPTIONS":
        return Reply(200, None, {"Allow": _PAGE_METHODS})
    if request.method not in ("GET", "HEAD"):
        return error_reply(MethodNotAllowed(_PAGE_METHODS))
    try:
        return page(request)
    except Exception as error:  # noqa: BLE001 - every error is answered
        return error_reply(error)


def _versions(request: RestRequest) -> Reply:
    """Show which versions there are (``rest-v2`` 1.2)."""
    request.check_headers()
    check_accept(request.headers)
    return Reply(300, VERSIONS)


def _confirm_page() -> Reply:
    """Return the page that the link of a confirmation mail opens.

    It decides nothing by being opened: programs that follow the links of mails
    must not subscribe an address.
    """
    page = resources.files(__package__).joinpath("confirm.html").read_text()
    policy = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"
    for tag in ("script", "style"):
        content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        policy += f"; {tag}-src 'sha256-{digest}'"
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Reply(200, msgspec.Raw(page.encode()), headers, "text/html; charset=utf-8")
