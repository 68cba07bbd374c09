"""Stores of several pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from zaqarserver.spaces import project_of
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import Pool, PoolPut
from zaqarserver.storage.pooled import PooledStorage
from zaqarserver.storage.sqlite import SQLiteStorage

pytest.register_assert_rewrite("zaqarserver.storage.testing")

#: The time of the conformance suite.
NOW = 1_700_000_000.0


def load(uri: str, _options: Mapping[str, Any]) -> Storage:
    # The disk's own promise is not at stake here, and waiting for it is slow.
    return SQLiteStorage.from_uri(uri, {"synchronous": "normal"})


def pool(
    directory: Path, name: str, weight: int = 1, flavor: str | None = None
) -> Pool:
    return Pool(name, f"sqlite://{directory}/{name}.db", weight, flavor)


class WithPools(PooledStorage):
    """Registers these pools when it is opened."""

    given: tuple[Pool, ...] = ()

    async def open(self) -> None:
        await super().open()
        for one in self.given:
            await self.pools.catalog.do(PoolPut(one))
        await self.pools.start()


def make_pooled(
    directory: Path,
    *names: str,
    virtual: bool = False,
    load: Callable[[str, Mapping[str, Any]], Storage] = load,
    weights: Mapping[str, int] | None = None,
    now: float = NOW,
) -> WithPools:
    """Make a store, not opened, with pools of these names on SQLite."""
    home = load(f"sqlite://{directory}/home.db", {})
    made = WithPools(home, load, project_of, virtual=virtual, clock=lambda: now)
    made.given = tuple(
        pool(directory, name, (weights or {}).get(name, 1)) for name in names
    )
    return made
