"""Messages that consumers return, set aside, and try again: release, bury, redrive."""

from __future__ import annotations

from zaqarserver.errors import MessageNotFound, QueueMoving
from zaqarserver.storage.moving import (
    MessageRecord,
)
from zaqarserver.storage.redis.claims import MOVE_STEP, finish_moves
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.messages import check_holder
from zaqarserver.storage.redis.moving import message_words, read_message
from zaqarserver.storage.redis.names import QueueKeys, new_claim_id, new_revision
from zaqarserver.storage.redis.store import Store, performs
from zaqarserver.storage.releases import (
    HeldCommand,
    MessageBury,
    MessageExport,
    MessageImport,
    MessageRedrive,
    MessageRelease,
)

#: The reply of ``lua/held.lua`` if the message does not exist.
_MISSING = 3


def _check(refused: int, command: HeldCommand) -> None:
    if refused == _MISSING:
        raise MessageNotFound(f"no message {command.message_id!r}")
    check_holder(refused)


def _reason(command: MessageRelease | MessageBury) -> list[Word]:
    return [] if command.reason is None else [command.reason]


@performs(MessageRelease)
async def release(store: Store, command: MessageRelease) -> None:
    """Return one message to the free or postponed ones."""
    refused = await store.run(
        "message_release",
        store.keys(command).messages,
        command.now,
        command.message_id,
        command.claim_id,
        command.delay,
        *_reason(command),
    )
    _check(refused, command)


async def _finish(store: Store, keys: QueueKeys, now: float) -> None:
    """Put what was sent into its queue; if that fails now, the sweeper does it."""
    if not await finish_moves(store, keys, now):
        raise QueueMoving("the other queue is being moved, or has left")


async def _check_served(
    store: Store, command: MessageBury | MessageRedrive, target: str
) -> None:
    """Raise QueueMoving if a queue is sealed."""
    keys = store.keyspace.queue(command.space, target)
    await store.run("get", keys.messages, command.now)


@performs(MessageBury)
async def bury(store: Store, command: MessageBury) -> None:
    """Send the message, as a claim sends one that was claimed too often."""
    keys, dead_letter = store.keys(command), command.dead_letter
    await _check_served(store, command, dead_letter.queue)
    refused, held = await store.run_prepared(
        "message_bury",
        keys,
        keys.messages,
        command.now,
        command.message_id,
        command.claim_id,
        command.queue,
        dead_letter.queue,
        "" if dead_letter.ttl is None else dead_letter.ttl,
        new_claim_id(),
        *_reason(command),
    )
    store.usage.messages(keys, held)
    _check(refused, command)
    await _finish(store, keys, command.now)


@performs(MessageExport)
async def export(store: Store, command: MessageExport) -> list[MessageRecord]:
    """Read the messages by their ids."""
    keys, ids = store.keys(command), sorted(set(command.ids))
    page = await store.run("get", keys.messages, command.now, *ids)
    records = [read_message(*one) for one in zip(*page, strict=True)]
    return [one for one in records if one.claim_id is None]


@performs(MessageImport)
async def import_messages(store: Store, command: MessageImport) -> None:
    """Put the messages into the queue, as those that come from another one."""
    keys, now = store.keys(command), command.now
    present = await store.run(
        "get", keys.messages, now, *(one.id for one in command.messages)
    )
    there = {id_.decode() for id_ in present[0]}
    words: list[Word] = []
    for record in command.messages:
        if record.id not in there:
            id_, *stored = message_words(record)
            words += (id_, new_claim_id(), *stored)
    refused, held = await store.run_prepared(
        "put", keys, keys.messages, now, new_revision(), *words
    )
    store.usage.messages(keys, held)
    if refused:
        raise QueueMoving("the queue is being moved, or has left")


@performs(MessageRedrive)
async def redrive(store: Store, command: MessageRedrive) -> list[str]:
    """Send the messages, some at a time."""
    keys, now = store.keys(command), command.now
    await _check_served(store, command, command.target)
    ids = list(dict.fromkeys(command.ids))
    moved: list[str] = []
    for start in range(0, len(ids), MOVE_STEP):
        sent, held = await store.run_prepared(
            "redrive",
            keys,
            keys.messages,
            now,
            command.target,
            command.ttl,
            now + command.delay if command.delay else 0,
            new_claim_id(),
            *ids[start : start + MOVE_STEP],
        )
        store.usage.messages(keys, held)
        if sent:
            await _finish(store, keys, now)
        moved += [id_.decode() for id_ in sent]
    return moved
