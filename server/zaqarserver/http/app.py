"""The ASGI application: every path of the operation table, and errors in JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import falcon
import falcon.asgi

from zaqarserver.auth import Authenticator
from zaqarserver.context import Server
from zaqarserver.errors import RequestError
from zaqarserver.http.edge import RestEdge, Route
from zaqarserver.http.reading import check_accept, read_headers
from zaqarserver.http.replies import VARY, error_reply, write
from zaqarserver.log import new_request_id
from zaqarserver.metrics import CONTENT_TYPE, Metrics
from zaqarserver.operations import BoundOperation, Reply, bind
from zaqarserver.operations.service import VERSIONS

App = falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]
Cors = falcon.CORSMiddleware[Any, Any]

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class _Page:
    """A path that says which methods it has, to anybody."""

    def __init__(self, allow: str = "GET, OPTIONS") -> None:
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
        for method in _METHODS:
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


class _Root(_Page):
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


class _MetricsPage(_Page):
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
    clock: Callable[[], float] = time.time,
    cors: Cors | None = None,
) -> App:
    """Make the ASGI application that serves REST.

    Args:
        server: The parts of the server.
        authenticator: Says who callers are.
        metrics: Counts requests.
        clock: Seconds since the epoch.
        cors: Lets web pages in; without it browsers keep them out.
    """
    app = falcon.asgi.App(middleware=[] if cors is None else [cors])
    app.req_options.auto_parse_qs_csv = False
    app.add_error_handler(Exception, _on_any_error)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    edge = RestEdge(server, authenticator, metrics, clock)
    app.add_route("/", _Root())
    app.add_route("/metrics", _MetricsPage(metrics))
    for route in routes(list(bind(server.settings).values())):
        app.add_route(route.path, _Resource(edge, route))
    return app
