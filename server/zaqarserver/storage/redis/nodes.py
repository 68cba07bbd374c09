"""Which server has what: standalone, behind sentinels, in a cluster."""

from __future__ import annotations

import abc
import asyncio
import math
import time
from collections import Counter, defaultdict
from typing import Any

import hiredis

from zaqarserver.storage.redis.keys import SLOTS
from zaqarserver.storage.redis.location import Address, Kind, Location
from zaqarserver.storage.redis.wire import Listener, Unanswered, Unsent, Wire, connect

#: Seconds between two questions about the shape of a cluster.
_REFRESH = 0.2

#: Seconds for which the word of the sentinels holds.
_BELIEVED = 2.0


class Topology(abc.ABC):
    """Knows the servers, and keeps connections to them.

    Args:
        location: The settings.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._wires: dict[tuple[Address, bool], Wire] = {}
        self._turns: defaultdict[tuple[Address, bool], asyncio.Lock] = defaultdict(
            asyncio.Lock
        )

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
        key = (address, lasting and self._location.wait_replicas > 0)
        wire = self._wires.get(key)
        if wire is not None and not wire.closed:
            return wire
        async with self._turns[key]:
            wire = self._wires.get(key)
            if wire is None or wire.closed:
                wire = self._wires[key] = await self._connect(address)
        return wire

    async def listen(self, listener: Listener) -> Wire:
        """Return a connection of its own, for a channel."""
        address = (await self.masters())[0]
        return await self._connect(address, listener)

    async def _connect(
        self, address: Address, listener: Listener | None = None
    ) -> Wire:
        try:
            return await connect(
                address,
                self._location,
                login=self._location.login,
                database=self._location.database,
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
        self._drop()
        self._turns.clear()


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
        self._sentinels: dict[Address, Wire] = {}
        self._turn = asyncio.Lock()

    async def address_of(self, slot: int) -> Address:
        """Return the master; ask for it if it is not known for sure."""
        del slot
        async with self._turn:
            if self._master is None or time.monotonic() > self._asked + _BELIEVED:
                await self._find()
            assert self._master is not None  # noqa: S101 - _find() sets it or raises
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
        async with self._turn:
            await self._find()

    async def _find(self) -> None:
        """Learn what most sentinels say; stay if none says anything."""
        asked = time.monotonic()
        answers = await asyncio.gather(
            *(self._ask(sentinel) for sentinel in self._location.addresses)
        )
        named = Counter(answer for answer in answers if isinstance(answer, Address))
        if named:
            (master, _), *_ = named.most_common(1)
        elif self._master is not None:
            master = self._master
        else:
            raise Unsent(
                f"no master of {self._location.service!r} is known: {answers[0]}"
            )
        if master != self._master:
            self._drop()
            self._master = None
        await self._expect_master(master)
        self._master, self._asked = master, asked

    async def _expect_master(self, master: Address) -> None:
        role = await (await self.wire_to(master)).ask("ROLE")
        if not isinstance(role, list) or role[0] != b"master":
            raise Unsent(f"{master} is not a master yet")

    async def _ask(self, sentinel: Address) -> Address | str:
        """Return the master that a sentinel names, or why it names none."""
        location = self._location
        wire = self._sentinels.get(sentinel)
        try:
            if wire is None or wire.closed:
                login = location.sentinel_login
                wire = await connect(sentinel, location, login=login)
                self._sentinels[sentinel] = wire
            reply = await wire.ask(
                "SENTINEL", "get-master-addr-by-name", location.service
            )
        except (Unsent, Unanswered) as error:
            return str(error)
        if not isinstance(reply, list) or len(reply) != 2:
            return f"the sentinel {sentinel} knows no {location.service!r}: {reply}"
        return Address(reply[0].decode(), int(reply[1]))

    def close(self) -> None:
        """End all connections."""
        super().close()
        for wire in self._sentinels.values():
            wire.close()


class Cluster(Topology):
    """Servers that have some slots each."""

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._slots: list[Address | None] = [None] * SLOTS
        self._known: list[Address] = list(location.addresses)
        self._refreshed = 0.0
        self._stale = True
        self._turn = asyncio.Lock()

    async def address_of(self, slot: int) -> Address:
        """Return the master of a slot."""
        if self._stale:
            await self._refresh()
        address = self._slots[slot]
        if address is None:
            self._stale = True
            raise Unsent(f"no server has the slot {slot} now")
        return address

    async def masters(self) -> list[Address]:
        """Return all masters."""
        if self._stale:
            await self._refresh()
        return sorted(
            {address for address in self._slots if address is not None}, key=str
        )

    def moved(self, slot: int, address: Address) -> None:
        """Follow at once, and look at all of it soon."""
        self._slots[slot] = address
        self._stale = True

    def doubt(self) -> None:
        """Ask before the next use."""
        self._stale = True

    async def check(self) -> None:
        """Ask again."""
        self._stale = True
        await self._refresh()

    async def _refresh(self) -> None:
        async with self._turn:
            if not self._stale or time.monotonic() < self._refreshed + _REFRESH:
                return
            why = ""
            for address in list(self._known):
                try:
                    await self._learn(address)
                except (Unsent, Unanswered) as error:
                    why = str(error)
                else:
                    return
            raise Unsent(f"no node of the cluster answers: {why}")

    async def _learn(self, address: Address) -> None:
        wire = await self.wire_to(address)
        reply = await wire.ask("CLUSTER", "SLOTS")
        if isinstance(reply, hiredis.ReplyError):
            raise Unsent(f"{address}: {reply}")
        slots: list[Address | None] = [None] * SLOTS
        nodes: list[Address] = []
        for first, last, *servers in reply:
            named = [_named(server, address) for server in servers]
            slots[first : last + 1] = [named[0]] * (last - first + 1)
            nodes += named
        self._slots = slots
        self._known = list(dict.fromkeys([*nodes, *self._location.addresses]))
        self._refreshed = time.monotonic()
        self._stale = False


def _named(server: list[Any], asked: Address) -> Address:
    """Read a node of ``CLUSTER SLOTS``; no host means the one that was asked."""
    host = (server[0] or b"").decode()
    return Address(host if host not in {"", "?"} else asked.host, server[1])


TOPOLOGIES: dict[Kind, type[Topology]] = {
    Kind.STANDALONE: Standalone,
    Kind.SENTINEL: Sentinels,
    Kind.CLUSTER: Cluster,
}
