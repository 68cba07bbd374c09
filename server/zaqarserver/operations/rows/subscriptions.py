"""Subscriptions: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import frames, rest, subscriptions
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import SUBSCRIPTION, SUBSCRIPTIONS

ROWS: tuple[Operation, ...] = (
    Operation(
        name="subscription_list",
        method="GET",
        path=SUBSCRIPTIONS,
        fields=subscriptions.SubscriptionList,
        policy="subscription:get_all",
        handler=subscriptions.subscription_list,
        render=rest.subscription_list,
        frame=frames.subscription_list,
        summary="List a queue's subscriptions.",
    ),
    Operation(
        name="subscription_create",
        method="POST",
        path=SUBSCRIPTIONS,
        fields=subscriptions.SubscriptionCreate,
        policy="subscription:create",
        handler=subscriptions.subscription_create,
        status=201,
        render=rest.subscription_create,
        frame=frames.subscription_create,
        body=Body.REQUIRED,
        summary="Subscribe a URI to a queue.",
    ),
    Operation(
        name="subscription_get",
        method="GET",
        path=SUBSCRIPTION,
        fields=subscriptions.SubscriptionRef,
        policy="subscription:get",
        handler=subscriptions.subscription_get,
        render=rest.subscription_get,
        frame=rest.subscription_get,
        summary="Show a subscription.",
    ),
    Operation(
        name="subscription_update",
        method="PATCH",
        path=SUBSCRIPTION,
        fields=subscriptions.SubscriptionUpdate,
        policy="subscription:update",
        handler=subscriptions.subscription_update,
        status=204,
        render=rest.subscription_update,
        body=Body.REQUIRED,
        summary="Change a subscription's subscriber, ttl or options.",
    ),
    Operation(
        name="subscription_delete",
        method="DELETE",
        path=SUBSCRIPTION,
        fields=subscriptions.SubscriptionRef,
        policy="subscription:delete",
        handler=subscriptions.subscription_delete,
        status=204,
        frame=frames.subscription_delete,
        summary="Remove a subscription.",
    ),
    Operation(
        name="subscription_confirm",
        method="PUT",
        path=SUBSCRIPTION + "/confirm",
        fields=subscriptions.SubscriptionConfirm,
        policy="subscription:confirm",
        handler=subscriptions.subscription_confirm,
        status=204,
        render=rest.subscription_confirm,
        body=Body.REQUIRED,
        summary="Say whether a subscriber wants messages.",
    ),
)
