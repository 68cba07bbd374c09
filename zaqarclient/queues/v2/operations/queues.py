"""Flows of queues (contract, REST 2.3 to 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.queues.v2.api import Call
from zaqarclient.queues.v2.operations import flow
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zaqarclient.queues.v2.operations.flow import Document, Flow


def queue_create(name: str, metadata: Mapping[str, Any] | None = None) -> Flow[Any]:
    """Create a queue; the metadata counts only if it did not exist yet."""
    return (
        yield from flow.read("queue_create", queue_name=name, metadata=metadata or None)
    )


def queue_update(name: str, metadata: Sequence[Document]) -> Flow[Document]:
    """Change metadata by JSON Patch operations and return all metadata."""
    document = yield from flow.read("queue_update", queue_name=name, metadata=metadata)
    return document or {}


def queue_exists(name: str) -> Flow[bool]:
    """Return False only if the service says 404.

    Services of version 2 never say so: they know no missing queues.
    """
    try:
        yield Call("queue_exists", {"queue_name": name})
    except errors.ResourceNotFound:
        return False
    except errors.MethodNotAllowed:
        return True
    return True


def queue_get(name: str) -> Flow[Document]:
    """Return the metadata of a queue; defaults if there is no such queue."""
    return (yield from flow.read("queue_get", queue_name=name)) or {}


def queue_get_stats(name: str) -> Flow[Document]:
    """Return the counters of a queue."""
    return (yield from flow.read("queue_get_stats", queue_name=name)) or {}


def queue_delete(name: str) -> Flow[None]:
    """Delete a queue with its messages."""
    yield from flow.done("queue_delete", queue_name=name)


def queue_list(**query: Any) -> Flow[Document]:
    """Return one page of queues."""
    return (yield from flow.page("queues", "queue_list", **query))


def queue_purge(name: str, resource_types: Sequence[str] | None = None) -> Flow[None]:
    """Delete the messages, the subscriptions, or without a choice both."""
    types = list(resource_types) if resource_types else None
    yield from flow.done("queue_purge", queue_name=name, resource_types=types)


def queue_replace_metadata(name: str, metadata: Mapping[str, Any]) -> Flow[Document]:
    """Make these the only metadata of a queue, created if it does not exist.

    One patch operation a key: what is there is replaced, what is not is
    added, and what is not wanted is removed. Reserved attributes that are
    removed fall back to their defaults.

    Returns:
        The new metadata with the defaults of reserved attributes.
    """
    current = yield from queue_get(name)
    patch: list[Document] = [
        {
            "op": "replace" if key in current else "add",
            "path": _metadata_path(key),
            "value": value,
        }
        for key, value in metadata.items()
    ]
    patch += [
        {"op": "remove", "path": _metadata_path(key)}
        for key in current
        if key not in metadata
    ]
    try:
        return (yield from queue_update(name, patch))
    except errors.ResourceNotFound:
        # A queue that does not exist shows defaults but takes no patch. If
        # somebody else creates it now, only the patch sets the metadata.
        yield from queue_create(name, metadata)
        return (yield from queue_update(name, patch))


def _metadata_path(key: str) -> str:
    """Return the JSON Pointer of a metadata key.

    Raises:
        ValueError: The service cannot address such a key (REST 2.4).
    """
    if not isinstance(key, str) or not key or key != key.strip():
        raise ValueError(
            f"{key!r} cannot be a metadata key: it must be text, "
            "not empty, without blanks at its ends"
        )
    return "/metadata/" + key.replace("~", "~0").replace("/", "~1")


def queue_is_listed(name: str, key: str = "queues") -> Flow[bool]:
    """Return whether a queue was created, by looking through the list.

    Args:
        name: The queue.
        key: The member of a page that has the queues.
    """
    seen: set[str] = set()
    page = yield from flow.page(key, "queue_list", name=name)
    while page.get(key):
        if any(queue["name"] == name for queue in page[key]):
            return True
        link = flow.next_link(page)
        if link is None or link in seen:
            return False
        seen.add(link)
        page = (yield from flow.follow(link)) or {}
    return False
