"""Notices, and the deliveries that are made of them.

A post leaves one notice, whatever the number of subscriptions. Taking
deliveries first spreads notices over the subscriptions, a bounded number at a
time, then gives out the oldest delivery of each subscription that is due. The
``due`` of a subscription is also its lease: it is set forward when a delivery is
given out, so that it comes up again by itself if its taker dies.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

import apsw
import msgspec

from zaqarserver.storage.base import NewMessage
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import Row, fetch
from zaqarserver.storage.sqlite.subscriptions import COLUMNS, read_subscription
from zaqarserver.storage.subscriptions import (
    NOTICE_MESSAGES,
    Delivery,
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
NOTICE_AUDIENCE = """
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
#: One process has the store: what was out when it opens is nobody's any more.
LEASES_END = """
    UPDATE subscription SET due = iif(parked IS NULL, 0, NULL),
                            parked = iif(parked IS NULL, NULL, 0), leased = 0
     WHERE leased = 1
"""
NEXT_DUE = "SELECT min(due) FROM subscription WHERE due IS NOT NULL"
DEAD = (
    "SELECT seq, project, source, expires FROM subscription WHERE expires <= ? LIMIT 1"
)
SUBSCRIPTION_DELETE = "DELETE FROM subscription WHERE seq = ?"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Noticed]).decode


def note(
    ledger: Ledger,
    project: str,
    source: str,
    messages: Sequence[NewMessage],
    ids: Sequence[str],
    now: float,
) -> None:
    """Leave notices of a post, if anybody listens."""
    audience = ledger.audience(project, source)
    listening = [name for name, end in audience.volatile if end > now]
    if audience.until <= now and not listening:
        return
    noticed = [
        Noticed(id_, new.body, new.ttl, new.delay, now + new.ttl)
        for id_, new in zip(ids, messages, strict=True)
    ]
    if audience.until > now:
        newest = ledger.sequence.last
        for start in range(0, len(noticed), NOTICE_MESSAGES):
            some = noticed[start : start + NOTICE_MESSAGES]
            row = (project, source, _encode(some), len(some), newest)
            ledger.db.execute(NOTICE_INSERT, row)
        ledger.noticed = True
    if listening:
        ledger.posted.append(Posted(project, source, noticed, listening))


class Taking(NamedTuple):
    """How deliveries are taken; see the contract."""

    now: float
    limit: int
    lease: float
    confirmed_only: bool


#: The messages of the notices that one call has decoded.
Decoded = dict[int, list[Noticed]]


def take(ledger: Ledger, taking: Taking) -> Generator[None, None, list[Delivery]]:
    """Give out deliveries that are due."""
    yield from _spread(ledger, taking)
    found: list[Delivery] = []
    decoded: Decoded = {}
    for row in fetch(ledger.db, DELIVERY_DUE, (taking.now, taking.limit)):
        delivery = _oldest(ledger, row, taking, decoded)
        if delivery is not None:
            found.append(delivery)
        yield
    return found


def _spread(ledger: Ledger, taking: Taking) -> Generator[None, None, None]:
    room = SPREAD
    while room > 0:
        rows = fetch(ledger.db, NOTICE_NEXT)
        if not rows:
            return
        notice, project, source, newest, reached = rows[0]
        bounds = (project, source, reached, newest, taking.now)
        chosen = fetch(
            ledger.db, NOTICE_AUDIENCE, (*bounds, int(taking.confirmed_only), room)
        )
        for number, (subscription,) in enumerate(chosen):
            ledger.db.execute(DELIVERY_INSERT, (notice, subscription))
            ledger.db.execute(DELIVERY_WAKE, (taking.now, subscription))
            if number % STEP == STEP - 1:
                yield
        last = chosen[-1][0] if len(chosen) == room else None
        ledger.db.execute(NOTICE_REACHED, (last, len(chosen), notice))
        ledger.db.execute(NOTICE_TIDY, (notice,))
        room -= max(1, len(chosen))
        yield


def _oldest(
    ledger: Ledger, row: Row, taking: Taking, decoded: Decoded
) -> Delivery | None:
    subscription, expires = row[0], row[-1]
    rows = fetch(ledger.db, DELIVERY_OLDEST, (subscription,))
    if not rows or expires <= taking.now:
        ledger.db.execute(SUBSCRIPTION_DUE, (None, subscription))
        return None
    ledger.db.execute(SUBSCRIPTION_LEASE, (taking.now + taking.lease, subscription))
    number, position, attempt, notice = rows[0]
    if notice not in decoded:
        (text,) = fetch(ledger.db, NOTICE_MESSAGES_OF, (notice,))[0]
        decoded[notice] = _decode(text)
    return Delivery(
        str(number),
        read_subscription(row, taking.now),
        decoded[notice],
        position,
        attempt,
    )


def settle(
    ledger: Ledger, key: str, position: int, attempt: int, due: float | None
) -> None:
    """Note how far a delivery got."""
    # SQLite compares the text as a number; one that is malformed matches no row.
    rows = fetch(ledger.db, DELIVERY_FIND, (key,))
    if not rows:
        return
    number, notice, subscription, count = rows[0]
    if position < count:
        ledger.db.execute(DELIVERY_UPDATE, (position, attempt, number))
        ledger.db.execute(SUBSCRIPTION_DUE, (due, subscription))
        ledger.noticed = True
        return
    _finish(ledger, number, notice)
    more = bool(fetch(ledger.db, DELIVERY_ANY, (subscription,)))
    ledger.db.execute(SUBSCRIPTION_DUE, (0.0 if more else None, subscription))
    ledger.noticed = ledger.noticed or more


def _finish(ledger: Ledger, number: int, notice: int) -> None:
    ledger.db.execute(DELIVERY_DELETE, (number,))
    ledger.db.execute(NOTICE_CLOSE, (notice,))
    ledger.db.execute(NOTICE_TIDY, (notice,))


def next_due(db: apsw.Connection) -> float | None:
    """Return when there is something to take."""
    if fetch(db, NOTICE_WAITS):
        return 0.0
    due: float | None = fetch(db, NEXT_DUE)[0][0]
    return due


def dead(db: apsw.Connection, now: float) -> Row | None:
    """Find a subscription that has ended."""
    rows = fetch(db, DEAD, (now,))
    return rows[0] if rows else None


def sweep(ledger: Ledger, now: float, room: int) -> int:
    """Remove some of what ended subscriptions leave; return how many rows."""
    row = dead(ledger.db, now)
    if row is None:
        return 0
    subscription, project, source, expires = row
    rows = fetch(ledger.db, DELIVERY_OF, (subscription, room))
    for number, notice in rows:
        _finish(ledger, number, notice)
    if len(rows) < room:
        ledger.db.execute(SUBSCRIPTION_DELETE, (subscription,))
        ledger.forget_audience(project, source)
        if expires > 0:  # what was deleted was taken off then
            ledger.tally.add(project, subscriptions=-1)
        return len(rows) + 1
    return len(rows)
