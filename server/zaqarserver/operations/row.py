"""A row of the operation table: made by a decorator, bound to the settings.

``@operation`` decorates a handler and makes its row; ``@rest_answer`` and
``@frame_answer`` decorate the renderer of an answer that is more than the result as
JSON.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from zaqarserver.errors import RequestError
from zaqarserver.operations.context import Context
from zaqarserver.operations.fields import (
    Checker,
    Fields,
    RequestPart,
    members,
)
from zaqarserver.operations.readers import (
    BodyReader,
    FrameReader,
    QueryReader,
    check_count,
)
from zaqarserver.operations.settings import Settings

Handler = Callable[[Context, Any], Awaitable[Any]]
_Handler = TypeVar("_Handler", bound=Handler)
_Args = TypeVar("_Args")
_Result = TypeVar("_Result")

# The paths of REST (``rest-v2`` 2.0).
QUEUES = "/v2/queues"
QUEUE = "/v2/queues/{queue_name}"
MESSAGES = QUEUE + "/messages"
MESSAGE = MESSAGES + "/{message_id}"
CLAIMS = QUEUE + "/claims"
CLAIM = CLAIMS + "/{claim_id}"
SUBSCRIPTIONS = QUEUE + "/subscriptions"
SUBSCRIPTION = SUBSCRIPTIONS + "/{subscription_id}"
SIGNED_URLS = QUEUE + "/signed_urls"
SIGNED_URL = SIGNED_URLS + "/{signed_url_id}"
QUOTAS = "/v2/quotas"
POOLS = "/v2/pools"
POOL = POOLS + "/{pool_name}"
FLAVORS = "/v2/flavors"
FLAVOR = FLAVORS + "/{flavor_name}"
#: The media type of a change.
PATCH_TYPE = "application/openstack-messaging-v2.0-json-patch"

#: The policy rule that admits administrators, in the language of ``oslo.policy``.
ADMIN = "role:admin"
#: The arguments that bound the number of records in an answer.
_COUNTS = ("limit", "pop", "message_ids")
#: Bytes of an answer for each record in addition to its content: ids, links, times.
_RECORD_OVERHEAD = 512
#: Options of some lists on a WebSocket. Other unknown members are ignored; one of
#: these that the list does not have is an error.
_LIST_OPTIONS = frozenset(
    {"marker", "limit", "detailed", "echo", "include_claimed", "include_delayed"}
    | {"ttl", "grace"}
)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An answer: of REST, or without headers and content type of the WebSocket.

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


Renderer = Callable[[Context, _Args, _Result], Reply]


class Body(enum.Enum):
    """The use of a request body by an operation."""

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
        policy: The policy rule, or ``None`` for none.
        handler: The function that executes it.
        summary: One sentence for the reference.
        status: The HTTP status of success.
        body: Whether REST takes a body.
        frame_body: Whether a frame has a body.
        refused: Members of a frame's body that are an error; other unknown ones are
            ignored.
        limit: The setting that bounds the size of the body, in bytes.
        times: A factor of that limit: a patch may be longer than its result, which
            the handler bounds.
        content_type: The only media type that the body may have.
        record: The setting that bounds the size of a record in the answer, in bytes.
        lists: Whether its limit is that of the records in the answer.
        shows_claim: Whether it answers with an existing claim and its messages.
        when: REST runs this row instead of the one without ``when`` if this
            query parameter is present.
        head: Whether REST answers HEAD at once, without doing what GET does.
        admin: Whether the operation exists only with ``admin_mode``.
        pooled: Whether it exists only with ``pooling``.
        check_str: The default of the policy rule, in the language of ``oslo.policy``;
            empty for every caller.
        done: The text that a frame is answered with: a format of the arguments.
        located: Whether REST answers without a body, with the path as ``Location``.
        signable: Whether a pre-signed URL for the messages of a queue opens it on
            the WebSocket.
        undo: Reverses the operation if its answer cannot reach the caller.
        errors: The errors of its own, beside those that many operations have.
        waits: Returns for how many seconds it waits if there is nothing to give.
        nothing: Its result if there is nothing then.
        topics: Whether it is about topics: the handler of queues then gets the space
            of topics.
    """

    name: str
    method: str
    path: str
    fields: type[Fields]
    policy: str | None
    handler: Handler
    summary: str
    status: int = 200
    body: Body = Body.NONE
    frame_body: Body = Body.REQUIRED
    refused: frozenset[str] = frozenset()
    limit: str = "max_queue_metadata"
    times: int = 1
    content_type: str | None = None
    record: str = "max_queue_metadata"
    lists: bool = True
    shows_claim: bool = False
    when: str | None = None
    head: bool = False
    admin: bool = False
    pooled: bool = False
    check_str: str = ""
    done: str = ""
    located: bool = False
    signable: bool = False
    undo: Callable[[Context, Any, Any], Awaitable[None]] | None = None
    errors: tuple[type[RequestError], ...] = ()
    waits: Callable[[Any], int] | None = None
    nothing: Any = ()
    topics: bool = False

    def path_of(self, arguments: Fields) -> str:
        """Return the REST path with the arguments that it names."""
        return self.path.format_map(msgspec.structs.asdict(arguments))


# -- decorators ---------------------------------------------------------------

#: The rows by the module of their handlers, in the order of the handlers there.
_ROWS: dict[str, list[Operation]] = {}


def operation(
    method: str, path: str, policy: str | None, **facts: Any
) -> Callable[[_Handler], _Handler]:
    """Make a row of a handler.

    The handler's name becomes the operation's, the type of its second parameter the
    fields, and the first line of its docstring the summary.

    Args:
        method: The REST method.
        path: The REST path template.
        policy: The policy rule, or ``None`` for none.
        **facts: Other attributes of :class:`Operation`. By default a body is required
            if a field comes from it, and an operation of ``admin`` is for
            administrators.
    """

    def register(handler: _Handler) -> _Handler:
        fields = list(inspect.get_annotations(handler, eval_str=True).values())[1]
        row = Operation(
            name=handler.__name__,
            method=method,
            path=path,
            fields=fields,
            policy=policy,
            handler=handler,
            summary=(handler.__doc__ or "").partition("\n")[0],
            **{**_defaults(fields, admin=facts.get("admin", False)), **facts},
        )
        _ROWS.setdefault(handler.__module__, []).append(row)
        return handler

    return register


def _defaults(fields: type[Fields], *, admin: bool) -> dict[str, Any]:
    """Return the attributes that follow from the fields of an operation."""
    parts = {member.spec.part for member in members(fields)}
    names = set(fields.__struct_fields__)
    return {
        "body": Body.REQUIRED
        if parts & {RequestPart.BODY, RequestPart.DOCUMENT}
        else Body.NONE,
        "refused": _LIST_OPTIONS - names if "marker" in names else frozenset(),
        "check_str": ADMIN if admin else "",
    }


def rows_of(*modules: ModuleType) -> list[Operation]:
    """Return the rows of the handlers in these modules, in source order."""
    return [row for module in modules for row in _ROWS[module.__name__]]


class _Answers:
    """Renderers of one transport, by handler."""

    def __init__(self) -> None:
        self._renderers: dict[Handler, Renderer[Any, Any]] = {}

    def __call__(
        self, *handlers: Callable[[Context, _Args], Awaitable[_Result]]
    ) -> Callable[[Renderer[_Args, _Result]], Renderer[_Args, _Result]]:
        """Decorate the renderer of some handlers."""

        def register(renderer: Renderer[_Args, _Result]) -> Renderer[_Args, _Result]:
            self._renderers.update(dict.fromkeys(handlers, renderer))
            return renderer

        return register

    def of(self, handler: Handler, default: Renderer[Any, Any]) -> Renderer[Any, Any]:
        """Return the renderer of a handler."""
        return self._renderers.get(handler, default)


#: Decorators of renderers, for REST and for frames. A renderer gets the context, the
#: arguments and the handler's result.
rest_answer = _Answers()
frame_answer = _Answers()

# -- with the settings --------------------------------------------------------


def _sized_member(struct: type[Fields]) -> str | None:
    """Return the field whose size the body limit bounds, on the WebSocket."""
    for member in members(struct):
        if member.spec.part is RequestPart.DOCUMENT or member.name == "messages":
            return member.name
    return None


class BoundOperation:
    """An operation with its readers, bounds and renderers, for given settings.

    Attributes:
        render: Makes the REST answer from context, arguments and result.
        render_frame: Makes the WebSocket answer.
        headers: The fields that are headers, with the names of these.
    """

    def __init__(self, row: Operation, settings: Settings) -> None:
        self.row = row
        self.checker = Checker(row.fields, settings)
        self.query = QueryReader(row.fields)
        self.body = BodyReader(row.fields) if row.body is not Body.NONE else None
        self.frame = FrameReader(row.fields, row.refused)
        self.render = rest_answer.of(row.handler, self._render)
        self.render_frame = frame_answer.of(row.handler, self._render_frame)
        self.max_body: int = getattr(settings, row.limit) * row.times
        self._record: int = _RECORD_OVERHEAD + getattr(settings, row.record)
        # A claim is shown with all its messages.
        self._records = settings.max_messages_per_claim_or_pop * row.shows_claim
        self._counts = set(_COUNTS) & set(row.fields.__struct_fields__ * row.lists)
        self.measured = "size" in row.fields.__struct_fields__
        self.headers = [
            (member.name, member.spec.rest_name)
            for member in members(row.fields)
            if member.spec.part is RequestPart.HEADER
        ]
        self.sized = _sized_member(row.fields)
        self._most_messages = settings.max_messages_per_post

    def check_count(self, body: bytes) -> None:
        """Refuse a body with too many messages, if the operation takes messages.

        Raises:
            BadRequest: It has more than ``max_messages_per_post``.
        """
        if self.sized == "messages":
            check_count(body, self._most_messages)

    def answer_size(self, arguments: Any) -> int:
        """Return an upper bound of the bytes of records in the answer."""
        records = self._records
        for name in self._counts:
            count = getattr(arguments, name) or 0
            records += count if isinstance(count, int) else len(count)
        return self._record * records

    def undo(
        self, context: Context, arguments: Any, result: Any
    ) -> Callable[[], Awaitable[None]] | None:
        """Return a function that reverses the operation, or ``None``."""
        undo = self.row.undo
        if undo is None or result is None:
            return None
        return functools.partial(undo, context, arguments, result)

    def _render(self, _context: Context, arguments: Any, result: Any) -> Reply:
        if self.row.located:
            location = {"Location": self.row.path_of(arguments)}
            return Reply(self.row.status, None, location)
        return Reply(self.row.status, result)

    def _render_frame(self, _context: Context, arguments: Any, result: Any) -> Reply:
        if self.row.done:
            return Reply(self.row.status, self.row.done.format(arguments))
        return Reply(self.row.status, {} if result is None else result)
