"""The regular work of a server: sweep, record the time, check the store.

**The time.** A row contains the server's time with the readings of the machine's steady
clock and of the system's clock at the same moment. While the machine runs, the steady
clock measures how much time has passed since; after a restart of the machine, the
system's clock does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from zaqarserver.clock import steady, wall
from zaqarserver.errors import StoreDamaged
from zaqarserver.storage.sqlite import deliveries, keys
from zaqarserver.storage.sqlite.accounts import expired_grant, sweep_grants
from zaqarserver.storage.sqlite.backlogs import find_due
from zaqarserver.storage.sqlite.claims import CLAIM_DELETE, elapse
from zaqarserver.storage.sqlite.database import fetch
from zaqarserver.storage.sqlite.engine import Engine
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.sqlite.memory import Memory
from zaqarserver.storage.sqlite.messages import MESSAGE_DELETE
from zaqarserver.storage.sqlite.moving import expired_seal, sweep_seals
from zaqarserver.storage.sqlite.writer import Steps
from zaqarserver.storage.timed import StoreTime

#: How many backlogs one sweep visits at most, how many rows it removes, and
#: about how many bytes of bodies in one visit.
SWEEP_VISITS = 20
SWEEP_ROWS = 200
SWEEP_BYTES = 1_000_000

#: Seconds after which the row is written again; up to so much time may pass twice if
#: the machine stops suddenly and its clock is lost.
KEPT_SECONDS: Final = 60.0
#: Seconds by which the time may differ from the time according to the row.
_TOLERANCE: Final = 0.1

PULSE = "UPDATE store SET pulse = pulse + 1"
PULSE_READ = "SELECT pulse FROM store"

BACKLOG_DUE = (
    "SELECT id, dead, project FROM backlog WHERE due <= ? ORDER BY due LIMIT 1"
)
BACKLOG_DELETE = "DELETE FROM backlog WHERE id = ?"
MESSAGE_EXPIRED = """
    SELECT seq, length(body) FROM message
     WHERE backlog = ? AND expires <= ? ORDER BY expires LIMIT ?
"""
MESSAGE_ANY = "SELECT seq, length(body) FROM message WHERE backlog = ? LIMIT ?"
CLAIM_ANY = "SELECT seq FROM claim WHERE backlog = ? LIMIT ?"

# Made when it is needed, and ignored by older servers.
TABLE = """
    CREATE TABLE IF NOT EXISTS time (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        latest REAL NOT NULL, boot TEXT NOT NULL, steady REAL NOT NULL,
        wall REAL NOT NULL)
"""
TABLE_FIND = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'time'"
TIME_READ = "SELECT latest, boot, steady, wall FROM time"
TIME_KEEP = "INSERT OR REPLACE INTO time VALUES (1, ?, ?, ?, ?)"


async def ping(engine: Engine) -> None:
    """Commit a small change and read it."""
    await engine.writer.submit(_pulse)
    fetch(engine.reader, PULSE_READ)


def _pulse(memory: Memory) -> None:
    memory.db.execute(PULSE)


# -- sweeping ---------------------------------------------------------------


async def sweep(engine: Engine, now: float, grants_now: float) -> int:
    """Remove up to a few hundred rows; return how many."""
    db = engine.reader
    notices = deliveries.over(engine, now, SWEEP_VISITS)
    if not (
        notices
        or fetch(db, BACKLOG_DUE, (now,))
        or deliveries.expired_subscription(db, now)
        or expired_grant(db, grants_now)
        or keys.has_expired(db, now)
        or expired_seal(db, now)
    ):
        return 0
    try:
        return await engine.writer.submit(_sweep, now, grants_now, notices)
    except StoreDamaged:
        # A row that cannot be removed must not stop the sweeper from removing others.
        return int(await engine.writer.submit(_skip, now))


def _sweep(
    memory: Memory, now: float, grants_now: float, notices: Sequence[QueueKey]
) -> Steps[int]:
    """Remove some dead rows; return how many, at least 1 if more is to be done."""
    removed = deliveries.sweep_subscriptions(memory, now, SWEEP_ROWS)
    for key in notices:
        if not memory.is_frozen(key):
            removed += deliveries.trim(memory, key, now, SWEEP_ROWS)
            yield None
    removed += sweep_grants(memory, grants_now, SWEEP_ROWS)
    removed += keys.sweep(memory, now, SWEEP_ROWS)
    removed += sweep_seals(memory, now, SWEEP_ROWS)
    for _ in range(SWEEP_VISITS):
        if removed >= SWEEP_ROWS:
            break
        memory.write_due()
        rows = fetch(memory.db, BACKLOG_DUE, (now,))
        if not rows or not memory.is_sweepable(rows[0][0]):
            return removed
        backlog, dead, space = rows[0]
        room = SWEEP_ROWS - removed
        if dead:
            removed += _sweep_dead(memory, backlog, room)
        elif elapse(memory, backlog, now):
            removed += _sweep_live(memory, space, backlog, now, room)
        else:
            break
        yield None
    return max(removed, 1)


def _skip(memory: Memory, now: float) -> bool:
    """Skip the backlog that is due first until it changes."""
    rows = fetch(memory.db, BACKLOG_DUE, (now,))
    if rows:
        memory.due.pending[rows[0][0]] = math.inf
    return bool(rows)


def _sweep_dead(memory: Memory, backlog: int, room: int) -> int:
    gone, _ = _remove(memory, MESSAGE_ANY, (backlog,), room)
    if gone:
        return gone
    claims = fetch(memory.db, CLAIM_ANY, (backlog, room))
    memory.db.executemany(CLAIM_DELETE, claims)
    if not claims:
        memory.db.execute(BACKLOG_DELETE, (backlog,))
    return len(claims)


def _sweep_live(memory: Memory, space: str, backlog: int, now: float, room: int) -> int:
    gone, size = _remove(memory, MESSAGE_EXPIRED, (backlog, now), room)
    memory.count(space, backlog, -gone, -size)
    find_due(memory, backlog)
    return gone


def _remove(
    memory: Memory, find: str, bindings: tuple[Any, ...], room: int
) -> tuple[int, int]:
    """Delete the first rows that ``find`` gives, up to so many rows and bytes.

    Returns:
        How many rows, and bytes of bodies, were removed.
    """
    chosen: list[tuple[int]] = []
    size = 0
    for seq, length in fetch(memory.db, find, (*bindings, room)):
        chosen.append((seq,))
        size += length
        if size > SWEEP_BYTES:
            break
    memory.db.executemany(MESSAGE_DELETE, chosen)
    return len(chosen), size


# -- the time ---------------------------------------------------------------


async def store_time(engine: Engine, now: float | None) -> StoreTime:
    """Read the row; write it once a minute."""
    found = _read_time(engine.reader)
    if now is not None and _is_old(found, now):
        await engine.writer.submit(_write_time, now)
    if found is None:
        return StoreTime()
    return StoreTime(found.latest, max(0.0, _passed(found)))


class TimeRow(NamedTuple):
    """The row of the table ``time``.

    Attributes:
        latest: The server's time.
        boot: Names the run of the machine, from its start to its end.
        steady: The steady clock, which counts from the start of that run.
        wall: The system's time.
    """

    latest: float
    boot: str
    steady: float
    wall: float


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""  # not Linux: the system's clock has to do


BOOT: Final = _boot()


def _read_time(db: apsw.Connection) -> TimeRow | None:
    rows = fetch(db, TIME_READ) if fetch(db, TABLE_FIND) else []
    return TimeRow(*rows[0]) if rows else None


def _passed(row: TimeRow) -> float:
    """Return the seconds since the row was written."""
    same_run = row.boot == BOOT != ""
    return steady() - row.steady if same_run else wall() - row.wall


def _is_old(row: TimeRow | None, now: float) -> bool:
    """Return True if the row has to be written again."""
    if row is None or row.boot != BOOT:
        return True
    passed = steady() - row.steady
    return passed >= KEPT_SECONDS or abs(now - row.latest - passed) > _TOLERANCE


def _write_time(memory: Memory, now: float) -> None:
    memory.db.execute(TABLE)
    memory.db.execute(TIME_KEEP, (now, BOOT, steady(), wall()))
