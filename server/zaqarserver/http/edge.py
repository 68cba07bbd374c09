"""The REST edge: from a request to one operation and back (``rest-v2`` section 1).

It authenticates the caller, finds the row, checks each request in the order of
``rest-v2`` 1.9, reads path, query and body into the arguments of the row, and maps
errors to answers. It does not know rules of operations or connections.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from typing import Any

from zaqarserver.common.log import request_id_var
from zaqarserver.common.metrics import Metrics
from zaqarserver.errors import BadRequest
from zaqarserver.http.answers import (
    Answer,
    Cors,
    answer_of,
    error_reply,
    is_preflight,
    with_headers,
)
from zaqarserver.http.pages import pages, show
from zaqarserver.http.reading import (
    check_accept,
    check_length,
    read_body,
    read_query,
    read_values,
)
from zaqarserver.http.requests import RestRequest
from zaqarserver.http.routes import Route, Routes
from zaqarserver.http.signatures import (
    PRIVATE,
    client_of,
    is_link,
    is_signed,
    not_covered,
    signature_of,
)
from zaqarserver.identity.auth import (
    MAX_PROJECT,
    Authenticator,
    ClientIds,
    Identity,
)
from zaqarserver.operations import BoundOperation, Reply, admit, bind, run
from zaqarserver.operations.context import Context, Server
from zaqarserver.operations.fields import check_name
from zaqarserver.operations.signed_urls import is_open

#: Bytes of the query that the head of an answer shows at most.
MAX_SHOWN_QUERY = 1024
_HOME = b"application/json-home"
_ANY_METHOD = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_INVALID = "Invalid {} identification"


class RestEdge:
    """Serves the operations over HTTP.

    Args:
        server: The parts of the server.
        authenticator: Identifies callers.
        metrics: Counts requests.
        cors: Lets web pages read answers; without it browsers refuse them.
    """

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
        metrics: Metrics,
        cors: Cors | None = None,
    ) -> None:
        self._server = server
        self._authenticator = authenticator
        self._client_ids = ClientIds(server.settings)
        self._metrics = metrics
        self._cors = cors
        self._clock = server.clock
        self._routes = Routes(bind(server.settings).values())
        self._pages = pages(metrics, server.storage.ping)

    def drain(self) -> None:
        """Answer the requests that wait."""
        self._server.waiters.drain()

    async def respond(self, request: RestRequest) -> Answer:
        """Return the answer to a request; errors are answers too."""
        request_id_var.set(request.id)
        request.is_link = is_link(request)
        page = self._pages.get(request.path)
        reply = await (self._serve(request) if page is None else show(page, request))
        if request.is_link:
            reply = with_headers(reply, PRIVATE)
        answer = answer_of(reply, request.id)
        if request.method == "HEAD":
            answer.body = b""
        if self._cors is not None:
            self._cors.apply(request.method, request.headers, answer)
        return answer

    async def _serve(self, request: RestRequest) -> Reply:
        """Serve all requests that are not for a page."""
        started = time.perf_counter()
        name = "other"
        try:
            request.check_headers()
            identity = None
            if self._authenticator.required or is_signed(request):
                identity = await self._authenticate(request)
            if (
                is_preflight(request.method, request.headers)
                and request.path not in self._routes
            ):
                # Else the page that asks cannot tell a 404 from a broken network.
                return Reply(200, None, {"Allow": _ANY_METHOD})
            route, path = self._routes.find(request.path)
            if request.method == "OPTIONS":
                return Reply(200, None, {"Allow": route.allow})
            query = read_query(request.query) if request.query else {}
            client_id = self._check_headers(route, request)
            if identity is None:
                identity = await self._identify(request)
            if route.source:
                _check_names(route, path, identity.project)
            context = self._server.context(
                identity, client_id, request.id, topics=route.topics, peer=request
            )
            operation = route.find(request.method, query)
            name = operation.row.name
            reply = await self._run(operation, context, request, query, path)
            if reply.headers is not None and "Content-Location" in reply.headers:
                reply.headers["Content-Location"] = _location(request)
        except Exception as error:  # noqa: BLE001 - the edge maps every error
            reply = error_reply(error)
        self._metrics.count_request(
            "rest", name, reply.status, time.perf_counter() - started
        )
        return reply

    # -- the caller -------------------------------------------------------------

    async def _authenticate(self, request: RestRequest) -> Identity | None:
        """Identify the caller before anything else is checked (``rest-v2`` 1.9, 6.1).

        A signature alone decides about a request that has one. Any other request must
        authenticate if the server requires it, even if its path does not exist.

        Returns:
            The caller; ``None`` if the headers of the request name it, unverified.
        """
        if is_preflight(request.method, request.headers):
            return None
        if is_signed(request):
            return await self._identify_signed(request)
        return await self._identify(request)

    def _identify(self, request: RestRequest) -> Awaitable[Identity]:
        return self._authenticator.identify(
            request.headers, request.method, request.path
        )

    async def _identify_signed(self, request: RestRequest) -> Identity:
        """Return an identity without roles: the project of a valid signature.

        Raises:
            NotFound: The signature is invalid, expired, revoked, or does not cover the
                request.
        """
        presented, now = signature_of(request), self._clock.wall()
        method, path = request.method, request.path
        if not await is_open(self._server, presented, method, path, now):
            raise not_covered()
        if request.is_link:
            # Nothing else identifies the caller, and the id is optional.
            client = client_of(presented).encode()
            request.headers.setdefault(b"client-id", client)
        return Identity(presented.project)

    # -- one operation ------------------------------------------------------------

    def _check_headers(self, route: Route, request: RestRequest) -> str:
        """Check headers in the order of ``rest-v2`` 1.9; return the client id."""
        headers = request.headers
        check_length(request)
        check_accept(headers, *((_HOME,) if route.is_home else ()))
        return self._client_ids.read(headers)

    async def _run(
        self,
        operation: BoundOperation,
        context: Context,
        request: RestRequest,
        query: Mapping[str, Any],
        path: Mapping[str, str],
    ) -> Reply:
        row = operation.row
        if row.head and request.method == "HEAD":
            return Reply(204)
        admit(operation, context)
        document = (
            b"" if operation.body is None else await read_body(operation, request)
        )
        values = read_values(operation, query, path, request.headers, document)
        if request.is_cut or (row.undo is not None and request.is_gone):
            raise BadRequest("The request broke off.", title="Invalid request body")
        with self._server.budget.allocate() as allocation:
            result = await run(operation, context, values, allocation)
            request.undo = operation.undo(context, values, result)
            return operation.render(context, values, result)


def _check_names(route: Route, path: Mapping[str, str], project: str) -> None:
    """Refuse an invalid name of a queue or topic, or an invalid project.

    Raises:
        BadRequest: One is invalid.
    """
    source, name = route.source, path[route.names[0]]
    if not name:
        raise BadRequest(
            f"The path ends with a slash, where the name of a {source} is missing. The "
            "list of all is at the path without the slash.",
            title=_INVALID.format(source),
        )
    check_name(name, source)
    if len(project) > MAX_PROJECT:
        raise BadRequest(
            f"A project id has at most {MAX_PROJECT} characters.",
            title=_INVALID.format(source),
        )


def _location(request: RestRequest) -> str:
    """Return path and query of a request as they were sent (``rest-v2`` 1.7).

    A long query is left out: the head of an answer must not grow with the request.
    So is one with a signature, which is a secret.
    """
    if not request.query or request.is_link or len(request.query) > MAX_SHOWN_QUERY:
        return request.path
    return f"{request.path}?{request.query}"
