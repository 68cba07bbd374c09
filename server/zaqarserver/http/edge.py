"""The REST edge: from a request to one operation and back (``rest-v2`` section 1).

Who asks was found out at the gate. The edge finds the row, checks what every
request needs in the order of ``rest-v2`` 1.9, lifts path, query and body into the
row's fields, and maps errors to answers. It holds no rule of an operation.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import falcon.asgi

from zaqarserver.common.metrics import Metrics
from zaqarserver.errors import BadRequest
from zaqarserver.http.exchange import EXCHANGE, Exchange
from zaqarserver.http.reading import (
    check_accept,
    check_length,
    read_query,
    read_values,
)
from zaqarserver.http.replies import (
    MethodNotAllowed,
    error_reply,
    write,
)
from zaqarserver.identity.auth import (
    MAX_PROJECT,
    Authenticator,
    ClientIds,
)
from zaqarserver.operations import BoundOperation, Reply, admit, run
from zaqarserver.operations.context import Context, Server
from zaqarserver.operations.fields import check_name

#: Bytes of the query that the head of an answer shows at most.
MAX_SHOWN_QUERY = 1024
_SOURCES = ("queue", "topic")


class Route:
    """One path with the operations behind its methods."""

    def __init__(self, path: str) -> None:
        self.path = path
        # What the path names: a queue, a topic, or neither.
        self.source = next((one for one in _SOURCES if f"{{{one}_name}}" in path), "")
        self.is_home = path == "/v2/"
        self.topics = False
        self._rows: dict[str, BoundOperation] = {}
        self._special: dict[str, list[tuple[str, BoundOperation]]] = {}

    def add(self, operation: BoundOperation) -> None:
        """Put an operation behind its method."""
        row = operation.row
        self.topics = row.topics
        # HEAD asks for what GET answers, without its body.
        for method in ("GET", "HEAD") if row.method == "GET" else (row.method,):
            if row.when is not None:
                self._special.setdefault(method, []).append((row.when, operation))
            else:
                self._rows[method] = operation

    @property
    def allow(self) -> str:
        """The value of the ``Allow`` header."""
        return ", ".join([*sorted(self._rows), "OPTIONS"])

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


class RestEdge:
    """Serves the operations over HTTP."""

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
        metrics: Metrics,
    ) -> None:
        self._server = server
        self._authenticator = authenticator
        self._client_ids = ClientIds(server.settings)
        self._metrics = metrics
        self._clock = server.clock

    # -- one request ---------------------------------------------------------

    async def respond(
        self,
        route: Route,
        method: str,
        request: falcon.asgi.Request,
        response: falcon.asgi.Response,
        path: dict[str, str],
    ) -> None:
        """Serve one request that matched a path."""
        with self._server.budget.allocate() as request.context.lease:
            await self._respond(route, method, request, response, path)

    async def _respond(
        self,
        route: Route,
        method: str,
        request: falcon.asgi.Request,
        response: falcon.asgi.Response,
        path: dict[str, str],
    ) -> None:
        started = time.perf_counter()
        name = "other"
        try:
            query = read_query(request)
            context = await self._admit(route, request, path)
            operation = route.find(method, query)
            name = operation.row.name
            reply = await self._run(operation, context, request, method, query, path)
            if reply.headers is not None and "Content-Location" in reply.headers:
                # With the query as it was sent (``rest-v2`` 1.7), unless that is
                # longer than the head of an answer may become.
                long = len(request.query_string) > MAX_SHOWN_QUERY
                shown = request.path if long else request.relative_uri
                reply.headers["Content-Location"] = shown
        except Exception as error:  # noqa: BLE001 - the edge maps every error
            reply = error_reply(error, route.allow)
        write(response, reply, request.context.request_id)
        self._metrics.count_request(
            "rest", name, reply.status, time.perf_counter() - started
        )

    async def _admit(
        self,
        route: Route,
        request: falcon.asgi.Request,
        path: Mapping[str, str],
    ) -> Context:
        """Check what every request needs, in the order of ``rest-v2`` 1.9."""
        headers = request.context.headers
        check_length(headers)
        accept = headers.get(b"accept")
        if accept is not None:
            extra = (b"application/json-home",) if route.is_home else ()
            check_accept(accept, *extra)
        client_id = self._client_ids.read(headers)
        identity = request.context.identity
        if identity is None:
            identity = await self._authenticator.identify(
                headers, request.method, request.path
            )
        if route.source:
            name = path[f"{route.source}_name"]
            if not name:
                raise BadRequest(
                    f"The path ends with a slash, where the name of a {route.source} "
                    "is missing. The list of all is at the path without the slash.",
                    title=f"Invalid {route.source} identification",
                )
            check_name(name, route.source)
            if len(identity.project) > MAX_PROJECT:
                raise BadRequest(
                    f"A project id has at most {MAX_PROJECT} characters.",
                    title=f"Invalid {route.source} identification",
                )
        return Context(
            self._server,
            identity.project,
            client_id,
            self._clock.now(),
            request.context.request_id,
            identity.roles,
            identity.user_id,
            None,
            identity.token,
            route.topics,
            self._clock.ahead(),
        )

    async def _run(
        self,
        operation: BoundOperation,
        context: Context,
        request: falcon.asgi.Request,
        method: str,
        query: Mapping[str, Any],
        path: dict[str, str],
    ) -> Reply:
        if method == "HEAD" and operation.row.head:
            return Reply(204)
        admit(operation, context)
        values = await read_values(operation, request, query, path)
        result = await run(operation, context, values, request.context.lease)
        exchange: Exchange | None = request.scope.get(EXCHANGE)
        if exchange is not None:
            exchange.undo = operation.undo(context, values, result)
        return operation.render(context, values, result)
