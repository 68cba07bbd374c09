"""Claims, and the changes of messages' states by claims and time.

A row records whether its message is free, delayed or claimed, as of the last write:
:func:`elapse` brings the rows of a backlog up to date before anything that depends on
their states. ``Memory.due`` shows without reading the file whether something has to be
brought up to date.

**The claim walk.** :func:`take_free` reads the free rows of a backlog in their order,
so its cost depends on what it takes. Before the live rows there may be rows that have
expired and are not swept yet. The walk skips them a thousand at a time, each thousand
in another transaction, and only once: the *floor* of a backlog is a row up to which all
free rows have expired. A row that becomes free again lowers it. The floor does not
apply to delayed rows, since they become visible in another order: for them a walk
starts at the beginning.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import msgspec

from zaqarserver.errors import ClaimNotFound
from zaqarserver.storage.commands import (
    ClaimCreate,
    ClaimDelete,
    ClaimGet,
    ClaimUpdate,
    MessagePop,
    QueueCommand,
)
from zaqarserver.storage.records import Claim, DeadLetter, Message
from zaqarserver.storage.sqlite.backlogs import (
    DELAYED,
    MESSAGE_COLUMNS,
    POSTPONED,
    MessageRow,
    buried,
    choose_walk,
    find_due,
    read_message,
    transfer,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import ById, encode_id
from zaqarserver.storage.sqlite.layers import QueueKey, QueueRow
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.writer import POSTPONE, Steps

#: How many claims, and delayed messages, one write brings up to date at most.
ELAPSE_CLAIMS = 10
ELAPSE_DELAYED = 100

CLAIM_INSERT = """
    INSERT INTO claim (seq, backlog, secret, ttl, grace, created, expires)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
CLAIM_FIND = ById("""
    SELECT seq, secret, ttl, grace, created FROM claim
     WHERE {number} = ?1 AND backlog = ?2 AND +expires > ?3
""")
CLAIM_RENEW = """
    UPDATE claim SET ttl = ?2, grace = ?3, created = ?4, expires = ?5 WHERE seq = ?1
"""
CLAIM_EXTEND = """
    UPDATE message SET ttl = ?3, expires = ?4 WHERE claim = ?1 AND expires < ?2
"""
CLAIM_MESSAGES = f"""
    SELECT {MESSAGE_COLUMNS}
      FROM message m JOIN claim c ON c.seq = m.claim
     WHERE m.claim = ? AND m.expires > ?
     ORDER BY m.seq
"""  # noqa: S608 - constants only
CLAIM_RELEASE = """
    UPDATE message SET claim = NULL,
                       state = iif(?2 IS NULL, visible IS NOT NULL, 3),
                       visible = coalesce(?2, visible)
     WHERE claim = ?1
    RETURNING seq, visible
"""
CLAIM_DELETE = "DELETE FROM claim WHERE seq = ?"
CLAIM_DUE = """
    SELECT seq FROM claim WHERE backlog = ? AND expires <= ? ORDER BY expires LIMIT ?
"""
#: For each of the states in which messages are hidden.
MESSAGE_SHOW = [
    f"""
    UPDATE message SET state = 0, visible = NULL
     WHERE seq IN (SELECT seq FROM message
                    WHERE backlog = ? AND state = {state} AND visible <= ?
                    ORDER BY visible LIMIT ?)
    RETURNING seq
"""  # noqa: S608 - constants only
    for state in (DELAYED, POSTPONED)
]
MESSAGE_CLAIM = (
    "UPDATE message SET state = 2, claim = ?, claims = claims + 1 WHERE seq = ?"
)
MESSAGE_CLAIM_EXTEND = """
    UPDATE message SET state = 2, claim = ?, claims = claims + 1,
                       ttl = ?, expires = ?
     WHERE seq = ?
"""

#: Columns of :data:`MESSAGE_COLUMNS`.
_BODY, _TTL, _CLAIMS, _EXPIRES, _NOTES = 2, 3, 5, 8, 12


class ClaimRow(NamedTuple):
    """A live claim as stored."""

    seq: int
    secret: int
    ttl: int
    grace: int
    created: float


# -- states -----------------------------------------------------------------


async def elapsed(
    engine: Engine, command: QueueCommand[Any], now: float
) -> QueueRow | None:
    """Return a queue once the states of its rows are those at ``now``."""
    while (queue := engine.queue(command)) is not None:
        due = engine.memory.committed_due(engine.reader, queue.backlog)
        if now < due or await engine.writer.submit(elapse, queue.backlog, now):
            break
    return queue


def elapse(memory: Memory, backlog: int, now: float) -> bool:
    """Free the messages of expired claims, and show delayed ones that are due.

    Afterwards a row's state is the message's state at ``now``.

    Returns:
        True if it is done, False if some is left.
    """
    if now < memory.due_of(backlog):
        return True
    claims = fetch(memory.db, CLAIM_DUE, (backlog, now, ELAPSE_CLAIMS))
    for (claim,) in claims:
        release(memory, backlog, claim)
    is_done = len(claims) < ELAPSE_CLAIMS
    for statement in MESSAGE_SHOW:
        shown = fetch(memory.db, statement, (backlog, now, ELAPSE_DELAYED))
        for (seq,) in shown:
            memory.lower_floor(backlog, seq)
        is_done = is_done and len(shown) < ELAPSE_DELAYED
    if not is_done:
        return False
    find_due(memory, backlog)
    return True


def release(
    memory: Memory, backlog: int, claim: int, visible: float | None = None
) -> None:
    """End a claim and free its messages, or postpone them until a time."""
    rows = fetch(memory.db, CLAIM_RELEASE, (claim, visible))
    memory.db.execute(CLAIM_DELETE, (claim,))
    for seq, hidden in rows:
        if hidden is None:
            memory.lower_floor(backlog, seq)
        else:
            memory.lower_due(backlog, hidden)
    memory.count_claimed(backlog, -len(rows))


def take_free(
    memory: Memory, command: ClaimCreate | MessagePop, dead_letters: str | None = None
) -> Steps[tuple[int, list[Row]]]:
    """Find the oldest free rows; the caller must claim or remove all of them.

    After a run of more than ``backlogs.STEP`` expired rows they may be fewer than the
    limit, but never none if there are free rows.

    Args:
        memory: The memory.
        command: The queue, the limit and the time.
        dead_letters: Another queue that the store must not refuse.

    Returns:
        The backlog and the rows.
    """
    walk = choose_walk(delayed=command.include_delayed)
    position = 0
    while (queue := memory.queue(command.space, command.queue)) is not None:
        if dead_letters is not None:
            memory.check_seal(command.space, dead_letters)
        backlog = queue.backlog
        if elapse(memory, backlog, command.now):
            after = (memory.floor(backlog), position)
            rows, last = walk.step(
                memory.db, backlog, after, command.now, command.limit
            )
            if rows:
                memory.raise_floor(backlog, rows[-1][0])
            if rows or last is None:
                return backlog, rows
            memory.raise_floor(backlog, last)
            position = last
        yield POSTPONE
    return 0, []


# -- claims -----------------------------------------------------------------


@reads(ClaimCreate)
async def create(engine: Engine, command: ClaimCreate) -> Claim | None:
    """Return without a transaction if the queue does not exist."""
    if engine.queue(command) is None:
        return None
    return await engine.writer.submit(_create, command)


def _create(memory: Memory, command: ClaimCreate) -> Steps[Claim | None]:
    now, dead_letter = command.now, command.dead_letter
    name = None if dead_letter is None else dead_letter.queue
    backlog, rows = yield from take_free(memory, command, name)
    if dead_letter is not None:
        rows = _move_exhausted(memory, command, backlog, rows, dead_letter)
    if not rows:
        return None
    seq, secret = memory.sequence.take(now)
    messages = _hold(memory, rows, seq, encode_id(seq, secret), command)
    expires = now + command.ttl
    memory.db.execute(
        CLAIM_INSERT, (seq, backlog, secret, command.ttl, command.grace, now, expires)
    )
    memory.lower_due(backlog, expires)
    memory.count_claimed(backlog, len(rows))
    return Claim(encode_id(seq, secret), command.ttl, command.grace, 0, messages)


def _hold(
    memory: Memory, rows: list[Row], claim: int, claim_id: str, command: ClaimCreate
) -> list[Message]:
    """Put free rows under a claim, with the extension of ``rest-v2`` 5.4."""
    end = command.now + command.ttl
    lasting = command.ttl + command.grace
    messages = []
    for row in rows:
        message = read_message(row, command.now)
        ttl = message.ttl
        if row[_EXPIRES] < end:
            ttl = lasting
            memory.db.execute(
                MESSAGE_CLAIM_EXTEND, (claim, ttl, end + command.grace, row[0])
            )
        else:
            memory.db.execute(MESSAGE_CLAIM, (claim, row[0]))
        messages.append(
            msgspec.structs.replace(
                message,
                ttl=ttl,
                claim_id=claim_id,
                claim_count=message.claim_count + 1,
            )
        )
    return messages


def _stored(row: Row) -> MessageRow:
    return MessageRow(
        row[0],
        len(row[_BODY]),
        ttl=row[_TTL],
        claims=row[_CLAIMS],
        expires=row[_EXPIRES],
        notes=row[_NOTES],
    )


def _move_exhausted(
    memory: Memory,
    command: ClaimCreate,
    backlog: int,
    rows: list[Row],
    dead_letter: DeadLetter,
) -> list[Row]:
    """Move messages that were claimed too often; return the other rows."""
    most = dead_letter.max_claim_count
    exhausted = [row for row in rows if row[_CLAIMS] >= most]
    if not exhausted:
        return rows
    moved = [
        buried(_stored(row), command.queue, dead_letter, command.now)
        for row in exhausted
    ]
    transfer(memory, command.space, backlog, dead_letter.queue, moved)
    # Others may be free behind those that were moved.
    memory.freed.add(QueueKey(command.space, command.queue))
    return [row for row in rows if row[_CLAIMS] < most]


def find_claim(
    db: apsw.Connection, queue: QueueRow | None, claim_id: str, now: float
) -> ClaimRow | None:
    """Find a live claim of a queue by its id."""
    if queue is None:
        return None
    row = CLAIM_FIND.find(db, claim_id, queue.backlog, now)
    return None if row is None else ClaimRow(*row)


@reads(ClaimGet)
async def get(engine: Engine, command: ClaimGet) -> Claim:
    """Read by primary key."""
    queue, now = engine.queue(command), command.now
    found = find_claim(engine.reader, queue, command.claim_id, now)
    if found is None:
        return command.missing()
    rows = fetch(engine.reader, CLAIM_MESSAGES, (found.seq, now))
    return Claim(
        id=command.claim_id,
        ttl=found.ttl,
        grace=found.grace,
        age=max(0, int(now - found.created)),
        messages=[read_message(row, now) for row in rows],
    )


@writes(ClaimUpdate)
def update(memory: Memory, command: ClaimUpdate) -> None:
    """Renew the row, and extend its messages."""
    queue, now = memory.queue(command.space, command.queue), command.now
    found = find_claim(memory.db, queue, command.claim_id, now)
    if queue is None or found is None:
        raise ClaimNotFound(f"no live claim {command.claim_id!r}")
    ttl, grace, end = command.ttl, command.grace, now + command.ttl
    memory.db.execute(CLAIM_RENEW, (found.seq, ttl, grace, now, end))
    memory.db.execute(CLAIM_EXTEND, (found.seq, end, ttl + grace, end + grace))
    memory.lower_due(queue.backlog, end)
    if end < found.created + found.ttl:
        # Those who wait know the later end.
        memory.freed.add(QueueKey(command.space, command.queue))


@writes(ClaimDelete)
def delete(memory: Memory, command: ClaimDelete) -> None:
    """Release a live claim."""
    queue = memory.queue(command.space, command.queue)
    found = find_claim(memory.db, queue, command.claim_id, command.now)
    if queue is not None and found is not None:
        visible = command.now + command.delay if command.delay else None
        release(memory, queue.backlog, found.seq, visible)
        memory.freed.add(QueueKey(command.space, command.queue))
