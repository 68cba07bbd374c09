"""The storage contract on Redis or Valkey.

Each operation is one script on the keys of one queue, so it happens whole or not at
all, in the order in which the server takes requests, whichever process asks. What
crosses queues is explained in :mod:`zaqarserver.storage.redis.access`, what is sent
twice and what is not in :mod:`zaqarserver.storage.redis.link`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from zaqarserver.errors import Unavailable
from zaqarserver.storage.base import Capability, Durability
from zaqarserver.storage.redis.catalog_driver import CatalogOnRedis
from zaqarserver.storage.redis.durability import Promise, inspect
from zaqarserver.storage.redis.location import OPTIONS, Location, parse_location
from zaqarserver.storage.redis.moving_driver import MovingOnRedis
from zaqarserver.storage.redis.presence import RENEWAL, Presence

LOG = logging.getLogger(__name__)

#: Seconds between two looks for deliveries that other servers have left.
POLL = 0.5

#: Seconds between two looks at which server has what.
CHECK = 1.0

#: Seconds for which changes of volumes are gathered.
TELL = 0.2


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
            self._presence = Presence(self._link, self._names, self._volumes)
            self._channel = self._new_channel()
            await self._presence.open()
            await self._channel.open()
        except BaseException:
            await self._channel.close()
            self._link.close()
            raise
        for gap in self._promise.gaps:
            LOG.warning("an acknowledged message can be lost: %s", gap)
        self._chores = [
            asyncio.create_task(self._every(RENEWAL, self._live)),
            asyncio.create_task(self._every(CHECK, self._link.check)),
            asyncio.create_task(self._every(POLL, self._look_for_deliveries)),
            asyncio.create_task(self._every(TELL, self._volumes.tell_all)),
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
            await self._finish_leftovers()
            await self._channel.close()
            await self._presence.close()
            await self._volumes.tell_all()
        except Unavailable as error:
            LOG.warning("the store did not hear that we end: %s", error)
        finally:
            self._link.close()

    async def ping(self) -> None:
        """Write something and read it."""
        await self._presence.renew()

    async def _live(self) -> None:
        await self._presence.renew()
        await self._presence.bury_dead()

    async def _every(
        self, seconds: float, chore: Callable[[], Awaitable[None]]
    ) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await chore()
            except Unavailable as error:
                LOG.debug("put off: %s", error)
