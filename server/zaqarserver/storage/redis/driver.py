"""The storage contract on Redis or Valkey.

Each command is executed by a function that is registered in ``TABLE``. Most are one
script on the keys of one queue, so a command happens whole or not at all, in the order
in which the server receives requests, whichever process sends them.
:mod:`zaqarserver.storage.redis.store` explains commands that cross queues, and
:mod:`zaqarserver.storage.redis.client` which requests are sent twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
)
from typing import Any, Self, TypeVar

import hiredis

from zaqarserver.common import deadline
from zaqarserver.errors import StoreRefused, Unavailable
from zaqarserver.storage.base import Storage
from zaqarserver.storage.commands import Command
from zaqarserver.storage.records import Capability, Durability
from zaqarserver.storage.redis import (  # noqa: F401 - they register their functions
    accounts,
    catalog,
    claims,
    messages,
    moving,
    queues,
    releases,
    subscriptions,
)
from zaqarserver.storage.redis.durability import Promise, inspect
from zaqarserver.storage.redis.location import OPTIONS, RedisLocation, parse_location
from zaqarserver.storage.redis.registration import RENEWAL
from zaqarserver.storage.redis.store import TABLE, Store
from zaqarserver.storage.subscriptions import Post, ignore
from zaqarserver.storage.timed import StoreTime

LOG = logging.getLogger(__name__)

R = TypeVar("R")

#: Seconds between two searches for deliveries that other servers have left.
POLL = 0.5

#: Seconds between two checks of which server has what.
CHECK = 1.0

#: Seconds in which Redis has to return the time, or its answer is too imprecise.
_TIMELY = 0.5

#: Seconds for which changes of usage are gathered.
FLUSH = 0.2

#: Seconds between two checks of the servers' durability.
INSPECT = 10.0


class RedisStorage(Storage):
    """A store on one Redis server, on one named by Sentinels, or on a cluster.

    Args:
        location: Where it is.
    """

    def __init__(self, location: RedisLocation) -> None:
        self._store = Store(location)
        self._promise = Promise(Durability.MEMORY, ())
        self._chores: list[asyncio.Task[None]] = []

    option_names = frozenset(OPTIONS)

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver; see :func:`parse_location`."""
        return cls(parse_location(uri, options))

    @property
    def commands(self) -> Collection[type[Command[Any]]]:
        """The commands of the whole contract."""
        return TABLE.keys()

    def do(self, command: Command[R]) -> Coroutine[Any, Any, R]:
        """Call the function of the command."""
        return TABLE[type(command)](self._store, command)

    @property
    def durability(self) -> Durability:
        """The durability of the servers' configuration, as last read."""
        return self._promise.durability

    @property
    def warnings(self) -> tuple[str, ...]:
        """The ways in which the servers, and their replacements, could lose data."""
        return self._promise.gaps

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All capabilities; durability only if the servers keep a log."""
        if self._promise.durability is Durability.MEMORY:
            return frozenset(Capability) - {Capability.DURABILITY}
        return frozenset(Capability)

    @property
    def shareable(self) -> bool:
        """True: any number of servers may have the store open."""
        return True

    def watch(
        self,
        on_post: Callable[[Post], None],
        on_due: Callable[[], None],
        on_lapse: Callable[[], None] = ignore,
        on_gap: Callable[[], None] = ignore,
        on_free: Callable[[str, str], None] = ignore,
    ) -> None:
        """Register the callbacks; they take effect when the store is opened."""
        store = self._store
        store.on_post, store.on_due, store.on_lapse = on_post, on_due, on_lapse
        store.on_gap = on_gap
        store.on_free = on_free

    # -- life ---------------------------------------------------------------

    async def open(self) -> None:
        """Connect, load the scripts, check the durability, register this server."""
        store = self._store
        if store.client.is_open:
            return
        store.client.open()
        try:
            self._promise = await inspect(store.client, store.location)
            await store.client.load()
            store.join()
            await store.registration.open()
            await store.channel.open()
        except BaseException:
            await store.channel.close()
            store.client.close()
            raise
        _warn(self._promise.gaps)
        self._chores = [
            asyncio.create_task(self._every(RENEWAL, self._keep_registered)),
            asyncio.create_task(self._every(CHECK, store.client.check)),
            asyncio.create_task(
                self._every(POLL, lambda: subscriptions.look_for_deliveries(store))
            ),
            asyncio.create_task(self._every(FLUSH, store.usage.flush_all)),
            asyncio.create_task(self._every(INSPECT, self._inspect)),
        ]

    async def close(self) -> None:
        """Finish what was accepted, remove the registration, close the connections."""
        store = self._store
        if not store.client.is_open:
            return
        chores, self._chores = self._chores, []
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        try:
            await store.channel.close()
            with deadline.within(deadline.ANSWER_SECONDS):
                await store.finish_leftovers()
                await store.registration.close()
                await store.usage.flush_all()
        except Unavailable as error:
            LOG.warning("the end of this server could not be recorded: %s", error)
        finally:
            store.client.close()

    async def ping(self) -> None:
        """Read from the server; in a cluster, from at least one master."""
        read = ("EXISTS", self._store.keyspace.servers)
        answers = await self._store.client.everywhere(
            lambda connection: connection.ask(*read)
        )
        refused = [str(one) for one in answers.values() if _cannot_be_read(one)]
        if len(refused) == len(answers):
            raise Unavailable(f"the store cannot be read: {refused[0]}")

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Visit some of the queues that are due."""
        return await queues.sweep(self._store, now, now if wall is None else wall)

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Read the stored time and the clock of its server, and store ours."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        reply = await self._store.client.run(
            "time", (self._store.keyspace.time,), "" if now is None else now
        )
        took = loop.time() - asked
        if now is not None and took > _TIMELY:
            raise Unavailable(f"the store took {took:.1f} s to return the time")
        latest, seen, here = (float(text) if text else None for text in reply)
        # The answer is as old as half of the round trip.
        reference = (here or 0.0) + took / 2
        if latest is None or seen is None:
            return StoreTime(reference=reference)
        return StoreTime(latest, max(0.0, reference - seen), reference)

    # -- chores -------------------------------------------------------------

    async def _keep_registered(self) -> None:
        await self._store.registration.renew()
        await self._store.registration.remove_dead()

    async def _inspect(self) -> None:
        """Check the durability again: servers and their settings change."""
        try:
            promise = await inspect(self._store.client, self._store.location)
        except StoreRefused as error:
            promise = Promise(self._promise.durability, (str(error),))
        _warn(set(promise.gaps) - set(self._promise.gaps))
        self._promise = promise

    async def _every(
        self, seconds: float, chore: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await chore()
            except Unavailable as error:
                LOG.debug("postponed: %s", error)


def _warn(gaps: Iterable[str]) -> None:
    for gap in gaps:
        LOG.warning("an acknowledged message can be lost: %s", gap)


def _cannot_be_read(answer: Any) -> bool:
    """True for an error other than that another node has the key."""
    return isinstance(answer, hiredis.ReplyError) and not str(answer).startswith(
        "MOVED"
    )
