"""Pools, flavors and placements.

All of the catalogue is in one slot, so each step is one script. Servers cache
placements, so it is read seldom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import CatalogChanged, PoolExists, PoolInUse, PoolNotFound
from zaqarserver.storage.catalog import (
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
from zaqarserver.storage.commands import QueueCommand
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.store import Store, performs

#: As in ``lua/catalog.lua``.
JOINT = "\0\0"


class PackedPool(msgspec.Struct, frozen=True, array_like=True):
    """The stored members of a pool, in the order of ``lua/catalog.lua``.

    Attributes:
        uri: Where it is.
        weight: Its share.
        flavor: Its flavor, or ``False``.
        options: The options as JSON text.
        revision: Its revision.
    """

    uri: str
    weight: int
    flavor: str | bool
    options: str
    revision: int


class PackedPlacement(msgspec.Struct, frozen=True, array_like=True):
    """The stored members of a placement, in the order of ``lua/catalog.lua``.

    Attributes:
        pool: The pool.
        epoch: The epoch.
        since: The epoch with which the queue came.
        target: Where it is moved to, or ``False``.
        lease: Until when its mover counts as alive.
    """

    pool: str
    epoch: int
    since: int
    target: str | bool
    lease: float


_decode_pool = msgspec.msgpack.Decoder(PackedPool).decode
_decode_placement = msgspec.msgpack.Decoder(PackedPlacement).decode
_encode_options = msgspec.json.Encoder(order="deterministic").encode
_decode_options = msgspec.json.Decoder(dict[str, Any]).decode


async def _run(store: Store, script: str, *args: Word) -> Any:
    return await store.run(script, store.keyspace.catalog, *args)


@performs(CatalogRevision)
async def revision(store: Store, _command: CatalogRevision) -> int:
    """Read the field; 0 before the first change."""
    head = store.keyspace.catalog[0]
    return int(await store.client.do("HGET", head, "revision") or 0)


# -- pools ----------------------------------------------------------------------


@performs(PoolPut)
async def put_pool(store: Store, command: PoolPut) -> None:
    """Set the field, unless another pool has the URI."""
    pool = command.pool
    options = _encode_options(pool.options)
    holder = await _run(
        store, "pool_put", pool.name, pool.uri, pool.weight, pool.flavor or "", options
    )
    if holder is not None:
        raise PoolExists(f"uri: the pool {holder.decode()} has this URI.")


@performs(PoolGet)
async def get_pool(store: Store, command: PoolGet) -> Pool | None:
    """Read one field of the hash of pools."""
    pools = store.keyspace.catalog[1]
    packed = await store.client.do("HGET", pools, command.name)
    return None if packed is None else _read_pool(command.name, packed)


@performs(PoolList)
async def list_pools(store: Store, command: PoolList) -> list[Pool]:
    """Read all pools: they are few."""
    pools = _by_name(await store.client.do("HGETALL", store.keyspace.catalog[1]))
    marker = command.marker
    names = sorted(name for name in pools if marker is None or name > marker)
    return [_read_pool(name, pools[name]) for name in names[: command.limit]]


@performs(PoolDelete)
async def delete_pool(store: Store, command: PoolDelete) -> None:
    """Delete the field.

    Placements are removed some at a time, after the pool's weight was set to 0; if that
    is interrupted, a repetition does the rest.
    """
    name = command.name
    refused = await _run(store, "pool_delete", name, int(command.forget))
    if isinstance(refused, bytes):
        raise PoolInUse(
            f"Pool {name} is the last one of the flavor {refused.decode()}: give the "
            "flavor another pool, or delete the flavor, first."
        )
    if refused is not None:
        raise PoolInUse(
            f"Pool {name} holds {refused} queue{'s' * (refused != 1)}: drain it first."
        )


# -- flavors --------------------------------------------------------------------


@performs(FlavorPut)
async def put_flavor(store: Store, command: FlavorPut) -> None:
    """Set the flavor in the fields of the pools."""
    name = command.name
    member = f"{command.project}{JOINT}{name}"
    missing = await _run(store, "flavor_put", member, name, *command.pools)
    if missing is not None:
        raise PoolNotFound(f"Pool {missing.decode()} does not exist")


@performs(FlavorGet)
async def get_flavor(store: Store, command: FlavorGet) -> Flavor | None:
    """Find the name in the list, and its pools."""
    only = f"[{command.project}{JOINT}{command.name}"
    found = await _flavors(store, only, only, 1)
    return found[0] if found else None


@performs(FlavorList)
async def list_flavors(store: Store, command: FlavorList) -> list[Flavor]:
    """Read a page of the list of names, and the pools."""
    start = f"({command.project}{JOINT}{command.marker or ''}"
    return await _flavors(store, start, f"({command.project}\0\1", command.limit)


async def _flavors(store: Store, start: str, end: str, limit: int) -> list[Flavor]:
    members, raw = await _run(store, "flavors", start, end, limit)
    flavor_of = {
        name: _decode_pool(packed).flavor for name, packed in _by_name(raw).items()
    }
    found = []
    for member in members:
        _, name = _split(member)
        pools = sorted(pool for pool, flavor in flavor_of.items() if flavor == name)
        found.append(Flavor(name, pools))
    return found


@performs(FlavorDelete)
async def delete_flavor(store: Store, command: FlavorDelete) -> None:
    """Remove the name, and the flavor from its pools if it was the last one."""
    name = command.name
    await _run(store, "flavor_delete", f"{command.project}{JOINT}{name}", name)


# -- placements -----------------------------------------------------------------


def _place(command: QueueCommand[Any]) -> str:
    return f"{command.space}{JOINT}{command.queue}"


@performs(PlacementGet)
async def get_placement(store: Store, command: PlacementGet) -> Placement | None:
    """Read a field, and one of its pool."""
    found = await _run(store, "placement_get", _place(command))
    return None if found is None else _read_placement(found)


@performs(PlacementAdd)
async def add_placement(store: Store, command: PlacementAdd) -> Placement:
    """Write the placement if the queue does not have one."""
    found = await _run(
        store, "placement_add", _place(command), command.pool, command.revision
    )
    if found is None:
        raise CatalogChanged("the pools were changed meanwhile")
    return _read_placement(found)


@performs(PlacementDrop)
async def drop_placement(store: Store, command: PlacementDrop) -> bool:
    """Remove the placement if it has the epoch and no target."""
    return bool(await _run(store, "placement_drop", _place(command), command.epoch))


@performs(PlacementMove)
async def move(store: Store, command: PlacementMove) -> Placement | None:
    """Write the target; the placement gets a new epoch."""
    lease, target = command.lease, command.target or ""
    found = await _run(
        store, "placement_move", _place(command), command.epoch, lease, target
    )
    return None if found is None else _read_placement(found)


@performs(PlacementRenew)
async def renew_move(store: Store, command: PlacementRenew) -> bool:
    """Write the lease."""
    epoch, lease = command.epoch, command.lease
    return bool(await _run(store, "placement_renew", _place(command), epoch, lease))


@performs(PlacementArrive)
async def end_move(store: Store, command: PlacementArrive) -> bool:
    """Make the target the pool."""
    return bool(await _run(store, "placement_arrive", _place(command), command.epoch))


@performs(PlacementList)
async def list_placements(store: Store, command: PlacementList) -> list[PlacedQueue]:
    """Read a range of the set by pool and queue."""
    pool = command.pool
    place = "" if command.marker is None else JOINT.join(command.marker)
    start = f"({pool}{JOINT}{place}"
    return _read_placed(await _run(store, "placement_list", pool, start, command.limit))


@performs(PlacementMoves)
async def list_moves(store: Store, command: PlacementMoves) -> list[PlacedQueue]:
    """Read a range of the set by lease."""
    before = command.before
    return _read_placed(await _run(store, "placement_moves", before, command.limit))


@performs(PlacementPools)
async def pools_of(store: Store, command: PlacementPools) -> list[str]:
    """Look for one placement of the project in each pool."""
    found = await _run(store, "placement_pools", command.project)
    return sorted(pool.decode() for pool in found)


@performs(PlacementCount)
async def count_placed(store: Store, command: PlacementCount) -> int:
    """Count ranges of two sets."""
    return int(await _run(store, "placement_count", command.pool))


def _by_name(pairs: Sequence[bytes]) -> Mapping[str, bytes]:
    values = iter(pairs)
    return {name.decode(): value for name, value in zip(values, values, strict=True)}


def _split(member: bytes) -> tuple[str, str]:
    """Return the two names of a member."""
    first, _, second = member.decode().rpartition(JOINT)
    return first, second


def _read_pool(name: str, raw: bytes) -> Pool:
    packed = _decode_pool(raw)
    return Pool(
        name,
        packed.uri,
        packed.weight,
        packed.flavor if isinstance(packed.flavor, str) else None,
        _decode_options(packed.options),
        packed.revision,
    )


def _read_placement(found: Sequence[Any]) -> Placement:
    raw, revision = found
    packed = _decode_placement(raw)
    target = packed.target if isinstance(packed.target, str) else None
    return Placement(
        packed.pool, packed.epoch, packed.since, revision, target, packed.lease
    )


def _read_placed(found: Sequence[Any]) -> list[PlacedQueue]:
    return [
        PlacedQueue(*_split(member), _read_placement(one))
        for member, one in zip(*found, strict=True)
    ]
