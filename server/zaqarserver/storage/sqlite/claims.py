"""What is done to claims inside a transaction."""

from __future__ import annotations

from typing import NamedTuple

import apsw
import msgspec

from zaqarserver.errors import ClaimNotFound
from zaqarserver.storage.base import Claim, DeadLetter, Message
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.ids import encode_id
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.messages import Again, Wanted, release, take_free
from zaqarserver.storage.sqlite.statements import Row
from zaqarserver.storage.sqlite.walks import read_message

_BODY, _CLAIMS, _EXPIRES = 2, 5, 8


class Terms(msgspec.Struct, frozen=True, gc=False):
    """How long a claim lives, and its messages after it.

    Attributes:
        ttl: Seconds.
        grace: Seconds.
    """

    ttl: int
    grace: int


class Held(NamedTuple):
    """A live claim as stored."""

    seq: int
    secret: int
    ttl: int
    grace: int
    created: float


def create(
    ledger: Ledger,
    project: str,
    queue: str,
    wanted: Wanted,
    terms: Terms,
    dead_letter: DeadLetter | None,
) -> Claim | Again | None:
    """Claim the oldest free messages; see the contract."""
    entry = ledger.entry(project, queue)
    if entry is None:
        return None
    if dead_letter is not None:
        ledger.seals.check(project, dead_letter.queue)
    now = wanted.now
    rows = take_free(ledger, entry.backlog, wanted)
    if isinstance(rows, Again):
        return rows
    if dead_letter is not None:
        rows = _move_exhausted(ledger, project, entry.backlog, rows, dead_letter, now)
    if not rows:
        return None
    seq, secret = ledger.sequence.take(now)
    messages = _hold(ledger, rows, seq, encode_id(seq, secret), terms, now)
    _insert(ledger, entry.backlog, (seq, secret), terms, now)
    ledger.count(entry.backlog, claimed=len(rows))
    return Claim(encode_id(seq, secret), terms.ttl, terms.grace, 0, messages)


def _insert(
    ledger: Ledger, backlog: int, key: tuple[int, int], terms: Terms, now: float
) -> None:
    seq, secret = key
    expires = now + terms.ttl
    ledger.db.execute(
        sql.CLAIM_INSERT, (seq, backlog, secret, terms.ttl, terms.grace, now, expires)
    )
    ledger.lower_due(backlog, expires)


def _hold(
    ledger: Ledger,
    rows: list[Row],
    claim: int,
    claim_id: str,
    terms: Terms,
    now: float,
) -> list[Message]:
    """Put free rows under a claim, with the extension of ``rest-v2`` 5.4."""
    end = now + terms.ttl
    lasting = terms.ttl + terms.grace
    messages = []
    for row in rows:
        message = read_message(row, now)
        ttl = message.ttl
        if row[_EXPIRES] < end:
            ttl = lasting
            ledger.db.execute(
                sql.MESSAGE_CLAIM_EXTEND, (claim, ttl, end + terms.grace, row[0])
            )
        else:
            ledger.db.execute(sql.MESSAGE_CLAIM, (claim, row[0]))
        messages.append(
            msgspec.structs.replace(
                message,
                ttl=ttl,
                claim_id=claim_id,
                claim_count=message.claim_count + 1,
            )
        )
    return messages


def _move_exhausted(
    ledger: Ledger,
    project: str,
    backlog: int,
    rows: list[Row],
    dead_letter: DeadLetter,
    now: float,
) -> list[Row]:
    """Move what was claimed too often; return the other rows."""
    most = dead_letter.max_claim_count
    exhausted = [row for row in rows if row[_CLAIMS] >= most]
    if not exhausted:
        return rows
    name = dead_letter.queue
    target = (ledger.entry(project, name) or ledger.create(project, name, {})).backlog
    for row in exhausted:
        ttl, expires = row[3], row[_EXPIRES]
        if dead_letter.ttl is not None:
            ttl, expires = dead_letter.ttl, now + dead_letter.ttl
        ledger.db.execute(sql.MESSAGE_MOVE, (row[0], target, ttl, expires))
        ledger.lower_due(target, expires)
        ledger.lower_floor(target, row[0])
    size = sum(len(row[_BODY]) for row in exhausted)
    ledger.count(backlog, -len(exhausted), size=-size)
    ledger.count(target, len(exhausted), size=size)
    return [row for row in rows if row[_CLAIMS] < most]


def find(db: apsw.Connection, backlog: int, claim_id: str, now: float) -> Held | None:
    """Find a live claim by its id."""
    row = sql.CLAIM_FIND.find(db, claim_id, backlog, now)
    return None if row is None else Held(*row)


def get(db: apsw.Connection, backlog: int, claim_id: str, now: float) -> Claim:
    """Read a live claim with what it holds."""
    held = find(db, backlog, claim_id, now)
    if held is None:
        raise ClaimNotFound(f"no live claim {claim_id!r}")
    rows = sql.fetch(db, sql.CLAIM_MESSAGES, (held.seq, now))
    return Claim(
        id=claim_id,
        ttl=held.ttl,
        grace=held.grace,
        age=max(0, int(now - held.created)),
        messages=[read_message(row, now) for row in rows],
    )


def update(
    ledger: Ledger, project: str, queue: str, claim_id: str, terms: Terms, now: float
) -> None:
    """Renew a live claim."""
    entry = ledger.entry(project, queue)
    held = None if entry is None else find(ledger.db, entry.backlog, claim_id, now)
    if entry is None or held is None:
        raise ClaimNotFound(f"no live claim {claim_id!r}")
    end = now + terms.ttl
    ledger.db.execute(sql.CLAIM_RENEW, (held.seq, terms.ttl, terms.grace, now, end))
    ledger.db.execute(
        sql.CLAIM_EXTEND,
        (held.seq, end, terms.ttl + terms.grace, end + terms.grace),
    )
    ledger.lower_due(entry.backlog, end)


def delete(ledger: Ledger, project: str, queue: str, claim_id: str, now: float) -> None:
    """Release a live claim."""
    entry = ledger.entry(project, queue)
    if entry is None:
        return
    held = find(ledger.db, entry.backlog, claim_id, now)
    if held is not None:
        release(ledger, entry.backlog, held.seq)
