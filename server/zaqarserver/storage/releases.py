"""The part of the storage contract about messages that consumers return.

They are released, moved to a dead letter queue (buried), or moved from one queue to
another (redriven). The rules of :mod:`zaqarserver.storage.commands` hold here, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

import msgspec

from zaqarserver.errors import MessageNotFound
from zaqarserver.storage.commands import MessageDeleteMany, QueueCommand
from zaqarserver.storage.moving import MessageRecord
from zaqarserver.storage.records import DeadLetter

#: How many messages one step copies to another store.
STEP = 100


class HeldCommand(QueueCommand[None], frozen=True):
    """A command about a message that a live claim holds.

    Attributes:
        message_id: The message.
        claim_id: The claim.
        now: The time.

    Raises:
        MessageNotFound: There is no such live message.
        MessageClaimed: Another live claim holds it.
        ClaimNotLive: The claim is not live, or the message is not claimed.
    """

    message_id: str
    claim_id: str
    now: float

    def missing(self) -> None:
        raise MessageNotFound(f"no message {self.message_id!r}")


class MessageRelease(HeldCommand, frozen=True):
    """Release a message from the live claim that holds it; its claim count stays.

    With a delay it is *postponed*: until then no claim or pop takes it, also those that
    include delayed messages, and it is not under a claim.

    Attributes:
        delay: Seconds after which it is free.
        reason: Replaces its last reason; ``None`` keeps that.
    """

    delay: int = 0
    reason: str | None = None


class MessageBury(HeldCommand, frozen=True):
    """Move a message from the live claim that holds it to the dead letter queue.

    As :class:`ClaimCreate` moves one that was claimed too often, whatever its count.

    Attributes:
        dead_letter: The dead letter queue; the count in it is not used.
        reason: Replaces its last reason; ``None`` keeps that.
    """

    dead_letter: DeadLetter
    reason: str | None = None


class MessageRedrive(QueueCommand[list[str]], frozen=True):
    """Move messages that are not claimed to another queue; return the moved ids.

    Each message is in one of the queues at any time, and keeps its id, body, checksum,
    age and order. In the target its claim count is 0, it lives for ``ttl`` seconds from
    now, and has no notes. Ids that are not of live messages, or of claimed ones, are
    skipped. The target is made if it does not exist. Its subscribers are not notified:
    the message was posted before.

    Attributes:
        ids: The messages, at most 1,000.
        target: Another queue of the space.
        ttl: Seconds to live.
        now: The time.
        delay: Seconds after which they are free in the target.
    """

    ids: Sequence[str]
    target: str
    ttl: int
    now: float
    delay: int = 0

    def missing(self) -> list[str]:
        return []


# -- from store to store ----------------------------------------------------


class MessageExport(QueueCommand[list[MessageRecord]], frozen=True):
    """Return the live messages with these ids that are not claimed, in their order."""

    ids: Sequence[str]
    now: float

    def missing(self) -> list[MessageRecord]:
        return []


class MessageImport(QueueCommand[None], frozen=True):
    """Store messages of a queue of another store, unless they are there already.

    They keep their ids, and their order; the queue is made if it does not exist.

    Attributes:
        messages: The messages, in their order; none of them is claimed.
        now: The time.
    """

    makes_queue: ClassVar[bool] = True
    messages: Sequence[MessageRecord]
    now: float


def redriven(record: MessageRecord, command: MessageRedrive) -> MessageRecord:
    """Return a message as it is to be after a redrive."""
    return msgspec.structs.replace(
        record,
        ttl=command.ttl,
        expires=command.now + command.ttl,
        visible=command.now + command.delay if command.delay else None,
        claim_count=0,
        notes=None,
        postponed=command.delay > 0,
    )


async def copy_redriven(
    do: Callable[[Any], Awaitable[Any]], command: MessageRedrive
) -> list[str]:
    """Redrive messages to a queue of another store: copy them, then delete them.

    If this ends between the two, they are in both queues; none is ever in neither. The
    caller has no two of one queue under way: the second would copy again what was
    consumed since.

    Args:
        do: Executes a command in the store of its queue.
        command: The redrive.

    Returns:
        The ids of the moved messages.
    """
    space, queue, now = command.space, command.queue, command.now
    moved: list[str] = []
    for start in range(0, len(command.ids), STEP):
        some = command.ids[start : start + STEP]
        found = await do(MessageExport(space, queue, some, now))
        copies = [redriven(record, command) for record in found]
        if copies:
            await do(MessageImport(space, command.target, copies, now))
            ids = [record.id for record in copies]
            await do(MessageDeleteMany(space, queue, ids, None, now))
            moved += ids
    return moved
