"""The identity of a frame's caller (``websocket-v2`` section 5)."""

from __future__ import annotations

import msgspec

from zaqarserver.errors import Forbidden, Unauthorized, Unavailable
from zaqarserver.identity.auth import Authenticator, Headers, Identity
from zaqarserver.operations import BoundOperation
from zaqarserver.operations.context import Server
from zaqarserver.operations.fields import Fields
from zaqarserver.operations.sharing import is_open
from zaqarserver.operations.signing import Signature
from zaqarserver.websocket.connection import WebSocketConnection
from zaqarserver.websocket.frames import FrameError, Request
from zaqarserver.websocket.login import REQUEST, Login, proofs_of

SIGNATURE = "URL-Signature"
_SIGNED_PARTS = ("URL-Paths", "URL-Methods", "X-Project-ID", "URL-Expires", SIGNATURE)
# Clients of this transport expect these texts.
_NOBODY = "Not authentified."
_SOMEBODY_ELSE = "Not authenticated."
_FAILED = "Authentication failed."
_DONE = {"message": "Authentified."}


def needed_headers(request: Request) -> tuple[str, ...]:
    """Return the headers that a frame must have."""
    if request.action == "authenticate":
        return "X-Project-ID", "X-Auth-Token"
    if request.proofs is None or "X-Project-ID" in request.headers:
        return "X-Project-ID", "Client-ID"
    # A frame without X-Project-ID cannot match the login: 403, not 400.
    return ("Client-ID",)


class LoginEnded(FrameError):
    """The login of the connection has ended."""

    def __init__(self) -> None:
        super().__init__(403, _NOBODY)


class Callers:
    """Identifies the caller of a frame.

    Args:
        server: The parts of the server.
        authenticator: Identifies callers.
    """

    def __init__(
        self,
        server: Server,
        authenticator: Authenticator,
    ) -> None:
        self._server = server
        self._authenticator = authenticator

    def login(self, connection: WebSocketConnection) -> Login:
        """Return the login of a new connection, which has not authenticated yet."""
        return Login(
            self._authenticator,
            connection.expire,
            connection.listens,
            self._server.clock.now,
        )

    @property
    def must_authenticate(self) -> bool:
        """True if connections have to authenticate."""
        return self._authenticator.required

    async def authenticate(
        self, request: Request, login: Login
    ) -> tuple[int, dict[str, str], Identity | None]:
        """Process an ``authenticate``; a refused one leaves the login unchanged.

        Returns:
            The status and body of the answer, and the identity if it is accepted.
        """
        if not self.must_authenticate:
            return 200, _DONE, None
        proofs = proofs_of(request.headers)
        try:
            identity = await self._authenticator.identify(proofs, *REQUEST)
        except Unauthorized:
            return 401, {"error": _FAILED}, None
        except Forbidden as error:
            return 403, {"error": error.description}, None
        except Unavailable:
            return 503, {"error": _FAILED}, None
        if request.headers["X-Project-ID"] != identity.project:
            return 403, {"error": _SOMEBODY_ELSE}, None
        login.begin(proofs, identity)
        return 200, _DONE, identity

    async def identify(
        self,
        request: Request,
        operation: BoundOperation,
        values: Fields,
    ) -> Identity:
        """Return the caller of a frame.

        Args:
            request: The frame.
            operation: The operation of its action.
            values: The operation's arguments.

        Raises:
            FrameError: Not authenticated.
            LoginEnded: The login has ended.
            RequestError: The headers are wrong.
            Unavailable: The identity service does not answer.
        """
        if request.proofs is not None:
            return await self._known(request, request.proofs, operation, values)
        if SIGNATURE in request.headers:
            return await self._signed(request, operation, values)
        if self.must_authenticate:
            raise FrameError(403, _NOBODY)
        return await self._authenticator.identify(_as_headers(request), *REQUEST)

    async def _known(
        self,
        request: Request,
        proofs: Headers,
        operation: BoundOperation,
        values: Fields,
    ) -> Identity:
        try:
            identity = await self._authenticator.identify(proofs, *REQUEST)
        except (Unauthorized, Forbidden):
            raise LoginEnded from None
        if request.headers.get("X-Project-ID") != identity.project:
            raise FrameError(403, _SOMEBODY_ELSE)
        if identity.restricted:
            row = operation.row
            path = row.path.format_map(msgspec.structs.asdict(values))
            try:
                await self._authenticator.identify(proofs, row.method, path)
            except Unauthorized:
                raise FrameError(403, _SOMEBODY_ELSE) from None
        return identity

    async def _signed(
        self, request: Request, operation: BoundOperation, values: Fields
    ) -> Identity:
        """Return the project of a signature that covers the action, without roles."""
        row = operation.row
        parts = [request.headers.get(name) for name in _SIGNED_PARTS]
        try:
            presented = msgspec.convert(parts, _Parts)
        except msgspec.ValidationError:
            raise FrameError(403, _NOBODY) from None
        if row.signable:
            path = f"/v2/queues/{values.queue_name}/messages"  # type: ignore[attr-defined]  # each of them has one
            if path in presented.paths and await is_open(
                self._server, presented, row.method, path, self._server.clock.wall()
            ):
                return Identity(presented.project)
        raise FrameError(403, _NOBODY)


class _Parts(Signature, array_like=True, frozen=True):
    """The parts of a signature, in the order of the headers of a frame."""


def _as_headers(request: Request) -> Headers:
    """Return a frame's headers as those of a request."""
    return {
        name.lower().encode(): value.encode()
        for name, value in request.headers.items()
        if isinstance(value, str)
    }
