"""Trusts for subscribers that need tokens, off the event loop and in bounds.

:mod:`zaqarserver.identity.trustee` asks Keystone, in a few threads. Tokens that
trusts give are kept until shortly before they end; what is to be removed is removed in
the background, since a subscription is gone whether Keystone answers or not.
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

#: Threads that ask Keystone.
THREADS: Final = 4
#: Questions that may wait for a thread at the same time.
MOST_WAITING: Final = 64
#: Seconds that a request waits for Keystone.
PATIENCE: Final = 10.0
#: Tokens that are kept at most; those longest unused go first.
MOST_TOKENS: Final = 1000
#: Seconds before its end from which a token is not used any more, but never more
#: than half of its life.
MARGIN: Final = 60.0
#: Trusts that may wait for their removal at the same time.
MOST_REMOVALS: Final = 1000
#: Seconds before each further try to remove a trust.
REMOVAL_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class KeystoneTrusts:
    """Makes trusts of callers, uses them, and removes them.

    Args:
        client: Asks Keystone.
        clock: The time.
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
        """Return how many trusts were ``made``, ``removed`` or ``left``.

        Left is one that could not be removed: it ends at its own time.
        """
        return self._events

    def _count(self, event: str) -> None:
        self._events[event] = self._events.get(event, 0) + 1

    # -- for callers ------------------------------------------------------------

    def check_possible(self, context: Context, /) -> None:
        """Refuse callers without a token of their own.

        Raises:
            BadRequest: There is none, as with pre-signed access.
        """
        if not context.token:
            raise BadRequest(
                "trust+http and trust+https subscribers need a token of the user that "
                "subscribes; pre-signed access has none."
            )

    async def create(self, context: Context, expires: float, /) -> str:
        """Make a trust of the caller and return its id.

        Args:
            context: The caller.
            expires: When it is to end, seconds since the epoch.

        Raises:
            Forbidden: Keystone refuses it to the caller's token.
            IdentityUnavailable: Keystone does not answer; there is no trust, or it
                is removed as soon as it turns out that there is one.
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
        """Return whether a trust is the caller's own, for its project and for us.

        Raises:
            Forbidden: The caller's token is valid no more.
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
        """Return a token that a trust gives, a kept one if there is one.

        Raises:
            TrustGone: The trust gives none any more.
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
        # Keystone names a moment of the system's clock.
        expires = token.expires - self._clock.ahead()
        until = max(expires - MARGIN, (expires + now) / 2)
        self._tokens[trust] = (token, until)
        return token

    def drop(self, trust: str, token: str) -> None:
        """Forget a token that was not accepted."""
        kept = self._tokens.get(trust)
        if kept is not None and kept[0].text == token:
            del self._tokens[trust]

    # -- removing --------------------------------------------------------------------

    def delete(self, trust: str, token: str = "", /) -> None:
        """Remove a trust, in the background; several tries, then its id is logged.

        Args:
            trust: The trust.
            token: The token of whoever wants it removed, if there is one.
        """
        self._tokens.pop(trust, None)
        if trust in self._removals:
            return
        if len(self._removals) >= MOST_REMOVALS:
            self._leave(trust, "too many others are to be removed")
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
                # Whatever it is: the trust is still there, as far as we know.
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
        """Let removals under way end for a moment; give up the others."""
        tasks = list(self._removals.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._patience / 5)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._renewing.close()

    # -- threads -----------------------------------------------------------------------

    def _ask(self, question: Callable[[], T]) -> asyncio.Future[T]:
        """Put a question to Keystone in a thread.

        Raises:
            IdentityUnavailable: Too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise IdentityUnavailable("Too many questions about trusts wait.")
        self._waiting += 1
        asked = asyncio.get_running_loop().create_task(self._threads.run(question))
        asked.add_done_callback(self._answered)
        return asked

    def _answered(self, asked: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not asked.cancelled():
            asked.exception()  # seen, also if nobody waits any more

    async def _wait(self, asked: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(asked, self._patience)
        except TimeoutError:
            raise IdentityUnavailable("Keystone takes too long.") from None
