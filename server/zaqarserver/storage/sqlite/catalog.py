"""The catalogue: pools, flavors and placements."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from zaqarserver.errors import CatalogChanged, PoolExists, PoolInUse, PoolNotFound
from zaqarserver.storage.catalog import (
    HOME,
    CatalogRevision,
    Flavor,
    FlavorDelete,
    FlavorGet,
    FlavorList,
    FlavorPut,
    PlacedQueue,
    Placement,
    PlacementAdd,
    PlacementArrive,
    PlacementCount,
    PlacementDrop,
    PlacementGet,
    PlacementList,
    PlacementMove,
    PlacementMoves,
    PlacementPools,
    PlacementRenew,
    Pool,
    PoolDelete,
    PoolGet,
    PoolList,
    PoolPut,
)
from zaqarserver.storage.sqlite.database import Row, fetch
from zaqarserver.storage.sqlite.engine import Engine, reads, writes
from zaqarserver.storage.sqlite.layers import QueueKey
from zaqarserver.storage.sqlite.memory import Memory

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


# -- pools and flavors ------------------------------------------------------


@reads(CatalogRevision)
async def revision(engine: Engine, _command: CatalogRevision) -> int:
    """Read the one row."""
    return _revision(engine.reader)


def _revision(db: apsw.Connection) -> int:
    number: int = fetch(db, REVISION)[0][0]
    return number


def _change(memory: Memory) -> int:
    number: int = fetch(memory.db, REVISION_NEXT)[0][0]
    return number


def _read_pool(row: Row) -> Pool:
    name, uri, weight, flavor, options, number = row
    return Pool(name, uri, weight, flavor, _decode(options), number)


def _find_pool(db: apsw.Connection, name: str) -> Pool | None:
    rows = fetch(db, POOL_FIND, (name,))
    return _read_pool(rows[0]) if rows else None


@reads(PoolGet)
async def get_pool(engine: Engine, command: PoolGet) -> Pool | None:
    """Read by primary key."""
    return _find_pool(engine.reader, command.name)


@reads(PoolList)
async def list_pools(engine: Engine, command: PoolList) -> list[Pool]:
    """Walk over the primary key."""
    rows = fetch(engine.reader, POOL_LIST, (command.marker or "", command.limit))
    return [_read_pool(row) for row in rows]


@writes(PoolPut, grows=True)
def put_pool(memory: Memory, command: PoolPut) -> None:
    """Replace the row."""
    pool = command.pool
    holder = fetch(memory.db, POOL_OF_URI, (pool.uri,))
    if holder and holder[0][0] != pool.name:
        raise PoolExists(f"uri: the pool {holder[0][0]} has this URI.")
    old = _find_pool(memory.db, pool.name)
    number = _change(memory)
    if old is not None and (old.uri, old.options) == (pool.uri, pool.options):
        number = old.revision
    options = msgspec.json.encode(pool.options).decode()
    memory.db.execute(
        POOL_PUT, (pool.name, pool.uri, pool.weight, pool.flavor, options, number)
    )


@writes(PoolDelete)
def delete_pool(memory: Memory, command: PoolDelete) -> None:
    """Delete the row, and the placements if they are to be removed."""
    name = command.name
    pool = _find_pool(memory.db, name)
    if pool is None:
        return
    if (
        pool.flavor is not None
        and fetch(memory.db, FLAVOR_ANYWHERE, (pool.flavor,))
        and _pools_of(memory.db, pool.flavor) == [name]
    ):
        raise PoolInUse(
            f"Pool {name} is the last one of the flavor {pool.flavor}: give the flavor "
            "another pool, or delete the flavor, first."
        )
    queues = _count_placements(memory.db, name)
    if queues and not command.forget:
        raise PoolInUse(
            f"Pool {name} holds {queues} queue{'s' * (queues != 1)}: drain it first."
        )
    _forget(memory, name)
    memory.db.execute(POOL_DELETE, (name,))
    _change(memory)


def _forget(memory: Memory, pool: str) -> None:
    """Remove the placements in a pool, and end the moves to it."""
    for row in fetch(memory.db, PLACEMENT_TOWARDS, (pool,)):
        key = QueueKey(*row)
        found = _find_placement(memory.db, key)
        if found is not None:
            _set(memory, key, found, found.pool, _next_epoch(memory))
    for row in fetch(memory.db, PLACEMENT_OF_POOL, (pool,)):
        key = QueueKey(*row)
        found = _find_placement(memory.db, key)
        if found is not None:
            _drop(memory, key, found)


def _pools_of(db: apsw.Connection, flavor: str) -> list[str]:
    return [name for (name,) in fetch(db, POOLS_OF_FLAVOR, (flavor,))]


@reads(FlavorGet)
async def get_flavor(engine: Engine, command: FlavorGet) -> Flavor | None:
    """Read by primary key."""
    if not fetch(engine.reader, FLAVOR_FIND, (command.project, command.name)):
        return None
    return Flavor(command.name, _pools_of(engine.reader, command.name))


@reads(FlavorList)
async def list_flavors(engine: Engine, command: FlavorList) -> list[Flavor]:
    """Walk over the primary key."""
    bindings = (command.project, command.marker or "", command.limit)
    rows = fetch(engine.reader, FLAVOR_LIST, bindings)
    return [Flavor(name, _pools_of(engine.reader, name)) for (name,) in rows]


@writes(FlavorPut, grows=True)
def put_flavor(memory: Memory, command: FlavorPut) -> None:
    """Insert a row, and store the flavor in those of the pools."""
    for pool in command.pools:
        if _find_pool(memory.db, pool) is None:
            raise PoolNotFound(f"Pool {pool} does not exist")
    memory.db.execute(POOLS_UNTAG, (command.name,))
    for pool in command.pools:
        memory.db.execute(POOL_TAG, (pool, command.name))
    memory.db.execute(FLAVOR_PUT, (command.project, command.name))
    _change(memory)


@writes(FlavorDelete)
def delete_flavor(memory: Memory, command: FlavorDelete) -> None:
    """Delete the row."""
    if not fetch(memory.db, FLAVOR_DELETE, (command.project, command.name)):
        return
    if not fetch(memory.db, FLAVOR_ANYWHERE, (command.name,)):
        memory.db.execute(POOLS_UNTAG, (command.name,))
    _change(memory)


# -- placements -------------------------------------------------------------


def _find_placement(db: apsw.Connection, key: QueueKey) -> Placement | None:
    rows = fetch(db, PLACEMENT_FIND, key)
    return Placement(*rows[0]) if rows else None


def _find_epoch(
    memory: Memory,
    command: PlacementDrop | PlacementMove | PlacementRenew | PlacementArrive,
) -> tuple[QueueKey, Placement | None]:
    """Find the placement of a queue if it has the epoch of the command."""
    key = QueueKey(command.space, command.queue)
    found = _find_placement(memory.db, key)
    return key, found if found is not None and found.epoch == command.epoch else None


@reads(PlacementGet)
async def get_placement(engine: Engine, command: PlacementGet) -> Placement | None:
    """Read by primary key."""
    return _find_placement(engine.reader, QueueKey(command.space, command.queue))


def _placed(rows: list[Row]) -> list[PlacedQueue]:
    return [PlacedQueue(row[0], row[1], Placement(*row[2:])) for row in rows]


@reads(PlacementList)
async def list_placements(engine: Engine, command: PlacementList) -> list[PlacedQueue]:
    """Walk over an index."""
    after = command.marker or ("", "")
    bindings = (command.pool, *after, command.limit)
    return _placed(fetch(engine.reader, PLACEMENT_LIST, bindings))


@reads(PlacementMoves)
async def list_moves(engine: Engine, command: PlacementMoves) -> list[PlacedQueue]:
    """Walk over an index."""
    bindings = (command.before, command.limit)
    return _placed(fetch(engine.reader, PLACEMENT_MOVES, bindings))


@reads(PlacementPools)
async def pools_of_project(engine: Engine, command: PlacementPools) -> list[str]:
    """Read the maintained counters of the project."""
    return [pool for (pool,) in fetch(engine.reader, PLACED_POOLS, (command.project,))]


@reads(PlacementCount)
async def count_placements(engine: Engine, command: PlacementCount) -> int:
    """Add up the maintained counters of the pool."""
    return _count_placements(engine.reader, command.pool)


def _count_placements(db: apsw.Connection, pool: str) -> int:
    number: int = fetch(db, PLACED_COUNT, (pool,))[0][0]
    return number


def _next_epoch(memory: Memory) -> int:
    number: int = fetch(memory.db, EPOCH_NEXT)[0][0]
    return number


def _count(memory: Memory, pool: str | None, space: str, change: int) -> None:
    if pool is not None:
        memory.db.execute(PLACED_ADD, (pool, space, change))
        memory.db.execute(PLACED_TIDY, (pool, space))


def _set(
    memory: Memory,
    key: QueueKey,
    old: Placement,
    pool: str,
    epoch: int,
    move: tuple[str | None, float] = (None, 0.0),
) -> None:
    target, lease = move
    memory.db.execute(PLACEMENT_SET, (*key, pool, epoch, target, lease))
    for name, change in ((pool, 1), (target, 1), (old.pool, -1), (old.target, -1)):
        _count(memory, name, key.space, change)


def _drop(memory: Memory, key: QueueKey, old: Placement) -> None:
    memory.db.execute(PLACEMENT_DROP, key)
    _count(memory, old.pool, key.space, -1)
    _count(memory, old.target, key.space, -1)


@writes(PlacementAdd, grows=True)
def add_placement(memory: Memory, command: PlacementAdd) -> Placement:
    """Insert a row, unless the queue is placed."""
    key = QueueKey(command.space, command.queue)
    found = _find_placement(memory.db, key)
    if found is not None:
        return found
    if _revision(memory.db) != command.revision:
        raise CatalogChanged("the pools were changed meanwhile")
    pool, epoch = command.pool, _next_epoch(memory)
    memory.db.execute(PLACEMENT_ADD, (*key, pool, epoch))
    _count(memory, pool, command.space, 1)
    row = None if pool == HOME else _find_pool(memory.db, pool)
    return Placement(pool, epoch, epoch, 0 if row is None else row.revision)


@writes(PlacementDrop)
def drop_placement(memory: Memory, command: PlacementDrop) -> bool:
    """Delete the row."""
    key, found = _find_epoch(memory, command)
    if found is None or found.target is not None:
        return False
    _drop(memory, key, found)
    return True


@writes(PlacementMove)
def move_placement(memory: Memory, command: PlacementMove) -> Placement | None:
    """Begin a move, take it over, or give it up."""
    key, found = _find_epoch(memory, command)
    target = command.target
    if found is None or (target and _find_pool(memory.db, target) is None):
        return None
    move = (target, 0.0 if target is None else command.lease)
    _set(memory, key, found, found.pool, _next_epoch(memory), move)
    return _find_placement(memory.db, key)


@writes(PlacementRenew)
def renew_placement(memory: Memory, command: PlacementRenew) -> bool:
    """Set the lease of a move."""
    key, found = _find_epoch(memory, command)
    if found is None or found.target is None:
        return False
    move = (found.target, command.lease)
    _set(memory, key, found, found.pool, command.epoch, move)
    return True


@writes(PlacementArrive)
def arrive_placement(memory: Memory, command: PlacementArrive) -> bool:
    """End a move."""
    key, found = _find_epoch(memory, command)
    if found is None or found.target is None:
        return False
    _set(memory, key, found, found.target, command.epoch)
    return True
