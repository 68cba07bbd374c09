"""Registrations of servers: subscriptions of connections end with their server.

A server is alive as long as it renews its liveness key, which Redis removes otherwise.
(That is the only use of Redis' clock: the life of a process does not depend on the time
of messages.) A queue is recorded before the first connection of the server subscribes
to it; a server that finds another one gone removes that one's subscriptions from the
recorded queues. It checks several times first: after an outage of Redis all liveness
keys have ended, and are written again one by one. A server that cannot write to the
store, full or not, does not count others as gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable

from zaqarserver.errors import Unavailable
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.names import Keyspace, QueueKeys
from zaqarserver.storage.redis.usage import UsageSums

LOG = logging.getLogger(__name__)

#: Milliseconds that a server counts as alive after a renewal, and seconds between two.
LIFE_MILLISECONDS = 10_000
RENEWAL = 3.0

#: How many times in a row a server must be found without a liveness key.
LOOKS = 3


class ServerRegistration:
    """This server among those that share the store.

    Args:
        client: The servers of the store.
        keyspace: Makes keys.
        usage: Gathers what queues hold after removals.
        on_lapse: Called when others removed this server, so that the subscriptions of
            its connections are gone.

    Attributes:
        uid: Names this server, from :meth:`open` to :meth:`close`.
    """

    def __init__(
        self,
        client: RedisClient,
        keyspace: Keyspace,
        usage: UsageSums,
        on_lapse: Callable[[], None],
    ) -> None:
        self.uid = os.urandom(8).hex()
        self._client = client
        self._keyspace = keyspace
        self._usage = usage
        self._on_lapse = on_lapse
        self._known = False
        self._queues: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()

    async def open(self) -> None:
        """Register this server; it is done later if the store takes no changes now."""
        try:
            await self.renew()
        except Unavailable as error:
            LOG.warning("other servers do not know yet that this one lives: %s", error)

    async def renew(self) -> None:
        """Renew the liveness key, and register again if others removed this server.

        Raises:
            Unavailable: It cannot be written now.
        """
        self._silent, silent = Counter(), self._silent
        alive, _ = self._keyspace.server(self.uid)
        # Once all of it is stored, it can be renewed although memory is full.
        if not await self._client.do("PEXPIRE", alive, LIFE_MILLISECONDS):
            await self._client.do("SET", alive, 1, "PX", LIFE_MILLISECONDS)
        listed = await self._client.do("SISMEMBER", self._keyspace.servers, self.uid)
        if not listed:
            await self._client.do("SADD", self._keyspace.servers, self.uid)
        if self._known and not listed:
            LOG.warning("this server was silent and taken for dead by others")
            self._on_lapse()
        self._known = True
        self._silent = silent

    async def close(self) -> None:
        """Remove this server, with what belongs to its connections."""
        await self._remove(self.uid)

    # -- what belongs to connections ----------------------------------------

    async def add_queue(self, keys: QueueKeys) -> None:
        """Record a queue before a connection listens to it."""
        self._queues[keys.tag] += 1
        _, queues = self._keyspace.server(self.uid)
        await self._client.do("SADD", queues, keys.tag, confirmed=True)

    async def drop_queue(self, keys: QueueKeys) -> None:
        """Record that a connection does not listen to a queue any more."""
        self._queues[keys.tag] -= 1
        if self._queues[keys.tag] > 0:
            return
        del self._queues[keys.tag]
        _, queues = self._keyspace.server(self.uid)
        await self._client.do("SREM", queues, keys.tag)

    # -- others -------------------------------------------------------------

    async def remove_dead(self) -> None:
        """Remove the subscriptions of servers that ended without removing them."""
        members = await self._client.do("SMEMBERS", self._keyspace.servers)
        others = [uid for raw in members if (uid := raw.decode()) != self.uid]
        alive = await asyncio.gather(*map(self._is_alive, others))
        self._silent = Counter(
            {
                uid: self._silent[uid] + 1
                for uid, lives in zip(others, alive, strict=True)
                if not lives
            }
        )
        silent = self._silent
        for uid, looks in silent.items():
            if looks >= LOOKS:
                LOG.info("server %s has ended; its connections' subscriptions go", uid)
                await self._remove(uid)

    async def _is_alive(self, uid: str) -> bool:
        """Return True if a server has its liveness key, or if that cannot be read."""
        alive, _ = self._keyspace.server(uid)
        try:
            return bool(await self._client.do("EXISTS", alive))
        except Unavailable:
            return True

    async def _remove(self, uid: str) -> None:
        alive, queues = self._keyspace.server(uid)
        tags = [tag.decode() for tag in await self._client.do("SMEMBERS", queues)]
        removed = await asyncio.gather(
            *(self._unsubscribe(self._keyspace.by_tag(tag), uid) for tag in tags),
            return_exceptions=True,
        )
        for error in removed:
            if error is not None:
                raise error  # it is tried again; the others are done
        await self._client.do("UNLINK", queues)
        await self._client.do("UNLINK", alive)
        await self._client.do("SREM", self._keyspace.servers, uid)

    async def _unsubscribe(self, keys: QueueKeys, uid: str) -> None:
        held = await self._client.run("unsubscribe_server", keys.listeners, uid)
        self._usage.subscriptions(keys, held)
