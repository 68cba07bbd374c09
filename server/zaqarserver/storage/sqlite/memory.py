"""The writer's memory, in two layers.

Writes run one after the other in one open transaction (see ``writer``). Their changes
in memory must become visible to readers when the transaction is committed, and vanish
if it is rolled back. So what writes and reads share is in :class:`Layered` mappings:
the lower layer is committed, the upper one has the changes of the open transaction. A
write reads through both layers, a read only the lower one. :meth:`Memory.commit` merges
the upper layer into the lower one, and :meth:`Memory.roll_back` drops it.

Counters and times of a backlog change with nearly every write; they are written
once a transaction, in :meth:`Memory.flush`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw
import msgspec

from zaqarserver.common.lru import LRU
from zaqarserver.storage.accounts import Usage
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.ids import RESERVED_TICKS, Sequence
from zaqarserver.storage.sqlite.layers import (
    ARRIVING,
    Layered,
    Listeners,
    NumberedSeal,
    QueueKey,
    QueueRow,
    load_queue,
)
from zaqarserver.storage.subscriptions import Post

#: How many queues (also missing ones) and backlogs are cached.
REMEMBERED = 10_000

RESERVED = "SELECT reserved FROM store"
RESERVE = "UPDATE store SET reserved = ?"

# What is in memory completely, from the start.
USED = """
    SELECT project, count(*), sum(messages), sum(bytes) FROM backlog
     WHERE dead = 0 GROUP BY project
"""
SUBSCRIBED = """
    SELECT project, count(*) FROM subscription GROUP BY project
"""
REVOKED = "SELECT project, queue, id FROM signed_url WHERE revoked = 1"
SEALS = "SELECT project, queue, epoch, kind, id FROM seal"

NOTICE_QUEUE = """
    SELECT project, source FROM notice
     WHERE (project, source) > (?, ?) ORDER BY project, source LIMIT 1
"""
IDLE_BEHIND = """
    SELECT 1 FROM subscription
     WHERE project = ?1 AND source = ?2 AND due IS NULL AND volatile = 0
       AND cursor < (SELECT max(number) FROM notice WHERE project = ?1 AND source = ?2)
     LIMIT 1
"""
BACKLOG_COUNT = """
    UPDATE backlog SET messages = messages + ?, claimed = claimed + ?,
                       bytes = bytes + ?
     WHERE id = ?
"""
BACKLOG_DUE = "SELECT due FROM backlog WHERE id = ?"
BACKLOG_SET_DUE = "UPDATE backlog SET due = ? WHERE id = ?"

_NOTHING = Usage()
_UNCHANGED = ("", 0, 0, 0)


class Memory:
    """The writer's memory.

    Args:
        db: The writer's connection, when nothing has been changed yet.

    Attributes:
        db: The writer's connection.
        sequence: Assigns the numbers of ids.
        usage: The usage of each space. It is not written, since the backlogs have it:
            one pass over them at the start costs less than one more row changed by
            every transaction.
        revoked: True for each revoked, unexpired grant. Every request with a
            signature looks its grant up; nearly always it is not here.
        seals: The queues that the store refuses; every command checks them.
        opened: The epochs with which queues came into service. In memory is enough:
            only this process moves the queues of its file, so no step of a move that
            is over comes after a restart.
        queues: The rows of queues; ``None`` for one that does not exist.
        due: Before this time the passing of time changes nothing in a backlog.
        listeners: The subscriptions of a queue as the open transaction sees them.
        counts: The changes of the counters of backlogs by the transaction: their space,
            and messages, claimed messages, bytes.
        posts: The posts of the transaction to volatile subscriptions.
        has_due: True if it made a delivery due.
        freed: The queues of which it has made messages free, other than because of the
            time.
        swept: The last queue whose notices the sweeper has looked at.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.sequence = Sequence(fetch(db, RESERVED)[0][0])
        self.usage: Layered[str, Usage] = Layered({})
        self.revoked: Layered[tuple[str, str, str], bool] = Layered(
            dict.fromkeys(fetch(db, REVOKED), True)
        )
        self.seals: Layered[tuple[str, str], NumberedSeal] = Layered(
            {row[:2]: msgspec.convert(row, NumberedSeal) for row in fetch(db, SEALS)}
        )
        self.opened: Layered[tuple[str, str], int] = Layered(LRU(REMEMBERED))
        self._queues_read: LRU[tuple[str, str], QueueRow | None] = LRU(REMEMBERED)
        self.queues = Layered(self._queues_read)
        self.due: Layered[int, float] = Layered(LRU(REMEMBERED))
        self._layers: list[Layered[Any, Any]] = [
            one for one in vars(self).values() if isinstance(one, Layered)
        ]
        self.listeners: LRU[QueueKey, Listeners] = LRU(REMEMBERED)
        self._unseen: dict[QueueKey, None] | None = self._load_unseen()
        self.swept = QueueKey("", "")
        self._floors: LRU[int, int] = LRU(REMEMBERED)
        self.counts: dict[int, tuple[str, int, int, int]] = {}
        self._unswept: Counter[int] = Counter()
        self.posts: list[Post] = []
        self.has_due = False
        self.freed: set[QueueKey] = set()
        for space, queues, messages, size in fetch(db, USED):
            self.use(space, queues, messages, size)
        for space, subscriptions in fetch(db, SUBSCRIBED):
            self.use(space, subscriptions=subscriptions)
        self.commit()

    # -- the transaction ----------------------------------------------------

    def flush(self) -> None:
        """Write the changes that are held until the end of the transaction."""
        self.write_due()
        for backlog, (space, messages, claimed, size) in self.counts.items():
            self.db.execute(BACKLOG_COUNT, (messages, claimed, size, backlog))
            if messages or size:
                self.use(space, messages=messages, size=size)
        self.counts.clear()
        if self.sequence.last > self.sequence.reserved:
            self.sequence.reserved = self.sequence.last + RESERVED_TICKS
            self.db.execute(RESERVE, (self.sequence.reserved,))

    def write_due(self) -> None:
        """Write the changed times, so that statements see them."""
        for backlog, due in self.due.pending.items():
            stored = None if due == math.inf else due
            self.db.execute(BACKLOG_SET_DUE, (stored, backlog))

    def commit(self) -> None:
        """Make the changes of the transaction visible to readers."""
        for layered in self._layers:
            if layered.pending:
                layered.commit()

    def roll_back(self) -> None:
        """Drop the changes of the transaction.

        Numbers that were assigned are not assigned again: the next transaction reserves
        more.
        """
        for layered in self._layers:
            layered.pending.clear()
        self.counts.clear()
        self._floors.clear()
        self.listeners.clear()
        self._unseen = None
        self.take_posts()
        self.take_freed()
        self.sequence.reserved = 0

    def take_posts(self) -> tuple[list[Post], bool]:
        """Return the arguments of the callbacks after the commit, and reset them."""
        posts, has_due = self.posts, self.has_due
        self.posts, self.has_due = [], False
        return posts, has_due

    def take_freed(self) -> set[QueueKey]:
        """Return the queues with messages that became free, and reset them."""
        freed, self.freed = self.freed, set()
        return freed

    # -- notices ------------------------------------------------------------

    @property
    def unseen(self) -> dict[QueueKey, None]:
        """The queues with notices that idle subscriptions may not have got.

        In turn: what a take has looked at is moved to the end, or removed.
        """
        if self._unseen is None:
            self._unseen = self._load_unseen()
        return self._unseen

    def _load_unseen(self) -> dict[QueueKey, None]:
        found: dict[QueueKey, None] = {}
        last = QueueKey("", "")
        while rows := fetch(self.db, NOTICE_QUEUE, last):
            last = QueueKey(*rows[0])
            if fetch(self.db, IDLE_BEHIND, last):
                found[last] = None
        return found

    @property
    def has_unseen(self) -> bool:
        """True if there may be one."""
        return self._unseen is None or bool(self._unseen)

    def is_frozen(self, key: QueueKey) -> bool:
        """Return True if the queue leaves or arrives: its notices are not touched."""
        return key.space == ARRIVING or self.seals.get(key) is not None

    # -- queues -------------------------------------------------------------

    def committed_queue(
        self, db: apsw.Connection, space: str, queue: str
    ) -> QueueRow | None:
        """Return a queue as committed, also one that the store refuses.

        It is read through ``db`` if it is not cached; missing queues are cached, too.
        """
        key = (space, queue)
        try:
            row = self._queues_read[key]
        except KeyError:
            row = self._queues_read[key] = load_queue(db, space, queue)
        else:
            self._queues_read.move_to_end(key)
        return row

    def queue(self, space: str, queue: str) -> QueueRow | None:
        """Return a queue as the open transaction sees it.

        Raises:
            QueueMoving: The store refuses it.
        """
        self.check_seal(space, queue)
        return self.sealed_queue(space, queue)

    def sealed_queue(self, space: str, queue: str) -> QueueRow | None:
        """Return the same, also for a queue that the store refuses."""
        key = (space, queue)
        if key in self.queues.pending:
            return self.queues.pending[key]
        return self.committed_queue(self.db, space, queue)

    def check_seal(self, space: str, queue: str) -> None:
        """Raise an error if the queue is sealed in the open transaction.

        Raises:
            QueueMoving: The queue is sealed.
        """
        if self.seals.pending or self.seals.committed:
            seal = self.seals.get((space, queue))
            if seal is not None:
                seal.refuse()

    # -- backlogs -----------------------------------------------------------

    def count(
        self, space: str, backlog: int, messages: int, size: int, claimed: int = 0
    ) -> None:
        """Count messages, and bytes of their bodies, added to a backlog or removed."""
        _, old, old_claimed, old_size = self.counts.get(backlog, _UNCHANGED)
        counts = (space, old + messages, old_claimed + claimed, old_size + size)
        self.counts[backlog] = counts

    def count_claimed(self, backlog: int, claimed: int) -> None:
        """Count messages of a backlog that are claimed now, or not any longer."""
        space, messages, old, size = self.counts.get(backlog, _UNCHANGED)
        self.counts[backlog] = (space, messages, old + claimed, size)

    def use(
        self,
        space: str,
        queues: int = 0,
        messages: int = 0,
        size: int = 0,
        subscriptions: int = 0,
    ) -> None:
        """Add to the usage of a space, or subtract from it."""
        old = self.usage.get(space) or _NOTHING
        new = Usage(
            old.queues + queues,
            old.messages + messages,
            old.bytes + size,
            old.subscriptions + subscriptions,
        )
        uses = new.queues or new.messages or new.subscriptions
        self.usage.pending[space] = new if uses else None

    def due_of(self, backlog: int) -> float:
        """Return a time before which time changes nothing in the backlog."""
        changed = self.due.pending.get(backlog)
        return self.committed_due(self.db, backlog) if changed is None else changed

    def committed_due(self, db: apsw.Connection, backlog: int) -> float:
        """Return the same as committed, read through ``db`` if it is not cached."""
        due = self.due.committed.get(backlog)
        if due is None:
            rows = fetch(db, BACKLOG_DUE, (backlog,))
            due = math.inf if not rows or rows[0][0] is None else float(rows[0][0])
            self.due.committed[backlog] = due
        return due

    def lower_due(self, backlog: int, time: float) -> None:
        """Record that time changes something in the backlog at ``time``."""
        if time < self.due_of(backlog):
            self.due.pending[backlog] = time

    @contextmanager
    def no_sweep(self, backlog: int) -> Iterator[None]:
        """Stop the sweeper while expired rows are counted in steps."""
        self._unswept[backlog] += 1
        try:
            yield
        finally:
            self._unswept[backlog] -= 1
            self._unswept += Counter()  # drops those at zero

    def is_sweepable(self, backlog: int) -> bool:
        """Return False if the sweeper must not remove rows now."""
        return backlog not in self._unswept

    # -- where free messages begin ------------------------------------------

    def floor(self, backlog: int) -> int:
        """Return a number up to which all free rows have expired; see ``claims``."""
        return self._floors.get(backlog, 0)

    def raise_floor(self, backlog: int, seq: int) -> None:
        """Record that all free rows up to ``seq`` have expired."""
        self._floors[backlog] = max(seq, self._floors.get(backlog, 0))

    def lower_floor(self, backlog: int, seq: int) -> None:
        """Record that the row ``seq`` became free."""
        if self._floors.get(backlog, 0) >= seq:
            self._floors[backlog] = seq - 1
