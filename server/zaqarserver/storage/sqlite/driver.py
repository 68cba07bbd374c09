"""The storage contract on SQLite; what each method promises is in the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

from zaqarserver.errors import ClaimNotFound, StoreDamaged
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
    StoreTime,
    Volume,
)
from zaqarserver.storage.methods import ByMethods
from zaqarserver.storage.sqlite import (
    claims,
    deliveries,
    grants,
    queues,
    seals,
    timekeeping,
    walks,
)
from zaqarserver.storage.sqlite import messages as stored
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.account_driver import AccountsOnSQLite
from zaqarserver.storage.sqlite.catalog_driver import CatalogOnSQLite
from zaqarserver.storage.sqlite.ledger import Entry
from zaqarserver.storage.sqlite.location import parse_location
from zaqarserver.storage.sqlite.messages import Again, Wanted
from zaqarserver.storage.sqlite.moving_driver import MovingOnSQLite
from zaqarserver.storage.sqlite.statements import Row
from zaqarserver.storage.sqlite.subscriber_driver import SubscriptionsOnSQLite

P = ParamSpec("P")
T = TypeVar("T")


class SQLiteStorage(
    SubscriptionsOnSQLite, AccountsOnSQLite, CatalogOnSQLite, MovingOnSQLite, ByMethods
):
    """A store in one file, or in memory for tests and trials.

    Args:
        location: Where it is.
    """

    option_names: ClassVar[frozenset[str]] = frozenset({"synchronous"})

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

    async def ping(self) -> None:
        """Commit a small change and read it."""
        await self._run(queues.pulse)
        with self._translated:
            sql.fetch(self._reader, sql.STORE_RESERVED)

    async def volume(self) -> Volume:
        """Add up the counters of the backlogs."""
        with self._translated:
            messages, claimed = sql.fetch(self._reader, sql.BACKLOG_VOLUMES)[0]
        return Volume(int(messages - claimed), int(claimed))

    async def store_time(self, now: float | None = None) -> StoreTime:
        """Read a row; write it once a minute."""
        with self._translated:
            found = timekeeping.read(self._reader)
        if now is not None and timekeeping.is_due(found, now):
            await self._run(timekeeping.keep, now)
        return timekeeping.told(found)

    async def sweep(self, now: float, wall: float | None = None) -> int:
        """Remove up to a few hundred rows."""
        wall = now if wall is None else wall
        with self._translated:
            due = sql.fetch(self._reader, sql.BACKLOG_NEXT_DUE, (now,))
            ended = deliveries.dead(self._reader, now) is not None
            ended = ended or grants.any_dead(self._reader, wall)
            ended = ended or seals.any_over(self._reader, now)
        if not due and not ended:
            return 0
        try:
            return await self._run_steps(queues.sweep, now, wall)
        except StoreDamaged:
            # What cannot be removed must not keep the sweeper from the rest.
            return int(await self._run(queues.leave_alone, now))

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
        with self._translated:
            return await queues.list_queues(
                self._reader, project, marker or "", limit, name or "", metadata or {}
            )

    async def queue_count(self, project: str) -> int:
        """Answer from memory."""
        return self._open_engine.ledger.tally.of(project).queues

    async def queue_stats(self, project: str, queue: str, now: float) -> QueueStats:
        """Read the maintained counters and take off what has expired."""
        entry = await self._settled(project, queue, now)
        if entry is None:
            return QueueStats()
        with self._translated:
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
        entry = await self._settled(project, queue, now)
        if entry is None:
            return []
        position: int | None = 0
        if marker is not None:
            with self._translated:
                position = walks.position_of(self._reader, entry.backlog, marker)
        walk = walks.choose_walk(claimed=include_claimed, delayed=include_delayed)
        found: list[Row] = []
        while position is not None:
            with self._translated:
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
        return [walks.read_message(row, now) for row in found]

    async def message_get(
        self, project: str, queue: str, ids: Sequence[str], now: float
    ) -> list[Message]:
        """Read by primary key."""
        entry = self._entry(project, queue)
        if entry is None:
            return []
        with self._translated:
            found = [
                walks.get_message(self._reader, entry.backlog, one, now)
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
        walk = walks.choose_walk(claimed=False, delayed=include_delayed)
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
        walk = walks.choose_walk(claimed=False, delayed=include_delayed)
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
        with self._translated:
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

    # -- how ----------------------------------------------------------------

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
            with self._translated:
                due = engine.ledger.committed_due(engine.reader, entry.backlog)
            if now < due:
                break
            if await self._run(stored.settle, entry.backlog, now):
                break
        return entry
