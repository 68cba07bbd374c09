"""From paths to what serves them: operations, and a few pages of their own."""

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
    """One path with the operations behind its methods.

    Args:
        path: The template of the path.
        topics: Whether it is about topics.

    Attributes:
        names: The names of its variables, in their order.
        source: What the path names: ``queue``, ``topic``, or empty for neither.
        is_home: Whether it is the path of the home document.
        topics: The same.
        allow: The value of the ``Allow`` header.
    """

    def __init__(self, path: str, *, topics: bool) -> None:
        parts = path[1:].split("/")
        self.names = [part[1:-1] for part in parts if part.startswith("{")]
        self.source = next((one for one in _SOURCES if f"{one}_name" in self.names), "")
        self.is_home = path == "/v2/"
        self.topics = topics
        self.allow = ""
        self._rows: dict[str, BoundOperation] = {}
        self._special: dict[str, list[tuple[str, BoundOperation]]] = {}

    def add(self, operation: BoundOperation) -> None:
        """Put an operation behind its method."""
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
            MethodNotAllowed: The path has none for this method.
        """
        for name, operation in self._special.get(method, ()):
            if name in query:
                return operation
        try:
            return self._rows[method]
        except KeyError:
            raise MethodNotAllowed from None


class _Node:
    """A place in the tree of paths: where it leads to, by the next part of a path."""

    __slots__ = ("literals", "route", "variable")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.route: Route | None = None

    def grow(self, part: str) -> _Node:
        """Return the node behind a part of a template; make it if need be."""
        if not part.startswith("{"):
            return self.literals.setdefault(part, _Node())
        self.variable = self.variable or _Node()
        return self.variable


class Routes:
    """The paths of some operations, as a tree."""

    def __init__(self, operations: Iterable[BoundOperation]) -> None:
        self._root = _Node()
        for operation in operations:
            path, node = operation.row.path, self._root
            for part in path[1:].split("/"):
                node = node.grow(part)
            node.route = node.route or Route(path, topics=operation.row.topics)
            node.route.add(operation)

    def find(self, path: str) -> tuple[Route, dict[str, str]]:
        """Return what a path leads to, and the values of its variables.

        Raises:
            NotFound: There is no such path.
        """
        node, values = self._root, []
        for part in path[1:].split("/"):
            following = node.literals.get(part)
            if following is None:
                following = node.variable
                if following is None:
                    raise _not_found()
                values.append(part)
            node = following
        if node.route is None:
            raise _not_found()
        return node.route, dict(zip(node.route.names, values, strict=True))


def _not_found() -> NotFound:
    return NotFound(title="404 Not Found")


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
    """Return what a page answers to a request, or an error."""
    if request.method == "OPTIONS":
        return Reply(200, None, {"Allow": _PAGE_METHODS})
    if request.method not in ("GET", "HEAD"):
        return error_reply(MethodNotAllowed(), _PAGE_METHODS)
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
    """Return the page behind the link of a confirmation mail.

    It decides nothing by being opened: programs that follow the links of mails
    must not subscribe anybody.
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
