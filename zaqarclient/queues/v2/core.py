"""The operations as plain functions over a transport and a request.

Each takes ``(transport, request, ...)`` and then the arguments of the flow of
the same name in `zaqarclient.queues.v2.operations`, fills in the request,
sends it and returns the result. The request must be a new one. A `callback`
argument is accepted and ignored (contract, SDK section 15).
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from zaqarclient import errors
from zaqarclient.queues.v2 import driver, operations
from zaqarclient.transport.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.operations.flow import Document, Flow
    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

T = TypeVar("T")


def _core(flow: Callable[..., Flow[T]], *, callback: int) -> Callable[..., T]:
    """Return a function that runs the flow with a given transport and request.

    Args:
        flow: Makes the flow.
        callback: How many arguments stand before the callback.
    """

    @functools.wraps(flow)
    def call(transport: Transport, request: Request, *args: Any, **kwargs: Any) -> T:
        kwargs.pop("callback", None)
        given = (*args[:callback], *args[callback + 1 :])
        return driver.drive(lambda: (request, transport), flow(*given, **kwargs))

    return call


queue_create = _core(operations.queue_create, callback=2)
queue_update = _core(operations.queue_update, callback=2)
queue_exists = _core(operations.queue_exists, callback=1)
queue_get = _core(operations.queue_get, callback=1)
queue_get_metadata = _core(operations.queue_get, callback=1)
queue_get_stats = _core(operations.queue_get_stats, callback=1)
queue_delete = _core(operations.queue_delete, callback=1)
queue_list = _core(operations.queue_list, callback=0)
queue_purge = _core(operations.queue_purge, callback=2)

message_list = _core(operations.message_list, callback=1)
message_get = _core(operations.message_get, callback=2)
message_get_many = _core(operations.message_get_many, callback=2)
message_delete = _core(operations.message_delete, callback=3)
message_delete_many = _core(operations.message_delete_many, callback=2)
message_pop = _core(operations.message_pop, callback=2)

claim_get = _core(operations.claim_get, callback=2)
claim_update = _core(operations.claim_update, callback=2)
claim_delete = _core(operations.claim_delete, callback=2)

subscription_confirm = _core(operations.subscription_confirm, callback=3)
subscription_create = _core(operations.subscription_create, callback=2)
subscription_get = _core(operations.subscription_get, callback=2)
subscription_update = _core(operations.subscription_update, callback=3)
subscription_delete = _core(operations.subscription_delete, callback=2)
subscription_list = _core(operations.subscription_list, callback=1)

signed_url_create = _core(operations.signed_url_create, callback=5)
signed_url_list = _core(operations.signed_url_list, callback=1)
signed_url_revoke = _core(operations.signed_url_revoke, callback=2)

pool_get = _core(operations.pool_get, callback=1)
pool_create = _core(operations.pool_create, callback=2)
pool_update = _core(operations.pool_update, callback=2)
pool_delete = _core(operations.pool_delete, callback=1)
pool_drain = _core(operations.pool_drain, callback=1)
pool_list = _core(operations.pool_list, callback=0)

flavor_get = _core(operations.flavor_get, callback=1)
flavor_create = _core(operations.flavor_create, callback=2)
flavor_update = _core(operations.flavor_update, callback=2)
flavor_delete = _core(operations.flavor_delete, callback=1)
flavor_list = _core(operations.flavor_list, callback=0)

ping = _core(operations.ping, callback=0)
health = _core(operations.health, callback=0)
homedoc = _core(operations.homedoc, callback=0)
quota_show = _core(operations.quota_show, callback=1)
quota_show_project = _core(operations.quota_show_project, callback=1)


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
    flow = _core(operations.claim_create, callback=1)
    claimed = flow(transport, request, queue_name, **kwargs)
    return {"messages": claimed.messages} if claimed.messages else None


def queue_set_metadata(*_: Any, **__: Any) -> NoReturn:
    """Refuse: version 2 changes metadata only by `queue_update`.

    Raises:
        zaqarclient.errors.InvalidOperation: Always.
    """
    raise errors.InvalidOperation(
        "API v2 has no operation 'queue_set_metadata'; use queue_update"
    )
