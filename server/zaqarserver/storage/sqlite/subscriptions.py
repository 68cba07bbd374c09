"""What is done to subscriptions inside a transaction, and how they are read."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import apsw
import msgspec

from zaqarserver.errors import SubscriptionExists, SubscriptionNotFound
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ids import decode_seq, encode_id
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import ById, Row, fetch
from zaqarserver.storage.subscriptions import Subscription, SubscriptionChange

#: How many rows one step changes at most.
STEP = 500

COLUMNS = (
    "seq, secret, project, source, subscriber, ttl, created, options, confirmed,"
    " coalesce(alias, seq)"
)
FIND = ById(f"""
    SELECT {COLUMNS} FROM subscription
     WHERE {{number}} = ? AND project = ? AND source = ? AND expires > ?
""")  # noqa: S608 - constants only
PLACE = ById("""
    SELECT seq, secret FROM subscription
     WHERE {number} = ? AND project = ? AND source = ? AND expires > 0
""")
BEFORE = """
    SELECT seq FROM subscription
     WHERE project = ? AND source = ? AND alias <= ? AND expires > 0
     ORDER BY alias DESC, seq DESC LIMIT 1
"""
FIND_SUBSCRIBER = f"""
    SELECT {COLUMNS}, expires FROM subscription
     WHERE project = ? AND source = ? AND subscriber = ? AND expires > 0
"""  # noqa: S608 - constants only
LIST = f"""
    SELECT {COLUMNS} FROM subscription
     WHERE project = ? AND source = ? AND seq > ? AND expires > ?
     ORDER BY seq LIMIT ?
"""  # noqa: S608 - constants only
COUNT = """
    SELECT count(*) FROM subscription
     WHERE project = ? AND source = ? AND expires > 0 AND expires > ?
"""
INSERT = """
    INSERT INTO subscription (seq, secret, project, source, subscriber, ttl, created,
                              expires, options, confirmed, volatile)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
UPDATE = """
    UPDATE subscription SET volatile = volatile AND subscriber = ?2, subscriber = ?2,
                            ttl = ?3, options = ?4, confirmed = ?5,
                            expires = coalesce(?6, expires)
     WHERE seq = ?1
"""
BURY = "UPDATE subscription SET expires = 0, due = NULL WHERE seq = ?"
BURY_VOLATILE = "UPDATE subscription SET expires = 0, due = NULL WHERE volatile = 1"
BURY_SOURCE = """
    UPDATE subscription SET expires = 0, due = NULL
     WHERE seq IN (SELECT seq FROM subscription
                    WHERE project = ? AND source = ? AND expires > 0
                    ORDER BY seq LIMIT ?)
    RETURNING seq
"""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_subscription(row: Row, now: float) -> Subscription:
    """Make a subscription of a row of :data:`COLUMNS`."""
    secret, project, source, subscriber, ttl, created, options, confirmed = row[1:9]
    return Subscription(
        id=encode_id(row[9], secret),
        project=project,
        source=source,
        subscriber=subscriber,
        ttl=ttl,
        age=max(0, int(now - created)),
        options=_decode(options),
        confirmed=bool(confirmed),
    )


def find(
    db: apsw.Connection, project: str, source: str, subscription_id: str, now: float
) -> Row | None:
    """Find a live subscription by its id."""
    return FIND.find(db, subscription_id, project, source, now)


def list_subscriptions(
    db: apsw.Connection,
    project: str,
    source: str,
    marker: str | None,
    limit: int,
    now: float,
) -> list[Subscription]:
    """Read a page."""
    after = 0 if marker is None else decode_seq(marker)
    if after is None:
        return []
    place = PLACE.find(db, marker or "", project, source)
    before = fetch(db, BEFORE, (project, source, after))
    if place is not None:  # as for messages: see walks.position_of
        after = place[0]
    elif before:
        after = max(after, before[0][0])
    rows = fetch(db, LIST, (project, source, after, now, limit))
    return [read_subscription(row, now) for row in rows]


def count(db: apsw.Connection, project: str, source: str, now: float) -> int:
    """Count the live ones of a source."""
    found: int = fetch(db, COUNT, (project, source, now))[0][0]
    return found


class Wish(NamedTuple):
    """A subscription to make; see the contract."""

    project: str
    source: str
    subscriber: str
    ttl: int
    options: dict[str, Any]
    confirmed: bool
    volatile: bool


@grows
def create(ledger: Ledger, wish: Wish, now: float) -> tuple[Subscription, bool]:
    """Make a subscription unless there is one, and its queue."""
    ledger.seals.check(wish.project, wish.source)
    rows = fetch(
        ledger.db, FIND_SUBSCRIBER, (wish.project, wish.source, wish.subscriber)
    )
    if rows and rows[0][-1] > now:
        return read_subscription(rows[0], now), False
    if rows:
        _bury(ledger, wish.project, rows[0][0])
    if ledger.entry(wish.project, wish.source) is None:
        ledger.create(wish.project, wish.source, {})
    seq, secret = ledger.sequence.take(now)
    options = msgspec.json.encode(wish.options).decode()
    confirmed, volatile = int(wish.confirmed), int(wish.volatile)
    ledger.db.execute(
        INSERT,
        (
            seq,
            secret,
            wish.project,
            wish.source,
            wish.subscriber,
            wish.ttl,
            now,
            now + wish.ttl,
            options,
            confirmed,
            volatile,
        ),
    )
    ledger.forget_audience(wish.project, wish.source)
    ledger.tally.add(wish.project, subscriptions=1)
    made = Subscription(
        encode_id(seq, secret),
        wish.project,
        wish.source,
        wish.subscriber,
        wish.ttl,
        0,
        wish.options,
        wish.confirmed,
    )
    return made, True


@grows
def update(
    ledger: Ledger,
    project: str,
    source: str,
    subscription_id: str,
    change: SubscriptionChange,
    now: float,
) -> Subscription:
    """Change a subscription."""
    ledger.seals.check(project, source)
    row = find(ledger.db, project, source, subscription_id, now)
    if row is None:
        raise SubscriptionNotFound(
            f"Subscription {subscription_id} for queue {source} does not exist."
        )
    old = read_subscription(row, now)
    if change.subscriber is not None and change.subscriber != old.subscriber:
        others = fetch(ledger.db, FIND_SUBSCRIBER, (project, source, change.subscriber))
        if others and others[0][-1] > now:
            raise SubscriptionExists("Such subscription already exists.")
        if others:
            _bury(ledger, project, others[0][0])
    named = {
        name: getattr(change, name)
        for name in ("subscriber", "ttl", "options", "confirmed")
        if getattr(change, name) is not None
    }
    new = msgspec.structs.replace(old, **named)
    ledger.db.execute(
        UPDATE,
        (
            row[0],
            new.subscriber,
            new.ttl,
            msgspec.json.encode(new.options).decode(),
            int(new.confirmed),
            None if change.ttl is None else now + change.ttl,
        ),
    )
    ledger.forget_audience(project, source)
    return new


def _bury(ledger: Ledger, project: str, seq: int) -> None:
    ledger.db.execute(BURY, (seq,))
    ledger.tally.add(project, subscriptions=-1)


def delete(ledger: Ledger, project: str, source: str, subscription_id: str) -> None:
    """Leave a subscription and its deliveries to the sweeper."""
    ledger.seals.check(project, source)
    row = find(ledger.db, project, source, subscription_id, 0)
    if row is not None:
        _bury(ledger, project, row[0])
        ledger.forget_audience(project, source)


def purge(ledger: Ledger, project: str, source: str) -> Generator[None, None, None]:
    """Leave all subscriptions of a source to the sweeper."""
    ledger.seals.check(project, source)
    yield from bury_all(ledger, project, source)


def bury_all(ledger: Ledger, project: str, source: str) -> Generator[None, None, None]:
    """Do the same whether or not the store refuses the queue."""
    while gone := fetch(ledger.db, BURY_SOURCE, (project, source, STEP)):
        ledger.tally.add(project, subscriptions=-len(gone))
        yield
    ledger.forget_audience(project, source)
