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

from zaqarserver.errors import RequestError, Unavailable
from zaqarserver.identity.auth import Authenticator, Headers, Identity

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
        end: Closes the connection; called when the credentials expire.
        listens: Returns True if the connection has push subscriptions.
        clock: Returns the server's time.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        end: Callable[[], None],
        listens: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.proofs: Headers | None = None
        self.is_invalid = False
        self._authenticator = authenticator
        self._end = end
        self._listens = listens
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
            self._end()
        elif self._listens():
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
                self._end()
            return
        if self.proofs is not proofs:
            return  # it authenticated again meanwhile; its timer runs
        if found is None:
            self._wake_after(PAUSE, identity)
        else:
            self._watch(found)
