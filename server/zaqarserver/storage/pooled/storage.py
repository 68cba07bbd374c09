"""A store over several: the home has the catalogue, the pools have queues."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
    Mapping,
)
from pathlib import Path
from typing import Any, Self, TypeVar, cast
from weakref import WeakValueDictionary

import msgspec

from zaqarserver.clock import wall
from zaqarserver.common.tasks import doubling
from zaqarserver.errors import QueueMoving, SettingsError, Unavailable, nothing_done
from zaqarserver.storage import catalog, moving
from zaqarserver.storage.accounts import (
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
    UsageGet,
)
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    Placement,
    PlacementGet,
)
from zaqarserver.storage.commands import (
    ClaimCreate,
    Command,
    QueueCommand,
    QueueCount,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueList,
    QueueUpdate,
    VolumeGet,
)
from zaqarserver.storage.pooled.drains import Drains
from zaqarserver.storage.pooled.mover import Mover
from zaqarserver.storage.pooled.pairs import Pairs
from zaqarserver.storage.pooled.pools import Load, PoolGone, Pools
from zaqarserver.storage.pooled.routing import Router
from zaqarserver.storage.pooled.totals import Deliveries, Totals
from zaqarserver.storage.records import (
    Capability,
    Claim,
    Durability,
)
from zaqarserver.storage.releases import MessageBury, MessageRedrive, copy_redriven
from zaqarserver.storage.subscriptions import (
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Post,
    ignore,
)
from zaqarserver.storage.timed import StoreTime

LOG = logging.getLogger(__name__)

R = TypeVar("R")

#: How long a request waits for a queue that is being moved, before a 503.
PATIENCE = 2.0
_FIRST_WAIT = 0.02

_WEAKEST = (Durability.MEMORY, Durability.PROCESS_CRASH, Durability.POWER_LOSS)
_TIDY_SECONDS = 20.0


class PooledStorage(Storage):
    """The whole contract over a home and its pools.

    If a pool cannot be reached, only commands that need its queues fail.

    Args:
        home: The store of the catalogue; not opened yet.
        load: Makes the drivers of pools.
        project_of: Returns the project of a space; flavors belong to projects.
        home_uri: The URI of the home, which no pool can have.
        virtual: Whether the home takes new queues while no pool is registered.
        clock: Seconds since the epoch, for what callers pass no time for.

    Raises:
        SettingsError: The home's driver does not support the catalogue.
    """

    def __init__(
        self,
        home: Storage,
        load: Load,
        project_of: Callable[[str], str] = str,
        *,
        home_uri: str = "",
        virtual: bool = False,
        clock: Callable[[], float] = wall,
    ) -> None:
        if PlacementGet not in home.commands:
            raise SettingsError("pooling: the store of [storage] uri keeps no pools")
        self._home = home
        self._clock = clock
        self._pools = Pools(home, load, home_uri=home_uri, virtual=virtual)
        self._router = Router(self._pools, project_of, clock)
        self._mover = Mover(self._pools, self._router, clock, self)
        self._pairs = Pairs(self._pools, self._router, self._mover)
        self._drains = Drains(self._pools, self._router, self._mover, project_of, self)
        self._deliveries = Deliveries(self._pools)
        self._totals = Totals(self._pools, self._router)
        self._upkeep: asyncio.Task[None] | None = None
        self._tidy_at = 0.0
        self._redrives = WeakValueDictionary[tuple[str, str], asyncio.Lock]()
        self._exceptions: dict[type, Callable[[Any], Coroutine[Any, Any, Any]]] = {
            # In the pool of their queue, with a step before or after.
            QueueCreate: self._create,
            QueueUpdate: self._update,
            QueueDelete: self._delete,
            ClaimCreate: self._claim,
            MessageBury: self._bury,
            MessageRedrive: self._redrive,
            # In all pools.
            QueueList: self._totals.queues,
            QueueCount: self._totals.count,
            UsageGet: self._totals.usage,
            VolumeGet: self._totals.volume,
            DeliveryTake: self._deliveries.take,
            DeliverySettle: self._deliveries.settle,
            DeliveryDue: self._deliveries.due,
            # In the home: a grant concerns a name, not a queue's content.
            **dict.fromkeys((GrantAdd, GrantList, GrantRevoke, GrantCheck), home.do),
        }

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Raise ``SettingsError``: pools come from the catalogue, not from a URI."""
        del options
        raise SettingsError(f"{uri!r}: pooling is a setting, not a store's URI")

    @property
    def pools(self) -> Pools:
        """The pools."""
        return self._pools

    @property
    def mover(self) -> Mover:
        """The mover of queues."""
        return self._mover

    @property
    def drains(self) -> Drains:
        """The drains of pools."""
        return self._drains

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The capabilities that the home and all open pools share."""
        common = frozenset(Capability)
        for store in self._pools.stores():
            common &= store.capabilities
        return common

    @property
    def durability(self) -> Durability:
        """The weakest durability of the home and the open pools."""
        return min(
            (store.durability for store in self._pools.stores()), key=_WEAKEST.index
        )

    @property
    def shareable(self) -> bool:
        """True if several processes may share the home."""
        return self._home.shareable

    @property
    def file(self) -> Path | None:
        """The file of the home, or ``None``."""
        return self._home.file

    # -- life ---------------------------------------------------------------

    def copy_to(self, target: Path) -> None:
        """Copy the home; pools are copied by their own URI."""
        self._home.copy_to(target)

    def find_damage(self) -> Iterator[str]:
        """Check the home; pools are checked by their own URI."""
        return self._home.find_damage()

    async def open(self) -> None:
        """Open the home, and the pools that can be reached."""
        await self._home.open()
        await self._pools.start()
        # Other processes may still run the moves that they began; ours do not.
        before = self._clock() if self.shareable else math.inf
        self._start_upkeep(before)

    async def close(self) -> None:
        """Close the pools, then the home."""
        await self._drains.close()
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        await self._pools.close()
        await self._home.close()

    async def ping(self) -> None:
        """Check that the home can be read: without it no queue is found."""
        await self._home.ping()

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Return the home's time and store the server's time there."""
        return await self._home.store_time(now)

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Sweep the open stores, and read the pools if they changed.

        A store that cannot be reached delays the others for a moment only.
        """
        stores = self._pools.stores()
        results = await asyncio.gather(
            self._pools.refresh(),
            *(store.sweep(now, wall) for store in stores),
            return_exceptions=True,
        )
        self._start_upkeep(self._clock())
        swept = 0
        for result in results[1:]:
            if isinstance(result, int):
                swept += result
            elif isinstance(result, Unavailable):
                LOG.debug("a store is not swept: %s", result)
            elif result is not None:
                raise result
        if isinstance(results[0], BaseException) and not swept:
            raise results[0]
        return swept

    def _start_upkeep(self, before: float) -> None:
        """Take over expired moves in the background, and tidy now and then."""
        if self._upkeep is None or self._upkeep.done():
            self._upkeep = asyncio.create_task(self._run_upkeep(before))

    async def _run_upkeep(self, before: float) -> None:
        try:
            await self._mover.resume(before)
            if time.monotonic() >= self._tidy_at:
                await self._mover.tidy()
                self._tidy_at = time.monotonic() + _TIDY_SECONDS
        except Unavailable as error:
            LOG.warning("moves of queues wait: %s", error)

    def watch(
        self,
        on_post: Callable[[Post], None],
        on_due: Callable[[], None],
        on_lapse: Callable[[], None] = ignore,
        on_gap: Callable[[], None] = ignore,
        on_free: Callable[[str, str], None] = ignore,
    ) -> None:
        """Register callbacks with the home and the stores of all pools."""
        self._pools.watch(on_post, on_due, on_lapse, on_gap, on_free)

    # -- commands -------------------------------------------------------------

    @property
    def commands(self) -> Collection[type[Command[Any]]]:
        """The commands of the home without those of the catalogue and of moves."""
        return [
            kind
            for kind in self._home.commands
            if kind.__module__ not in {catalog.__name__, moving.__name__}
        ]

    def do(self, command: Command[R]) -> Coroutine[Any, Any, R]:
        """Execute a command in the pool of its queue, apart from the exceptions."""
        exception = self._exceptions.get(type(command))
        if exception is not None:
            return exception(command)
        routed = cast("QueueCommand[R]", command)
        find = self._router.place if routed.makes_queue else self._router.find
        return self._routed(routed, lambda: find(routed.space, routed.queue))

    async def _routed(
        self,
        command: QueueCommand[R],
        find: Callable[[], Awaitable[Placement | None]],
    ) -> R:
        """Execute a command in the store of its queue; again if the queue moves.

        Raises:
            QueueMoving: The queue is being moved, for longer than a moment.
            Unavailable: Its store cannot serve now.
        """
        waits, end = doubling(_FIRST_WAIT), time.monotonic() + PATIENCE
        where = command.space, command.queue
        while True:
            with nothing_done():
                placement = await find()
            if placement is None:
                return command.missing()
            try:
                storage = await self._pools.storage_of(placement)
            except PoolGone:
                if await self._router.look_up(*where) == placement:
                    raise
                continue
            try:
                return await storage.do(command)
            except QueueMoving:
                if time.monotonic() >= end:
                    raise
            with nothing_done():
                if not await self._router.follow(*where, placement, storage):
                    await asyncio.sleep(next(waits))

    # -- with something before or after -----------------------------------------

    async def _create(self, command: QueueCreate) -> bool:
        """Place the queue by its flavor, or beside its dead letter queue."""
        space, queue, metadata = command.space, command.queue, command.metadata
        return await self._routed(
            command, lambda: self._pairs.place(space, queue, metadata)
        )

    async def _update(self, command: QueueUpdate) -> None:
        """Pair the queue with its new dead letter queue, then update it."""
        space, queue, metadata = command.space, command.queue, command.metadata
        await self._routed(command, lambda: self._pairs.find(space, queue, metadata))

    async def _delete(self, command: QueueDelete) -> None:
        """Delete the queue, and its placement if no subscription is left."""
        where = command.space, command.queue
        with nothing_done():
            if await self._router.find(*where) is None:
                return
        await self._routed(command, lambda: self._router.find(*where))
        try:
            await self._router.retire(*where)
        except Unavailable as error:
            # The queue is deleted; a later request removes its placement.
            LOG.debug("queue %s is not forgotten yet: %s", command.queue, error)

    async def _claim(self, command: ClaimCreate) -> Claim | None:
        """Pair the queue with its dead letter queue, then claim."""
        where, dead_letter = (command.space, command.queue), command.dead_letter
        if dead_letter is not None:
            with nothing_done():
                dead_letter = await self._pairs.reachable(*where, dead_letter)
            command = msgspec.structs.replace(command, dead_letter=dead_letter)
        return await self._with(command, dead_letter.queue if dead_letter else None)

    async def _with(self, command: QueueCommand[R], other: str | None) -> R:
        """Execute a command that also changes another queue, of the same pool."""
        refused = False

        async def find() -> Placement | None:
            nonlocal refused
            if refused and other is not None:
                # The store may have refused the other queue: reading that one
                # opens it where it has arrived.
                await self.do(QueueGet(command.space, other))
            refused = True
            return await self._router.find(command.space, command.queue)

        return await self._routed(command, find)

    async def _bury(self, command: MessageBury) -> None:
        """Pair the queue with its dead letter queue, then bury."""
        where, dead_letter = (command.space, command.queue), command.dead_letter
        with nothing_done():
            if await self._pairs.reachable(*where, dead_letter) is None:
                raise Unavailable(f"{dead_letter.queue} is in another pool now")
        await self._with(command, dead_letter.queue)

    async def _redrive(self, command: MessageRedrive) -> list[str]:
        """Move the messages within a pool, or copy them to the other one."""
        with nothing_done():
            here = await self._router.find(command.space, command.queue)
            there = await self._router.place(command.space, command.target)
        if here is None or here.pool == there.pool:
            return await self._with(command, command.target)
        key = command.space, command.queue
        async with self._redrives.setdefault(key, asyncio.Lock()):
            return await copy_redriven(self.do, command)
