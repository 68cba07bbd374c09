"""Queues that move between stores.

The seal is a field of the queue's head, and every script reads it. Arriving records are
stored in their final place, and no command returns them before the seal is removed. So
sealing, opening and leaving take the same time however much a queue has.

Seals are listed in another slot, like queues that are to be swept. The entry is added
before a seal is made, and removed after the seal is removed
(:mod:`zaqarserver.storage.redis.store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    ClaimRecord,
    Contents,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    QueueContents,
    QueueExport,
    QueueImport,
    QueueLeave,
    QueueOpen,
    QueueReceive,
    QueueRecord,
    QueueRetire,
    QueueSeal,
    Record,
    Seal,
    SealKind,
    SealList,
    SubscriptionRecord,
)
from zaqarserver.storage.redis import transfer
from zaqarserver.storage.redis.claims import finish_dead_letters
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.names import QueueKeys, new_revision
from zaqarserver.storage.redis.store import REFUSED, Store, performs
from zaqarserver.storage.redis.usage import Held

#: About how many bytes of bodies a page has at most, and how many deliveries.
PAGE_BYTES = 1_000_000
PAGE_DELIVERIES = 5_000

#: How many records one script keeps.
STEP = 500

_CHANGED = b"changed"
_DROP = b"drop"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

T = TypeVar("T")


async def _step(
    store: Store,
    script: str,
    keys: QueueKeys,
    *args: Word,
    now: float = 0.0,
    removing: bool = False,
) -> Any:
    """Run a script that changes a seal; return ``None`` if it refuses."""
    reply = await store.run_prepared(
        script, keys, keys.moving, now, *args, removing=removing
    )
    return None if reply == REFUSED else reply


def _gather(store: Store, keys: QueueKeys, held: Sequence[Held]) -> None:
    """Report to the usage sums what a queue holds now."""
    messages, subscriptions = held
    store.usage.messages(keys, messages)
    store.usage.subscriptions(keys, subscriptions)


# -- leaving --------------------------------------------------------------------


@performs(QueueSeal)
async def seal(store: Store, command: QueueSeal) -> bool:
    """Seal the queue, then finish its moves to dead letter queues."""
    keys = store.keys(command)
    sent = await _step(store, "seal", keys, command.epoch)
    if sent is None:
        return False
    if sent:
        await finish_dead_letters(store, keys, float(sent))
    return True


@performs(QueueLeave)
async def leave(store: Store, command: QueueLeave) -> bool:
    """Unlink a handful of keys; Redis frees them in the background."""
    until = command.now + REMEMBERED_SECONDS
    return await _leave(store, store.keys(command), command.epoch, until)


async def _leave(store: Store, keys: QueueKeys, epoch: int, until: float) -> bool:
    held = await _step(store, "leave_store", keys, epoch, until, removing=True)
    if held is None:
        return False
    _gather(store, keys, held)
    store.later(_unlist(store, keys))
    return True


@performs(QueueRetire)
async def retire(store: Store, command: QueueRetire) -> bool:
    """Seal as gone a queue that neither exists nor has live subscriptions."""
    keys, epoch, now = store.keys(command), command.epoch, command.now
    until = now + REMEMBERED_SECONDS
    return await _step(store, "retire", keys, epoch, until, now=now) is not None


# -- arriving -------------------------------------------------------------------


@performs(QueueReceive)
async def receive(store: Store, command: QueueReceive) -> bool:
    """Drop what the store has of the queue, and seal it."""
    keys = store.keys(command)
    held = await _step(store, "receive", keys, command.epoch, removing=True)
    if held is None:
        return False
    _gather(store, keys, held)
    return True


@performs(QueueOpen)
async def open_queue(store: Store, command: QueueOpen) -> bool:
    """Remove the seal, after dropping data that is too old."""
    keys, epoch, since = store.keys(command), command.epoch, command.since
    while True:
        opened = await _step(store, "open", keys, epoch, since, new_revision())
        if opened is None:
            return False
        if opened[0] != _DROP:
            break
        await _leave(store, keys, opened[1], 0.0)
    _gather(store, keys, opened)
    store.later(_unlist(store, keys))
    store.on_due()
    return True


@performs(QueueImport)
async def import_records(store: Store, command: QueueImport) -> None:
    """Store the records in their final places, by kind."""
    keys, records = store.keys(command), command.records

    async def arrive(script: str, *args: Word) -> None:
        reply = await store.run(script, keys.moving, command.epoch, *args)
        if reply == _CHANGED:
            raise QueueChanged(f"queue {command.queue!r} does not arrive")

    heads = [_encode(one.metadata) for one in _of(QueueRecord, records)]
    claims = transfer.claim_args(_of(ClaimRecord, records))
    await arrive("arrive", heads[0] if heads else "", *claims)
    kinds: list[tuple[type[Any], str, Callable[[Any], list[Word]]]] = [
        (MessageRecord, "arrive_messages", transfer.message_args),
        (SubscriptionRecord, "arrive_subscriptions", transfer.subscription_args),
        (NoticeRecord, "arrive_notices", transfer.notice_args),
    ]
    for kind, script, args_of in kinds:
        wanted = _of(kind, records)
        for at in range(0, len(wanted), STEP):
            await arrive(script, *args_of(wanted[at : at + STEP]))


# -- exporting ------------------------------------------------------------------


@performs(QueueExport)
async def export(store: Store, command: QueueExport) -> ExportPage:
    """Read a page of the kind of record that ``following`` names, or of the next."""
    keys, limit = store.keys(command), command.limit
    kind, _, position = (command.following or "head:").partition(":")
    if kind == "head":
        metadata = await _depart(store, "depart", keys)
        head = [QueueRecord(_decode(metadata))] if metadata else []
        return ExportPage(head, "message:-")
    if kind == "message":
        start, *page = await _depart(
            store, "depart_messages", keys, position, limit, PAGE_BYTES
        )
        claims = transfer.read_claims(*page[3:])
        messages = transfer.read_messages(page[:3])
        return ExportPage(
            [*claims, *messages], _after("message", start, "subscription:-")
        )
    if kind == "subscription":
        start, *page = await _depart(
            store, "depart_subscriptions", keys, position, limit
        )
        subscriptions = transfer.read_subscriptions(page)
        return ExportPage(subscriptions, _after("subscription", start, "notice:0"))
    number, *page = await _depart(
        store, "depart_notices", keys, position, PAGE_BYTES, PAGE_DELIVERIES
    )
    notices = transfer.read_notices(page)
    return ExportPage(notices, f"notice:{number}" if number else None)


@performs(QueueContents)
async def contents(store: Store, command: QueueContents) -> Contents:
    """Count the members of sets, and the notices that each subscription awaits."""
    keys, now = store.keys(command), command.now
    reply = await store.run("contents", keys.moving, now)
    if reply == _CHANGED:
        raise QueueChanged(f"queue {command.queue!r} neither leaves nor arrives")
    return Contents(*reply)


async def _depart(store: Store, script: str, keys: QueueKeys, *args: Word) -> Any:
    reply = await store.run(script, keys.moving, *args)
    if reply == _CHANGED:
        raise QueueChanged(f"queue {keys.queue!r} is not sealed")
    return reply


# -- the list of seals ----------------------------------------------------------


@performs(SealList)
async def list_seals(store: Store, command: SealList) -> list[Seal]:
    """Read the list, which is short, and the seal of each queue."""
    marker = command.marker
    listed = await store.client.do("ZRANGE", store.seals.key, 0, -1)
    queues = (store.keyspace.by_tag(tag.decode()) for tag in listed)
    found: list[Seal] = []
    for keys in sorted(queues, key=lambda one: (one.space, one.queue)):
        if len(found) == command.limit:
            break
        if marker is not None and (keys.space, keys.queue) <= marker:
            continue
        sealed = await _unlist(store, keys)
        if sealed is not None:
            kind, epoch = sealed
            found.append(Seal(keys.space, keys.queue, epoch, kind))
    return found


async def _unlist(store: Store, keys: QueueKeys) -> tuple[SealKind, int] | None:
    """Remove a queue from the list of seals unless it is sealed; return its seal."""
    read = await store.client.do("ZSCORE", store.seals.key, keys.tag)
    sealed = await store.client.run("sealed", (keys.head,))
    if sealed is not None:
        return SealKind(sealed[0].decode()), sealed[1]
    if read is not None:
        await store.seals.move(keys.tag, read, b"")
    return None


def _of(kind: type[T], records: Iterable[Record]) -> list[T]:
    return [record for record in records if isinstance(record, kind)]


def _after(kind: str, start: bytes, following: str) -> str:
    """Return where the next page begins: within this kind, or with what follows."""
    return f"{kind}:{start.decode()}" if start else following
