"""Flavors: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import flavors, pool_replies
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import FLAVOR, FLAVORS

ROWS: tuple[Operation, ...] = (
    Operation(
        name="flavor_list",
        method="GET",
        path=FLAVORS,
        fields=flavors.FlavorList,
        policy="flavors:get_all",
        handler=flavors.flavor_list,
        render=pool_replies.flavor_list,
        frame=pool_replies.flavor_list_frame,
        admin=True,
        pooled=True,
        summary="List the project's flavors.",
    ),
    Operation(
        name="flavor_create",
        method="PUT",
        path=FLAVOR,
        fields=flavors.FlavorCreate,
        policy="flavors:create",
        handler=flavors.flavor_create,
        status=201,
        render=pool_replies.flavor_create,
        body=Body.REQUIRED,
        admin=True,
        pooled=True,
        summary="Make a flavor of the project, or replace one.",
    ),
    Operation(
        name="flavor_get",
        method="GET",
        path=FLAVOR,
        fields=flavors.FlavorRef,
        policy="flavors:get",
        handler=flavors.flavor_get,
        render=pool_replies.flavor_get,
        frame=pool_replies.flavor_get_frame,
        admin=True,
        pooled=True,
        summary="Show a flavor and what its pools can do.",
    ),
    Operation(
        name="flavor_update",
        method="PATCH",
        path=FLAVOR,
        fields=flavors.FlavorUpdate,
        policy="flavors:update",
        handler=flavors.flavor_update,
        render=pool_replies.flavor_get,
        body=Body.REQUIRED,
        frame=pool_replies.flavor_get_frame,
        admin=True,
        pooled=True,
        summary="Change which pools a flavor has.",
    ),
    Operation(
        name="flavor_delete",
        method="DELETE",
        path=FLAVOR,
        fields=flavors.FlavorRef,
        policy="flavors:delete",
        handler=flavors.flavor_delete,
        status=204,
        admin=True,
        pooled=True,
        summary="Remove a flavor of the project.",
    ),
)
