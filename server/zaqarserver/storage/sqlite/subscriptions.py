"""Subscriptions: the subscribers that a queue's messages are sent to."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from zaqarserver.errors import SubscriptionExists
from zaqarserver.storage.sqlite.backlogs import create_queue
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import ById, OrderedRows, encode_id
from zaqarserver.storage.sqlite.layers import Listeners, QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.subscriptions import (
    Subscription,
    SubscriptionCount,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionGet,
    SubscriptionList,
    SubscriptionPurge,
    SubscriptionUpdate,
)

#: How many rows one step changes at most.
STEP = 500

COLUMNS = (
    "seq, secret, project, source, subscriber, ttl, created, options, confirmed,"
    " coalesce(alias, seq)"
)
FIND = ById(f"""
    SELECT {COLUMNS} FROM subscription
     WHERE {{number}} = ? AND project = ? AND source = ? AND +expires > ?
""")  # noqa: S608 - constants only
SUBSCRIPTION_ROWS = OrderedRows("subscription", "project = ? AND source = ?")
FIND_SUBSCRIBER = f"""
    SELECT {COLUMNS}, expires FROM subscription
     WHERE project = ? AND source = ? AND subscriber = ?
"""  # noqa: S608 - constants only
LIST = f"""
    SELECT {COLUMNS} FROM subscription
     WHERE project = ? AND source = ? AND seq > ? AND expires > ?
     ORDER BY seq LIMIT ?
"""  # noqa: S608 - constants only
COUNT = """
    SELECT count(*) FROM subscription
     WHERE project = ? AND source = ? AND expires > ?
"""
INSERT = """
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile, cursor)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
UPDATE = """
    UPDATE subscription SET cursor = iif(volatile AND subscriber <> ?2, ?7, cursor),
                            volatile = volatile AND subscriber = ?2, subscriber = ?2,
                            ttl = ?3, options = ?4, confirmed = ?5,
                            expires = coalesce(?6, expires)
     WHERE seq = ?1
"""
DELETE = "DELETE FROM subscription WHERE seq = ?"
DELETE_ALL = """
    DELETE FROM subscription
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ? AND source = ? ORDER BY seq LIMIT ?)
    RETURNING seq
"""
LISTENERS = """
    SELECT coalesce(alias, seq), secret, expires, volatile FROM subscription
     WHERE project = ? AND source = ?
"""
NEWEST = """
    SELECT max(coalesce((SELECT max(number) FROM notice
                          WHERE project = ?1 AND source = ?2), 0),
               coalesce((SELECT max(cursor) FROM subscription
                          WHERE project = ?1 AND source = ?2
                            AND due IS NULL AND volatile = 0), 0),
               coalesce((SELECT max(cursor) FROM subscription
                          WHERE project = ?1 AND source = ?2
                            AND due IS NOT NULL AND volatile = 0), 0))
"""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_subscription(row: Row, now: float) -> Subscription:
    """Make a subscription of a row of :data:`COLUMNS`."""
    secret, space, queue, subscriber, ttl, created, options, confirmed = row[1:9]
    return Subscription(
        id=encode_id(row[9], secret),
        space=space,
        queue=queue,
        subscriber=subscriber,
        ttl=ttl,
        age=max(0, int(now - created)),
        options=_decode(options),
        confirmed=bool(confirmed),
    )


def listeners(memory: Memory, key: QueueKey) -> Listeners:
    """Return the subscriptions of a queue as the open transaction sees them."""
    known = memory.listeners.use(key)
    if known is None:
        known = memory.listeners[key] = _load_listeners(memory.db, key)
    return known


def _load_listeners(db: apsw.Connection, key: QueueKey) -> Listeners:
    rows = fetch(db, LISTENERS, key)
    return Listeners(
        max((end for _, _, end, volatile in rows if not volatile), default=0.0),
        tuple(
            (encode_id(seq, secret), end)
            for seq, secret, end, volatile in rows
            if volatile
        ),
        fetch(db, NEWEST, key)[0][0],
    )


def newest_notice(memory: Memory, key: QueueKey) -> int:
    """Return the number of a queue's newest notice, or of the last deleted one."""
    known = memory.listeners.get(key)
    number: int = known.newest if known else fetch(memory.db, NEWEST, key)[0][0]
    return number


def _forget_listeners(memory: Memory, space: str, queue: str) -> None:
    memory.listeners.pop(QueueKey(space, queue), None)


# -- reading ----------------------------------------------------------------


@reads(SubscriptionList)
async def list_subscriptions(
    engine: Engine, command: SubscriptionList
) -> list[Subscription]:
    """Walk over an index."""
    space, queue = command.space, command.queue
    engine.check_seal(command)
    after = SUBSCRIPTION_ROWS.position(engine.reader, command.marker, space, queue)
    if after is None:
        return []
    bindings = (space, queue, after, command.now, command.limit)
    rows = fetch(engine.reader, LIST, bindings)
    return [read_subscription(row, command.now) for row in rows]


@reads(SubscriptionCount)
async def count(engine: Engine, command: SubscriptionCount) -> int:
    """Walk over an index."""
    engine.check_seal(command)
    bindings = (command.space, command.queue, command.now)
    found: int = fetch(engine.reader, COUNT, bindings)[0][0]
    return found


@reads(SubscriptionGet)
async def get(engine: Engine, command: SubscriptionGet) -> Subscription | None:
    """Read by primary key."""
    engine.check_seal(command)
    row = _find(engine.reader, command, command.now)
    return None if row is None else read_subscription(row, command.now)


def _find(
    db: apsw.Connection,
    command: SubscriptionGet | SubscriptionUpdate | SubscriptionDelete,
    now: float,
) -> Row | None:
    return FIND.find(db, command.subscription_id, command.space, command.queue, now)


# -- changing ---------------------------------------------------------------


@writes(SubscriptionCreate, grows=True)
def create(memory: Memory, command: SubscriptionCreate) -> tuple[Subscription, bool]:
    """Insert a row, and the queue's."""
    space, queue, now = command.space, command.queue, command.now
    memory.check_seal(space, queue)
    old = _find_live(memory, command, command.subscriber)
    if old is not None:
        return read_subscription(old, now), False
    if memory.queue(space, queue) is None:
        create_queue(memory, space, queue)
    seq, secret = memory.sequence.take(now)
    memory.db.execute(
        INSERT,
        (
            seq,
            secret,
            space,
            queue,
            command.subscriber,
            command.ttl,
            now,
            now + command.ttl,
            msgspec.json.encode(command.options).decode(),
            int(command.confirmed),
            int(command.volatile),
            newest_notice(memory, QueueKey(space, queue)),
        ),
    )
    _forget_listeners(memory, space, queue)
    memory.use(space, subscriptions=1)
    made = Subscription(
        encode_id(seq, secret),
        space,
        queue,
        command.subscriber,
        command.ttl,
        0,
        command.options,
        command.confirmed,
    )
    return made, True


def _find_live(
    memory: Memory, command: SubscriptionCreate | SubscriptionUpdate, subscriber: str
) -> Row | None:
    """Return the live subscription of a subscriber; remove one that has expired."""
    key = (command.space, command.queue, subscriber)
    for row in fetch(memory.db, FIND_SUBSCRIBER, key):
        if row[-1] > command.now:
            return row
        _delete(memory, command.space, row[0])
    return None


@writes(SubscriptionUpdate, grows=True)
def update(memory: Memory, command: SubscriptionUpdate) -> Subscription:
    """Change the row."""
    space, queue, change = command.space, command.queue, command.change
    memory.check_seal(space, queue)
    row = _find(memory.db, command, command.now)
    if row is None:
        return command.missing()
    old = read_subscription(row, command.now)
    subscriber = change.subscriber
    if subscriber not in (None, old.subscriber) and _find_live(
        memory, command, subscriber
    ):
        raise SubscriptionExists("Such subscription already exists.")
    named = {
        name: value
        for name, value in msgspec.structs.asdict(change).items()
        if value is not None
    }
    new = msgspec.structs.replace(old, **named)
    memory.db.execute(
        UPDATE,
        (
            row[0],
            new.subscriber,
            new.ttl,
            msgspec.json.encode(new.options).decode(),
            int(new.confirmed),
            None if change.ttl is None else command.now + change.ttl,
            newest_notice(memory, QueueKey(space, queue)),
        ),
    )
    _forget_listeners(memory, space, queue)
    return new


def _delete(memory: Memory, space: str, seq: int) -> None:
    memory.db.execute(DELETE, (seq,))
    memory.use(space, subscriptions=-1)


@writes(SubscriptionDelete)
def delete(memory: Memory, command: SubscriptionDelete) -> None:
    """Delete the row; the sweeper removes the notices that only it needed."""
    memory.check_seal(command.space, command.queue)
    row = _find(memory.db, command, 0)
    if row is not None:
        _delete(memory, command.space, row[0])
        _forget_listeners(memory, command.space, command.queue)


@writes(SubscriptionPurge)
def purge(memory: Memory, command: SubscriptionPurge) -> Steps[None]:
    """Delete the rows, some at a time."""
    memory.check_seal(command.space, command.queue)
    yield from delete_all(memory, command.space, command.queue)


def delete_all(memory: Memory, space: str, queue: str) -> Steps[None]:
    """Delete all subscriptions of a queue, also of a sealed one."""
    while gone := fetch(memory.db, DELETE_ALL, (space, queue, STEP)):
        memory.use(space, subscriptions=-len(gone))
        yield None
    _forget_listeners(memory, space, queue)
