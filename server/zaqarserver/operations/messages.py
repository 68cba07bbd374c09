"""Messages: list, read, delete, pop (``rest-v2`` 2.7)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    ClaimNotLive,
    MessageClaimed,
    MessageNotFound,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    QueueArgs,
    Wait,
    count,
    path,
    query,
)
from zaqarserver.operations.row import MESSAGE, MESSAGES, operation
from zaqarserver.storage.base import Message
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    QueueGet,
)

message_operation = functools.partial(
    operation, record="max_messages_post_size", signable=True
)


async def queue_metadata(ctx: Context, queue: str) -> Mapping[str, Any]:
    """Return a queue's stored metadata; empty if the queue does not exist."""
    found = await ctx.do(QueueGet, queue)
    return {} if found is None else found.metadata


def is_delayed(metadata: Mapping[str, Any]) -> bool:
    """Return True if a queue delays new messages (``rest-v2`` 5.5)."""
    return bool(metadata.get("_default_message_delay"))


def readable(ctx: Context, queue: str, found: Sequence[Message]) -> list[Message]:
    """Return stored messages with the bodies as posted (decrypted, for example)."""
    stages = ctx.server.stages
    result = []
    for message in found:
        body = stages.read(ctx.project, queue, message.body)
        if body is not message.body:
            message = msgspec.structs.replace(message, body=body)  # noqa: PLW2901
        result.append(message)
    return result


class MessageListArgs(QueueArgs):
    """A page of a queue's messages."""

    marker: Annotated[str | None, query(help="Only messages after this one.")] = None
    limit: Annotated[int, count("max_messages_per_page", "Messages a page.")] = 10
    echo: Annotated[bool, query(help="Include messages posted by this client.")] = False
    include_claimed: Annotated[bool, query(help="Include claimed messages.")] = False
    include_delayed: Annotated[bool, query(help="Include delayed messages.")] = False
    wait: Wait = 0


@message_operation("GET", MESSAGES, "messages:get_all", waits=attrgetter("wait"))
async def message_list(ctx: Context, args: MessageListArgs) -> list[Message]:
    """List messages, oldest first."""
    with_postponed = args.include_delayed
    if not args.include_delayed:
        metadata = await queue_metadata(ctx, args.queue_name)
        args.include_delayed = not is_delayed(metadata)
    found = await ctx.do(
        MessageList,
        args.queue_name,
        marker=args.marker,
        limit=args.limit,
        now=ctx.now,
        exclude_client=None if args.echo else ctx.client_id,
        include_claimed=args.include_claimed,
        include_delayed=args.include_delayed,
        include_postponed=with_postponed,
    )
    return readable(ctx, args.queue_name, found)


class MessageGetManyArgs(QueueArgs):
    """Several messages by id."""

    message_ids: Annotated[
        list[str],
        count("max_messages_per_page", "Ids of the messages.", rest_name="ids"),
    ]
    wait: Annotated[int, query(help="Must be 0: messages by id do not wait.")] = 0


@message_operation(
    "GET", MESSAGES, "messages:get_all", when="ids", errors=(MessageNotFound,)
)
async def message_get_many(ctx: Context, args: MessageGetManyArgs) -> list[Message]:
    """Show several messages by id.

    Unknown ids are skipped.
    """
    _check_no_wait(args.wait)
    found = await ctx.do(MessageGet, args.queue_name, args.message_ids, ctx.now)
    return readable(ctx, args.queue_name, found)


def _check_no_wait(wait: int) -> None:
    if wait:
        raise BadRequest("wait cannot be combined with ids.")


def _needs_claims(ctx: Context) -> bool:
    """Return True if a claim id is needed to delete messages; never for topics."""
    return ctx.settings.message_delete_with_claim_id and not ctx.topics


class MessageDeleteManyArgs(QueueArgs):
    """Messages to delete by id, or to pop."""

    message_ids: Annotated[
        list[str] | None,
        count("max_messages_per_page", "Ids to delete.", rest_name="ids"),
    ] = None
    pop: Annotated[
        int | None,
        count("max_messages_per_claim_or_pop", "Messages to remove and return."),
    ] = None
    claim_ids: Annotated[
        list[str] | None,
        query(help="Claims that hold the messages, where the server requires them."),
    ] = None
    check_claims: Annotated[
        bool,
        query(
            help="True to refuse, with 403 and nothing deleted, unless each message "
            "is under one of claim_ids."
        ),
    ] = False
    wait: Wait = 0


def _wait_of_pop(args: MessageDeleteManyArgs) -> int:
    return args.wait if args.pop and args.message_ids is None else 0


@message_operation(
    "DELETE",
    MESSAGES,
    "messages:delete_all",
    status=204,
    errors=(MessageClaimed,),
    waits=_wait_of_pop,
)
async def message_delete_many(
    ctx: Context, args: MessageDeleteManyArgs
) -> list[Message] | None:
    """Delete messages by id, or pop the oldest free ones.

    Return the messages that were popped, or ``None`` after a delete by id.
    """
    if (args.message_ids is None) == (args.pop is None):
        raise BadRequest("Give either ids or pop, not both.", title="Unable to delete")
    with_claims = _needs_claims(ctx) or args.check_claims
    if args.pop is not None:
        if with_claims and args.claim_ids:
            raise BadRequest(
                "pop cannot be combined with claim_ids.", title="Unable to delete"
            )
        metadata = await queue_metadata(ctx, args.queue_name)
        popped = await ctx.do(
            MessagePop,
            args.queue_name,
            args.pop,
            ctx.now,
            include_delayed=not is_delayed(metadata),
        )
        return readable(ctx, args.queue_name, popped)
    _check_no_wait(args.wait)
    if with_claims and not args.claim_ids:
        raise BadRequest(
            "ids requires claim_ids on this server.", title="Unable to delete"
        )
    await ctx.do(
        MessageDeleteMany,
        args.queue_name,
        args.message_ids or [],
        args.claim_ids if with_claims else None,
        ctx.now,
    )
    return None


class MessageGetArgs(QueueArgs):
    """One message."""

    message_id: Annotated[str, path(help="Id of the message.")]


@message_operation("GET", MESSAGE, "messages:get", errors=(MessageNotFound,))
async def message_get(ctx: Context, args: MessageGetArgs) -> Message:
    """Show one message.

    Claimed messages are shown, too.
    """
    found = await ctx.do(MessageGet, args.queue_name, [args.message_id], ctx.now)
    if not found:
        raise MessageNotFound(
            f"Message {args.message_id} does not exist in {ctx.noun} {args.queue_name}."
        )
    return readable(ctx, args.queue_name, found)[0]


class MessageDeleteArgs(MessageGetArgs):
    """One message to delete."""

    claim_id: Annotated[str | None, query(help="The claim that holds it.")] = None


@message_operation(
    "DELETE",
    MESSAGE,
    "messages:delete",
    status=204,
    errors=(ClaimNotLive, MessageClaimed),
)
async def message_delete(ctx: Context, args: MessageDeleteArgs) -> None:
    """Delete one message; a claimed one only with its claim."""
    if _needs_claims(ctx) and args.claim_id is None and not ctx.is_admin:
        raise BadRequest("claim_id is required to delete a message on this server.")
    await ctx.do(
        MessageDelete, args.queue_name, args.message_id, args.claim_id, ctx.now
    )
