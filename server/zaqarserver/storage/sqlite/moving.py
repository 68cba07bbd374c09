"""The steps of queues that leave for another store, or come from one.

Arriving records are stored in their final tables, so that they can be counted before
the queue is opened: messages and claims in a separate backlog, subscriptions and
notices under a separate name, parked and not spread, like those of a queue that leaves.
Opening the queue gives them its name. Only its metadata is kept as a record until then.
"""

from __future__ import annotations

import msgspec

from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    NoticeRecord,
    QueueLeave,
    QueueOpen,
    QueueReceive,
    QueueRecord,
    QueueRetire,
    QueueSeal,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.sqlite.backlogs import (
    create_backlog,
    create_queue,
    delete_backlog,
    delete_queue,
    hand_over,
)
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import decode_secret, decode_seq
from zaqarserver.storage.sqlite.memory import Memory, QueueKey, Sealed
from zaqarserver.storage.sqlite.seals import is_late, put_seal, remove_seal
from zaqarserver.storage.sqlite.subscriptions import SUBSCRIPTION_ROWS, expire_all
from zaqarserver.storage.sqlite.writer import Steps

#: The project of arriving records; callers cannot have it.
ARRIVING = "\0arriving"

#: The name of the record of the queue itself among those that arrived.
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
# Their deliveries end with their subscriptions.
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

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(QueueRecord | SubscriptionRecord | NoticeRecord).decode


# -- leaving ----------------------------------------------------------------------


@writes(QueueSeal)
def seal(memory: Memory, command: QueueSeal) -> Steps[bool]:
    """Freeze a queue."""
    key, epoch = QueueKey(command.space, command.queue), command.epoch
    if is_late(memory, key, epoch):
        return False
    sealed = memory.seals.get(key)
    if sealed is not None and (
        sealed.epoch > epoch
        or sealed.kind is SealKind.ARRIVING
        or (sealed.kind is SealKind.GONE and sealed.epoch == epoch)
    ):
        return False
    put_seal(memory, key, epoch, SealKind.LEAVING)
    if sealed is None or sealed.kind is SealKind.GONE:
        while fetch(memory.db, PARK, (*key, STEP)):
            yield None
        memory.db.execute(HOLD_NOTICES, key)
    return True


@writes(QueueRetire)
def retire(memory: Memory, command: QueueRetire) -> bool:
    """Record as gone a queue that neither exists nor has live subscriptions."""
    key, epoch = QueueKey(command.space, command.queue), command.epoch
    sealed = memory.seals.get(key)
    if sealed is not None and (
        sealed.epoch > epoch or sealed.kind is not SealKind.GONE
    ):
        return False
    if memory.sealed_queue(*key) is not None:
        return False
    if fetch(memory.db, LIVE_SUBSCRIPTION, (*key, command.now)):
        return False
    put_seal(memory, key, epoch, SealKind.GONE, until=command.now + REMEMBERED_SECONDS)
    return True


@writes(QueueLeave)
def leave(memory: Memory, command: QueueLeave) -> Steps[bool]:
    """Drop a queue that is sealed, or still arriving."""
    key, epoch = QueueKey(command.space, command.queue), command.epoch
    sealed = memory.seals.get(key)
    if sealed is None or sealed.kind is SealKind.GONE or sealed.epoch != epoch:
        return False
    yield from _drop(memory, key, sealed)
    put_seal(memory, key, epoch, SealKind.GONE, until=command.now + REMEMBERED_SECONDS)
    return True


def _drop(memory: Memory, key: QueueKey, sealed: Sealed) -> Steps[None]:
    """Leave the data of a sealed queue to the sweeper."""
    if sealed.kind is SealKind.GONE:
        return
    if sealed.kind is SealKind.ARRIVING:
        key = arriving(sealed)
        if sealed.backlog is not None:
            delete_backlog(memory, ARRIVING, sealed.backlog)
        while fetch(memory.db, ARRIVED_DROP, (sealed.id, STEP)):
            yield None
    elif (row := memory.sealed_queue(*key)) is not None:
        delete_queue(memory, *key, row)
    yield from expire_all(memory, *key)
    memory.db.execute(DROP_NOTICES, key)
    memory.db.execute(END_NOTICES, key)


# -- arriving ---------------------------------------------------------------------


def arriving(sealed: Sealed) -> QueueKey:
    """Return the name of a queue's arriving records until the queue is opened."""
    return QueueKey(ARRIVING, str(sealed.id))


@writes(QueueReceive, grows=True)
def receive(memory: Memory, command: QueueReceive) -> Steps[bool]:
    """Seal the queue as arriving, and drop what the store has of it."""
    key, epoch = QueueKey(command.space, command.queue), command.epoch
    if is_late(memory, key, epoch):
        return False
    sealed = memory.seals.get(key)
    if sealed is None:
        if memory.sealed_queue(*key) is not None:
            return False
    elif sealed.kind is SealKind.ARRIVING and sealed.epoch == epoch:
        return True
    elif sealed.epoch >= epoch:
        return False
    else:
        yield from _drop(memory, key, sealed)
    backlog = create_backlog(memory, ARRIVING)
    put_seal(memory, key, epoch, SealKind.ARRIVING, backlog=backlog)
    return True


@reads(QueueOpen)
async def open_queue(engine: Engine, command: QueueOpen) -> bool:
    """Return without a transaction if the queue is not sealed."""
    if (command.space, command.queue) not in engine.memory.seals.committed:
        return True
    return await engine.writer.submit(_open_queue, command)


def _open_queue(memory: Memory, command: QueueOpen) -> Steps[bool]:
    """Remove the seal, and put the arrived records into service."""
    key, epoch = QueueKey(command.space, command.queue), command.epoch
    sealed = memory.seals.get(key)
    if sealed is None:
        return True
    if sealed.epoch > epoch:
        return False
    if sealed.kind is SealKind.LEAVING and sealed.epoch > command.since:
        yield from _resume(memory, key)
    elif sealed.kind is SealKind.ARRIVING and sealed.epoch == command.since:
        yield from _assign_name(memory, key, sealed)
    elif sealed.epoch >= command.since:
        return False
    else:
        yield from _drop(memory, key, sealed)
    remove_seal(memory, key, sealed)
    memory.listeners.pop(key, None)
    memory.has_due = True
    return True


def _resume(memory: Memory, key: QueueKey) -> Steps[None]:
    """Put a sealed queue back into service as it was."""
    while fetch(memory.db, UNPARK, (*key, STEP)):
        yield None
    memory.db.execute(FREE_NOTICES, key)


def _assign_name(memory: Memory, key: QueueKey, sealed: Sealed) -> Steps[None]:
    """Give the arrived records the name of the queue."""
    yield from expire_all(memory, *key)  # what an earlier queue of this name left here
    backlog = sealed.backlog or 0
    there = False
    last = 0
    while rows := fetch(memory.db, ARRIVED, (sealed.id, last, STEP)):
        for number, text in rows:
            last = number
            record = decode(text) if text else None
            if isinstance(record, QueueRecord):
                hand_over(memory, backlog, ARRIVING, key.space)
                create_queue(memory, *key, record.metadata, backlog)
                there = True
            # An earlier version of this server kept all records until now.
            elif isinstance(record, SubscriptionRecord):
                keep_subscription(memory, arriving(sealed), record)
            elif record is not None:
                _note(memory, arriving(sealed), record)
        yield None
    names = (*key, *arriving(sealed))
    while named := fetch(memory.db, SUBSCRIPTIONS_NAME, (*names, STEP)):
        memory.use(ARRIVING, subscriptions=-len(named))
        memory.use(key.space, subscriptions=len(named))
        yield None
    memory.db.execute(NOTICES_NAME, names)
    if not there:
        delete_backlog(memory, ARRIVING, backlog)
    while fetch(memory.db, ARRIVED_DROP, (sealed.id, STEP)):
        yield None


def free_row(memory: Memory, table: str, id_: str, last: int) -> tuple[int, int | None]:
    """Choose the row number of a record from another store.

    It is the number of its id, so that it sorts by its age among others, or the next
    one that is free and above ``last``. New ids will sort after it.

    Returns:
        The row, and the number of the id if it differs.
    """
    number = decode_seq(id_) or 0
    row = max(number, last + 1)
    while fetch(memory.db, ROW_TAKEN[table], (row,)):
        row += 1
    memory.sequence.last = max(memory.sequence.last, row)
    return row, None if row == number else number


def keep_queue(memory: Memory, sealed: Sealed, record: QueueRecord) -> None:
    """Store the metadata of an arriving queue."""
    memory.db.execute(ARRIVAL_INSERT, (sealed.id, QUEUE_RECORD, encode(record)))


def keep_subscription(
    memory: Memory, key: QueueKey, record: SubscriptionRecord
) -> None:
    """Store a subscription of an arriving queue, unless it exists."""
    if SUBSCRIPTION_ROWS.find(memory.db, record.id, *key):
        return
    last = _upto(memory, key, record.id)
    row, alias = free_row(memory, "subscription", record.id, last)
    memory.db.execute(
        SUBSCRIPTION_INSERT,
        (
            row,
            decode_secret(record.id),
            *key,
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
    memory.use(key.space, subscriptions=1)


def keep_notice(memory: Memory, sealed: Sealed, record: NoticeRecord) -> None:
    """Store a notice of an arriving queue, unless it was stored before."""
    name = f"notice {record.id}"
    if fetch(memory.db, ARRIVAL_INSERT, (sealed.id, name, b"")):
        _note(memory, arriving(sealed), record)


def _note(memory: Memory, key: QueueKey, record: NoticeRecord) -> None:
    reached = None if record.after is None else _upto(memory, key, record.after)
    row = (
        *key,
        encode(record.messages),
        len(record.messages),
        _upto(memory, key, record.until),
        None if reached is None else -1 - reached,
    )
    found = [
        (there[0], pending)
        for pending in record.deliveries
        if (there := SUBSCRIPTION_ROWS.find(memory.db, pending.subscription_id, *key))
    ]
    if reached is None and not found:
        return
    notice = fetch(memory.db, NOTICE_INSERT, (*row, len(found)))[0][0]
    for seq, pending in found:
        memory.db.execute(
            DELIVERY_INSERT, (notice, seq, pending.position, pending.attempt)
        )


def _upto(memory: Memory, key: QueueKey, subscription_id: str) -> int:
    """Return the number here of the last subscription up to an id; 0 for none."""
    number = decode_seq(subscription_id) or 0
    found: int | None = fetch(memory.db, SUBSCRIPTION_UPTO, (*key, number))[0][0]
    return found or 0
