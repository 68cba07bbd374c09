"""One row of the operation table, and what it becomes with the settings."""

from __future__ import annotations

import enum
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from zaqarserver.context import Context
from zaqarserver.fields import Checker, Fields, Source, members
from zaqarserver.readers import BodyReader, FrameReader, QueryReader, check_count
from zaqarserver.settings import Settings

Handler = Callable[[Context, Any], Awaitable[Any]]


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A REST answer.

    Attributes:
        status: The HTTP status.
        body: What to encode as JSON, or ``None`` for no body.
        headers: Extra headers.
        content_type: The body's type.
    """

    status: int
    body: Any = None
    headers: dict[str, str] | None = None
    content_type: str = "application/json"


#: The arguments that say how many records an answer may show.
_COUNTS = ("limit", "pop", "message_ids")
#: Bytes that an answer shows of a record beside its content: ids, links, times.
_BESIDE = 512

Renderer = Callable[[Context, Any, Any], Reply]


class Body(enum.Enum):
    """What an operation does with a REST request body."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, on both transports.

    Attributes:
        name: The action name of the WebSocket, ``<resource>_<verb>``.
        method: The REST method.
        path: The REST path template.
        fields: The arguments.
        policy: The access rule, or ``None`` if there is none.
        handler: The function that does it.
        status: The status of success.
        render: Makes the REST answer where it is not simply the result as JSON.
        frame: Makes the WebSocket answer where it is not simply the result.
        body: Whether REST has a body.
        limit: The setting that bounds the size of the body, in bytes.
        times: How many times that the body may have: a change may be longer than what
            it leads to, which the handler bounds.
        content_type: The only media type that the body may have.
        when: REST runs this row instead of the one without ``when`` if this
            query parameter is present.
        admin: Whether the operation exists only with ``admin_mode``.
        pooled: Whether it exists only with ``pooling``.
        head: Whether REST answers HEAD at once, without doing what GET does.
        undo: Takes back what was done, if the answer cannot reach who asked.
        shows_claim: Whether it answers with a claim made before, whatever that holds.
        topics: Whether it is about topics: the handler, which is that of queues, is
            given their space.
        summary: What it does, for the reference.
    """

    name: str
    method: str
    path: str
    fields: type[Fields]
    policy: str | None
    handler: Handler
    status: int = 200
    render: Renderer | None = None
    frame: Renderer | None = None
    body: Body = Body.NONE
    limit: str = "max_queue_metadata"
    times: int = 1
    content_type: str | None = None
    when: str | None = None
    admin: bool = False
    pooled: bool = False
    head: bool = False
    undo: Callable[[Context, Any, Any], Awaitable[None]] | None = None
    shows_claim: bool = False
    topics: bool = False
    summary: str = ""


def _sized_member(struct: type[Fields]) -> str | None:
    """Return the field whose size the body limit is about, on the WebSocket."""
    for member in members(struct):
        if member.spec.source is Source.DOCUMENT or member.name == "messages":
            return member.name
    return None


class BoundOperation:
    """An operation with the readers and bounds that the settings give it."""

    def __init__(self, row: Operation, settings: Settings) -> None:
        self.row = row
        self.checker = Checker(row.fields, settings)
        self.query = QueryReader(row.fields)
        self.body = BodyReader(row.fields) if row.body is not Body.NONE else None
        self.frame = FrameReader(row.fields)
        self.max_body: int = getattr(settings, row.limit) * row.times
        of_messages = "message" in row.name or "claim" in row.name
        self._record: int = _BESIDE + (
            settings.max_messages_post_size
            if of_messages
            else settings.max_queue_metadata
        )
        # A claim is shown with all that it holds.
        self._records = settings.max_messages_per_claim_or_pop * row.shows_claim
        self.measured = "size" in row.fields.__struct_fields__
        self.sized = _sized_member(row.fields)
        self._most_messages = settings.max_messages_per_post

    def check_count(self, body: bytes) -> None:
        """Refuse a body with too many messages, if this takes messages.

        Raises:
            BadRequest: It has more than a post may.
        """
        if self.sized == "messages":
            check_count(body, self._most_messages)

    def answer_size(self, arguments: Any) -> int:
        """Return how many bytes of records the answer may have."""
        records = self._records
        for name in _COUNTS:
            count = getattr(arguments, name, None) or 0
            records += count if isinstance(count, int) else len(count)
        return self._record * records

    def undo(
        self, context: Context, arguments: Any, result: Any
    ) -> Callable[[], Awaitable[None]] | None:
        """Return what takes a result back, or ``None`` if nothing can or need."""
        undo = self.row.undo
        if undo is None or result is None:
            return None
        return functools.partial(undo, self.scoped(context), arguments, result)

    def scoped(self, context: Context) -> Context:
        """Return the context as the handler and the renderers of the row get it."""
        if self.row.topics:
            return msgspec.structs.replace(context, topics=True)
        return context

    def render(self, context: Context, arguments: Any, result: Any) -> Reply:
        """Make the REST answer of a result."""
        if self.row.render is not None:
            return self.row.render(self.scoped(context), arguments, result)
        return Reply(self.row.status, result)

    def render_frame(self, context: Context, arguments: Any, result: Any) -> Reply:
        """Make the WebSocket answer of a result."""
        if self.row.frame is not None:
            return self.row.frame(self.scoped(context), arguments, result)
        return Reply(self.row.status, {} if result is None else result)
