"""Which server has what: standalone, behind sentinels, in a cluster.

What is known is used while it is believed, and looked at again in the background: no
request waits for a question about the servers unless there is nothing to go by, and
then all wait for the same one. A question goes to several at once, has a limit of its
own, and the first answer on which most agree counts: who hangs is not waited for.
"""

from __future__ import annotations

import abc
import asyncio
import math
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from zaqarserver.common.tasks import SingleFlight
from zaqarserver.storage.redis.agreement import agreed
from zaqarserver.storage.redis.keys import SLOTS
from zaqarserver.storage.redis.location import Address, Kind, Location
from zaqarserver.storage.redis.resolve import Resolver
from zaqarserver.storage.redis.wire import Listener, Unanswered, Unsent, Wire, connect

#: Seconds that a question about the servers may take.
ASK_SECONDS = 0.5

#: Seconds between two questions about the shape of a cluster.
_REFRESH = 0.2

#: How many nodes of a cluster are asked for its shape at once.
_ASKED = 5

#: Seconds for which the word of the sentinels holds.
_BELIEVED = 2.0


#: A connection that is kept: to whom, and what for.
_Key = tuple[Address, str]


class Topology(abc.ABC):
    """Knows the servers, and keeps connections to them.

    Args:
        location: The settings.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._wires: dict[_Key, Wire] = {}
        self._connecting: SingleFlight[_Key, Wire] = SingleFlight()
        self._asking: SingleFlight[str, None] = SingleFlight()
        self._resolver = Resolver()

    @abc.abstractmethod
    async def address_of(self, slot: int) -> Address:
        """Return the server that has a slot.

        Raises:
            Unsent: Nobody knows.
        """

    @abc.abstractmethod
    async def masters(self) -> list[Address]:
        """Return all servers that take changes."""

    @abc.abstractmethod
    def moved(self, slot: int, address: Address) -> None:
        """Note that a server has said that a slot is elsewhere."""

    @abc.abstractmethod
    def doubt(self) -> None:
        """Note that something is not as it was: what is known may be wrong."""

    @abc.abstractmethod
    async def check(self) -> None:
        """Find out whether what is known is still true; called now and then."""

    async def wire(self, slot: int, *, lasting: bool) -> Wire:
        """Return a connection to the server that has a slot.

        Raises:
            Unsent: There is none.
        """
        return await self.wire_to(await self.address_of(slot), lasting=lasting)

    async def wire_to(self, address: Address, *, lasting: bool = False) -> Wire:
        """Return a connection to a server.

        Args:
            address: The server.
            lasting: It is used for changes that replicas have to confirm: what is
                behind them waits as well.

        Raises:
            Unsent: It cannot be reached.
        """
        use = "data"
        if lasting and self._location.wait_replicas:
            use = "lasting"
        return await self._kept((address, use), lambda: self._connect(address))

    async def _kept(
        self, key: _Key, make: Callable[[], Coroutine[Any, Any, Wire]]
    ) -> Wire:
        """Return a connection that is kept; all who want it wait for one attempt."""
        wire = self._wires.get(key)
        if wire is not None and not wire.closed:
            return wire

        async def connect_and_keep() -> Wire:
            wire = self._wires[key] = await make()
            return wire

        return await self._connecting.join(key, connect_and_keep)

    async def listen(self, address: Address, listener: Listener) -> Wire:
        """Return a connection of its own, for a channel.

        Raises:
            Unsent: The server cannot be reached.
        """
        return await self._connect(address, listener)

    async def _connect(
        self, address: Address, listener: Listener | None = None
    ) -> Wire:
        location = self._location
        try:
            return await connect(
                address,
                location,
                self._resolver.find,
                login=location.login,
                database=location.database,
                listener=listener,
            )
        except Unsent:
            self.doubt()
            raise

    def _drop(self) -> None:
        """End all connections; what is under way fails."""
        wires, self._wires = self._wires, {}
        for wire in wires.values():
            wire.close()

    def close(self) -> None:
        """End all connections."""
        self._asking.close()
        self._connecting.close()
        self._resolver.close()
        self._drop()


class Standalone(Topology):
    """One server, always the same."""

    async def address_of(self, slot: int) -> Address:
        """Return the only one there is."""
        del slot
        return self._location.addresses[0]

    async def masters(self) -> list[Address]:
        """Return the only one there is."""
        return list(self._location.addresses)

    def moved(self, slot: int, address: Address) -> None:
        """Stay: where there is one server, nothing moves."""

    def doubt(self) -> None:
        """Stay: there is nothing else to know."""

    async def check(self) -> None:
        """Stay."""


class Sentinels(Topology):
    """One server at a time, which the sentinels name.

    What they have said holds for :data:`_BELIEVED` seconds only: a master that was
    silent for a while may have been replaced, and not know it yet; what it takes then
    is lost.
    """

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._master: Address | None = None
        self._asked = -math.inf
        self._why = ""

    async def address_of(self, slot: int) -> Address:
        """Return the master; ask for it if it is not known for sure."""
        del slot
        if self._master is None or time.monotonic() > self._asked + _BELIEVED:
            await self.check()
        if self._master is None:
            raise Unsent(f"no master of {self._location.service!r} is known")
        return self._master

    async def masters(self) -> list[Address]:
        """Return the master."""
        return [await self.address_of(0)]

    def moved(self, slot: int, address: Address) -> None:
        """Stay: there are no slots."""

    def doubt(self) -> None:
        """Ask the sentinels the next time."""
        self._asked = -math.inf

    async def check(self) -> None:
        """Ask the sentinels, so that requests need not."""
        await self._asking.join("master", self._find)

    async def _find(self) -> None:
        """Learn what most sentinels say; stay if none says anything.

        What they say counts from before they were asked, and only when the master
        itself has said since that it is one.
        """
        asked = time.monotonic()
        sentinels = self._location.addresses
        named = await agreed([self._ask(one) for one in sentinels], ASK_SECONDS)
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
        role = await (await self.wire_to(master)).ask("ROLE")
        if not isinstance(role, list) or role[0] != b"master":
            raise Unsent(f"{master} is not a master yet")

    async def _ask(self, sentinel: Address) -> Address | None:
        """Return the master that a sentinel names, if it names one."""
        service = self._location.service
        try:
            wire = await self._kept(
                (sentinel, "sentinel"), lambda: self._connect_sentinel(sentinel)
            )
            if wire.silent:
                wire.close()  # the next time it is tried anew
            reply = await wire.ask("SENTINEL", "get-master-addr-by-name", service)
        except (Unsent, Unanswered) as error:
            self._why = str(error)
            return None
        if not isinstance(reply, list) or len(reply) != 2:
            self._why = f"the sentinel {sentinel} knows no {service!r}: {reply}"
            return None
        return Address(reply[0].decode(), int(reply[1]))

    async def _connect_sentinel(self, sentinel: Address) -> Wire:
        location = self._location
        login = location.sentinel_login
        return await connect(sentinel, location, self._resolver.find, login=login)

    def _drop(self) -> None:
        """End the connections to the servers, not those to the sentinels."""
        for key, wire in list(self._wires.items()):
            if key[1] != "sentinel":
                del self._wires[key]
                wire.close()

    def close(self) -> None:
        """End all connections."""
        super().close()
        super()._drop()


#: Which slots, from the first to the last, have which master.
_Shape = tuple[tuple[int, int, Address], ...]


class Cluster(Topology):
    """Servers that have some slots each."""

    def __init__(self, location: Location) -> None:
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
            raise Unsent("nobody knows the cluster")
        return sorted({address for *_, address in self._shape}, key=str)

    def moved(self, slot: int, address: Address) -> None:
        """Follow at once, and look at all of it soon."""
        self._slots[slot] = address
        self._stale = True

    def doubt(self) -> None:
        """Ask soon; what is known is used meanwhile."""
        self._stale = True

    async def check(self) -> None:
        """Ask again."""
        self._refreshed = -math.inf
        await self._refresh()

    @property
    def _is_time(self) -> bool:
        return time.monotonic() >= self._refreshed + _REFRESH

    async def _refresh(self) -> None:
        if self._is_time:
            await self._asking.join("shape", self._learn)

    async def _learn(self) -> None:
        """Ask some nodes for the shape of the cluster; adopt what most of them say."""
        nodes: dict[_Shape, list[Address]] = {}
        asked = random.sample(self._known, min(_ASKED, len(self._known)))
        self._stale = False  # what is doubted from now on is asked again
        try:
            shape = await agreed([self._ask(one, nodes) for one in asked], ASK_SECONDS)
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
        for (address, _), wire in self._wires.items():
            # Whoever waits for a server that was replaced turns to the other one.
            if wire.silent and address not in masters:
                wire.close()

    async def _ask(
        self, address: Address, nodes: dict[_Shape, list[Address]]
    ) -> _Shape | None:
        """Return the shape as a node sees it; its nodes are added to ``nodes``."""
        try:
            wire = await self.wire_to(address)
            reply = None if wire.silent else await wire.ask("CLUSTER", "SLOTS")
        except (Unsent, Unanswered):
            return None
        if not isinstance(reply, list) or not reply:
            return None  # it is no member, or no member any more
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
    Kind.STANDALONE: Standalone,
    Kind.SENTINEL: Sentinels,
    Kind.CLUSTER: Cluster,
}
