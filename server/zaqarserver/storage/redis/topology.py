"""The servers of a store: standalone, known by sentinels, or in a cluster.

What is known is used while it is trusted, and checked again in the background: a
request waits for a question about the servers only if nothing is known, and then all
requests wait for the same one. A question is sent to several servers at once and has
its own time limit, and the first answer on which most agree counts: a server that hangs
delays nothing.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, TypeVar

from zaqarserver.common.tasks import SingleFlight
from zaqarserver.storage.redis.connection import (
    Listener,
    RedisConnection,
    Unanswered,
    Unsent,
    connect,
)
from zaqarserver.storage.redis.location import Address, Kind, RedisLocation, Resolver
from zaqarserver.storage.redis.names import SLOTS

A = TypeVar("A", bound=Hashable)

#: Seconds that a question about the servers may take.
ASK_SECONDS = 0.5

#: Seconds between two questions about the shape of a cluster.
_REFRESH = 0.2

#: How many nodes of a cluster are asked for its shape at once.
_ASKED = 5

#: Seconds for which an answer of the sentinels is trusted.
_TRUSTED = 2.0

#: The key of a kept connection: its server and its purpose.
_Key = tuple[Address, str]


async def majority(
    questions: Iterable[Coroutine[Any, Any, A | None]], seconds: float
) -> A | None:
    """Ask in parallel; return the first answer that more than half of them give.

    If all have answered or the time is over without one, return the most frequent
    answer; ``None`` without any answer.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    votes: Counter[A] = Counter()
    try:
        async with asyncio.timeout(seconds):
            for coming in asyncio.as_completed(tasks):
                answer = await coming
                if answer is None:
                    continue
                votes[answer] += 1
                if 2 * votes[answer] > len(tasks):
                    return answer
    except TimeoutError:
        pass
    finally:
        for task in tasks:
            task.cancel()
    return max(votes, key=votes.__getitem__, default=None)


class Topology:
    """Finds the servers, and keeps connections to them.

    This class is for one server, always the same.

    Args:
        location: The settings.
    """

    def __init__(self, location: RedisLocation) -> None:
        self._location = location
        self._connections: dict[_Key, RedisConnection] = {}
        self._connecting: SingleFlight[_Key, RedisConnection] = SingleFlight()
        self._asking: SingleFlight[str, None] = SingleFlight()
        self._resolver = Resolver()

    async def address_of(self, slot: int) -> Address:
        """Return the server that has a slot.

        Raises:
            Unsent: It is not known.
        """
        del slot
        return self._location.addresses[0]

    async def masters(self) -> list[Address]:
        """Return all servers that take changes."""
        return list(self._location.addresses)

    def moved(self, slot: int, address: Address) -> None:
        """Follow a redirect: a slot is at another server."""

    def doubt(self) -> None:
        """Mark what is known as outdated: something failed or was refused."""

    async def check(self) -> None:
        """Find out whether what is known is still true; called now and then."""

    async def connection(
        self, address: Address, *, confirmed: bool = False
    ) -> RedisConnection:
        """Return a connection to a server.

        Args:
            address: The server.
            confirmed: It is for changes that replicas have to confirm. Requests after
                such a change wait for it, too, so these changes have their own
                connection.

        Raises:
            Unsent: It cannot be reached.
        """
        use = "data"
        if confirmed and self._location.wait_replicas:
            use = "confirmed"
        return await self._kept((address, use), lambda: self._connect(address))

    async def _kept(
        self, key: _Key, make: Callable[[], Coroutine[Any, Any, RedisConnection]]
    ) -> RedisConnection:
        """Return a kept connection; callers share one attempt to make it."""
        connection = self._connections.get(key)
        if connection is not None and not connection.closed:
            return connection

        async def connect_and_keep() -> RedisConnection:
            connection = self._connections[key] = await make()
            return connection

        return await self._connecting.join(key, connect_and_keep)

    async def listen(self, address: Address, listener: Listener) -> RedisConnection:
        """Make a connection for a channel; raise as :meth:`connection`."""
        return await self._connect(address, listener)

    async def _connect(
        self, address: Address, listener: Listener | None = None
    ) -> RedisConnection:
        location = self._location
        try:
            return await connect(
                address,
                location,
                self._resolver.find,
                credentials=location.credentials,
                database=location.database,
                listener=listener,
            )
        except Unsent:
            self.doubt()
            raise

    def _drop(self) -> None:
        """Close all connections; what is under way fails."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        self._asking.close()
        self._connecting.close()
        self._resolver.close()
        self._drop()


class Sentinels(Topology):
    """One server at a time, named by sentinels.

    Their answer is trusted for :data:`_TRUSTED` seconds only: a master that was
    silent for a while may have been replaced without knowing it yet; the changes that
    it accepts then are lost.
    """

    def __init__(self, location: RedisLocation) -> None:
        super().__init__(location)
        self._master: Address | None = None
        self._asked = -math.inf
        self._why = ""

    async def address_of(self, slot: int) -> Address:
        """Return the master; ask for it if what is known is too old."""
        del slot
        if self._master is None or time.monotonic() > self._asked + _TRUSTED:
            await self.check()
        if self._master is None:
            raise Unsent(f"no master of {self._location.service!r} is known")
        return self._master

    async def masters(self) -> list[Address]:
        """Return the master."""
        return [await self.address_of(0)]

    def doubt(self) -> None:
        """Mark the answer of the sentinels as outdated."""
        self._asked = -math.inf

    async def check(self) -> None:
        """Ask the sentinels, so that requests do not wait for it."""
        await self._asking.join("master", self._find)

    async def _find(self) -> None:
        """Adopt the answer of most sentinels; keep the last one if none answers.

        The answer is trusted from the moment before they were asked, and only if the
        master has confirmed since then that it is a master.
        """
        asked = time.monotonic()
        sentinels = self._location.addresses
        named = await majority([self._ask(one) for one in sentinels], ASK_SECONDS)
        master = named or self._master
        if master is None:
            service = self._location.service
            raise Unsent(f"no master of {service!r} is known: {self._why}")
        if master != self._master:
            self._drop()
            self._master = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._expect_master(master)
        except TimeoutError:
            raise Unsent(f"{master} does not say whether it is a master") from None
        self._master, self._asked = master, asked

    async def _expect_master(self, master: Address) -> None:
        role = await (await self.connection(master)).ask("ROLE")
        if not isinstance(role, list) or role[0] != b"master":
            raise Unsent(f"{master} is not a master yet")

    async def _ask(self, sentinel: Address) -> Address | None:
        """Return the master that a sentinel names, or ``None``."""
        service = self._location.service
        try:
            connection = await self._kept(
                (sentinel, "sentinel"), lambda: self._connect_sentinel(sentinel)
            )
            if connection.silent:
                connection.close()  # the next question makes another one
            reply = await connection.ask("SENTINEL", "get-master-addr-by-name", service)
        except (Unsent, Unanswered) as error:
            self._why = str(error)
            return None
        if not isinstance(reply, list) or len(reply) != 2:
            self._why = f"the sentinel {sentinel} does not know {service!r}: {reply}"
            return None
        return Address(reply[0].decode(), int(reply[1]))

    async def _connect_sentinel(self, sentinel: Address) -> RedisConnection:
        location = self._location
        return await connect(
            sentinel,
            location,
            self._resolver.find,
            credentials=location.sentinel_credentials,
        )

    def _drop(self) -> None:
        """Close the connections to the servers, not those to the sentinels."""
        for key, connection in list(self._connections.items()):
            if key[1] != "sentinel":
                del self._connections[key]
                connection.close()

    def close(self) -> None:
        """Close all connections."""
        super().close()
        super()._drop()


#: Ranges of slots, from the first to the last, with their master.
_Shape = tuple[tuple[int, int, Address], ...]


class Cluster(Topology):
    """The servers of a cluster, each with some slots."""

    def __init__(self, location: RedisLocation) -> None:
        super().__init__(location)
        self._slots: list[Address | None] = [None] * SLOTS
        self._shape: _Shape = ()
        self._known: list[Address] = list(location.addresses)
        self._refreshed = -math.inf
        self._stale = True

    async def address_of(self, slot: int) -> Address:
        """Return the master of a slot."""
        if self._slots[slot] is None:
            self._stale = True
            await self._refresh()
        elif self._stale and self._is_time:
            self._asking.begin("shape", self._learn)
        address = self._slots[slot]
        if address is None:
            raise Unsent(f"no server has the slot {slot} now")
        return address

    async def masters(self) -> list[Address]:
        """Return all masters."""
        if not self._shape:
            await self._refresh()
        if not self._shape:
            raise Unsent("the shape of the cluster is not known")
        return sorted({address for *_, address in self._shape}, key=str)

    def moved(self, slot: int, address: Address) -> None:
        """Follow the redirect at once, and read the whole shape soon."""
        self._slots[slot] = address
        self._stale = True

    def doubt(self) -> None:
        """Ask the nodes soon; what is known is used meanwhile."""
        self._stale = True

    async def check(self) -> None:
        """Read the shape of the cluster again."""
        self._refreshed = -math.inf
        await self._refresh()

    @property
    def _is_time(self) -> bool:
        return time.monotonic() >= self._refreshed + _REFRESH

    async def _refresh(self) -> None:
        if self._is_time:
            await self._asking.join("shape", self._learn)

    async def _learn(self) -> None:
        """Ask some nodes for the shape of the cluster; adopt the majority's answer."""
        nodes: dict[_Shape, list[Address]] = {}
        asked = random.sample(self._known, min(_ASKED, len(self._known)))
        self._stale = False  # what is doubted from now on is asked again
        try:
            answers = [self._ask(one, nodes) for one in asked]
            shape = await majority(answers, ASK_SECONDS)
        finally:
            self._refreshed = time.monotonic()
        if shape is None:
            self._stale = True
            raise Unsent(f"none of {', '.join(map(str, asked))} knows the cluster")
        self._adopt(shape)
        self._known = list(dict.fromkeys([*nodes[shape], *self._location.addresses]))

    def _adopt(self, shape: _Shape) -> None:
        slots: list[Address | None] = [None] * SLOTS
        for first, last, master in shape:
            slots[first : last + 1] = [master] * (last - first + 1)
        self._slots, self._shape = slots, shape
        masters = {master for *_, master in shape}
        for (address, _), connection in self._connections.items():
            # Requests that wait for a replaced server turn to the new one.
            if connection.silent and address not in masters:
                connection.close()

    async def _ask(
        self, address: Address, nodes: dict[_Shape, list[Address]]
    ) -> _Shape | None:
        """Return the shape as a node sees it; its nodes are added to ``nodes``."""
        try:
            node = await self.connection(address)
            reply = None if node.silent else await node.ask("CLUSTER", "SLOTS")
        except (Unsent, Unanswered):
            return None
        if not isinstance(reply, list) or not reply:
            return None  # it is not a member, or not any more
        shape, servers = [], []
        for first, last, *replicas in reply:
            named = [_named(server, address) for server in replicas]
            shape.append((first, last, named[0]))
            servers += named
        found = tuple(sorted(shape, key=lambda part: part[0]))
        nodes.setdefault(found, servers)
        return found


def _named(server: list[Any], asked: Address) -> Address:
    """Read a node of ``CLUSTER SLOTS``; no host means the one that was asked."""
    host = (server[0] or b"").decode()
    return Address(host if host not in {"", "?"} else asked.host, server[1])


TOPOLOGIES: dict[Kind, type[Topology]] = {
    Kind.STANDALONE: Topology,
    Kind.SENTINEL: Sentinels,
    Kind.CLUSTER: Cluster,
}
