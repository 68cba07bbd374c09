"""Grants, usage, and how many messages the store has."""

from __future__ import annotations

import asyncio

import msgspec

from zaqarserver.storage.accounts import (
    Grant,
    GrantAdd,
    GrantCheck,
    GrantList,
    GrantRevoke,
    Usage,
    UsageGet,
)
from zaqarserver.storage.commands import QueueCount, VolumeGet
from zaqarserver.storage.records import Volume
from zaqarserver.storage.redis.queues import count
from zaqarserver.storage.redis.store import Store, performs

#: A grant is kept as an array of its members; ``lua/grant_revoke.lua`` sets the last.
_Packed = tuple[str, list[str], list[str], float, float, bool]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def _read(packed: bytes) -> Grant:
    return Grant(*_decode(packed))


@performs(GrantAdd)
async def add_grant(store: Store, command: GrantAdd) -> Grant | None:
    """Store the grant beside the queue, which need not exist."""
    keys = store.keys(command)
    grant = msgspec.structs.replace(command.grant, revoked=False)
    packed = await store.run_prepared(
        "grant_add",
        keys,
        keys.grants,
        command.now,
        grant.id,
        float(grant.expires),
        command.most,
        _encode(msgspec.structs.astuple(grant)),
    )
    return None if packed is None else _read(packed)


@performs(GrantList)
async def list_grants(store: Store, command: GrantList) -> list[Grant]:
    """Read a page of the unexpired ids."""
    start = "-" if command.marker is None else f"({command.marker}"
    found = await store.run(
        "grant_list",
        store.keys(command).grants,
        command.now,
        start,
        command.limit,
    )
    return [_read(packed) for packed in found]


@performs(GrantRevoke)
async def revoke_grant(store: Store, command: GrantRevoke) -> bool:
    """Set the last member of the grant."""
    grants = store.keys(command).grants
    return bool(await store.run("grant_revoke", grants, command.now, command.grant_id))


@performs(GrantCheck)
async def is_revoked(store: Store, command: GrantCheck) -> bool:
    """Read the grant; an unknown one is not revoked."""
    grants = store.keys(command).grants
    packed = await store.client.do("HGET", grants[1], command.grant_id)
    return packed is not None and _read(packed).revoked


@performs(UsageGet)
async def usage(store: Store, command: UsageGet) -> Usage:
    """Flush what this server has gathered, then read the sums of the space."""
    space = command.space
    await store.usage.flush(space)
    sums = ("messages", "bytes", "subscriptions")
    queues, found = await asyncio.gather(
        count(store, QueueCount(space)),
        store.client.do("HMGET", store.keyspace.usage(space), *sums),
    )
    return Usage(queues, *(int(one or 0) for one in found))


@performs(VolumeGet)
async def volume(store: Store, _command: VolumeGet) -> Volume:
    """Add up the lengths of the queues' sets.

    A scan over the names of all keys finds them: about half a second for a
    hundred thousand queues, in small steps.
    """
    sums = {":expiry": 0, ":held": 0}
    for suffix in sums:
        # A queue's tag has one colon and no sign before it; see ``names``.
        pattern = f"{store.location.prefix}:{{*}}{suffix}"
        async for keys in store.client.scan(pattern):
            lengths = await asyncio.gather(
                *(store.client.do("ZCARD", key) for key in keys)
            )
            sums[suffix] += sum(lengths)
    claimed = min(sums[":held"], sums[":expiry"])
    return Volume(sums[":expiry"] - claimed, claimed)
