"""Flows of messages (contract, REST 2.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def message_list(queue_name: str, **query: Any) -> Flow[Document]:
    """Return one page of messages."""
    return (
        yield from flow.page("messages", "message_list", queue_name=queue_name, **query)
    )


def message_post(queue_name: str, messages: object) -> Flow[Document]:
    """Post messages.

    Args:
        queue_name: The queue.
        messages: The list of them.
    """
    return (
        yield from flow.read("message_post", queue_name=queue_name, messages=messages)
    ) or {"resources": []}


def message_get(queue_name: str, message_id: str) -> Flow[Document]:
    """Return one message."""
    document = yield from flow.read(
        "message_get", queue_name=queue_name, message_id=message_id
    )
    return document or {}


def message_get_many(queue_name: str, messages: Iterable[str]) -> Flow[Document]:
    """Return those of these messages that exist; an error if none does.

    Args:
        queue_name: The queue.
        messages: Their ids; a lone text is one id.
    """
    ids = _ids(messages)
    return (
        yield from flow.page(
            "messages", "message_get_many", queue_name=queue_name, ids=ids
        )
    )


def message_delete(
    queue_name: str, message_id: str, claim_id: str | None = None
) -> Flow[None]:
    """Delete one message; a claimed one only with its claim."""
    yield from flow.done(
        "message_delete",
        queue_name=queue_name,
        message_id=message_id,
        claim_id=claim_id,
    )


def message_delete_many(
    queue_name: str, ids: Iterable[str], claim_ids: Iterable[str] | None = None
) -> Flow[None]:
    """Delete messages; claims are checked only if the service is set so."""
    yield from flow.done(
        "message_delete_many",
        queue_name=queue_name,
        ids=_ids(ids),
        claim_ids=list(claim_ids) if claim_ids else None,
    )


def _ids(given: Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def message_pop(queue_name: str, count: int) -> Flow[Document]:
    """Take the oldest unclaimed messages away and return them."""
    # The name that callers' tests find in the request (contract, SDK section 15).
    return (
        yield from flow.page(
            "messages", "message_delete_many", queue_name=queue_name, pop=count
        )
    )
