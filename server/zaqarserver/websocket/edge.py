"""The WebSocket edge: reads frames, runs operations, writes answers.

Frames without the header ``X-Request-ID`` are served and answered one by one, in
order. Frames with it may be served concurrently; their answers carry the id. The way
of a frame is: split the envelope without decoding the body, look up the operation,
read the arguments, identify the caller, ``admit``, ``run``, render.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from zaqarserver.common.budget import Allocation
from zaqarserver.common.log import new_request_id, request_id_var
from zaqarserver.common.metrics import Metrics
from zaqarserver.errors import (
    BadRequest,
    QuotaExceeded,
    RequestError,
    Unavailable,
)
from zaqarserver.identity.auth import (
    MAX_PROJECT,
    Authenticator,
    ClientIds,
    is_loopback_host,
)
from zaqarserver.notify.websocket import Hub
from zaqarserver.operations import BoundOperation, Reply, admit, bind, run
from zaqarserver.operations.context import Context, Server
from zaqarserver.operations.fields import Fields
from zaqarserver.storage.subscriptions import Subscription, SubscriptionDelete
from zaqarserver.websocket.authentication import Callers, LoginEnded
from zaqarserver.websocket.binary import text_of_binary
from zaqarserver.websocket.connection import (
    ANONYMOUS,
    EXPIRED,
    IDLE,
    OVER_QUOTA,
    RESTART,
    ConnectionEnded,
    ConnectionListener,
    Message,
    WebSocketConnection,
)
from zaqarserver.websocket.frames import (
    AUTHENTICATE,
    EMPTY,
    NOTHING,
    REQUEST_ID,
    FrameError,
    Request,
    answer,
    echo,
    envelope,
    error_body,
    masked,
    read_request,
    read_values,
)
from zaqarserver.websocket.limits import SocketQuota
from zaqarserver.websocket.protocol import DRAINING, TRANSPORT

LOG = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: Bytes of JSON text that a request may have in addition to its messages.
_MAX_ENVELOPE = 65536
_LOGGABLE = re.compile(r"[\w.:-]{1,64}", re.ASCII)


class FrameEdge:
    """Serves the operations over WebSocket."""

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
        metrics: Metrics,
        hub: Hub,
        base_uri: str,
        origins: frozenset[str] | None = None,
    ) -> None:
        self._hub = hub
        self._origins = origins
        self._base_uri = base_uri
        self._server = server
        self._callers = Callers(server, authenticator)
        self._client_ids = ClientIds(server.settings)
        self._metrics = metrics
        self._clock = server.clock
        self._operations = bind(server.settings)
        self._connections: set[WebSocketConnection] = set()
        self._turns = server.budget.turns
        self._max_text = server.settings.max_messages_post_size + _MAX_ENVELOPE

    @property
    def count(self) -> int:
        """The number of open WebSockets."""
        return len(self._connections)

    async def serve(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        await receive()
        if not self._admits(dict(scope["headers"]).get(b"origin")):
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        connection = self._connection(scope)
        self._connections.add(connection)
        code = None
        try:
            code = await self._take_all(connection, receive)
        except ConnectionError:
            LOG.debug("the peer disconnected before it got its answer")
        except asyncio.CancelledError:
            LOG.warning("the server ended before requests of a WebSocket were done")
            connection.cancel()
        except Exception:
            LOG.exception("a frame could not be answered")
            connection.fail()
        finally:
            self._connections.discard(connection)
            await connection.finish()
            connection.socket_quota.leave()
            await self._unsubscribe(list(connection.subscriptions.values()))
        if code == DRAINING:
            await send({"type": "websocket.close", "code": DRAINING})

    def _connection(self, scope: Message) -> WebSocketConnection:
        connection = WebSocketConnection(
            self._hub,
            self._base_uri,
            scope["extensions"][TRANSPORT],
            self._server.budget,
            self._turns.pause,
        )
        connection.login = self._callers.login(connection)
        connection.socket_quota = SocketQuota(self._server.quotas, self._clock.now)
        return connection

    async def _take_all(
        self, connection: WebSocketConnection, receive: Receive
    ) -> int | None:
        """Serve frames until the connection ends.

        Returns:
            The close code, ``None`` if this side closed it.
        """
        while (message := await receive())["type"] == "websocket.receive":
            connection.last_frame = time.monotonic()
            await connection.memory.admit()
            await self._turns.pause()
            await self._take(connection, message)
            if connection.is_closed:
                return None  # frames received after that are not answered
        if message["code"] == DRAINING:
            await connection.drain()
        return int(message["code"])

    def _admits(self, origin: bytes | None) -> bool:
        """Return True if a web page of this origin may connect."""
        if origin is None or self._origins is None:
            return True
        text = origin.decode("latin-1")
        return text in self._origins or is_loopback_host(urlsplit(text).hostname)

    def close_idle(self, older_than: float) -> int:
        """Close connections that send nothing and have no subscriptions.

        Args:
            older_than: Seconds that a connection may send nothing.

        Returns:
            The number of closed connections.
        """
        since = time.monotonic() - older_than
        return self._close_where(IDLE, lambda one: one.is_idle(since))

    def close_anonymous(self, older_than: float) -> int:
        """Close connections that have not authenticated.

        Args:
            older_than: Seconds that a connection has to authenticate, from its start
                or from its last frame with a valid signature.

        Returns:
            The number of closed connections.
        """
        if not self._callers.must_authenticate:
            return 0
        since = time.monotonic() - older_than
        return self._close_where(ANONYMOUS, lambda one: one.is_anonymous(since))

    def restart_listeners(self) -> None:
        """Close connections whose subscriptions other servers have removed."""
        self._close_where(RESTART, WebSocketConnection.listens)

    def _close_where(
        self, reason: tuple[int, str], wanted: Callable[[WebSocketConnection], bool]
    ) -> int:
        found = [one for one in self._connections if wanted(one) and not one.is_closed]
        for connection in found:
            connection.close(reason)
        return len(found)

    async def _unsubscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Delete push subscriptions of a connection."""
        for subscription in subscriptions:
            try:
                await self._server.storage.do(
                    SubscriptionDelete(
                        subscription.space, subscription.queue, subscription.id
                    )
                )
            except Unavailable as error:
                LOG.warning("a push subscription outlives its connection: %s", error)

    async def _take(self, connection: WebSocketConnection, message: Message) -> None:
        binary = message.get("bytes") is not None
        size = len(message["bytes"] if binary else message["text"])
        action, headers, body = NOTHING
        try:
            if binary:
                data = text_of_binary(message["bytes"], self._max_text)
                await self._turns.pause()
            else:
                data = message["text"].encode()
            action, headers, body = envelope(data)
            request = read_request(
                action, headers, body, connection.login.proofs, self._operations
            )
        except FrameError as error:
            repeated = echo(action, body or EMPTY, masked(headers))
            text = answer(repeated, Reply(error.status, error.body))
            await connection.send(text, binary=binary)
            return
        request.binary = binary
        allocation = connection.memory.allocate(size)
        work = self._serve_request(connection, request, allocation)
        # Frames after an authenticate wait for its result.
        if REQUEST_ID in request.headers and request.action != AUTHENTICATE:
            await connection.run_concurrently(work)
        else:
            await work

    async def _serve_request(
        self, connection: WebSocketConnection, request: Request, allocation: Allocation
    ) -> None:
        started = time.perf_counter()
        own_id = request.headers.get(REQUEST_ID)
        # The log uses the client's own request id, if it is safe to log.
        named = own_id and _LOGGABLE.fullmatch(own_id)
        request.id = str(own_id) if named else new_request_id()
        request_id_var.set(request.id)
        connection.begin_answer()
        try:
            with allocation:
                await connection.turn()
                if request.action == AUTHENTICATE:
                    reply = await self._authenticate(connection, request)
                else:
                    reply = await self._run(connection, request, allocation)
                text = answer(request.echo(), reply, own_id)
                await self._send(connection, request, text)
        finally:
            connection.end_answer()
        if connection.login.is_invalid:
            connection.close(EXPIRED)
        elif connection.socket_quota.is_refused:
            connection.close(OVER_QUOTA)
        self._metrics.count_request(
            "websocket", request.action, reply.status, time.perf_counter() - started
        )

    async def _send(
        self, connection: WebSocketConnection, request: Request, text: bytes
    ) -> None:
        """Send an answer; undo the operation if that is known to be in vain."""
        undo = request.undo
        try:
            await connection.send(text, binary=request.binary, proven=undo is not None)
        except ConnectionError:
            if undo is not None:
                await undo()
            raise

    async def _authenticate(
        self, connection: WebSocketConnection, request: Request
    ) -> Reply:
        status, body, identity = await self._callers.authenticate(
            request, connection.login
        )
        if identity is not None:
            # The new caller must not receive messages of another project.
            await self._unsubscribe(connection.end_other_projects(identity.project))
            try:
                connection.socket_quota.change(identity.project)
            except QuotaExceeded as error:
                return Reply(error.status, {"error": error.description})
        return Reply(status, body)

    async def _run(
        self, connection: WebSocketConnection, request: Request, allocation: Allocation
    ) -> Reply:
        operation = self._operations[request.action]
        try:
            # Types first: a malformed frame is refused before anything else.
            values = read_values(operation, request)
            context = await self._context(connection, request, operation, values)
            connection.socket_quota.take(context.project)
            admit(operation, context)
            result = await run(operation, context, values, allocation)
            request.undo = operation.undo(context, values, result)
            return operation.render_frame(context, values, result)
        except ConnectionEnded:
            raise
        except FrameError as error:
            return Reply(error.status, error.body)
        except RequestError as error:
            return Reply(error.status, error_body(error))
        except Unavailable as error:
            LOG.warning("cannot serve now: %s", error)
            text = error.public
            return Reply(error.status, {"exception": text, "error": text})
        except Exception:
            LOG.exception("request failed")
            text = "Unexpected error."
            return Reply(500, {"exception": request.id, "error": text})

    async def _context(
        self,
        connection: WebSocketConnection,
        request: Request,
        operation: BoundOperation,
        values: Fields,
    ) -> Context:
        try:
            client_id = self._client_ids.normalise(request.headers["Client-ID"])
        except BadRequest as error:
            # Clients of this transport look for this text.
            raise FrameError(
                400, error.description, "badly formed hexadecimal UUID string"
            ) from None
        try:
            identity = await self._callers.identify(request, operation, values)
        except LoginEnded:
            connection.login.invalidate(request.proofs)
            raise
        connection.last_admitted = time.monotonic()
        if len(identity.project) > MAX_PROJECT:
            raise BadRequest(f"A project id has at most {MAX_PROJECT} characters.")
        return self._server.context(
            identity,
            client_id,
            request.id,
            topics=operation.row.topics,
            listener=ConnectionListener(connection, binary=request.binary),
            peer=connection,
        )
