"""The server's time, kept in the file across restarts.

A row says what the server's time was at a moment of the machine's steady clock and at
one of the system's clock. As long as the machine runs, the former says how much time
has passed since; after that the latter has to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import apsw

from zaqarserver.clock import steady, wall
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import fetch
from zaqarserver.storage.timed import StoreTime

#: Seconds after which the row is written anew; so much may pass twice if the machine
#: stops at once and its clock is lost.
KEPT_SECONDS: Final = 60.0
#: Seconds by which the time may differ from what the row says it is.
_TOLERANCE: Final = 0.1

# Made when it is needed: an older server is not troubled by it.
TABLE = """
    CREATE TABLE IF NOT EXISTS time (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        latest REAL NOT NULL, boot TEXT NOT NULL, steady REAL NOT NULL,
        wall REAL NOT NULL)
"""
TABLE_FIND = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'time'"
TIME_READ = "SELECT latest, boot, steady, wall FROM time"
TIME_KEEP = "INSERT OR REPLACE INTO time VALUES (1, ?, ?, ?, ?)"


class Kept(NamedTuple):
    """The row.

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


def read(db: apsw.Connection) -> Kept | None:
    """Return the row, if there is one."""
    rows = fetch(db, TIME_READ) if fetch(db, TABLE_FIND) else []
    return Kept(*rows[0]) if rows else None


def told(kept: Kept | None) -> StoreTime:
    """Return what the row says now."""
    if kept is None:
        return StoreTime()
    same_run = kept.boot == BOOT != ""
    passed = steady() - kept.steady if same_run else wall() - kept.wall
    return StoreTime(kept.latest, max(0.0, passed))


def is_due(kept: Kept | None, now: float) -> bool:
    """Whether the row should be written anew."""
    if kept is None or kept.boot != BOOT:
        return True
    passed = steady() - kept.steady
    off = now - kept.latest - passed
    return passed >= KEPT_SECONDS or abs(off) > _TOLERANCE


def keep(ledger: Ledger, now: float) -> None:
    """Write the row."""
    ledger.db.execute(TABLE)
    ledger.db.execute(TIME_KEEP, (now, BOOT, steady(), wall()))
