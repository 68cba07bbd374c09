"""The stores of the pools: opens and closes them, and chooses one for a queue."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from zaqarserver.common import deadline
from zaqarserver.common.tasks import SingleFlight
from zaqarserver.errors import FlavorNotFound, SettingsError, StartupError, Unavailable
from zaqarserver.storage.base import Capability, Storage
from zaqarserver.storage.catalog import (
    HOME,
    CatalogRevision,
    FlavorGet,
    Placement,
    Pool,
    PoolList,
)
from zaqarserver.storage.subscriptions import Post
from zaqarserver.storage.uris import masked

LOG = logging.getLogger(__name__)

#: Seconds during which a store that could not be opened is not tried again.
RETRY_SECONDS = 1.0
#: Time limit for opening a store, in seconds.
OPEN_SECONDS = 10.0

_PAGE = 1000

#: Makes a driver, not opened, of a URI and options.
Load = Callable[[str, Mapping[str, Any]], Storage]


class PoolGone(Unavailable):
    """A placement names a pool that is not registered any more."""


class OpenPool(msgspec.Struct):
    """A pool with an open store.

    Attributes:
        pool: The pool.
        storage: Its store.
        slot: A number that is unique in this process and stays when it is opened again.
    """

    pool: Pool
    storage: Storage
    slot: int


class Pools:
    """The pools that this server has read, and their stores.

    A store is opened when it is first needed and closed when its pool is removed, so
    there are at most as many open stores as pools.

    Args:
        home: The store of the catalogue; it may also have queues.
        load: Makes the drivers of pools.
        home_uri: The URI of the home, which no pool can have.
        virtual: Whether the home takes new queues while no pool is registered.
        chance: Chooses among pools.
    """

    def __init__(
        self,
        home: Storage,
        load: Load,
        *,
        home_uri: str = "",
        virtual: bool = False,
        chance: random.Random | None = None,
    ) -> None:
        self.home = home
        self._load = load
        self._watch: Callable[[Storage], None] = lambda _: None
        self._home_uri = home_uri
        self._virtual = virtual
        # Spreads queues; needs no secrecy.
        self._chance = chance or random.Random()  # noqa: S311
        self._known: dict[str, Pool] = {}
        self._revision = 0
        self._open: dict[str, OpenPool] = {}
        self._opening: SingleFlight[tuple[str, int], OpenPool] = SingleFlight()
        self._failed: dict[str, tuple[int, float, str]] = {}
        self._slots: dict[int, int] = {}
        self._closed = True
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def watch(
        self,
        on_post: Callable[[Post], None],
        on_due: Callable[[], None],
        on_lapse: Callable[[], None],
        on_gap: Callable[[], None],
        on_free: Callable[[str, str], None],
    ) -> None:
        """Register callbacks with the home and with each store that is opened."""
        self._watch = lambda storage: storage.watch(
            on_post, on_due, on_lapse, on_gap, on_free
        )
        self._watch(self.home)

    @property
    def catalog(self) -> Storage:
        """The home, as the store of pools, flavors and placements."""
        return self.home

    # -- what there is --------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The registered pools at the last refresh, by name."""
        return list(self._known)

    def holder(self, uri: str) -> str | None:
        """Return the pool that has a URI; :data:`HOME` for the home."""
        if uri == self._home_uri:
            return HOME
        having = (pool.name for pool in self._known.values() if pool.uri == uri)
        return next(having, None)

    def known(self, name: str) -> Pool | None:
        """Return a pool as of the last refresh, or ``None``."""
        return self._known.get(name)

    async def refresh(self) -> None:
        """Read the pools if the catalogue changed; close stores of removed pools."""
        if await self.home.do(CatalogRevision()) != self._revision:
            await self._read()

    async def _read(self) -> None:
        async with self._turn:
            # The revision first: what changes during the reading is read again.
            revision = await self.home.do(CatalogRevision())
            known: dict[str, Pool] = {}
            page = await self.home.do(PoolList(marker=None, limit=_PAGE))
            while page:
                known.update((pool.name, pool) for pool in page)
                page = await self.home.do(PoolList(marker=page[-1].name, limit=_PAGE))
            self._known, self._revision = known, revision
            for name, opened in list(self._open.items()):
                pool = known.get(name)
                if pool is None or pool.revision != opened.pool.revision:
                    del self._open[name]
                    self._close_later(opened)

    def _close_later(self, opened: OpenPool) -> None:
        """Close a store after a while, so that commands under way can end."""
        LOG.info("pool %s: closing %s", opened.pool.name, masked(opened.pool.uri))
        task = asyncio.get_running_loop().create_task(opened.storage.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- stores -----------------------------------------------------------------

    def opened(self) -> list[OpenPool]:
        """Return the pools that have an open store."""
        return list(self._open.values())

    def stores(self) -> list[Storage]:
        """Return the home and the stores that are open."""
        return [self.home, *(one.storage for one in self._open.values())]

    async def storage_of(self, placement: Placement) -> Storage:
        """Return the open store of the pool that a placement names.

        Raises:
            PoolGone: It is not registered any more; the placement is old.
            Unavailable: It cannot be opened now.
        """
        if placement.pool == HOME:
            return self.home
        opened = self._open.get(placement.pool)
        if opened is not None and opened.pool.revision == placement.revision:
            return opened.storage
        return await self.storage(placement.pool, placement.revision)

    async def storage(self, name: str, revision: int | None = None) -> Storage:
        """Return the open store of a pool, or the home.

        Args:
            name: The pool.
            revision: The revision that it must have; any if not given.

        Raises:
            PoolGone: The pool does not exist, or has another revision.
            Unavailable: It cannot be opened now.
        """
        if name == HOME:
            return self.home
        pool = self._known.get(name)
        if pool is None or (revision is not None and pool.revision != revision):
            await self._read()
            pool = self._known.get(name)
        if pool is None or (revision is not None and pool.revision != revision):
            # It may have been removed and made again: the placement names the revision.
            raise PoolGone(f"pool {name} is not registered")
        return (await self._opened(pool)).storage

    async def _opened(self, pool: Pool) -> OpenPool:
        if self._closed:
            raise Unavailable("the store is closed")
        opened = self._open.get(pool.name)
        if opened is not None and opened.pool.revision == pool.revision:
            return opened
        failed = self._failed.get(pool.name)
        if failed and failed[0] == pool.revision and time.monotonic() < failed[1]:
            raise Unavailable(failed[2])
        try:
            async with deadline.timeout():
                return await self._opening.join(
                    (pool.name, pool.revision), lambda: self._open_and_admit(pool)
                )
        except TimeoutError:
            raise Unavailable(f"pool {pool.name} does not answer yet") from None

    async def _open_and_admit(self, pool: Pool) -> OpenPool:
        try:
            storage = await self.open(pool)
        except (StartupError, Unavailable) as error:
            text = f"pool {pool.name} cannot be opened: {error}"
            until = time.monotonic() + RETRY_SECONDS
            self._failed[pool.name] = (pool.revision, until, text)
            raise Unavailable(text) from error
        self._failed.pop(pool.name, None)
        if self._closed:
            await storage.close()
            raise Unavailable("the store is closed")
        return self.admit(pool, storage)

    async def open(self, pool: Pool) -> Storage:
        """Make and open a store for a pool, whether or not it is registered.

        Raises:
            StartupError: The URI or an option is not usable, or the store refuses.
            Unavailable: The store cannot be reached.
        """
        storage = self._load(pool.uri, pool.options)
        self._watch(storage)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await storage.open()
        except TimeoutError as error:
            raise Unavailable("it does not answer") from error
        return storage

    def admit(self, pool: Pool, storage: Storage) -> OpenPool:
        """Register an open store as that of a pool."""
        old = self._open.pop(pool.name, None)
        if old is not None:
            self._close_later(old)
        slot = self._slots.setdefault(pool.revision, len(self._slots) + 1)
        opened = OpenPool(pool, storage, slot)
        self._open[pool.name] = opened
        LOG.info("pool %s: opened %s", pool.name, masked(pool.uri))
        return opened

    async def start(self) -> None:
        """Open the stores of all pools; those that fail are tried again later."""
        self._closed = False
        await self.refresh()

        async def attempt(pool: Pool) -> None:
            try:
                await self._opened(pool)
            except Unavailable as error:
                LOG.warning("%s", error)

        await asyncio.gather(*(attempt(pool) for pool in self._known.values()))

    async def close(self) -> None:
        """Close all stores but the home."""
        self._closed = True
        opened, self._open = list(self._open.values()), {}
        for one in opened:
            self._close_later(one)
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    # -- choosing ---------------------------------------------------------------

    async def choose(
        self, project: str, flavor: str | None, *, without: str | None = None
    ) -> tuple[str, int]:
        """Choose a pool for a queue by weight.

        Without a flavor, a pool without a flavor is preferred: the others are for
        queues that name their flavor.

        Args:
            project: The project, for its flavors.
            flavor: The flavor that the pool must belong to.
            without: A pool that must not be chosen.

        Returns:
            The pool and the revision of the catalogue that it was chosen from.

        Raises:
            FlavorNotFound: The project does not have the flavor.
            Unavailable: No pool takes the queue.
        """
        await self.refresh()
        revision = self._revision
        if flavor is not None and not await self.home.do(FlavorGet(project, flavor)):
            raise FlavorNotFound(f"Flavor {flavor} does not exist.")
        taking = [
            pool
            for pool in self._known.values()
            if pool.weight > 0 and pool.name != without
        ]
        fitting = [pool for pool in taking if pool.flavor == flavor]
        if flavor is None and not fitting:
            fitting = taking
        if fitting:
            weights = [pool.weight for pool in fitting]
            (chosen,) = self._chance.choices(fitting, weights)
            return chosen.name, revision
        if self._virtual and not self._known and flavor is None and without != HOME:
            return HOME, revision
        raise Unavailable("no pool takes new queues")

    # -- new ones -----------------------------------------------------------------

    async def try_out(self, pool: Pool) -> frozenset[Capability]:
        """Open the store of a pool description and close it; return its capabilities.

        Raises:
            StartupError: The URI or an option is not usable, or the store refuses.
            Unavailable: It cannot be reached.
        """
        known = self._known.get(pool.name)
        if known and (known.uri, known.options) == (pool.uri, pool.options):
            storage = await self.storage(pool.name)
            await storage.ping()
            return storage.capabilities
        storage = await self.open(pool)
        try:
            await storage.ping()
            if self.home.shareable and not storage.shareable:
                raise SettingsError(
                    "several servers may use this catalogue, but only one such a store"
                )
            return storage.capabilities
        finally:
            await storage.close()
