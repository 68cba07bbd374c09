"""Who gets in at all: before routing, for every path (``rest-v2`` 1.9, 6.1).

A request that brings a signature is decided by that alone. Any other has to
authenticate, if the server asks for it, whether or not its path exists. What is
open to all is listed here.
"""

from __future__ import annotations

import time

import falcon.asgi

from zaqarserver.common.log import new_request_id, request_id_var
from zaqarserver.common.metrics import Metrics
from zaqarserver.config import CONFIRM_PAGE
from zaqarserver.errors import NotFound
from zaqarserver.http.reading import read_headers
from zaqarserver.http.replies import error_reply, write
from zaqarserver.identity.auth import Authenticator, Headers, Identity, header_text
from zaqarserver.operations.context import Server
from zaqarserver.operations.sharing import is_open
from zaqarserver.operations.signing import Signature

#: The methods that paths may have, and one that none has.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE")
_NO_METHOD = "TRACE"
METRICS_PAGE = "/metrics"
#: Paths that nobody has to authenticate for.
OPEN_PATHS = frozenset({"/", METRICS_PAGE, CONFIRM_PAGE})
_SIGNED_PARTS = (
    b"url-paths",
    b"url-methods",
    b"x-project-id",
    b"url-expires",
    b"url-signature",
)


class Gate:
    """Finds out who sent a request, and answers those who are not let in.

    Leaves in the request's context: ``request_id``; for paths that are not open
    also ``headers``, and ``identity``: who asks, or ``None`` where a server
    without authentication has yet to take the request's word for it.
    """

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
        metrics: Metrics,
    ) -> None:
        self._server = server
        self._authenticator = authenticator
        self._metrics = metrics

    async def process_request(
        self, request: falcon.asgi.Request, response: falcon.asgi.Response
    ) -> None:
        """Let a request in, or answer it."""
        started = time.perf_counter()
        context = request.context
        context.request_id = new_request_id()
        if request.method not in METHODS and request.method != "OPTIONS":
            # One of WebDAV, or made up: refused like any that a path does not have.
            request.method = _NO_METHOD
        if request.path in OPEN_PATHS:
            return
        request_id_var.set(context.request_id)
        try:
            context.headers = headers = read_headers(request)
            context.identity = await self._identify(request, headers)
        except Exception as error:  # noqa: BLE001 - the edge maps every error
            reply = error_reply(error)
            write(response, reply, context.request_id)
            response.complete = True
            self._metrics.count_request(
                "rest", "other", reply.status, time.perf_counter() - started
            )

    async def _identify(
        self, request: falcon.asgi.Request, headers: Headers
    ) -> Identity | None:
        method, path = request.method, request.path
        if b"url-signature" in headers:
            return await self._identify_signed(headers, method, path)
        if not self._authenticator.required or _is_preflight(method, headers):
            return None
        return await self._authenticator.identify(headers, method, path)

    async def _identify_signed(
        self, headers: Headers, method: str, path: str
    ) -> Identity:
        """Return the project of a signature that covers the request, no roles.

        Raises:
            NotFound: It is not genuine, has ended, was revoked, or is for others.
        """
        paths, methods, *rest = (header_text(headers, name) for name in _SIGNED_PARTS)
        presented = Signature(paths.split(","), methods.split(","), *rest)
        complete = paths and methods and all(rest)
        if complete and await is_open(
            self._server, presented, method, path, self._server.clock.wall()
        ):
            return Identity(presented.project)
        raise NotFound(title="404 Not Found")


def _is_preflight(method: str, headers: Headers) -> bool:
    """Whether a browser asks what a page may send; it sends no token with that."""
    return (
        method == "OPTIONS"
        and b"origin" in headers
        and b"access-control-request-method" in headers
    )
