"""Messages: post, list, read, delete, pop (``rest-v2`` 2.7)."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import (
    BadRequest,
    ClaimNotLive,
    KeyReused,
    MessageClaimed,
    MessageNotFound,
    QuotaExceeded,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    QueueArgs,
    RequestPart,
    Spec,
    Wait,
    body,
    check_integer,
    count,
    header,
    path,
    query,
)
from zaqarserver.operations.quotas import Reservation
from zaqarserver.operations.row import MESSAGE, MESSAGES, operation
from zaqarserver.storage.base import Message, NewMessage, PostOutcome
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePostOnce,
    PostGet,
    QueueGet,
)

_KEY = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")
#: Messages of a post that are prepared between two checks of the clock.
_AT_ONCE = 64
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


class PostedMessage(msgspec.Struct, kw_only=True, gc=False):
    """One message of a post."""

    body: msgspec.Raw
    ttl: Annotated[
        int | msgspec.UnsetType,
        Spec(
            minimum="min_message_ttl",
            maximum="max_message_ttl",
            help="Seconds to live.",
        ),
    ] = msgspec.UNSET
    delay: Annotated[
        Any, Spec(help="Seconds to stay hidden, on delayed queues only.")
    ] = msgspec.UNSET


class MessagePostArgs(QueueArgs):
    """Messages to store."""

    messages: Annotated[
        list[PostedMessage],
        body(
            minimum=1, maximum="max_messages_per_post", help="The messages, in order."
        ),
    ]
    idempotency_key: Annotated[
        str | None,
        header(
            "Idempotency-Key",
            "Names the post: a second one with it stores nothing and has the answer "
            "of the first. 1 to 128 printable ASCII characters.",
        ),
    ] = None
    size: Annotated[int, Spec(part=RequestPart.EDGE)] = 0


@message_operation(
    "POST",
    MESSAGES,
    "messages:create",
    status=201,
    limit="max_messages_post_size",
    errors=(QuotaExceeded, KeyReused),
)
async def message_post(ctx: Context, args: MessagePostArgs) -> PostOutcome:
    """Store messages, all or none.

    Return their ids in order.
    """
    key = args.idempotency_key if ctx.settings.idempotency_window else None
    if key is not None:
        _check_key(key)
    messages = await _new_messages(ctx, args)
    if not messages:
        return PostOutcome([])
    queue, digest = args.queue_name, "" if key is None else _digest(args.messages)
    try:
        async with Reservation(ctx, queue, messages):
            if key is None:
                post = ctx.do(MessagePost, queue, ctx.client_id, messages, ctx.now)
                return PostOutcome(await post)
            return await ctx.do(
                MessagePostOnce,
                queue,
                ctx.client_id,
                messages,
                ctx.now,
                key,
                digest,
                ctx.settings.idempotency_window,
            )
    except QuotaExceeded:
        # A replay stores nothing, so no quota refuses it.
        if key is not None:
            found = await ctx.do(PostGet, queue, ctx.now, key, digest)
            if found is not None:
                return found
        raise


def replayed(posted: PostOutcome) -> dict[str, str]:
    """Return the headers of an answer that is about an earlier post."""
    return {"Idempotency-Replayed": "true"} if posted.is_replay else {}


async def _new_messages(ctx: Context, args: MessagePostArgs) -> list[NewMessage]:
    """Return the messages to store, after the stages.

    Raises:
        BadRequest: They are too long for the queue, or a stage refuses one.
    """
    metadata = await queue_metadata(ctx, args.queue_name)
    settings = ctx.settings
    cap = metadata.get("_max_messages_post_size")
    if cap and args.size > cap:
        raise BadRequest(
            f"The messages have {args.size} bytes; "
            f"this {ctx.noun} takes at most {cap} in one post."
        )
    ttl = metadata.get("_default_message_ttl") or settings.default_message_ttl
    delay = metadata.get("_default_message_delay") or 0
    stages = ctx.server.stages
    messages = []
    for index, message in enumerate(args.messages):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await ctx.server.turns.pause()
        body = bytes(message.body)
        kept = stages.post(ctx.project, args.queue_name, metadata, body)
        if kept is None:
            continue
        new = NewMessage(
            kept,
            ttl if message.ttl is msgspec.UNSET else message.ttl,
            _delay(ctx, index, message, delay) if delay else 0,
            checksum(body) if settings.enable_checksum else None,
        )
        messages.append(new)
    return messages


def _check_key(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise BadRequest(
            "Idempotency-Key must have 1 to 128 printable ASCII characters, and no "
            "blanks at its ends."
        )


def _digest(messages: Sequence[PostedMessage]) -> str:
    """Return a digest of decoded messages: spacing and the wire do not matter."""
    content = [
        {**msgspec.structs.asdict(one), "body": msgspec.json.decode(one.body)}
        for one in messages
    ]
    text = msgspec.json.encode(
        [
            {name: one[name] for name in one if one[name] is not msgspec.UNSET}
            for one in content
        ],
        order="sorted",
    )
    return hashlib.sha256(text).hexdigest()


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


def _delay(ctx: Context, index: int, message: PostedMessage, default: int) -> int:
    if message.delay is msgspec.UNSET:
        return default
    return check_integer(
        f"messages[{index}].delay", message.delay, 0, ctx.settings.max_message_delay
    )


def checksum(text: bytes | msgspec.Raw) -> str | None:
    """Return the checksum of a body's JSON text (``rest-v2`` 4)."""
    value = json.loads(bytes(text))
    if value is None:
        return None
    digest = hashlib.md5(json.dumps(value).encode(), usedforsecurity=False)
    return f"MD5:{digest.hexdigest()}"


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
