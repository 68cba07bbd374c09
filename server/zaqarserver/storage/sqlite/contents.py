"""What a queue has that leaves or arrives, counted row by row."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate

import apsw

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import Contents, SealKind
from zaqarserver.storage.sqlite.ledger import Ledger, load_entry
from zaqarserver.storage.sqlite.moving import QUEUE_RECORD, Place, arriving
from zaqarserver.storage.sqlite.queues import count_messages
from zaqarserver.storage.sqlite.statements import fetch

QUEUE_ARRIVED = "SELECT 1 FROM arrival WHERE seal = ? AND id = ?"
CLAIMS = """
    SELECT count(DISTINCT c.seq), count(*)
      FROM claim c JOIN message m ON m.claim = c.seq
     WHERE c.backlog = ? AND c.expires > ?
"""
SUBSCRIPTIONS = """
    SELECT seq, (SELECT count(*) FROM delivery WHERE subscription = seq)
      FROM subscription
     WHERE project = ? AND source = ? AND expires > ? AND volatile = 0
     ORDER BY seq
"""
NOTICES = """
    SELECT -1 - reached, newest FROM notice
     WHERE reached < 0 AND project = ? AND source = ?
"""


async def count(
    db: apsw.Connection, ledger: Ledger, place: Place, now: float
) -> Contents:
    """Count what the contract says; see :class:`~zaqarserver.storage.moving.Contents`.

    Raises:
        QueueChanged: The queue neither leaves nor arrives.
    """
    sealed = ledger.seals.committed_get(*place)
    if sealed is None or sealed.kind is SealKind.GONE:
        raise QueueChanged(f"queue {place.queue!r} neither leaves nor arrives")
    if sealed.kind is SealKind.ARRIVING:
        queues = len(fetch(db, QUEUE_ARRIVED, (sealed.id, QUEUE_RECORD)))
        backlog, place = sealed.backlog, arriving(sealed)
    else:
        entry = load_entry(db, *place)
        queues = int(entry is not None)
        backlog = None if entry is None else entry.backlog
    waiting = _waiting(db, place, now)
    claims, claimed = fetch(db, CLAIMS, (backlog, now))[0]
    return Contents(
        queues=queues,
        messages=await count_messages(db, backlog or 0, now, math.inf),
        claims=claims,
        claimed=claimed,
        subscriptions=len(waiting),
        waiting=sum(1 for one in waiting if one),
        deliveries=sum(waiting),
    )


def _waiting(db: apsw.Connection, place: Place, now: float) -> list[int]:
    """Return how many notices each subscription is to be told of."""
    rows = fetch(db, SUBSCRIPTIONS, (*place, now))
    listening = [seq for seq, _ in rows]
    # Where the notices that are not spread yet begin and end to wait for somebody.
    steps = [0] * (len(listening) + 1)
    for reached, newest in fetch(db, NOTICES, place):
        steps[bisect_right(listening, reached)] += 1
        steps[bisect_right(listening, newest)] -= 1
    return [made + due for (_, made), due in zip(rows, accumulate(steps), strict=False)]
