"""What the store keeps of messages, and how it is read."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from zaqarserver.storage.base import Message, NewMessage


class PackedMessage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a message beside its body.

    The order of the members is that of ``lua/queue.lua``; nothing may be ``None``
    there, for Lua's lists end at it.

    Attributes:
        created: When it was posted.
        expires: When it ends.
        ttl: As shown.
        visible: Until when it is hidden; 0 if it is not delayed.
        count: How many claims have taken it.
        claim: The claim that holds it, or empty.
        client: Who posted it.
        checksum: As posted, or ``False``.
    """

    created: float
    expires: float
    ttl: int
    visible: float
    count: int
    claim: str
    client: str
    checksum: str | bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedMessage).decode


def pack_message(new: NewMessage, client_id: str, now: float) -> bytes:
    """Pack a new message."""
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


def read_messages(page: Sequence[Sequence[bytes]], now: float) -> list[Message]:
    """Make messages of what a script has returned.

    Args:
        page: The ids, what is packed of each, and the bodies.
        now: The time.
    """
    return [
        _read(id_, _decode(packed), body, now)
        for id_, packed, body in zip(*page, strict=True)
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
    )
