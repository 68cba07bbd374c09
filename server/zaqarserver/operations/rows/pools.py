"""Pools: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import pool_replies, pools
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import POOL, POOLS

ROWS: tuple[Operation, ...] = (
    Operation(
        name="pool_list",
        method="GET",
        path=POOLS,
        fields=pools.PoolList,
        policy="pools:get_all",
        handler=pools.pool_list,
        render=pool_replies.pool_list,
        frame=pool_replies.pool_list_frame,
        admin=True,
        pooled=True,
        summary="List the pools.",
    ),
    Operation(
        name="pool_create",
        method="PUT",
        path=POOL,
        fields=pools.PoolCreate,
        policy="pools:create",
        handler=pools.pool_create,
        status=201,
        render=pool_replies.pool_create,
        body=Body.REQUIRED,
        admin=True,
        pooled=True,
        summary="Register a store that takes queues, or replace one.",
    ),
    Operation(
        name="pool_get",
        method="GET",
        path=POOL,
        fields=pools.PoolGet,
        policy="pools:get",
        handler=pools.pool_get,
        render=pool_replies.pool_get,
        frame=pool_replies.pool_get_frame,
        admin=True,
        pooled=True,
        summary="Show a pool.",
    ),
    Operation(
        name="pool_update",
        method="PATCH",
        path=POOL,
        fields=pools.PoolUpdate,
        policy="pools:update",
        handler=pools.pool_update,
        render=pool_replies.pool_update,
        body=Body.REQUIRED,
        frame=pool_replies.pool_update_frame,
        admin=True,
        pooled=True,
        summary="Change a pool's weight, uri, flavor or options.",
    ),
    Operation(
        name="pool_delete",
        method="DELETE",
        path=POOL,
        fields=pools.PoolDelete,
        policy="pools:delete",
        handler=pools.pool_delete,
        status=204,
        admin=True,
        pooled=True,
        summary="Remove a pool that has no queues.",
    ),
)
