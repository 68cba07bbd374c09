"""The operations as plain functions over a transport and a request.

Each takes ``(transport, request, ...)`` and then the arguments of the flow of
the same name in `zaqarclient.queues.v2.operations`, fills in the request,
sends it and returns the result. The request must be a new one. A `callback`
argument is accepted and ignored (contract, SDK section 15).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from zaqarclient import errors
from zaqarclient.queues.v2 import driver, operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from zaqarclient.queues.v2.operations.flow import Document, Flow
    from zaqarclient.transport.base import Transport
    from zaqarclient.transport.request import Request

T = TypeVar("T")


def _core(flow: Callable[..., Flow[T]]) -> Callable[..., T]:
    """Return a function that runs the flow with a given transport and request."""

    @functools.wraps(flow)
    def call(transport: Transport, request: Request, *args: Any, **kwargs: Any) -> T:
        kwargs.pop("callback", None)
        return driver.drive(lambda: (request, transport), flow(*args, **kwargs))

    return call


queue_create = _core(operations.queue_create)
queue_update = _core(operations.queue_update)
queue_exists = _core(operations.queue_exists)
queue_get = _core(operations.queue_get)
queue_get_metadata = _core(operations.queue_get)
queue_get_stats = _core(operations.queue_get_stats)
queue_delete = _core(operations.queue_delete)
queue_list = _core(operations.queue_list)
queue_purge = _core(operations.queue_purge)

message_list = _core(operations.message_list)
message_post = _core(operations.message_post)
message_get = _core(operations.message_get)
message_get_many = _core(operations.message_get_many)
message_delete = _core(operations.message_delete)
message_delete_many = _core(operations.message_delete_many)
message_pop = _core(operations.message_pop)

claim_get = _core(operations.claim_get)
claim_update = _core(operations.claim_update)
claim_delete = _core(operations.claim_delete)

subscription_confirm = _core(operations.subscription_confirm)
subscription_create = _core(operations.subscription_create)
subscription_get = _core(operations.subscription_get)
subscription_update = _core(operations.subscription_update)
subscription_delete = _core(operations.subscription_delete)
subscription_list = _core(operations.subscription_list)

signed_url_create = _core(operations.signed_url_create)
signed_url_list = _core(operations.signed_url_list)
signed_url_revoke = _core(operations.signed_url_revoke)

pool_get = _core(operations.pool_get)
pool_create = _core(operations.pool_create)
pool_update = _core(operations.pool_update)
pool_delete = _core(operations.pool_delete)
pool_drain = _core(operations.pool_drain)
pool_list = _core(operations.pool_list)

flavor_get = _core(operations.flavor_get)
flavor_create = _core(operations.flavor_create)
flavor_update = _core(operations.flavor_update)
flavor_delete = _core(operations.flavor_delete)
flavor_list = _core(operations.flavor_list)

ping = _core(operations.ping)
health = _core(operations.health)
homedoc = _core(operations.homedoc)
quota_show = _core(operations.quota_show)
quota_show_project = _core(operations.quota_show_project)


def claim_create(
    transport: Transport, request: Request, queue_name: str, **kwargs: Any
) -> Document | None:
    """Claim messages and return ``{"messages": [...]}``, None if there are none."""
    flow = _core(operations.claim_create)
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
