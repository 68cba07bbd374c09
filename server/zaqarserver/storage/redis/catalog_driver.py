"""Pools, flavors and placements of the contract, on Redis.

All of the catalogue is in one slot, so each step is one script; servers ask for it
seldom, since they remember placements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import CatalogChanged, PoolExists, PoolInUse, PoolNotFound
from zaqarserver.storage.catalog import (
    Flavor,
    PlacedQueue,
    Placement,
    Pool,
)
from zaqarserver.storage.redis.access import Access
from zaqarserver.storage.redis.wire import Word

#: As in ``lua/catalog.lua``.
JOINT = "\0\0"


class PackedPool(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a pool; in the order of ``lua/catalog.lua``.

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
    """What is kept of a placement; in the order of ``lua/catalog.lua``.

    Attributes:
        pool: The pool.
        epoch: The epoch.
        since: The epoch with which the queue came.
        target: Where it is moved to, or ``False``.
        lease: Until when its mover is taken to live.
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


class CatalogOnRedis(Access):
    """What each method promises is in the contract."""

    async def _ask(self, script: str, *args: Word) -> Any:
        return await self._run(script, self._names.catalog, *args)

    async def catalog_revision(self) -> int:
        """Read a field."""
        head = self._names.catalog[0]
        return int(await self._link.do("HGET", head, "revision") or 0)

    # -- pools --------------------------------------------------------------

    async def pool_put(self, pool: Pool) -> None:
        """Look at the others, then set the field."""
        holder = await self._ask(
            "pool_put",
            pool.name,
            pool.uri,
            pool.weight,
            pool.flavor or "",
            _encode_options(pool.options),
        )
        if holder is not None:
            raise PoolExists(f"uri: the pool {holder.decode()} has this URI.")

    async def pool_get(self, name: str) -> Pool | None:
        """Read a field."""
        packed = await self._link.do("HGET", self._names.catalog[1], name)
        return None if packed is None else _read_pool(name, packed)

    async def pool_list(self, *, marker: str | None, limit: int) -> list[Pool]:
        """Read all of them: they are few."""
        pools = _by_name(await self._link.do("HGETALL", self._names.catalog[1]))
        names = sorted(name for name in pools if marker is None or name > marker)
        return [_read_pool(name, pools[name]) for name in names[:limit]]

    async def pool_delete(self, name: str, *, forget: bool = False) -> None:
        """Delete the field.

        Placements are forgotten some at a time, after the pool's weight was taken
        away; if that is cut short, a repetition does the rest.
        """
        refused = await self._ask("pool_delete", name, int(forget))
        if isinstance(refused, bytes):
            flavor = refused.decode()
            raise PoolInUse(
                f"Pool {name} is the last one of the flavor {flavor}: give the flavor "
                "another pool, or delete the flavor, first."
            )
        if refused is not None:
            raise PoolInUse(
                f"Pool {name} holds {refused} queue{'s' * (refused != 1)}: drain it "
                "first."
            )

    # -- flavors ------------------------------------------------------------

    async def flavor_put(self, project: str, name: str, pools: list[str]) -> None:
        """Note the flavor in each pool."""
        missing = await self._ask("flavor_put", f"{project}{JOINT}{name}", name, *pools)
        if missing is not None:
            raise PoolNotFound(f"Pool {missing.decode()} does not exist")

    async def flavor_get(self, project: str, name: str) -> Flavor | None:
        """Look at the pools."""
        only = f"[{project}{JOINT}{name}"
        found = await self._flavors(only, only, 1)
        return found[0] if found else None

    async def flavor_list(
        self, project: str, *, marker: str | None, limit: int
    ) -> list[Flavor]:
        """Walk over the names; look at the pools."""
        start = f"({project}{JOINT}{marker or ''}"
        return await self._flavors(start, f"({project}\0\1", limit)

    async def _flavors(self, start: str, end: str, limit: int) -> list[Flavor]:
        members, raw = await self._ask("flavors", start, end, limit)
        flavor_of = {
            name: _decode_pool(packed).flavor for name, packed in _by_name(raw).items()
        }
        found = []
        for member in members:
            _, name = _split(member)
            pools = sorted(pool for pool, flavor in flavor_of.items() if flavor == name)
            found.append(Flavor(name, pools))
        return found

    async def flavor_delete(self, project: str, name: str) -> None:
        """Forget the name, and what the pools say of it."""
        await self._ask("flavor_delete", f"{project}{JOINT}{name}", name)

    # -- placements ---------------------------------------------------------

    async def placement_get(self, project: str, queue: str) -> Placement | None:
        """Read a field, and one of its pool."""
        found = await self._ask("placement_get", f"{project}{JOINT}{queue}")
        return None if found is None else _read_placement(found)

    async def placement_add(
        self, project: str, queue: str, pool: str, revision: int
    ) -> Placement:
        """Set the field if there is none."""
        found = await self._ask(
            "placement_add", f"{project}{JOINT}{queue}", pool, revision
        )
        if found is None:
            raise CatalogChanged("the pools were changed meanwhile")
        return _read_placement(found)

    async def placement_drop(self, project: str, queue: str, epoch: int) -> bool:
        """Delete the field."""
        place = f"{project}{JOINT}{queue}"
        return bool(await self._ask("placement_drop", place, epoch))

    async def placement_move(
        self, project: str, queue: str, epoch: int, target: str | None, lease: float
    ) -> Placement | None:
        """Change the field."""
        place = f"{project}{JOINT}{queue}"
        found = await self._ask(
            "placement_move", place, epoch, repr(lease), target or ""
        )
        return None if found is None else _read_placement(found)

    async def placement_renew(
        self, project: str, queue: str, epoch: int, lease: float
    ) -> bool:
        """Change the field."""
        place = f"{project}{JOINT}{queue}"
        return bool(await self._ask("placement_renew", place, epoch, repr(lease)))

    async def placement_arrive(self, project: str, queue: str, epoch: int) -> bool:
        """Change the field."""
        place = f"{project}{JOINT}{queue}"
        return bool(await self._ask("placement_arrive", place, epoch))

    async def placement_list(
        self, pool: str, *, marker: tuple[str, str] | None, limit: int
    ) -> list[PlacedQueue]:
        """Walk over a set that is ordered by pool and place."""
        place = "" if marker is None else JOINT.join(marker)
        return _read_placed(
            await self._ask("placement_list", pool, f"({pool}{JOINT}{place}", limit)
        )

    async def placement_moves(self, before: float, limit: int) -> list[PlacedQueue]:
        """Walk over a set that is ordered by lease."""
        return _read_placed(await self._ask("placement_moves", repr(before), limit))

    async def placement_pools(self, project: str) -> list[str]:
        """Look for one place in each pool."""
        found = await self._ask("placement_pools", project)
        return sorted(pool.decode() for pool in found)

    async def placement_count(self, pool: str) -> int:
        """Count a range of the sets."""
        return int(await self._ask("placement_count", pool))


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
