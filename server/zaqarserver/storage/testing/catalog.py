"""The suite: pools, flavors and placements, for drivers that keep them."""

from __future__ import annotations

import pytest

from zaqarserver.errors import PoolExists, PoolInUse, PoolNotFound
from zaqarserver.storage.base import Storage
from zaqarserver.storage.catalog import (
    CatalogRevision,
    Flavor,
    FlavorDelete,
    FlavorGet,
    FlavorList,
    FlavorPut,
    PlacementGet,
    Pool,
    PoolDelete,
    PoolGet,
    PoolList,
    PoolPut,
)
from zaqarserver.storage.testing.suite import PROJECT, Suite


def made(name: str, weight: int = 1, flavor: str | None = None) -> Pool:
    """Make a pool."""
    return Pool(name, f"mine://{name}", weight, flavor, {"n": [1, None]})


async def put(kept: Storage, *names: str) -> None:
    """Register pools."""
    for name in names:
        await kept.do(PoolPut(made(name)))


async def names(kept: Storage) -> list[str]:
    """Return the names of all pools."""
    return [pool.name for pool in await kept.do(PoolList(marker=None, limit=100))]


class CatalogSuite(Suite):
    """Opens the store as a catalogue."""

    @pytest.fixture
    def kept(self, storage: Storage) -> Storage:
        """Return the store as a catalogue; skip if the driver does not support it."""
        if PlacementGet not in storage.commands:
            pytest.skip("the driver keeps no pools")
        return storage


class CatalogContract(CatalogSuite):
    """Pools, flavors and placements in a store."""

    # -- pools ------------------------------------------------------------------

    async def test_a_pool_is_kept_as_given(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a", 5, "fast")))
        found = await kept.do(PoolGet("a"))
        assert found is not None
        assert found == Pool(
            "a", "mine://a", 5, "fast", {"n": [1, None]}, found.revision
        )
        assert found.revision > 0
        assert await kept.do(PoolGet("b")) is None

    async def test_a_pool_is_replaced_as_a_whole(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a", 5, "fast")))
        await kept.do(PoolPut(Pool("a", "mine://other", 0)))
        found = await kept.do(PoolGet("a"))
        assert found is not None
        assert (found.uri, found.weight, found.flavor, found.options) == (
            "mine://other",
            0,
            None,
            {},
        )

    async def test_pools_are_listed_by_name(self, kept: Storage) -> None:
        for name in ("c", "a", "B", "b"):
            await kept.do(PoolPut(made(name)))
        assert await names(kept) == ["B", "a", "b", "c"]
        page = await kept.do(PoolList(marker="a", limit=1))
        assert [pool.name for pool in page] == ["b"]
        assert await kept.do(PoolList(marker="c", limit=10)) == []

    async def test_a_uri_belongs_to_one_pool(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a")))
        with pytest.raises(PoolExists):
            await kept.do(PoolPut(Pool("b", "mine://a", 1)))
        assert await names(kept) == ["a"]
        await kept.do(PoolDelete("a"))
        await kept.do(PoolPut(Pool("b", "mine://a", 1)))

    async def test_the_revision_of_a_pool_is_that_of_its_address(
        self, kept: Storage
    ) -> None:
        async def revision() -> int:
            found = await kept.do(PoolGet("a"))
            assert found is not None
            return found.revision

        await kept.do(PoolPut(made("a")))
        first = await revision()
        await kept.do(PoolPut(made("a", 7, "fast")))
        assert await revision() == first
        await kept.do(PoolPut(Pool("a", "mine://b", 1)))
        second = await revision()
        await kept.do(PoolDelete("a"))
        await kept.do(PoolPut(Pool("a", "mine://b", 1)))
        assert len({first, second, await revision()}) == 3

    async def test_every_change_of_pools_and_flavors_is_seen(
        self, kept: Storage
    ) -> None:
        seen = [await kept.do(CatalogRevision())]

        async def changed() -> bool:
            seen.append(await kept.do(CatalogRevision()))
            return len(set(seen)) == len(seen)

        await kept.do(PoolPut(made("a")))
        assert await changed()
        await kept.do(PoolPut(made("a", 0)))
        assert await changed()
        await kept.do(FlavorPut(PROJECT, "fast", ["a"]))
        assert await changed()
        await kept.do(FlavorDelete(PROJECT, "fast"))
        assert await changed()
        await kept.do(PoolDelete("a"))
        assert await changed()

    async def test_removing_a_pool_that_is_not_there_is_no_error(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolDelete("none"))

    # -- flavors ----------------------------------------------------------------

    async def test_a_flavor_has_exactly_the_pools_named(self, kept: Storage) -> None:
        for name in ("a", "b", "c"):
            await kept.do(PoolPut(made(name)))
        await kept.do(FlavorPut(PROJECT, "fast", ["b", "a"]))
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", ["a", "b"])
        await kept.do(FlavorPut(PROJECT, "fast", ["c"]))
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", ["c"])
        found = await kept.do(PoolGet("a"))
        assert found is not None
        assert found.flavor is None
        await kept.do(FlavorPut(PROJECT, "slow", ["c"]))
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", [])

    async def test_a_flavor_of_a_missing_pool_changes_nothing(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a")))
        await kept.do(FlavorPut(PROJECT, "fast", ["a"]))
        with pytest.raises(PoolNotFound):
            await kept.do(FlavorPut(PROJECT, "fast", ["none"]))
        with pytest.raises(PoolNotFound):
            await kept.do(FlavorPut(PROJECT, "new", ["a", "none"]))
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", ["a"])
        assert await kept.do(FlavorGet(PROJECT, "new")) is None

    async def test_flavors_are_their_projects_own(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a")))
        await kept.do(FlavorPut(PROJECT, "fast", ["a"]))
        assert await kept.do(FlavorGet("other", "fast")) is None
        assert await kept.do(FlavorList("other", marker=None, limit=10)) == []
        await kept.do(FlavorDelete("other", "fast"))
        assert await kept.do(FlavorGet(PROJECT, "fast")) == Flavor("fast", ["a"])

    async def test_pools_lose_a_flavor_with_the_last_project_that_has_it(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a")))
        await kept.do(FlavorPut(PROJECT, "fast", ["a"]))
        await kept.do(FlavorPut("other", "fast", ["a"]))
        await kept.do(FlavorDelete(PROJECT, "fast"))
        assert await kept.do(FlavorGet("other", "fast")) == Flavor("fast", ["a"])
        await kept.do(FlavorDelete("other", "fast"))
        found = await kept.do(PoolGet("a"))
        assert found is not None
        assert found.flavor is None

    async def test_flavors_are_listed_by_name(self, kept: Storage) -> None:
        await kept.do(PoolPut(made("a")))
        for name in ("z", "x", "y"):
            await kept.do(FlavorPut(PROJECT, name, ["a"]))
        page = await kept.do(FlavorList(PROJECT, marker="x", limit=1))
        assert page == [Flavor("y", ["a"])]
        assert len(await kept.do(FlavorList(PROJECT, marker=None, limit=10))) == 3

    async def test_the_last_pool_of_a_flavor_stays(self, kept: Storage) -> None:
        await put(kept, "a", "b")
        await kept.do(FlavorPut(PROJECT, "fast", ["a", "b"]))
        await kept.do(PoolDelete("a"))
        with pytest.raises(PoolInUse):
            await kept.do(PoolDelete("b"))
        await kept.do(FlavorDelete(PROJECT, "fast"))
        await kept.do(PoolDelete("b"))
        assert await names(kept) == []

    async def test_a_label_that_no_project_has_as_a_flavor_keeps_no_pool(
        self, kept: Storage
    ) -> None:
        await kept.do(PoolPut(made("a", flavor="fast")))
        await kept.do(PoolDelete("a"))
        assert await names(kept) == []
