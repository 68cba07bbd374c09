"""Messages that consumers return, set aside and try again (extensions 3 and 4)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    ClaimNotLive,
    Conflict,
    MessageClaimed,
    MessageNotFound,
    QueueNotFound,
    QuotaExceeded,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import QueueArgs, body, check_name, path, query
from zaqarserver.operations.messages import queue_metadata, readable
from zaqarserver.operations.quotas import Reservation
from zaqarserver.operations.row import MESSAGE, QUEUE, Body, operation
from zaqarserver.storage.base import DeadLetter, Message
from zaqarserver.storage.commands import (
    MessageGet,
    MessageList,
    QueueGet,
)
from zaqarserver.storage.releases import (
    MessageBury,
    MessageRedrive,
    MessageRelease,
)
from zaqarserver.subscribers.filters import Filter, compile_filter

MOST_REASON = 1024
#: Messages that one step of a redrive reads, and that one request looks at at most.
PAGE = 50
MOST_LOOKED_AT = 10_000

Delay = Annotated[
    int,
    body(
        minimum=0,
        maximum="max_message_delay",
        help="Seconds until the messages are free.",
    ),
]


class MessageBuryArgs(QueueArgs):
    """A claimed message to set aside."""

    message_id: Annotated[str, path(help="Id of the message.")]
    claim_id: Annotated[str | None, query(help="The live claim that holds it.")] = None
    reason: Annotated[
        str | None,
        body(
            help="Why; shown with the message from then on. At most 1,024 characters."
        ),
    ] = None


class MessageReleaseArgs(MessageBuryArgs):
    """A claimed message to return."""

    delay: Delay = 0


def _claim_of(args: MessageBuryArgs) -> str:
    """Return the claim, after checking what the fields' types do not say."""
    if args.claim_id is None:
        raise BadRequest("claim_id is required: the live claim that holds the message.")
    if args.reason is not None and len(args.reason) > MOST_REASON:
        raise BadRequest(f"reason must have at most {MOST_REASON} characters.")
    return args.claim_id


@contextlib.contextmanager
def _explained(args: MessageBuryArgs, title: str) -> Iterator[None]:
    """Give errors of the store the title, and the names in the request."""
    try:
        yield
    except (ClaimNotLive, MessageClaimed) as error:
        raise type(error)(error.description, title=title) from None
    except MessageNotFound:
        raise _not_found(args) from None


def _not_found(args: MessageBuryArgs) -> MessageNotFound:
    return MessageNotFound(
        f"Message {args.message_id} does not exist in queue {args.queue_name}."
    )


@operation(
    "POST",
    MESSAGE + "/release",
    "messages:release",
    status=204,
    body=Body.OPTIONAL,
    errors=(ClaimNotLive, MessageClaimed, MessageNotFound),
)
async def message_release(ctx: Context, args: MessageReleaseArgs) -> None:
    """Return a claimed message.

    It is free at once, or after a delay, and keeps its claim count.
    """
    queue, claim_id, reason = args.queue_name, _claim_of(args), args.reason or None
    with _explained(args, "Unable to release"):
        held = args.message_id, claim_id, ctx.now
        await ctx.do(MessageRelease, queue, *held, args.delay, reason)


@operation(
    "POST",
    MESSAGE + "/bury",
    "messages:bury",
    status=204,
    body=Body.OPTIONAL,
    errors=(ClaimNotLive, MessageClaimed, MessageNotFound, Conflict),
)
async def message_bury(ctx: Context, args: MessageBuryArgs) -> None:
    """Move a claimed message to the queue's dead letter queue."""
    queue, id_, claim_id = args.queue_name, args.message_id, _claim_of(args)
    metadata = await queue_metadata(ctx, queue)
    target = metadata.get("_dead_letter_queue")
    if not target:
        if not await ctx.do(MessageGet, queue, [id_], ctx.now):
            raise _not_found(args)
        raise Conflict(f"Queue {queue} has no _dead_letter_queue.")
    ttl = metadata.get("_dead_letter_queue_messages_ttl")
    to, reason = DeadLetter(target, 0, ttl), args.reason or None
    with _explained(args, "Unable to bury"):
        await ctx.do(MessageBury, queue, id_, claim_id, ctx.now, to, reason)


# -- redrive ------------------------------------------------------------------


class QueueRedriveArgs(QueueArgs):
    """Messages to move to another queue."""

    target: Annotated[
        str | None,
        body(help="The queue to move them to; by default each one's own source."),
    ] = None
    ids: Annotated[
        list[str] | None,
        body(minimum=1, maximum="max_messages_per_page", help="Only these messages."),
    ] = None
    filter: Annotated[
        Any, body(help="Only messages that it selects, as in a subscription.")
    ] = None
    marker: Annotated[str | None, body(help="Only messages after this one.")] = None
    limit: Annotated[int, body(minimum=1, maximum=1000, help="Messages at most.")] = 100
    delay: Delay = 0
    dry_run: Annotated[bool, body(help="Count the messages, and move nothing.")] = False


class Redriven(msgspec.Struct, frozen=True):
    """The result of a redrive.

    Attributes:
        moved: How many messages were moved.
        matched: How many of this page were selected.
        next: The marker of the next page; ``None`` after the last.
    """

    moved: int
    matched: int
    next: str | None


@operation(
    "POST",
    QUEUE + "/redrive",
    "queues:redrive",
    body=Body.OPTIONAL,
    lists=False,
    errors=(QueueNotFound, QuotaExceeded),
)
async def queue_redrive(ctx: Context, args: QueueRedriveArgs) -> Redriven:
    """Move messages to the queues that they came from, or to another one.

    Skip those that are claimed.
    """
    selector = None if args.filter is None else compile_filter(args.filter)
    _check_target(args)
    found, following = await _select(ctx, args, selector)
    batches: dict[str, list[str]] = {}
    for message in found:
        batches.setdefault(args.target or _source(message), []).append(message.id)
    ttls = {name: await _ttl(ctx, name, args.target) for name in batches}
    moved = 0
    for name, ids in {} if args.dry_run else batches.items():
        async with Reservation(ctx, name):
            to = name, ttls[name], ctx.now, args.delay
            moved += len(await ctx.do(MessageRedrive, args.queue_name, ids, *to))
    return Redriven(moved, len(found), following)


def _check_target(args: QueueRedriveArgs) -> None:
    if args.target is not None:
        try:
            check_name(args.target)
        except BadRequest as error:
            raise BadRequest(f"target: {error.description}") from None
        if args.target == args.queue_name:
            raise BadRequest("target must not be the queue itself.")
    if args.ids is not None and args.marker is not None:
        raise BadRequest("Give either ids or marker, not both.")


async def _select(
    ctx: Context, args: QueueRedriveArgs, selector: Filter | None
) -> tuple[list[Message], str | None]:
    """Return the messages to move, and the marker of the next page."""
    queue, marker, looked_at = args.queue_name, args.marker, 0
    found: list[Message] = []

    def choose(page: Sequence[Message]) -> list[Message]:
        page = [one for one in page if one.claim_id is None]
        if selector is None:
            return page
        shown = readable(ctx, queue, page)
        return [
            one
            for one, other in zip(page, shown, strict=True)
            if selector.matches(other.body)
        ]

    if args.ids is not None:
        page = await ctx.do(MessageGet, queue, args.ids, ctx.now)
        return choose(page)[: args.limit], None
    while looked_at < MOST_LOOKED_AT:
        page = await ctx.do(
            MessageList,
            queue,
            marker=marker,
            limit=PAGE,
            now=ctx.now,
            include_delayed=True,
            include_postponed=True,
        )
        chosen = choose(page)
        wanted = args.limit - len(found)
        found += chosen[:wanted]
        if len(chosen) > wanted:
            return found, found[-1].id
        if len(page) < PAGE:
            return found, None
        marker = page[-1].id
        looked_at += len(page)
        await ctx.server.turns.pause()
    return found, marker


def _source(message: Message) -> str:
    origin = message.notes and message.notes.origin
    if not origin:
        raise BadRequest(
            f"target is required: message {message.id} has no source to return to."
        )
    return origin.source


async def _ttl(ctx: Context, name: str, target: str | None) -> int:
    """Return the ttl of messages that come to a queue.

    Raises:
        QueueNotFound: It is a source that does not exist any more.
    """
    found = await ctx.do(QueueGet, name)
    if found is None and target is None:
        raise QueueNotFound(
            f"Queue {name}, the source of messages, does not exist: name a target."
        )
    metadata = {} if found is None else found.metadata
    return metadata.get("_default_message_ttl") or ctx.settings.default_message_ttl
