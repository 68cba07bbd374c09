"""Messages: each verb is one script on the keys of its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from zaqarserver.errors import ClaimNotLive, KeyReused, MessageClaimed
from zaqarserver.storage.commands import (
    MessageDelete,
    MessageDeleteMany,
    MessageGet,
    MessageList,
    MessagePop,
    MessagePost,
    MessagePurge,
)
from zaqarserver.storage.posts import MessagePostOnce, PostGet
from zaqarserver.storage.records import (
    Message,
    NewMessage,
    Notes,
    PostOutcome,
    is_id,
)
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.names import encode_id, new_revision
from zaqarserver.storage.redis.store import Store, performs
from zaqarserver.storage.redis.usage import Held
from zaqarserver.storage.subscriptions import NOTICE_MESSAGES, NoticeMessage, Post

#: How many messages are packed between two turns of the event loop.
POST_STEP = 500


class PackedMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The stored members of a message, without its body.

    The order of the members is that of ``lua/queue.lua``; nothing may be ``None``
    there, for Lua's lists end at it.

    Attributes:
        created: When it was posted.
        expires: When it ends.
        ttl: As shown.
        visible: Until when it is hidden; 0 if it is not delayed.
        count: How many claims have taken it.
        claim: The claim that holds it, or empty.
        client: The client id of its post.
        checksum: As posted, or ``False``.
        notes: Why it was returned, or ``False``.
        postponed: Whether it is hidden since it was released or redriven.
    """

    created: float
    expires: float
    ttl: int
    visible: float
    count: int
    claim: str
    client: str
    checksum: str | bool
    notes: Notes | bool = False
    postponed: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedMessage).decode


def _pack(new: NewMessage, client_id: str, now: float) -> bytes:
    return _encode(
        PackedMessage(
            created=now,
            expires=now + new.ttl,
            ttl=new.ttl,
            visible=now + new.delay if new.delay > 0 else 0,
            count=0,
            claim="",
            client=client_id,
            checksum=False if new.checksum is None else new.checksum,
        )
    )


class MessagePage(NamedTuple):
    """Messages as scripts return them.

    Attributes:
        ids: Their ids.
        packed: A :class:`PackedMessage` of each.
        bodies: The body of each.
    """

    ids: Sequence[bytes]
    packed: Sequence[bytes]
    bodies: Sequence[bytes]

    def at(self, now: float) -> list[Message]:
        """Return the messages as they are at ``now``."""
        return [
            _read(id_, _decode(packed), body, now)
            for id_, packed, body in zip(*self, strict=True)
        ]


def _read(id_: bytes, packed: PackedMessage, body: bytes, now: float) -> Message:
    checksum = packed.checksum
    return Message(
        id=id_.decode(),
        body=body,
        ttl=packed.ttl,
        age=max(0, int(now - packed.created)),
        claim_id=packed.claim or None,
        claim_count=packed.count,
        checksum=checksum if isinstance(checksum, str) else None,
        notes=packed.notes if isinstance(packed.notes, Notes) else None,
    )


class _PostReply(NamedTuple):
    """The reply of ``lua/post.lua``.

    Attributes:
        first: The number of the first id.
        at_once: Whether a delivery is due at once.
        volatile: The subscriptions of connections that the post is published to.
        held: What the queue holds now.
        ids: The ids, with blanks between, if an earlier post has stored them.
    """

    first: bytes
    at_once: int
    volatile: list[bytes]
    held: Held
    ids: bytes


#: The reply of ``lua/post.lua`` if its key is that of another post.
_REUSED = b"reused"


@performs(MessagePost)
async def post(store: Store, command: MessagePost) -> list[str]:
    """Run one script, whatever the number of messages."""
    return (await _post(store, command)).ids


@performs(MessagePostOnce)
async def post_once(store: Store, command: MessagePostOnce) -> PostOutcome:
    """Run the same script with the key."""
    end = command.now + command.window
    return await _post(store, command, command.key, command.digest, end)


async def _post(
    store: Store, command: MessagePost | MessagePostOnce, *key: Word
) -> PostOutcome:
    messages, now = command.messages, command.now
    keys = store.keys(command)
    secrets = [store.numbers.secret() for _ in messages]
    args = await _arguments(command, secrets)
    published, head = store.channel.announce(keys)
    found = await store.run_prepared(
        "post",
        keys,
        keys.posting,
        now,
        store.numbers.take(now, len(messages)),
        new_revision(),
        store.keyspace.channel,
        head,
        NOTICE_MESSAGES,
        *(key or ("", "", "")),
        *args,
    )
    if found == _REUSED:
        raise KeyReused(str(key[0]))
    reply = _PostReply(*found)
    store.usage.messages(keys, reply.held)
    if reply.ids:
        return _replay(reply.ids)
    first = int(reply.first)
    store.numbers.learn(first + len(messages) - 1)
    ids = [encode_id(first + at, secret) for at, secret in enumerate(secrets)]
    if reply.at_once:
        store.on_due()
    if reply.volatile and not await store.channel.echo(published):
        stored = [
            NoticeMessage(id_, new.body, new.ttl, new.delay, now + new.ttl)
            for id_, new in zip(ids, messages, strict=True)
        ]
        to = [one.decode() for one in reply.volatile]
        # What was posted before may not have arrived either.
        before = encode_id(first - 1, "")
        post = Post(command.space, command.queue, stored, to, before)
        store.channel.deliver(published, post)
    return PostOutcome(ids)


def _replay(ids: bytes) -> PostOutcome:
    return PostOutcome(ids.decode().split(), is_replay=True)


@performs(PostGet)
async def post_get(store: Store, command: PostGet) -> PostOutcome | None:
    """Read the post of a key."""
    keys, key = store.keys(command).posting, command.key
    found = await store.run("post_get", keys, command.now, key, command.digest)
    if found == _REUSED:
        raise KeyReused(key)
    return None if found is None else _replay(*found)


async def _arguments(
    command: MessagePost | MessagePostOnce, secrets: Sequence[str]
) -> list[Word]:
    """Return the arguments of ``lua/post.lua`` for each message."""
    now = command.now
    args: list[Word] = []
    for number, (new, secret) in enumerate(
        zip(command.messages, secrets, strict=True), 1
    ):
        if number % POST_STEP == 0:
            await asyncio.sleep(0)
        visible = now + new.delay if new.delay > 0 else 0
        packed = _pack(new, command.client_id, now)
        args += (secret, now + new.ttl, visible, packed, new.body)
    return args


@performs(MessageList)
async def list_messages(store: Store, command: MessageList) -> list[Message]:
    """Read the sets of ids that are asked for, merged by id."""
    marker, client = command.marker, command.exclude_client
    if marker is not None and not is_id(marker):
        return []
    keys = store.keys(command)
    sets = "f" + "h" * command.include_delayed + "c" * command.include_claimed
    sets += "p" * command.include_postponed
    position: str | bytes = "-" if marker is None else f"({marker}"
    found: list[Message] = []
    while position:
        position, *page = await store.run(
            "list",
            keys.messages,
            command.now,
            position,
            command.limit - len(found),
            sets,
            *([] if client is None else [client]),
        )
        found += MessagePage(*page).at(command.now)
    return found


@performs(MessageGet)
async def get(store: Store, command: MessageGet) -> list[Message]:
    """Read the messages by their ids."""
    now, ids = command.now, dict.fromkeys(command.ids)
    page = await store.run("get", store.keys(command).messages, now, *ids)
    return MessagePage(*page).at(now)


@performs(MessageDelete)
async def delete(store: Store, command: MessageDelete) -> None:
    """Delete the message if the claim allows it."""
    keys, claim = store.keys(command), command.claim_id
    refused, held = await store.run(
        "delete",
        keys.messages,
        command.now,
        command.message_id,
        *([] if claim is None else [claim]),
    )
    store.usage.messages(keys, held)
    check_holder(refused)


def check_holder(refused: int) -> None:
    """Raise the error for a reply of ``lua/held.lua``; 0 is none."""
    if refused == 1:
        raise MessageClaimed("the message is claimed; name its claim")
    if refused:
        raise ClaimNotLive("the claim has expired or does not hold the message")


@performs(MessageDeleteMany)
async def delete_many(store: Store, command: MessageDeleteMany) -> None:
    """Delete all messages, or none."""
    keys, claims = store.keys(command), command.claim_ids
    refused, held = await store.run(
        "delete_many",
        keys.messages,
        command.now,
        *([-1] if claims is None else [len(claims), *claims]),
        *dict.fromkeys(command.ids),
    )
    store.usage.messages(keys, held)
    if refused:
        raise MessageClaimed("a message is not under one of the claims named")


@performs(MessagePop)
async def pop(store: Store, command: MessagePop) -> list[Message]:
    """Delete the first messages that can be claimed, and return them."""
    keys, now = store.keys(command), command.now
    with_delayed = int(command.include_delayed)
    *page, held = await store.run(
        "pop", keys.messages, now, command.limit, with_delayed
    )
    store.usage.messages(keys, held)
    return MessagePage(*page).at(now)


@performs(MessagePurge)
async def purge(store: Store, command: MessagePurge) -> None:
    """Unlink a handful of keys; Redis frees them in the background."""
    keys = store.keys(command)
    store.usage.messages(keys, await store.run("purge", keys.messages))
