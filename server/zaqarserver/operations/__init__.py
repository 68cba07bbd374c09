"""The operation table, and the one way through which every operation runs.

To add an operation: write its fields and handler in the module of its
resource, add a row here, and a renderer in :mod:`zaqarserver.operations.rest`
if its REST answer is more than the result as JSON. Both transports, the policy
defaults and the reference follow from the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zaqarserver.context import Context, Settings
from zaqarserver.fields import Fields
from zaqarserver.operations import (
    claims,
    frames,
    messages,
    queues,
    rest,
    service,
    sharing,
    subscriptions,
)
from zaqarserver.operations.row import Body, BoundOperation, Operation, Reply

__all__ = ["OPERATIONS", "Body", "BoundOperation", "Operation", "Reply", "bind", "call"]

QUEUES = "/v2/queues"
QUEUE = "/v2/queues/{queue_name}"
MESSAGES = QUEUE + "/messages"
MESSAGE = MESSAGES + "/{message_id}"
CLAIMS = QUEUE + "/claims"
CLAIM = CLAIMS + "/{claim_id}"
SUBSCRIPTIONS = QUEUE + "/subscriptions"
SUBSCRIPTION = SUBSCRIPTIONS + "/{subscription_id}"
PATCH_TYPE = "application/openstack-messaging-v2.0-json-patch"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="homedoc_get",
        method="GET",
        path="/v2/",
        fields=service.Nothing,
        policy=None,
        handler=service.homedoc_get,
        render=rest.homedoc_get,
        summary="Show what there is and where.",
    ),
    Operation(
        name="ping",
        method="GET",
        path="/v2/ping",
        fields=service.Nothing,
        policy="ping:get",
        handler=service.ping,
        status=204,
        head=True,
        summary="Check that the service and its store answer.",
    ),
    Operation(
        name="health",
        method="GET",
        path="/v2/health",
        fields=service.Nothing,
        policy="health:get",
        handler=service.health,
        admin=True,
        summary="Try every kind of storage operation.",
    ),
    Operation(
        name="queue_list",
        method="GET",
        path=QUEUES,
        fields=queues.QueueList,
        policy="queues:get_all",
        handler=queues.queue_list,
        render=rest.queue_list,
        frame=frames.queue_list,
        summary="List the project's queues.",
    ),
    Operation(
        name="queue_create",
        method="PUT",
        path=QUEUE,
        fields=queues.QueueCreate,
        policy="queues:create",
        handler=queues.queue_create,
        status=201,
        render=rest.queue_create,
        body=Body.OPTIONAL,
        frame=frames.queue_create,
        summary="Create a queue, if it does not exist.",
    ),
    Operation(
        name="queue_get",
        method="GET",
        path=QUEUE,
        fields=queues.QueueRef,
        policy="queues:get",
        handler=queues.queue_get,
        render=rest.queue_get,
        frame=frames.queue_get,
        summary="Show a queue's metadata.",
    ),
    Operation(
        name="queue_update",
        method="PATCH",
        path=QUEUE,
        fields=queues.QueueUpdate,
        policy="queues:update",
        handler=queues.queue_update,
        render=rest.queue_get,
        body=Body.REQUIRED,
        content_type=PATCH_TYPE,
        frame=frames.queue_update,
        summary="Change a queue's metadata.",
    ),
    Operation(
        name="queue_delete",
        method="DELETE",
        path=QUEUE,
        fields=queues.QueueRef,
        policy="queues:delete",
        handler=queues.queue_delete,
        status=204,
        frame=frames.queue_delete,
        summary="Delete a queue with its messages and claims.",
    ),
    Operation(
        name="queue_get_stats",
        method="GET",
        path=QUEUE + "/stats",
        fields=queues.QueueRef,
        policy="queues:stats",
        handler=queues.queue_get_stats,
        render=rest.queue_get_stats,
        frame=frames.queue_get_stats,
        summary="Count a queue's messages.",
    ),
    Operation(
        name="queue_purge",
        method="POST",
        path=QUEUE + "/purge",
        fields=queues.QueuePurge,
        policy="queues:purge",
        handler=queues.queue_purge,
        status=204,
        body=Body.OPTIONAL,
        summary="Remove all messages or subscriptions of a queue.",
    ),
    Operation(
        name="signed_url_create",
        method="POST",
        path=QUEUE + "/share",
        fields=sharing.SignedUrlCreate,
        policy="queues:share",
        handler=sharing.signed_url_create,
        body=Body.REQUIRED,
        summary="Sign access to a queue for somebody without credentials.",
    ),
    Operation(
        name="message_post",
        method="POST",
        path=MESSAGES,
        fields=messages.MessagePost,
        policy="messages:create",
        handler=messages.message_post,
        status=201,
        render=rest.message_post,
        body=Body.REQUIRED,
        limit="max_messages_post_size",
        frame=frames.message_post,
        summary="Store messages, all or none.",
    ),
    Operation(
        name="message_list",
        method="GET",
        path=MESSAGES,
        fields=messages.MessageList,
        policy="messages:get_all",
        handler=messages.message_list,
        render=rest.message_list,
        frame=frames.message_list,
        summary="List messages, oldest first.",
    ),
    Operation(
        name="message_get_many",
        method="GET",
        path=MESSAGES,
        fields=messages.MessageGetMany,
        policy="messages:get_all",
        handler=messages.message_get_many,
        render=rest.message_get_many,
        when="ids",
        frame=frames.message_list,
        summary="Show several messages by id.",
    ),
    Operation(
        name="message_delete_many",
        method="DELETE",
        path=MESSAGES,
        fields=messages.MessageDeleteMany,
        policy="messages:delete_all",
        handler=messages.message_delete_many,
        status=204,
        render=rest.message_delete_many,
        frame=frames.message_delete_many,
        summary="Delete messages by id, or pop the oldest free ones.",
    ),
    Operation(
        name="message_get",
        method="GET",
        path=MESSAGE,
        fields=messages.MessageGet,
        policy="messages:get",
        handler=messages.message_get,
        render=rest.message_get,
        frame=frames.message_get,
        summary="Show one message.",
    ),
    Operation(
        name="message_delete",
        method="DELETE",
        path=MESSAGE,
        fields=messages.MessageDelete,
        policy="messages:delete",
        handler=messages.message_delete,
        status=204,
        summary="Delete one message; a claimed one only with its claim.",
    ),
    Operation(
        name="claim_create",
        method="POST",
        path=CLAIMS,
        fields=claims.ClaimCreate,
        policy="claims:create",
        handler=claims.claim_create,
        status=201,
        render=rest.claim_create,
        body=Body.OPTIONAL,
        frame=frames.claim_create,
        summary="Claim the oldest free messages.",
    ),
    Operation(
        name="claim_get",
        method="GET",
        path=CLAIM,
        fields=claims.ClaimRef,
        policy="claims:get",
        handler=claims.claim_get,
        render=rest.claim_get,
        frame=frames.claim_get,
        summary="Show a claim and what it still holds.",
    ),
    Operation(
        name="claim_update",
        method="PATCH",
        path=CLAIM,
        fields=claims.ClaimUpdate,
        policy="claims:update",
        handler=claims.claim_update,
        status=204,
        body=Body.REQUIRED,
        frame=frames.claim_update,
        summary="Renew a claim.",
    ),
    Operation(
        name="claim_delete",
        method="DELETE",
        path=CLAIM,
        fields=claims.ClaimRef,
        policy="claims:delete",
        handler=claims.claim_delete,
        status=204,
        frame=frames.claim_delete,
        summary="Release a claim.",
    ),
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
        render=rest.subscription_changed,
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
        render=rest.subscription_changed,
        body=Body.REQUIRED,
        summary="Say whether a subscriber wants messages.",
    ),
)


def bind(settings: Settings) -> dict[str, BoundOperation]:
    """Return the operations that these settings allow, by name."""
    return {
        row.name: BoundOperation(row, settings)
        for row in OPERATIONS
        if settings.admin_mode or not row.admin
    }


async def call(
    operation: BoundOperation,
    context: Context,
    arguments: Callable[[], Awaitable[Fields]],
) -> tuple[Fields, Any]:
    """Run one operation: policy, arguments, bounds, handler, in this order.

    Args:
        operation: What to run.
        context: Who asks, and when.
        arguments: Reads the arguments, each of its type; run only when the
            policy allows the operation.

    Returns:
        The arguments and the handler's result.

    Raises:
        RequestError: The request cannot be served as it stands.
        Unavailable: The store cannot serve now.
    """
    row = operation.row
    if row.policy is not None:
        context.server.policy.check(row.policy, context)
    values = await arguments()
    operation.checker.check(values)
    return values, await row.handler(context, values)
