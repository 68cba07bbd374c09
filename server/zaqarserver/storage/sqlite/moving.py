"""Queues that leave for another store, or come from one: the steps.

What arrives is put where it will be, so that it can be counted before the queue is
anybody's: messages and claims in a backlog of their own, subscriptions and notices
under a name of their own, parked and not to be spread, as those of a queue that
leaves. Opening the queue gives them its name. Only its metadata waits as a record.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import msgspec

from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    NoticeRecord,
    QueueRecord,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ids import decode_secret, decode_seq
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.seals import Sealed
from zaqarserver.storage.sqlite.statements import ById, fetch
from zaqarserver.storage.sqlite.subscriptions import bury_all

#: The project of what arrives: none that a caller can have.
ARRIVING = "\0arriving"

#: What the record of the queue itself is called among those that arrived.
QUEUE_RECORD = "queue"

#: How many rows one step changes at most.
STEP = 500

PARK = """
    UPDATE subscription SET parked = due, due = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ? AND source = ? AND due IS NOT NULL
                    ORDER BY seq LIMIT ?)
    RETURNING seq
"""
UNPARK = """
    UPDATE subscription SET due = parked, parked = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ? AND source = ? AND parked IS NOT NULL
                    ORDER BY seq LIMIT ?)
    RETURNING seq
"""
HOLD_NOTICES = """
    UPDATE notice SET reached = -1 - reached
     WHERE reached >= 0 AND project = ? AND source = ?
"""
FREE_NOTICES = """
    UPDATE notice SET reached = -1 - reached
     WHERE reached < 0 AND project = ? AND source = ?
"""
SUBSCRIPTIONS_NAME = """
    UPDATE subscription SET project = ?1, source = ?2, due = parked, parked = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ?3 AND source = ?4 AND expires > 0
                    ORDER BY seq LIMIT ?5)
    RETURNING seq
"""
NOTICES_NAME = """
    UPDATE notice SET project = ?1, source = ?2, reached = -1 - reached
     WHERE reached < 0 AND project = ?3 AND source = ?4
"""
# Deliveries that were made of them end with their subscriptions.
DROP_NOTICES = (
    "DELETE FROM notice WHERE reached < 0 AND project = ? AND source = ? AND open = 0"
)
END_NOTICES = """
    UPDATE notice SET reached = NULL WHERE reached < 0 AND project = ? AND source = ?
"""
LIVE_SUBSCRIPTION = """
    SELECT 1 FROM subscription
     WHERE project = ? AND source = ? AND expires > ? LIMIT 1
"""
# In the order of the table itself: a page need not sort all that has arrived.
ARRIVED = """
    SELECT number, record FROM arrival NOT INDEXED
     WHERE seal = ? AND number > ? ORDER BY number LIMIT ?
"""
ARRIVAL_INSERT = """
    INSERT OR IGNORE INTO arrival (seal, id, record) VALUES (?, ?, ?) RETURNING number
"""
ARRIVED_DROP = """
    DELETE FROM arrival
     WHERE number IN (SELECT number FROM arrival WHERE seal = ? LIMIT ?)
    RETURNING number
"""
SUBSCRIPTION_INSERT = """
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile, parked, alias)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
SUBSCRIPTION_UPTO = """
    SELECT max(seq) FROM subscription
     WHERE project = ? AND source = ? AND expires > 0 AND coalesce(alias, seq) <= ?
"""
SUBSCRIPTION_OF = ById("""
    SELECT seq, secret FROM subscription
     WHERE {number} = ? AND project = ? AND source = ? AND expires > 0
""")
ROW_TAKEN = {
    table: f"SELECT 1 FROM {table} WHERE seq = ?"  # noqa: S608 - constants only
    for table in ("message", "claim", "subscription")
}
NOTICE_INSERT = """
    INSERT INTO notice (project, source, messages, count, newest, reached, open)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    RETURNING id
"""
DELIVERY_INSERT = """
    INSERT INTO delivery (notice, subscription, position, attempt) VALUES (?, ?, ?, ?)
"""

Steps = Generator[None, None, bool]

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(QueueRecord | SubscriptionRecord | NoticeRecord).decode


class Place(NamedTuple):
    """Which queue."""

    project: str
    queue: str


# -- leaving ----------------------------------------------------------------------


def seal(ledger: Ledger, place: Place, epoch: int) -> Steps:
    """Freeze a queue."""
    if ledger.seals.is_late(*place, epoch):
        return False
    sealed = ledger.seals.get(*place)
    if sealed is not None and (
        sealed.epoch > epoch
        or sealed.kind is SealKind.ARRIVING
        or (sealed.kind is SealKind.GONE and sealed.epoch == epoch)
    ):
        return False
    ledger.seals.put(*place, epoch, SealKind.LEAVING)
    if sealed is None or sealed.kind is SealKind.GONE:
        while fetch(ledger.db, PARK, (*place, STEP)):
            yield
        ledger.db.execute(HOLD_NOTICES, place)
    return True


def retire(ledger: Ledger, place: Place, epoch: int, now: float) -> bool:
    """Note that a queue that has nothing is gone."""
    sealed = ledger.seals.get(*place)
    if sealed is not None and (
        sealed.epoch > epoch or sealed.kind is not SealKind.GONE
    ):
        return False
    if ledger.sealed_entry(*place) is not None:
        return False
    if fetch(ledger.db, LIVE_SUBSCRIPTION, (*place, now)):
        return False
    ledger.seals.put(*place, epoch, SealKind.GONE, until=now + REMEMBERED_SECONDS)
    return True


def leave(ledger: Ledger, place: Place, epoch: int, now: float) -> Steps:
    """Drop a queue that is sealed, or has not arrived."""
    sealed = ledger.seals.get(*place)
    if sealed is None or sealed.kind is SealKind.GONE or sealed.epoch != epoch:
        return False
    yield from _drop(ledger, place, sealed)
    ledger.seals.put(*place, epoch, SealKind.GONE, until=now + REMEMBERED_SECONDS)
    return True


def _drop(ledger: Ledger, place: Place, sealed: Sealed) -> Generator[None, None, None]:
    """Leave to the sweeper what the store has of a sealed queue."""
    if sealed.kind is SealKind.GONE:
        return
    if sealed.kind is SealKind.ARRIVING:
        place = arriving(sealed)
        if sealed.backlog is not None:
            ledger.bury(ARRIVING, sealed.backlog)
        while fetch(ledger.db, ARRIVED_DROP, (sealed.id, STEP)):
            yield
    elif (entry := ledger.sealed_entry(*place)) is not None:
        ledger.remove(*place, entry)
    yield from bury_all(ledger, *place)
    ledger.db.execute(DROP_NOTICES, place)
    ledger.db.execute(END_NOTICES, place)


# -- arriving ---------------------------------------------------------------------


def arriving(sealed: Sealed) -> Place:
    """Return the name for what arrives with a queue until that is opened."""
    return Place(ARRIVING, str(sealed.id))


@grows
def receive(ledger: Ledger, place: Place, epoch: int) -> Steps:
    """Get ready for a queue."""
    if ledger.seals.is_late(*place, epoch):
        return False
    sealed = ledger.seals.get(*place)
    if sealed is None:
        if ledger.sealed_entry(*place) is not None:
            return False
    elif sealed.kind is SealKind.ARRIVING and sealed.epoch == epoch:
        return True
    elif sealed.epoch >= epoch:
        return False
    else:
        yield from _drop(ledger, place, sealed)
    backlog = ledger.new_backlog(ARRIVING)
    ledger.seals.put(*place, epoch, SealKind.ARRIVING, backlog=backlog)
    return True


def open_queue(ledger: Ledger, place: Place, epoch: int, since: int) -> Steps:
    """Put a queue into service."""
    sealed = ledger.seals.get(*place)
    if sealed is None:
        return True
    if sealed.epoch > epoch:
        return False
    if sealed.kind is SealKind.LEAVING and sealed.epoch > since:
        yield from _resume(ledger, place)
    elif sealed.kind is SealKind.ARRIVING and sealed.epoch == since:
        yield from _settle_in(ledger, place, sealed)
    elif sealed.epoch >= since:
        return False
    else:
        yield from _drop(ledger, place, sealed)
    ledger.seals.remove(*place)
    ledger.forget_audience(*place)
    ledger.noticed = True
    return True


def _resume(ledger: Ledger, place: Place) -> Generator[None, None, None]:
    """Let a sealed queue go on as it was."""
    while fetch(ledger.db, UNPARK, (*place, STEP)):
        yield
    ledger.db.execute(FREE_NOTICES, place)


def _settle_in(
    ledger: Ledger, place: Place, sealed: Sealed
) -> Generator[None, None, None]:
    """Give what has arrived its name."""
    yield from bury_all(ledger, *place)  # what a queue of this name once left here
    backlog = sealed.backlog or 0
    there = False
    last = 0
    while rows := fetch(ledger.db, ARRIVED, (sealed.id, last, STEP)):
        for number, text in rows:
            last = number
            record = decode(text) if text else None
            if isinstance(record, QueueRecord):
                ledger.hand_over(backlog, ARRIVING, place.project)
                ledger.create(*place, record.metadata, backlog)
                there = True
            # An earlier version of this server kept all records until now.
            elif isinstance(record, SubscriptionRecord):
                keep_subscription(ledger, arriving(sealed), record)
            elif record is not None:
                _note(ledger, arriving(sealed), record)
        yield
    names = (*place, *arriving(sealed))
    while named := fetch(ledger.db, SUBSCRIPTIONS_NAME, (*names, STEP)):
        ledger.tally.add(ARRIVING, subscriptions=-len(named))
        ledger.tally.add(place.project, subscriptions=len(named))
        yield
    ledger.db.execute(NOTICES_NAME, names)
    if not there:
        ledger.bury(ARRIVING, backlog)
    while fetch(ledger.db, ARRIVED_DROP, (sealed.id, STEP)):
        yield


def free_row(ledger: Ledger, table: str, id_: str, last: int) -> tuple[int, int | None]:
    """Choose a row for what comes from another store.

    It is the number of its id, so that it sorts by its age among others, or the next
    one that is free and behind ``last``. New ids will sort behind it.

    Returns:
        The row, and the number of the id if that is another one.
    """
    number = decode_seq(id_) or 0
    row = max(number, last + 1)
    while fetch(ledger.db, ROW_TAKEN[table], (row,)):
        row += 1
    ledger.sequence.last = max(ledger.sequence.last, row)
    return row, None if row == number else number


def keep_queue(ledger: Ledger, sealed: Sealed, record: QueueRecord) -> None:
    """Keep the metadata of an arriving queue."""
    ledger.db.execute(ARRIVAL_INSERT, (sealed.id, QUEUE_RECORD, encode(record)))


def keep_subscription(ledger: Ledger, place: Place, record: SubscriptionRecord) -> None:
    """Keep a subscription of an arriving queue, unless it is there."""
    if SUBSCRIPTION_OF.find(ledger.db, record.id, *place):
        return
    last = _upto(ledger, place, record.id)
    row, alias = free_row(ledger, "subscription", record.id, last)
    ledger.db.execute(
        SUBSCRIPTION_INSERT,
        (
            row,
            decode_secret(record.id),
            *place,
            record.subscriber,
            record.ttl,
            record.created,
            record.expires,
            msgspec.json.encode(record.options).decode(),
            int(record.confirmed),
            int(record.volatile),
            record.due,
            alias,
        ),
    )
    ledger.tally.add(place.project, subscriptions=1)


def keep_notice(ledger: Ledger, sealed: Sealed, record: NoticeRecord) -> None:
    """Keep a notice of an arriving queue, unless it has come before."""
    name = f"notice {record.id}"
    if fetch(ledger.db, ARRIVAL_INSERT, (sealed.id, name, b"")):
        _note(ledger, arriving(sealed), record)


def _note(ledger: Ledger, place: Place, record: NoticeRecord) -> None:
    reached = None if record.after is None else _upto(ledger, place, record.after)
    row = (
        *place,
        encode(record.messages),
        len(record.messages),
        _upto(ledger, place, record.until),
        None if reached is None else -1 - reached,
    )
    found = [
        (there[0], pending)
        for pending in record.deliveries
        if (there := SUBSCRIPTION_OF.find(ledger.db, pending.subscription_id, *place))
    ]
    if reached is None and not found:
        return
    notice = fetch(ledger.db, NOTICE_INSERT, (*row, len(found)))[0][0]
    for seq, pending in found:
        ledger.db.execute(
            DELIVERY_INSERT, (notice, seq, pending.position, pending.attempt)
        )


def _upto(ledger: Ledger, place: Place, subscription_id: str) -> int:
    """Return the number here of the last subscription up to an id; 0 for none."""
    number = decode_seq(subscription_id) or 0
    found: int | None = fetch(ledger.db, SUBSCRIPTION_UPTO, (*place, number))[0][0]
    return found or 0
