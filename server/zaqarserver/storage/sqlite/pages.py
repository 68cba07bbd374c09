"""A checksum on each page of the file, verified whenever a page is read.

SQLite's extension ``cksumvfs`` keeps it in the last bytes of a page, so it covers all:
bodies, metadata, claims, indexes. It is loaded with this module, for the whole process;
files without checksums are not touched by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import apsw
import apsw.sqlite_extra

from zaqarserver.errors import StoreRefused
from zaqarserver.storage.sqlite.connection import fetch
from zaqarserver.storage.sqlite.files import PAGE
from zaqarserver.storage.sqlite.schema import APPLICATION_ID

_log = logging.getLogger(__name__)

#: Bytes of a page that hold its checksum.
SUM = 8

#: The first version of the schema whose files have checksums.
SINCE = 5

_memory = apsw.Connection(":memory:")
_is_available = apsw.sqlite_extra.has("cksumvfs")
if _is_available:
    apsw.sqlite_extra.load(_memory, "cksumvfs")


def bad_pages(path: Path) -> Iterator[tuple[int, bool]]:
    """Find the pages of a file whose checksums are wrong.

    Yields:
        The number of the page, and whether it has a checksum at all.
    """
    with path.open("rb") as file:
        number = 0
        while len(page := file.read(PAGE)) == PAGE:
            number += 1
            if not fetch(_memory, "SELECT verify_checksum(?)", (page,))[0][0]:
                yield number, any(page[-SUM:])


def look_at(path: Path) -> bool:
    """Look at the first page of a file before SQLite opens it.

    Returns:
        Whether the checksums have to be made anew: a copy made by another program
        has none, or a wrong one on the first page.

    Raises:
        StoreRefused: The page is damaged, or checksums cannot be kept.
    """
    if not _is_available:
        raise StoreRefused("the package apsw lacks cksumvfs: install one of its wheels")
    with path.open("rb") as file:
        head = file.read(PAGE)
    if len(head) < PAGE:
        return False
    if head[20] != SUM:
        if int.from_bytes(head[60:64]) >= SINCE:
            raise StoreRefused(
                f"{path} is damaged: its header says that it has no sums"
            )
        return False
    if fetch(_memory, "SELECT verify_checksum(?)", (head,))[0][0]:
        return False
    damaged = [number for number, summed in bad_pages(path) if summed and number > 1]
    if damaged:
        raise StoreRefused(
            f"{path} is damaged: the checksums of {len(damaged) + 1} pages are wrong."
            " Restore a backup; zaqarserver check says what is in them"
        )
    return True


def keep_sums(db: apsw.Connection, name: str, *, anew: bool) -> None:
    """Have each page carry its checksum.

    Args:
        db: A connection that may write.
        name: What to call the store.
        anew: Whether those that are there are to be made anew.

    Raises:
        StoreRefused: The file is damaged.
    """
    if not anew and db.reserve_bytes() == SUM:
        return
    db.execute("PRAGMA checksum_verification = OFF")
    filled = fetch(db, "PRAGMA page_count")[0][0] > 0
    if filled and fetch(db, "PRAGMA application_id")[0][0] != APPLICATION_ID:
        return  # it is refused elsewhere, and nothing of it changed
    if anew:
        found = fetch(db, "PRAGMA integrity_check(1)")[0][0]
        if found != "ok":
            raise StoreRefused(f"{name} is damaged: {found}; restore a backup")
        _log.warning("%s was written by another program: its sums are made anew", name)
    db.reserve_bytes(None, SUM)
    if filled:
        _log.info("%s is rewritten with a checksum on each page", name)
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("VACUUM")
    db.execute("PRAGMA checksum_verification = ON")
