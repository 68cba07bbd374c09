"""Subscriptions: create, list, show, change, confirm (``notifications`` 1, 2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    QuotaExceeded,
    SubscriptionExists,
    SubscriptionNotFound,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import QueueArgs, count, path, query, spread
from zaqarserver.operations.metadata import check_size
from zaqarserver.operations.quotas import Reservation
from zaqarserver.operations.row import SUBSCRIPTION, SUBSCRIPTIONS, operation
from zaqarserver.operations.trusting import remove_trusts, trust_change, trust_new
from zaqarserver.storage.base import is_id
from zaqarserver.storage.commands import QueueStatsGet
from zaqarserver.storage.subscriptions import (
    Subscription,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionDelete,
    SubscriptionGet,
    SubscriptionList,
    SubscriptionUpdate,
)
from zaqarserver.subscribers.options import check_options, needs_trust, own_trust_of
from zaqarserver.subscribers.uris import check_subscriber

LEAST_TTL = 60  # seconds
_LAST_MOMENT = dt.datetime(9999, 12, 31, tzinfo=dt.UTC).timestamp()
_UPDATE_TITLE = "Unable to update subscription"
_KEPT = "Subscriber and options"
_RESERVED = ("queue", "subscription_id", "project")

# -- checks ------------------------------------------------------------------


def _check_subscriber(ctx: Context, value: Any) -> str:
    types = ctx.settings.subscriber_types
    if not isinstance(value, str) or not value:
        raise BadRequest("subscriber must be a URI, a text that is not empty.")
    if value.partition(":")[0].lower() not in types:
        raise BadRequest(
            "The subscriber type of subscription must be supported in the list "
            f"[{', '.join(types)}]."
        )
    if needs_trust(value):
        ctx.server.trusts.check_possible(ctx)
    check_subscriber(value)
    return value


def _check_ttl(value: Any, now: float) -> int:
    if type(value) is not int:
        raise BadRequest("TTL must be an integer.")
    if value < LEAST_TTL:
        raise BadRequest(
            f"The TTL for a subscription must be at least {LEAST_TTL} seconds long."
        )
    if now + value > _LAST_MOMENT:
        raise BadRequest(
            "The TTL seconds for a subscription plus current time must be less than "
            "the year 10000."
        )
    return value


# -- operations --------------------------------------------------------------


class SubscriptionListArgs(QueueArgs):
    """The subscriptions of a queue."""

    marker: Annotated[str | None, query(help="Only those after this id.")] = None
    limit: Annotated[
        int, count("max_subscriptions_per_page", "Subscriptions a page.")
    ] = 10


@operation("GET", SUBSCRIPTIONS, "subscription:get_all")
async def subscription_list(
    ctx: Context, args: SubscriptionListArgs
) -> list[Subscription]:
    """List a queue's subscriptions.

    They are in the order of their creation; expired ones are left out.
    """
    return await ctx.do(
        SubscriptionList,
        args.queue_name,
        marker=args.marker,
        limit=args.limit,
        now=ctx.now,
    )


class SubscriptionCreateArgs(QueueArgs):
    """A new subscription."""

    subscription: Annotated[
        Any,
        spread(
            "subscriber (a URI), ttl (seconds), options (an object). For a WebSocket "
            "itself also since: a message id, oldest or newest, behind which it begins."
        ),
    ] = msgspec.UNSET


class SubscriptionResult(msgspec.Struct, frozen=True):
    """The outcome of a request to subscribe.

    Attributes:
        subscription: The new subscription, or the existing one.
        created: Whether it is new.
        since: For pushes with ids, the id behind which they begin; empty for all.
    """

    subscription: Subscription
    created: bool
    since: str | None = None


@operation(
    "POST",
    SUBSCRIPTIONS,
    "subscription:create",
    status=201,
    errors=(SubscriptionExists, QuotaExceeded),
)
async def subscription_create(
    ctx: Context, args: SubscriptionCreateArgs
) -> SubscriptionResult:
    """Subscribe a URI to a queue.

    A WebSocket that names no URI is subscribed itself. With since, its pushes carry the
    ids of messages and begin with those that the queue has behind that id.
    """
    given = args.subscription
    if not isinstance(given, Mapping):
        raise BadRequest("Subscriptions must be a dict.")
    ttl = given.get("ttl", ctx.settings.default_subscription_ttl)
    ttl = _check_ttl(ttl, ctx.now)
    options = given.get("options", {})
    check_options(options)
    listener = since = None
    if ctx.listener is not None and not given.get("subscriber"):
        listener = ctx.listener
        listener.check_limit()
        subscriber = _check_subscriber(ctx, listener.uri)
        if "since" in given:
            since = await _position(ctx, args.queue_name, given["since"])
    elif "since" in given:
        raise BadRequest("since is for a WebSocket that subscribes itself.")
    elif "subscriber" not in given:
        raise BadRequest("Missing parameter subscriber in body.")
    else:
        subscriber = _check_subscriber(ctx, given["subscriber"])
    check_size(ctx, _KEPT, [subscriber, options])
    async with (
        Reservation(ctx, args.queue_name, subscriptions=1),
        await trust_new(ctx, subscriber, options, ttl) as trusted,
    ):
        subscription, created = await ctx.do(
            SubscriptionCreate,
            args.queue_name,
            ttl=ttl,
            **trusted.changes,
            now=ctx.now,
            volatile=listener is not None,
        )
        if not created:
            trusted.not_needed()
    if listener is not None:
        # Also if it exists: the answer to the first request may have been lost.
        listener.listen(subscription, since)
    elif not subscription.confirmed:
        ctx.server.events.subscribed(subscription)
    return SubscriptionResult(subscription, created, since)


async def _position(ctx: Context, queue: str, since: Any) -> str:
    """Return the id behind which pushes begin; empty for all messages.

    Raises:
        BadRequest: It is not valid.
        Forbidden: The caller may not list messages.
    """
    if since not in ("oldest", "newest") and not (
        isinstance(since, str) and is_id(since)
    ):
        raise BadRequest(
            "since must be the id of a message (at most 128 characters), oldest or "
            "newest."
        )
    ctx.server.policy.check("messages:get_all", ctx)
    if since == "newest":
        stats = await ctx.do(QueueStatsGet, queue, ctx.now)
        return stats.newest.id if stats.newest else ""
    return "" if since == "oldest" else str(since)


class SubscriptionArgs(QueueArgs):
    """One subscription."""

    subscription_id: Annotated[str, path(help="Id of the subscription.")]


@operation("GET", SUBSCRIPTION, "subscription:get", errors=(SubscriptionNotFound,))
async def subscription_get(ctx: Context, args: SubscriptionArgs) -> Subscription:
    """Show a subscription."""
    return await _found(ctx, args)


async def _found(ctx: Context, args: SubscriptionArgs) -> Subscription:
    found = await ctx.do(
        SubscriptionGet, args.queue_name, args.subscription_id, ctx.now
    )
    if found is None:
        raise SubscriptionNotFound(
            f"Subscription {args.subscription_id} for {ctx.noun} {args.queue_name} "
            "does not exist.",
            detail=f"Subscription {args.subscription_id} does not exist",
        )
    return found


class SubscriptionUpdateArgs(SubscriptionArgs):
    """A change of a subscription."""

    changes: Annotated[Any, spread("Any of subscriber, ttl and options.")] = (
        msgspec.UNSET
    )


@operation(
    "PATCH",
    SUBSCRIPTION,
    "subscription:update",
    status=204,
    located=True,
    errors=(SubscriptionNotFound, SubscriptionExists),
)
async def subscription_update(ctx: Context, args: SubscriptionUpdateArgs) -> None:
    """Change a subscription's subscriber, ttl or options."""
    given = args.changes
    if not isinstance(given, Mapping):
        raise BadRequest("Subscriptions must be a dict.", title=_UPDATE_TITLE)
    for key in _RESERVED:
        if key in given:
            raise BadRequest(f"{key} cannot be changed.", title=_UPDATE_TITLE)
    named = {
        key: given[key]
        for key in ("subscriber", "ttl", "options")
        if given.get(key) is not None
    }
    if not named:
        raise BadRequest(
            "No subscription to create: give subscriber, ttl or options.",
            title=_UPDATE_TITLE,
        )
    if "subscriber" in named:
        _check_subscriber(ctx, named["subscriber"])
        # A new subscriber has not confirmed yet.
        named["confirmed"] = False
    if "ttl" in named:
        _check_ttl(named["ttl"], ctx.now)
    if "options" in named:
        check_options(named["options"])
    found = await _found(ctx, args)
    old = [found.subscriber, found.options]
    new = [named.get("subscriber", old[0]), named.get("options", old[1])]
    check_size(ctx, _KEPT, new, old)
    async with await trust_change(ctx, found, named) as trusted:
        changed = await ctx.do(
            SubscriptionUpdate,
            args.queue_name,
            args.subscription_id,
            SubscriptionChange(**{**named, **trusted.changes}),
            ctx.now,
        )
    ctx.server.events.changed(changed)
    if "subscriber" in named:
        ctx.server.events.subscribed(changed)


@operation(
    "DELETE",
    SUBSCRIPTION,
    "subscription:delete",
    status=204,
    done="Subscription {.subscription_id} removed.",
)
async def subscription_delete(ctx: Context, args: SubscriptionArgs) -> None:
    """Remove a subscription.

    Do nothing if it does not exist.
    """
    found = None
    if ctx.server.trusts.in_use:
        found = await ctx.do(
            SubscriptionGet, args.queue_name, args.subscription_id, ctx.now
        )
    await ctx.do(SubscriptionDelete, args.queue_name, args.subscription_id)
    ctx.server.events.deleted(ctx.space, args.queue_name, args.subscription_id)
    if (
        found is not None
        and (trust := own_trust_of(found.subscriber, found.options)) is not None
    ):
        remove_trusts(ctx, [trust])


class SubscriptionConfirmArgs(SubscriptionArgs):
    """A subscriber's answer to a request for confirmation."""

    answer: Annotated[Any, spread("confirmed: true, or false to be left alone.")] = (
        msgspec.UNSET
    )


@operation(
    "PUT",
    SUBSCRIPTION + "/confirm",
    "subscription:confirm",
    status=204,
    located=True,
    errors=(SubscriptionNotFound,),
)
async def subscription_confirm(ctx: Context, args: SubscriptionConfirmArgs) -> None:
    """Record a subscriber's answer to a request for confirmation."""
    given = args.answer
    confirmed = given.get("confirmed") if isinstance(given, Mapping) else None
    if type(confirmed) is not bool:
        raise BadRequest(
            "The 'confirmed' should be boolean.",
            title="Unable to confirm subscription",
        )
    changed = await ctx.do(
        SubscriptionUpdate,
        args.queue_name,
        args.subscription_id,
        SubscriptionChange(confirmed=confirmed),
        ctx.now,
    )
    if not confirmed:
        ctx.server.events.unsubscribed(changed)
