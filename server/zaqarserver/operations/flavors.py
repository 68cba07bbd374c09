"""Flavors: kinds of pools that queues may request (``rest-v2`` 2.13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    FlavorNotFound,
    PoolNotFound,
    RequestError,
    Unavailable,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import Fields, count, path, query, spread
from zaqarserver.operations.metadata import check_size
from zaqarserver.operations.pools import (
    check_capabilities,
    pool_operation,
    register_answers,
    registry,
)
from zaqarserver.operations.row import FLAVOR, FLAVORS
from zaqarserver.storage.base import Capability
from zaqarserver.storage.catalog import (
    Flavor,
    FlavorDelete,
    FlavorGet,
    FlavorList,
    FlavorPut,
    PoolGet,
)

if TYPE_CHECKING:
    from zaqarserver.storage.pooled.pools import Pools

_CREATE_TITLE = "Unable to create"
_UPDATE_TITLE = "Unable to update flavor"


class ShownFlavor(msgspec.Struct, frozen=True):
    """A flavor and the capabilities of its pools.

    Attributes:
        flavor: The flavor.
        capabilities: Those of its first pool; ``None`` if not requested.
    """

    flavor: Flavor
    capabilities: list[str] | None


async def _shown(ctx: Context, flavor: Flavor) -> ShownFlavor:
    if not flavor.pools:
        return ShownFlavor(flavor, [])
    found = (await registry(ctx).storage(flavor.pools[0])).capabilities
    return ShownFlavor(flavor, [one.value for one in Capability if one in found])


class FlavorListArgs(Fields):
    """A page of the project's flavors."""

    marker: Annotated[str | None, query(help="Only names after this one.")] = None
    limit: Annotated[int, count("max_flavors_per_page", "Flavors a page.")] = 10
    detailed: Annotated[bool, query(help="Include the capabilities.")] = False


@pool_operation("GET", FLAVORS, "flavors:get_all", check_str="")
async def flavor_list(ctx: Context, args: FlavorListArgs) -> list[ShownFlavor]:
    """List the project's flavors."""
    found = await registry(ctx).catalog.do(
        FlavorList(ctx.project, marker=args.marker, limit=args.limit)
    )
    if not args.detailed:
        return [ShownFlavor(flavor, None) for flavor in found]
    return [await _shown(ctx, flavor) for flavor in found]


def _check_pool_list(value: Any, title: str) -> list[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(name, str) and name for name in value)
    ):
        raise BadRequest(
            "pool_list must be an array of names of pools, at least one.", title=title
        )
    return list(dict.fromkeys(value))


async def _check_alike(pools: Pools, names: list[str], title: str) -> None:
    """Refuse pools with different capabilities."""
    try:
        capabilities = (await pools.storage(names[0])).capabilities
    except Unavailable:
        return  # its capabilities were compared when it was registered
    for name in names[1:]:
        await check_capabilities(pools, name, capabilities, title)


async def _put(
    ctx: Context, name: str, names: list[str], refusal: RequestError
) -> None:
    check_size(ctx, "The flavor", names)
    pools = registry(ctx)
    for one in names:
        if await pools.catalog.do(PoolGet(one)) is None:
            raise _unknown(refusal, f"Pool {one} does not exist")
    await _check_alike(pools, names, refusal.title)
    try:
        await pools.catalog.do(FlavorPut(ctx.project, name, names))
    except PoolNotFound as error:
        raise _unknown(refusal, error.description) from error
    await pools.refresh()


def _unknown(refusal: RequestError, reason: str) -> BadRequest:
    return BadRequest(f"{refusal.description}, error:{reason}", title=refusal.title)


class FlavorArgs(Fields):
    """One flavor."""

    flavor_name: Annotated[
        str,
        path(name="flavor", help="Name of the flavor: 1 to 64 of A-Z a-z 0-9 _ - ."),
    ]


class FlavorCreateArgs(FlavorArgs):
    """A new flavor."""

    flavor: Annotated[
        Any, spread("pool_list: the names of its pools, at least one.")
    ] = msgspec.UNSET


@pool_operation("PUT", FLAVOR, "flavors:create", status=201, located=True)
async def flavor_create(ctx: Context, args: FlavorCreateArgs) -> None:
    """Create a flavor of the project, or replace one."""
    given = args.flavor
    if not isinstance(given, Mapping):
        raise BadRequest("The flavor must be an object.", title=_CREATE_TITLE)
    for name, value in given.items():
        if name not in ("pool_list", "capabilities"):
            raise BadRequest(
                f"Unknown member {name}; a flavor has pool_list.",
                title=_CREATE_TITLE,
            )
        if name == "capabilities" and not isinstance(value, Mapping):
            raise BadRequest("capabilities must be an object.", title=_CREATE_TITLE)
    names = _check_pool_list(given.get("pool_list"), _CREATE_TITLE)
    name = args.flavor_name
    refusal = BadRequest(f"Flavor {name} could not be created", title=_CREATE_TITLE)
    await _put(ctx, name, names, refusal)


async def _found(ctx: Context, name: str) -> Flavor:
    flavor = await registry(ctx).catalog.do(FlavorGet(ctx.project, name))
    if flavor is None:
        raise FlavorNotFound(f"Flavor {name} does not exist.")
    return flavor


@pool_operation("GET", FLAVOR, "flavors:get", check_str="", errors=(FlavorNotFound,))
async def flavor_get(ctx: Context, args: FlavorArgs) -> ShownFlavor:
    """Show a flavor and the capabilities of its pools."""
    return await _shown(ctx, await _found(ctx, args.flavor_name))


class FlavorUpdateArgs(FlavorArgs):
    """A change of a flavor."""

    changes: Annotated[Any, spread("pool_list: the names of its pools.")] = (
        msgspec.UNSET
    )


@pool_operation("PATCH", FLAVOR, "flavors:update", errors=(FlavorNotFound,))
async def flavor_update(ctx: Context, args: FlavorUpdateArgs) -> ShownFlavor:
    """Change the pools of a flavor.

    Return the changed flavor.
    """
    given = args.changes
    if not isinstance(given, Mapping):
        raise BadRequest("The flavor must be an object.", title=_UPDATE_TITLE)
    names = _check_pool_list(given.get("pool_list"), _UPDATE_TITLE)
    name = args.flavor_name
    await _found(ctx, name)
    refusal = BadRequest(f"Flavor {name} could not be updated", title=_UPDATE_TITLE)
    await _put(ctx, name, names, refusal)
    return await _shown(ctx, await _found(ctx, name))


@pool_operation("DELETE", FLAVOR, "flavors:delete", status=204)
async def flavor_delete(ctx: Context, args: FlavorArgs) -> None:
    """Remove a flavor of the project.

    Do nothing if it does not exist.
    """
    pools = registry(ctx)
    await pools.catalog.do(FlavorDelete(ctx.project, args.flavor_name))
    await pools.refresh()


def _answer(_args: Any, found: ShownFlavor) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": found.flavor.name}
    if found.flavor.pools or found.capabilities is not None:
        shown["pool_list"] = found.flavor.pools
    if found.capabilities is not None:
        shown["capabilities"] = found.capabilities
    return shown


register_answers(
    FLAVORS,
    _answer,
    flavor_get,
    flavor_update,
    listed=flavor_list,
)
