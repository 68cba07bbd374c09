"""Queue metadata: reserved attributes and the JSON patch (``rest-v2`` 2.4, 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from zaqarserver.errors import BadRequest, Conflict
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import check_integer, check_name
from zaqarserver.operations.settings import Settings
from zaqarserver.storage.base import DeadLetter, Metadata
from zaqarserver.subscribers.retry import check_policy

_TITLE = "Invalid API request"


def shown_defaults(ctx: Context) -> Metadata:
    """Return the attributes that every queue or topic shows, with their defaults."""
    settings = ctx.settings
    defaults = {
        "_max_messages_post_size": settings.max_messages_post_size,
        "_default_message_ttl": settings.default_message_ttl,
        "_default_message_delay": settings.default_message_delay,
    }
    if ctx.topics:
        return defaults
    return {
        **defaults,
        "_dead_letter_queue": None,
        "_dead_letter_queue_messages_ttl": None,
        "_max_claim_count": None,
        "_enable_encrypt_messages": False,
    }


def shown(metadata: Mapping[str, Any] | None, ctx: Context) -> Metadata:
    """Return stored metadata as clients see it, with the defaults filled in."""
    result = shown_defaults(ctx)
    for key, value in (metadata or {}).items():
        if value or key not in result:
            result[key] = value
    return result


def check_reserved(metadata: Mapping[str, Any], settings: Settings, queue: str) -> None:
    """Refuse reserved attributes with invalid values.

    Raises:
        BadRequest: A value is invalid; the text names the attribute.
    """
    ttl = settings.min_message_ttl, settings.max_message_ttl
    bounds = {
        "_max_messages_post_size": (1, settings.max_messages_post_size),
        "_default_message_ttl": ttl,
        "_default_message_delay": (0, settings.max_message_delay),
        "_dead_letter_queue_messages_ttl": ttl,
        "_max_claim_count": (1, 2**31 - 1),
    }
    for key, (low, high) in bounds.items():
        if metadata.get(key) is not None:
            check_integer(key, metadata[key], low, high)
    _check_dead_letter_queue(metadata.get("_dead_letter_queue"), queue)
    _check_encryption(metadata.get("_enable_encrypt_messages"))
    flavor = metadata.get("_flavor")
    if flavor is not None and not (isinstance(flavor, str) and flavor):
        raise BadRequest("_flavor must be the name of a flavor.")
    _check_retry_policy(metadata.get("_retry_policy"))


def check_size(ctx: Context, what: str, new: Any, old: Any = None) -> None:
    """Refuse a record that would be too large when stored, however little was sent.

    Args:
        ctx: The caller.
        what: The name of the record, for the error.
        new: The record to store.
        old: The record as stored: a change that makes it smaller is never refused.

    Raises:
        BadRequest: It has more bytes, as JSON, than ``max_queue_metadata``.
    """
    limit = ctx.settings.max_queue_metadata
    size = len(msgspec.json.encode(new))
    if size > limit and size > len(msgspec.json.encode(old)):
        raise BadRequest(f"{what} would have {size} bytes; the limit is {limit}.")


def _check_dead_letter_queue(target: Any, queue: str) -> None:
    if target is None:
        return
    if not isinstance(target, str):
        raise BadRequest("_dead_letter_queue must be the name of a queue.")
    try:
        check_name(target)
    except BadRequest as error:
        raise BadRequest(f"_dead_letter_queue: {error.description}") from None
    if target == queue:
        raise BadRequest("_dead_letter_queue must not be the queue itself.")


def _check_encryption(value: Any) -> None:
    if value is None:
        return
    if type(value) is not bool:
        raise BadRequest("_enable_encrypt_messages must be true or false.")


def _check_retry_policy(policy: Any) -> None:
    if policy is None:
        return
    try:
        check_policy(policy)
    except BadRequest as error:
        raise BadRequest(f"_retry_policy: {error.description}") from None


def dead_letter(metadata: Mapping[str, Any]) -> DeadLetter | None:
    """Return the dead letter settings of a queue, if both parts are set."""
    target, count = (
        metadata.get("_dead_letter_queue"),
        metadata.get("_max_claim_count"),
    )
    if not target or not count:
        return None
    return DeadLetter(target, count, metadata.get("_dead_letter_queue_messages_ttl"))


# -- JSON patch -------------------------------------------------------------


class _PatchStep:
    """One checked operation of a patch."""

    def __init__(self, index: int, raw: Any) -> None:
        where = f"operation {index}"
        if not isinstance(raw, dict):
            raise BadRequest(f"{where} must be an object.", title=_TITLE)
        self.op = raw.get("op")
        if self.op not in ("add", "remove", "replace"):
            raise BadRequest(f"{where}: op must be add, remove or replace.")
        self.key = _key_of(where, raw.get("path"))
        if self.op != "remove" and "value" not in raw:
            raise BadRequest(f"{where}: {self.op} needs a value.")
        self.value = raw.get("value")


def _key_of(where: str, path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadRequest(f"{where}: path must be a text that starts with /.")
    segments = [segment.strip() for segment in path[1:].split("/")]
    if len(segments) != 2 or not all(segments):
        raise BadRequest(f"{where}: path must be /metadata/<key>.")
    root, key = segments
    if root.lower() != "metadata":
        raise BadRequest(f"{where}: path must begin with /metadata/.")
    if "~" in key.replace("~0", "").replace("~1", ""):
        raise BadRequest(f"{where}: ~ in a path is written ~0, and / is written ~1.")
    return key.replace("~1", "/").replace("~0", "~")


def parse_patch(operations: Sequence[Any]) -> list[_PatchStep]:
    """Check the form of a patch.

    Raises:
        BadRequest: An operation is malformed; the text says which.
    """
    return [_PatchStep(index, raw) for index, raw in enumerate(operations)]


def apply_patch(
    metadata: Metadata, changes: Sequence[_PatchStep], ctx: Context
) -> Metadata:
    """Return a copy of the metadata with the changes applied in order.

    Raises:
        Conflict: A change replaces or removes a key that does not exist.
    """
    result = dict(metadata)
    shown_always = shown_defaults(ctx)
    for change in changes:
        known = change.key in result or change.key in shown_always
        if change.op != "add" and not known:
            raise Conflict(f"The metadata has no {change.key!r} to {change.op}.")
        if change.op == "remove":
            result.pop(change.key, None)
        else:
            result[change.key] = change.value
    return result
