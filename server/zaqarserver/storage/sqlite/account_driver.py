"""Grants and usage of the contract, on SQLite."""

from __future__ import annotations

from zaqarserver.storage.accounts import Grant, Usage
from zaqarserver.storage.sqlite import grants
from zaqarserver.storage.sqlite.access import Access


class AccountsOnSQLite(Access):
    """What each method promises is in the contract."""

    async def grant_add(
        self, project: str, queue: str, grant: Grant, *, most: int, now: float
    ) -> Grant | None:
        """Insert a row."""
        return await self._run(grants.add, project, queue, grant, most, now)

    async def grant_list(
        self, project: str, queue: str, *, marker: str | None, limit: int, now: float
    ) -> list[Grant]:
        """Walk over an index."""
        with self._translated:
            return grants.list_grants(self._reader, project, queue, marker, limit, now)

    async def grant_revoke(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Mark the row."""
        return await self._run(grants.revoke, project, queue, grant_id, now)

    async def grant_revoked(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Answer from memory."""
        del now
        return (project, queue, grant_id) in self._open_engine.ledger.revoked

    async def usage(self, project: str, now: float) -> Usage:
        """Answer from memory."""
        del now
        return self._open_engine.ledger.tally.of(project)
