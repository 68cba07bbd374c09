"""The body and status of WebSocket answers, by action (``websocket-v2`` 6).

Frames have no hrefs and no links.
"""

from __future__ import annotations

from typing import Any

from zaqarserver.operations import (
    claims,
    messages,
    metadata,
    posts,
    queues,
    rest,
    subscriptions,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import QueueArgs
from zaqarserver.operations.row import Reply, frame_answer
from zaqarserver.operations.shown import (
    frame_message,
    frame_messages,
    popped_frame_message,
)
from zaqarserver.storage.base import Claim, Message, Metadata, PostOutcome, QueueStats

# -- queues -----------------------------------------------------------------


@frame_answer(queues.queue_create)
def queue_create(ctx: Context, args: queues.QueueCreateArgs, created: bool) -> Reply:
    """The same text for a new queue and an existing one."""
    return Reply(
        201 if created else 204, f"{ctx.noun.capitalize()} {args.queue_name} created."
    )


@frame_answer(queues.queue_list)
def queue_list(
    ctx: Context, args: queues.QueueListArgs, page: queues.QueuePage
) -> Reply:
    """The names, and the stored metadata when detailed."""
    items = []
    for queue in page.queues:
        item: dict[str, Any] = {"name": queue.name}
        if args.detailed:
            item["metadata"] = queue.metadata
        items.append(item)
    body: dict[str, Any] = {f"{ctx.noun}s": items}
    if page.count is not None:
        body["count"] = page.count
    return Reply(200, body)


@frame_answer(queues.queue_get)
def queue_get(_ctx: Context, _args: Any, stored: Metadata | None) -> Reply:
    """The stored metadata, without defaults."""
    return Reply(200, stored or {})


@frame_answer(queues.queue_update)
def queue_update(ctx: Context, _args: Any, stored: Metadata) -> Reply:
    """The metadata as REST shows it after a change."""
    return Reply(200, metadata.shown(stored, ctx))


@frame_answer(queues.queue_get_stats)
def queue_get_stats(ctx: Context, _args: QueueArgs, stats: QueueStats | None) -> Reply:
    """The counts; 404 with zeros for a missing queue."""
    found = rest.stats_shown(ctx, stats, lambda id_: {"id": id_})
    return Reply(404 if stats is None else 200, {"messages": found})


# -- messages ---------------------------------------------------------------


@frame_answer(posts.message_post)
def message_post(_ctx: Context, _args: Any, posted: PostOutcome) -> Reply:
    """The ids of the new messages."""
    headers = posts.replayed(posted)
    return Reply(201, {"message_ids": posted.ids}, headers or None)


@frame_answer(messages.message_list, messages.message_get_many)
def message_list(ctx: Context, _args: Any, found: list[Message]) -> Reply:
    """The messages; the last id is the marker of the next page."""
    return Reply(200, {"messages": frame_messages(ctx, found)})


@frame_answer(messages.message_get)
def message_get(ctx: Context, _args: Any, found: Message) -> Reply:
    """One message, under the plural key."""
    return Reply(200, {"messages": frame_message(ctx, found)})


@frame_answer(messages.message_delete_many)
def message_delete_many(
    ctx: Context, _args: messages.MessageDeleteManyArgs, popped: list[Message] | None
) -> Reply:
    """No members for a delete; the removed messages for a pop."""
    if popped is None:
        return Reply(204, {})
    items = [popped_frame_message(ctx, message) for message in popped]
    return Reply(200, {"messages": items})


# -- claims -----------------------------------------------------------------


@frame_answer(claims.claim_create)
def claim_create(ctx: Context, _args: Any, claim: Claim | None) -> Reply:
    """The claim and its messages; 204 if there was nothing to claim."""
    if claim is None:
        return Reply(204, {"claim_id": None})
    shown = frame_messages(ctx, claim.messages, claim.id)
    return Reply(201, {"claim_id": claim.id, "messages": shown})


@frame_answer(claims.claim_get)
def claim_get(ctx: Context, _args: Any, claim: Claim) -> Reply:
    """The claim and the messages it still holds."""
    return Reply(
        200,
        {
            "age": claim.age,
            "ttl": claim.ttl,
            "messages": frame_messages(ctx, claim.messages, claim.id),
        },
    )


# -- subscriptions ------------------------------------------------------------


@frame_answer(subscriptions.subscription_create)
def subscription_create(
    _ctx: Context,
    args: subscriptions.SubscriptionCreateArgs,
    result: subscriptions.SubscriptionResult,
) -> Reply:
    """The id of a new subscription; 409 and a text if it existed."""
    if not result.created:
        return Reply(409, f"Subscription {args.queue_name} not created.")
    body = {
        "message": f"Subscription {args.queue_name} created.",
        "subscription_id": result.subscription.id,
    }
    if result.since is not None:
        body["since"] = result.since or "oldest"
    return Reply(201, body)
