"""Answers about pools and flavors, on both transports."""

from __future__ import annotations

from typing import Any

from zaqarserver.operations import flavors, pools
from zaqarserver.operations.context import Context
from zaqarserver.operations.flavors import ShownFlavor
from zaqarserver.operations.rest import next_link, query_sent
from zaqarserver.operations.row import FLAVORS, POOLS, Reply, frame_answer, rest_answer
from zaqarserver.storage.catalog import DrainState, Pool

# -- pools ----------------------------------------------------------------------


def _pool(found: Pool, *, detailed: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": found.name,
        "uri": found.uri,
        "weight": found.weight,
        "flavor": found.flavor,
    }
    if detailed:
        shown["options"] = found.options
    return shown


def _referred(path: str, shown: dict[str, Any]) -> dict[str, Any]:
    return {"name": shown["name"], "href": f"{path}/{shown['name']}", **shown}


@rest_answer(pools.pool_list)
def pool_list(_ctx: Context, args: pools.PoolListArgs, found: list[Pool]) -> Reply:
    """A page of pools with the link to the next, and the path of the list."""
    items = [_referred(POOLS, _pool(one, detailed=args.detailed)) for one in found]
    links = next_link(POOLS, query_sent(args), found[-1].name) if found else []
    # The edge adds the query as it was sent.
    headers = {"Content-Location": POOLS}
    return Reply(200, {"pools": items, "links": links}, headers)


@frame_answer(pools.pool_list)
def pool_list_frame(
    _ctx: Context, args: pools.PoolListArgs, found: list[Pool]
) -> Reply:
    """A page of pools."""
    return Reply(200, {"pools": [_pool(one, detailed=args.detailed) for one in found]})


@rest_answer(pools.pool_get)
def pool_get(_ctx: Context, args: pools.PoolGetArgs, found: Pool) -> Reply:
    """The pool itself."""
    return Reply(200, _referred(POOLS, _pool(found, detailed=args.detailed)))


@frame_answer(pools.pool_get)
def pool_get_frame(_ctx: Context, args: pools.PoolGetArgs, found: Pool) -> Reply:
    """The pool itself."""
    return Reply(200, _pool(found, detailed=args.detailed))


@rest_answer(pools.pool_update)
def pool_update(_ctx: Context, _args: Any, found: Pool) -> Reply:
    """The changed pool, without its options."""
    return Reply(200, _referred(POOLS, _pool(found, detailed=False)))


@frame_answer(pools.pool_update)
def pool_update_frame(_ctx: Context, _args: Any, found: Pool) -> Reply:
    """The changed pool, without its options."""
    return Reply(200, _pool(found, detailed=False))


@rest_answer(pools.pool_create)
def pool_create(_ctx: Context, args: pools.PoolCreateArgs, _result: None) -> Reply:
    """No body; the pool's path as ``Location``."""
    return Reply(201, None, {"Location": f"{POOLS}/{args.pool_name}"})


@rest_answer(pools.pool_drain)
@frame_answer(pools.pool_drain)
def pool_drain(_ctx: Context, args: pools.PoolDrainArgs, state: DrainState) -> Reply:
    """The progress."""
    return Reply(
        200,
        {
            "name": args.pool_name,
            "queues": state.queues,
            "moved": state.moved,
            "running": state.running,
            "error": state.error,
        },
    )


# -- flavors --------------------------------------------------------------------


def _flavor(found: ShownFlavor) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": found.flavor.name}
    if found.flavor.pools or found.capabilities is not None:
        shown["pool_list"] = found.flavor.pools
    if found.capabilities is not None:
        shown["capabilities"] = found.capabilities
    return shown


@rest_answer(flavors.flavor_list)
def flavor_list(
    _ctx: Context, args: flavors.FlavorListArgs, found: list[ShownFlavor]
) -> Reply:
    """A page of flavors with the link to the next."""
    items = [_referred(FLAVORS, _flavor(one)) for one in found]
    links = []
    if found:
        links = next_link(FLAVORS, query_sent(args), found[-1].flavor.name)
    return Reply(200, {"flavors": items, "links": links})


@frame_answer(flavors.flavor_list)
def flavor_list_frame(_ctx: Context, _args: Any, found: list[ShownFlavor]) -> Reply:
    """A page of flavors."""
    return Reply(200, {"flavors": [_flavor(one) for one in found]})


@rest_answer(flavors.flavor_get, flavors.flavor_update)
def flavor_get(_ctx: Context, _args: Any, found: ShownFlavor) -> Reply:
    """The flavor itself."""
    return Reply(200, _referred(FLAVORS, _flavor(found)))


@frame_answer(flavors.flavor_get, flavors.flavor_update)
def flavor_get_frame(_ctx: Context, _args: Any, found: ShownFlavor) -> Reply:
    """The flavor itself."""
    return Reply(200, _flavor(found))


@rest_answer(flavors.flavor_create)
def flavor_create(
    _ctx: Context, args: flavors.FlavorCreateArgs, _result: None
) -> Reply:
    """No body; the flavor's path as ``Location``."""
    return Reply(201, None, {"Location": f"{FLAVORS}/{args.flavor_name}"})
