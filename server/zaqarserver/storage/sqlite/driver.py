"""The storage contract on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import apsw

from zaqarserver.errors import SettingsError, StoreDamaged, Unavailable
from zaqarserver.storage.base import Capability, Durability, Storage, StoreTime
from zaqarserver.storage.commands import Command
from zaqarserver.storage.sqlite import (
    accounts,
    catalog,
    claims,
    damage,
    deliveries,
    keys,
    maintenance,
    messages,
    moving,
    queues,
    records,
    releases,
    subscriptions,
)
from zaqarserver.storage.sqlite.copying import copy_store
from zaqarserver.storage.sqlite.database import failure
from zaqarserver.storage.sqlite.engine import PERFORMERS, Engine
from zaqarserver.storage.sqlite.files import SQLiteLocation, parse_location
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.subscriptions import Post, ignore

R = TypeVar("R")

#: The modules with the functions that execute commands: importing them fills the table.
PARTS = (
    accounts,
    catalog,
    claims,
    deliveries,
    keys,
    messages,
    moving,
    queues,
    records,
    releases,
    subscriptions,
)


class SQLiteStorage(Storage):
    """A store in one file, or in memory for tests and trials.

    Args:
        location: Where it is.
    """

    option_names: ClassVar[frozenset[str]] = frozenset({"synchronous"})

    def __init__(self, location: SQLiteLocation) -> None:
        self._location = location
        self._engine: Engine | None = None
        self._damage: str | None = None
        self._on_post: Callable[[Post], None] = ignore
        self._on_due: Callable[[], None] = ignore
        self._on_free: Callable[[str, str], None] = ignore

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver; the options are those of :func:`parse_location`."""
        return cls(parse_location(uri, options))

    @property
    def durability(self) -> Durability:
        """Power loss with ``synchronous`` full, a crash of the process with normal."""
        if self._location.path is None:
            return Durability.MEMORY
        if self._location.synchronous == "FULL":
            return Durability.POWER_LOSS
        return Durability.PROCESS_CRASH

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All capabilities; in memory all but durability."""
        if self._location.path is None:
            return frozenset(Capability) - {Capability.DURABILITY}
        return frozenset(Capability)

    @property
    def file(self) -> Path | None:
        """The main file; ``None`` in memory."""
        return self._location.path

    # -- life ---------------------------------------------------------------

    def copy_to(self, target: Path) -> None:
        """Copy the file with SQLite."""
        if self._location.path is None:
            raise SettingsError("a store in memory cannot be copied")
        copy_store(self._location.path, target)

    def find_damage(self) -> Iterator[str]:
        """Check the log, each page, the structure and the counters."""
        if self._location.path is None:
            raise SettingsError("a store in memory cannot be checked")
        return damage.find_damage(self._location.path)

    async def open(self) -> None:
        """Open the file and take its lock."""
        if self._engine is None:
            self._damage = None
            self._engine = Engine(self._location, self._call_back)

    async def close(self) -> None:
        """Commit what was accepted, copy the log, release the file."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.writer.drain()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, engine.release)

    @property
    def _opened(self) -> Engine:
        if self._engine is None:
            raise Unavailable("the store is closed")
        return self._engine

    @property
    def trouble(self) -> str | None:
        """The damage that was found since the store was opened, or ``None``."""
        return self._damage or self._opened.writer.damage

    async def ping(self) -> None:
        """Commit a small change and read it."""
        await self._read(maintenance.ping(self._opened))

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Remove up to a few hundred rows."""
        wall = now if wall is None else wall
        return await self._read(maintenance.sweep(self._opened, now, wall))

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Read a row; write it once a minute."""
        return await self._read(maintenance.store_time(self._opened, now))

    async def _read(self, reading: Awaitable[R]) -> R:
        try:
            return await reading
        except apsw.Error as error:
            raise self._failure(error) from error

    def watch(
        self,
        on_post: Callable[[Post], None],
        on_due: Callable[[], None],
        on_lapse: Callable[[], None] = ignore,
        on_gap: Callable[[], None] = ignore,
        on_free: Callable[[str, str], None] = ignore,
    ) -> None:
        """Register the callbacks; the last two are about other servers: never."""
        del on_lapse, on_gap
        self._on_post = on_post
        self._on_due = on_due
        self._on_free = on_free

    def _call_back(
        self, posts: list[Post], has_due: bool, freed: set[QueueKey]
    ) -> None:
        for post in posts:
            self._on_post(post)
        if has_due:
            self._on_due()
        for key in freed:
            self._on_free(*key)

    # -- commands -----------------------------------------------------------

    @property
    def commands(self) -> Collection[type[Command[Any]]]:
        """The commands of the whole contract."""
        return PERFORMERS.keys()

    async def do(self, command: Command[R]) -> R:
        """Call the function of the command."""
        performer = PERFORMERS[type(command)]
        try:
            result: R = await performer(self._opened, command)
        except apsw.Error as error:
            raise self._failure(error) from error
        return result

    def _failure(self, error: apsw.Error) -> Unavailable:
        failed = failure(error)
        if isinstance(failed, StoreDamaged):
            self._damage = str(failed)
        return failed
