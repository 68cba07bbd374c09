"""The open store, and what has to be written elsewhere before a script runs.

A script works in one slot. What lies in others, the list of a project's queues and
the lists of what is to be swept and delivered, is written *before* the script changes
anything (``lua/promise.lua``): the script asks for it, with the epoch of its queue,
and is sent again. Whoever takes an entry away again raises the epoch in the queue's
slot first, and removes the entry only if its score, or token, is still the one that
was there before. So at every moment, whichever process dies, a list may name a queue
that has nothing to do or does not exist; the next reader finds out, and the sweeper
removes the entry. It never misses one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from zaqarserver.common import deadline
from zaqarserver.errors import QueueMoving, Unavailable, nothing_done
from zaqarserver.storage.redis.asked import Asked, Name
from zaqarserver.storage.redis.ids import Sequence
from zaqarserver.storage.redis.keys import Names, QueueKeys
from zaqarserver.storage.redis.link import Link
from zaqarserver.storage.redis.location import Location
from zaqarserver.storage.redis.scripts import SCRIPTS
from zaqarserver.storage.redis.volumes import Volumes
from zaqarserver.storage.redis.wire import Word

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that the visit of a queue may take which many others wait for, and seconds
#: after which it is tried again.
VISIT_SECONDS = 0.5
PUT_OFF_SECONDS = 2.0

_PREPARE = b"prepare"
_AGAIN = b"again"
_SEALED = b"sealed"
_LIST_QUEUE, _SWEEP, _NOTIFY, _LIST_SEAL = b"qdns"

#: The answer of a script that has changed nothing, since it came too late.
REFUSED = b"refused"


class Prepared(msgspec.Struct, frozen=True):
    """What has been written elsewhere for a script.

    Attributes:
        epoch: The epoch of the queue for which it was.
        letters: What, see ``lua/promise.lua``.
    """

    epoch: bytes = b"-"
    letters: bytes = b""


NOTHING = Prepared()


class Access:
    """Runs scripts.

    Args:
        location: Where the store is.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._link = Link(location)
        self._names = Names(location.prefix)
        self._sequence = Sequence()
        self._asked = Asked(location)
        self._volumes = Volumes(self._link, self._names)
        self._leftovers: set[asyncio.Future[Any]] = set()

    # -- running ------------------------------------------------------------

    async def _run(self, script: str, keys: tuple[str, ...], *args: Word) -> Any:
        """Run a script until it has done all of its work; others run in between.

        Raises:
            QueueMoving: The queue is sealed.
        """
        if not SCRIPTS[script].once:
            return await self._finish(None, script, keys, *args)
        name = self._asked.take(keys[0])
        try:
            return await self._finish(name, script, keys, *args)
        finally:
            self._asked.give_back(name)

    async def _finish(
        self, name: Name | None, script: str, keys: tuple[str, ...], *args: Word
    ) -> Any:
        reply: Any = _AGAIN
        while reply == _AGAIN:
            reply = await self._link.run(script, keys, *args, name=name)
        if reply == _SEALED:
            raise queue_moving(keys[0])
        return reply

    async def _run_prepared(
        self,
        script: str,
        keys: QueueKeys,
        of_keys: tuple[str, ...],
        now: float,
        *args: Word,
        removing: bool = False,
    ) -> Any:
        """Run a script that may need something to be written elsewhere first.

        Args:
            script: The script.
            keys: The keys of its queue.
            of_keys: Those that it takes.
            now: The time, its first argument.
            args: What follows its third argument.
            removing: Whether it removes the queue, rather than making it.
        """
        prepared, token = NOTHING, ""
        name = self._asked.take(keys.head) if SCRIPTS[script].once else None
        try:
            while True:
                reply = await self._finish(
                    name,
                    script,
                    of_keys,
                    repr(now),
                    prepared.epoch,
                    prepared.letters,
                    *args,
                )
                if not isinstance(reply, list) or not reply or reply[0] != _PREPARE:
                    break
                _, epoch, letters, due = reply
                token = os.urandom(8).hex()
                await self._prepare(keys, letters, due, now, token, removing=removing)
                prepared = Prepared(epoch, letters)
        finally:
            if name is not None:
                self._asked.give_back(name)
        if reply == REFUSED:
            return reply  # the sweeper finds out what is true
        if _LIST_QUEUE in prepared.letters:
            self._later(self._end_index(keys, token, exists=not removing))
        return reply

    async def _prepare(
        self,
        keys: QueueKeys,
        letters: bytes,
        due: bytes,
        now: float,
        token: str,
        *,
        removing: bool,
    ) -> None:
        steps: list[Awaitable[Any]] = []
        if _LIST_QUEUE in letters:
            # The sweeper looks after it at once, in case that we do not come so far.
            await self._agenda_add(self._names.sweep, keys, b"0")
            steps.append(
                self._link.run(
                    "index_begin",
                    self._names.index(keys.project),
                    keys.queue,
                    token,
                    0 if removing else 1,
                )
            )
        elif _SWEEP in letters:
            steps.append(self._agenda_add(self._names.sweep, keys, due))
        if _NOTIFY in letters:
            steps.append(self._agenda_add(self._names.notify, keys, repr(now)))
        if _LIST_SEAL in letters:
            steps.append(self._agenda_add(self._names.seals, keys, b"0"))
        with nothing_done():
            await asyncio.gather(*steps)

    async def _end_index(self, keys: QueueKeys, token: str, *, exists: bool) -> None:
        """Note whether a queue exists, if nobody has begun anew with it since."""
        await self._link.run(
            "index_end",
            self._names.index(keys.project),
            keys.queue,
            token,
            int(exists),
        )

    def _later(self, work: Awaitable[Any]) -> None:
        """Do what can be left undone: the sweeper would do it."""
        task = asyncio.ensure_future(work)
        self._leftovers.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._leftovers.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable):
            LOG.debug("left to the sweeper: %s", error)
        elif error is not None:
            LOG.error("left to the sweeper", exc_info=error)

    async def _finish_leftovers(self) -> None:
        while self._leftovers:
            await asyncio.gather(*self._leftovers, return_exceptions=True)

    # -- lists that cross queues --------------------------------------------

    async def _agenda_add(self, agenda: str, keys: QueueKeys, due: bytes | str) -> None:
        """List a queue at a time, or earlier."""
        await self._link.run("schedule_add", (agenda,), keys.tag, due)

    async def _agenda_move(
        self, agenda: str, tag: str, read: bytes, due: bytes
    ) -> bool:
        """Set the next time of a queue, unless somebody relies on the one before.

        Args:
            agenda: The list.
            tag: The queue.
            read: The time that stood there before its slot was asked.
            due: The next time; empty for none.

        Returns:
            Whether it stands there now.
        """
        moved = await self._link.run("schedule_move", (agenda,), tag, read, due)
        return bool(moved)

    async def _agenda_due(
        self, agenda: str, now: float, limit: int
    ) -> list[tuple[str, bytes]]:
        """Return up to ``limit`` queues that are due, the longest due first."""
        found = await self._link.do(
            "ZRANGEBYSCORE", agenda, "-inf", repr(now), "WITHSCORES", "LIMIT", 0, limit
        )
        return [(tag.decode(), score) for tag, score in _pairs(found)]

    async def _visit_each(
        self,
        agenda: str,
        due: list[tuple[str, bytes]],
        now: float,
        visit: Callable[[str, bytes], Awaitable[T]],
    ) -> list[T]:
        """Visit queues that are due, all at once.

        Those whose server does not answer soon come up again a moment later, so that
        they stand in nobody's way.
        """

        async def attempt(tag: str, read: bytes) -> list[T]:
            try:
                with deadline.within(VISIT_SECONDS):
                    return [await visit(tag, read)]
            except Unavailable as error:
                LOG.debug("%s waits: %s", tag, error)
            later = repr(now + PUT_OFF_SECONDS).encode()
            await self._agenda_move(agenda, tag, read, later)
            return []

        found = await asyncio.gather(*(attempt(tag, read) for tag, read in due))
        return [one for some in found for one in some]


def queue_moving(key: str) -> QueueMoving:
    """Return what a queue is refused with, by one of its keys."""
    return QueueMoving(f"{key} is being moved, or has left this store")


def _pairs(values: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(values[::2], values[1::2], strict=True))
