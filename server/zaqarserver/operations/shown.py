"""Messages as answers show them, on both transports.

Members of extensions are there only if there is something to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from zaqarserver.operations.context import Context
from zaqarserver.storage.base import Message


class _Noted(msgspec.Struct, gc=False, kw_only=True):
    """The members of messages that consumers returned."""

    reason: str | msgspec.UnsetType = msgspec.UNSET
    dead_letter: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class _RestMessage(_Noted, gc=False):
    """A message in a list, with the keys of ``rest-v2`` 4."""

    id: str
    href: str
    ttl: int
    age: int
    body: msgspec.Raw
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class _PoppedRestMessage(_Noted, gc=False):
    """A popped message: without href, with its claim count."""

    id: str
    ttl: int
    age: int
    body: msgspec.Raw
    claim_id: str | None
    claim_count: int
    checksum: str | msgspec.UnsetType = msgspec.UNSET


class _FrameMessage(_Noted, gc=False):
    """A message as frames show it."""

    id: str
    claim_id: str | None
    ttl: int
    age: int
    body: msgspec.Raw


class _PoppedFrameMessage(_FrameMessage, gc=False):
    """A popped message."""

    claim_count: int


_Shown = TypeVar("_Shown", bound=_Noted)


def _noted(ctx: Context, shown: _Shown, message: Message) -> _Shown:
    notes = message.notes
    if notes is None:
        return shown
    if notes.reason is not None:
        shown.reason = notes.reason
    if notes.origin is not None:
        origin = msgspec.structs.asdict(notes.origin)
        shown.dead_letter = {**origin, "at": ctx.timestamp(notes.origin.at)}
    return shown


def rest_message(ctx: Context, path: str, message: Message) -> _RestMessage:
    """Return a message with its path below that of its queue."""
    href = f"{path}/messages/{message.id}"
    if message.claim_id is not None:
        href = f"{href}?claim_id={message.claim_id}"
    shown = _RestMessage(
        message.id,
        href,
        message.ttl,
        message.age,
        msgspec.Raw(message.body),
        message.checksum or msgspec.UNSET,
    )
    return _noted(ctx, shown, message)


def rest_messages(
    ctx: Context, path: str, found: Sequence[Message]
) -> list[_RestMessage]:
    """Return messages with their paths."""
    return [rest_message(ctx, path, message) for message in found]


def popped_rest_message(ctx: Context, message: Message) -> _PoppedRestMessage:
    """Return a message that is gone."""
    shown = _PoppedRestMessage(
        message.id,
        message.ttl,
        message.age,
        msgspec.Raw(message.body),
        None,
        message.claim_count,
        message.checksum or msgspec.UNSET,
    )
    return _noted(ctx, shown, message)


def frame_message(
    ctx: Context, message: Message, claim_id: str | None = None
) -> _FrameMessage:
    """Return a message, with the claim if the answer is about that."""
    body = msgspec.Raw(message.body)
    shown = _FrameMessage(message.id, claim_id, message.ttl, message.age, body)
    return _noted(ctx, shown, message)


def frame_messages(
    ctx: Context, found: Sequence[Message], claim_id: str | None = None
) -> list[_FrameMessage]:
    """Return messages, with the claim if the answer is about that."""
    return [frame_message(ctx, message, claim_id) for message in found]


def popped_frame_message(ctx: Context, message: Message) -> _PoppedFrameMessage:
    """Return a message that is gone."""
    shown = _PoppedFrameMessage(
        message.id,
        None,
        message.ttl,
        message.age,
        msgspec.Raw(message.body),
        message.claim_count,
    )
    return _noted(ctx, shown, message)
