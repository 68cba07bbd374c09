"""Claims, and dead letters.

**Dead letters** cross queues. The claim moves an exhausted message to a hash beside its
queue, in the same slot, and schedules a visit of the sweeper. The dead letter queue
accepts an id once, however often it comes within an hour; after that the source removes
it. So the message arrives exactly once, whichever process dies in between. If the dead
letter queue is sealed, the message returns to its queue.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from zaqarserver.errors import (
    ClaimNotFound,
    OutcomeUnknown,
    QueueMoving,
    Unavailable,
)
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
)
from zaqarserver.storage.records import Claim
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.messages import MessagePage
from zaqarserver.storage.redis.names import QueueKeys, new_claim_id, new_revision
from zaqarserver.storage.redis.store import Store, performs
from zaqarserver.storage.redis.usage import Held

LOG = logging.getLogger(__name__)

#: How many messages on their way to dead letter queues one step finishes.
MOVE_STEP = 100


class _ClaimReply(NamedTuple):
    """The reply of ``lua/claim.lua``.

    Attributes:
        ids: See :class:`MessagePage`; ``None`` if it was executed before and its reply
            was lost.
        packed: See :class:`MessagePage`.
        bodies: See :class:`MessagePage`.
        moving: Whether messages are on their way to the dead letter queue.
        held: What the queue holds now.
    """

    ids: list[bytes] | None
    packed: list[bytes]
    bodies: list[bytes]
    moving: int
    held: Held


@performs(ClaimCreate)
async def create(store: Store, command: ClaimCreate) -> Claim | None:
    """Claim the first ids of a sorted set.

    A run of more than a thousand expired messages that were not swept yet may make a
    claim smaller than ``limit``, never empty.
    """
    keys, now, dead_letter = store.keys(command), command.now, command.dead_letter
    claim_id, ttl, grace = new_claim_id(), command.ttl, command.grace
    limits: list[Word] = []
    if dead_letter is not None:
        dead_ttl = "" if dead_letter.ttl is None else dead_letter.ttl
        most = dead_letter.max_claim_count
        limits = [dead_letter.queue, most, dead_ttl, command.queue]
    reply = _ClaimReply(
        *await store.run_prepared(
            "claim",
            keys,
            keys.messages,
            now,
            claim_id,
            ttl,
            grace,
            command.limit,
            int(command.include_delayed),
            *limits,
        )
    )
    store.usage.messages(keys, reply.held)
    if reply.ids is None:
        made = await _find_claim(store, command, claim_id)
    else:
        messages = MessagePage(reply.ids, reply.packed, reply.bodies).at(now)
        made = Claim(claim_id, ttl, grace, 0, messages) if messages else None
    if reply.moving:
        await _move_exhausted(store, keys, now, claimed=made is not None)
    return made


async def _find_claim(
    store: Store, command: ClaimCreate, claim_id: str
) -> Claim | None:
    """Read a claim after its reply was lost; return ``None`` if it holds nothing."""
    try:
        return await get(
            store, ClaimGet(command.space, command.queue, claim_id, command.now)
        )
    except ClaimNotFound:
        return None
    except Unavailable as error:
        raise OutcomeUnknown(str(error)) from error


@performs(ClaimGet)
async def get(store: Store, command: ClaimGet) -> Claim:
    """Read the claim and what it holds."""
    now, claim_id = command.now, command.claim_id
    found = await store.run("claim_get", store.keys(command).messages, now, claim_id)
    if found is None:
        return command.missing()
    ttl, grace, created, *page = found
    age = max(0, int(now - float(created)))
    return Claim(claim_id, ttl, grace, age, MessagePage(*page).at(now))


@performs(ClaimUpdate)
async def update(store: Store, command: ClaimUpdate) -> None:
    """Renew the claim, and extend its messages."""
    found = await store.run(
        "claim_update",
        store.keys(command).messages,
        command.now,
        command.claim_id,
        command.ttl,
        command.grace,
    )
    if not found:
        command.missing()


@performs(ClaimDelete)
async def release(store: Store, command: ClaimDelete) -> None:
    """Return what the claim holds to the free or delayed messages."""
    keys = store.keys(command)
    claim_id, delay = command.claim_id, command.delay
    await store.run("claim_delete", keys.messages, command.now, claim_id, delay)


# -- dead letters ---------------------------------------------------------------


async def _move_exhausted(
    store: Store, keys: QueueKeys, now: float, *, claimed: bool
) -> None:
    """Move the exhausted messages of a claim to its dead letter queue.

    If that fails now, the sweeper does it: the claim must be returned.

    Raises:
        QueueMoving: The dead letter queue is sealed, and nothing was claimed.
    """
    try:
        arrived = await finish_moves(store, keys, now)
    except Unavailable as error:
        LOG.debug("left to the sweeper: %s", error)
        return
    if not (arrived or claimed):
        raise QueueMoving("the dead letter queue is being moved, or has left")


async def finish_moves(store: Store, keys: QueueKeys, now: float) -> bool:
    """Put the messages that have left a queue into their dead letter queues.

    Returns:
        True if all have arrived; the others are in the queue again.
    """
    arrived = True
    while True:
        ids, *moved = await store.run("moves", keys.messages, MOVE_STEP)
        if not ids:
            return arrived
        targets: dict[str, list[Word]] = {}
        for *message, target in zip(ids, *moved, strict=True):
            targets.setdefault(target.decode(), []).extend(message)
        replies = await asyncio.gather(
            *(_put(store, keys.space, *one, now) for one in targets.items())
        )
        refused = [id_ for reply in replies for id_ in reply]
        if refused:
            arrived = False
            held = await store.run("restore", keys.messages, now, *refused)
            store.usage.messages(keys, held)
        await store.run("moved", keys.messages, *(set(ids) - set(refused)))


async def _put(
    store: Store, space: str, queue: str, messages: list[Word], now: float
) -> list[bytes]:
    """Put messages into a queue; return the ids it refuses because it is sealed."""
    keys = store.keyspace.queue(space, queue)
    refused, held = await store.run_prepared(
        "put", keys, keys.messages, now, new_revision(), *messages
    )
    store.usage.messages(keys, held)
    return list(refused)
