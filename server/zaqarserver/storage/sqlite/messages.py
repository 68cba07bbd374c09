"""What is done to messages inside a transaction."""

from __future__ import annotations

import hmac
from collections.abc import Generator, Sequence
from typing import NamedTuple

from zaqarserver.errors import ClaimNotLive, MessageClaimed
from zaqarserver.storage.base import Message, NewMessage
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.deliveries import note
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ids import decode_seq, encode_id
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import Row
from zaqarserver.storage.sqlite.walks import Walk, read_message

#: How many rows are inserted between two looks at the clock.
POST_STEP = 200

#: How many claims, and delayed messages, one operation sets free at most.
SETTLE_CLAIMS = 10
SETTLE_DELAYED = 100


class Wanted(NamedTuple):
    """Which free messages a claim or a pop asks for.

    Attributes:
        limit: How many at most. A run of more than :data:`STEP` dead rows may
            cut it short, never to nothing.
        now: The time.
        walk: Which states count as free.
        at: Where an earlier attempt has stopped, or 0.
    """

    limit: int
    now: float
    walk: Walk
    at: int = 0


class Again(NamedTuple):
    """The operation is not done: it is to be run again, from there.

    Attributes:
        position: The last row that was looked at.
    """

    position: int


# -- posting ----------------------------------------------------------------


@grows
def post_many(
    ledger: Ledger,
    project: str,
    queue: str,
    client_id: str,
    messages: Sequence[NewMessage],
    now: float,
) -> Generator[None, None, list[str]]:
    """Insert messages, some at a time."""
    entry = ledger.entry(project, queue) or ledger.create(project, queue, {})
    ids: list[str] = []
    for start in range(0, len(messages), POST_STEP):
        if start:
            yield
        some = messages[start:][:POST_STEP]
        _insert(ledger, project, entry.backlog, client_id, some, now, ids)
    note(ledger, project, queue, messages, ids, now)
    return ids


@grows
def post(
    ledger: Ledger,
    project: str,
    queue: str,
    client_id: str,
    messages: Sequence[NewMessage],
    now: float,
) -> list[str]:
    """Insert messages in one go."""
    entry = ledger.entry(project, queue) or ledger.create(project, queue, {})
    ids: list[str] = []
    _insert(ledger, project, entry.backlog, client_id, messages, now, ids)
    note(ledger, project, queue, messages, ids, now)
    return ids


def _insert(
    ledger: Ledger,
    project: str,
    backlog: int,
    client_id: str,
    messages: Sequence[NewMessage],
    now: float,
    ids: list[str],
) -> None:
    due = ledger.due(backlog)
    size = 0
    for new in messages:
        seq, secret = ledger.sequence.take(now)
        expires = now + new.ttl
        visible = now + new.delay if new.delay > 0 else None
        state = sql.FREE if visible is None else sql.DELAYED
        ledger.db.execute(
            sql.MESSAGE_INSERT,
            (
                seq,
                backlog,
                state,
                secret,
                now,
                expires,
                visible,
                new.ttl,
                client_id,
                new.checksum,
                new.body,
            ),
        )
        size += len(new.body)
        due = min(due, expires if visible is None else min(expires, visible))
        ids.append(encode_id(seq, secret))
    ledger.lower_due(backlog, due)
    ledger.keep(project, backlog, len(messages), size)


# -- what time does ---------------------------------------------------------


def settle(ledger: Ledger, backlog: int, now: float) -> bool:
    """Free the messages of expired claims and show those that were delayed.

    After it, a row's state is the message's state at ``now``.

    Returns:
        Whether it is done; some is left otherwise.
    """
    if now < ledger.due(backlog):
        return True
    claims = sql.fetch(ledger.db, sql.CLAIM_DUE, (backlog, now, SETTLE_CLAIMS))
    for (claim,) in claims:
        release(ledger, backlog, claim)
    shown = sql.fetch(ledger.db, sql.MESSAGE_SHOW, (backlog, now, SETTLE_DELAYED))
    for (seq,) in shown:
        ledger.lower_floor(backlog, seq)
    if len(claims) == SETTLE_CLAIMS or len(shown) == SETTLE_DELAYED:
        return False
    ledger.find_due(backlog)
    return True


def release(ledger: Ledger, backlog: int, claim: int) -> int:
    """End a claim and free its messages; return how many those were."""
    rows = sql.fetch(ledger.db, sql.CLAIM_RELEASE, (claim,))
    ledger.db.execute(sql.CLAIM_DELETE, (claim,))
    for seq, visible in rows:
        if visible is None:
            ledger.lower_floor(backlog, seq)
        else:
            ledger.lower_due(backlog, visible)
    ledger.count(backlog, claimed=-len(rows))
    return len(rows)


# -- deleting ---------------------------------------------------------------


class Held(NamedTuple):
    """A live message and who holds it.

    Attributes:
        seq: The message.
        size: Bytes of its body.
        claim: The claim named in its row, live or not.
        claim_id: The id of the live claim, or ``None``.
    """

    seq: int
    size: int
    claim: int | None
    claim_id: str | None


def find_held(ledger: Ledger, backlog: int, message_id: str, now: float) -> Held | None:
    """Find a live message by its id."""
    row = sql.MESSAGE_HOLDER.find(ledger.db, message_id, backlog, now)
    if row is None:
        return None
    seq, _, size, claim, live, secret = row
    return Held(seq, size, claim, None if live is None else encode_id(live, secret))


def remove(
    ledger: Ledger, project: str, backlog: int, messages: Sequence[Held]
) -> None:
    """Delete messages, and the claims that hold nothing any more."""
    for message in messages:
        ledger.db.execute(sql.MESSAGE_DELETE, (message.seq,))
    claims = [message.claim for message in messages if message.claim is not None]
    for claim in set(claims):
        if not sql.fetch(ledger.db, sql.CLAIM_HOLDS, (claim,)):
            ledger.db.execute(sql.CLAIM_DELETE, (claim,))
    size = sum(message.size for message in messages)
    ledger.keep(project, backlog, -len(messages), -size, -len(claims))


def delete(
    ledger: Ledger,
    project: str,
    queue: str,
    message_id: str,
    claim_id: str | None,
    now: float,
) -> None:
    """Delete one message under the rules of the contract."""
    entry = ledger.entry(project, queue)
    if entry is None:
        return
    held = find_held(ledger, entry.backlog, message_id, now)
    if held is None:
        return
    if held.claim_id is None:
        if claim_id is not None:
            raise ClaimNotLive("the claim has expired or does not hold the message")
    elif claim_id is None or not _matches(claim_id, held.claim_id):
        if claim_id is not None and not _is_live(ledger, entry.backlog, claim_id, now):
            raise ClaimNotLive("the claim is unknown or has expired")
        raise MessageClaimed("the message is claimed; name its claim to delete it")
    remove(ledger, project, entry.backlog, [held])


def delete_many(
    ledger: Ledger,
    project: str,
    queue: str,
    ids: Sequence[str],
    claim_ids: Sequence[str] | None,
    now: float,
) -> None:
    """Delete several messages, all or none."""
    entry = ledger.entry(project, queue)
    if entry is None:
        return
    found = [find_held(ledger, entry.backlog, one, now) for one in dict.fromkeys(ids)]
    messages = [held for held in found if held is not None]
    if claim_ids is not None:
        for held in messages:
            holder = held.claim_id
            if holder is None or not any(_matches(c, holder) for c in claim_ids):
                raise MessageClaimed("a message is not under one of the claims named")
    remove(ledger, project, entry.backlog, messages)


def pop(
    ledger: Ledger, project: str, queue: str, wanted: Wanted
) -> list[Message] | Again:
    """Remove and return free messages."""
    entry = ledger.entry(project, queue)
    if entry is None:
        return []
    taken = take_free(ledger, entry.backlog, wanted)
    if isinstance(taken, Again):
        return taken
    gone = [Held(row[0], len(row[2]), None, None) for row in taken]
    remove(ledger, project, entry.backlog, gone)
    return [read_message(row, wanted.now) for row in taken]


def take_free(ledger: Ledger, backlog: int, wanted: Wanted) -> list[Row] | Again:
    """Find the oldest free rows; the caller must take every one of them away."""
    if not settle(ledger, backlog, wanted.now):
        return Again(wanted.at)
    after = (ledger.floor(backlog), wanted.at)
    rows, position = wanted.walk.step(
        ledger.db, backlog, after, wanted.now, wanted.limit
    )
    if position is not None and not rows:
        ledger.raise_floor(backlog, position)
        return Again(position)
    if rows:
        ledger.raise_floor(backlog, rows[-1][0])
    return rows


def _is_live(ledger: Ledger, backlog: int, claim_id: str, now: float) -> bool:
    return sql.CLAIM_FIND.find(ledger.db, claim_id, backlog, now) is not None


def _matches(given: str, holder: str) -> bool:
    return decode_seq(given) is not None and hmac.compare_digest(given, holder)
