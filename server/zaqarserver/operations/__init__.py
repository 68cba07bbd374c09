"""The operation table, and the one way through which every operation runs.

To add an operation: write its fields and handler in the module of its
resource, a row in the module of the same name in
:mod:`zaqarserver.operations.rows`, and a renderer in
:mod:`zaqarserver.operations.rest` if its REST answer is more than the result as
JSON. Both transports, the policy defaults and the reference follow from the row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from zaqarserver import deadline
from zaqarserver.budget import Lease
from zaqarserver.context import Context
from zaqarserver.fields import Fields
from zaqarserver.operations.row import Body, BoundOperation, Operation, Reply
from zaqarserver.operations.rows import (
    claims,
    flavors,
    messages,
    pools,
    queues,
    quotas,
    service,
    sharing,
    subscriptions,
    topics,
)
from zaqarserver.settings import Settings

__all__ = ["OPERATIONS", "Body", "BoundOperation", "Operation", "Reply", "bind", "call"]

OPERATIONS: tuple[Operation, ...] = (
    *service.ROWS,
    *quotas.ROWS,
    *queues.ROWS,
    *sharing.ROWS,
    *messages.ROWS,
    *claims.ROWS,
    *subscriptions.ROWS,
    *topics.ROWS,
    *pools.ROWS,
    *flavors.ROWS,
)


def bind(settings: Settings) -> dict[str, BoundOperation]:
    """Return the operations that these settings allow, by name."""
    return {
        row.name: BoundOperation(row, settings)
        for row in OPERATIONS
        if (settings.admin_mode or not row.admin)
        and (settings.pooling or not row.pooled)
    }


async def call(
    operation: BoundOperation,
    context: Context,
    arguments: Callable[[], Awaitable[Fields]],
    lease: Lease,
) -> tuple[Fields, Any]:
    """Run one operation: rate, policy, arguments, bounds, room, handler, in this order.

    Args:
        operation: What to run.
        context: Who asks, and when.
        arguments: Reads the arguments, each of its type; run only when the
            policy allows the operation.
        lease: Takes room for the answer before it is made.

    Returns:
        The arguments and the handler's result.

    Raises:
        RequestError: The request cannot be served as it stands.
        Unavailable: The store cannot serve now, or there is no room for the answer.
    """
    row = operation.row
    context.server.quotas.admit(context.project, context.now)
    if row.policy is not None:
        context.server.policy.check(row.policy, context)
    values = await arguments()
    operation.checker.check(values)
    await lease.take(operation.answer_size(values))
    # Who asks to wait for something adds that to the time that an answer may take.
    wait = getattr(values, "wait", None) or 0
    with deadline.within(deadline.ANSWER_SECONDS + wait):
        return values, await row.handler(operation.scoped(context), values)
