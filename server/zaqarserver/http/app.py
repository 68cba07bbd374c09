"""The ASGI application: every path of the operation table, and errors in JSON."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import falcon
import falcon.asgi

from zaqarserver.common.log import new_request_id
from zaqarserver.common.metrics import CONTENT_TYPE, Metrics
from zaqarserver.config import CONFIRM_PAGE
from zaqarserver.errors import RequestError
from zaqarserver.http.edge import RestEdge, Route
from zaqarserver.http.gate import METHODS, METRICS_PAGE, Gate
from zaqarserver.http.reading import check_accept, read_headers
from zaqarserver.http.replies import VARY, error_reply, write
from zaqarserver.identity.auth import Authenticator
from zaqarserver.operations import BoundOperation, Reply, bind
from zaqarserver.operations.context import Server
from zaqarserver.operations.service import VERSIONS

_ALLOWED = "Access-Control-Allow-Headers"
_LONGEST = 1024  # bytes of it
App = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]


class Cors(falcon.CORSMiddleware[Any, Any]):
    """Lets web pages in, and tells caches that answers differ by their origin."""

    def process_response(
        self, req: Any, resp: Any, resource: object, req_succeeded: bool
    ) -> None:
        """Add what browsers look for."""
        super().process_response(req, resp, resource, req_succeeded)
        # It repeats what the page asks for; no head grows with a request.
        if len(resp.get_header(_ALLOWED, default="")) > _LONGEST:
            resp.set_header(_ALLOWED, "*")
        if self.allow_origins != "*" or self.allow_credentials:
            resp.append_header("Vary", "Origin")


class _Page:
    """A path that says which methods it has, to anybody."""

    def __init__(self, allow: str = "GET, HEAD, OPTIONS") -> None:
        self._allow = allow

    async def on_options(
        self,
        _request: falcon.asgi.Request,
        response: falcon.asgi.Response,
        **_path: str,
    ) -> None:
        """Say which methods the path has."""
        write(response, Reply(200, None, {"Allow": self._allow}), new_request_id())


class _Resource(_Page):
    """The methods of one path, all served by the edge."""

    def __init__(self, edge: RestEdge, route: Route) -> None:
        super().__init__(route.allow)
        self._edge = edge
        self._route = route
        for method in METHODS:
            setattr(self, f"on_{method.lower()}", self._responder(method))

    def _responder(self, method: str) -> Callable[..., Any]:
        edge, route = self._edge, self._route

        async def responder(
            request: falcon.asgi.Request,
            response: falcon.asgi.Response,
            **path: str,
        ) -> None:
            await edge.respond(route, method, request, response, path)

        return responder


class _Shown(_Page):
    """A page; HEAD asks for it without its body."""

    async def on_get(
        self, request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Show it."""
        raise NotImplementedError

    async def on_head(
        self, request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Show the head of it."""
        await self.on_get(request, response)


class _Root(_Shown):
    """The version document, open to all (``rest-v2`` 1.2)."""

    async def on_get(
        self, request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Say which versions there are."""
        try:
            check_accept(read_headers(request).get(b"accept", b""))
            reply = Reply(300, VERSIONS)
        except RequestError as error:
            reply = error_reply(error)
        write(response, reply, new_request_id())


class _MetricsPage(_Shown):
    """What the server counted, for Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    async def on_get(
        self, _request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Show all metrics."""
        write(response, Reply(200, content_type=CONTENT_TYPE), new_request_id())
        response.data = self._metrics.page()


class _ConfirmPage(_Shown):
    """The page behind the link of a confirmation mail.

    It decides nothing by being opened: programs that follow the links of mails
    must not subscribe anybody.
    """

    def __init__(self) -> None:
        super().__init__()
        page = resources.files(__package__).joinpath("confirm.html").read_text()
        self._page = page.encode()
        parts = {
            f"{kind}-src": _digest(
                page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
            )
            for kind, tag in (("script", "script"), ("style", "style"))
        }
        self._policy = "; ".join(
            ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"]
            + [f"{name} '{digest}'" for name, digest in parts.items()]
        )

    async def on_get(
        self, _request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Show the page."""
        headers = {
            "Content-Security-Policy": self._policy,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        reply = Reply(200, None, headers, "text/html; charset=utf-8")
        write(response, reply, new_request_id())
        response.data = self._page


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


async def _on_http_error(
    _request: falcon.asgi.Request,
    response: falcon.asgi.Response,
    error: falcon.HTTPError,
    _params: dict[str, Any],
) -> None:
    """Answer what Falcon refuses (unknown paths, methods, bad framing) in JSON."""
    headers = {**VARY, **dict(error.headers or {})}
    write(
        response,
        Reply(error.status_code, {"title": error.status}, headers),
        new_request_id(),
    )


async def _on_any_error(
    _request: falcon.asgi.Request,
    response: falcon.asgi.Response,
    error: Exception,
    _params: dict[str, Any],
) -> None:
    write(response, error_reply(error), new_request_id())


def routes(operations: Sequence[BoundOperation]) -> list[Route]:
    """Gather operations by path."""
    found: dict[str, Route] = {}
    for operation in operations:
        path = operation.row.path
        found.setdefault(path, Route(path)).add(operation)
    return list(found.values())


def make_app(
    server: Server,
    authenticator: Authenticator,
    metrics: Metrics,
    cors: Cors | None = None,
) -> App:
    """Make the ASGI application that serves REST.

    Args:
        server: The parts of the server.
        authenticator: Says who callers are.
        metrics: Counts requests.
        cors: Lets web pages in; without it browsers keep them out.
    """
    gate = Gate(server, authenticator, metrics)
    app = falcon.asgi.App(middleware=[gate] if cors is None else [cors, gate])
    app.req_options.auto_parse_qs_csv = False
    app.add_error_handler(Exception, _on_any_error)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    edge = RestEdge(server, authenticator, metrics)
    app.add_route("/", _Root())
    app.add_route(METRICS_PAGE, _MetricsPage(metrics))
    app.add_route(CONFIRM_PAGE, _ConfirmPage())
    for route in routes(list(bind(server.settings).values())):
        app.add_route(route.path, _Resource(edge, route))
    return app
