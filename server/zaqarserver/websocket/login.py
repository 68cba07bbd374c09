"""Who a connection authenticated as, until that ends (``websocket-v2`` section 5).

A connection may live longer than what proved who it is. The authenticator is asked
again for each frame, which costs a look-up as long as its verdict holds; and a
connection that only listens is looked after by a timer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from zaqarserver.errors import RequestError, Unavailable
from zaqarserver.identity.auth import Authenticator, Headers, Identity

LOG = logging.getLogger(__name__)

#: ``authenticate`` is judged as this request (``websocket-v2`` 5.1).
REQUEST = ("POST", "/")
#: Seconds until a listener is looked at again, at least, and if it cannot be.
LEAST_PAUSE = 1.0
PAUSE = 10.0
_PROOFS = ("X-Auth-Token", "X-Service-Token")


def proofs_of(headers: dict[str, Any]) -> Headers:
    """Return what in a frame's headers proves who sends it, and nothing else."""
    return {
        name.lower().encode(): value.encode()
        for name in _PROOFS
        if isinstance(value := headers.get(name), str)
    }


class Login:
    """The proof that a connection gave last.

    Attributes:
        proofs: What the authenticator is asked with, or ``None`` before the first.
        is_lost: Whether it turned out that it holds no more.

    Args:
        authenticator: Says who callers are.
        end: Closes the connection, called when the proof ceases to hold.
        listens: Says whether the connection waits for messages.
        clock: The server's time.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        end: Callable[[], None],
        listens: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.proofs: Headers | None = None
        self.is_lost = False
        self._authenticator = authenticator
        self._end = end
        self._listens = listens
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, proofs: Headers, identity: Identity) -> None:
        """Put a proof that was accepted in the place of the one before."""
        self.proofs = proofs
        self.is_lost = False
        self._watch(identity)

    def lose(self, proofs: Headers | None) -> None:
        """Note that a proof holds no more, unless there is a newer one."""
        self.is_lost = proofs is self.proofs

    def stop(self) -> None:
        """Watch no longer."""
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
        """Look again after a pause, and at the end of the identity at the latest."""
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
            # Its next frame is checked as it comes.
            self._wake_after(PAUSE, identity)

    async def _look_again(self, identity: Identity) -> None:
        proofs = self.proofs
        if proofs is None:
            return
        try:
            found = await self._authenticator.identify(proofs, *REQUEST)
        except Unavailable as error:
            # What was proved holds until it expires by itself.
            LOG.warning("a listener could not be checked: %s", error)
            found = None
        except RequestError:
            if self.proofs is proofs:
                self._end()
            return
        if self.proofs is not proofs:
            return  # it authenticated anew meanwhile, and is watched for that
        if found is None:
            self._wake_after(PAUSE, identity)
        else:
            self._watch(found)
