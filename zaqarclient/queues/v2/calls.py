"""Calls of operations: a request, its answer, and what is taken from it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlsplit

from zaqarclient.errors import InvalidOperation, ZaqarError
from zaqarclient.queues.v2.api import bind, operation_of
from zaqarclient.queues.v2.shapes import mismatch
from zaqarclient.queues.v2.table import OPERATIONS, topic_action
from zaqarclient.transport import errors
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response

if TYPE_CHECKING:
    from zaqarclient.queues.v2.documents import SignedURLParts
    from zaqarclient.transport.base import Transport

Document: TypeAlias = dict[str, Any]
"""A JSON object as the service gave it."""

_IDEMPOTENCY_KEY = "Idempotency-Key"
_EMPTY = frozenset({"", "null"})
_SHOWN = 200
"""Characters of an answer of unknown form to show."""


class Calls:
    """Calls operations: ``calls("message_get", queue_name=…, message_id=…)``.

    Args:
        prepare: Returns a new request, with everything but the call, and the
            transport for it.
        topics: Whether operations of queues are done with topics.
    """

    def __init__(
        self, prepare: Callable[[], tuple[Request, Transport]], *, topics: bool = False
    ) -> None:
        self._prepare = prepare
        self._topics = topics

    def __call__(self, operation: str, /, **arguments: Any) -> Any:
        """Call an operation and return the answer's document.

        Args:
            operation: Its name in the table.
            **arguments: Its arguments; None means absent.

        Returns:
            The document; for an empty answer what the row of the operation says.

        Raises:
            zaqarclient.errors.ZaqarError: The call failed.
            ValueError: An argument cannot be sent.
        """
        row = OPERATIONS[topic_action(operation) if self._topics else operation]
        document = document_of(self.send(operation, **arguments), row.reply)
        return document or row.empty

    def send(
        self,
        operation: str,
        /,
        adjust: Callable[[Request], None] | None = None,
        **arguments: Any,
    ) -> Response:
        """Call an operation and return the answer as it came.

        Args:
            operation: Its name in the table.
            adjust: Changes the request before it is sent.
            **arguments: Its arguments; None means absent.
        """
        if self._topics:
            operation = topic_action(operation)
            if "queue_name" in arguments:
                arguments["topic_name"] = arguments.pop("queue_name")

        def fill(request: Request) -> None:
            bind(request, operation, arguments)
            if adjust is not None:
                adjust(request)

        return self._exchange(fill)

    def follow(self, ref: str) -> Any:
        """Read what a link points at, always from the service itself.

        Args:
            ref: A path with or without ``/v2/``, or a whole URL, of which only
                the part from the version on counts: the token goes nowhere else.
        """
        parts = urlsplit(ref)
        path = parts.path
        if parts.netloc:
            path = path[path.find("/v2/") :] if "/v2/" in path else path
        ref = path + (f"?{parts.query}" if parts.query else "")

        def point(request: Request) -> None:
            request.ref = ref

        response = self._exchange(point)
        try:
            operation, _ = operation_of(ref)
        except InvalidOperation:
            return document_of(response, object)
        return document_of(response, OPERATIONS[operation].reply)

    def _exchange(self, fill: Callable[[Request], None]) -> Response:
        request, transport = self._prepare()
        fill(request)
        # The transports of callers' tests may have nothing to answer.
        return transport.send(request) or Response(request, None)


def document_of(response: Response, shape: Any) -> Any:
    """Return what an answer holds, None if it is empty.

    Args:
        response: The answer.
        shape: What it is to be (see `shapes`); None if nothing is taken from it.

    Raises:
        zaqarclient.transport.errors.UnexpectedAnswer: Something else than the
            service answered, such as the page of a proxy: to take that for an
            empty answer would lose messages without a word.
    """
    document = response.deserialized_content
    wrong = mismatch(document, shape)
    if document is None and response.status_code is not None:
        is_empty = (response.content or "").strip() in _EMPTY
        wrong = None if is_empty else "it is not JSON"
    if wrong:
        raise errors.UnexpectedAnswer(
            description=wrong[0].upper() + wrong[1:],
            text=(response.content or "").strip()[:_SHOWN],
            status=response.status_code,
        )
    return None if shape is None else document


def claim_id_of(href: str) -> str | None:
    """Return the claim that a message's link names, None if it names none."""
    found = parse_qs(urlsplit(href).query).get("claim_id")
    return found[0] if found else None


# -- calls that are more than one request, or take more than the document -----------


class Posted(NamedTuple):
    """The result of a post.

    Attributes:
        document: The document of the answer.
        is_replay: True if an earlier post with the key stored the messages.
    """

    document: Document
    is_replay: bool


def message_post(
    calls: Calls,
    queue_name: str,
    messages: Sequence[Mapping[str, Any]],
    key: str,
    is_recognized: Callable[[], bool],
) -> Posted:
    """Post messages under an idempotency key, so that it may be sent again.

    Args:
        calls: The calls.
        queue_name: The queue.
        messages: The messages.
        key: The key.
        is_recognized: Returns True if the service knows such keys.
    """

    def adjust(request: Request) -> None:
        request.headers[_IDEMPOTENCY_KEY] = key
        request.is_recognized = is_recognized

    response = calls.send(
        "message_post", adjust, queue_name=queue_name, messages=messages
    )
    document = document_of(response, OPERATIONS["message_post"].reply)
    is_replay = response.header("Idempotency-Replayed") == "true"
    return Posted(document or OPERATIONS["message_post"].empty, is_replay)


class Claimed(NamedTuple):
    """The result of a new claim.

    Attributes:
        claim_id: The claim, None if it took nothing.
        messages: The documents of the messages, oldest first.
    """

    claim_id: str | None
    messages: list[Document]


def claim_create(calls: Calls, queue_name: str, **lease: Any) -> Claimed:
    """Claim messages; ``ttl``, ``grace`` and ``limit`` have server defaults."""
    response = calls.send("claim_create", queue_name=queue_name, **lease)
    document = document_of(response, OPERATIONS["claim_create"].reply)
    # Some older services answer with the bare list.
    given = {"messages": document} if isinstance(document, list) else document or {}
    messages = given.get("messages") or []
    if not messages:
        return Claimed(None, [])
    claim_id = claim_id_of(messages[0].get("href") or "")
    location = response.header("Location")
    if claim_id is None and location:
        claim_id = urlsplit(location).path.rstrip("/").rpartition("/")[2] or None
    return Claimed(claim_id, messages)


def queue_exists(calls: Calls, name: str) -> bool:
    """Return False only if the service says 404.

    Services of version 2 never do: to them no queue is missing.
    """
    try:
        calls.send("queue_exists", queue_name=name)
    except errors.ResourceNotFound:
        return False
    except errors.MethodNotAllowed:
        return True
    return True


def ping(calls: Calls) -> bool:
    """Return whether the service answers and is healthy.

    Any failure of the transport means no (contract, SDK section 8); missing
    credentials raise an error.
    """
    try:
        response = calls.send("ping")
    except errors.TransportError:
        return False
    except ZaqarError:
        raise
    except Exception:  # noqa: BLE001 - of a library below, or of a caller's own transport
        return False
    return response.status_code is None or 200 <= response.status_code < 300


def health(calls: Calls) -> Any:
    """Return the health report, also one that says that something failed.

    The service answers that with 503 and the same document.
    """
    try:
        return calls("health")
    except errors.ServiceUnavailableError as error:
        try:
            report = json.loads(error.text or "")
        except ValueError:
            report = None
        parts = {"storage_reachable", "catalog_reachable"}
        if not isinstance(report, dict) or not parts & set(report):
            raise error from None
        return report


def queue_create(
    calls: Calls, name: str, metadata: Mapping[str, Any] | None = None
) -> Any:
    """Create a queue; the metadata count only if it did not exist."""
    return calls("queue_create", queue_name=name, metadata=metadata or None)


def queue_purge(
    calls: Calls, name: str, resource_types: Sequence[str] | None = None
) -> None:
    """Delete the messages, the subscriptions, or without a choice both."""
    types = list(resource_types) if resource_types else None
    calls("queue_purge", queue_name=name, resource_types=types)


def signed_url_create(
    calls: Calls,
    queue_name: str,
    paths: Sequence[str] | None = None,
    ttl_seconds: float | None = None,
    project_id: str | None = None,
    methods: Sequence[str] | None = None,
    expires: str | None = None,
) -> SignedURLParts:
    """Return the parts of a pre-signed URL (REST 2.8).

    Args:
        calls: The calls.
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
    created: SignedURLParts = calls(
        "signed_url_create",
        queue_name=queue_name,
        paths=list(paths) if paths else None,
        methods=list(methods) if methods else None,
        expires=expires,
        project_id=project_id,
    )
    return created


def replace_metadata(calls: Calls, name: str, metadata: Mapping[str, Any]) -> Document:
    """Make these the only metadata of a queue, created if it does not exist.

    One patch operation a key: what is there is replaced, what is not is
    added, and what is not wanted is removed. Reserved attributes that are
    removed fall back to their defaults.

    Returns:
        The new metadata with the defaults of reserved attributes.
    """
    current = calls("queue_get", queue_name=name)
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
        return _update(calls, name, patch)
    except errors.ResourceNotFound:
        # A queue that does not exist shows defaults but takes no patch. If
        # another client creates it now, only the patch sets the metadata.
        queue_create(calls, name, metadata)
        return _update(calls, name, patch)


def _update(calls: Calls, name: str, patch: Sequence[Document]) -> Document:
    updated: Document = calls("queue_update", queue_name=name, metadata=patch)
    return updated


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
