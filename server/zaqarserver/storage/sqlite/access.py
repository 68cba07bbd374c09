"""The open store as the parts of the driver reach it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator, Iterator
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from zaqarserver.errors import SettingsError, StoreDamaged, Unavailable
from zaqarserver.storage.sqlite import check
from zaqarserver.storage.sqlite.engine import Engine
from zaqarserver.storage.sqlite.files import is_growing
from zaqarserver.storage.sqlite.ledger import Entry, Ledger
from zaqarserver.storage.sqlite.location import Location
from zaqarserver.storage.sqlite.pages import failure
from zaqarserver.storage.subscriptions import Posted, ignore

P = ParamSpec("P")
T = TypeVar("T")


class _Translated:
    """Turns what SQLite raises while reading into ``Unavailable``.

    Attributes:
        damage: The last damage that was found.
    """

    def __init__(self) -> None:
        self.damage: str | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, _type: object, error: BaseException | None, _tb: object) -> None:
        if isinstance(error, apsw.Error):
            failed = failure(error)
            if isinstance(failed, StoreDamaged):
                self.damage = str(failed)
            raise failed from error


class Access:
    """Opens and closes the store, and runs what is to be committed.

    Args:
        location: Where it is.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._engine: Engine | None = None
        self._translated = _Translated()
        self._posted: Callable[[Posted], None] = ignore
        self._noticed: Callable[[], None] = ignore

    def find_damage(self) -> Iterator[str]:
        """Look at the log, each page, the structure and the counters."""
        if self._location.path is None:
            raise SettingsError("a store in memory cannot be checked")
        return check.find_damage(self._location.path)

    async def open(self) -> None:
        """Open the file and take its lock."""
        if self._engine is None:
            self._translated.damage = None
            self._engine = Engine(self._location, self._tell)

    async def close(self) -> None:
        """Commit what was accepted, copy the log, let go of the file."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.writer.drain()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, engine.release)

    @property
    def trouble(self) -> str | None:
        """Damage that was found since the store was opened."""
        return self._translated.damage or self._open_engine.writer.damage

    # -- how ----------------------------------------------------------------

    @property
    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise Unavailable("the store is closed")
        return self._engine

    @property
    def _reader(self) -> apsw.Connection:
        return self._open_engine.reader

    def _check_sealed(self, project: str, queue: str) -> None:
        """Refuse a queue that has left, leaves or arrives, as committed."""
        self._open_engine.ledger.seals.committed_check(project, queue)

    def _entry(self, project: str, queue: str) -> Entry | None:
        """Return a queue as committed."""
        engine = self._open_engine
        with self._translated:
            return engine.ledger.committed_entry(engine.reader, project, queue)

    def _run(
        self,
        function: Callable[Concatenate[Ledger, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[T]:
        """Run a function of the modules beside, with the ledger, and commit."""
        engine = self._open_engine
        return engine.writer.submit(
            functools.partial(function, engine.ledger, *args, **kwargs),
            grows=is_growing(function),
        )

    def _run_steps(
        self,
        function: Callable[Concatenate[Ledger, P], Generator[None, None, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[T]:
        """Run a function that yields between its steps, and commit."""
        engine = self._open_engine
        return engine.writer.submit_steps(
            functools.partial(function, engine.ledger, *args, **kwargs),
            grows=is_growing(function),
        )

    def _tell(self, posted: list[Posted], noticed: bool) -> None:
        for post in posted:
            self._posted(post)
        if noticed:
            self._noticed()
