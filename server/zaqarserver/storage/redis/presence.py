"""Which servers live: what belongs to connections ends with their server.

A server shows that it lives by a key that Redis forgets if it is not renewed. (That
is the one use of Redis' clock: whether a process lives is no matter of the time of
messages.) The queues that its connections listen to are on record before they do;
whoever finds a server gone removes its subscriptions there. It looks several times
first: after Redis was away, all signs of life have ended, and come back one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter

from zaqarserver.storage.redis import scripts
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

    Attributes:
        uid: Names this server, from :meth:`open` to :meth:`close`.
    """

    def __init__(self, link: Link, names: Names, volumes: Volumes) -> None:
        self.uid = os.urandom(8).hex()
        self._link = link
        self._names = names
        self._volumes = volumes
        self._queues: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()

    async def open(self) -> None:
        """Begin to live."""
        await self._sign()

    async def renew(self) -> None:
        """Go on living."""
        if await self._sign():
            LOG.warning(
                "this server was silent and taken for dead: WebSockets that were "
                "subscribed before get no more pushes"
            )

    async def _sign(self) -> bool:
        """Show that we live; return whether we were not known."""
        alive, _ = self._names.server(self.uid)
        await self._link.do("SET", alive, 1, "PX", LIFE_MILLISECONDS)
        return bool(await self._link.do("SADD", self._names.servers, self.uid))

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
        silent: Counter[str] = Counter()
        for raw in await self._link.do("SMEMBERS", self._names.servers):
            uid = raw.decode()
            alive, _ = self._names.server(uid)
            if uid != self.uid and not await self._link.do("EXISTS", alive):
                silent[uid] = self._silent[uid] + 1
        self._silent = silent
        for uid, looks in silent.items():
            if looks >= LOOKS:
                LOG.info("server %s has ended; its connections' subscriptions go", uid)
                await self._bury(uid)

    async def _bury(self, uid: str) -> None:
        alive, queues = self._names.server(uid)
        tags = [tag.decode() for tag in await self._link.do("SMEMBERS", queues)]
        await asyncio.gather(
            *(self._orphan(self._names.by_tag(tag), uid) for tag in tags)
        )
        await self._link.do("UNLINK", queues)
        await self._link.do("UNLINK", alive)
        await self._link.do("SREM", self._names.servers, uid)

    async def _orphan(self, keys: QueueKeys, uid: str) -> None:
        volume = await self._link.run(scripts.ORPHANS, keys.listeners, uid)
        self._volumes.subscriptions(keys, volume)
