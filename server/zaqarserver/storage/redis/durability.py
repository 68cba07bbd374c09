"""What a server of the store survives, as it is configured."""

from __future__ import annotations

from typing import Any

import hiredis
import msgspec

from zaqarserver.errors import StoreRefused
from zaqarserver.storage.base import Durability
from zaqarserver.storage.redis.link import Link
from zaqarserver.storage.redis.location import Kind, Location

_OLDEST = (6, 2)


class Promise(msgspec.Struct, frozen=True):
    """What an acknowledged change survives.

    Attributes:
        durability: In the words of the contract.
        gaps: How it could be lost nevertheless, in whole sentences.
    """

    durability: Durability
    gaps: tuple[str, ...]


async def inspect(link: Link, location: Location) -> Promise:
    """Ask all servers how they keep data; the weakest one counts.

    Raises:
        StoreRefused: One is too old, or may throw data away when memory is short.
        Unavailable: One cannot be reached.
    """
    infos = [_read_info(one) for one in await link.ask_all("INFO")]
    syncs = await link.ask_all("CONFIG", "GET", "appendfsync")
    for info in infos:
        _check(info)
    promises = [
        _promise(info, _setting(sync), location)
        for info, sync in zip(infos, syncs, strict=True)
    ]
    order = (Durability.MEMORY, Durability.PROCESS_CRASH, Durability.POWER_LOSS)
    return min(promises, key=lambda promise: order.index(promise.durability))


def _read_info(reply: Any) -> dict[str, str]:
    if isinstance(reply, hiredis.ReplyError):
        raise StoreRefused(f"the Redis user must be allowed INFO: {reply}")
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, _, value in lines}


def _setting(reply: Any) -> str | None:
    """Return a setting; ``None`` where the server does not say."""
    return reply[1].decode() if isinstance(reply, list) and reply else None


def _check(info: dict[str, str]) -> None:
    version = info.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreRefused(f"Redis {version} is too old; 6.2 is the oldest that works")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy.startswith("allkeys") or (
        policy != "noeviction" and info.get("maxmemory", "0") != "0"
    ):
        raise StoreRefused(
            f"maxmemory-policy is {policy}: Redis would throw messages away when its "
            "memory is full; set it to noeviction"
        )


def _promise(info: dict[str, str], sync: str | None, location: Location) -> Promise:
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
