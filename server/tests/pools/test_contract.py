"""A store of several pools keeps the storage contract, as one store does."""

from __future__ import annotations

import pytest
from zaqarserver.spaces import project_of
from zaqarserver.storage.catalog import Pool
from zaqarserver.storage.testing import StorageContract
from zaqarserver.storage.testing.catalog import CatalogContract
from zaqarserver.storage.testing.moving import MovingContract
from zaqarserver.storage.testing.moving_steps import MovingStepsContract
from zaqarserver.storage.testing.placements import PlacementContract

from .conftest import NOW, WithPools, load

#: In memory, for speed; what survives a restart is tested beside. One place in two
#: spellings: pools have different URIs.
POOLS = (
    Pool("first", "sqlite://:memory:", 1),
    Pool("second", "sqlite://%3Amemory%3A", 1),
)
#: It is a store of pools itself, no pool and no catalogue.
PARTS = tuple(
    part
    for part in StorageContract.__bases__
    if part
    not in (CatalogContract, PlacementContract, MovingContract, MovingStepsContract)
)


class TwoPools(*PARTS):  # type: ignore[misc]
    @pytest.fixture
    def driver(self) -> WithPools:
        home = load("sqlite://:memory:", {})
        made = WithPools(home, load, project_of, clock=lambda: NOW)
        made.given = POOLS
        return made


@pytest.mark.usefixtures("small_pages")
class TestTwoPools(TwoPools):
    pass


@pytest.mark.thorough
class TestTwoPoolsAsTheyAre(TwoPools):
    pass
