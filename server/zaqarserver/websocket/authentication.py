"""The authentication of a connection, until it expires (``websocket-v2`` section 5).

A connection may outlive its token. So the credentials are verified for each frame,
which is a cache look-up while the token verdict is cached; a timer verifies those of a
connection that only receives pushes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from zaqarserver.errors import Forbidden, RequestError, Unauthorized, Unavailable
from zaqarserver.identity.auth import Authenticator, Headers, Identity
from zaqarserver.operations import BoundOperation
from zaqarserver.operations.context import Server
from zaqarserver.operations.fields import Fields
from zaqarserver.operations.signed_urls import Signature, is_open
from zaqarserver.websocket.connection import EXPIRED, WebSocketConnection
from zaqarserver.websocket.frames import FrameError, Request

LOG = logging.getLogger(__name__)

#: The request that ``authenticate`` is verified as (``websocket-v2`` 5.1).
REQUEST = ("POST", "/")
#: Seconds until a listener is verified again: at least, and after a failure.
LEAST_PAUSE = 1.0
PAUSE = 10.0
_PROOFS = ("X-Auth-Token", "X-Service-Token")


def proofs_of(headers: dict[str, Any]) -> Headers:
    """Return the credentials in a frame's headers."""
    return {
        name.lower().encode(): value.encode()
        for name in _PROOFS
        if isinstance(value := headers.get(name), str)
    }


class Login:
    """The credentials with which a connection authenticated last.

    Attributes:
        proofs: The credentials as headers, or ``None`` before the first.
        is_invalid: True if they have expired or were revoked.

    Args:
        authenticator: Identifies callers.
        connection: The connection, which is closed when the credentials expire.
        clock: Returns the server's time.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        connection: WebSocketConnection,
        clock: Callable[[], float],
    ) -> None:
        self.proofs: Headers | None = None
        self.is_invalid = False
        self._authenticator = authenticator
        self._connection = connection
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, proofs: Headers, identity: Identity) -> None:
        """Replace the credentials by new ones that were accepted."""
        self.proofs = proofs
        self.is_invalid = False
        self._watch(identity)

    def invalidate(self, proofs: Headers | None) -> None:
        """Mark credentials as invalid, unless they were replaced."""
        self.is_invalid = proofs is self.proofs

    def stop(self) -> None:
        """Stop verifying."""
        self._cancel_timer()
        if self._task is not None:
            self._task.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, identity: Identity) -> None:
        self._cancel_timer()
        moments = [identity.expires, identity.recheck]
        known = [moment for moment in moments if moment is not None]
        if known:
            pause = max(LEAST_PAUSE, min(known) - self._clock())
            self._wake_after(pause, identity)

    def _wake_after(self, pause: float, identity: Identity) -> None:
        """Verify again after a pause, at the latest when the identity expires."""
        self._cancel_timer()
        if identity.expires is not None:
            pause = min(pause, max(0.0, identity.expires - self._clock()))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(pause, self._wake, identity)

    def _wake(self, identity: Identity) -> None:
        if identity.expires is not None and identity.expires <= self._clock():
            self._connection.close(EXPIRED)
        elif self._connection.listens():
            self._task = asyncio.create_task(self._look_again(identity))
        else:
            # Its next frame is verified when it arrives.
            self._wake_after(PAUSE, identity)

    async def _look_again(self, identity: Identity) -> None:
        proofs = self.proofs
        if proofs is None:
            return
        try:
            found = await self._authenticator.identify(proofs, *REQUEST)
        except Unavailable as error:
            # The last result holds until the token expires.
            LOG.warning("a listener could not be verified: %s", error)
            found = None
        except RequestError:
            if self.proofs is proofs:
                self._connection.close(EXPIRED)
            return
        if self.proofs is not proofs:
            return  # it authenticated again meanwhile; its timer runs
        if found is None:
            self._wake_after(PAUSE, identity)
        else:
            self._watch(found)


SIGNATURE = "URL-Signature"
_SIGNED_PARTS = ("URL-Paths", "URL-Methods", "X-Project-ID", "URL-Expires", SIGNATURE)
# Clients of this transport expect these texts.
_NOBODY = "Not authentified."
_SOMEBODY_ELSE = "Not authenticated."
_FAILED = "Authentication failed."
_DONE = {"message": "Authentified."}


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
        return Login(self._authenticator, connection, self._server.clock.now)

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
            path = row.path_of(values)
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
