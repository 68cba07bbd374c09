"""Trusts for subscribers that need tokens, without blocking the event loop.

:mod:`zaqarserver.identity.trustee` sends the requests to Keystone, in a few threads.
Tokens of trusts are cached until shortly before they expire. Trusts are deleted in the
background, because a subscription is deleted whether Keystone answers or not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from zaqarserver.clock import Clock
from zaqarserver.common.lru import LRU
from zaqarserver.common.tasks import SingleFlight, Threads
from zaqarserver.errors import BadRequest, IdentityUnavailable

if TYPE_CHECKING:
    from zaqarserver.identity.trustee import Trustee, TrustToken
    from zaqarserver.operations.context import Context

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Threads that send requests to Keystone.
THREADS: Final = 4
#: Requests that may wait for a thread at a time.
MOST_WAITING: Final = 64
#: Seconds that a request waits for Keystone.
PATIENCE: Final = 10.0
#: Tokens in the cache.
MOST_TOKENS: Final = 1000
#: Seconds before its expiry from which a token is not used any more; at most half of
#: its lifetime.
MARGIN: Final = 60.0
#: Trusts that may wait for their deletion at a time.
MOST_REMOVALS: Final = 1000
#: Seconds before each further try to remove a trust.
REMOVAL_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class KeystoneTrusts:
    """Creates, uses and deletes trusts of callers.

    Args:
        client: Sends the requests to Keystone.
        clock: The clock.
        patience: Seconds that a request waits for Keystone.
        removal_waits: Seconds before each further try to remove a trust.
    """

    in_use = True

    def __init__(
        self,
        client: Trustee,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        removal_waits: Sequence[float] = REMOVAL_WAITS,
    ) -> None:
        self._client = client
        self._clock = clock or Clock()
        self._patience = patience
        self._removal_waits = removal_waits
        self._threads = Threads("trusts", THREADS)
        self._waiting = 0
        self._tokens: LRU[str, tuple[TrustToken, float]] = LRU(MOST_TOKENS)
        self._renewing: SingleFlight[str, TrustToken] = SingleFlight()
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._events: dict[str, int] = {}

    def counters(self) -> Mapping[str, int]:
        """Return the numbers of trusts that were ``made``, ``removed`` or ``left``.

        A trust that could not be deleted is left: it expires.
        """
        return self._events

    def _count(self, event: str) -> None:
        self._events[event] = self._events.get(event, 0) + 1

    # -- for callers ------------------------------------------------------------

    def check_possible(self, context: Context, /) -> None:
        """Refuse callers without a token.

        Raises:
            BadRequest: The caller has no token, as with a signed URL.
        """
        if not context.token:
            raise BadRequest(
                "trust+http and trust+https subscribers need a token of the user that "
                "subscribes; pre-signed access has none."
            )

    async def create(self, context: Context, expires: float, /) -> str:
        """Create a trust of the caller and return its id.

        Args:
            context: The caller.
            expires: When it expires, seconds since the epoch.

        Raises:
            Forbidden: Keystone refuses it to the caller's token.
            IdentityUnavailable: Keystone does not answer. If it creates the trust
                later, the trust is deleted.
        """
        making = self._ask(
            lambda: self._client.create(
                context.token, context.user_id, context.project, expires
            )
        )
        try:
            made = await self._wait(asyncio.shield(making))
        except BaseException:
            making.add_done_callback(self._remove_late)
            raise
        self._count("made")
        return made

    def _remove_late(self, making: asyncio.Future[str]) -> None:
        if not making.cancelled() and making.exception() is None:
            self.delete(making.result())

    async def is_callers(self, context: Context, trust: str, /) -> bool:
        """Return True if a trust is the caller's, for its project and our trustee.

        Raises:
            Forbidden: The caller's token is not valid any more.
            IdentityUnavailable: Keystone does not answer.
        """
        asked = self._ask(
            lambda: self._client.is_of(
                context.token, context.user_id, context.project, trust
            )
        )
        return await self._wait(asyncio.shield(asked))

    # -- for deliveries ------------------------------------------------------------

    async def token(self, trust: str) -> str:
        """Return a token of a trust, from the cache or a new one.

        Raises:
            TrustGone: The trust does not exist any more.
            IdentityUnavailable: Keystone does not answer.
        """
        kept = self._tokens.use(trust)
        if kept is not None and self._clock.now() < kept[1]:
            return kept[0].text
        renewing = self._renewing.join(trust, lambda: self._renew(trust))
        return (await self._wait(renewing)).text

    async def _renew(self, trust: str) -> TrustToken:
        self._tokens.pop(trust, None)
        token = await self._ask(lambda: self._client.token(trust))
        now = self._clock.now()
        # Keystone's times are those of the system's clock.
        expires = token.expires - self._clock.ahead()
        until = max(expires - MARGIN, (expires + now) / 2)
        self._tokens[trust] = (token, until)
        return token

    def drop(self, trust: str, token: str) -> None:
        """Drop a token that was refused."""
        kept = self._tokens.get(trust)
        if kept is not None and kept[0].text == token:
            del self._tokens[trust]

    # -- removing --------------------------------------------------------------------

    def delete(self, trust: str, token: str = "", /) -> None:
        """Delete a trust in the background; after several attempts, log its id.

        Args:
            trust: The trust.
            token: The token of the caller, if there is one.
        """
        self._tokens.pop(trust, None)
        if trust in self._removals:
            return
        if len(self._removals) >= MOST_REMOVALS:
            self._leave(trust, "too many deletions wait")
            return
        task = asyncio.get_running_loop().create_task(self._remove(trust, token))
        self._removals[trust] = task
        task.add_done_callback(lambda _done: self._removals.pop(trust, None))

    async def _remove(self, trust: str, token: str) -> None:
        reason = "the server stops"
        try:
            for wait in (*self._removal_waits, None):
                try:
                    await self._ask(lambda: self._client.delete(trust, token))
                # After any failure the trust may still exist.
                except Exception as error:  # noqa: BLE001
                    reason = f"{type(error).__name__}: {error}"
                else:
                    self._count("removed")
                    return
                if wait is not None:
                    await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._leave(trust, reason)
            raise
        self._leave(trust, reason)

    def _leave(self, trust: str, reason: str) -> None:
        self._count("left")
        LOG.error("trust %s was not removed (%s); it ends at its time", trust, reason)

    async def close(self) -> None:
        """Wait for running deletions for a moment, then cancel them."""
        tasks = list(self._removals.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._patience / 5)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._renewing.close()

    # -- threads -----------------------------------------------------------------------

    def _ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        """Send a request to Keystone in a thread.

        Raises:
            IdentityUnavailable: Too many requests wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise IdentityUnavailable("Too many requests about trusts wait.")
        self._waiting += 1
        asked = asyncio.get_running_loop().create_task(self._threads.run(question))
        asked.add_done_callback(self._answered)
        return asked

    def _answered(self, asked: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not asked.cancelled():
            asked.exception()  # retrieved, even if no caller waits any more

    async def _wait(self, asked: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(asked, self._patience)
        except TimeoutError:
            raise IdentityUnavailable("Keystone takes too long.") from None
