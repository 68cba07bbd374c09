"""Messages: post, list, get, delete, pop."""

from __future__ import annotations

import asyncio
import hmac
import math
from collections.abc import Sequence

from zaqarserver.errors import ClaimNotLive, MessageClaimed
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
)
from zaqarserver.storage.posts import MessagePostOnce
from zaqarserver.storage.records import Message, NewMessage
from zaqarserver.storage.sqlite.backlogs import (
    DELAYED,
    FREE,
    MESSAGE_GET,
    MESSAGE_ROWS,
    MessageRow,
    choose_walk,
    create_queue,
    read_message,
)
from zaqarserver.storage.sqlite.claims import (
    CLAIM_DELETE,
    elapsed,
    find_claim,
    take_free,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.deliveries import store_notices
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import ById, decode_seq, encode_id
from zaqarserver.storage.sqlite.layers import QueueKey, QueueRow
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.writer import Steps

#: After how many inserted rows the clock is read.
POST_STEP = 200

MESSAGE_INSERT = """
    INSERT INTO message (seq, backlog, state, claims, secret, created, expires,
                         visible, ttl, client, checksum, body)
    VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MESSAGE_HOLDER = ById("""
    SELECT m.seq, m.secret, length(m.body), m.claim, coalesce(c.alias, c.seq), c.secret,
           m.ttl, m.claims, m.expires, m.notes
      FROM message m LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?3
     WHERE m.{number} = ?1 AND m.backlog = ?2 AND +m.expires > ?3
""")
MESSAGE_DELETE = "DELETE FROM message WHERE seq = ?"
CLAIM_HOLDS = "SELECT 1 FROM message WHERE claim = ? LIMIT 1"


# -- posting ----------------------------------------------------------------


@writes(MessagePost, grows=True)
def post(memory: Memory, command: MessagePost) -> Steps[list[str]]:
    """Insert the messages and what is to be delivered of them."""
    return store_post(memory, command)


def store_post(
    memory: Memory, command: MessagePost | MessagePostOnce
) -> Steps[list[str]]:
    """Insert the rows, some at a time."""
    space, name = command.space, command.queue
    queue = memory.queue(space, name) or create_queue(memory, space, name)
    ids: list[str] = []
    for start in range(0, len(command.messages), POST_STEP):
        if start:
            yield None
        some = command.messages[start : start + POST_STEP]
        _insert(memory, command, queue.backlog, some, ids)
    memory.freed.add(QueueKey(space, name))
    store_notices(memory, command, ids)
    return ids


def _insert(
    memory: Memory,
    command: MessagePost | MessagePostOnce,
    backlog: int,
    messages: Sequence[NewMessage],
    ids: list[str],
) -> None:
    now, client_id = command.now, command.client_id
    due = math.inf
    size = 0
    for new in messages:
        seq, secret = memory.sequence.take(now)
        expires = now + new.ttl
        visible = now + new.delay if new.delay > 0 else None
        state = FREE if visible is None else DELAYED
        memory.db.execute(
            MESSAGE_INSERT,
            (
                seq,
                backlog,
                state,
                secret,
                now,
                expires,
                visible,
                new.ttl,
                client_id,
                new.checksum,
                new.body,
            ),
        )
        size += len(new.body)
        due = min(due, expires if visible is None else min(expires, visible))
        ids.append(encode_id(seq, secret))
    memory.lower_due(backlog, due)
    memory.count(command.space, backlog, len(messages), size)


# -- reading ----------------------------------------------------------------


@reads(MessageList)
async def list_messages(engine: Engine, command: MessageList) -> list[Message]:
    """Walk over the requested states, a thousand rows at a time."""
    queue = await elapsed(engine, command, command.now)
    if queue is None:
        return []
    position = MESSAGE_ROWS.position(engine.reader, command.marker, queue.backlog)
    walk = choose_walk(
        claimed=command.include_claimed,
        delayed=command.include_delayed,
        postponed=command.include_postponed,
    )
    found: list[Row] = []
    while position is not None:
        rows, position = walk.step(
            engine.reader,
            queue.backlog,
            (position, position),
            command.now,
            command.limit - len(found),
            command.exclude_client,
        )
        found += rows
        if position is not None:
            await asyncio.sleep(0)
    return [read_message(row, command.now) for row in found]


@reads(MessageGet)
async def get(engine: Engine, command: MessageGet) -> list[Message]:
    """Read by primary key."""
    queue = engine.queue(command)
    if queue is None:
        return []
    found = [
        MESSAGE_GET.find(engine.reader, one, queue.backlog, command.now)
        for one in dict.fromkeys(command.ids)
    ]
    return [read_message(row, command.now) for row in found if row is not None]


# -- deleting ---------------------------------------------------------------


def find_message(
    memory: Memory, backlog: int, message_id: str, now: float
) -> MessageRow | None:
    """Find a live message, as it is stored."""
    row = MESSAGE_HOLDER.find(memory.db, message_id, backlog, now)
    if row is None:
        return None
    seq, _, size, claim, live, secret, *stored = row
    claim_id = None if live is None else encode_id(live, secret)
    return MessageRow(seq, size, claim, claim_id, *stored)


def _remove(
    memory: Memory, space: str, backlog: int, messages: Sequence[MessageRow]
) -> None:
    """Delete messages, and the claims that hold nothing any more."""
    memory.db.executemany(MESSAGE_DELETE, [(message.seq,) for message in messages])
    claims = take_out(memory, messages)
    size = sum(message.size for message in messages)
    memory.count(space, backlog, -len(messages), -size, -claims)


def take_out(memory: Memory, messages: Sequence[MessageRow]) -> int:
    """Delete the claims that hold nothing after these messages left them.

    Returns:
        How many of the messages were under a claim.
    """
    claims = [message.claim for message in messages if message.claim is not None]
    for claim in set(claims):
        if not fetch(memory.db, CLAIM_HOLDS, (claim,)):
            memory.db.execute(CLAIM_DELETE, (claim,))
    return len(claims)


def check_holder(
    memory: Memory,
    queue: QueueRow,
    message: MessageRow,
    claim_id: str | None,
    now: float,
) -> None:
    """Refuse to change a message unless it is under the given live claim, or none.

    Raises:
        MessageClaimed: It is under another live claim.
        ClaimNotLive: The claim is not live, or does not hold it.
    """
    if message.claim_id is None:
        if claim_id is not None:
            raise ClaimNotLive("the claim has expired or does not hold the message")
    elif claim_id is None or not _matches(claim_id, message.claim_id):
        if claim_id is None or find_claim(memory.db, queue, claim_id, now):
            raise MessageClaimed("the message is claimed; name its claim")
        raise ClaimNotLive("the claim is unknown or has expired")


@writes(MessageDelete)
def delete(memory: Memory, command: MessageDelete) -> None:
    """Delete by primary key, under the rules of the contract."""
    queue = memory.queue(command.space, command.queue)
    if queue is None:
        return
    found = find_message(memory, queue.backlog, command.message_id, command.now)
    if found is not None:
        check_holder(memory, queue, found, command.claim_id, command.now)
        _remove(memory, command.space, queue.backlog, [found])


@writes(MessageDeleteMany)
def delete_many(memory: Memory, command: MessageDeleteMany) -> None:
    """Check all messages, then delete by primary key."""
    queue = memory.queue(command.space, command.queue)
    if queue is None:
        return
    found = [
        find_message(memory, queue.backlog, one, command.now)
        for one in dict.fromkeys(command.ids)
    ]
    messages = [row for row in found if row is not None]
    if command.claim_ids is not None:
        for row in messages:
            holder = row.claim_id
            if not holder or not any(_matches(c, holder) for c in command.claim_ids):
                raise MessageClaimed("a message is not under one of the claims named")
    _remove(memory, command.space, queue.backlog, messages)


@writes(MessagePop)
def pop(memory: Memory, command: MessagePop) -> Steps[list[Message]]:
    """Delete the first free rows."""
    backlog, rows = yield from take_free(memory, command)
    if rows:
        gone = [MessageRow(row[0], len(row[2])) for row in rows]
        _remove(memory, command.space, backlog, gone)
    return [read_message(row, command.now) for row in rows]


def _matches(given: str, holder: str) -> bool:
    return decode_seq(given) is not None and hmac.compare_digest(given, holder)
