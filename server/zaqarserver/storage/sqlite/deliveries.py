"""Notices, and the deliveries made of them.

A post stores one notice, whatever the number of subscriptions. Taking deliveries first
spreads notices over the subscriptions, a row each, a bounded number at a time; then it
takes the oldest rows of each subscription that is due, as one delivery of at most some
hundred messages. So a subscriber keeps up with posts of single messages although each
take and settle waits for a commit. The ``due`` of a subscription is also its lease: it
is set forward when a delivery is taken, so that the subscription is due again if its
taker dies.

The key of a delivery names its subscription and its rows with their messages, so that a
settle can record its progress, and be repeated, whatever was settled since.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import apsw
import msgspec

from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.outbox import SharedMessages, locate
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.subscriptions import (
    COLUMNS,
    listeners,
    read_subscription,
)
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.subscriptions import (
    DELIVERY_BYTES,
    DELIVERY_MESSAGES,
    NOTICE_MESSAGES,
    Delivery,
    DeliveryDue,
    DeliverySettle,
    DeliveryTake,
    NoticeMessage,
    Post,
)

#: How many deliveries one call makes at most.
SPREAD = 500
#: After how many of them the clock is read.
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
NOTICE_END = "DELETE FROM notice WHERE id = ? AND open = 1 AND reached IS NULL"
NOTICE_TIDY = "DELETE FROM notice WHERE id = ? AND open = 0 AND reached IS NULL"
NOTICE_WAITS = "SELECT 1 FROM notice WHERE reached >= 0 LIMIT 1"
DELIVERY_INSERT = "INSERT INTO delivery (notice, subscription) VALUES (?, ?)"
DELIVERY_WAKE = "UPDATE subscription SET due = ? WHERE seq = ? AND due IS NULL"
DELIVERY_DUE = f"""
    SELECT {COLUMNS}, expires FROM subscription
     WHERE due <= ? ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - constants only
DELIVERY_OLDEST = """
    SELECT d.id, n.count, d.notice, length(n.messages), d.position, d.attempt
      FROM delivery d JOIN notice n ON n.id = d.notice
     WHERE d.subscription = ? ORDER BY d.id LIMIT ?
"""
NOTICE_MESSAGES_OF = "SELECT messages FROM notice WHERE id = ?"
DELIVERY_PROGRESS = """
    UPDATE delivery SET position = ?1, attempt = ?2
     WHERE id = ?3 AND subscription = ?4 AND position <= ?1
    RETURNING id
"""
DELIVERY_END = """
    DELETE FROM delivery
     WHERE id IN (SELECT id FROM delivery
                   WHERE subscription = ? AND id <= ? ORDER BY id LIMIT ?)
    RETURNING notice
"""
DELIVERY_ANY = "SELECT 1 FROM delivery WHERE subscription = ? LIMIT 1"
# Subscriptions of a sealed queue are not due: their time is parked.
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
_decode = msgspec.msgpack.Decoder(list[NoticeMessage]).decode


#: A number above those of all rows of deliveries.
_LAST = 2**63 - 1


def store_notices(memory: Memory, command: MessagePost, ids: Sequence[str]) -> None:
    """Store the notices of a post, if its queue has subscriptions."""
    known = listeners(memory, command.space, command.queue)
    now = command.now
    volatile = [id_ for id_, end in known.volatile if end > now]
    if known.until <= now and not volatile:
        return
    messages = [
        NoticeMessage(id_, new.body, new.ttl, new.delay, now + new.ttl)
        for id_, new in zip(ids, command.messages, strict=True)
    ]
    if known.until > now:
        newest = memory.sequence.last
        for start in range(0, len(messages), NOTICE_MESSAGES):
            some = messages[start : start + NOTICE_MESSAGES]
            row = (command.space, command.queue, _encode(some), len(some), newest)
            memory.db.execute(NOTICE_INSERT, row)
        memory.has_due = True
    if volatile:
        memory.posts.append(Post(command.space, command.queue, messages, volatile))


@writes(DeliveryTake)
def take(memory: Memory, command: DeliveryTake) -> Steps[list[Delivery]]:
    """Spread notices, then take what is due."""
    yield from _spread(memory, command)
    found: list[Delivery] = []
    shared = SharedMessages(functools.partial(_messages_of, memory))
    for row in fetch(memory.db, DELIVERY_DUE, (command.now, command.limit)):
        delivery = _take_oldest(memory, row, command, shared)
        if delivery is not None:
            found.append(delivery)
        yield None
    return found


def _messages_of(memory: Memory, notice: int) -> list[NoticeMessage]:
    (text,) = fetch(memory.db, NOTICE_MESSAGES_OF, (notice,))[0]
    return _decode(text)


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
    memory: Memory, row: Row, command: DeliveryTake, shared: SharedMessages
) -> Delivery | None:
    subscription, confirmed, expires = row[0], row[8], row[-1]
    if command.confirmed_only and not confirmed:
        ended = _end(memory, subscription, _LAST, SPREAD)
        memory.db.execute(
            SUBSCRIPTION_DUE,
            (command.now if ended == SPREAD else None, subscription),
        )
        return None
    rows = _next(memory.db, subscription)
    if not rows or expires <= command.now:
        memory.db.execute(SUBSCRIPTION_DUE, (None, subscription))
        return None
    memory.db.execute(SUBSCRIPTION_LEASE, (command.now + command.lease, subscription))
    places = ",".join(f"{number}.{count}" for number, count, *_ in rows)
    return Delivery(
        f"{subscription}:{places}",
        read_subscription(row, command.now),
        shared.of(tuple(row[2] for row in rows)),
        *rows[0][4:],
    )


def _next(db: apsw.Connection, subscription: int) -> list[Row]:
    """Return the oldest rows of a subscription, as many as make one delivery."""
    found: list[Row] = []
    messages = size = 0
    for row in fetch(db, DELIVERY_OLDEST, (subscription, DELIVERY_MESSAGES)):
        messages, size = messages + row[1], size + row[3]
        if found and (messages > DELIVERY_MESSAGES or size > DELIVERY_BYTES):
            break
        found.append(row)
    return found


@writes(DeliverySettle)
def settle(memory: Memory, command: DeliverySettle) -> None:
    """Delete the finished rows, and record the position in the next one."""
    text, _, places = command.key.partition(":")
    subscription = int(text)
    rows = [[int(part) for part in place.split(".")] for place in places.split(",")]
    whole, position = locate((count for _, count in rows), command.position)
    done = rows[whole - 1][0] if whole else 0
    ended = _end(memory, subscription, done, DELIVERY_MESSAGES) if done else 0
    due = command.due
    if whole < len(rows):
        progress = (position, command.attempt, rows[whole][0], subscription)
        if not fetch(memory.db, DELIVERY_PROGRESS, progress):
            return  # a later position is recorded already, or the row is gone
    elif not ended:
        return
    else:
        more = fetch(memory.db, DELIVERY_ANY, (subscription,))
        due = 0.0 if more else None
    memory.db.execute(SUBSCRIPTION_DUE, (due, subscription))
    memory.has_due = memory.has_due or due is not None


def _end(memory: Memory, subscription: int, last: int, limit: int) -> int:
    """End deliveries of a subscription up to a row; return how many."""
    bindings = (subscription, last, limit)
    notices = fetch(memory.db, DELIVERY_END, bindings)
    for notice in notices:
        memory.db.execute(NOTICE_END, notice)
        if not memory.db.changes():
            memory.db.execute(NOTICE_CLOSE, notice)
    return len(notices)


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
    ended = _end(memory, subscription, _LAST, limit)
    if ended == limit:
        return limit
    memory.db.execute(SUBSCRIPTION_DELETE, (subscription,))
    memory.listeners.pop((space, queue), None)
    if expires > 0:  # one that was deleted is not counted any more
        memory.use(space, subscriptions=-1)
    return ended + 1
