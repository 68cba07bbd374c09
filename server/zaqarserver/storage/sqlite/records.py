"""The records of a queue: read for another store, and stored from one."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import apsw
import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    ClaimRecord,
    Contents,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    PendingDelivery,
    QueueContents,
    QueueExport,
    QueueImport,
    QueueRecord,
    Record,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.sqlite.backlogs import (
    CLAIMED,
    DELAYED,
    FREE,
    MESSAGE_ROWS,
    STATES,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import OrderedRows, decode_secret, encode_id
from zaqarserver.storage.sqlite.memory import Memory, QueueKey, load_queue
from zaqarserver.storage.sqlite.moving import (
    ARRIVING,
    QUEUE_RECORD,
    arriving,
    free_row,
    keep_notice,
    keep_queue,
    keep_subscription,
)
from zaqarserver.storage.sqlite.queues import count_messages
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.subscriptions import NoticeMessage

#: About how many bytes of bodies a page has at most.
PAGE_BYTES = 1_000_000

#: How many records one step of an import keeps.
STEP = 100

CLAIMS = """
    SELECT coalesce(alias, seq), secret, ttl, grace, created, seq FROM claim
     WHERE backlog = ? AND seq > ? ORDER BY seq LIMIT ?
"""
_LEGS = " UNION ALL ".join(
    f"SELECT seq FROM message WHERE backlog = ?1 AND state = {state} AND seq > ?2"  # noqa: S608 - constants only
    for state in STATES
)
MESSAGES = f"""
    SELECT coalesce(m.alias, m.seq), m.secret, m.body, m.ttl, m.created, m.expires,
           m.visible, m.client, m.checksum, m.claims, coalesce(c.alias, c.seq),
           c.secret, m.seq
      FROM ({_LEGS} ORDER BY seq LIMIT ?3) w
      CROSS JOIN message m ON m.seq = w.seq
      LEFT JOIN claim c ON c.seq = m.claim
     ORDER BY m.seq
"""  # noqa: S608 - constants only
SUBSCRIPTIONS = """
    SELECT coalesce(alias, seq), secret, subscriber, ttl, created, expires, options,
           confirmed, volatile, parked, seq
      FROM subscription
     WHERE project = ? AND source = ? AND expires > 0 AND seq > ?
     ORDER BY seq LIMIT ?
"""
# Notices with pending deliveries, and notices that are not spread yet.
NOTICES = """
    SELECT id, messages, newest, reached FROM notice
     WHERE id IN (SELECT d.notice FROM subscription s
                    JOIN delivery d ON d.subscription = s.seq
                   WHERE s.project = ?1 AND s.source = ?2 AND s.expires > 0
                     AND d.notice > ?3
                   UNION
                  SELECT id FROM notice
                   WHERE reached < 0 AND project = ?1 AND source = ?2 AND id > ?3
                   ORDER BY 1 LIMIT ?4)
     ORDER BY id
"""
DELIVERIES = """
    SELECT d.notice, coalesce(s.alias, s.seq), s.secret, d.position, d.attempt
      FROM subscription s JOIN delivery d ON d.subscription = s.seq
     WHERE s.project = ? AND s.source = ? AND s.expires > 0
       AND d.notice BETWEEN ? AND ?
     ORDER BY d.id
"""
SUBSCRIPTION_UPTO = """
    SELECT coalesce(alias, seq), secret FROM subscription
     WHERE project = ? AND source = ? AND seq <= ? ORDER BY seq DESC LIMIT 1
"""
CLAIM_INSERT = """
    INSERT INTO claim (seq, backlog, secret, ttl, grace, created, expires, alias)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
MESSAGE_INSERT = """
    INSERT INTO message (seq, backlog, state, claims, claim, secret, created, expires,
                         visible, ttl, client, checksum, body, alias)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MESSAGE_LAST = """
    SELECT max(seq) FROM message WHERE backlog = ? AND state = ?
"""
CLAIM_ROWS = OrderedRows("claim", "backlog = ?")

QUEUE_ARRIVED = "SELECT 1 FROM arrival WHERE seal = ? AND id = ?"
COUNT_CLAIMS = """
    SELECT count(DISTINCT c.seq), count(*)
      FROM claim c JOIN message m ON m.claim = c.seq
     WHERE c.backlog = ? AND c.expires > ?
"""
COUNT_SUBSCRIPTIONS = """
    SELECT seq, (SELECT count(*) FROM delivery WHERE subscription = seq)
      FROM subscription
     WHERE project = ? AND source = ? AND expires > ? AND volatile = 0
     ORDER BY seq
"""
COUNT_NOTICES = """
    SELECT -1 - reached, newest FROM notice
     WHERE reached < 0 AND project = ? AND source = ?
"""

_decode_options = msgspec.json.Decoder(dict[str, Any]).decode
_decode_messages = msgspec.msgpack.Decoder(list[NoticeMessage]).decode


# -- writing ----------------------------------------------------------------------


@reads(QueueExport)
async def export(engine: Engine, command: QueueExport) -> ExportPage:
    """Read a page of the kind of record that ``following`` names, or of the next."""
    key, db, limit = (
        QueueKey(command.space, command.queue),
        engine.reader,
        command.limit,
    )
    sealed = engine.memory.seals.committed.get(key)
    if sealed is None or sealed.kind is not SealKind.LEAVING:
        raise QueueChanged(f"queue {command.queue!r} is not sealed")
    kind, _, text = (command.following or "queue:0").partition(":")
    last = int(text)
    row = load_queue(db, *key)
    if kind == "queue":
        head = [] if row is None else [QueueRecord(row.metadata)]
        return ExportPage(head, "claim:0")
    if kind in ("claim", "message") and row is None:
        return ExportPage([], "subscription:0")
    backlog = 0 if row is None else row.backlog
    if kind == "claim":
        rows = fetch(db, CLAIMS, (backlog, last, limit))
        return _page([_claim(row) for row in rows], rows, limit, "claim", "message")
    if kind == "message":
        rows = _bounded(db.execute(MESSAGES, (backlog, last, limit)))
        return _page(
            [_message(row) for row in rows], rows, 1, "message", "subscription"
        )
    if kind == "subscription":
        rows = fetch(db, SUBSCRIPTIONS, (*key, last, limit))
        records = [_subscription(row) for row in rows]
        return _page(records, rows, limit, "subscription", "notice")
    rows = _bounded(db.execute(NOTICES, (*key, last, limit)))
    notices = _notices(db, key, rows)
    return ExportPage(notices, f"notice:{rows[-1][0]}" if rows else None)


def _page(
    records: Sequence[Record], rows: Sequence[Row], full: int, kind: str, after: str
) -> ExportPage:
    if len(rows) < full:
        return ExportPage(records, f"{after}:0")
    return ExportPage(records, f"{kind}:{rows[-1][-1]}")


def _bounded(rows: Iterator[Row]) -> list[Row]:
    """Read rows until their blobs fill a page."""
    found: list[Row] = []
    size = 0
    for row in rows:
        found.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if size > PAGE_BYTES:
            break
    return found


def _claim(row: Row) -> ClaimRecord:
    number, secret, ttl, grace, created, _ = row
    return ClaimRecord(encode_id(number, secret), ttl, grace, created)


def _message(row: Row) -> MessageRecord:
    number, secret, body, ttl, created, expires, visible = row[:7]
    client, checksum, claims, claim, claim_secret = row[7:12]
    return MessageRecord(
        id=encode_id(number, secret),
        body=body,
        ttl=ttl,
        created=created,
        expires=expires,
        visible=visible,
        client_id=client,
        checksum=checksum,
        claim_count=claims,
        claim_id=None if claim is None else encode_id(claim, claim_secret),
    )


def _subscription(row: Row) -> SubscriptionRecord:
    number, secret, subscriber, ttl, created, expires, options = row[:7]
    confirmed, volatile, due = row[7:10]
    return SubscriptionRecord(
        id=encode_id(number, secret),
        subscriber=subscriber,
        ttl=ttl,
        created=created,
        expires=expires,
        options=_decode_options(options),
        confirmed=bool(confirmed),
        volatile=bool(volatile),
        due=due,
    )


def _notices(
    db: apsw.Connection, key: QueueKey, rows: Sequence[Row]
) -> list[NoticeRecord]:
    pending: dict[int, list[PendingDelivery]] = {row[0]: [] for row in rows}
    ends = (rows[0][0], rows[-1][0]) if rows else (0, 0)
    # One query for all: only their subscriptions show to which notice they belong.
    found = fetch(db, DELIVERIES, (*key, *ends))
    for notice, number, secret, position, attempt in found:
        delivery = PendingDelivery(encode_id(number, secret), position, attempt)
        pending[notice].append(delivery)
    return [
        NoticeRecord(
            id=str(id_),
            messages=_decode_messages(messages),
            deliveries=pending[id_],
            after=None if reached is None else _id_upto(db, key, -1 - reached),
            until=_id_upto(db, key, newest),
        )
        for id_, messages, newest, reached in rows
    ]


def _id_upto(db: apsw.Connection, key: QueueKey, seq: int) -> str:
    """Return the id of the last subscription up to a row; empty for none."""
    rows = fetch(db, SUBSCRIPTION_UPTO, (*key, seq))
    return encode_id(*rows[0]) if rows else ""


# -- reading ----------------------------------------------------------------------


@writes(QueueImport, grows=True)
def receive_page(memory: Memory, command: QueueImport) -> Steps[None]:
    """Insert rows, some at a time."""
    sealed = memory.seals.get((command.space, command.queue))
    if (
        sealed is None
        or sealed.kind is not SealKind.ARRIVING
        or sealed.epoch != command.epoch
        or sealed.backlog is None
    ):
        raise QueueChanged(f"queue {command.queue!r} does not arrive")
    last = _last(memory, sealed.backlog)
    for count, record in enumerate(command.records):
        if count and count % STEP == 0:
            yield None
        if isinstance(record, ClaimRecord):
            _keep_claim(memory, sealed.backlog, record)
        elif isinstance(record, MessageRecord):
            last = _keep_message(memory, sealed.backlog, record, last)
        elif isinstance(record, QueueRecord):
            keep_queue(memory, sealed, record)
        elif isinstance(record, SubscriptionRecord):
            keep_subscription(memory, arriving(sealed), record)
        else:
            keep_notice(memory, sealed, record)


def _last(memory: Memory, backlog: int) -> int:
    """Return the last row of a backlog, 0 if it is empty."""
    ends = [fetch(memory.db, MESSAGE_LAST, (backlog, state))[0][0] for state in STATES]
    return max((end for end in ends if end is not None), default=0)


def _keep_claim(memory: Memory, backlog: int, record: ClaimRecord) -> None:
    if CLAIM_ROWS.find(memory.db, record.id, backlog):
        return
    row, alias = free_row(memory, "claim", record.id, 0)
    expires = record.created + record.ttl
    memory.db.execute(
        CLAIM_INSERT,
        (
            row,
            backlog,
            decode_secret(record.id),
            record.ttl,
            record.grace,
            record.created,
            expires,
            alias,
        ),
    )
    memory.lower_due(backlog, expires)


def _keep_message(
    memory: Memory, backlog: int, record: MessageRecord, last: int
) -> int:
    """Store a message after the row ``last``; return its row, the new last one."""
    if MESSAGE_ROWS.find(memory.db, record.id, backlog):
        return last
    row, alias = free_row(memory, "message", record.id, last)
    holder = record.claim_id and CLAIM_ROWS.find(memory.db, record.claim_id, backlog)
    claim = holder[0] if holder else None
    state = FREE if record.visible is None else DELAYED
    memory.db.execute(
        MESSAGE_INSERT,
        (
            row,
            backlog,
            state if claim is None else CLAIMED,
            record.claim_count,
            claim,
            decode_secret(record.id),
            record.created,
            record.expires,
            record.visible,
            record.ttl,
            record.client_id,
            record.checksum,
            record.body,
            alias,
        ),
    )
    shown = math.inf if record.visible is None or claim else record.visible
    memory.lower_due(backlog, min(record.expires, shown))
    memory.count(ARRIVING, backlog, 1, len(record.body), int(claim is not None))
    return row


# -- counting ---------------------------------------------------------------------


@reads(QueueContents)
async def contents(engine: Engine, command: QueueContents) -> Contents:
    """Count rows, messages some at a time."""
    key, db, now = QueueKey(command.space, command.queue), engine.reader, command.now
    sealed = engine.memory.seals.committed.get(key)
    if sealed is None or sealed.kind is SealKind.GONE:
        raise QueueChanged(f"queue {command.queue!r} neither leaves nor arrives")
    if sealed.kind is SealKind.ARRIVING:
        queues = len(fetch(db, QUEUE_ARRIVED, (sealed.id, QUEUE_RECORD)))
        backlog, key = sealed.backlog, arriving(sealed)
    else:
        row = load_queue(db, *key)
        queues = int(row is not None)
        backlog = None if row is None else row.backlog
    waiting = _waiting(db, key, now)
    claims, claimed = fetch(db, COUNT_CLAIMS, (backlog, now))[0]
    return Contents(
        queues=queues,
        messages=await count_messages(db, backlog or 0, now, math.inf),
        claims=claims,
        claimed=claimed,
        subscriptions=len(waiting),
        waiting=sum(1 for one in waiting if one),
        deliveries=sum(waiting),
    )


def _waiting(db: apsw.Connection, key: QueueKey, now: float) -> list[int]:
    """Return how many notices wait for each subscription."""
    rows = fetch(db, COUNT_SUBSCRIPTIONS, (*key, now))
    listening = [seq for seq, _ in rows]
    # The ranges of subscriptions that notices still have to be spread over.
    steps = [0] * (len(listening) + 1)
    for reached, newest in fetch(db, COUNT_NOTICES, key):
        steps[bisect_right(listening, reached)] += 1
        steps[bisect_right(listening, newest)] -= 1
    return [made + due for (_, made), due in zip(rows, accumulate(steps), strict=False)]
