"""Client library and commands for Zaqar, the OpenStack messaging service.

Programs begin here::

    import zaqarclient as zq

    with zq.Client("http://127.0.0.1:8888", project="demo") as zaqar:
        zaqar.queue("orders").post({"body": "tea"})

Importing the package alone loads nothing of the rest; each name is loaded at its first
use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zaqarclient.version import __version__

if TYPE_CHECKING:
    from zaqarclient.auth.signed_url import SignedURL
    from zaqarclient.errors import (
        AuthenticationFailed,
        EndpointNotFound,
        LeaseLost,
        UnsupportedFeature,
        ZaqarError,
    )
    from zaqarclient.names import UnknownNameWarning
    from zaqarclient.queues.clouds import connect
    from zaqarclient.queues.v2.aio import AsyncClient, AsyncQueue, AsyncTopic
    from zaqarclient.queues.v2.aio_resources import AsyncClaim, AsyncMessage
    from zaqarclient.queues.v2.claim import Claim
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.consume import Backoff, stop_on_signals
    from zaqarclient.queues.v2.listener import Listener, Notification
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queues import Queue
    from zaqarclient.queues.v2.subscription import Subscription
    from zaqarclient.queues.v2.topic import Topic
    from zaqarclient.transport.errors import ConflictError as Conflict
    from zaqarclient.transport.errors import (
        ConnectionFailed,
        NetworkError,
        TimedOut,
        TooManyRequests,
        TransportError,
    )
    from zaqarclient.transport.errors import ForbiddenError as Forbidden
    from zaqarclient.transport.errors import MalformedRequest as BadRequest
    from zaqarclient.transport.errors import ResourceNotFound as NotFound
    from zaqarclient.transport.errors import ServiceUnavailableError as Unavailable
    from zaqarclient.transport.errors import UnauthorizedError as Unauthorized

__all__ = [
    "AsyncClaim",
    "AsyncClient",
    "AsyncMessage",
    "AsyncQueue",
    "AsyncTopic",
    "AuthenticationFailed",
    "Backoff",
    "BadRequest",
    "Claim",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "EndpointNotFound",
    "Forbidden",
    "LeaseLost",
    "Listener",
    "Message",
    "NetworkError",
    "NotFound",
    "Notification",
    "Queue",
    "SignedURL",
    "Subscription",
    "TimedOut",
    "TooManyRequests",
    "Topic",
    "TransportError",
    "Unauthorized",
    "Unavailable",
    "UnknownNameWarning",
    "UnsupportedFeature",
    "ZaqarError",
    "__version__",
    "connect",
    "stop_on_signals",
]

_MODULES = {
    "auth.signed_url": "SignedURL",
    "errors": (
        "AuthenticationFailed EndpointNotFound LeaseLost UnsupportedFeature ZaqarError"
    ),
    "names": "UnknownNameWarning",
    "queues.clouds": "connect",
    "queues.v2.aio": "AsyncClient AsyncQueue AsyncTopic",
    "queues.v2.aio_resources": "AsyncClaim AsyncMessage",
    "queues.v2.claim": "Claim",
    "queues.v2.client": "Client",
    "queues.v2.consume": "Backoff stop_on_signals",
    "queues.v2.listener": "Listener Notification",
    "queues.v2.message": "Message",
    "queues.v2.queues": "Queue",
    "queues.v2.subscription": "Subscription",
    "queues.v2.topic": "Topic",
    "transport.errors": (
        "BadRequest=MalformedRequest Conflict=ConflictError ConnectionFailed "
        "Forbidden=ForbiddenError NetworkError NotFound=ResourceNotFound TimedOut "
        "TooManyRequests TransportError Unauthorized=UnauthorizedError "
        "Unavailable=ServiceUnavailableError"
    ),
}
"""The names of each module; one that is another there stands before a ``=``."""

_FOUND = {
    name.partition("=")[0]: (module, name.rpartition("=")[2])
    for module, names in _MODULES.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use."""
    if name not in _FOUND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when needed

    module, attribute = _FOUND[name]
    found = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the names of the package, also those that are not loaded yet."""
    return sorted({*globals(), *_FOUND})
