"""Records of queues: read from the replies of scripts, written as arguments.

Scripts do not see records, and records do not depend on how Redis stores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from zaqarserver.storage.moving import (
    ClaimRecord,
    MessageRecord,
    NoticeRecord,
    PendingDelivery,
    SubscriptionRecord,
)
from zaqarserver.storage.redis.channel import make_notice, read_notice
from zaqarserver.storage.redis.connection import Word
from zaqarserver.storage.redis.messages import PackedMessage
from zaqarserver.storage.redis.subscriptions import PackedSubscription

#: The owner of volatile subscriptions that came from another store: which server has
#: their connection is not known. They end with their connection, or their ttl.
MOVED_OWNER = "moved"

_encode = msgspec.msgpack.Encoder().encode
_decode_message = msgspec.msgpack.Decoder(PackedMessage).decode
_decode_subscription = msgspec.msgpack.Decoder(PackedSubscription).decode
_decode_terms = msgspec.msgpack.Decoder(tuple[int, int, float]).decode
_decode_pending = msgspec.msgpack.Decoder(list[PendingDelivery]).decode
_encode_options = msgspec.json.Encoder().encode
_decode_options = msgspec.json.Decoder(dict[str, Any]).decode


# -- written for another store ------------------------------------------------------


def read_claims(ids: Sequence[bytes], terms: Sequence[bytes]) -> list[ClaimRecord]:
    """Make claim records of ids and packed members: ttl, grace, creation."""
    return [
        ClaimRecord(id_.decode(), *_decode_terms(packed))
        for id_, packed in zip(ids, terms, strict=True)
    ]


def read_messages(page: Sequence[Sequence[bytes]]) -> list[MessageRecord]:
    """Make message records of ids, packed members and bodies."""
    return [
        _read_message(id_, _decode_message(packed), body)
        for id_, packed, body in zip(*page, strict=True)
    ]


def _read_message(id_: bytes, packed: PackedMessage, body: bytes) -> MessageRecord:
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
    )


def read_subscriptions(page: Sequence[Sequence[bytes]]) -> list[SubscriptionRecord]:
    """Make subscription records of ids, packed members and due times."""
    return [
        _read_subscription(id_, _decode_subscription(packed), due)
        for id_, packed, due in zip(*page, strict=True)
    ]


def _read_subscription(
    id_: bytes, packed: PackedSubscription, due: bytes
) -> SubscriptionRecord:
    return SubscriptionRecord(
        id=id_.decode(),
        subscriber=packed.subscriber,
        ttl=packed.ttl,
        created=packed.created,
        expires=packed.expires,
        options=_decode_options(packed.options),
        confirmed=packed.confirmed,
        volatile=bool(packed.owner),
        due=float(due) if due else None,
    )


def read_notices(page: Sequence[Sequence[Any]]) -> list[NoticeRecord]:
    """Make notice records of numbers, notices and packed deliveries."""
    return [
        NoticeRecord(
            id=str(number),
            messages=read_notice(frame),
            deliveries=_decode_pending(deliveries),
            after=None,
            until="",
        )
        for number, frame, deliveries in zip(*page, strict=True)
    ]


# -- read from another store --------------------------------------------------------


def claim_args(records: Iterable[ClaimRecord]) -> list[Word]:
    """Return the arguments of ``lua/arrive.lua``: id, claim without messages."""
    args: list[Word] = []
    for record in records:
        ends = record.created + record.ttl
        claim = (record.ttl, record.grace, record.created, ends, ())
        args += (record.id, _encode(claim))
    return args


def message_args(records: Iterable[MessageRecord]) -> list[Word]:
    """Return the arguments of ``lua/arrive_messages.lua``: id, packed, body."""
    args: list[Word] = []
    for record in records:
        packed = PackedMessage(
            created=record.created,
            expires=record.expires,
            ttl=record.ttl,
            visible=record.visible or 0,
            count=record.claim_count,
            claim=record.claim_id or "",
            client=record.client_id,
            checksum=False if record.checksum is None else record.checksum,
        )
        args += (record.id, _encode(packed), record.body)
    return args


def subscription_args(records: Iterable[SubscriptionRecord]) -> list[Word]:
    """Return the arguments of ``lua/arrive_subscriptions.lua``: id, packed, due."""
    args: list[Word] = []
    for record in records:
        packed = PackedSubscription(
            record.subscriber,
            record.ttl,
            record.created,
            record.expires,
            _encode_options(record.options).decode(),
            record.confirmed,
            MOVED_OWNER if record.volatile else "",
        )
        due = "" if record.due is None else record.due
        args += (record.id, _encode(packed), due)
    return args


def notice_args(records: Iterable[NoticeRecord]) -> list[Word]:
    """Return the arguments of ``lua/arrive_notices.lua``."""
    args: list[Word] = []
    for record in records:
        args += (
            record.id,
            make_notice(record.messages),
            _encode(record.deliveries),
            "-" if record.after is None else record.after,
            record.until,
        )
    return args
