"""Posting messages (``rest-v2`` 2.7)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from zaqarserver.errors import BadRequest, KeyReused, QuotaExceeded
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    QueueArgs,
    RequestPart,
    Spec,
    body,
    check_integer,
    header,
)
from zaqarserver.operations.messages import message_operation, queue_metadata
from zaqarserver.operations.quotas import Reservation
from zaqarserver.operations.row import MESSAGES
from zaqarserver.storage.base import NewMessage, PostOutcome
from zaqarserver.storage.commands import MessagePost
from zaqarserver.storage.posts import MessagePostOnce, PostGet

_KEY = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")
#: Messages of a post that are prepared between two checks of the clock.
_AT_ONCE = 64


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
