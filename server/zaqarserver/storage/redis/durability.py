"""Durability: the failures that data survives, by the servers' configuration."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import hiredis
import msgspec

from zaqarserver.errors import StoreRefused
from zaqarserver.storage.records import Durability
from zaqarserver.storage.redis.client import RedisClient
from zaqarserver.storage.redis.connection import RedisConnection
from zaqarserver.storage.redis.location import Address, Kind, RedisLocation

_OLDEST = (6, 2)


class Promise(msgspec.Struct, frozen=True):
    """The failures that an acknowledged change survives.

    Attributes:
        durability: As the contract names it.
        gaps: The ways in which it could still be lost, in whole sentences.
    """

    durability: Durability
    gaps: tuple[str, ...]


class _Settings(msgspec.Struct, frozen=True):
    """The settings of a server that decide what survives.

    Attributes:
        info: Its ``INFO``.
        sync: Its ``appendfsync``; ``None`` if it refuses ``CONFIG``.
    """

    info: dict[str, str]
    sync: str | None


async def inspect(client: RedisClient, location: RedisLocation) -> Promise:
    """Ask all servers how they keep data; the weakest one counts.

    Servers that do not answer now are checked the next time.

    Raises:
        StoreRefused: One is too old, or may throw data away when memory is short.
        Unavailable: None can be reached.
    """
    masters = await client.everywhere(_look)
    promises = []
    replicas: set[Address] = set()
    for found in masters.values():
        _check(found.info)
        promises.append(_promise(found.info, found.sync, location))
        replicas.update(_replicas(found.info))
    order = (Durability.MEMORY, Durability.PROCESS_CRASH, Durability.POWER_LOSS)
    weakest = min(promises, key=lambda promise: order.index(promise.durability))
    gaps = await _gaps_of(client, sorted(replicas, key=str), weakest.durability)
    return Promise(weakest.durability, (*weakest.gaps, *gaps))


async def _look(connection: RedisConnection) -> _Settings:
    info, sync = await asyncio.gather(
        connection.ask("INFO"), connection.ask("CONFIG", "GET", "appendfsync")
    )
    return _Settings(_read_info(info), _setting(sync))


def _replicas(info: dict[str, str]) -> Iterator[Address]:
    """Find the replicas in a master's ``INFO``: ``slave0:ip=…,port=…,state=…``."""
    for name, value in info.items():
        if re.fullmatch(r"slave\d+", name):
            said = dict(part.partition("=")[::2] for part in value.split(","))
            yield Address(said["ip"], int(said["port"]))


async def _gaps_of(
    client: RedisClient, replicas: list[Address], masters: Durability
) -> list[str]:
    """Find what would be lost once a replica takes over, by its own settings."""
    found = await client.ask_each(replicas, _look)
    gaps = []
    for replica in replicas:
        kept = found[replica]
        if not isinstance(kept, _Settings):
            gaps.append(f"the replica {replica} does not say how it keeps data")
            continue
        if kept.info.get("aof_enabled") != "1" and masters is not Durability.MEMORY:
            gaps.append(f"the replica {replica} keeps no log (appendonly no)")
        elif masters is Durability.POWER_LOSS and kept.sync != "always":
            gaps.append(
                f"the replica {replica} flushes its log with appendfsync "
                f"{kept.sync or 'unknown'}"
            )
        if _evicts(kept.info):
            gaps.append(
                f"the replica {replica} would throw messages away as a master: "
                f"maxmemory-policy is {kept.info['maxmemory_policy']}"
            )
    return gaps


def _read_info(reply: Any) -> dict[str, str]:
    if isinstance(reply, hiredis.ReplyError):
        raise StoreRefused(f"the Redis user must be allowed INFO: {reply}")
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines}


def _setting(reply: Any) -> str | None:
    """Return a setting; ``None`` if the server does not reveal it."""
    return reply[1].decode() if isinstance(reply, list) and reply else None


def _check(info: dict[str, str]) -> None:
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreRefused(f"Redis {version} is too old; 6.2 is the oldest that works")
    if _evicts(info):
        raise StoreRefused(
            f"maxmemory-policy is {info['maxmemory_policy']}: Redis would throw "
            "messages away when its memory is full; set it to noeviction"
        )


def _evicts(info: dict[str, str]) -> bool:
    policy = info.get("maxmemory_policy", "noeviction")
    return policy.startswith("allkeys") or (
        policy != "noeviction" and info.get("maxmemory", "0") != "0"
    )


def _promise(
    info: dict[str, str], sync: str | None, location: RedisLocation
) -> Promise:
    if info.get("aof_enabled") != "1":
        return Promise(
            Durability.MEMORY,
            ("Redis keeps no log (appendonly no): what it got last ends with it",),
        )
    gaps = []
    if sync != "always":
        gaps.append(
            f"Redis flushes its log with appendfsync {sync or 'unknown'}: a power "
            "loss takes the last moments"
        )
    replicas = int(info.get("connected_slaves", "0"))
    replicated = replicas > 0 or location.kind is not Kind.STANDALONE
    if replicated and not location.wait_replicas:
        gaps.append(
            "changes are acknowledged before a replica has them (wait_replicas is 0): "
            "a failover takes the last moments"
        )
    durability = Durability.PROCESS_CRASH if gaps else Durability.POWER_LOSS
    if 0 < location.wait_replicas < replicas:
        gaps.append(
            f"only {location.wait_replicas} of {replicas} replicas have to confirm: a "
            "master that is cut off, or stands still, while another one takes over may "
            "acknowledge changes that go with it"
        )
    return Promise(durability, tuple(gaps))
