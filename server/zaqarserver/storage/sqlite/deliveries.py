"""Notices, and the deliveries that are made of them.

A post stores one notice, whatever the number of subscriptions. Taking deliveries first
spreads notices over the subscriptions, a bounded number at a time, then takes
the oldest delivery of each subscription that is due. The ``due`` of a subscription is
also its lease: it is set forward when a delivery is taken, so that the subscription is
due again if its taker dies.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.sqlite.connection import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.subscriptions import (
    COLUMNS,
    listeners,
    read_subscription,
)
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.subscriptions import (
    NOTICE_MESSAGES,
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    Noticed,
    Posted,
)

#: How many deliveries one call makes of notices at most.
SPREAD = 500
#: How many of them between two looks at the clock.
STEP = 100

NOTICE_INSERT = """
    INSERT INTO notice (project, source, messages, count, newest, reached)
    VALUES (?, ?, ?, ?, ?, 0)
"""
NOTICE_NEXT = """
    SELECT id, project, source, newest, reached FROM notice
     WHERE reached >= 0 ORDER BY id LIMIT 1
"""
NOTICE_LISTENERS = """
    SELECT seq FROM subscription
     WHERE project = ? AND source = ? AND seq > ? AND seq <= ? AND expires > ?
       AND volatile = 0 AND (confirmed OR NOT ?)
     ORDER BY seq LIMIT ?
"""
NOTICE_REACHED = "UPDATE notice SET reached = ?, open = open + ? WHERE id = ?"
NOTICE_CLOSE = "UPDATE notice SET open = open - 1 WHERE id = ?"
NOTICE_TIDY = "DELETE FROM notice WHERE id = ? AND open = 0 AND reached IS NULL"
NOTICE_WAITS = "SELECT 1 FROM notice WHERE reached >= 0 LIMIT 1"
DELIVERY_INSERT = "INSERT INTO delivery (notice, subscription) VALUES (?, ?)"
DELIVERY_WAKE = "UPDATE subscription SET due = ? WHERE seq = ? AND due IS NULL"
DELIVERY_DUE = f"""
    SELECT {COLUMNS}, expires FROM subscription
     WHERE due <= ? ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - constants only
DELIVERY_OLDEST = """
    SELECT id, position, attempt, notice FROM delivery
     WHERE subscription = ? ORDER BY id LIMIT 1
"""
NOTICE_MESSAGES_OF = "SELECT messages FROM notice WHERE id = ?"
DELIVERY_FIND = """
    SELECT d.id, d.notice, d.subscription, n.count
      FROM delivery d JOIN notice n ON n.id = d.notice WHERE d.id = ?
"""
DELIVERY_UPDATE = "UPDATE delivery SET position = ?, attempt = ? WHERE id = ?"
DELIVERY_DELETE = "DELETE FROM delivery WHERE id = ?"
DELIVERY_ANY = "SELECT 1 FROM delivery WHERE subscription = ? LIMIT 1"
DELIVERY_OF = "SELECT id, notice FROM delivery WHERE subscription = ? LIMIT ?"
# What belongs to a sealed queue is not due: the time is parked.
SUBSCRIPTION_DUE = """
    UPDATE subscription SET due = iif(parked IS NULL, ?1, NULL),
                            parked = iif(parked IS NULL, NULL, ?1), leased = 0
     WHERE seq = ?2 AND expires > 0
"""
SUBSCRIPTION_LEASE = "UPDATE subscription SET due = ?, leased = 1 WHERE seq = ?"
NEXT_DUE = "SELECT min(due) FROM subscription WHERE due IS NOT NULL"
EXPIRED = (
    "SELECT seq, project, source, expires FROM subscription WHERE expires <= ? LIMIT 1"
)
SUBSCRIPTION_DELETE = "DELETE FROM subscription WHERE seq = ?"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Noticed]).decode


#: The messages of notices, as far as one command has decoded them.
Decoded = dict[int, list[Noticed]]


def store_notices(memory: Memory, command: MessagePost, ids: Sequence[str]) -> None:
    """Store the notices of a post, if its queue has subscriptions."""
    known = listeners(memory, command.space, command.queue)
    now = command.now
    volatile = [id_ for id_, end in known.volatile if end > now]
    if known.until <= now and not volatile:
        return
    messages = [
        Noticed(id_, new.body, new.ttl, new.delay, now + new.ttl)
        for id_, new in zip(ids, command.messages, strict=True)
    ]
    if known.until > now:
        newest = memory.sequence.last
        for start in range(0, len(messages), NOTICE_MESSAGES):
            some = messages[start : start + NOTICE_MESSAGES]
            row = (command.space, command.queue, _encode(some), len(some), newest)
            memory.db.execute(NOTICE_INSERT, row)
        memory.noticed = True
    if volatile:
        memory.posted.append(Posted(command.space, command.queue, messages, volatile))


@writes(DeliveryTake)
def take(memory: Memory, command: DeliveryTake) -> Steps[list[Delivery]]:
    """Spread notices, then take what is due."""
    yield from _spread(memory, command)
    found: list[Delivery] = []
    decoded: Decoded = {}
    for row in fetch(memory.db, DELIVERY_DUE, (command.now, command.limit)):
        delivery = _take_oldest(memory, row, command, decoded)
        if delivery is not None:
            found.append(delivery)
        yield None
    return found


def _spread(memory: Memory, command: DeliveryTake) -> Steps[None]:
    """Make deliveries of notices, the oldest first."""
    room = SPREAD
    while room > 0:
        rows = fetch(memory.db, NOTICE_NEXT)
        if not rows:
            return
        notice, space, queue, newest, reached = rows[0]
        bounds = (space, queue, reached, newest, command.now)
        chosen = fetch(
            memory.db, NOTICE_LISTENERS, (*bounds, int(command.confirmed_only), room)
        )
        for number, (subscription,) in enumerate(chosen, 1):
            memory.db.execute(DELIVERY_INSERT, (notice, subscription))
            memory.db.execute(DELIVERY_WAKE, (command.now, subscription))
            if number % STEP == 0:
                yield None
        last = chosen[-1][0] if len(chosen) == room else None
        memory.db.execute(NOTICE_REACHED, (last, len(chosen), notice))
        memory.db.execute(NOTICE_TIDY, (notice,))
        room -= max(1, len(chosen))
        yield None


def _take_oldest(
    memory: Memory, row: Row, command: DeliveryTake, decoded: Decoded
) -> Delivery | None:
    subscription, expires = row[0], row[-1]
    rows = fetch(memory.db, DELIVERY_OLDEST, (subscription,))
    if not rows or expires <= command.now:
        memory.db.execute(SUBSCRIPTION_DUE, (None, subscription))
        return None
    memory.db.execute(SUBSCRIPTION_LEASE, (command.now + command.lease, subscription))
    number, position, attempt, notice = rows[0]
    if notice not in decoded:
        (text,) = fetch(memory.db, NOTICE_MESSAGES_OF, (notice,))[0]
        decoded[notice] = _decode(text)
    return Delivery(
        str(number),
        read_subscription(row, command.now),
        decoded[notice],
        position,
        attempt,
    )


@writes(DeliverySettle)
def settle(memory: Memory, command: DeliverySettle) -> None:
    """Change or remove the row."""
    # SQLite compares the text as a number; one that is malformed matches no row.
    rows = fetch(memory.db, DELIVERY_FIND, (command.key,))
    if not rows:
        return
    number, notice, subscription, count = rows[0]
    due = command.due
    if command.position < count:
        progress = (command.position, command.attempt, number)
        memory.db.execute(DELIVERY_UPDATE, progress)
    else:
        _finish(memory, number, notice)
        more = fetch(memory.db, DELIVERY_ANY, (subscription,))
        due = 0.0 if more else None
    memory.db.execute(SUBSCRIPTION_DUE, (due, subscription))
    memory.noticed = memory.noticed or due is not None


def _finish(memory: Memory, number: int, notice: int) -> None:
    memory.db.execute(DELIVERY_DELETE, (number,))
    memory.db.execute(NOTICE_CLOSE, (notice,))
    memory.db.execute(NOTICE_TIDY, (notice,))


@reads(DeliveryDue)
async def next_due(engine: Engine, _command: DeliveryDue) -> float | None:
    """Read the least of an index."""
    if fetch(engine.reader, NOTICE_WAITS):
        return 0.0
    due: float | None = fetch(engine.reader, NEXT_DUE)[0][0]
    return due


def expired_subscription(db: apsw.Connection, now: float) -> Row | None:
    """Find a subscription that has expired."""
    rows = fetch(db, EXPIRED, (now,))
    return rows[0] if rows else None


def sweep(memory: Memory, now: float, limit: int) -> int:
    """Remove an expired subscription, or some of its deliveries; return how many."""
    row = expired_subscription(memory.db, now)
    if row is None:
        return 0
    subscription, space, queue, expires = row
    rows = fetch(memory.db, DELIVERY_OF, (subscription, limit))
    for number, notice in rows:
        _finish(memory, number, notice)
    if len(rows) == limit:
        return limit
    memory.db.execute(SUBSCRIPTION_DELETE, (subscription,))
    memory.listeners.pop((space, queue), None)
    if expires > 0:  # one that was deleted is not counted any more
        memory.use(space, subscriptions=-1)
    return len(rows) + 1
