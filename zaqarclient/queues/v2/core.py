"""The operations as plain functions over a transport and a request.

Each takes ``(transport, request, ...)`` and then the arguments of the operation of
the same name, fills in the request, sends it and returns the result. The request
must be a new one. A `callback` argument is accepted and ignored (contract, SDK
section 15).
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from zaqarclient import errors
from zaqarclient.queues.v2 import calls
from zaqarclient.queues.v2.table import OPERATIONS
from zaqarclient.transport.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.calls import Document
    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

T = TypeVar("T")

#: The arguments that have another name in the table.
_NAMES = {
    "name": "queue_name",
    "messages": "ids",
    "count": "pop",
}


def _core(operation: str, /, *names: str) -> Callable[..., Any]:
    """Return a function that calls an operation.

    Args:
        operation: Its name in the table.
        names: Its arguments that may be given by position, before the callback.
    """

    def call(transport: Transport, request: Request, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip((*names, "callback"), args, strict=False)) | kwargs
        given.pop("callback", None)
        named = {_NAMES.get(name, name): value for name, value in given.items()}
        if (ids := named.get("ids")) is not None:
            named["ids"] = [ids] if isinstance(ids, str) else list(ids)
        return _calls(transport, request)(operation, **named)

    call.__name__ = call.__qualname__ = operation
    call.__doc__ = f"Call the operation ``{operation}``: {', '.join(names)}."
    return call


def _with(function: Callable[..., T], names: int) -> Callable[..., T]:
    """Return a function that is more than one plain call.

    Args:
        function: Takes `Calls` and the arguments.
        names: How many arguments precede the callback.
    """

    @functools.wraps(function)
    def call(transport: Transport, request: Request, *args: Any, **kwargs: Any) -> T:
        kwargs.pop("callback", None)
        return function(_calls(transport, request), *args[:names], **kwargs)

    return call


def _calls(transport: Transport, request: Request) -> calls.Calls:
    return calls.Calls(lambda: (request, transport))


queue_create = _with(calls.queue_create, 2)
queue_exists = _with(calls.queue_exists, 1)
queue_get_metadata = _core("queue_get", "queue_name")
queue_purge = _with(calls.queue_purge, 2)
message_get_many = _core("message_get_many", "queue_name", "messages")
message_delete = _core("message_delete", "queue_name", "message_id", "claim_id")
message_delete_many = _core("message_delete_many", "queue_name", "ids")
message_pop = _core("message_delete_many", "queue_name", "count")
subscription_confirm = _core(
    "subscription_confirm", "queue_name", "subscription_id", "confirmed"
)
pool_drain = _core("pool_drain", "pool_name", "wait")
signed_url_create = _with(calls.signed_url_create, 5)
ping = _with(calls.ping, 0)
health = _with(calls.health, 0)


def message_post(
    transport: Transport,
    request: Request,
    queue_name: str,
    messages: Any,
    callback: object = None,  # noqa: ARG001 - of the contract
) -> Any:
    """Post messages; the body is what is given, as JSON, and nothing is added."""
    request.operation = "message_post"
    request.params["queue_name"] = queue_name
    request.content = json.dumps(messages)
    # The transports of callers' tests may have nothing to answer.
    response = transport.send(request) or Response(request, None)
    return response.deserialized_content


def claim_create(
    transport: Transport, request: Request, queue_name: str, **kwargs: Any
) -> Document | None:
    """Claim messages and return ``{"messages": [...]}``, None if there are none."""
    claimed = _with(calls.claim_create, 1)(transport, request, queue_name, **kwargs)
    return {"messages": claimed.messages} if claimed.messages else None


def queue_set_metadata(*_: Any, **__: Any) -> NoReturn:
    """Refuse: version 2 changes metadata only by `queue_update`.

    Raises:
        zaqarclient.errors.InvalidOperation: Always.
    """
    raise errors.InvalidOperation(
        "API v2 has no operation 'queue_set_metadata'; use queue_update"
    )


# The others take the arguments of their paths by position, and a body as a whole.
globals().update(
    {
        name: _core(name, *row.path_names, *([row.whole] if row.whole else []))
        for name, row in OPERATIONS.items()
        if name not in globals() and not row.topics
    }
)
