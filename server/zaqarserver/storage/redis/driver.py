"""The storage contract on Redis or Valkey.

Each operation is one script on the keys of one queue, so it happens whole or not at
all, in the order in which the server takes requests, whichever process asks. What
crosses queues is explained in :mod:`zaqarserver.storage.redis.access`, what is sent
twice and what is not in :mod:`zaqarserver.storage.redis.link`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Self

import hiredis

from zaqarserver.common import deadline
from zaqarserver.errors import StoreRefused, Unavailable
from zaqarserver.storage.base import Capability, Durability, StoreTime, Volume
from zaqarserver.storage.redis.catalog_driver import CatalogOnRedis
from zaqarserver.storage.redis.durability import Promise, inspect
from zaqarserver.storage.redis.location import OPTIONS, Location, parse_location
from zaqarserver.storage.redis.moving_driver import MovingOnRedis
from zaqarserver.storage.redis.presence import RENEWAL

LOG = logging.getLogger(__name__)

#: Seconds between two looks for deliveries that other servers have left.
POLL = 0.5

#: Seconds between two looks at which server has what.
CHECK = 1.0

#: Seconds in which Redis has to tell the time, or its answer says too little.
_TIMELY = 0.5

#: Seconds for which changes of volumes are gathered.
TELL = 0.2

#: Seconds between two looks at how the servers keep data.
INSPECT = 10.0


class RedisStorage(MovingOnRedis, CatalogOnRedis):
    """A store on a Redis server, behind Sentinels, or in a cluster.

    Args:
        location: Where it is.
    """

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._promise = Promise(Durability.MEMORY, ())
        self._chores: list[asyncio.Task[None]] = []

    option_names = frozenset(OPTIONS)

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver; see :func:`parse_location`."""
        return cls(parse_location(uri, options))

    @property
    def durability(self) -> Durability:
        """What the servers are configured for, as found when the store was opened."""
        return self._promise.durability

    @property
    def warnings(self) -> tuple[str, ...]:
        """How the servers, and those that may replace them, could lose data."""
        return self._promise.gaps

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of them; durability if the servers keep a log."""
        if self._promise.durability is Durability.MEMORY:
            return frozenset(Capability) - {Capability.DURABILITY}
        return frozenset(Capability)

    @property
    def shareable(self) -> bool:
        """Any number of servers may have it open."""
        return True

    # -- life ---------------------------------------------------------------

    async def open(self) -> None:
        """Connect, load the scripts, look how data is kept, show that we live."""
        if self._link.is_open:
            return
        self._link.open()
        try:
            self._promise = await inspect(self._link, self._location)
            await self._link.load()
            self._presence = self._new_presence()
            self._channel = self._new_channel()
            await self._presence.open()
            await self._channel.open()
        except BaseException:
            await self._channel.close()
            self._link.close()
            raise
        _warn(self._promise.gaps)
        self._chores = [
            asyncio.create_task(self._every(RENEWAL, self._live)),
            asyncio.create_task(self._every(CHECK, self._link.check)),
            asyncio.create_task(self._every(POLL, self._look_for_deliveries)),
            asyncio.create_task(self._every(TELL, self._volumes.tell_all)),
            asyncio.create_task(self._every(INSPECT, self._inspect)),
        ]

    async def close(self) -> None:
        """Finish what was accepted, take leave, end the connections."""
        if not self._link.is_open:
            return
        chores, self._chores = self._chores, []
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        try:
            await self._channel.close()
            with deadline.within(deadline.ANSWER_SECONDS):
                await self._finish_leftovers()
                await self._presence.close()
                await self._volumes.tell_all()
        except Unavailable as error:
            LOG.warning("the store did not hear that we end: %s", error)
        finally:
            self._link.close()

    async def ping(self) -> None:
        """Read something: of a cluster, at one master at least."""
        read = ("EXISTS", self._names.servers)
        answers = await self._link.everywhere(lambda wire: wire.ask(*read))
        refused = [str(one) for one in answers.values() if _cannot_be_read(one)]
        if len(refused) == len(answers):
            raise Unavailable(f"the store cannot be read: {refused[0]}")

    async def volume(self) -> Volume:
        """Add up the lengths of the queues' lists.

        They are found by walking over the names of all keys: about half a second for
        a hundred thousand queues, in small steps.
        """
        sums = {":expiry": 0, ":held": 0}
        for suffix in sums:
            # A queue's tag has one colon and no sign before it; see ``keys``.
            async for keys in self._link.scan(f"{self._location.prefix}:{{*}}{suffix}"):
                lengths = await asyncio.gather(
                    *(self._link.do("ZCARD", key) for key in keys)
                )
                sums[suffix] += sum(lengths)
        claimed = min(sums[":held"], sums[":expiry"])
        return Volume(sums[":expiry"] - claimed, claimed)

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Ask the server that keeps it, by its own clock, and leave ours there."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        told = await self._link.run(
            "time", (self._names.time,), "" if now is None else repr(now)
        )
        took = loop.time() - asked
        if now is not None and took > _TIMELY:
            raise Unavailable(f"the store took {took:.1f} s to tell the time")
        latest, seen, here = (float(text) if text else None for text in told)
        # The answer is as old as half of the way there and back.
        reference = (here or 0.0) + took / 2
        if latest is None or seen is None:
            return StoreTime(reference=reference)
        return StoreTime(latest, max(0.0, reference - seen), reference)

    async def _live(self) -> None:
        await self._presence.renew()
        await self._presence.bury_dead()

    async def _inspect(self) -> None:
        """See whether data are kept as before: servers change, and what they are."""
        try:
            promise = await inspect(self._link, self._location)
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
                LOG.debug("put off: %s", error)


def _warn(gaps: Iterable[str]) -> None:
    for gap in gaps:
        LOG.warning("an acknowledged message can be lost: %s", gap)


def _cannot_be_read(answer: Any) -> bool:
    """Whether it is an error other than that another node has the key."""
    return isinstance(answer, hiredis.ReplyError) and not str(answer).startswith(
        "MOVED"
    )
