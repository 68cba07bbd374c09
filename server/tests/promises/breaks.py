"""Stores that break a promise on purpose, each in one way.

They are mixed into the class of the store under test, so that each break works with
any driver. What they do wrong is what a driver could do wrong.
"""

from __future__ import annotations

import asyncio

from zaqarserver.errors import ClaimNotLive
from zaqarserver.storage.base import Claim

_SOON = 1.0


class AcknowledgesFirst:
    """P1: says that messages are stored, and stores them a second later."""

    async def message_post(self, project, queue, client_id, messages, now):
        async def store():
            await asyncio.sleep(_SOON)
            await super(AcknowledgesFirst, self).message_post(
                project, queue, client_id, messages, now
            )

        self.later = asyncio.get_running_loop().create_task(store())
        return ["0" * 32 for _ in messages]


class ClaimsOnce:
    """P2: a claim removes its messages; if it expires they are gone."""

    async def claim_create(self, project, queue, *, now, **options):
        claim = await super().claim_create(project, queue, now=now, **options)
        if claim is not None:
            ids = [message.id for message in claim.messages]
            await self.message_delete_many(project, queue, ids, None, now)
        return claim


class ClaimsForAll:
    """P3: claims keep nobody else away."""

    async def claim_create(self, project, queue, *, ttl, grace, limit, now, **_):
        found = await self.message_list(
            project, queue, marker=None, limit=limit, now=now
        )
        return Claim("c" * 32, ttl, grace, 0, found) if found else None


class DeletesLate:
    """P3: lets a claim that has expired delete its message."""

    async def message_delete(self, project, queue, message_id, claim_id, now):
        try:
            await super().message_delete(project, queue, message_id, claim_id, now)
        except ClaimNotLive:
            await self.message_delete_many(project, queue, [message_id], None, now)


class StoresBackwards:
    """P4: takes the messages of a post in the wrong order."""

    async def message_post(self, project, queue, client_id, messages, now):
        ids = await super().message_post(
            project, queue, client_id, list(reversed(messages)), now
        )
        return list(reversed(ids))


class SettlesFirst:
    """P5: takes a notification for sent once it is taken for sending."""

    async def delivery_take(self, now, **options):
        taken = await super().delivery_take(now, **options)
        for one in taken:
            await self.delivery_settle(
                one.key, position=len(one.messages), attempt=0, due=None
            )
        return taken


class ReadsLate:
    """P6: expires what it shows some seconds too late."""

    async def message_list(self, project, queue, *, now, **options):
        return await super().message_list(project, queue, now=now - 5, **options)


class HidesLong:
    """P6: shows what was delayed some seconds too late."""

    async def message_post(self, project, queue, client_id, messages, now):
        return await super().message_post(project, queue, client_id, messages, now + 5)


class KnowsOneProject:
    """P7: takes messages of all projects for those of one."""

    async def message_list(self, _project, queue, **options):
        return await super().message_list("alpha", queue, **options)


class CountsAllProjects:
    """P7: counts the queues of all projects."""

    async def queue_count(self, _project):
        return await super().queue_count("alpha")


class KeepsDeleted:
    """P8: answers that a message is deleted, and keeps it."""

    async def message_delete(self, project, queue, message_id, claim_id, now):
        return None


class KeepsExpired:
    """P8: shows what has expired again after a while."""

    async def message_get(self, project, queue, ids, now):
        return await super().message_get(project, queue, ids, now - 60)

    async def sweep(self, now):
        return 0


BREAKS = {
    fault.__name__: fault
    for fault in (
        AcknowledgesFirst,
        ClaimsOnce,
        ClaimsForAll,
        DeletesLate,
        StoresBackwards,
        SettlesFirst,
        ReadsLate,
        HidesLong,
        KnowsOneProject,
        CountsAllProjects,
        KeepsDeleted,
        KeepsExpired,
    )
}
