"""The errors of the server.

The tree, with the status of each on both transports::

    ZaqarServerError
    ├── RequestError                 the caller can correct it
    │   ├── BadRequest          400  wrong field, header, body
    │   │   └── ClaimNotLive    400  the claim named in a delete is gone
    │   ├── Unauthorized        401  the caller is not authenticated
    │   ├── Forbidden           403  the policy does not allow it
    │   │   ├── MessageClaimed  403  another claim holds the message
    │   │   ├── QuotaExceeded   403  the project has reached a quota
    │   │   └── PoolInUse       403  the pool has queues, or a flavor needs it
    │   ├── NotFound            404
    │   │   ├── QueueNotFound   404
    │   │   ├── MessageNotFound 404
    │   │   ├── ClaimNotFound   404
    │   │   ├── SubscriptionNotFound 404
    │   │   ├── PoolNotFound    404
    │   │   └── FlavorNotFound  404
    │   ├── Conflict            409
    │   │   ├── SubscriptionExists   409
    │   │   └── PoolExists      409  another pool has this URI
    │   ├── UnsupportedMediaType 415
    │   ├── KeyReused           422  the idempotency key is that of another post
    │   └── TooManyRequests     429  over the project's rate; wait and try again
    ├── Unavailable             503  the store cannot serve now; try again
    │   ├── IdentityUnavailable 503  the identity service does not answer
    │   ├── Overloaded          503  the memory for connections is exhausted
    │   ├── QueueMoving         503  the queue is being moved, or has left the store
    │   ├── StoreDamaged        500  the requested data is damaged in the store
    │   └── OutcomeUnknown      504  the request may have been executed, or not
    ├── TrustGone                    a trust gives no token any more
    ├── QueueChanged                 the queue changed since it was read
    ├── CatalogChanged               pools or flavors changed since they were read
    └── StartupError                 the server cannot start
        ├── SettingsError            a setting is missing or wrong
        └── StoreRefused             the store is newer, damaged or in use

``RequestError`` and ``Unavailable`` become answers at the edges; the others are
handled where they are documented.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar


class ZaqarServerError(Exception):
    """The base class of the server's errors."""


class RequestError(ZaqarServerError):
    """A request that cannot be served as it is.

    Attributes:
        status: The HTTP status, also used in WebSocket answers.
        title: The short name of the problem (``rest-v2`` 1.8).
        description: The problem and the expected value; empty if the title is enough.
        detail: A longer text, which WebSocket answers have in addition, or empty.
    """

    status: ClassVar[int] = 400
    title: str = "Invalid API request"

    def __init__(
        self, description: str = "", *, title: str | None = None, detail: str = ""
    ) -> None:
        super().__init__(description)
        self.description = description
        self.detail = detail
        if title is not None:
            self.title = title


class BadRequest(RequestError):
    """A header, parameter or body member is missing, malformed or out of bounds."""


class ClaimNotLive(BadRequest):
    """The claim in a delete does not exist, has expired or is another message's."""

    title = "Unable to delete"


class Unauthorized(RequestError):
    """The caller is not authenticated (``rest-v2`` 1.8).

    Attributes:
        challenge: The value of ``WWW-Authenticate`` in the answer.
    """

    status = 401
    title = "Unauthorized"

    def __init__(self, description: str, *, challenge: str) -> None:
        super().__init__(description)
        self.challenge = challenge


class Forbidden(RequestError):
    """The policy does not allow the operation to this caller."""

    status = 403
    title = "Not authorized"


class MessageClaimed(Forbidden):
    """The message is under a live claim that the request does not name."""

    title = "Unable to delete"


class PoolInUse(Forbidden):
    """The pool cannot be removed: it has queues, or is the last of a flavor."""

    title = "Unable to delete"


class QuotaExceeded(Forbidden):
    """The project has reached a quota; nothing was done.

    Not 429: waiting does not help, deleting does, so clients should not retry
    automatically.
    """

    title = "Quota exceeded"


class NotFound(RequestError):
    """A resource does not exist, or not for this caller."""

    status = 404
    title = "Not found"


class QueueNotFound(NotFound):
    """No such queue in the project."""


class MessageNotFound(NotFound):
    """No such message in the queue."""


class ClaimNotFound(NotFound):
    """No such live claim in the queue."""


class SubscriptionNotFound(NotFound):
    """No such live subscription of the queue."""


class PoolNotFound(NotFound):
    """No such pool."""


class FlavorNotFound(NotFound):
    """The project has no such flavor."""


class Conflict(RequestError):
    """The request contradicts what is stored."""

    status = 409
    title = "Resource conflict"


class SubscriptionExists(Conflict):
    """The queue has a subscription of this subscriber already."""


class PoolExists(Conflict):
    """Another pool has the same URI."""


class UnsupportedMediaType(RequestError):
    """The body is of a type that the operation does not take.

    Attributes:
        accepted: The header that lists the accepted types, with its value.
    """

    status = 415
    title = "415 Unsupported Media Type"
    accepted = ("Accept-Patch", "application/openstack-messaging-v2.0-json-patch")


class KeyReused(RequestError):
    """The idempotency key was used for a post with other content."""

    status = 422
    title = "Idempotency key reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key!r} was used for a post with other content.")


class TooManyRequests(RequestError):
    """The project exceeds its rate; nothing was done, waiting helps.

    Attributes:
        retry_after: Whole seconds, at least 1, until the next request is admitted.
    """

    status = 429
    title = "Too many requests"

    def __init__(self, description: str, *, retry_after: int) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class Unavailable(ZaqarServerError):
    """The store cannot serve now: nothing was changed, a retry may succeed.

    Attributes:
        status: The status on both transports.
        title: The short name of the problem.
        retry_after: Seconds after which a client should retry; ``None`` if it should
            not retry automatically.
        public: The text for callers; the description is for the log.
    """

    status: ClassVar[int] = 503
    title: ClassVar[str] = "Service temporarily unavailable"
    public: ClassVar[str] = "The store cannot serve now. Please try again."

    def __init__(self, description: str, *, retry_after: int | None = 1) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class OutcomeUnknown(Unavailable):
    """The store did not confirm a change: it may have been made, or not.

    A retry may make it twice, so callers get no ``Retry-After``.
    """

    status = 504
    title = "Outcome unknown"
    public = (
        "The store did not confirm the request: it may have been executed, or not. "
        "Check before you try again, unless executing it twice does no harm."
    )

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=None)


class StoreDamaged(Unavailable):
    """The requested data is damaged in the store; nothing was done.

    A retry does not help: an operator has to repair the store.
    """

    status = 500
    title = "The store is damaged"
    public = (
        "The store is damaged where this is kept. Its operator finds it in the log."
    )

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=None)


class QueueMoving(Unavailable):
    """The queue is being moved to another store, or was.

    Raised by a store that the queue is leaving or has left, or that has not received
    all of it; see :mod:`zaqarserver.storage.moving`.
    """


@contextlib.contextmanager
def nothing_done() -> Iterator[None]:
    """Mark a step that only prepares a request: the request itself is not begun.

    Raises:
        Unavailable: In place of an unknown outcome of the preparation.
    """
    try:
        yield
    except OutcomeUnknown as error:
        raise Unavailable(str(error)) from error


class IdentityUnavailable(Unavailable):
    """The identity service does not answer, so the caller is not known."""

    public = "The identity service does not answer now. Please try again."


class Overloaded(Unavailable):
    """The memory for connections is exhausted."""

    public = "The server is out of memory for connections. Please try again."


class TrustGone(ZaqarServerError):
    """The trust of a subscription has expired or was removed: it gives no token."""


class QueueChanged(ZaqarServerError):
    """The queue was changed or deleted since the caller read it."""


class CatalogChanged(ZaqarServerError):
    """Pools or flavors were changed since the caller read them."""


class StartupError(ZaqarServerError):
    """The server cannot start; the text says how to correct it."""


class SettingsError(StartupError):
    """A setting is missing or invalid."""


class StoreRefused(StartupError):
    """The store cannot be opened: newer schema, damaged, or in use."""
