"""Posts with idempotency keys.

The row of a key is written in the transaction of its messages. It names the queue by
its *origin*, so the keys of a deleted queue are never found again; they are removed
when they expire.
"""

from __future__ import annotations

import apsw

from zaqarserver.errors import KeyReused
from zaqarserver.storage.posts import MessagePostOnce, PostGet
from zaqarserver.storage.records import PostOutcome
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.layers import QueueRow
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.messages import store_post
from zaqarserver.storage.sqlite.writer import Steps

KEY_FIND = "SELECT digest, ids FROM posted WHERE origin = ? AND key = ? AND expires > ?"
KEY_ADD = """
    INSERT OR REPLACE INTO posted (origin, key, digest, ids, expires)
    VALUES (?, ?, ?, ?, ?)
"""
EXPIRED = "SELECT 1 FROM posted WHERE expires <= ? LIMIT 1"
SWEEP = """
    DELETE FROM posted
     WHERE (origin, key) IN (SELECT origin, key FROM posted
                              WHERE expires <= ? ORDER BY expires LIMIT ?)
    RETURNING 1
"""


def _find(
    db: apsw.Connection, queue: QueueRow | None, command: MessagePostOnce | PostGet
) -> PostOutcome | None:
    """Return what an earlier post with the key has stored.

    Raises:
        KeyReused: It had other content.
    """
    if queue is None:
        return None
    known = fetch(db, KEY_FIND, (queue.origin, command.key, command.now))
    if not known:
        return None
    digest, ids = known[0]
    if digest != command.digest:
        raise KeyReused(command.key)
    return PostOutcome(ids.split(), is_replay=True)


@reads(PostGet)
async def get(engine: Engine, command: PostGet) -> PostOutcome | None:
    """Read by primary key."""
    return _find(engine.reader, engine.queue(command), command)


@writes(MessagePostOnce, grows=True)
def post_once(memory: Memory, command: MessagePostOnce) -> Steps[PostOutcome]:
    """Insert the messages and the key, unless the key is there."""
    space, name, key, now = command.space, command.queue, command.key, command.now
    found = _find(memory.db, memory.queue(space, name), command)
    if found is not None:
        return found
    made = yield from store_post(memory, command)
    queue = memory.sealed_queue(space, name)
    if queue is not None:
        row = (queue.origin, key, command.digest, " ".join(made), now + command.window)
        memory.db.execute(KEY_ADD, row)
    return PostOutcome(made)


def has_expired(db: apsw.Connection, now: float) -> bool:
    """Return True if a key has expired."""
    return bool(fetch(db, EXPIRED, (now,)))


def sweep(memory: Memory, now: float, limit: int) -> int:
    """Remove keys that have expired; return how many."""
    return len(fetch(memory.db, SWEEP, (now, limit)))
