"""Pools: the stores that take queues (``rest-v2`` 2.12)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    PoolExists,
    PoolInUse,
    PoolNotFound,
    StartupError,
    Unavailable,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    Fields,
    check_integer,
    count,
    path,
    query,
    spread,
)
from zaqarserver.operations.metadata import check_size
from zaqarserver.operations.rest import page
from zaqarserver.operations.row import (
    POOL,
    POOLS,
    Handler,
    Reply,
    frame_answer,
    operation,
    rest_answer,
)
from zaqarserver.storage.base import Capability
from zaqarserver.storage.catalog import (
    DrainState,
    Pool,
    PoolDelete,
    PoolGet,
    PoolList,
    PoolPut,
)

if TYPE_CHECKING:
    from zaqarserver.storage.pooled.pools import Pools

_LONGEST = 255
_HEAVIEST = 2**32 - 1
_MEMBERS = ("uri", "weight", "flavor", "options")
_CREATE_TITLE = "Unable to create pool"
_UPDATE_TITLE = "Unable to update pool"

pool_operation = functools.partial(operation, admin=True, pooled=True)


def registry(ctx: Context) -> Pools:
    """Return the pools; the rows that ask exist only with pooling."""
    pools = ctx.server.pools
    if pools is None:
        raise Unavailable("the server has no pools")
    return pools


class PoolArgs(Fields):
    """One pool."""

    pool_name: Annotated[
        str, path(name="pool", help="Name of the pool: 1 to 64 of A-Z a-z 0-9 _ - .")
    ]


class PoolListArgs(Fields):
    """A page of pools."""

    marker: Annotated[str | None, query(help="Only names after this one.")] = None
    limit: Annotated[int, count("max_pools_per_page", "Pools a page.")] = 10
    detailed: Annotated[bool, query(help="Include the options.")] = False


@pool_operation("GET", POOLS, "pools:get_all")
async def pool_list(ctx: Context, args: PoolListArgs) -> list[Pool]:
    """List the pools."""
    catalog = registry(ctx).catalog
    return await catalog.do(PoolList(marker=args.marker, limit=args.limit))


# -- checks ---------------------------------------------------------------------


def _check_text(name: str, value: Any, title: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise BadRequest(
            f"{name} must be a text of at most {_LONGEST} characters.", title=title
        )
    return value


def _check_member(name: str, value: Any, title: str) -> Any:
    if name == "weight":
        return check_integer("weight", value, 0, _HEAVIEST)
    if name == "options":
        if not isinstance(value, dict):
            raise BadRequest("options must be an object.", title=title)
        return value
    if name == "flavor" and value in (None, ""):
        return None
    text = _check_text(name, value, title)
    if name == "uri" and "://" not in text:
        raise BadRequest("uri must be a storage URI, scheme://…", title=title)
    return text


def _check_document(given: Any, title: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise BadRequest("The pool must be an object.", title=title)
    return given


async def _check_store(ctx: Context, pool: Pool, title: str) -> None:
    """Refuse a store that is unusable, in use, or unlike the others of its flavor."""
    pools = registry(ctx)
    await pools.refresh()
    holder = pools.holder(pool.uri)
    if holder is not None and holder != pool.name:
        whose = f"The pool {holder}" if holder else "The server's own store"
        raise PoolExists(f"uri: {whose} has this URI.")
    try:
        capabilities = await pools.try_out(pool)
    except (StartupError, Unavailable) as error:
        raise BadRequest(f"uri: {error}.", title=title) from error
    if pool.flavor is None:
        return
    for name in pools.names:
        mate = await pools.catalog.do(PoolGet(name))
        if mate is not None and name != pool.name and mate.flavor == pool.flavor:
            await check_capabilities(pools, name, capabilities, title)


async def check_capabilities(
    pools: Pools, name: str, capabilities: frozenset[Capability], title: str
) -> None:
    """Refuse capabilities other than those of a pool of the same flavor.

    A pool that cannot be reached is not compared.

    Raises:
        BadRequest: They differ.
    """
    try:
        others = (await pools.storage(name)).capabilities
    except Unavailable:
        return
    if others != capabilities:
        differing = ", ".join(sorted(others ^ capabilities))
        raise BadRequest(
            f"flavor: the pool {name} of the same flavor has other capabilities "
            f"({differing}).",
            title=title,
        )


# -- changing -------------------------------------------------------------------


class PoolCreateArgs(PoolArgs):
    """A new pool."""

    pool: Annotated[
        Any,
        spread("uri and weight; flavor (a name) and options (an object) if any."),
    ] = msgspec.UNSET


@pool_operation(
    "PUT", POOL, "pools:create", status=201, located=True, errors=(PoolExists,)
)
async def pool_create(ctx: Context, args: PoolCreateArgs) -> None:
    """Register a store that takes queues, or replace one."""
    given = _check_document(args.pool, _CREATE_TITLE)
    for name in given:
        if name not in _MEMBERS:
            raise BadRequest(
                f"Unknown member {name}; a pool has {', '.join(_MEMBERS)}.",
                title=_CREATE_TITLE,
            )
    for name in ("uri", "weight"):
        if name not in given:
            raise BadRequest(f"{name} is missing.", title=_CREATE_TITLE)
    values = {
        name: _check_member(name, value, _CREATE_TITLE) for name, value in given.items()
    }
    pool = Pool(args.pool_name, **values)
    check_size(ctx, "The pool", pool)
    await _check_store(ctx, pool, _CREATE_TITLE)
    await _put(ctx, pool)


async def _put(ctx: Context, pool: Pool) -> None:
    pools = registry(ctx)
    await pools.catalog.do(PoolPut(pool))
    await pools.refresh()


class PoolGetArgs(PoolArgs):
    """One pool to show."""

    detailed: Annotated[bool, query(help="Include the options.")] = False


@pool_operation("GET", POOL, "pools:get", errors=(PoolNotFound,))
async def pool_get(ctx: Context, args: PoolGetArgs) -> Pool:
    """Show a pool."""
    pool = await registry(ctx).catalog.do(PoolGet(args.pool_name))
    if pool is None:
        raise PoolNotFound(f"Pool {args.pool_name} does not exist.")
    return pool


class PoolUpdateArgs(PoolArgs):
    """A change of a pool."""

    changes: Annotated[
        Any,
        spread("Any of uri, weight, flavor (empty: none) and options."),
    ] = msgspec.UNSET


@pool_operation("PATCH", POOL, "pools:update", errors=(PoolNotFound, PoolExists))
async def pool_update(ctx: Context, args: PoolUpdateArgs) -> Pool:
    """Change a pool's weight, uri, flavor or options.

    Return the changed pool.
    """
    given = _check_document(args.changes, _UPDATE_TITLE)
    if "additionalProperties" in given:
        raise BadRequest("Unknown member additionalProperties.")
    values = {
        name: _check_member(name, given[name], _UPDATE_TITLE)
        for name in _MEMBERS
        if name in given
    }
    if not values:
        raise BadRequest(
            f"Give at least one of {', '.join(_MEMBERS)}.", title=_UPDATE_TITLE
        )
    old = await registry(ctx).catalog.do(PoolGet(args.pool_name))
    if old is None:
        raise PoolNotFound(f"Pool {args.pool_name} does not exist.")
    new = msgspec.structs.replace(old, **values)
    check_size(ctx, "The pool", new, old)
    # The weight of a pool that cannot be reached can be changed, to drain it.
    if set(values) != {"weight"}:
        await _check_store(ctx, new, _UPDATE_TITLE)
    await _put(ctx, new)
    return new


class PoolDeleteArgs(PoolArgs):
    """A pool to remove."""

    force: Annotated[
        bool,
        query(help="Remove it even if it has queues, which are then lost."),
    ] = False


@pool_operation("DELETE", POOL, "pools:delete", status=204, errors=(PoolInUse,))
async def pool_delete(ctx: Context, args: PoolDeleteArgs) -> None:
    """Remove a pool that has no queues.

    Do nothing if it does not exist.
    """
    pools = registry(ctx)
    await pools.catalog.do(PoolDelete(args.pool_name, forget=args.force))
    await pools.refresh()


class PoolDrainArgs(PoolArgs):
    """A pool to empty."""

    wait: Annotated[
        int,
        query(minimum=0, maximum=20, help="Seconds to wait for the end."),
    ] = 5


@pool_operation("POST", POOL + "/drain", "pools:drain", errors=(PoolNotFound,))
async def pool_drain(ctx: Context, args: PoolDrainArgs) -> DrainState:
    """Move the queues of a pool to others; repeat until none is left.

    The pool takes no new queues from then on.
    """
    drains = ctx.server.drains
    if drains is None:
        raise Unavailable("the server has no pools")
    return await drains.drain(args.pool_name, args.wait)


# -- answers --------------------------------------------------------------------


def register_answers(
    path: str,
    show: Callable[[Any, Any], dict[str, Any]],
    *one: Handler,
    listed: Handler,
    headers: dict[str, str] | None = None,
) -> None:
    """Register the answers about pools or flavors; those of REST have hrefs.

    Args:
        path: The path of the list.
        show: Returns what both transports show of one, given the arguments.
        *one: The handlers that return one.
        listed: The handler that returns a page.
        headers: Those of a page on REST.
    """
    name = path.rpartition("/")[2]

    def refer(args: Any, found: Any) -> dict[str, Any]:
        shown = show(args, found)
        return {"name": shown["name"], "href": f"{path}/{shown['name']}", **shown}

    @rest_answer(listed)
    def page_in_rest(_ctx: Context, args: Any, found: list[Any]) -> Reply:
        items = [refer(args, item) for item in found]
        marker = items[-1]["name"] if items else ""
        return Reply(200, page(path, args, name, items, marker), headers)

    @frame_answer(listed)
    def page_in_frame(_ctx: Context, args: Any, found: list[Any]) -> Reply:
        return Reply(200, {name: [show(args, item) for item in found]})

    rest_answer(*one)(lambda _ctx, args, found: Reply(200, refer(args, found)))
    frame_answer(*one)(lambda _ctx, args, found: Reply(200, show(args, found)))


def _shown(args: Any, pool: Pool) -> dict[str, Any]:
    """Return a pool, with its options if they are requested."""
    names = ("name", "uri", "weight", "flavor", "options")
    shown = names if getattr(args, "detailed", False) else names[:-1]
    return {name: getattr(pool, name) for name in shown}


register_answers(
    POOLS,
    _shown,
    pool_get,
    pool_update,
    listed=pool_list,
    # The edge adds the query as it was sent.
    headers={"Content-Location": POOLS},
)


@rest_answer(pool_drain)
@frame_answer(pool_drain)
def _drained(_ctx: Context, args: PoolDrainArgs, state: DrainState) -> Reply:
    return Reply(200, {"name": args.pool_name, **msgspec.structs.asdict(state)})
