"""Queues, messages and claims of the contract, each in the pool of its queue."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from zaqarserver.errors import (
    ClaimNotFound,
    QueueChanged,
    QueueMoving,
    Unavailable,
    nothing_done,
)
from zaqarserver.storage.base import (
    Claim,
    DeadLetter,
    Message,
    Metadata,
    NewMessage,
    Queue,
    QueueStats,
    Storage,
)
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
    QueueCreate,
    QueueDelete,
    QueueGet,
    QueueStatsGet,
    QueueUpdate,
)
from zaqarserver.storage.methods import ByMethods
from zaqarserver.storage.moving import QueueSeal
from zaqarserver.storage.pooled.routing import Router

LOG = logging.getLogger(__name__)


def _nothing() -> None:
    return None


class QueuesInPools(ByMethods):
    """What each method promises is in the contract."""

    _router: Router

    # -- queues -------------------------------------------------------------

    async def queue_create(self, project: str, queue: str, metadata: Metadata) -> bool:
        """Place the queue by its flavor, or beside its dead letter queue."""
        return await self._router.run_made(
            project,
            queue,
            lambda store: store.do(QueueCreate(project, queue, metadata)),
            metadata,
        )

    async def queue_get(self, project: str, queue: str) -> Queue | None:
        """Ask its pool."""
        return await self._router.run(
            project, queue, lambda store: store.do(QueueGet(project, queue)), _nothing
        )

    async def queue_update(
        self, project: str, queue: str, metadata: Metadata, revision: int
    ) -> None:
        """See that its dead letter queue has the same pool, then ask its pool."""
        target = metadata.get("_dead_letter_queue")
        placement = await self._router.find(project, queue)
        if target and placement is not None:
            with nothing_done():
                await self._router.pair(project, queue, target, placement)

        def gone() -> None:
            raise QueueChanged(f"queue {queue!r} was deleted meanwhile")

        await self._router.run(
            project,
            queue,
            lambda store: store.do(QueueUpdate(project, queue, metadata, revision)),
            gone,
        )

    async def queue_delete(self, project: str, queue: str) -> None:
        """Ask its pool; forget the placement if nothing is left there."""

        async def delete(store: Storage) -> None:
            await store.do(QueueDelete(project, queue))
            if QueueSeal in store.commands:
                try:
                    await self._router.retire(project, queue)
                except Unavailable as error:
                    # It is deleted; its placement goes with the next one who asks.
                    LOG.debug("queue %s is not forgotten yet: %s", queue, error)

        await self._router.run(project, queue, delete, _nothing)

    async def queue_stats(self, project: str, queue: str, now: float) -> QueueStats:
        """Ask its pool."""
        return await self._router.run(
            project,
            queue,
            lambda store: store.do(QueueStatsGet(project, queue, now)),
            QueueStats,
        )

    # -- messages -----------------------------------------------------------

    async def message_post(
        self,
        project: str,
        queue: str,
        client_id: str,
        messages: Sequence[NewMessage],
        now: float,
    ) -> list[str]:
        """Place the queue if it is nowhere, and ask its pool."""
        return await self._router.run_made(
            project,
            queue,
            lambda store: store.do(
                MessagePost(project, queue, client_id, messages, now)
            ),
        )

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
        """Ask its pool."""
        return await self._router.run(
            project,
            queue,
            lambda store: store.do(
                MessageList(
                    project,
                    queue,
                    marker=marker,
                    limit=limit,
                    now=now,
                    exclude_client=exclude_client,
                    include_claimed=include_claimed,
                    include_delayed=include_delayed,
                )
            ),
            list[Message],
        )

    async def message_get(
        self, project: str, queue: str, ids: Sequence[str], now: float
    ) -> list[Message]:
        """Ask its pool."""
        return await self._router.run(
            project,
            queue,
            lambda store: store.do(MessageGet(project, queue, ids, now)),
            list[Message],
        )

    async def message_delete(
        self,
        project: str,
        queue: str,
        message_id: str,
        claim_id: str | None,
        now: float,
    ) -> None:
        """Ask its pool."""
        await self._router.run(
            project,
            queue,
            lambda store: store.do(
                MessageDelete(project, queue, message_id, claim_id, now)
            ),
            _nothing,
        )

    async def message_delete_many(
        self,
        project: str,
        queue: str,
        ids: Sequence[str],
        claim_ids: Sequence[str] | None,
        now: float,
    ) -> None:
        """Ask its pool."""
        await self._router.run(
            project,
            queue,
            lambda store: store.do(
                MessageDeleteMany(project, queue, ids, claim_ids, now)
            ),
            _nothing,
        )

    async def message_pop(
        self,
        project: str,
        queue: str,
        limit: int,
        now: float,
        *,
        include_delayed: bool = False,
    ) -> list[Message]:
        """Ask its pool."""
        return await self._router.run(
            project,
            queue,
            lambda store: store.do(
                MessagePop(project, queue, limit, now, include_delayed=include_delayed)
            ),
            list[Message],
        )

    async def message_purge(self, project: str, queue: str) -> None:
        """Ask its pool."""
        await self._router.run(
            project,
            queue,
            lambda store: store.do(MessagePurge(project, queue)),
            _nothing,
        )

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
        """Ask its pool, once its dead letter queue is there as well."""
        if dead_letter is not None:
            with nothing_done():
                dead_letter = await self._reachable(project, queue, dead_letter)

        async def claim(store: Storage) -> Claim | None:
            try:
                return await store.do(
                    ClaimCreate(
                        project,
                        queue,
                        ttl=ttl,
                        grace=grace,
                        limit=limit,
                        now=now,
                        include_delayed=include_delayed,
                        dead_letter=dead_letter,
                    )
                )
            except QueueMoving:
                if dead_letter is not None:
                    # It may be that one; asking for it opens it where it is closed.
                    await self.queue_get(project, dead_letter.queue)
                raise

        return await self._router.run(project, queue, claim, _nothing)

    async def _reachable(
        self, project: str, queue: str, dead_letter: DeadLetter
    ) -> DeadLetter | None:
        """Return the dead letter settings if a message can be moved so."""
        placement = await self._router.find(project, queue)
        if placement is None:
            return dead_letter
        there = await self._router.place(
            project, dead_letter.queue, beside=placement.pool
        )
        if there.pool == placement.pool or await self._router.join(
            project, queue, dead_letter.queue
        ):
            return dead_letter
        # While a pool is drained, one of them may have arrived before the other. The
        # message is claimed once more than it should be rather than not at all.
        LOG.warning(
            "queue %s and its dead letter queue %s are in different pools, nothing is "
            "moved there",
            queue,
            dead_letter.queue,
        )
        return None

    async def claim_get(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> Claim:
        """Ask its pool."""

        def missing() -> Claim:
            raise ClaimNotFound(f"no live claim {claim_id!r}")

        return await self._router.run(
            project,
            queue,
            lambda store: store.do(ClaimGet(project, queue, claim_id, now)),
            missing,
        )

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
        """Ask its pool."""

        def missing() -> None:
            raise ClaimNotFound(f"no live claim {claim_id!r}")

        await self._router.run(
            project,
            queue,
            lambda store: store.do(
                ClaimUpdate(project, queue, claim_id, ttl=ttl, grace=grace, now=now)
            ),
            missing,
        )

    async def claim_delete(
        self, project: str, queue: str, claim_id: str, now: float
    ) -> None:
        """Ask its pool."""
        await self._router.run(
            project,
            queue,
            lambda store: store.do(ClaimDelete(project, queue, claim_id, now)),
            _nothing,
        )
