"""Reading a REST request: headers, query, body (``rest-v2`` 1.4-1.6, 1.11)."""

from __future__ import annotations

import abc
import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import unquote, unquote_plus

import httptools
import msgspec

from zaqarserver.common.log import new_request_id
from zaqarserver.errors import BadRequest, UnsupportedMediaType
from zaqarserver.http.answers import NotAcceptable
from zaqarserver.identity.auth import SINGLE_HEADERS, Headers
from zaqarserver.operations import Body, BoundOperation
from zaqarserver.operations.fields import Fields

Pairs = Sequence[tuple[bytes, bytes]]
Undo = Callable[[], Awaitable[object]]
#: Bytes of a body that are read before the edge asks for it.
HIGH_WATER = 65536
_FORM = b"application/x-www-form-urlencoded"


class Head(msgspec.Struct, frozen=True, gc=False):
    """The head of a request, header names in lower case."""

    method: str
    target: bytes
    version: str
    headers: Pairs

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a header."""
        return [value for one, value in self.headers if one == name]

    def encode(self) -> bytes:
        """Return the head as it is sent."""
        lines = [
            b"%b %b HTTP/%b"
            % (self.method.encode(), self.target, self.version.encode())
        ]
        lines += [b"%b: %b" % pair for pair in self.headers]
        return b"\r\n".join([*lines, b"", b""])


class RestRequest(abc.ABC):
    """A request; its body may not have arrived yet.

    Args:
        method: Its method.
        path: Its path, decoded.
        query: Its query as it was sent.
        pairs: Its headers, names in lower case.

    Attributes:
        method: Its method.
        path: Its path, decoded.
        query: Its query as it was sent.
        id: Its id, as sent in ``X-OpenStack-Request-ID``.
        headers: The headers by name; the last value of one that was sent twice.
        is_cut: True if it ended before its body was whole.
        is_link: True if its query presents a signature.
        undo: Undoes the operation, if the answer does not reach the peer.
    """

    __slots__ = (
        *("_pairs", "headers", "id", "is_cut", "is_link"),
        *("method", "path", "query", "undo"),
    )

    def __init__(self, method: str, path: str, query: str, pairs: Pairs) -> None:
        self.id = new_request_id()
        self.method = method
        self.path = path
        self.query = query
        self.headers = dict(pairs)
        self.is_cut = False
        self.is_link = False
        self.undo: Undo | None = None
        self._pairs = pairs

    @property
    def takes_text(self) -> bool:
        """True if its body may be any text: a message that is posted with a link."""
        return (
            self.is_link and self.method == "POST" and self.path.endswith("/messages")
        )

    @property
    @abc.abstractmethod
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""

    @abc.abstractmethod
    async def read(self, most: int) -> bytes:
        """Return the body once it is whole, is cut, or has so many bytes."""

    def check_headers(self) -> None:
        """Join the parts of ``Accept``, which may be sent several times.

        Raises:
            BadRequest: A header that identifies the caller was sent twice.
        """
        if len(self.headers) == len(self._pairs):
            return
        names = [name for name, _ in self._pairs]
        for name in SINGLE_HEADERS:
            if names.count(name) > 1:
                raise BadRequest(
                    f"The header {name.decode()} must be sent once.",
                    title="Invalid header value",
                )
        if b"accept" in self.headers:
            parts = [value for name, value in self._pairs if name == b"accept"]
            self.headers[b"accept"] = b",".join(parts)


class BodySource(Protocol):
    """The side of a connection that its request uses."""

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""

    def read_body(self) -> None:
        """Read the body that the edge waits for; ask the peer if it holds it back."""


class HttpRequest(RestRequest):
    """A request whose body arrives on a connection.

    Args:
        source: The connection.
        head: The head.
        keep_alive: True if the peer wants to keep the connection open.

    Attributes:
        keep_alive: True if the connection may stay open after the answer.
        expects: True while the peer holds the body back until it is asked for it.
        is_answered: True if its answer was sent, or is not needed any more.
        task: The task that serves it.

    Raises:
        httptools.HttpParserInvalidURLError: The target is not a URL.
    """

    __slots__ = (
        *("_body", "_is_whole", "_source", "_waiter", "_wanted"),
        *("expects", "is_answered", "keep_alive", "task"),
    )

    task: asyncio.Task[None]

    def __init__(self, source: BodySource, head: Head, *, keep_alive: bool) -> None:
        url = httptools.parse_url(head.target)
        path, query = url.path.decode("ascii"), url.query
        super().__init__(
            head.method,
            unquote(path) if "%" in path else path,
            query.decode() if query else "",
            head.headers,
        )
        is_new = head.version != "1.0"
        expected = self.headers.get(b"expect", b"").lower()
        self.keep_alive = keep_alive and is_new
        self.expects = is_new and expected == b"100-continue"
        self.is_answered = False
        self._source = source
        self._body = bytearray()
        self._wanted = HIGH_WATER
        self._is_whole = False
        self._waiter: asyncio.Future[None] | None = None

    # -- the connection's side --------------------------------------------------

    @property
    def takes_more(self) -> bool:
        """True if more of the body may be read; after the answer it is dropped."""
        return self.is_answered or len(self._body) < self._wanted

    def feed(self, part: bytes) -> None:
        """Add a part of the body."""
        self.expects = False
        self._body += part
        if len(self._body) >= self._wanted:
            self._wake()

    def complete(self) -> None:
        """End the body: it is whole."""
        self.expects = False
        self._is_whole = True
        self._wake()

    def cut(self) -> None:
        """End the body, whole or not."""
        self.is_cut = not self._is_whole
        self._wake()

    def close(self) -> None:
        """Drop the reference to the connection, which refers to the request."""
        del self._source

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the edge's side --------------------------------------------------------

    @property
    def is_gone(self) -> bool:
        """True if the peer is known not to read the answer."""
        return self._source.is_gone

    async def read(self, most: int) -> bytes:
        """Return the body once it is whole, is cut, or has so many bytes."""
        self._wanted = most
        if not self._is_whole:
            self._source.read_body()
        while not (self._is_whole or self.is_cut or len(self._body) >= most):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = bytes(self._body)
        self._body.clear()
        return data


# -- what operations read ----------------------------------------------------


class UnsupportedCoding(UnsupportedMediaType):
    """The body is compressed."""

    accepted = ("Accept-Encoding", "identity")


def accepts_json(accept: bytes, *extra: bytes) -> bool:
    """Return True if an ``Accept`` header admits JSON (``rest-v2`` 1.5)."""
    return not accept.strip() or names_media(
        accept, b"*/*", b"application/*", b"application/json", *extra
    )


@functools.lru_cache(maxsize=512)
def names_media(accept: bytes, *admitted: bytes) -> bool:
    """Return True if an ``Accept`` header admits one of these ranges by its name."""
    for item in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in item.split(b";"))
        if media in admitted and not any(_is_zero(text) for text in parameters):
            return True
    return False


def _is_zero(parameter: bytes) -> bool:
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and not value.strip().strip(b"0.")


def check_accept(headers: Headers, *extra: bytes) -> None:
    """Refuse clients that take no JSON.

    Raises:
        NotAcceptable: The header ``Accept`` admits none.
    """
    if b"accept" in headers and not accepts_json(headers[b"accept"], *extra):
        raise NotAcceptable(
            "Only application/json is served here; adjust the Accept header."
        )


def read_query(text: str) -> dict[str, Any]:
    """Return the query parameters; empty ones are left out (``rest-v2`` 1.11).

    Those that are sent again, or with commas, are lists.
    """
    found: dict[str, Any] = {}
    for item in text.split("&") if text else ():
        name, _, value = item.partition("=")
        for part in value.split(","):
            if part:
                found.setdefault(unquote_plus(name), []).append(unquote_plus(part))
    return {name: one if len(one) > 1 else one[0] for name, one in found.items()}


def check_length(request: RestRequest) -> None:
    """Refuse a malformed Content-Length and form-encoded bodies (``rest-v2`` 1.6).

    Raises:
        BadRequest: The request has one.
    """
    headers = request.headers
    length = headers.get(b"content-length")
    if length is None:
        return
    if not length.isdigit():
        raise BadRequest(
            "Content-Length must be a number of bytes.", title="Invalid header value"
        )
    content_type = headers.get(b"content-type", b"").lower()
    if content_type == _FORM and not request.takes_text:
        raise BadRequest(
            "Send JSON: form-encoded bodies are not read.",
            title="Invalid Content-Type",
        )


async def read_values(
    operation: BoundOperation,
    request: RestRequest,
    query: Mapping[str, Any],
    path: Mapping[str, str],
) -> Fields:
    """Return the arguments of an operation, each of its type.

    Raises:
        BadRequest: They are malformed, one is missing, or the request broke off.
        UnsupportedMediaType: The body is compressed, or of another type than the
            operation takes.
    """
    values: dict[str, Any] = operation.query.read(query)
    if operation.body is not None:
        document = await _read_body(operation, request)
        if document:
            if request.takes_text:
                document = message_of(document, operation.max_body)
            operation.check_count(document)
            values.update(operation.body.read(document))
        elif operation.row.body is Body.REQUIRED:
            raise BadRequest(
                "Missing parameters: the request needs a JSON body.",
                title="Invalid request body",
            )
        if operation.measured:
            values["size"] = len(document)
    if request.is_cut or (operation.row.undo is not None and request.is_gone):
        raise BadRequest("The request broke off.", title="Invalid request body")
    values.update(path)
    try:
        return operation.row.fields(**values)
    except TypeError:
        raise BadRequest("A mandatory field is missing.") from None


async def _read_body(operation: BoundOperation, request: RestRequest) -> bytes:
    """Read a request's body within its limit; empty without a body.

    Raises:
        BadRequest: It is too large, or broke off.
        UnsupportedMediaType: It is compressed, or of another type than the
            operation takes.
    """
    headers = request.headers
    row, limit = operation.row, operation.max_body
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise UnsupportedCoding("Content-Encoding must be identity, or not be sent.")
    if row.content_type is not None:
        sent = headers.get(b"content-type", b"").decode("latin-1")
        if sent != row.content_type:
            raise UnsupportedMediaType(f"The body must be {row.content_type}.")
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    data = await request.read(limit + 1)
    if len(data) > limit:
        raise _too_large(limit)
    if request.is_cut:
        raise BadRequest("The request body broke off.", title="Invalid request body")
    return data


class _PostDocument(msgspec.Struct):
    messages: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def message_of(data: bytes, most: int) -> bytes:
    """Return the JSON document of a post whose body may be one bare message.

    An object with ``messages`` is that document. Another JSON value is the body of
    one message, and so is everything else, as a text.

    Args:
        data: What was sent.
        most: Bytes of JSON that the message may have.

    Raises:
        BadRequest: It is not UTF-8, or too long as JSON.
    """
    try:
        body = bytes(msgspec.json.decode(data, type=msgspec.Raw))
        document = msgspec.json.decode(body, type=_PostDocument)
        if document.messages is not msgspec.UNSET:
            return data
    except msgspec.ValidationError:
        pass  # JSON, but not an object
    except RecursionError:
        return data  # the decoder of the operation reports it
    except msgspec.DecodeError:
        body = _as_text(data)
    if len(body) > most:
        raise _too_large(most)
    return b'{"messages":[{"body":%b}]}' % body


def _as_text(data: bytes) -> bytes:
    try:
        return msgspec.json.encode(data.decode())
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The request body is not UTF-8 at byte {error.start}.",
            title="Invalid request body",
        ) from None


def _too_large(limit: int) -> BadRequest:
    return BadRequest(
        f"The request body may have at most {limit} bytes.",
        title="Invalid request body",
    )
