"""Queues that move between stores.

The seal is a field of the queue's head, and every script reads it. Arriving records are
stored in their final place, and no command returns them before the seal is removed. So
sealing, opening and dropping take the same time however much a queue has.

Seals are listed in another slot, like queues that are to be swept. The entry is added
before a seal is made, and removed after the seal is removed
(:mod:`zaqarserver.storage.redis.store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import QueueChanged
from zaqarserver.storage.moving import (
    REMEMBERED_SECONDS,
    ClaimRecord,
    Contents,
    ExportPage,
    MessageRecord,
    NoticeRecord,
    PostRecord,
    QueueContents,
    QueueDrop,
    QueueExport,
    QueueImport,
    QueueOpen,
    QueueRecord,
    QueueSeal,
    Record,
    Seal,
    SealKind,
    SealList,
    SubscriptionRecord,
)
from zaqarserver.storage.records import Notes
from zaqarserver.storage.redis.channel import make_notice, read_notice
from zaqarserver.storage.redis.claims import finish_moves
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.messages import PackedMessage
from zaqarserver.storage.redis.names import QueueKeys, new_revision
from zaqarserver.storage.redis.store import REFUSED, Store, performs
from zaqarserver.storage.redis.subscriptions import PackedSubscription
from zaqarserver.storage.redis.usage import Held

#: About how many bytes of bodies a page has at most.
PAGE_BYTES = 1_000_000

#: How many records one script keeps.
STEP = 500

#: The owner of volatile subscriptions that came from another store: which server has
#: their connection is not known. They end with their connection, or their ttl.
MOVED_OWNER = "moved"

_CHANGED = b"changed"
_DROP = b"drop"

_encode = msgspec.msgpack.Encoder().encode
_decode_message = msgspec.msgpack.Decoder(PackedMessage).decode
_decode_subscription = msgspec.msgpack.Decoder(PackedSubscription).decode
_read_notes = msgspec.json.Decoder(Notes).decode
_write_notes = msgspec.json.Encoder().encode
_decode_terms = msgspec.msgpack.Decoder(tuple[int, int, float]).decode
_decode_post = msgspec.msgpack.Decoder(tuple[float, str, str]).decode


# -- seals ----------------------------------------------------------------------


@performs(QueueSeal)
async def seal(store: Store, command: QueueSeal) -> bool:
    """Seal the queue, then finish its moves to dead letter queues."""
    return await _seal(store, command, command.kind, "seal")


@performs(QueueDrop)
async def drop(store: Store, command: QueueDrop) -> bool:
    """Drop a handful of keys, which Redis frees in the background."""
    return await _seal(store, command, SealKind.GONE, "drop")


async def _seal(
    store: Store, command: QueueSeal | QueueDrop, kind: SealKind, way: str
) -> bool:
    keys, now, epoch = store.keys(command), command.now, command.epoch
    args = kind, epoch, now + REMEMBERED_SECONDS, way
    reply = await store.run_prepared(
        "seal", keys, keys.moving, now, *args, removing=True
    )
    if reply == REFUSED:
        return False
    *held, sent = reply
    _gather(store, keys, held)
    if sent:
        await finish_moves(store, keys, float(sent))
    if kind is SealKind.GONE:
        store.later(_unlist(store, keys))
    return True


@performs(QueueOpen)
async def open_queue(store: Store, command: QueueOpen) -> bool:
    """Remove the seal, after dropping data that is too old."""
    keys, where = store.keys(command), (command.space, command.queue)
    args = command.epoch, command.since, new_revision()
    while True:
        reply = await store.run_prepared("open", keys, keys.moving, 0.0, *args)
        if reply == REFUSED:
            return False
        if reply[0] != _DROP:
            break
        await drop(store, QueueDrop(*where, reply[1], 0.0))
    _gather(store, keys, reply)
    store.later(_unlist(store, keys))
    store.on_due()
    return True


def _gather(store: Store, keys: QueueKeys, held: Sequence[Held]) -> None:
    """Report to the usage sums what a queue holds now."""
    messages, subscriptions = held
    store.usage.messages(keys, messages)
    store.usage.subscriptions(keys, subscriptions)


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


# -- exporting ------------------------------------------------------------------


async def _run(store: Store, script: str, keys: QueueKeys, *args: Word) -> Any:
    """Run a script that needs a seal.

    Raises:
        QueueChanged: The queue does not have it.
    """
    reply = await store.run(script, keys.moving, *args)
    if reply == _CHANGED:
        raise QueueChanged(f"queue {keys.queue!r} is not sealed for this")
    return reply


@performs(QueueExport)
async def export(store: Store, command: QueueExport) -> ExportPage:
    """Read a page of the kind of record that ``following`` names, or of the next."""
    kind, _, position = (command.following or "queue:-").partition(":")
    script, read, later = _EXPORTS[kind]
    limits = command.limit, PAGE_BYTES
    reply = await _run(store, script, store.keys(command), position, *limits)
    start, *columns = reply
    records = [one for row in zip(*columns, strict=True) for one in read(*row)]
    if start:
        later = f"{kind}:{start if isinstance(start, int) else start.decode()}"
    return ExportPage(records, later)


def _read_queue(metadata: bytes | None) -> list[QueueRecord]:
    return [QueueRecord(metadata.decode())] if metadata else []


def _read_post(key: bytes, members: bytes) -> list[PostRecord]:
    expires, digest, ids = _decode_post(members)
    return [PostRecord(key.decode(), digest, ids, expires)]


def _read_held(
    id_: bytes, members: bytes, body: bytes, terms: bytes
) -> list[ClaimRecord | MessageRecord]:
    """Return a message, after its claim if that comes with it."""
    message = read_message(id_, members, body)
    if not terms:
        return [message]
    return [ClaimRecord(message.claim_id or "", *_decode_terms(terms)), message]


def read_message(id_: bytes, members: bytes, body: bytes) -> MessageRecord:
    """Return a message as a record."""
    packed = _decode_message(members)
    checksum = packed.checksum
    return MessageRecord(
        id=id_.decode(),
        body=body,
        ttl=packed.ttl,
        created=packed.created,
        expires=packed.expires,
        visible=packed.visible or None,
        client_id=packed.client,
        checksum=checksum if isinstance(checksum, str) else None,
        claim_count=packed.count,
        claim_id=packed.claim or None,
        notes=_write_notes(packed.notes).decode() if packed.notes else None,
        postponed=packed.postponed,
    )


def _read_subscription(
    id_: bytes, members: bytes, due: bytes, *progress: int
) -> list[SubscriptionRecord]:
    *shared, owner = msgspec.structs.astuple(_decode_subscription(members))
    first = float(due) if due else None
    row = (id_.decode(), *shared, bool(owner), first, *progress)
    return [msgspec.convert(row, SubscriptionRecord)]


def _read_notice(number: int, frame: bytes) -> list[NoticeRecord]:
    return [NoticeRecord(number, read_notice(frame))]


#: By kind: the script that reads a page, the function that makes records of a row of
#: its reply, and what follows the kind.
_EXPORTS: dict[str, tuple[str, Callable[..., Sequence[Record]], str | None]] = {
    "queue": ("export_queue", _read_queue, "post:0"),
    "post": ("export_posts", _read_post, "message:-"),
    "message": ("export_messages", _read_held, "subscription:-"),
    "subscription": ("export_subscriptions", _read_subscription, "notice:0"),
    "notice": ("export_notices", _read_notice, None),
}


# -- importing ------------------------------------------------------------------


@performs(QueueImport)
async def import_records(store: Store, command: QueueImport) -> None:
    """Store the records in their final places, by kind."""
    keys, epoch = store.keys(command), command.epoch
    await _run(store, "import_queue", keys, epoch)
    for kind, (script, words) in _IMPORTS.items():
        records = [one for one in command.records if isinstance(one, kind)]
        for at in range(0, len(records), STEP):
            args = [word for one in records[at : at + STEP] for word in words(one)]
            await _run(store, script, keys, epoch, *args)


def _queue_words(record: QueueRecord) -> Iterable[Word]:
    return (record.metadata,)


def _post_words(record: PostRecord) -> Iterable[Word]:
    packed = _encode((record.expires, record.digest, record.ids))
    return record.key, packed, record.expires


def _claim_words(record: ClaimRecord) -> Iterable[Word]:
    ends = record.created + record.ttl
    claim = (record.ttl, record.grace, record.created, ends, ())
    return record.id, _encode(claim)


def message_words(record: MessageRecord) -> Iterable[Word]:
    """Return the id, the packed members and the body of a record."""
    packed = PackedMessage(
        created=record.created,
        expires=record.expires,
        ttl=record.ttl,
        visible=record.visible or 0,
        count=record.claim_count,
        claim=record.claim_id or "",
        client=record.client_id,
        checksum=False if record.checksum is None else record.checksum,
        notes=False if record.notes is None else _read_notes(record.notes),
        postponed=record.postponed,
    )
    return record.id, _encode(packed), record.body


def _subscription_words(record: SubscriptionRecord) -> Iterable[Word]:
    id_, *shared, volatile, due, cursor, position, attempt = msgspec.structs.astuple(
        record
    )
    members = (*shared, MOVED_OWNER if volatile else "")
    progress = (cursor, position, attempt)
    return id_, _encode(members), "" if due is None else due, *progress


def _notice_words(record: NoticeRecord) -> Iterable[Word]:
    return record.number, make_notice(record.messages)


#: By kind: the script that stores records, and the function that makes its arguments.
_IMPORTS: dict[type[Record], tuple[str, Callable[[Any], Iterable[Word]]]] = {
    QueueRecord: ("import_queue", _queue_words),
    PostRecord: ("import_posts", _post_words),
    ClaimRecord: ("import_claims", _claim_words),
    MessageRecord: ("import_messages", message_words),
    SubscriptionRecord: ("import_subscriptions", _subscription_words),
    NoticeRecord: ("import_notices", _notice_words),
}


# -- counting -------------------------------------------------------------------


@performs(QueueContents)
async def contents(store: Store, command: QueueContents) -> Contents:
    """Count the members of sets, and the subscriptions that are behind."""
    return Contents(*await _run(store, "contents", store.keys(command), command.now))
