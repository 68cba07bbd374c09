"""Notices, and the deliveries made of them.

The notices of a queue are a log: a post adds one, whatever the number of
subscriptions. Each subscription has a cursor, the last notice that it has finished, and
how far it got in the next one. While its ``due`` is empty it is idle: a take looks for
idle ones behind the newest notice, in the queues that had a post, so a post writes
nothing for them. The ``due`` of the others is the time of a retry, or the end of a
lease: then the subscription is due again, if its taker died.

A notice is deleted when all subscriptions have finished it, or when its messages have
expired. But the newest one of a queue stays until they have finished it, without its
messages if these have expired: its number must not be given again, since a delivery of
it may still be settled.

The key of a delivery names its subscription, its first notice, and how many messages
that and the following ones have. So a settle can record its progress, and be repeated,
whatever was settled since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw
import msgspec

from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.outbox import locate
from zaqarserver.storage.posts import MessagePostOnce
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.subscriptions import (
    COLUMNS,
    listeners,
    newest_notice,
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

#: How many notices a settle deletes at most.
TRIM = 1000

NOTICE_INSERT = """
    INSERT INTO notice (project, source, number, count, expires, messages)
    VALUES (?, ?, ?, ?, ?, ?)
"""
NOTICES = """
    SELECT number, count, messages FROM notice
     WHERE project = ? AND source = ? AND number > ? ORDER BY number
"""
#: When a notice may be deleted though it is not finished; empty for the newest if it
#: has lost its messages.
_ENDS = """
    iif(count OR number < (SELECT max(number) FROM notice other
                            WHERE other.project = notice.project
                              AND other.source = notice.source), expires, NULL)
"""
NOTICE_EMPTY = """
    UPDATE notice SET count = 0, messages = x'90'
     WHERE project = ? AND source = ? AND number = ?
"""
NOTICE_ENDS = f"""
    SELECT number, {_ENDS} FROM notice
     WHERE project = ? AND source = ? ORDER BY number LIMIT ?
"""  # noqa: S608 - constants only
NOTICES_DELETE = """
    DELETE FROM notice WHERE project = ? AND source = ? AND number <= ?
"""
NOTICE_AFTER = f"""
    SELECT project, source, number, {_ENDS} FROM notice
     WHERE (project, source) > (?, ?) ORDER BY project, source, number LIMIT 1
"""  # noqa: S608 - constants only
LEAST_CURSOR = """
    SELECT min(least)
      FROM (SELECT min(cursor) AS least FROM subscription
             WHERE project = ?1 AND source = ?2 AND due IS NULL AND volatile = 0
             UNION ALL
            SELECT min(cursor) FROM subscription
             WHERE project = ?1 AND source = ?2 AND due IS NOT NULL AND volatile = 0)
"""
_TAKEN = f"{COLUMNS}, expires, cursor, position, attempt"
SUBSCRIPTIONS_DUE = f"""
    SELECT {_TAKEN} FROM subscription WHERE due <= ? ORDER BY due, seq LIMIT ?
"""  # noqa: S608 - constants only
SUBSCRIPTIONS_IDLE = f"""
    SELECT {_TAKEN} FROM subscription
     WHERE project = ? AND source = ? AND cursor < ? AND due IS NULL AND volatile = 0
     ORDER BY cursor, seq LIMIT ?
"""  # noqa: S608 - constants only
IDLE_ANY = """
    SELECT 1 FROM subscription
     WHERE project = ? AND source = ? AND due IS NULL AND volatile = 0 LIMIT 1
"""
SUBSCRIPTION_LEASE = """
    UPDATE subscription SET cursor = ?, position = ?, attempt = ?, due = ?, leased = 1
     WHERE seq = ?
"""
SUBSCRIPTION_CATCH_UP = """
    UPDATE subscription SET cursor = ?, position = 0, attempt = 0, due = NULL,
                            leased = 0
     WHERE seq = ?
"""
# Subscriptions of a sealed queue are not due: their time is parked. The end of a
# delivery is recorded once only, since the next one may have been taken since.
SUBSCRIPTION_PROGRESS = """
    UPDATE subscription
       SET cursor = :cursor, position = :position, attempt = :attempt, leased = 0,
           due = iif(parked IS NULL, :due, NULL),
           parked = iif(parked IS NULL, NULL, :due)
     WHERE seq = :seq
       AND (cursor < :cursor
            OR cursor = :cursor AND (position < :position
                                     OR position = :position AND :due IS NOT NULL))
    RETURNING project, source
"""
NEXT_DUE = "SELECT min(due) FROM subscription WHERE due IS NOT NULL"
SUBSCRIPTION_EXPIRED = "SELECT 1 FROM subscription WHERE expires <= ? LIMIT 1"
SUBSCRIPTIONS_SWEEP = """
    DELETE FROM subscription
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE expires <= ? ORDER BY expires LIMIT ?)
    RETURNING project, source
"""

#: Comes before all queues.
_FIRST = QueueKey("", "")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[NoticeMessage]).decode


def store_notices(
    memory: Memory, command: MessagePost | MessagePostOnce, ids: Sequence[str]
) -> None:
    """Store the notices of a post, if its queue has subscriptions."""
    key = QueueKey(command.space, command.queue)
    known = listeners(memory, key)
    now = command.now
    volatile = [id_ for id_, end in known.volatile if end > now]
    if known.until <= now and not volatile:
        return
    messages = [
        NoticeMessage(id_, new.body, new.ttl, new.delay, now + new.ttl)
        for id_, new in zip(ids, command.messages, strict=True)
    ]
    if known.until > now:
        for start in range(0, len(messages), NOTICE_MESSAGES):
            some = messages[start : start + NOTICE_MESSAGES]
            known.newest += 1
            expires = max(message.expires for message in some)
            row = (*key, known.newest, len(some), expires, _encode(some))
            memory.db.execute(NOTICE_INSERT, row)
        if not known.all_busy:
            memory.unseen[key] = None
            memory.has_due = True
    if volatile:
        memory.posts.append(Post(*key, messages, volatile))


# -- taking -----------------------------------------------------------------


class _Notices(NamedTuple):
    """The notices of a delivery.

    Attributes:
        first: The number of the first.
        counts: How many messages each has.
        messages: Those of all.
    """

    first: int
    counts: list[int]
    messages: list[NoticeMessage]


class _Taking:
    """The deliveries of one take; those of the same notices share them."""

    def __init__(self, memory: Memory, command: DeliveryTake) -> None:
        self.found: list[Delivery] = []
        self._memory = memory
        self._command = command
        self._read: dict[tuple[QueueKey, int], _Notices | None] = {}

    @property
    def room(self) -> int:
        """How many more are wanted."""
        return self._command.limit - len(self.found)

    def add(self, row: Row) -> None:
        """Take the next delivery of a subscription, or let it catch up."""
        command = self._command
        seq, key, confirmed = row[0], QueueKey(*row[2:4]), row[8]
        expires, cursor, position, attempt = row[-4:]
        found = None
        if expires > command.now and (confirmed or not command.confirmed_only):
            found = self._notices(key, cursor)
        if found is None:
            known = listeners(self._memory, key)
            newest, known.all_busy = known.newest, False
            self._memory.db.execute(SUBSCRIPTION_CATCH_UP, (newest, seq))
            return
        if found.first > cursor + 1:  # what it was at has expired
            position = attempt = 0
        lease = (found.first - 1, position, attempt, command.now + command.lease, seq)
        self._memory.db.execute(SUBSCRIPTION_LEASE, lease)
        self.found.append(
            Delivery(
                f"{seq} {found.first} {','.join(map(str, found.counts))}",
                read_subscription(row, command.now),
                found.messages,
                position,
                attempt,
            )
        )

    def _notices(self, key: QueueKey, cursor: int) -> _Notices | None:
        """Return the notices after a cursor, as many as make one delivery."""
        at = (key, cursor)
        if at not in self._read:
            self._read[at] = _read_notices(self._memory.db, key, cursor)
        return self._read[at]


def _read_notices(db: apsw.Connection, key: QueueKey, cursor: int) -> _Notices | None:
    found: _Notices | None = None
    size = 0
    for number, count, text in db.execute(NOTICES, (*key, cursor)):
        size += len(text)
        if not count:
            continue  # its messages have expired
        if found is None:
            found = _Notices(number, [count], _decode(text))
        elif size > DELIVERY_BYTES or len(found.messages) + count > DELIVERY_MESSAGES:
            break
        else:
            found.counts.append(count)
            found.messages.extend(_decode(text))
    return found


@writes(DeliveryTake)
def take(memory: Memory, command: DeliveryTake) -> Steps[list[Delivery]]:
    """Take what is due, and what is new in each queue in turn."""
    taking = _Taking(memory, command)
    unseen = memory.unseen
    # Half of the room is for new notices: retries, however many, do not delay them.
    due = (command.now, -(-command.limit // 2) if unseen else command.limit)
    for row in fetch(memory.db, SUBSCRIPTIONS_DUE, due):
        taking.add(row)
        yield None
    for left, key in zip(range(len(unseen), 0, -1), list(unseen), strict=True):
        share = -(-taking.room // left)
        if not share:
            break
        del unseen[key]
        if memory.is_frozen(key):
            continue
        newest = newest_notice(memory, key)
        rows = fetch(memory.db, SUBSCRIPTIONS_IDLE, (*key, newest, share))
        if len(rows) == share:
            unseen[key] = None  # after the other queues
        for row in rows:
            taking.add(row)
            yield None
        known = listeners(memory, key)
        known.all_busy = not fetch(memory.db, IDLE_ANY, key)
    return taking.found


# -- settling ---------------------------------------------------------------


@writes(DeliverySettle)
def settle(memory: Memory, command: DeliverySettle) -> None:
    """Move the cursor, and delete the notices that nothing needs any more."""
    seq, first, text = command.key.split(" ")
    counts = [int(count) for count in text.split(",")]
    whole, position = locate(counts, command.position)
    cursor = int(first) + whole - 1
    is_over = whole == len(counts)
    progress = {
        "seq": int(seq),
        "cursor": cursor,
        "position": position,
        "attempt": 0 if is_over else command.attempt,
        "due": None if is_over else command.due,
    }
    rows: list[Row] = memory.db.execute(SUBSCRIPTION_PROGRESS, progress).fetchall()
    if not rows:
        return  # a later position is recorded already, or the subscription is gone
    key = QueueKey(*rows[0])
    if whole and not memory.is_frozen(key):
        trim(memory, key, 0.0, TRIM)
    if not is_over:
        memory.has_due = True
        return
    known = listeners(memory, key)
    known.all_busy = False
    if known.newest > cursor:
        memory.unseen[key] = None
        memory.has_due = True


@reads(DeliveryDue)
async def next_due(engine: Engine, _command: DeliveryDue) -> float | None:
    """Read the least of an index."""
    if engine.memory.has_unseen:
        return 0.0
    due: float | None = fetch(engine.reader, NEXT_DUE)[0][0]
    return due


# -- the end of subscriptions and notices -------------------------------------


def trim(memory: Memory, key: QueueKey, now: float, limit: int) -> int:
    """Delete some old notices that are finished or expired; return how many."""
    least = _least_cursor(memory.db, key)
    last = removed = 0
    for number, expires in memory.db.execute(NOTICE_ENDS, (*key, limit)):
        if not _is_over(number, expires, least, now):
            break
        last, removed = number, removed + 1
    if removed:
        if least is not None and least < last == newest_notice(memory, key):
            memory.db.execute(NOTICE_EMPTY, (*key, last))
            last -= 1
        memory.db.execute(NOTICES_DELETE, (*key, last))
    return removed


def _is_over(number: int, expires: float | None, least: int | None, now: float) -> bool:
    is_finished = least is None or number <= least
    return is_finished or (expires is not None and expires <= now)


def _least_cursor(db: apsw.Connection, key: QueueKey) -> int | None:
    """Return what all subscriptions of a queue have finished; ``None`` without any."""
    least: int | None = fetch(db, LEAST_CURSOR, key)[0][0]
    return least


def over(engine: Engine, now: float, visits: int) -> list[QueueKey]:
    """Return queues with a notice to delete, among the next few with notices."""
    memory, db = engine.memory, engine.reader
    begun = memory.swept
    found: dict[QueueKey, None] = {}
    for _ in range(visits):
        rows = fetch(db, NOTICE_AFTER, memory.swept)
        if rows:
            space, queue, number, expires = rows[0]
            key = memory.swept = QueueKey(space, queue)
            least = _least_cursor(db, key)
            if not memory.is_frozen(key) and _is_over(number, expires, least, now):
                found[key] = None
        elif memory.swept == _FIRST:
            break
        else:
            memory.swept = _FIRST
    if found:
        memory.swept = begun  # until nothing is left there
    return list(found)


def expired_subscription(db: apsw.Connection, now: float) -> bool:
    """Return True if a subscription has expired."""
    return bool(fetch(db, SUBSCRIPTION_EXPIRED, (now,)))


def sweep_subscriptions(memory: Memory, now: float, limit: int) -> int:
    """Remove some expired subscriptions; return how many."""
    rows = fetch(memory.db, SUBSCRIPTIONS_SWEEP, (now, limit))
    for space, queue in rows:
        memory.use(space, subscriptions=-1)
        memory.listeners.pop(QueueKey(space, queue), None)
    return len(rows)
