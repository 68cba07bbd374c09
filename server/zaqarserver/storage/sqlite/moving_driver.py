"""Queues that move between stores, of the contract, on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    Contents,
    ExportPage,
    Record,
    Seal,
    SealKind,
)
from zaqarserver.storage.sqlite import contents, moving, seals, transfer
from zaqarserver.storage.sqlite.access import Access
from zaqarserver.storage.sqlite.moving import Place


class MovingOnSQLite(Access):
    """What each method promises is in the contract."""

    async def queue_seal(self, project: str, queue: str, epoch: int) -> bool:
        """Mark the queue, and take its deliveries out of their schedule."""
        return await self._run_steps(moving.seal, Place(project, queue), epoch)

    async def queue_receive(self, project: str, queue: str, epoch: int) -> bool:
        """Mark the queue, and make a backlog for what arrives."""
        return await self._run_steps(moving.receive, Place(project, queue), epoch)

    async def queue_open(
        self, project: str, queue: str, epoch: int, since: int
    ) -> bool:
        """Take the mark off, and put in its place what has arrived."""
        if self._open_engine.ledger.seals.committed_get(project, queue) is None:
            return True
        place = Place(project, queue)
        return await self._run_steps(moving.open_queue, place, epoch, since)

    async def queue_leave(
        self, project: str, queue: str, epoch: int, now: float
    ) -> bool:
        """Leave to the sweeper what the store has of the queue."""
        return await self._run_steps(moving.leave, Place(project, queue), epoch, now)

    async def queue_retire(
        self, project: str, queue: str, epoch: int, now: float
    ) -> bool:
        """Mark the queue."""
        return await self._run(moving.retire, Place(project, queue), epoch, now)

    async def queue_export(
        self, project: str, queue: str, following: str | None, *, limit: int
    ) -> ExportPage:
        """Walk over the indexes."""
        sealed = self._open_engine.ledger.seals.committed_get(project, queue)
        if sealed is None or sealed.kind is not SealKind.LEAVING:
            raise QueueChanged(f"queue {queue!r} is not sealed")
        with self._translated:
            return transfer.export(
                self._reader, Place(project, queue), following, limit
            )

    async def queue_import(
        self, project: str, queue: str, epoch: int, records: Sequence[Record]
    ) -> None:
        """Insert rows."""
        place = Place(project, queue)
        await self._run_steps(transfer.receive_page, place, epoch, records)

    async def queue_contents(self, project: str, queue: str, now: float) -> Contents:
        """Count rows, messages some at a time."""
        engine = self._open_engine
        with self._translated:
            return await contents.count(
                engine.reader, engine.ledger, Place(project, queue), now
            )

    async def queue_seals(
        self, *, marker: tuple[str, str] | None, limit: int
    ) -> list[Seal]:
        """Walk over an index."""
        with self._translated:
            return seals.list_seals(self._reader, marker, limit)
