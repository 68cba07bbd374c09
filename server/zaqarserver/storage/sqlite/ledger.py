"""What the writer knows in memory, and how it follows the transaction.

Operations run one after the other inside one transaction on the writer's
connection. What they learn or change in memory is kept here in two layers:
what is committed, which readers may use as well, and what the open transaction
has changed, which becomes committed, or is forgotten, together with it.
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
from zaqarserver.storage.base import Metadata
from zaqarserver.storage.sqlite import statements as sql
from zaqarserver.storage.sqlite.audience import Audience, load_audience
from zaqarserver.storage.sqlite.ids import RESERVED_TICKS, Sequence
from zaqarserver.storage.sqlite.revocations import Revocations
from zaqarserver.storage.sqlite.seals import Seals
from zaqarserver.storage.sqlite.tally import Tally
from zaqarserver.storage.subscriptions import Posted

#: How many queues (also missing ones) and backlogs are remembered.
REMEMBERED = 10_000

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A row of the queue table.

    Attributes:
        backlog: Where its messages are.
        revision: As in the contract.
        metadata: As stored; shared, so never changed in place.
    """

    backlog: int
    revision: int
    metadata: Metadata


_Key = tuple[str, str]


def load_entry(db: apsw.Connection, project: str, queue: str) -> Entry | None:
    """Read a queue's row."""
    rows = sql.fetch(db, sql.QUEUE_FIND, (project, queue))
    if not rows:
        return None
    backlog, revision, metadata = rows[0]
    return Entry(backlog, revision, _decode(metadata))


class Ledger:
    """The writer's memory.

    Attributes:
        db: The writer's connection.
        sequence: Gives out ids.
        tally: What each project keeps.
        revoked: The grants that were revoked.
        seals: The queues that the store refuses.
        posted: What the open transaction posted to volatile subscriptions.
        noticed: Whether it made something due for delivery.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self.db = db
        self.sequence = Sequence(sql.fetch(db, sql.STORE_RESERVED)[0][0])
        self.tally = Tally(db)
        self.revoked = Revocations(db)
        self.seals = Seals(db)
        self._counting: Counter[int] = Counter()
        self._entries: LRU[_Key, Entry | None] = LRU(REMEMBERED)
        self._changed_entries: dict[_Key, Entry | None] = {}
        self._due: dict[int, float] = {}
        self._changed_due: dict[int, float] = {}
        self._volume: dict[int, tuple[int, int, int]] = {}
        self._floor: dict[int, int] = {}
        self._audiences: LRU[_Key, Audience] = LRU(REMEMBERED)
        self.posted: list[Posted] = []
        self.noticed = False

    # -- queues -------------------------------------------------------------

    def committed_entry(
        self, db: apsw.Connection, project: str, queue: str
    ) -> Entry | None:
        """Return a queue as committed; missing ones are remembered as well.

        Args:
            db: The connection to ask if it is not remembered.
            project: The project.
            queue: The queue.

        Raises:
            QueueMoving: The store refuses it.
        """
        self.seals.committed_check(project, queue)
        return self._known_entry(db, project, queue)

    def _known_entry(
        self, db: apsw.Connection, project: str, queue: str
    ) -> Entry | None:
        key = (project, queue)
        try:
            entry = self._entries[key]
        except KeyError:
            entry = self._entries[key] = load_entry(db, project, queue)
        else:
            self._entries.move_to_end(key)
        return entry

    def entry(self, project: str, queue: str) -> Entry | None:
        """Return a queue as the open transaction sees it.

        Raises:
            QueueMoving: The store refuses it.
        """
        self.seals.check(project, queue)
        return self.sealed_entry(project, queue)

    def sealed_entry(self, project: str, queue: str) -> Entry | None:
        """Return the same, also of a queue that the store refuses."""
        key = (project, queue)
        if key in self._changed_entries:
            return self._changed_entries[key]
        return self._known_entry(self.db, project, queue)

    def create(
        self,
        project: str,
        queue: str,
        metadata: Metadata,
        backlog: int | None = None,
    ) -> Entry:
        """Make a queue that does not exist, on a new backlog if none is given."""
        if backlog is None:
            backlog = self.new_backlog(project)
        entry = Entry(backlog, self.sequence.secret(), metadata)
        self.db.execute(
            sql.QUEUE_INSERT,
            (project, queue, entry.backlog, entry.revision, _encode(metadata)),
        )
        self.tally.add(project, queues=1)
        self._changed_entries[project, queue] = entry
        return entry

    def replace(self, project: str, queue: str, entry: Entry) -> None:
        """Store a changed row of a queue that exists."""
        self.db.execute(
            sql.QUEUE_UPDATE,
            (project, queue, entry.backlog, entry.revision, _encode(entry.metadata)),
        )
        self._changed_entries[project, queue] = entry

    def remove(self, project: str, queue: str, entry: Entry) -> None:
        """Remove a queue that exists; its rows are left to the sweeper."""
        self.db.execute(sql.QUEUE_DELETE, (project, queue))
        self.tally.add(project, queues=-1)
        self.bury(project, entry.backlog)
        self._changed_entries[project, queue] = None

    # -- backlogs -----------------------------------------------------------

    def new_backlog(self, project: str) -> int:
        """Make an empty backlog and return its number."""
        number: int = sql.fetch(self.db, sql.BACKLOG_INSERT, (project,))[0][0]
        self._changed_due[number] = math.inf
        return number

    def bury(self, project: str, backlog: int) -> None:
        """Give a backlog to the sweeper; what is in it counts no more."""
        row = sql.fetch(self.db, sql.BACKLOG_BURY, (backlog,))[0]
        messages, size = self._with_unwritten(backlog, row)
        self.tally.add(project, messages=-messages, size=-size)
        self._changed_due[backlog] = -math.inf

    def hand_over(self, backlog: int, old: str, new: str) -> None:
        """Give a backlog, with what is in it, from one project to another."""
        row = sql.fetch(self.db, sql.BACKLOG_HAND_OVER, (new, backlog))[0]
        messages, size = self._with_unwritten(backlog, row)
        self.tally.add(old, messages=-messages, size=-size)
        self.tally.add(new, messages=messages, size=size)

    def _with_unwritten(self, backlog: int, row: sql.Row) -> tuple[int, int]:
        unwritten = self._volume.get(backlog, (0, 0, 0))
        return row[0] + unwritten[0], row[1] + unwritten[2]

    def count(
        self, backlog: int, messages: int = 0, claimed: int = 0, size: int = 0
    ) -> None:
        """Note how many rows, and bytes of bodies, came or went.

        It is written once a transaction.
        """
        old = self._volume.get(backlog, (0, 0, 0))
        self._volume[backlog] = (old[0] + messages, old[1] + claimed, old[2] + size)

    def keep(
        self, project: str, backlog: int, messages: int, size: int, claimed: int = 0
    ) -> None:
        """Note the same of what a project keeps; negative for what it lost."""
        self.count(backlog, messages, claimed, size)
        self.tally.add(project, messages=messages, size=size)

    def due(self, backlog: int) -> float:
        """Return a time before which nothing in the backlog changes by itself."""
        changed = self._changed_due.get(backlog)
        return self.committed_due(self.db, backlog) if changed is None else changed

    def committed_due(self, db: apsw.Connection, backlog: int) -> float:
        """Return the same as committed, read through ``db`` if not remembered."""
        due = self._due.get(backlog)
        if due is None:
            rows = sql.fetch(db, sql.BACKLOG_DUE, (backlog,))
            due = math.inf if not rows or rows[0][0] is None else float(rows[0][0])
            self._due[backlog] = due
        return due

    def lower_due(self, backlog: int, time: float) -> None:
        """Note that something in the backlog changes by itself at ``time``."""
        if time < self.due(backlog):
            self._changed_due[backlog] = time

    def set_due(self, backlog: int, time: float) -> None:
        """Set the time, whatever is in the backlog."""
        self._changed_due[backlog] = time

    def find_due(self, backlog: int) -> None:
        """Work out the time anew, after what was due has been done."""
        rows = sql.fetch(self.db, sql.BACKLOG_FIND_DUE, (backlog,))
        times = [time for time in rows[0] if time is not None]
        due = min(times, default=math.inf)
        if due != self.due(backlog):
            self._changed_due[backlog] = due

    @contextmanager
    def no_sweep(self, backlog: int) -> Iterator[None]:
        """Keep the sweeper away, for one that counts expired rows in steps."""
        self._counting[backlog] += 1
        try:
            yield
        finally:
            self._counting[backlog] -= 1
            self._counting += Counter()  # forgets those at zero

    def unsweepable(self, backlog: int) -> bool:
        """Tell whether somebody keeps the sweeper away."""
        return backlog in self._counting

    # -- where free messages begin ------------------------------------------

    def floor(self, backlog: int) -> int:
        """Return a number up to which no free row is live.

        It lets a claim start behind a long run of messages that have expired
        and are not swept yet. Delayed rows are not covered by it.
        """
        return self._floor.get(backlog, 0)

    def raise_floor(self, backlog: int, seq: int) -> None:
        """Note that no free row up to ``seq`` is live."""
        self._floor[backlog] = max(seq, self._floor.get(backlog, 0))

    def lower_floor(self, backlog: int, seq: int) -> None:
        """Note that the row ``seq`` became free."""
        if self._floor.get(backlog, 0) >= seq:
            self._floor[backlog] = seq - 1

    # -- who listens ----------------------------------------------------------

    def audience(self, project: str, source: str) -> Audience:
        """Return who listens to a queue, as the open transaction sees it."""
        key = (project, source)
        known = self._audiences.use(key)
        if known is None:
            known = self._audiences[key] = load_audience(self.db, project, source)
        return known

    def forget_audience(self, project: str, source: str) -> None:
        """Note that the subscriptions of a queue changed."""
        self._audiences.pop((project, source), None)

    def take_news(self) -> tuple[list[Posted], bool]:
        """Return what is to be told after the commit, once."""
        posted, noticed = self.posted, self.noticed
        self.posted, self.noticed = [], False
        return posted, noticed

    # -- the transaction ----------------------------------------------------

    def flush(self) -> None:
        """Write what is kept back until the end of the transaction."""
        self.write_due()
        for backlog, volume in self._volume.items():
            self.db.execute(sql.BACKLOG_COUNT, (*volume, backlog))
        self._volume.clear()
        if self.sequence.last > self.sequence.reserved:
            self.sequence.reserved = self.sequence.last + RESERVED_TICKS
            self.db.execute(sql.STORE_RESERVE, (self.sequence.reserved,))

    def write_due(self) -> None:
        """Write the changed times, so that statements see them."""
        for backlog, due in self._changed_due.items():
            stored = None if due == math.inf else due
            self.db.execute(sql.BACKLOG_SET_DUE, (stored, backlog))

    def committed(self) -> None:
        """Let readers see what the transaction changed."""
        self.tally.committed()
        self.revoked.committed()
        self.seals.committed()
        for key, entry in self._changed_entries.items():
            self._entries[key] = entry
        self._changed_entries.clear()
        self._due.update(self._changed_due)
        self._changed_due.clear()
        if len(self._due) > REMEMBERED:
            self._due.clear()
        if len(self._floor) > REMEMBERED:
            self._floor.clear()

    def rolled_back(self) -> None:
        """Forget what the transaction changed.

        Numbers that were given out are not given out again; the file has to be
        told anew.
        """
        self.tally.rolled_back()
        self.revoked.rolled_back()
        self.seals.rolled_back()
        self._changed_entries.clear()
        self._changed_due.clear()
        self._volume.clear()
        self._floor.clear()
        self._audiences.clear()
        self.take_news()
        self.sequence.reserved = 0


def _encode(metadata: Metadata) -> str:
    return msgspec.json.encode(metadata).decode()
