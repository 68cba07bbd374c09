"""The rows of the matrix: what is varied, and what it is compared with.

Each group varies one thing and leaves the rest as it is in its base, so that a ratio
has one reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from exchange import OPERATIONS

STORES = ("sqlite", "sqlite-normal", "redis-none", "redis-everysec", "redis-always")
WAYS = ("rest", "frames", "pipelined")
IDENTITIES = ("none", "cached", "uncached")


@dataclass(frozen=True)
class Case:
    """What one row measures.

    Attributes:
        store: One of ``STORES``: SQLite by ``synchronous``, Redis by ``appendfsync``.
        workers: Server processes.
        identity: Whether callers are authenticated by Keystone, and its verdicts kept.
        pooled: Whether queues are kept in a pool.
        way: One of ``WAYS``; pipelined are 16 frames on each connection.
        connections: Connections that ask at the same time.
        queues: Queues that the requests are spread over.
        backlog: Messages in each queue.
        batch: Messages of a post.
        operations: What is measured, some of ``OPERATIONS``.
    """

    store: str = "sqlite"
    workers: int = 1
    identity: str = "none"
    pooled: bool = False
    way: str = "rest"
    connections: int = 16
    queues: int = 1
    backlog: int = 10
    batch: int = 1
    operations: tuple[str, ...] = OPERATIONS

    @property
    def service(self) -> Case:
        """What has to run for it, the same for cases that can share it.

        A store that is as full as a case needs it is not shared with others.
        """
        served = Case(self.store, self.workers, self.identity, self.pooled)
        return replace(served, queues=self.queues, backlog=self.backlog)


@dataclass(frozen=True)
class Group:
    """Rows that differ in one thing; they are measured in turn.

    Attributes:
        title: What is varied.
        rows: The cases by name; the first one is the base.
    """

    title: str
    rows: Mapping[str, Case]

    @property
    def base(self) -> str:
        """The row that the others are compared with."""
        return next(iter(self.rows))


_SQLITE = Case()
_REDIS = Case(store="redis-everysec")
_ALWAYS = Case(store="redis-always")
_CHANGES = ("post", "cycle")
_STORED = (("sqlite", _SQLITE), ("redis", _REDIS), ("always", _ALWAYS))
_NAMES = {"sqlite": "SQLite", "redis": "Redis", "always": "Redis, appendfsync always"}


def _stores() -> Group:
    rows = {store: replace(_SQLITE, store=store) for store in STORES}
    return Group("Stores, 16 connections", rows)


def _ways(name: str, base: Case) -> Group:
    rows = {way: replace(base, way=way, operations=_CHANGES) for way in WAYS}
    return Group(f"Transports, {_NAMES[name]}, 16 connections", rows)


def _workers(name: str, way: str) -> Group:
    base = dict(_STORED)[name]
    base = replace(base, connections=64 if way == "rest" else 16, way=way)
    operations = (*_CHANGES, "list") if way == "rest" else _CHANGES
    rows = {
        str(count): replace(base, workers=count, operations=operations)
        for count in (1, 2, 4)
    }
    told = f"Server processes, {_NAMES[name]}"
    if way == "rest":
        return Group(f"{told}, 64 connections", rows)
    return Group(f"{told}, 16 connections with 16 frames each", rows)


def _connections(workers: int) -> Group:
    base = replace(_REDIS, workers=workers, operations=_CHANGES)
    rows = {str(count): replace(base, connections=count) for count in (1, 4, 16, 64)}
    return Group(f"Connections, Redis, server processes: {workers}", rows)


def _queues(name: str, base: Case) -> Group:
    rows = {
        str(count): replace(base, queues=count) for count in (1, 10, 100, 1_000, 10_000)
    }
    return Group(f"Queues, {_NAMES[name]}", rows)


def _backlog(name: str, base: Case) -> Group:
    rows = {
        str(count): replace(base, backlog=count)
        for count in (10, 1_000, 100_000, 1_000_000)
    }
    return Group(f"Messages in the queue, {_NAMES[name]}", rows)


def _identity() -> Group:
    # Few connections: without kept verdicts Keystone has to answer all of them.
    base = replace(_SQLITE, connections=4, operations=_CHANGES)
    rows = {one: replace(base, identity=one) for one in IDENTITIES}
    return Group("Keystone, SQLite, 4 connections", rows)


def _pools() -> Group:
    plain = replace(_SQLITE, operations=(*_CHANGES, "list"))
    rows = {"none": plain, "one": replace(plain, pooled=True)}
    return Group("Pools, SQLite", rows)


def _batch(name: str, base: Case) -> Group:
    plain = replace(base, operations=("post",))
    rows = {str(count): replace(plain, batch=count) for count in (1, 10, 100)}
    return Group(f"Messages in a post, {_NAMES[name]}", rows)


def _groups() -> dict[str, Group]:
    groups = {"stores": _stores()}
    for name, base in _STORED:
        groups[f"transports-{name}"] = _ways(name, base)
    groups["workers"] = _workers("redis", "rest")
    groups["workers-always"] = _workers("always", "rest")
    groups["workers-pipelined"] = _workers("redis", "pipelined")
    for count in (1, 2):
        groups[f"connections-{count}"] = _connections(count)
    for name, base in _STORED[:2]:
        groups[f"queues-{name}"] = _queues(name, base)
        groups[f"backlog-{name}"] = _backlog(name, base)
        groups[f"batch-{name}"] = _batch(name, base)
    groups["pools"] = _pools()
    groups["keystone"] = _identity()
    return groups


GROUPS: Mapping[str, Group] = _groups()


def chosen(names: list[str]) -> dict[str, Group]:
    """Return the groups that are asked for, with their bases.

    Args:
        names: Groups (``workers``) or rows (``workers/2``); none for all.

    Raises:
        ValueError: There is no such one; the text says what there is.
    """
    picked: dict[str, set[str]] = {}
    for name in names or GROUPS:
        group, _, row = name.partition("/")
        if group not in GROUPS or (row and row not in GROUPS[group].rows):
            known = GROUPS[group].rows if group in GROUPS else GROUPS
            raise ValueError(f"no {name!r}; there are {', '.join(known)}")
        wanted = {row, GROUPS[group].base} if row else set(GROUPS[group].rows)
        picked.setdefault(group, set()).update(wanted)
    return {
        name: replace(
            GROUPS[name],
            rows={row: case for row, case in GROUPS[name].rows.items() if row in rows},
        )
        for name, rows in picked.items()
    }
