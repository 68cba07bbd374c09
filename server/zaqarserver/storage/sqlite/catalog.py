"""Pools, flavors and placements: what is done inside a transaction, and reading."""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw
import msgspec

from zaqarserver.errors import CatalogChanged, PoolExists, PoolInUse, PoolNotFound
from zaqarserver.storage.catalog import (
    HOME,
    Flavor,
    PlacedQueue,
    Placement,
    Pool,
)
from zaqarserver.storage.sqlite.files import grows
from zaqarserver.storage.sqlite.ledger import Ledger
from zaqarserver.storage.sqlite.statements import Row, fetch

REVISION = "SELECT revision FROM catalog"
REVISION_NEXT = "UPDATE catalog SET revision = revision + 1 RETURNING revision"
EPOCH_NEXT = "UPDATE catalog SET epoch = epoch + 1 RETURNING epoch"

POOL_COLUMNS = "name, uri, weight, flavor, options, revision"
POOL_FIND = f"SELECT {POOL_COLUMNS} FROM pool WHERE name = ?"  # noqa: S608 - constants only
POOL_OF_URI = "SELECT name FROM pool WHERE uri = ?"
POOL_LIST = f"""
    SELECT {POOL_COLUMNS} FROM pool WHERE name > ? ORDER BY name LIMIT ?
"""  # noqa: S608 - constants only
POOL_PUT = f"INSERT OR REPLACE INTO pool ({POOL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants only
POOL_DELETE = "DELETE FROM pool WHERE name = ?"
POOLS_OF_FLAVOR = "SELECT name FROM pool WHERE flavor = ? ORDER BY name"
POOL_TAG = "UPDATE pool SET flavor = ?2 WHERE name = ?1"
POOLS_UNTAG = "UPDATE pool SET flavor = NULL WHERE flavor = ?"

FLAVOR_FIND = "SELECT 1 FROM flavor WHERE project = ? AND name = ?"
FLAVOR_ANYWHERE = "SELECT 1 FROM flavor WHERE name = ? LIMIT 1"
FLAVOR_PUT = "INSERT OR IGNORE INTO flavor (project, name) VALUES (?, ?)"
FLAVOR_LIST = """
    SELECT name FROM flavor WHERE project = ? AND name > ? ORDER BY name LIMIT ?
"""
FLAVOR_DELETE = "DELETE FROM flavor WHERE project = ? AND name = ? RETURNING 1"

PLACEMENT_COLUMNS = (
    "p.pool, p.epoch, p.since, coalesce(pool.revision, 0), p.target, p.lease"
)
PLACEMENT_FIND = f"""
    SELECT {PLACEMENT_COLUMNS}
      FROM placement p LEFT JOIN pool ON pool.name = p.pool
     WHERE p.project = ? AND p.queue = ?
"""  # noqa: S608 - constants only
PLACEMENT_LIST = f"""
    SELECT p.project, p.queue, {PLACEMENT_COLUMNS}
      FROM placement p LEFT JOIN pool ON pool.name = p.pool
     WHERE p.pool = ? AND (p.project, p.queue) > (?, ?)
     ORDER BY p.project, p.queue LIMIT ?
"""  # noqa: S608 - constants only
PLACEMENT_MOVES = f"""
    SELECT p.project, p.queue, {PLACEMENT_COLUMNS}
      FROM placement p LEFT JOIN pool ON pool.name = p.pool
     WHERE p.target IS NOT NULL AND p.lease < ? ORDER BY p.lease LIMIT ?
"""  # noqa: S608 - constants only
PLACEMENT_OF_POOL = "SELECT project, queue FROM placement WHERE pool = ?"
PLACEMENT_TOWARDS = "SELECT project, queue FROM placement WHERE target = ?"
PLACEMENT_ADD = """
    INSERT INTO placement (project, queue, pool, epoch, since)
    VALUES (?1, ?2, ?3, ?4, ?4)
"""
PLACEMENT_DROP = "DELETE FROM placement WHERE project = ? AND queue = ?"
PLACEMENT_SET = """
    UPDATE placement SET pool = ?3, epoch = ?4, target = ?5, lease = ?6,
                         since = iif(pool = ?3, since, ?4)
     WHERE project = ?1 AND queue = ?2
"""
PLACED_ADD = """
    INSERT INTO placed (pool, project, queues) VALUES (?1, ?2, ?3)
    ON CONFLICT (pool, project) DO UPDATE SET queues = queues + ?3
"""
PLACED_TIDY = "DELETE FROM placed WHERE pool = ? AND project = ? AND queues = 0"
PLACED_POOLS = "SELECT pool FROM placed WHERE project = ? ORDER BY pool"
PLACED_COUNT = "SELECT coalesce(sum(queues), 0) FROM placed WHERE pool = ?"

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Place(NamedTuple):
    """Which placement."""

    project: str
    queue: str


# -- reading ----------------------------------------------------------------


def revision(db: apsw.Connection) -> int:
    """Read the revision of the pools and flavors."""
    number: int = fetch(db, REVISION)[0][0]
    return number


def _read_pool(row: Row) -> Pool:
    name, uri, weight, flavor, options, number = row
    return Pool(name, uri, weight, flavor, _decode(options), number)


def get_pool(db: apsw.Connection, name: str) -> Pool | None:
    """Read a pool."""
    rows = fetch(db, POOL_FIND, (name,))
    return _read_pool(rows[0]) if rows else None


def list_pools(db: apsw.Connection, marker: str | None, limit: int) -> list[Pool]:
    """Read a page of pools."""
    return [_read_pool(row) for row in fetch(db, POOL_LIST, (marker or "", limit))]


def _pools_of(db: apsw.Connection, flavor: str) -> list[str]:
    return [name for (name,) in fetch(db, POOLS_OF_FLAVOR, (flavor,))]


def get_flavor(db: apsw.Connection, project: str, name: str) -> Flavor | None:
    """Read a flavor of a project."""
    if not fetch(db, FLAVOR_FIND, (project, name)):
        return None
    return Flavor(name, _pools_of(db, name))


def list_flavors(
    db: apsw.Connection, project: str, marker: str | None, limit: int
) -> list[Flavor]:
    """Read a page of a project's flavors."""
    rows = fetch(db, FLAVOR_LIST, (project, marker or "", limit))
    return [Flavor(name, _pools_of(db, name)) for (name,) in rows]


def get_placement(db: apsw.Connection, place: Place) -> Placement | None:
    """Read where a queue is."""
    rows = fetch(db, PLACEMENT_FIND, place)
    return Placement(*rows[0]) if rows else None


def _placed(rows: list[Row]) -> list[PlacedQueue]:
    return [PlacedQueue(row[0], row[1], Placement(*row[2:])) for row in rows]


def list_placements(
    db: apsw.Connection, pool: str, marker: tuple[str, str] | None, limit: int
) -> list[PlacedQueue]:
    """Read a page of what is in a pool."""
    return _placed(fetch(db, PLACEMENT_LIST, (pool, *(marker or ("", "")), limit)))


def list_moves(db: apsw.Connection, before: float, limit: int) -> list[PlacedQueue]:
    """Read the moves with the earliest leases."""
    return _placed(fetch(db, PLACEMENT_MOVES, (before, limit)))


def pools_of_project(db: apsw.Connection, project: str) -> list[str]:
    """Read which pools have queues of a project."""
    return [pool for (pool,) in fetch(db, PLACED_POOLS, (project,))]


def count_placements(db: apsw.Connection, pool: str) -> int:
    """Read how many placements name a pool."""
    number: int = fetch(db, PLACED_COUNT, (pool,))[0][0]
    return number


# -- pools and flavors ------------------------------------------------------


def _change(ledger: Ledger) -> int:
    number: int = fetch(ledger.db, REVISION_NEXT)[0][0]
    return number


@grows
def put_pool(ledger: Ledger, pool: Pool) -> None:
    """Make or replace a pool."""
    holder = fetch(ledger.db, POOL_OF_URI, (pool.uri,))
    if holder and holder[0][0] != pool.name:
        raise PoolExists(f"uri: the pool {holder[0][0]} has this URI.")
    old = get_pool(ledger.db, pool.name)
    number = _change(ledger)
    if old is not None and (old.uri, old.options) == (pool.uri, pool.options):
        number = old.revision
    options = msgspec.json.encode(pool.options).decode()
    ledger.db.execute(
        POOL_PUT, (pool.name, pool.uri, pool.weight, pool.flavor, options, number)
    )


def delete_pool(ledger: Ledger, name: str, forget: bool) -> None:
    """Remove a pool that may be removed."""
    pool = get_pool(ledger.db, name)
    if pool is None:
        return
    if (
        pool.flavor is not None
        and fetch(ledger.db, FLAVOR_ANYWHERE, (pool.flavor,))
        and _pools_of(ledger.db, pool.flavor) == [name]
    ):
        raise PoolInUse(
            f"Pool {name} is the last one of the flavor {pool.flavor}: give the flavor "
            "another pool, or delete the flavor, first."
        )
    queues = count_placements(ledger.db, name)
    if queues and not forget:
        raise PoolInUse(
            f"Pool {name} holds {queues} queue{'s' * (queues != 1)}: drain it first."
        )
    _forget(ledger, name)
    ledger.db.execute(POOL_DELETE, (name,))
    _change(ledger)


def _forget(ledger: Ledger, pool: str) -> None:
    """Forget the placements in a pool, and end the moves to it."""
    for row in fetch(ledger.db, PLACEMENT_TOWARDS, (pool,)):
        place = Place(*row)
        found = get_placement(ledger.db, place)
        if found is not None:
            _set(ledger, place, found, found.pool, _next_epoch(ledger))
    for row in fetch(ledger.db, PLACEMENT_OF_POOL, (pool,)):
        place = Place(*row)
        found = get_placement(ledger.db, place)
        if found is not None:
            _drop(ledger, place, found)


@grows
def put_flavor(ledger: Ledger, project: str, name: str, pools: list[str]) -> None:
    """Give a project a flavor of these pools."""
    for pool in pools:
        if get_pool(ledger.db, pool) is None:
            raise PoolNotFound(f"Pool {pool} does not exist")
    ledger.db.execute(POOLS_UNTAG, (name,))
    for pool in pools:
        ledger.db.execute(POOL_TAG, (pool, name))
    ledger.db.execute(FLAVOR_PUT, (project, name))
    _change(ledger)


def delete_flavor(ledger: Ledger, project: str, name: str) -> None:
    """Take a flavor from a project."""
    if not fetch(ledger.db, FLAVOR_DELETE, (project, name)):
        return
    if not fetch(ledger.db, FLAVOR_ANYWHERE, (name,)):
        ledger.db.execute(POOLS_UNTAG, (name,))
    _change(ledger)


# -- placements -------------------------------------------------------------


def _next_epoch(ledger: Ledger) -> int:
    number: int = fetch(ledger.db, EPOCH_NEXT)[0][0]
    return number


def _count(ledger: Ledger, pool: str | None, project: str, change: int) -> None:
    if pool is not None:
        ledger.db.execute(PLACED_ADD, (pool, project, change))
        ledger.db.execute(PLACED_TIDY, (pool, project))


def _set(
    ledger: Ledger,
    place: Place,
    old: Placement,
    pool: str,
    epoch: int,
    move: tuple[str | None, float] = (None, 0.0),
) -> None:
    target, lease = move
    ledger.db.execute(PLACEMENT_SET, (*place, pool, epoch, target, lease))
    for name, change in (
        (pool, 1),
        (target, 1),
        (old.pool, -1),
        (old.target, -1),
    ):
        _count(ledger, name, place.project, change)


def _drop(ledger: Ledger, place: Place, old: Placement) -> None:
    ledger.db.execute(PLACEMENT_DROP, place)
    _count(ledger, old.pool, place.project, -1)
    _count(ledger, old.target, place.project, -1)


@grows
def add_placement(ledger: Ledger, place: Place, pool: str, chosen: int) -> Placement:
    """Place a queue that is not placed."""
    found = get_placement(ledger.db, place)
    if found is not None:
        return found
    if revision(ledger.db) != chosen:
        raise CatalogChanged("the pools were changed meanwhile")
    epoch = _next_epoch(ledger)
    ledger.db.execute(PLACEMENT_ADD, (*place, pool, epoch))
    _count(ledger, pool, place.project, 1)
    row = None if pool == HOME else get_pool(ledger.db, pool)
    return Placement(pool, epoch, epoch, 0 if row is None else row.revision)


def drop_placement(ledger: Ledger, place: Place, epoch: int) -> bool:
    """Forget a placement of this epoch."""
    found = get_placement(ledger.db, place)
    if found is None or found.epoch != epoch or found.target is not None:
        return False
    _drop(ledger, place, found)
    return True


def move_placement(
    ledger: Ledger, place: Place, epoch: int, target: str | None, lease: float
) -> Placement | None:
    """Begin a move, take it over, or give it up."""
    found = get_placement(ledger.db, place)
    if found is None or found.epoch != epoch:
        return None
    if target and get_pool(ledger.db, target) is None:
        return None
    lease = 0.0 if target is None else lease
    _set(ledger, place, found, found.pool, _next_epoch(ledger), (target, lease))
    return get_placement(ledger.db, place)


def renew_placement(ledger: Ledger, place: Place, epoch: int, lease: float) -> bool:
    """Set the lease of a move."""
    found = get_placement(ledger.db, place)
    if found is None or found.epoch != epoch or found.target is None:
        return False
    _set(ledger, place, found, found.pool, epoch, (found.target, lease))
    return True


def arrive_placement(ledger: Ledger, place: Place, epoch: int) -> bool:
    """End a move."""
    found = get_placement(ledger.db, place)
    if found is None or found.epoch != epoch or found.target is None:
        return False
    _set(ledger, place, found, found.target, epoch)
    return True
