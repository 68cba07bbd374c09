"""What each operation says to the service, and what it makes of the answer.

Each function is a flow: a generator that yields a `Call`, is sent the
`Response`, and returns the result. Nothing in a flow waits or knows a wire,
so the same flow runs under any driver. A call that fails is thrown into its
flow as a ``TransportError``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from zaqarclient.queues.v2.api import Call
from zaqarclient.transport import errors

if TYPE_CHECKING:
    from typing import TypeAlias, TypeVar

    from zaqarclient.transport.response import Response

    T = TypeVar("T")
    Flow: TypeAlias = Generator[Call, Response, T]

Document = dict[str, Any]


class Claimed(NamedTuple):
    """What a new claim took.

    Attributes:
        claim_id: The claim, None if it took nothing.
        messages: The documents of the messages, oldest first.
    """

    claim_id: str | None
    messages: list[Document]


def _read(operation: str, **arguments: Any) -> Flow[Any]:
    """Send one call and return the answer's document, None if it has none."""
    response = yield Call(operation, arguments)
    return response.deserialized_content


def _page(key: str, operation: str, **arguments: Any) -> Flow[Document]:
    """Send one call and return a page, an empty one if the answer is empty."""
    document = yield from _read(operation, **arguments)
    return document or {"links": [], key: []}


def queue_create(name: str, metadata: Mapping[str, Any] | None = None) -> Flow[Any]:
    """Create a queue; the metadata counts only if it did not exist yet."""
    return (
        yield from _read("queue_create", queue_name=name, metadata=metadata or None)
    )


def queue_update(name: str, metadata: Sequence[Document]) -> Flow[Document]:
    """Change metadata by JSON Patch operations and return all metadata."""
    document = yield from _read("queue_update", queue_name=name, metadata=metadata)
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
    return (yield from _read("queue_get", queue_name=name)) or {}


def queue_get_stats(name: str) -> Flow[Document]:
    """Return the counters of a queue."""
    return (yield from _read("queue_get_stats", queue_name=name)) or {}


def queue_delete(name: str) -> Flow[None]:
    """Delete a queue with its messages."""
    yield Call("queue_delete", {"queue_name": name})


def queue_list(**query: Any) -> Flow[Document]:
    """Return one page of queues."""
    return (yield from _page("queues", "queue_list", **query))


def queue_purge(name: str, resource_types: Sequence[str] | None = None) -> Flow[None]:
    """Delete the messages, the subscriptions, or without a choice both."""
    types = list(resource_types) if resource_types else None
    yield Call("queue_purge", {"queue_name": name, "resource_types": types})


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


def queue_is_listed(name: str) -> Flow[bool]:
    """Return whether a queue was created, by looking through the list."""
    seen: set[str] = set()
    page = yield from queue_list(name=name)
    while page.get("queues"):
        if any(queue["name"] == name for queue in page["queues"]):
            return True
        link = next_link(page)
        if link is None or link in seen:
            return False
        seen.add(link)
        page = (yield from follow(link)) or {}
    return False


def message_list(queue_name: str, **query: Any) -> Flow[Document]:
    """Return one page of messages."""
    return (
        yield from _page("messages", "message_list", queue_name=queue_name, **query)
    )


def message_post(queue_name: str, messages: object) -> Flow[Document]:
    """Post messages.

    Args:
        queue_name: The queue.
        messages: The list of them, or the whole body ``{"messages": [...]}``.
    """
    if isinstance(messages, Mapping):
        messages = messages.get("messages")
    return (
        yield from _read("message_post", queue_name=queue_name, messages=messages)
    ) or {"resources": []}


def message_get(queue_name: str, message_id: str) -> Flow[Document]:
    """Return one message."""
    document = yield from _read(
        "message_get", queue_name=queue_name, message_id=message_id
    )
    return document or {}


def message_get_many(queue_name: str, messages: Iterable[str]) -> Flow[Document]:
    """Return those of these messages that exist; an error if none does."""
    document = yield from _read(
        "message_get_many", queue_name=queue_name, ids=list(messages)
    )
    # Services of version 1 answered with the bare list.
    if isinstance(document, list):
        return {"messages": document, "links": []}
    return document or {"messages": [], "links": []}


def message_delete(
    queue_name: str, message_id: str, claim_id: str | None = None
) -> Flow[None]:
    """Delete one message; a claimed one only with its claim."""
    yield Call(
        "message_delete",
        {"queue_name": queue_name, "message_id": message_id, "claim_id": claim_id},
    )


def message_delete_many(
    queue_name: str, ids: Iterable[str], claim_ids: Iterable[str] | None = None
) -> Flow[None]:
    """Delete messages; claims are checked only if the service is set so."""
    yield Call(
        "message_delete_many",
        {
            "queue_name": queue_name,
            "ids": list(ids),
            "claim_ids": list(claim_ids) if claim_ids else None,
        },
    )


def message_pop(queue_name: str, count: int) -> Flow[Document]:
    """Take the oldest unclaimed messages away and return them."""
    document = yield from _read("message_pop", queue_name=queue_name, pop=count)
    return document or {"messages": [], "links": []}


def claim_create(queue_name: str, **lease: Any) -> Flow[Claimed]:
    """Claim messages; ``ttl``, ``grace`` and ``limit`` have server defaults."""
    response = yield Call("claim_create", {"queue_name": queue_name, **lease})
    document = response.deserialized_content
    messages = document.get("messages", []) if isinstance(document, dict) else []
    if not messages:
        return Claimed(None, [])
    claim_id = claim_id_of(messages[0].get("href") or "")
    location = response.header("Location")
    if claim_id is None and location:
        claim_id = urlsplit(location).path.rstrip("/").rpartition("/")[2] or None
    return Claimed(claim_id, messages)


def claim_get(queue_name: str, claim_id: str) -> Flow[Document]:
    """Return a claim with the messages that are left in it."""
    document = yield from _read("claim_get", queue_name=queue_name, claim_id=claim_id)
    return document or {}


def claim_update(queue_name: str, claim_id: str, **lease: Any) -> Flow[None]:
    """Renew a claim; ``ttl`` or ``grace`` not given fall back to defaults."""
    yield Call(
        "claim_update", {"queue_name": queue_name, "claim_id": claim_id, **lease}
    )


def claim_delete(queue_name: str, claim_id: str) -> Flow[None]:
    """Release a claim."""
    yield Call("claim_delete", {"queue_name": queue_name, "claim_id": claim_id})


def subscription_list(queue_name: str, **query: Any) -> Flow[Document]:
    """Return one page of subscriptions."""
    return (
        yield from _page(
            "subscriptions", "subscription_list", queue_name=queue_name, **query
        )
    )


def subscription_create(
    queue_name: str, subscription_data: Mapping[str, Any]
) -> Flow[Any]:
    """Subscribe to a queue and return ``{"subscription_id": ...}``."""
    return (
        yield from _read(
            "subscription_create",
            queue_name=queue_name,
            subscription_data=subscription_data,
        )
    )


def subscription_get(queue_name: str, subscription_id: str) -> Flow[Any]:
    """Return one subscription."""
    return (
        yield from _read(
            "subscription_get", queue_name=queue_name, subscription_id=subscription_id
        )
    )


def subscription_update(
    queue_name: str, subscription_id: str, subscription_data: Mapping[str, Any]
) -> Flow[None]:
    """Change subscriber, ttl or options."""
    yield Call(
        "subscription_update",
        {
            "queue_name": queue_name,
            "subscription_id": subscription_id,
            "subscription_data": subscription_data,
        },
    )


def subscription_delete(queue_name: str, subscription_id: str) -> Flow[None]:
    """End a subscription."""
    yield Call(
        "subscription_delete",
        {"queue_name": queue_name, "subscription_id": subscription_id},
    )


def signed_url_create(
    queue_name: str,
    paths: Sequence[str] | None = None,
    ttl_seconds: float | None = None,
    project_id: str | None = None,
    methods: Sequence[str] | None = None,
    expires: str | None = None,
) -> Flow[Document]:
    """Return the parts of a pre-signed URL (REST 2.8).

    Args:
        queue_name: The queue.
        paths: ``messages``, ``claims``, ``subscriptions``.
        ttl_seconds: How long it holds, by this machine's clock.
        project_id: Refused by services of version 2; leave it out.
        methods: The HTTP methods that it allows.
        expires: When it ends, as ISO 8601; goes before `ttl_seconds`.
    """
    if expires is None and ttl_seconds is not None:
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ttl_seconds)
        expires = ends.replace(tzinfo=None).isoformat()
    return (
        yield from _read(
            "signed_url_create",
            queue_name=queue_name,
            paths=list(paths) if paths else None,
            methods=list(methods) if methods else None,
            expires=expires,
            project_id=project_id,
        )
    ) or {}


def pool_get(pool_name: str) -> Flow[Any]:
    """Return one pool."""
    return (yield from _read("pool_get", pool_name=pool_name))


def pool_create(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[None]:
    """Create or replace a pool."""
    yield Call("pool_create", {"pool_name": pool_name, "pool_data": pool_data})


def pool_update(pool_name: str, pool_data: Mapping[str, Any]) -> Flow[Any]:
    """Change a pool and return it."""
    return (yield from _read("pool_update", pool_name=pool_name, pool_data=pool_data))


def pool_delete(pool_name: str) -> Flow[None]:
    """Delete a pool."""
    yield Call("pool_delete", {"pool_name": pool_name})


def pool_list(**query: Any) -> Flow[Document]:
    """Return one page of pools."""
    return (yield from _page("pools", "pool_list", **query))


def flavor_get(flavor_name: str) -> Flow[Any]:
    """Return one flavor."""
    return (yield from _read("flavor_get", flavor_name=flavor_name))


def flavor_create(flavor_name: str, flavor_data: Mapping[str, Any]) -> Flow[None]:
    """Create or replace a flavor."""
    yield Call(
        "flavor_create", {"flavor_name": flavor_name, "flavor_data": flavor_data}
    )


def flavor_update(flavor_name: str, flavor_data: Mapping[str, Any]) -> Flow[Any]:
    """Change a flavor and return it."""
    return (
        yield from _read(
            "flavor_update", flavor_name=flavor_name, flavor_data=flavor_data
        )
    )


def flavor_delete(flavor_name: str) -> Flow[None]:
    """Delete a flavor."""
    yield Call("flavor_delete", {"flavor_name": flavor_name})


def flavor_list(**query: Any) -> Flow[Document]:
    """Return one page of flavors."""
    return (yield from _page("flavors", "flavor_list", **query))


def ping() -> Flow[bool]:
    """Return whether the service answers and says that it is well."""
    try:
        response = yield Call("ping", {})
    except errors.TransportError:
        return False
    return response.status_code is None or 200 <= response.status_code < 300


def health() -> Flow[Any]:
    """Return the health report."""
    return (yield from _read("health"))


def homedoc() -> Flow[Any]:
    """Return the home document."""
    return (yield from _read("homedoc"))


def follow(ref: str) -> Flow[Any]:
    """Read what a link points at, always from the service itself.

    Args:
        ref: A path with or without ``/v2/``, or a whole URL, of which only
            the part from the version on counts: the token goes nowhere else.
    """
    parts = urlsplit(ref)
    path = parts.path
    if parts.netloc:
        path = path[path.find("/v2/") :] if "/v2/" in path else path
    query = f"?{parts.query}" if parts.query else ""
    response = yield Call("", {}, ref=path + query)
    return response.deserialized_content


def next_link(page: Mapping[str, Any]) -> str | None:
    """Return the link of a page to the next one, None if there is none."""
    for link in page.get("links") or ():
        if link.get("rel") == "next":
            return str(link["href"])
    return None


def claim_id_of(href: str) -> str | None:
    """Return the claim that a message's link names, None if it names none."""
    found = parse_qs(urlsplit(href).query).get("claim_id")
    return found[0] if found else None
