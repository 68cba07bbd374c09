"""The open store: its parts, and running scripts that need entries in other slots.

A script works in one slot. Entries in other slots (the list of a space's queues, the
schedules of sweeps and deliveries) are written *before* the script changes anything
(``lua/promise.lua``): the script asks for the entry, with the epoch of its queue, and
is sent again after the entry was written. Before an entry is removed, the epoch in the
queue's slot is raised, and the entry is removed only if its score, or token, did not
change meanwhile. So a list may at any moment, whichever process dies, name a queue that
does not exist or has nothing to do; the next reader finds that out, and the sweeper
removes the entry. But it never lacks an entry that is needed.

A :class:`Schedule` is such a list that crosses spaces, in its own slot: queues to
sweep, queues with deliveries, and queues that leave or arrive, by the time of their
next visit.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from zaqarserver.common import deadline
from zaqarserver.common.lru import LRU
from zaqarserver.errors import QueueMoving, Unavailable, nothing_done
from zaqarserver.storage.commands import QueueCommand
from zaqarserver.storage.performing import CommandTable
from zaqarserver.storage.redis.channel import Channel
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.location import RedisLocation
from zaqarserver.storage.redis.names import (
    IdNumbers,
    Keyspace,
    QueueKeys,
    RequestName,
    RequestNames,
)
from zaqarserver.storage.redis.registration import ServerRegistration
from zaqarserver.storage.redis.scripts import SCRIPTS
from zaqarserver.storage.redis.usage import UsageSums
from zaqarserver.storage.subscriptions import Post, ignore

LOG = logging.getLogger(__name__)

T = TypeVar("T")

_PREPARE = b"prepare"
_AGAIN = b"again"
_SEALED = b"sealed"
_LIST_QUEUE, _SWEEP, _NOTIFY, _LIST_SEAL = b"qdns"

#: The reply of a script that changed nothing because it came too late.
REFUSED = b"refused"

#: For how many queues the next time of deliveries is cached.
MOST_TIMES = 10_000


#: Time limit of one visit in seconds, since many others wait for it; and the seconds
#: after which it is tried again.
VISIT_SECONDS = 0.5
RETRY_SECONDS = 2.0

#: A queue's tag, and its score when the schedule was read.
Entry = tuple[str, bytes]


class Schedule:
    """Queues by the time of their next visit.

    Args:
        client: The servers of the store.
        key: The sorted set of tags by time.
    """

    def __init__(self, client: RedisClient, key: str) -> None:
        self._client = client
        self.key = key

    async def add(self, keys: QueueKeys, due: Word) -> None:
        """Enter a queue at a time, or earlier."""
        await self._client.run("schedule_add", (self.key,), keys.tag, due)

    async def move(self, tag: str, read: bytes, due: Word) -> bool:
        """Set the next time of a queue, unless it was entered again meanwhile.

        Args:
            tag: The queue.
            read: The score that was read before the queue's slot was asked.
            due: The next time; empty for none.

        Returns:
            True if the queue is there at that time now.
        """
        moved = await self._client.run("schedule_move", (self.key,), tag, read, due)
        return bool(moved)

    async def due(self, now: float, limit: int) -> list[Entry]:
        """Return up to ``limit`` queues that are due, the longest due first."""
        found = await self._client.do(
            "ZRANGEBYSCORE", self.key, "-inf", now, "WITHSCORES", "LIMIT", 0, limit
        )
        return [
            (tag.decode(), score)
            for tag, score in zip(found[::2], found[1::2], strict=True)
        ]

    async def next_due(self) -> float | None:
        """Return the first time, ``None`` without an entry."""
        first = await self._client.do("ZRANGE", self.key, 0, 0, "WITHSCORES")
        return float(first[1]) if first else None

    async def visit_each(
        self,
        due: list[Entry],
        now: float,
        visit: Callable[[str, bytes], Awaitable[T]],
    ) -> list[T]:
        """Visit queues that are due, all at once.

        If the server of a queue does not answer soon, the queue is due again a moment
        later, so that the others do not wait for it.
        """

        async def attempt(tag: str, read: bytes) -> list[T]:
            try:
                with deadline.within(VISIT_SECONDS):
                    return [await visit(tag, read)]
            except Unavailable as error:
                LOG.debug("%s waits: %s", tag, error)
            await self.move(tag, read, now + RETRY_SECONDS)
            return []

        found = await asyncio.gather(*(attempt(tag, read) for tag, read in due))
        return [one for some in found for one in some]


class Store:
    """The parts of a store, for the functions that perform commands.

    Args:
        location: Where the store is.

    Attributes:
        location: See above.
        client: Its servers.
        keyspace: Makes keys.
        numbers: Proposes numbers of ids.
        usage: Gathers what queues hold.
        sweeps: Queues to sweep.
        deliveries: Queues with deliveries.
        seals: Queues that leave or arrive; all are due at once.
        registration: This server among others; another one each time it is opened.
        channel: Posts of all servers; another one each time it is opened.
        delivery_times: By the tag of a queue: its last known score in ``deliveries``.
        known_due: The time of the next delivery that the notifier knows.
        on_post: The callbacks of :meth:`~zaqarserver.storage.base.Storage.watch`.
        on_due: See ``on_post``.
        on_lapse: See ``on_post``.
        on_gap: See ``on_post``.
        on_free: See ``on_post``.
    """

    def __init__(self, location: RedisLocation) -> None:
        self.location = location
        self.client = RedisClient(location)
        self.keyspace = Keyspace(location.prefix)
        self.numbers = IdNumbers()
        self.usage = UsageSums(self.client, self.keyspace)
        self.sweeps = Schedule(self.client, self.keyspace.sweep)
        self.deliveries = Schedule(self.client, self.keyspace.notify)
        self.seals = Schedule(self.client, self.keyspace.seals)
        self.delivery_times: LRU[str, bytes] = LRU(MOST_TIMES)
        self.known_due: float | None = None
        self.on_post: Callable[[Post], None] = ignore
        self.on_due: Callable[[], None] = ignore
        self.on_lapse: Callable[[], None] = ignore
        self.on_gap: Callable[[], None] = ignore
        self.on_free: Callable[[str, str], None] = ignore
        self._requests = RequestNames(location)
        self._leftovers: set[asyncio.Future[Any]] = set()
        self.join()

    def join(self) -> None:
        """Create a new registration and channel for this server."""
        self.registration = ServerRegistration(
            self.client, self.keyspace, self.usage, self.on_lapse
        )
        self.channel = Channel(
            self.client,
            self.keyspace.channel,
            self.registration.uid,
            self.on_post,
            self.on_gap,
            self.on_free,
        )

    def keys(self, command: QueueCommand[Any]) -> QueueKeys:
        """Return the keys of a command's queue."""
        return self.keyspace.queue(command.space, command.queue)

    # -- running scripts ----------------------------------------------------

    async def run(self, script: str, keys: tuple[str, ...], *args: Word) -> Any:
        """Run a script until it has done all of its work; others may run in between.

        Raises:
            QueueMoving: The queue is sealed.
        """
        if not SCRIPTS[script].once:
            return await self._finish(None, script, keys, *args)
        name = self._requests.take(keys[0])
        try:
            return await self._finish(name, script, keys, *args)
        finally:
            self._requests.release(name)

    async def _finish(
        self, name: RequestName | None, script: str, keys: tuple[str, ...], *args: Word
    ) -> Any:
        reply: Any = _AGAIN
        while reply == _AGAIN:
            reply = await self.client.run(script, keys, *args, name=name)
        if reply == _SEALED:
            raise queue_moving(keys[0])
        return reply

    async def run_prepared(
        self,
        script: str,
        queue: QueueKeys,
        keys: tuple[str, ...],
        now: float,
        *args: Word,
        removing: bool = False,
    ) -> Any:
        """Run a script that may need entries in other slots first.

        Args:
            script: The script.
            queue: The keys of its queue.
            keys: Those that it takes.
            now: The time, its first argument.
            args: What follows its third argument.
            removing: Whether it removes the queue, rather than making it.
        """
        epoch, letters, token = b"-", b"", ""  # nothing is prepared yet
        name = self._requests.take(queue.head) if SCRIPTS[script].once else None
        try:
            while True:
                reply = await self._finish(
                    name, script, keys, now, epoch, letters, *args
                )
                if not isinstance(reply, list) or not reply or reply[0] != _PREPARE:
                    break
                _, epoch, letters, due = reply
                token = os.urandom(8).hex()
                await self._prepare(queue, letters, due, now, token, removing=removing)
        finally:
            if name is not None:
                self._requests.release(name)
        if reply == REFUSED:
            return reply  # the sweeper corrects it
        if _LIST_QUEUE in letters:
            self.later(self.end_index(queue, token, exists=not removing))
        return reply

    async def _prepare(
        self,
        queue: QueueKeys,
        letters: bytes,
        due: bytes,
        now: float,
        token: str,
        *,
        removing: bool,
    ) -> None:
        steps: list[Awaitable[Any]] = []
        if _LIST_QUEUE in letters:
            # The sweeper visits it at once, in case this server dies.
            await self.sweeps.add(queue, 0)
            index, making = self.keyspace.index(queue.space), int(not removing)
            steps.append(
                self.client.run("index_begin", index, queue.queue, token, making)
            )
        elif _SWEEP in letters:
            steps.append(self.sweeps.add(queue, due))
        if _NOTIFY in letters:
            steps.append(self.deliveries.add(queue, now))
        if _LIST_SEAL in letters:
            steps.append(self.seals.add(queue, 0))
        with nothing_done():
            await asyncio.gather(*steps)

    async def end_index(self, queue: QueueKeys, token: str, *, exists: bool) -> None:
        """Record whether a queue exists, unless its token has changed meanwhile."""
        index = self.keyspace.index(queue.space)
        await self.client.run("index_end", index, queue.queue, token, int(exists))

    # -- work in the background ---------------------------------------------

    def later(self, work: Awaitable[Any]) -> None:
        """Run a task in the background that the sweeper would do otherwise."""
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

    async def finish_leftovers(self) -> None:
        """Wait for the tasks in the background."""
        while self._leftovers:
            await asyncio.gather(*self._leftovers, return_exceptions=True)


#: The functions that perform commands on a :class:`Store`.
TABLE: CommandTable[Store] = CommandTable()
performs = TABLE.performs


def queue_moving(key: str) -> QueueMoving:
    """Return the error for a queue that is sealed, by one of its keys."""
    return QueueMoving(f"{key} is being moved, or has left this store")
