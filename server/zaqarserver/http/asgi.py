"""The REST edge as an ASGI application, for other servers than our own.

Such a server bounds its connections itself. An operation is undone if sending its
answer fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zaqarserver.http.edge import RestEdge
from zaqarserver.http.requests import RestRequest

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class AsgiRequest(RestRequest):
    """A request whose body an ASGI server receives."""

    __slots__ = ("_receive",)

    def __init__(self, scope: dict[str, Any], receive: Receive) -> None:
        super().__init__(
            scope["method"],
            scope["path"],
            scope["query_string"].decode(),
            [(bytes(name), bytes(value)) for name, value in scope["headers"]],
        )
        self._receive = receive

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""
        return self.is_cut

    async def read(self, most: int) -> bytes:
        """Return the body once it is whole, is cut, or has so many bytes."""
        data = bytearray()
        is_whole = False
        while not (is_whole or self.is_cut or len(data) >= most):
            message = await self._receive()
            self.is_cut = message["type"] == "http.disconnect"
            data += message.get("body", b"")
            is_whole = not message.get("more_body", False)
        return bytes(data)


class AsgiApp:
    """Serves REST over ASGI.

    Args:
        edge: Answers requests.
    """

    def __init__(self, edge: RestEdge) -> None:
        self._edge = edge

    async def __call__(
        self, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve one request.

        Raises:
            NotImplementedError: The protocol is not HTTP.
        """
        if scope["type"] != "http":
            raise NotImplementedError(f"{scope['type']} is not served here")
        request = AsgiRequest(scope, receive)
        answer = await self._edge.respond(request)
        headers = [
            (name.encode(), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
        start = {"type": "http.response.start", "status": answer.status}
        try:
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
        except OSError:
            if request.undo is not None:
                await request.undo()
            raise
