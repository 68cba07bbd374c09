"""The records of a queue: read for another store, and stored from one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    ClaimRecord,
    Contents,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    PostRecord,
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
    POSTPONED,
    STATES,
    create_queue,
    find_due,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.ids import (
    OrderedRows,
    decode_secret,
    decode_seq,
)
from zaqarserver.storage.sqlite.layers import ARRIVING, QueueKey, load_queue
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.moving import stored_name
from zaqarserver.storage.sqlite.queues import count_messages
from zaqarserver.storage.sqlite.subscriptions import SUBSCRIPTION_ROWS
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.subscriptions import NoticeMessage

#: About how many bytes of bodies a page has at most.
PAGE_BYTES = 1_000_000

#: How many records one step of an import keeps.
STEP = 100


def _id(table: str) -> str:
    """Return the id of a row as an expression, see ``ids.encode_id``."""
    return f"printf('%014x%016x', coalesce({table}.alias, {table}.seq), {table}.secret)"


# What is read of each kind: the members of its record, and where the next page begins.
QUEUE = """
    SELECT metadata, 1 FROM queue
     WHERE project = :space AND name = :queue AND :last < 1
"""
POSTS = """
    SELECT key, digest, ids, expires, key FROM posted
     WHERE origin = :origin AND key > :last ORDER BY key LIMIT :limit
"""
CLAIMS = f"""
    SELECT {_id("c")}, ttl, grace, created, seq FROM claim c
     WHERE backlog = :backlog AND seq > :last ORDER BY seq LIMIT :limit
"""  # noqa: S608 - constants only
_LEGS = " UNION ALL ".join(
    f"SELECT seq FROM message WHERE backlog = :backlog AND state = {state} AND seq > :last"  # noqa: S608, E501 - constants only
    for state in STATES
)
MESSAGES = f"""
    SELECT {_id("m")}, m.body, m.ttl, m.created, m.expires, m.visible, m.client,
           m.checksum, m.claims, iif(c.seq IS NULL, NULL, {_id("c")}), m.notes,
           m.state = 3, m.seq
      FROM ({_LEGS} ORDER BY seq LIMIT :limit) w
      CROSS JOIN message m ON m.seq = w.seq
      LEFT JOIN claim c ON c.seq = m.claim
     ORDER BY m.seq
"""  # noqa: S608 - constants only
SUBSCRIPTIONS = f"""
    SELECT {_id("s")}, subscriber, ttl, created, expires, options, confirmed, volatile,
           parked, cursor, position, attempt, seq
      FROM subscription s
     WHERE project = :space AND source = :queue AND seq > :last
     ORDER BY seq LIMIT :limit
"""  # noqa: S608 - constants only
NOTICES = """
    SELECT number, messages, number FROM notice
     WHERE project = :space AND source = :queue AND number > :last
     ORDER BY number LIMIT :limit
"""
#: In the order of the export: the statement of a kind, and its records.
KINDS: dict[str, tuple[str, Any]] = {
    "queue": (QUEUE, list[QueueRecord]),
    "post": (POSTS, list[PostRecord]),
    "claim": (CLAIMS, list[ClaimRecord]),
    "message": (MESSAGES, list[MessageRecord]),
    "subscription": (SUBSCRIPTIONS, list[SubscriptionRecord]),
    "notice": (NOTICES, list[NoticeRecord]),
}
#: What is stored of each kind.
INSERTS: dict[type[Record], str] = {
    PostRecord: """
        INSERT OR IGNORE INTO posted (origin, key, digest, ids, expires)
        VALUES (:origin, :key, :digest, :ids, :expires)
    """,
    ClaimRecord: """
        INSERT INTO claim (seq, backlog, secret, ttl, grace, created, expires, alias)
        VALUES (:seq, :backlog, :secret, :ttl, :grace, :created, :created + :ttl,
                :alias)
    """,
    MessageRecord: """
        INSERT INTO message (seq, backlog, state, claims, claim, secret, created,
                             expires, visible, ttl, client, checksum, body, alias,
                             notes)
        VALUES (:seq, :backlog, :state, :claim_count, :claim, :secret, :created,
                :expires, :visible, :ttl, :client_id, :checksum, :body, :alias, :notes)
    """,
    SubscriptionRecord: """
        INSERT INTO subscription (seq, secret, project, source, subscriber, ttl,
                                  created, expires, options, confirmed, volatile,
                                  parked, alias, cursor, position, attempt)
        VALUES (:seq, :secret, :space, :queue, :subscriber, :ttl, :created, :expires,
                :options, :confirmed, :volatile, :due, :alias, :cursor, :position,
                :attempt)
    """,
    NoticeRecord: """
        INSERT OR IGNORE INTO notice (project, source, number, count, expires, messages)
        VALUES (:space, :queue, :number, :count, :expires, :messages)
    """,
}
#: Where records with ids are, and within which columns an id is looked up.
CLAIM_ROWS = OrderedRows("claim", "backlog = ?")
TABLES: dict[type[Record], tuple[OrderedRows, tuple[str, ...]]] = {
    ClaimRecord: (CLAIM_ROWS, ("backlog",)),
    MessageRecord: (MESSAGE_ROWS, ("backlog",)),
    SubscriptionRecord: (SUBSCRIPTION_ROWS, ("space", "queue")),
}
MESSAGE_LAST = "SELECT max(seq) FROM message WHERE backlog = ? AND state = ?"
SUBSCRIPTION_LAST = """
    SELECT max(seq) FROM subscription WHERE project = ? AND source = ?
"""

COUNT_POSTS = "SELECT count(*) FROM posted WHERE origin = ? AND expires > ?"
COUNT_CLAIMS = """
    SELECT count(DISTINCT c.seq), count(*)
      FROM claim c JOIN message m ON m.claim = c.seq
     WHERE c.backlog = ? AND c.expires > ?
"""
COUNT_SUBSCRIPTIONS = """
    SELECT count(*), total(cursor < (SELECT max(number) FROM notice
                                      WHERE project = ?1 AND source = ?2))
      FROM subscription
     WHERE project = ?1 AND source = ?2 AND expires > ?3 AND volatile = 0
"""
COUNT_NOTICES = "SELECT count(*) FROM notice WHERE project = ? AND source = ?"

_decode_messages = msgspec.msgpack.Decoder(list[NoticeMessage]).decode
_encode_messages = msgspec.msgpack.Encoder().encode


# -- exporting --------------------------------------------------------------------


@reads(QueueExport)
async def export(engine: Engine, command: QueueExport) -> ExportPage:
    """Read a page of the kind that ``following`` names; an empty one ends the kind."""
    key, db = QueueKey(command.space, command.queue), engine.reader
    seal = engine.memory.seals.committed.get(key)
    if seal is None or seal.kind is not SealKind.LEAVING:
        raise QueueChanged(f"queue {command.queue!r} does not leave")
    kind, _, last = (command.following or "queue:").partition(":")
    queue = load_queue(db, *key)
    bindings = {
        "space": key.space,
        "queue": key.queue,
        "backlog": None if queue is None else queue.backlog,
        "origin": None if queue is None else queue.origin,
        "last": last if kind == "post" else int(last or 0),
        "limit": command.limit,
    }
    statement, records = KINDS[kind]
    rows = _bounded(db.execute(statement, bindings))
    if rows:
        if kind == "notice":
            rows = [(row[0], _decode_messages(row[1]), row[2]) for row in rows]
        page = msgspec.convert(rows, records, strict=False)
        return ExportPage(page, f"{kind}:{rows[-1][-1]}")
    later = list(KINDS)[list(KINDS).index(kind) + 1 :]
    return ExportPage([], f"{later[0]}:" if later else None)


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


# -- importing --------------------------------------------------------------------


@writes(QueueImport, grows=True)
def import_page(memory: Memory, command: QueueImport) -> Steps[None]:
    """Insert rows under the name of what arrives, some at a time."""
    key = QueueKey(command.space, command.queue)
    seal = memory.seals.get(key)
    if (
        seal is None
        or seal.kind is not SealKind.ARRIVING
        or seal.epoch != command.epoch
    ):
        raise QueueChanged(f"queue {command.queue!r} does not arrive")
    importer = _Importer(memory, stored_name(key, seal))
    for count, record in enumerate(command.records):
        if count and count % STEP == 0:
            yield None
        importer.store(record)
    if importer.backlog:
        find_due(memory, importer.backlog)


class _Importer:
    """Stores records, except those that are there already.

    Args:
        memory: The writer's memory.
        name: Where to store them.

    Attributes:
        backlog: The backlog of the messages; 0 before the queue's own record.
    """

    def __init__(self, memory: Memory, name: QueueKey) -> None:
        self._memory = memory
        self._db = memory.db
        self._name = name
        queue = memory.sealed_queue(*name)
        self.backlog = 0 if queue is None else queue.backlog
        self._origin = 0 if queue is None else queue.origin
        ends = [fetch(self._db, MESSAGE_LAST, (self.backlog, one)) for one in STATES]
        last = fetch(self._db, SUBSCRIPTION_LAST, name)[0][0]
        #: By kind, the last row; claims have no order.
        self._last: dict[type[Record], int] = {
            MessageRecord: max(rows[0][0] or 0 for rows in ends),
            SubscriptionRecord: last or 0,
        }

    def store(self, record: Record) -> None:
        """Store a record."""
        if isinstance(record, QueueRecord):
            if not self.backlog:
                metadata = msgspec.json.decode(record.metadata)
                queue = create_queue(self._memory, *self._name, metadata)
                self.backlog, self._origin = queue.backlog, queue.origin
            return
        values = msgspec.structs.asdict(record) | self._name._asdict()
        values |= {"backlog": self.backlog, "origin": self._origin}
        if type(record) in TABLES and not self._choose_row(record, values):
            return
        if isinstance(record, MessageRecord):
            self._find_claim(record, values)
        elif isinstance(record, SubscriptionRecord):
            self._memory.use(ARRIVING, subscriptions=1)
        elif isinstance(record, NoticeRecord):
            values["count"] = len(record.messages)
            values["expires"] = max(message.expires for message in record.messages)
            values["messages"] = _encode_messages(record.messages)
        self._db.execute(INSERTS[type(record)], values)

    def _choose_row(self, record: Record, values: dict[str, Any]) -> bool:
        """Choose the row of a record; return False if it is stored already.

        The row is the number of its id, so that it sorts by its age among others, or
        the next one that is free and after the last one. New ids will sort after it.
        """
        rows, within = TABLES[type(record)]
        id_ = values["id"]
        if rows.find(self._db, id_, *(values[name] for name in within)):
            return False
        number = decode_seq(id_) or 0
        seq = max(number, self._last.get(type(record), 0) + 1)
        while rows.is_taken(self._db, seq):
            seq += 1
        if type(record) in self._last:
            self._last[type(record)] = seq
        sequence = self._memory.sequence
        sequence.last = max(sequence.last, seq)
        alias = None if seq == number else number
        values |= {"seq": seq, "alias": alias, "secret": decode_secret(id_)}
        return True

    def _find_claim(self, record: MessageRecord, values: dict[str, Any]) -> None:
        """Add the state of a message and the row of its claim; count it."""
        claim = None
        if record.claim_id is not None:
            claim = CLAIM_ROWS.find(self._db, record.claim_id, self.backlog)
        hidden = POSTPONED if record.postponed else DELAYED
        state = FREE if record.visible is None else hidden
        values["state"] = state if claim is None else CLAIMED
        values["claim"] = None if claim is None else claim[0]
        counted = (1, len(record.body), int(claim is not None))
        self._memory.count(ARRIVING, self.backlog, *counted)


# -- counting ---------------------------------------------------------------------


@reads(QueueContents)
async def contents(engine: Engine, command: QueueContents) -> Contents:
    """Count rows, messages some at a time."""
    key, db, now = QueueKey(command.space, command.queue), engine.reader, command.now
    seal = engine.memory.seals.committed.get(key)
    if seal is None or seal.kind is SealKind.GONE:
        raise QueueChanged(f"queue {command.queue!r} neither leaves nor arrives")
    name = stored_name(key, seal)
    queue = load_queue(db, *name)
    backlog = 0 if queue is None else queue.backlog
    subscriptions, waiting = fetch(db, COUNT_SUBSCRIPTIONS, (*name, now))[0]
    notices = fetch(db, COUNT_NOTICES, name)[0][0] if subscriptions else 0
    claims, claimed = fetch(db, COUNT_CLAIMS, (backlog, now))[0]
    return Contents(
        queues=int(queue is not None),
        posts=0 if queue is None else fetch(db, COUNT_POSTS, (queue.origin, now))[0][0],
        messages=await count_messages(db, backlog, now, math.inf),
        claims=claims,
        claimed=claimed,
        subscriptions=subscriptions,
        waiting=int(waiting),
        notices=notices,
    )
