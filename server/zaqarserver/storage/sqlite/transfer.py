"""What a queue is made of, as records: written for another store, read from one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import apsw
import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    ClaimRecord,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    PendingDelivery,
    QueueRecord,
    Record,
    SealKind,
    SubscriptionRecord,
)
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ids import decode_secret, encode_id
from zaqarserver.storage.sqlite.ledger import Ledger, load_entry
from zaqarserver.storage.sqlite.moving import (
    ARRIVING,
    Place,
    arriving,
    free_row,
    keep_notice,
    keep_queue,
    keep_subscription,
)
from zaqarserver.storage.sqlite.statements import ById, Row, fetch
from zaqarserver.storage.subscriptions import Noticed

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
    for state in sql.STATES
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
# Those whose deliveries are not ended, and those that were not spread.
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
MESSAGE_OF = ById("SELECT seq, secret FROM message WHERE {number} = ? AND backlog = ?")
MESSAGE_LAST = """
    SELECT max(seq) FROM message WHERE backlog = ? AND state = ?
"""
CLAIM_OF = ById("SELECT seq, secret FROM claim WHERE {number} = ? AND backlog = ?")

_decode_options = msgspec.json.Decoder(dict[str, Any]).decode
_decode_messages = msgspec.msgpack.Decoder(list[Noticed]).decode


# -- writing ----------------------------------------------------------------------


def export(
    db: apsw.Connection, place: Place, following: str | None, limit: int
) -> ExportPage:
    """Read a page; it goes on within, or after, the kind of record that it names."""
    kind, _, text = (following or "queue:0").partition(":")
    last = int(text)
    entry = load_entry(db, *place)
    if kind == "queue":
        head = [] if entry is None else [QueueRecord(entry.metadata)]
        return ExportPage(head, "claim:0")
    if kind in ("claim", "message") and entry is None:
        return ExportPage([], "subscription:0")
    backlog = 0 if entry is None else entry.backlog
    if kind == "claim":
        rows = fetch(db, CLAIMS, (backlog, last, limit))
        return _page([_claim(row) for row in rows], rows, limit, "claim", "message")
    if kind == "message":
        rows = _bounded(db.execute(MESSAGES, (backlog, last, limit)))
        return _page(
            [_message(row) for row in rows], rows, 1, "message", "subscription"
        )
    if kind == "subscription":
        rows = fetch(db, SUBSCRIPTIONS, (*place, last, limit))
        records = [_subscription(row) for row in rows]
        return _page(records, rows, limit, "subscription", "notice")
    rows = _bounded(db.execute(NOTICES, (*place, last, limit)))
    notices = _notices(db, place, rows)
    return ExportPage(notices, f"notice:{rows[-1][0]}" if rows else None)


def _page(
    records: Sequence[Record], rows: Sequence[Row], full: int, kind: str, after: str
) -> ExportPage:
    if len(rows) < full:
        return ExportPage(records, f"{after}:0")
    return ExportPage(records, f"{kind}:{rows[-1][-1]}")


def _bounded(rows: Iterator[Row]) -> list[Row]:
    """Read rows until their blobs are a page."""
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
    db: apsw.Connection, place: Place, rows: Sequence[Row]
) -> list[NoticeRecord]:
    pending: dict[int, list[PendingDelivery]] = {row[0]: [] for row in rows}
    ends = (rows[0][0], rows[-1][0]) if rows else (0, 0)
    # One look for all: which are of a notice is known by their subscriptions only.
    found = fetch(db, DELIVERIES, (*place, *ends))
    for notice, number, secret, position, attempt in found:
        delivery = PendingDelivery(encode_id(number, secret), position, attempt)
        pending[notice].append(delivery)
    return [
        NoticeRecord(
            id=str(id_),
            messages=_decode_messages(messages),
            deliveries=pending[id_],
            after=None if reached is None else _id_upto(db, place, -1 - reached),
            until=_id_upto(db, place, newest),
        )
        for id_, messages, newest, reached in rows
    ]


def _id_upto(db: apsw.Connection, place: Place, seq: int) -> str:
    """Return the id of the last subscription up to a row; empty for none."""
    rows = fetch(db, SUBSCRIPTION_UPTO, (*place, seq))
    return encode_id(*rows[0]) if rows else ""


# -- reading ----------------------------------------------------------------------


@grows
def receive_page(
    ledger: Ledger, place: Place, epoch: int, records: Iterable[Record]
) -> Generator[None, None, None]:
    """Keep records, some at a time."""
    sealed = ledger.seals.get(*place)
    if (
        sealed is None
        or sealed.kind is not SealKind.ARRIVING
        or sealed.epoch != epoch
        or sealed.backlog is None
    ):
        raise QueueChanged(f"queue {place.queue!r} does not arrive")
    last = _last(ledger, sealed.backlog)
    for count, record in enumerate(records):
        if count and count % STEP == 0:
            yield
        if isinstance(record, ClaimRecord):
            _keep_claim(ledger, sealed.backlog, record)
        elif isinstance(record, MessageRecord):
            last = _keep_message(ledger, sealed.backlog, record, last)
        elif isinstance(record, QueueRecord):
            keep_queue(ledger, sealed, record)
        elif isinstance(record, SubscriptionRecord):
            keep_subscription(ledger, arriving(sealed), record)
        else:
            keep_notice(ledger, sealed, record)


def _last(ledger: Ledger, backlog: int) -> int:
    """Return the last row of a backlog, 0 if it has none."""
    ends = [
        fetch(ledger.db, MESSAGE_LAST, (backlog, state))[0][0] for state in sql.STATES
    ]
    return max((end for end in ends if end is not None), default=0)


def _keep_claim(ledger: Ledger, backlog: int, record: ClaimRecord) -> None:
    if CLAIM_OF.find(ledger.db, record.id, backlog):
        return
    row, alias = free_row(ledger, "claim", record.id, 0)
    expires = record.created + record.ttl
    ledger.db.execute(
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
    ledger.lower_due(backlog, expires)


def _keep_message(
    ledger: Ledger, backlog: int, record: MessageRecord, last: int
) -> int:
    """Keep a message behind the row ``last``; return the last row then."""
    if MESSAGE_OF.find(ledger.db, record.id, backlog):
        return last
    row, alias = free_row(ledger, "message", record.id, last)
    holder = record.claim_id and CLAIM_OF.find(ledger.db, record.claim_id, backlog)
    claim = holder[0] if holder else None
    state = sql.FREE if record.visible is None else sql.DELAYED
    ledger.db.execute(
        MESSAGE_INSERT,
        (
            row,
            backlog,
            state if claim is None else sql.CLAIMED,
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
    due = record.expires
    if record.visible is not None and claim is None:
        due = min(due, record.visible)
    ledger.lower_due(backlog, due)
    ledger.keep(ARRIVING, backlog, 1, len(record.body), int(claim is not None))
    return row
