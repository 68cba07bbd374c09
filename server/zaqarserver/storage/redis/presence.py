"""Which servers live: what belongs to connections ends with their server.

A server shows that it lives by a key that Redis forgets if it is not renewed. (That
is the one use of Redis' clock: whether a process lives is no matter of the time of
messages.) The queues that its connections listen to are on record before they do;
whoever finds a server gone removes its subscriptions there. It looks several times
first: after Redis was away, all signs of life have ended, and come back one by one.
A store that takes no changes now, full or not, makes no difference to who serves: what
cannot be written is put off, and whoever cannot write takes nobody for dead.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis.keys import Names, QueueKeys
from zaqarserver.storage.redis.link import Link
from zaqarserver.storage.redis.volumes import Volumes

LOG = logging.getLogger(__name__)

#: How long a server is taken to live after its last sign, in milliseconds, and how
#: often it gives one, in seconds.
LIFE_MILLISECONDS = 10_000
RENEWAL = 3.0

#: How many times in a row a server must be found without a sign of life.
LOOKS = 3


class Presence:
    """This server among those that share the store.

    Args:
        link: The servers of the store.
        names: Makes keys.
        volumes: Is told what is removed.
        forgotten: Called when others took this server for dead, so that what its
            connections were subscribed to is gone.

    Attributes:
        uid: Names this server, from :meth:`open` to :meth:`close`.
    """

    def __init__(
        self,
        link: Link,
        names: Names,
        volumes: Volumes,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        self.uid = os.urandom(8).hex()
        self._link = link
        self._names = names
        self._volumes = volumes
        self._forgotten = forgotten
        self._known = False
        self._queues: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()

    async def open(self) -> None:
        """Begin to live; put off if the store takes no changes now."""
        try:
            await self.renew()
        except Unavailable as error:
            LOG.warning("other servers do not know yet that this one lives: %s", error)

    async def renew(self) -> None:
        """Go on living.

        Raises:
            Unavailable: The store cannot be told so now.
        """
        self._silent, silent = Counter(), self._silent
        alive, _ = self._names.server(self.uid)
        # Once all of it is there, it can be renewed where memory is full.
        if not await self._link.do("PEXPIRE", alive, LIFE_MILLISECONDS):
            await self._link.do("SET", alive, 1, "PX", LIFE_MILLISECONDS)
        listed = await self._link.do("SISMEMBER", self._names.servers, self.uid)
        if not listed:
            await self._link.do("SADD", self._names.servers, self.uid)
        if self._known and not listed:
            LOG.warning("this server was silent and taken for dead by others")
            self._forgotten()
        self._known = True
        self._silent = silent

    async def close(self) -> None:
        """End, and take along what belongs to connections."""
        await self._bury(self.uid)

    # -- what belongs to connections ----------------------------------------

    async def register(self, keys: QueueKeys) -> None:
        """Put a queue on record before a connection listens to it."""
        self._queues[keys.tag] += 1
        _, queues = self._names.server(self.uid)
        await self._link.do("SADD", queues, keys.tag, lasting=True)

    async def unregister(self, keys: QueueKeys) -> None:
        """Note that a connection does not listen to a queue any more."""
        self._queues[keys.tag] -= 1
        if self._queues[keys.tag] > 0:
            return
        del self._queues[keys.tag]
        _, queues = self._names.server(self.uid)
        await self._link.do("SREM", queues, keys.tag)

    # -- others -------------------------------------------------------------

    async def bury_dead(self) -> None:
        """Remove what servers have left that ended without a word."""
        members = await self._link.do("SMEMBERS", self._names.servers)
        others = [uid for raw in members if (uid := raw.decode()) != self.uid]
        lives = await asyncio.gather(*map(self._lives, others))
        self._silent = Counter(
            {
                uid: self._silent[uid] + 1
                for uid, life in zip(others, lives, strict=True)
                if not life
            }
        )
        silent = self._silent
        for uid, looks in silent.items():
            if looks >= LOOKS:
                LOG.info("server %s has ended; its connections' subscriptions go", uid)
                await self._bury(uid)

    async def _lives(self, uid: str) -> bool:
        """Return whether a server shows that it lives, or nobody can say."""
        alive, _ = self._names.server(uid)
        try:
            return bool(await self._link.do("EXISTS", alive))
        except Unavailable:
            return True

    async def _bury(self, uid: str) -> None:
        alive, queues = self._names.server(uid)
        tags = [tag.decode() for tag in await self._link.do("SMEMBERS", queues)]
        removed = await asyncio.gather(
            *(self._orphan(self._names.by_tag(tag), uid) for tag in tags),
            return_exceptions=True,
        )
        for error in removed:
            if error is not None:
                raise error  # it is tried again; the others are done
        await self._link.do("UNLINK", queues)
        await self._link.do("UNLINK", alive)
        await self._link.do("SREM", self._names.servers, uid)

    async def _orphan(self, keys: QueueKeys, uid: str) -> None:
        volume = await self._link.run("orphans", keys.listeners, uid)
        self._volumes.subscriptions(keys, volume)
