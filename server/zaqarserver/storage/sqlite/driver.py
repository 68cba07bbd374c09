"""The storage contract on SQLite; what each method promises is in the contract."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import apsw

from zaqarserver.errors import ClaimNotFound, Unavailable
from zaqarserver.storage.base import (
    Capability,
    Claim,
    DeadLetter,
    Durability,
    Message,
    Metadata,
    NewMessage,
    Queue,
    QueueStats,
    Storage,
)
from zaqarserver.storage.sqlite import claims, deliveries, queues, subscriptions
from zaqarserver.storage.sqlite import messages as stored
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.engine import Engine
from zaqarserver.storage.sqlite.ids import decode_seq
from zaqarserver.storage.sqlite.ledger import Entry, Ledger
from zaqarserver.storage.sqlite.location import Location, parse_location
from zaqarserver.storage.sqlite.messages import Again, Wanted
from zaqarserver.storage.sqlite.statements import Row
from zaqarserver.storage.subscriptions import (
    Delivery,
    Posted,
    Subscription,
    SubscriptionChange,
)

P = ParamSpec("P")
T = TypeVar("T")


class _Translated:
    """Turns what SQLite raises while reading into ``Unavailable``."""

    __slots__ = ()

    def __enter__(self) -> None:
        return

    def __exit__(self, _type: object, error: BaseException | None, _tb: object) -> None:
        if isinstance(error, apsw.Error):
            raise Unavailable(f"the store failed: {error}") from error


_translated = _Translated()


def _nobody(*_news: object) -> None:
    """Stand in for those who did not ask to be told."""


class SQLiteStorage(Storage):
    """A store in one file, or in memory for tests and trials.

    Args:
        location: Where it is.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._engine: Engine | None = None
        self._posted: Callable[[Posted], None] = _nobody
        self._noticed: Callable[[], None] = _nobody

    @classmethod
    def from_uri(cls, uri: str, options: Mapping[str, str]) -> Self:
        """Make a driver; the options are those of :func:`parse_location`."""
        return cls(parse_location(uri, options))

    @property
    def durability(self) -> Durability:
        """Power loss with ``synchronous`` full, a crash with normal."""
        if self._location.path is None:
            return Durability.MEMORY
        if self._location.synchronous == "FULL":
            return Durability.POWER_LOSS
        return Durability.PROCESS_CRASH

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All of them; in memory all but durability."""
        if self._location.path is None:
            return frozenset(Capability) - {Capability.DURABILITY}
        return frozenset(Capability)

    # -- life ---------------------------------------------------------------

    async def open(self) -> None:
        """Open the file and take its lock."""
        if self._engine is None:
            self._engine = Engine(self._location, self._tell)

    async def close(self) -> None:
        """Commit what was accepted, copy the log, let go of the file."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.writer.drain()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, engine.release)

    async def ping(self) -> None:
        """Commit a small change and read it."""
        await self._run(queues.pulse)
        with _translated:
            sql.fetch(self._reader, sql.STORE_RESERVED)

    async def sweep(self, now: float) -> int:
        """Remove up to a few hundred rows."""
        with _translated:
            due = sql.fetch(self._reader, sql.BACKLOG_NEXT_DUE, (now,))
            ended = deliveries.dead(self._reader, now)
        if not due and ended is None:
            return 0
        return await self._run_steps(queues.sweep, now)

    # -- queues -------------------------------------------------------------

    async def queue_create(self, project: str, queue: str, metadata: Metadata) -> bool:
        """Insert a row and its backlog."""
        if self._entry(project, queue) is not None:
            return False
        return await self._run(queues.create, project, queue, metadata)

    async def queue_get(self, project: str, queue: str) -> Queue | None:
        """Answer from memory mostly, also that there is none."""
        entry = self._entry(project, queue)
        if entry is None:
            return None
        return Queue(queue, dict(entry.metadata), entry.revision)

    async def queue_update(
        self, project: str, queue: str, metadata: Metadata, revision: int
    ) -> None:
        """Replace the row if it has the revision."""
        await self._run(queues.update, project, queue, metadata, revision)

    async def queue_delete(self, project: str, queue: str) -> None:
        """Remove the row; the sweeper removes what was in the queue."""
        if self._entry(project, queue) is not None:
            await self._run(queues.delete, project, queue)

    async def queue_list(
        self,
        project: str,
        *,
        marker: str | None,
        limit: int,
        name: str | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Queue]:
        """Walk over the primary key."""
        with _translated:
            return await queues.list_queues(
                self._reader, project, marker or "", limit, name or "", metadata or {}
            )

    async def queue_count(self, project: str) -> int:
        """Read the maintained counter."""
        with _translated:
            return queues.count(self._reader, project)

    async def queue_stats(self, project: str, queue: str, now: float) -> QueueStats:
        """Read the maintained counters and take off what has expired."""
        entry = await self._settled(project, queue, now)
        if entry is None:
            return QueueStats()
        with _translated:
            ledger = self._open_engine.ledger
            return await queues.stats(self._reader, ledger, entry.backlog, now)

    # -- messages -----------------------------------------------------------

    async def message_post(
        self,
        project: str,
        queue: str,
        client_id: str,
        messages: Sequence[NewMessage],
        now: float,
    ) -> list[str]:
        """Insert the rows."""
        args = (project, queue, client_id, messages, now)
        if len(messages) <= stored.POST_STEP:
            return await self._run(stored.post, *args)
        return await self._run_steps(stored.post_many, *args)

    async def message_list(
        self,
        project: str,
        queue: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
        exclude_client: str | None = None,
        include_claimed: bool = False,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Walk over the states that are asked for, a thousand rows at a time."""
        position = 0 if marker is None else decode_seq(marker)
        entry = await self._settled(project, queue, now)
        if entry is None:
            return []
        walk = stored.choose_walk(claimed=include_claimed, delayed=include_delayed)
        found: list[Row] = []
        while position is not None:
            with _translated:
                rows, position = walk.step(
                    self._reader,
                    entry.backlog,
                    (position, position),
                    now,
                    limit - len(found),
                    exclude_client,
                )
            found += rows
            if position is not None:
                await asyncio.sleep(0)
        return [stored.read_message(row, now) for row in found]

    async def message_get(
        self, project: str, queue: str, ids: Sequence[str], now: float
    ) -> list[Message]:
        """Read by primary key."""
        entry = self._entry(project, queue)
        if entry is None:
            return []
        with _translated:
            found = [
                stored.get_message(self._reader, entry.backlog, one, now)
                for one in dict.fromkeys(ids)
            ]
        return [message for message in found if message is not None]

    async def message_delete(
        self,
        project: str,
        queue: str,
        message_id: str,
        claim_id: str | None,
        now: float,
    ) -> None:
        """Delete by primary key."""
        await self._run(stored.delete, project, queue, message_id, claim_id, now)

    async def message_delete_many(
        self,
        project: str,
        queue: str,
        ids: Sequence[str],
        claim_ids: Sequence[str] | None,
        now: float,
    ) -> None:
        """Check all, then delete by primary key."""
        await self._run(stored.delete_many, project, queue, ids, claim_ids, now)

    async def message_pop(
        self,
        project: str,
        queue: str,
        limit: int,
        now: float,
        *,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Delete the first free rows."""
        walk = stored.choose_walk(claimed=False, delayed=include_delayed)
        return await self._again(
            lambda at: self._run(
                stored.pop, project, queue, Wanted(limit, now, walk, at)
            )
        )

    async def message_purge(self, project: str, queue: str) -> None:
        """Give the queue an empty backlog; the sweeper removes the old one."""
        await self._run(queues.purge, project, queue)

    # -- claims -------------------------------------------------------------

    async def claim_create(
        self,
        project: str,
        queue: str,
        *,
        ttl: int,
        grace: int,
        limit: int,
        now: float,
        include_delayed: bool = False,
        dead_letter: DeadLetter | None = None,
    ) -> Claim | None:
        """Claim the first free rows.

        A run of more than a thousand expired rows that were not swept yet may
        make a claim smaller than ``limit``, never empty.
        """
        if self._entry(project, queue) is None:
            return None
        terms = claims.Terms(ttl, grace)
        walk = stored.choose_walk(claimed=False, delayed=include_delayed)
        return await self._again(
            lambda at: self._run(
                claims.create,
                project,
                queue,
                Wanted(limit, now, walk, at),
                terms,
                dead_letter,
            )
        )

    async def claim_get(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> Claim:
        """Read by primary key."""
        entry = self._entry(project, queue)
        if entry is None:
            raise ClaimNotFound(f"no live claim {claim_id!r}")
        with _translated:
            return claims.get(self._reader, entry.backlog, claim_id, now)

    async def claim_update(
        self,
        project: str,
        queue: str,
        claim_id: str,
        *,
        ttl: int,
        grace: int,
        now: float,
    ) -> None:
        """Renew the row, and extend its messages."""
        terms = claims.Terms(ttl, grace)
        await self._run(claims.update, project, queue, claim_id, terms, now)

    async def claim_delete(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> None:
        """Free the claim's rows."""
        await self._run(claims.delete, project, queue, claim_id, now)

    # -- subscriptions --------------------------------------------------------

    async def subscription_create(
        self,
        project: str,
        source: str,
        *,
        subscriber: str,
        ttl: int,
        options: dict[str, Any],
        now: float,
        confirmed: bool = False,
        volatile: bool = False,
    ) -> tuple[Subscription, bool]:
        """Insert a row, and the queue's."""
        wish = subscriptions.Wish(
            project, source, subscriber, ttl, options, confirmed, volatile
        )
        return await self._run(subscriptions.create, wish, now)

    async def subscription_list(
        self,
        project: str,
        source: str,
        *,
        marker: str | None,
        limit: int,
        now: float,
    ) -> list[Subscription]:
        """Walk over an index."""
        with _translated:
            return subscriptions.list_subscriptions(
                self._reader, project, source, marker, limit, now
            )

    async def subscription_get(
        self, project: str, source: str, subscription_id: str, now: float
    ) -> Subscription | None:
        """Read by primary key."""
        with _translated:
            row = subscriptions.find(
                self._reader, project, source, subscription_id, now
            )
        return None if row is None else subscriptions.read_subscription(row, now)

    async def subscription_update(
        self,
        project: str,
        source: str,
        subscription_id: str,
        change: SubscriptionChange,
        now: float,
    ) -> Subscription:
        """Change the row."""
        return await self._run(
            subscriptions.update, project, source, subscription_id, change, now
        )

    async def subscription_delete(
        self, project: str, source: str, subscription_id: str
    ) -> None:
        """Mark the row; the sweeper removes its deliveries."""
        await self._run(subscriptions.delete, project, source, subscription_id)

    async def subscription_purge(self, project: str, source: str) -> None:
        """Mark the rows, some at a time."""
        await self._run_steps(subscriptions.purge, project, source)

    def watch(
        self, posted: Callable[[Posted], None], noticed: Callable[[], None]
    ) -> None:
        """Remember whom to tell."""
        self._posted = posted
        self._noticed = noticed

    def _tell(self, posted: list[Posted], noticed: bool) -> None:
        for post in posted:
            self._posted(post)
        if noticed:
            self._noticed()

    async def delivery_take(
        self, now: float, *, limit: int, lease: float, confirmed_only: bool
    ) -> list[Delivery]:
        """Spread notices, then give out what is due."""
        taking = deliveries.Taking(now, limit, lease, confirmed_only)
        return await self._run(deliveries.take, taking)

    async def delivery_settle(
        self, key: int, *, position: int, attempt: int, due: float | None
    ) -> None:
        """Change or remove the row."""
        await self._run(deliveries.settle, key, position, attempt, due)

    async def delivery_due(self, now: float) -> float | None:
        """Read the least of an index."""
        del now
        with _translated:
            return deliveries.next_due(self._reader)

    # -- how ----------------------------------------------------------------

    @property
    def _open_engine(self) -> Engine:
        if self._engine is None:
            raise Unavailable("the store is closed")
        return self._engine

    @property
    def _reader(self) -> apsw.Connection:
        return self._open_engine.reader

    def _entry(self, project: str, queue: str) -> Entry | None:
        """Return a queue as committed."""
        engine = self._open_engine
        with _translated:
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
            functools.partial(function, engine.ledger, *args, **kwargs)
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
            functools.partial(function, engine.ledger, *args, **kwargs)
        )

    async def _again(self, attempt: Callable[[int], asyncio.Future[T | Again]]) -> T:
        """Make attempts until one is done; others run in between."""
        result: T | Again = Again(0)
        while isinstance(result, Again):
            result = await attempt(result.position)
        return result

    async def _settled(self, project: str, queue: str, now: float) -> Entry | None:
        """Return a queue after time has done its work on the rows at ``now``."""
        engine = self._open_engine
        while (entry := self._entry(project, queue)) is not None:
            with _translated:
                due = engine.ledger.committed_due(engine.reader, entry.backlog)
            if now < due:
                break
            if await self._run(stored.settle, entry.backlog, now):
                break
        return entry
