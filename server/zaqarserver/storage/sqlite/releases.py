"""Messages that consumers return, set aside, and try again: release, bury, redrive."""

from __future__ import annotations

import math

import msgspec

from zaqarserver.errors import MessageNotFound
from zaqarserver.storage.moving import (
    MessageRecord,
)
from zaqarserver.storage.releases import (
    HeldCommand,
    MessageBury,
    MessageExport,
    MessageImport,
    MessageRedrive,
    MessageRelease,
)
from zaqarserver.storage.sqlite.backlogs import (
    FREE,
    MESSAGE_ROWS,
    POSTPONED,
    MessageRow,
    Transfer,
    buried,
    create_queue,
    encode_notes,
    transfer,
    with_reason,
)
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import ById, decode_secret, decode_seq
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.messages import check_holder, find_message, take_out
from zaqarserver.storage.sqlite.records import INSERTS
from zaqarserver.storage.sqlite.writer import Steps

#: How many messages one step of a redrive moves.
STEP = 100

MESSAGE_FREE = """
    UPDATE message SET claim = NULL, state = ?2, visible = ?3, notes = ?4 WHERE seq = ?1
"""
#: After the two columns that find it, the members of a record without the id.
EXPORT = ById("""
    SELECT m.seq, m.secret, m.body, m.ttl, m.created, m.expires, m.visible, m.client,
           m.checksum, m.claims, NULL, m.notes, m.state = 3
      FROM message m LEFT JOIN claim c ON c.seq = m.claim AND c.expires > ?3
     WHERE m.{number} = ?1 AND m.backlog = ?2 AND +m.expires > ?3 AND c.seq IS NULL
""")


def _held(memory: Memory, command: HeldCommand) -> tuple[int, MessageRow]:
    """Return the backlog and the message, if the claim holds it."""
    queue = memory.queue(command.space, command.queue)
    found = None
    if queue is not None:
        found = find_message(memory, queue.backlog, command.message_id, command.now)
    if queue is None or found is None:
        raise MessageNotFound(f"no message {command.message_id!r}")
    check_holder(memory, queue, found, command.claim_id, command.now)
    return queue.backlog, found


@writes(MessageRelease)
def release(memory: Memory, command: MessageRelease) -> None:
    """Free one row, or postpone it."""
    backlog, found = _held(memory, command)
    visible = command.now + command.delay if command.delay else None
    state = FREE if visible is None else POSTPONED
    notes = encode_notes(with_reason(found.notes, command.reason))
    memory.db.execute(MESSAGE_FREE, (found.seq, state, visible, notes))
    memory.count_claimed(backlog, -take_out(memory, [found]))
    memory.freed.add(QueueKey(command.space, command.queue))
    if visible is None:
        memory.lower_floor(backlog, found.seq)
    else:
        memory.lower_due(backlog, visible)


@writes(MessageBury)
def bury(memory: Memory, command: MessageBury) -> None:
    """Give one row another backlog."""
    backlog, found = _held(memory, command)
    dead_letter = command.dead_letter
    moved = buried(found, command.queue, dead_letter, command.now, command.reason)
    transfer(memory, command.space, backlog, dead_letter.queue, [moved])
    memory.count_claimed(backlog, -take_out(memory, [found]))


@reads(MessageExport)
async def export(engine: Engine, command: MessageExport) -> list[MessageRecord]:
    """Read by primary key."""
    queue, now = engine.queue(command), command.now
    if queue is None:
        return []
    found = [
        (id_, row)
        for id_ in sorted(set(command.ids))
        if (row := EXPORT.find(engine.reader, id_, queue.backlog, now)) is not None
    ]
    rows = [(id_, *row[2:]) for id_, row in found]
    return msgspec.convert(rows, list[MessageRecord], strict=False)


@writes(MessageImport, grows=True)
def import_messages(memory: Memory, command: MessageImport) -> None:
    """Insert rows with the numbers of their ids, or the next that are free."""
    space, name = command.space, command.queue
    memory.freed.add(QueueKey(space, name))
    queue = memory.queue(space, name) or create_queue(memory, space, name)
    backlog, last = queue.backlog, 0
    for record in command.messages:
        if MESSAGE_ROWS.find(memory.db, record.id, backlog) is not None:
            continue
        number = decode_seq(record.id) or 0
        last = max(number, last + 1)
        while MESSAGE_ROWS.is_taken(memory.db, last):
            last += 1
        memory.sequence.last = max(memory.sequence.last, last)
        values = msgspec.structs.asdict(record) | {
            "seq": last,
            "alias": None if last == number else number,
            "secret": decode_secret(record.id),
            "backlog": backlog,
            "claim": None,
            "state": FREE if record.visible is None else POSTPONED,
        }
        memory.db.execute(INSERTS[MessageRecord], values)
        memory.count(space, backlog, 1, len(record.body))
        memory.lower_due(backlog, min(record.expires, record.visible or math.inf))
        memory.lower_floor(backlog, last)


@writes(MessageRedrive)
def redrive(memory: Memory, command: MessageRedrive) -> Steps[list[str]]:
    """Give rows another backlog, some at a time."""
    now, ttl = command.now, command.ttl
    visible = now + command.delay if command.delay else None
    ids = list(dict.fromkeys(command.ids))
    done: list[str] = []
    for start in range(0, len(ids), STEP):
        if start:
            yield None
        queue = memory.queue(command.space, command.queue)
        if queue is None:
            break
        moved, rows = [], []
        for id_ in ids[start : start + STEP]:
            row = find_message(memory, queue.backlog, id_, now)
            if row is not None and row.claim_id is None:
                moved.append(Transfer(row.seq, row.size, ttl, now + ttl, None, visible))
                rows.append(row)
                done.append(id_)
        if moved:
            transfer(memory, command.space, queue.backlog, command.target, moved)
            memory.count_claimed(queue.backlog, -take_out(memory, rows))
    return done
