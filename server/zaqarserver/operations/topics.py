"""The operations of topics, made from those of queues."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, cast

import msgspec

from zaqarserver.operations.fields import Fields, TopicName, members
from zaqarserver.operations.row import Operation

# Parameters about claims, and the number of queues, which topics do not have.
_WITHOUT = frozenset(
    {"include_claimed", "claim_id", "claim_ids", "check_claims", "with_count"}
)


def of_topic(struct: type[Fields]) -> type[Fields]:
    """Return the fields of a queue operation as the topic operation has them.

    The name is sent as ``topic_name``; handlers still read ``queue_name``. Fields
    that topics do not have keep their defaults.
    """
    fields: list[tuple[str, Any, Any]] = []
    known: dict[str, Any] = {}
    for member, field in zip(
        members(struct), msgspec.structs.fields(struct), strict=True
    ):
        if member.name in Fields.__struct_fields__:
            continue
        if member.spec.name:
            fields.append(("topic_name", TopicName, msgspec.NODEFAULT))
            known[member.name] = property(attrgetter("topic_name"))
        elif member.name in _WITHOUT:
            known[member.name] = field.default
        else:
            help_ = _reworded(member.spec.help)
            spec = msgspec.structs.replace(member.spec, help=help_)
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = msgspec.field(default_factory=field.default_factory)
            fields.append((member.name, Annotated[member.type, spec], default))
    name = struct.__name__.replace("Queue", "Topic")
    made: Any = msgspec.defstruct(
        name, fields, bases=(Fields,), namespace=known, module=__name__, kw_only=True
    )
    return cast(type[Fields], made)


def topic_row(row: Operation) -> Operation:
    """Return the row of the topic operation that corresponds to a queue operation."""
    resource, _, verb = row.name.partition("_")
    name = f"topic_{verb}" if resource == "queue" else f"topic_{row.name}"
    # Messages of topics are never claimed: include_claimed is ignored, not refused.
    ignored = _WITHOUT if "{queue_name}" in row.path else frozenset()
    return msgspec.structs.replace(
        row,
        name=name,
        path=_reworded(row.path),
        fields=of_topic(row.fields),
        policy=row.policy and _reworded(row.policy),
        summary=_reworded(row.summary),
        done=_reworded(row.done),
        refused=row.refused - ignored,
        signable=False,
        topics=True,
    )


def _reworded(text: str) -> str:
    words = (
        (" and claims", ""),
        ("; a claimed one only with its claim", ""),
        ("queue", "topic"),
        ("Queue", "Topic"),
    )
    for ours, theirs in words:
        text = text.replace(ours, theirs)
    return text
