"""Stores that break a promise on purpose, each in one way.

They are mixed into the class of the store under test, so that each break works with
any driver. What they do wrong is what a driver could do wrong.
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace
from zaqarserver.errors import ClaimNotLive
from zaqarserver.storage.base import Claim
from zaqarserver.storage.commands import (
    ClaimCreate,
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePost,
    QueueCount,
)
from zaqarserver.storage.subscriptions import DeliverySettle, DeliveryTake

_SOON = 1.0


class AcknowledgesFirst:
    """P1: answers that messages are stored, and stores them a second later."""

    async def do(self, command):
        if not isinstance(command, MessagePost):
            return await super().do(command)

        async def store():
            await asyncio.sleep(_SOON)
            await super(AcknowledgesFirst, self).do(command)

        self.later = asyncio.get_running_loop().create_task(store())
        return ["0" * 32 for _ in command.messages]


class ClaimsOnce:
    """P2: a claim removes its messages; if it expires they are gone."""

    async def do(self, command):
        result = await super().do(command)
        if isinstance(command, ClaimCreate) and result is not None:
            ids = [message.id for message in result.messages]
            await super().do(
                MessageDeleteMany(command.space, command.queue, ids, None, command.now)
            )
        return result


class ClaimsForAll:
    """P3: claims keep nobody else away."""

    async def do(self, command):
        if not isinstance(command, ClaimCreate):
            return await super().do(command)
        found = await super().do(
            MessageList(
                command.space,
                command.queue,
                marker=None,
                limit=command.limit,
                now=command.now,
            )
        )
        claim = Claim("c" * 32, command.ttl, command.grace, 0, found)
        return claim if found else None


class DeletesLate:
    """P3: lets a claim that has expired delete its message."""

    async def do(self, command):
        try:
            return await super().do(command)
        except ClaimNotLive:
            if not isinstance(command, MessageDelete):
                raise
            ids = [command.message_id]
            return await super().do(
                MessageDeleteMany(command.space, command.queue, ids, None, command.now)
            )


class StoresBackwards:
    """P4: takes the messages of a post in the wrong order."""

    async def do(self, command):
        if not isinstance(command, MessagePost):
            return await super().do(command)
        turned = replace(command, messages=list(reversed(command.messages)))
        return list(reversed(await super().do(turned)))


class SettlesFirst:
    """P5: takes a notification for sent once it is taken for sending."""

    async def do(self, command):
        result = await super().do(command)
        if isinstance(command, DeliveryTake):
            for one in result:
                await super().do(
                    DeliverySettle(
                        one.key, position=len(one.messages), attempt=0, due=None
                    )
                )
        return result


class ReadsLate:
    """P6: expires what it shows some seconds too late."""

    async def do(self, command):
        if isinstance(command, MessageList):
            command = replace(command, now=command.now - 5)
        return await super().do(command)


class HidesLong:
    """P6: shows what was delayed some seconds too late."""

    async def do(self, command):
        if isinstance(command, MessagePost):
            command = replace(command, now=command.now + 5)
        return await super().do(command)


class KnowsOneProject:
    """P7: takes messages of all projects for those of one."""

    async def do(self, command):
        if isinstance(command, MessageList):
            command = replace(command, space="alpha")
        return await super().do(command)


class CountsAllProjects:
    """P7: counts the queues of all projects."""

    async def do(self, command):
        if isinstance(command, QueueCount):
            command = replace(command, space="alpha")
        return await super().do(command)


class KeepsDeleted:
    """P8: answers that a message is deleted, and keeps it."""

    async def do(self, command):
        if isinstance(command, MessageDelete):
            return None
        return await super().do(command)


class KeepsExpired:
    """P8: shows what has expired again after a while."""

    async def do(self, command):
        if isinstance(command, MessageGet):
            command = replace(command, now=command.now - 60)
        return await super().do(command)

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
