"""Grants and usage of the contract, on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from zaqarserver.storage.accounts import Grant, Usage
from zaqarserver.storage.redis.queue_driver import QueuesOnRedis


class PackedGrant(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a grant; ``lua/grant_revoke.lua`` sets the last member.

    Attributes:
        id: The id.
        paths: The paths.
        methods: The methods.
        created: When it was made.
        expires: When it ends.
        revoked: Whether it was ended early.
    """

    id: str
    paths: Sequence[str]
    methods: Sequence[str]
    created: float
    expires: float
    revoked: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedGrant).decode


def _read(packed: bytes) -> Grant:
    return Grant(*msgspec.structs.astuple(_decode(packed)))


class AccountsOnRedis(QueuesOnRedis):
    """What each method promises is in the contract."""

    async def grant_add(
        self, project: str, queue: str, grant: Grant, *, most: int, now: float
    ) -> Grant | None:
        """Keep it beside the queue, which need not exist."""
        keys = self._names.queue(project, queue)
        record = PackedGrant(
            grant.id,
            list(grant.paths),
            list(grant.methods),
            grant.created,
            grant.expires,
            revoked=False,
        )
        packed = await self._run_prepared(
            "grant_add",
            keys,
            keys.grants,
            now,
            grant.id,
            repr(float(grant.expires)),
            most,
            _encode(record),
        )
        return None if packed is None else _read(packed)

    async def grant_list(
        self, project: str, queue: str, *, marker: str | None, limit: int, now: float
    ) -> list[Grant]:
        """Walk over the ids."""
        keys = self._names.queue(project, queue)
        start = "-" if marker is None else f"({marker}"
        found = await self._run("grant_list", keys.grants, repr(now), start, limit)
        return [_read(packed) for packed in found]

    async def grant_revoke(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Mark it."""
        keys = self._names.queue(project, queue)
        marked = await self._run("grant_revoke", keys.grants, repr(now), grant_id)
        return bool(marked)

    async def grant_revoked(
        self, project: str, queue: str, grant_id: str, now: float
    ) -> bool:
        """Look it up in a hash."""
        del now
        keys = self._names.queue(project, queue)
        packed = await self._link.do("HGET", keys.grants[1], grant_id)
        return packed is not None and _decode(packed).revoked

    async def usage(self, project: str, now: float) -> Usage:
        """Read the project's sums."""
        del now
        await self._volumes.tell(project)
        queues, sums = await asyncio.gather(
            self.queue_count(project),
            self._link.do(
                "HMGET",
                self._names.use(project),
                "messages",
                "bytes",
                "subscriptions",
            ),
        )
        return Usage(queues, *(int(one or 0) for one in sums))
