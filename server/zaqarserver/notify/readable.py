"""Messages prepared for sending, once for all their subscribers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from zaqarserver.notify import payload
from zaqarserver.spaces import project_of
from zaqarserver.storage.subscriptions import NoticeMessage, Subscription
from zaqarserver.subscribers.filters import Filter, compile_filter, decoded

ReadBody = Callable[[str, str, NoticeMessage], bytes | None]

#: Bounds of the cache: messages, and bytes of their bodies. Decoded bodies may take
#: twenty times as many bytes.
MOST: Final = 10_000
MOST_BYTES: Final = 2 * 1024 * 1024


class ReadableMessage:
    """A message's body as posted; decoded and rendered on first use.

    Args:
        source: The queue or topic.
        message: The message.
        body: Its body as posted, JSON text.
    """

    __slots__ = ("_content", "_document", "_identified", "_message", "_source", "body")

    def __init__(self, source: str, message: NoticeMessage, body: bytes) -> None:
        self.body = body
        self._source = source
        self._message = message
        self._document: Any = None
        self._content: bytes | None = None
        self._identified: bytes | None = None

    @property
    def id(self) -> str:
        """The id of the message."""
        return self._message.id

    @property
    def document(self) -> Any:
        """The decoded body, as filters take it."""
        if self._document is None:
            self._document = decoded(self.body)
        return self._document

    @property
    def content(self) -> bytes:
        """The notification; see :func:`zaqarserver.notify.payload.notification`."""
        if self._content is None:
            message = self._message
            self._content = payload.notification(
                self._source, self.body, message.ttl, message.delay
            )
        return self._content

    @property
    def identified(self) -> bytes:
        """The notification with one more member: the id of the message."""
        if self._identified is None:
            self._identified = payload.identified(self.content, self.id)
        return self._identified


class MessageCache:
    """A bounded cache of the newest messages, which drops the oldest.

    Args:
        readable: Returns the body of a message as JSON text, by project, queue and
            message; ``None`` drops it.
    """

    def __init__(self, readable: ReadBody) -> None:
        self._readable = readable
        self._known: OrderedDict[tuple[str, str, str], ReadableMessage] = OrderedDict()
        self._bytes = 0

    def of(
        self, space: str, source: str, message: NoticeMessage
    ) -> ReadableMessage | None:
        """Return a message, cached or read; ``None`` if a stage drops it."""
        key = (space, source, message.id)
        known = self._known.get(key)
        if known is not None:
            return known
        body = self._readable(project_of(space), source, message)
        if body is None:
            return None
        known = ReadableMessage(source, message, body)
        self._known[key] = known
        self._bytes += len(body)
        while len(self._known) > MOST or self._bytes > MOST_BYTES:
            self._bytes -= len(self._known.popitem(last=False)[1].body)
        return known


class SubscriptionFilter:
    """Selects the messages that a subscription wants; compiles its filter once.

    Args:
        subscription: The subscription, with its filter if it has one.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._raw = subscription.options.get("filter")
        self._filter: Filter | None = None

    def selects(self, known: ReadableMessage) -> bool:
        """Return True if the subscription's filter selects the message.

        Raises:
            BadRequest: The filter is invalid.
        """
        if self._raw is None:
            return True
        if self._filter is None:
            self._filter = compile_filter(self._raw)
        return self._filter.selects(known.document)
