"""Everything that the server raises on purpose.

The tree, with the status that each becomes on both transports::

    ZaqarServerError
    ├── RequestError                 the caller can mend it
    │   ├── BadRequest          400  wrong field, header, body
    │   │   └── ClaimNotLive    400  the claim named in a delete is gone
    │   ├── Unauthorized        401  nobody who is let in
    │   ├── Forbidden           403  policy said no
    │   │   ├── MessageClaimed  403  somebody else holds the message
    │   │   ├── QuotaExceeded   403  the project has as much as it may have
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
    │   └── TooManyRequests     429  over the project's rate; wait and try again
    ├── Unavailable             503  the store cannot serve now; try again
    │   ├── IdentityUnavailable 503  who asks cannot be found out now
    │   ├── Overloaded          503  connections keep as much as they may
    │   ├── QueueMoving         503  the queue is being moved, or has left the store
    │   ├── StoreDamaged        500  what was asked for is damaged in the store
    │   └── OutcomeUnknown      504  the request may have been executed, or not
    ├── TrustGone                    a trust gives no token any more
    ├── QueueChanged                 the queue changed since it was read
    ├── CatalogChanged               pools or flavors changed since they were read
    └── StartupError                 the server cannot start
        ├── SettingsError            a setting is missing or wrong
        └── StoreRefused             the store is newer, damaged or in use
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar


class ZaqarServerError(Exception):
    """The base of every error that this server raises on purpose."""


class RequestError(ZaqarServerError):
    """A request that cannot be served as it stands.

    Attributes:
        status: The HTTP status, also used in WebSocket answers.
        title: The short name of the problem (``rest-v2`` 1.8).
        description: What is wrong and what was expected; empty if the title
            says it all.
        detail: The same in more words, which WebSocket answers have as well, or
            empty.
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
    """The claim named in a delete is unknown, expired or not the message's own."""

    title = "Unable to delete"


class Unauthorized(RequestError):
    """The caller did not prove who it is (``rest-v2`` 1.8).

    Attributes:
        challenge: What to answer in ``WWW-Authenticate``.
    """

    status = 401
    title = "Unauthorized"

    def __init__(self, description: str, *, challenge: str) -> None:
        super().__init__(description)
        self.challenge = challenge


class Forbidden(RequestError):
    """The policy denies the operation to this caller."""

    status = 403
    title = "Not authorized"


class MessageClaimed(Forbidden):
    """The message is under a live claim that the caller did not name."""

    title = "Unable to delete"


class PoolInUse(Forbidden):
    """The pool cannot be removed: it has queues, or is the last of a flavor."""

    title = "Unable to delete"


class QuotaExceeded(Forbidden):
    """The project has as much of something as it may have; nothing was done.

    Not 429: waiting does not help, deleting does, so no client should try again by
    itself.
    """

    title = "Quota exceeded"


class NotFound(RequestError):
    """What the request names does not exist for this caller."""

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
        accepted: The header that says what it takes, with its value.
    """

    status = 415
    title = "415 Unsupported Media Type"
    accepted = ("Accept-Patch", "application/openstack-messaging-v2.0-json-patch")


class TooManyRequests(RequestError):
    """The project sends more than its rate; nothing was done, waiting helps.

    Attributes:
        retry_after: Whole seconds, at least 1, after which there is room again.
    """

    status = 429
    title = "Too many requests"

    def __init__(self, description: str, *, retry_after: int) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class Unavailable(ZaqarServerError):
    """The store cannot serve now: nothing was changed, trying again may help.

    Attributes:
        status: The status on both transports.
        title: The short name of the problem.
        retry_after: Seconds after which a client should try again; ``None`` if it
            should not do so by itself.
        public: What callers are told; the description is for the log.
    """

    status: ClassVar[int] = 503
    title: ClassVar[str] = "Service temporarily unavailable"
    public: ClassVar[str] = "The store cannot serve now. Please try again."

    def __init__(self, description: str, *, retry_after: int | None = 1) -> None:
        super().__init__(description)
        self.retry_after = retry_after


class OutcomeUnknown(Unavailable):
    """The store was asked to change something and nobody knows whether it did.

    Trying again may do it twice, so callers get no ``Retry-After``.
    """

    status = 504
    title = "Outcome unknown"
    public = (
        "The store did not confirm the request: it may have been executed, or not. "
        "Look before trying again, unless doing it twice is no harm."
    )

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=None)


class StoreDamaged(Unavailable):
    """What was to be read or changed is damaged in the store; nothing was done.

    Trying again does not help: an operator has to see to it.
    """

    status = 500
    title = "The store is damaged"
    public = "The store is damaged where this is kept. Its operator is told in the log."

    def __init__(self, description: str) -> None:
        super().__init__(description, retry_after=None)


class QueueMoving(Unavailable):
    """The queue is being moved to another store, or was.

    Raised by a store that has to give a queue up, or has not got all of it yet; see
    :mod:`zaqarserver.storage.moving`.
    """


@contextlib.contextmanager
def nothing_done() -> Iterator[None]:
    """Mark what only prepares a request: what the caller asked for is not begun.

    Raises:
        Unavailable: In the place of an unknown outcome of the preparation.
    """
    try:
        yield
    except OutcomeUnknown as error:
        raise Unavailable(str(error)) from error


class IdentityUnavailable(Unavailable):
    """Who asks cannot be found out now: the identity service does not answer."""

    public = "The identity service does not answer now. Please try again."


class Overloaded(Unavailable):
    """All connections together keep as much memory as they may."""

    public = "The server has too much to send now. Please try again."


class TrustGone(ZaqarServerError):
    """The trust of a subscription ended or was removed: it gives no token."""


class QueueChanged(ZaqarServerError):
    """The queue was changed or deleted since the caller read it."""


class CatalogChanged(ZaqarServerError):
    """Pools or flavors were changed since the caller read them."""


class StartupError(ZaqarServerError):
    """The server cannot start; the text says what to do about it."""


class SettingsError(StartupError):
    """A setting is missing or has a value that cannot be used."""


class StoreRefused(StartupError):
    """The store cannot be opened: newer schema, damaged, or in use."""
