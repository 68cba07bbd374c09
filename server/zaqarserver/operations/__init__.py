"""The operation table, and the one way through which every operation runs.

To add an operation: write its fields and its handler, decorated with
:func:`~zaqarserver.operations.row.operation`, in the module of its resource, and a
renderer in :mod:`zaqarserver.operations.rest` if its REST answer is more than the
result as JSON. Both transports, the policy defaults and the reference follow.

An edge calls :func:`admit`, reads the arguments, and calls :func:`run`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from zaqarserver.common import deadline
from zaqarserver.common.budget import Allocation
from zaqarserver.operations import (
    claims,
    flavors,
    frames,
    messages,
    pools,
    posts,
    queues,
    quotas,
    releases,
    rest,
    service,
    signed_urls,
    subscriptions,
)
from zaqarserver.operations.context import Context
from zaqarserver.operations.row import (
    Body,
    BoundOperation,
    Operation,
    Reply,
    rows_of,
)
from zaqarserver.operations.settings import Settings
from zaqarserver.operations.topics import topic_row

__all__ = ["OPERATIONS", "Body", "BoundOperation", "Operation", "Reply", "bind"]
__all__ += ["admit", "run"]

OPERATIONS: tuple[Operation, ...] = (
    *rows_of(service, quotas, queues, signed_urls, posts, messages, claims, releases),
    *rows_of(subscriptions),
    *(topic_row(row) for row in rows_of(queues, posts, messages, subscriptions)),
    *rows_of(pools, flavors),
)
#: Imported for their renderers, which decorators put in place.
_RENDERERS = (rest, frames)


@functools.lru_cache(maxsize=2)
def bind(settings: Settings) -> Mapping[str, BoundOperation]:
    """Return the operations that these settings allow, by name."""
    return {
        row.name: BoundOperation(row, settings)
        for row in OPERATIONS
        if (settings.admin_mode or not row.admin)
        and (settings.pooling or not row.pooled)
    }


def admit(operation: BoundOperation, context: Context) -> None:
    """Check the caller's rate and the access rule, before arguments are read.

    Raises:
        TooManyRequests: The project exceeds its rate.
        Forbidden: The access rule does not allow it.
    """
    context.server.quotas.admit(context.project, context.now)
    if operation.row.policy is not None:
        context.server.policy.check(operation.row.policy, context)


async def run(
    operation: BoundOperation, context: Context, arguments: Any, allocation: Allocation
) -> Any:
    """Check the arguments against their bounds, and run the handler.

    Args:
        operation: What to run.
        context: The caller and the time.
        arguments: The arguments, each of its declared type.
        allocation: Takes memory for the answer before it is made.

    Returns:
        The handler's result.

    Raises:
        RequestError: The request cannot be served as it stands.
        Unavailable: The store cannot serve now, or the answer exceeds free memory.
    """
    between = context.server.turns.between
    between()
    operation.checker.check(arguments)
    row, size = operation.row, operation.answer_size(arguments)
    wait = row.waits(arguments) if row.waits is not None else 0
    if wait:
        result = await _wait(operation, context, arguments, allocation, wait)
    else:
        if size:
            await allocation.take(size)
        with deadline.within(deadline.ANSWER_SECONDS):
            result = await row.handler(context, arguments)
    between()
    return result


async def _wait(
    operation: BoundOperation,
    context: Context,
    arguments: Any,
    allocation: Allocation,
    seconds: int,
) -> Any:
    """Run a handler until it gives something; memory is taken for each attempt."""
    row, size = operation.row, operation.answer_size(arguments)

    async def attempt(at: Context) -> Any:
        with at.server.budget.allocate() as own:
            await own.take(size)
            with deadline.within(deadline.ANSWER_SECONDS):
                result = await row.handler(at, arguments)
            if result:
                allocation.hold(size)
            return result

    return await context.server.waiters.serve(
        context,
        arguments.queue_name,
        seconds,
        attempt,
        takes=row.method != "GET",
        nothing=row.nothing,
    )
