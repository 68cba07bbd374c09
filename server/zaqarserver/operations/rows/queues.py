"""Queues: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import frames, queues, rest
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import PATCH_TYPE, QUEUE, QUEUES

ROWS: tuple[Operation, ...] = (
    Operation(
        name="queue_list",
        method="GET",
        path=QUEUES,
        fields=queues.QueueList,
        policy="queues:get_all",
        handler=queues.queue_list,
        render=rest.queue_list,
        frame=frames.queue_list,
        summary="List the project's queues.",
    ),
    Operation(
        name="queue_create",
        method="PUT",
        path=QUEUE,
        fields=queues.QueueCreate,
        policy="queues:create",
        handler=queues.queue_create,
        status=201,
        render=rest.queue_create,
        body=Body.OPTIONAL,
        frame=frames.queue_create,
        summary="Create a queue, if it does not exist.",
    ),
    Operation(
        name="queue_get",
        method="GET",
        path=QUEUE,
        fields=queues.QueueRef,
        policy="queues:get",
        handler=queues.queue_get,
        render=rest.queue_get,
        frame=frames.queue_get,
        summary="Show a queue's metadata.",
    ),
    Operation(
        name="queue_update",
        method="PATCH",
        path=QUEUE,
        fields=queues.QueueUpdate,
        policy="queues:update",
        handler=queues.queue_update,
        render=rest.queue_get,
        body=Body.REQUIRED,
        content_type=PATCH_TYPE,
        # The least operation has ten times the bytes of the member that it sets.
        times=16,
        frame=frames.queue_update,
        summary="Change a queue's metadata.",
    ),
    Operation(
        name="queue_delete",
        method="DELETE",
        path=QUEUE,
        fields=queues.QueueRef,
        policy="queues:delete",
        handler=queues.queue_delete,
        status=204,
        frame=frames.queue_delete,
        summary="Delete a queue with its messages and claims.",
    ),
    Operation(
        name="queue_get_stats",
        method="GET",
        path=QUEUE + "/stats",
        fields=queues.QueueRef,
        policy="queues:stats",
        handler=queues.queue_get_stats,
        render=rest.queue_get_stats,
        frame=frames.queue_get_stats,
        summary="Count a queue's messages.",
    ),
    Operation(
        name="queue_purge",
        method="POST",
        path=QUEUE + "/purge",
        fields=queues.QueuePurge,
        policy="queues:purge",
        handler=queues.queue_purge,
        status=204,
        body=Body.OPTIONAL,
        summary="Remove all messages or subscriptions of a queue.",
    ),
)
