"""Flows of claims (contract, REST 2.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from zaqarclient.queues.v2.api import Call
from zaqarclient.queues.v2.operations import flow

if TYPE_CHECKING:
    from zaqarclient.queues.v2.operations.flow import Document, Flow


class Claimed(NamedTuple):
    """What a new claim took.

    Attributes:
        claim_id: The claim, None if it took nothing.
        messages: The documents of the messages, oldest first.
    """

    claim_id: str | None
    messages: list[Document]


def claim_create(queue_name: str, **lease: Any) -> Flow[Claimed]:
    """Claim messages; ``ttl``, ``grace`` and ``limit`` have server defaults."""
    response = yield Call("claim_create", {"queue_name": queue_name, **lease})
    document = flow.document_of(response, "claim_create")
    # Some services of old answered with the bare list.
    given = {"messages": document} if isinstance(document, list) else document
    messages = given.get("messages") or [] if isinstance(given, dict) else []
    if not messages:
        return Claimed(None, [])
    claim_id = flow.claim_id_of(messages[0].get("href") or "")
    location = response.header("Location")
    if claim_id is None and location:
        claim_id = urlsplit(location).path.rstrip("/").rpartition("/")[2] or None
    return Claimed(claim_id, messages)


def claim_get(queue_name: str, claim_id: str) -> Flow[Document]:
    """Return a claim with the messages that are left in it."""
    document = yield from flow.read(
        "claim_get", queue_name=queue_name, claim_id=claim_id
    )
    return document or {}


def claim_update(queue_name: str, claim_id: str, **lease: Any) -> Flow[None]:
    """Renew a claim; ``ttl`` or ``grace`` not given fall back to defaults."""
    yield from flow.done(
        "claim_update", queue_name=queue_name, claim_id=claim_id, **lease
    )


def claim_delete(queue_name: str, claim_id: str) -> Flow[None]:
    """Release a claim."""
    yield from flow.done("claim_delete", queue_name=queue_name, claim_id=claim_id)
