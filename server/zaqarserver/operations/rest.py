"""REST answers that are more than the result as JSON.

Paths, links and hrefs exist on REST only; the WebSocket sends the results of
the handlers as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from zaqarserver.errors import MessageNotFound
from zaqarserver.operations import (
    claims,
    messages,
    metadata,
    posts,
    queues,
    service,
    signed_urls,
    subscriptions,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import QueueArgs
from zaqarserver.operations.row import Reply, frame_answer, rest_answer
from zaqarserver.operations.shown import (
    popped_rest_message,
    rest_message,
    rest_messages,
)
from zaqarserver.operations.signed_urls import written
from zaqarserver.spaces import path_of
from zaqarserver.storage.accounts import Grant
from zaqarserver.storage.base import Claim, Message, Metadata, PostOutcome, QueueStats
from zaqarserver.storage.subscriptions import Subscription

_NO_CONTENT = Reply(204)
#: Most parameters of links have the same names and values.
_quoted = functools.lru_cache(256)(functools.partial(quote, safe=""))
_IDS_SHOWN = 20


def _path(ctx: Context, name: str) -> str:
    return f"{path_of(ctx.space)}/{name}"


# -- links ------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(str(value))


def location(path: str, parameters: Mapping[str, Any]) -> str:
    """Return a path with a query."""
    pairs = [
        f"{_quoted(key)}={_text(one)}"
        for key, value in parameters.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def page(
    path: str,
    args: Any,
    name: str,
    items: Sequence[Any],
    marker: str,
    **more: Any,
) -> dict[str, Any]:
    """Return a page with the link to the next (``rest-v2`` 1.12).

    Args:
        path: The path of the list.
        args: The arguments; the link repeats the query parameters that were sent.
        name: The member with the items.
        items: The items.
        marker: The marker of the next page; empty if there is none.
        **more: More parameters of the next page.
    """
    links = []
    if marker:
        sent = {name: getattr(args, name) for name in sorted(args.sent - {"marker"})}
        filters = getattr(args, "filters", None) or {}
        href = location(path, {**filters, **sent, **more, "marker": marker})
        links = [{"rel": "next", "href": href}]
    return {name: items, "links": links}


# -- queues -----------------------------------------------------------------


@rest_answer(queues.queue_list)
def queue_list(
    ctx: Context, args: queues.QueueListArgs, found: queues.QueuePage
) -> Reply:
    """A page of queues with the link to the next."""
    items = []
    for queue in found.queues:
        item: dict[str, Any] = {"name": queue.name, "href": _path(ctx, queue.name)}
        if args.detailed:
            item["metadata"] = metadata.shown(queue.metadata, ctx)
        items.append(item)
    marker = items[-1]["name"] if items else ""
    answer = page(path_of(ctx.space), args, f"{ctx.noun}s", items, marker)
    if found.count is not None:
        answer["count"] = found.count
    return Reply(200, answer)


@rest_answer(queues.queue_create)
def queue_create(ctx: Context, args: queues.QueueCreateArgs, created: bool) -> Reply:
    """201 for a new queue, 204 for an existing one."""
    return Reply(
        201 if created else 204, None, {"Location": _path(ctx, args.queue_name)}
    )


@rest_answer(queues.queue_get, queues.queue_update)
def queue_get(ctx: Context, _args: Any, stored: Metadata | None) -> Reply:
    """The metadata with the defaults of the attributes that are always shown."""
    return Reply(200, metadata.shown(stored, ctx))


def stats_shown(
    ctx: Context, stats: QueueStats | None, refer: Callable[[str], dict[str, str]]
) -> dict[str, Any]:
    """Return the counts, and the oldest and newest messages.

    Args:
        ctx: The caller.
        stats: The statistics; ``None`` for a queue that does not exist.
        refer: Returns the member that refers to a message with this id.
    """
    known = stats or QueueStats()
    total = known.claimed + known.free
    found: dict[str, Any] = {
        "claimed": known.claimed,
        "free": known.free,
        "total": total,
    }
    if ctx.topics and stats is not None:
        found = {"total": total}  # topics have no claims
    for name, end in (("oldest", known.oldest), ("newest", known.newest)):
        if end is not None:
            created = ctx.timestamp(end.created)
            found[name] = {**refer(end.id), "age": end.age, "created": created}
    return found


@rest_answer(queues.queue_get_stats)
def queue_get_stats(ctx: Context, args: QueueArgs, stats: QueueStats | None) -> Reply:
    """The counts, and the paths of the oldest and newest messages."""
    path = f"{_path(ctx, args.queue_name)}/messages"
    found = stats_shown(ctx, stats, lambda id_: {"href": f"{path}/{id_}"})
    return Reply(200, {"messages": found})


# -- messages ---------------------------------------------------------------


@rest_answer(posts.message_post)
def message_post(
    ctx: Context, args: posts.MessagePostArgs, posted: PostOutcome
) -> Reply:
    """The paths of the new messages, in posting order."""
    path = f"{_path(ctx, args.queue_name)}/messages"
    # The body lists all ids. The header is bounded, however many there are.
    shown = min(_IDS_SHOWN, ctx.settings.max_messages_per_page)
    return Reply(
        201,
        {"resources": [f"{path}/{id_}" for id_ in posted.ids]},
        {
            "Location": f"{path}?ids={','.join(posted.ids[:shown])}",
            **posts.replayed(posted),
        },
    )


@rest_answer(messages.message_list)
def message_list(
    ctx: Context, args: messages.MessageListArgs, found: list[Message]
) -> Reply:
    """A page of messages with the link to the next."""
    path = _path(ctx, args.queue_name)
    # A list that has waited in vain continues at its marker.
    marker = found[-1].id if found else (args.wait and args.marker) or ""
    # The handler lists delayed messages of some queues without being asked to.
    more = {"include_delayed": True} if args.include_delayed else {}
    shown = rest_messages(ctx, path, found)
    body = page(f"{path}/messages", args, "messages", shown, marker, **more)
    return Reply(200, body)


@rest_answer(messages.message_get)
def message_get(ctx: Context, args: messages.MessageGetArgs, found: Message) -> Reply:
    """The message itself."""
    return Reply(200, rest_message(ctx, _path(ctx, args.queue_name), found))


@rest_answer(messages.message_get_many)
def message_get_many(
    ctx: Context, args: messages.MessageGetManyArgs, found: list[Message]
) -> Reply:
    """The messages that exist; 404 if there are none."""
    if not found:
        raise MessageNotFound(
            f"These messages do not exist in {ctx.noun} {args.queue_name}."
        )
    path = _path(ctx, args.queue_name)
    return Reply(200, {"messages": rest_messages(ctx, path, found)})


@rest_answer(messages.message_delete_many)
def message_delete_many(
    ctx: Context, _args: Any, popped: list[Message] | None
) -> Reply:
    """204 for a delete; the removed messages for a pop."""
    if popped is None:
        return _NO_CONTENT
    items = [popped_rest_message(ctx, message) for message in popped]
    return Reply(200, {"messages": items})


# -- claims -----------------------------------------------------------------


@rest_answer(claims.claim_create)
def claim_create(
    ctx: Context, args: claims.ClaimCreateArgs, claim: Claim | None
) -> Reply:
    """The claimed messages; 204 if there was nothing to claim."""
    if claim is None:
        return _NO_CONTENT
    path = _path(ctx, args.queue_name)
    return Reply(
        201,
        {"messages": rest_messages(ctx, path, claim.messages)},
        {"Location": f"{path}/claims/{claim.id}"},
    )


@rest_answer(claims.claim_get)
def claim_get(ctx: Context, args: claims.ClaimArgs, claim: Claim) -> Reply:
    """The claim and the messages it still holds."""
    path = _path(ctx, args.queue_name)
    return Reply(
        200,
        {
            "age": claim.age,
            "ttl": claim.ttl,
            "href": f"{path}/claims/{claim.id}",
            "messages": rest_messages(ctx, path, claim.messages),
        },
    )


# -- subscriptions ------------------------------------------------------------


def _subscription(found: Subscription) -> dict[str, Any]:
    names = ("subscriber", "ttl", "age", "options", "confirmed")
    shown = {name: getattr(found, name) for name in names}
    return {"id": found.id, "source": found.queue, **shown}


@rest_answer(subscriptions.subscription_create)
def subscription_create(
    ctx: Context,
    args: subscriptions.SubscriptionCreateArgs,
    result: subscriptions.SubscriptionResult,
) -> Reply:
    """The id, also of an existing subscription that is not confirmed."""
    headers = {"Location": f"{_path(ctx, args.queue_name)}/subscriptions"}
    if not result.created and result.subscription.confirmed:
        body = {
            "title": "Resource conflict",
            "description": "Such subscription already exists.",
        }
        return Reply(409, body, {**headers, "Vary": "Accept"})
    return Reply(201, {"subscription_id": result.subscription.id}, headers)


@rest_answer(subscriptions.subscription_get)
@frame_answer(subscriptions.subscription_get)
def subscription_get(_ctx: Context, _args: Any, found: Subscription) -> Reply:
    """The subscription itself."""
    return Reply(200, _subscription(found))


# -- signed URLs ------------------------------------------------------------


def _grant(found: Grant) -> dict[str, Any]:
    return {
        "id": found.id,
        "paths": found.paths,
        "methods": found.methods,
        "created": written(found.created),
        "expires": written(found.expires),
        "revoked": found.revoked,
    }


def _lists(
    handler: Callable[[Context, Any], Awaitable[Any]],
    name: str,
    show: Callable[[Any], dict[str, Any]],
) -> None:
    """Register the answers that list what belongs to a queue, on both transports."""

    @rest_answer(handler)
    def in_rest(ctx: Context, args: Any, found: Sequence[Any]) -> Reply:
        path = f"{_path(ctx, args.queue_name)}/{name}"
        marker = found[-1].id if found else ""
        return Reply(200, page(path, args, name, list(map(show, found)), marker))

    @frame_answer(handler)
    def in_frame(_ctx: Context, _args: Any, found: Sequence[Any]) -> Reply:
        return Reply(200, {name: list(map(show, found))})


_lists(subscriptions.subscription_list, "subscriptions", _subscription)
_lists(signed_urls.signed_url_list, "signed_urls", _grant)


# -- service ----------------------------------------------------------------


@rest_answer(service.homedoc_get)
def homedoc_get(_ctx: Context, _args: Any, document: dict[str, Any]) -> Reply:
    """The home document, which clients may cache for a day."""
    return Reply(
        200, document, {"Cache-Control": "max-age=86400"}, "application/json-home"
    )


@rest_answer(service.health)
def health(_ctx: Context, _args: Any, document: dict[str, Any]) -> Reply:
    """The document, with status 503 if anything failed (2.2)."""
    return Reply(200 if service.is_well(document) else 503, document)
