"""Messages: the rows of their operations."""

from __future__ import annotations

from zaqarserver.operations import frames, messages, rest
from zaqarserver.operations.row import Body, Operation
from zaqarserver.operations.rows.paths import MESSAGE, MESSAGES

ROWS: tuple[Operation, ...] = (
    Operation(
        name="message_post",
        method="POST",
        path=MESSAGES,
        fields=messages.MessagePost,
        policy="messages:create",
        handler=messages.message_post,
        status=201,
        render=rest.message_post,
        body=Body.REQUIRED,
        limit="max_messages_post_size",
        frame=frames.message_post,
        summary="Store messages, all or none.",
    ),
    Operation(
        name="message_list",
        method="GET",
        path=MESSAGES,
        fields=messages.MessageList,
        policy="messages:get_all",
        handler=messages.message_list,
        render=rest.message_list,
        frame=frames.message_list,
        summary="List messages, oldest first.",
    ),
    Operation(
        name="message_get_many",
        method="GET",
        path=MESSAGES,
        fields=messages.MessageGetMany,
        policy="messages:get_all",
        handler=messages.message_get_many,
        render=rest.message_get_many,
        when="ids",
        frame=frames.message_list,
        summary="Show several messages by id.",
    ),
    Operation(
        name="message_delete_many",
        method="DELETE",
        path=MESSAGES,
        fields=messages.MessageDeleteMany,
        policy="messages:delete_all",
        handler=messages.message_delete_many,
        status=204,
        render=rest.message_delete_many,
        frame=frames.message_delete_many,
        summary="Delete messages by id, or pop the oldest free ones.",
    ),
    Operation(
        name="message_get",
        method="GET",
        path=MESSAGE,
        fields=messages.MessageGet,
        policy="messages:get",
        handler=messages.message_get,
        render=rest.message_get,
        frame=frames.message_get,
        summary="Show one message.",
    ),
    Operation(
        name="message_delete",
        method="DELETE",
        path=MESSAGE,
        fields=messages.MessageDelete,
        policy="messages:delete",
        handler=messages.message_delete,
        status=204,
        summary="Delete one message; a claimed one only with its claim.",
    ),
)
