"""Notifications of new messages over WebSocket, as they are posted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypedDict

from zaqarclient import errors, names
from zaqarclient.queues.v2.calls import Calls
from zaqarclient.transport import errors as transport_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zaqarclient.transport.request import Request
    from zaqarclient.transport.ws import WebsocketTransport


class Notification(NamedTuple):
    """A notification of one new message.

    It does not claim the message: to take messages off a queue, claim or pop
    when a notification comes.

    Attributes:
        queue_name: The queue or topic; None if the subscription's ``post_data`` leaves
            it out.
        body: The body of the message, or all that came if ``post_data``
            makes something else of it.
        ttl: Seconds that the message lives, if said.
        document: All that came.
    """

    queue_name: str | None
    body: Any
    ttl: int | None
    document: Any

    @classmethod
    def of(cls, document: Any) -> Notification:
        """Return the notification that a frame holds."""
        if isinstance(document, dict) and "Message_Type" in document:
            return cls(
                document.get("queue_name"),
                document.get("body"),
                document.get("ttl"),
                document,
            )
        return cls(None, document, None, document)

    @property
    def message_id(self) -> str | None:
        """The id of the message, if the listener has ``since``."""
        known = isinstance(self.document, dict) and "Message_Type" in self.document
        return self.document.get("message_id") if known else None


class ListenOptions(TypedDict, total=False):
    """How to listen.

    Attributes:
        ttl: Seconds that the subscriptions last unless renewed, at least 60; the
            service's default if None. They are renewed in time.
        options: Options of the subscriptions, as ``filter`` or ``post_data``.
        timeout: Seconds without a notification after which iterating ends; None to
            wait without end.
        on_reconnect: Called after each reconnection: without ``since``, what was posted
            in between was not pushed.
        since: Begin with the messages behind this id, or with the ``"oldest"``, or with
            what is posted from now on (``"newest"``). Notifications then have ids, and
            after a reconnection none is lost or comes twice. It needs the extension
            ``resume`` of the service, and excludes ``post_data``.
    """

    ttl: int | None
    options: Mapping[str, Any] | None
    timeout: float | None
    on_reconnect: Callable[[], object] | None
    since: str | None


@names.checked
class Listener:
    """Subscriptions of one connection to itself, and what is pushed over it.

    It has a connection of its own, whose end ends the subscriptions. If the
    connection breaks it is opened again, for as long as it takes, and
    subscribed again: with `since` behind the last notification that was taken,
    so that none is lost or comes twice. Without it, what was posted in between
    is not pushed, and `on_reconnect` is the place to look through the queues.
    Subscriptions are renewed before their ttl ends.

    Iterating waits for one notification after the other, until nothing came
    for `timeout` seconds or the listener is closed. One thread at a time may
    wait; any may close.

    Args:
        transport: A transport of its own; closed with the listener.
        prepare: Returns a new request for it.
        queue_names: The queues.
        topics: The topics, by name.
        ttl: Seconds that the subscriptions last unless renewed, at least 60.
        options: Options of the subscriptions, as ``filter`` or ``post_data``.
        timeout: Seconds without a notification that end the iteration; None
            to wait without end.
        on_reconnect: Called without arguments each time it has subscribed
            again, in the thread that waits.
        since: Where to begin, as in `ListenOptions`.

    Raises:
        ValueError: There is no queue and no topic, or with `since` there is a
            ``post_data``, or a queue and a topic of one name.
        zaqarclient.errors.ZaqarError: It could not subscribe.
    """

    def __init__(  # noqa: PLR0913 - the options of a listener
        self,
        transport: WebsocketTransport,
        prepare: Callable[[], Request],
        queue_names: Iterable[str],
        topics: Iterable[str] = (),
        *,
        ttl: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        on_reconnect: Callable[[], object] | None = None,
        since: str | None = None,
    ) -> None:
        queues, topics = dict.fromkeys(queue_names), dict.fromkeys(topics)
        if not (queues or topics):
            raise ValueError("name at least one queue or topic to listen to")
        if since is not None and "post_data" in (options or {}):
            raise ValueError("since needs the ids that post_data may leave out")
        if since is not None and queues.keys() & topics.keys():
            raise ValueError("since needs a listener of its own for a topic")
        names.warn_of(names.option_problems(options))
        self._transport = transport
        self._prepare = prepare
        self._timeout = timeout
        self._closed = threading.Event()
        data = {
            **({} if ttl is None else {"ttl": ttl}),
            **({} if options is None else {"options": dict(options)}),
            **({} if since is None else {"since": since}),
        }
        try:
            for name in queues:
                self._subscribe(name, data)
            for name in topics:
                self._subscribe(name, data, topics=True)
        except BaseException:
            self.close()
            raise
        transport.on_reconnect = on_reconnect
        self._names = (*queues, *topics)

    def __repr__(self) -> str:
        return f"<Listener {', '.join(self._names)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Notification:
        found = self.get(self._timeout)
        if found is None:
            raise StopIteration
        return found

    def get(self, timeout: float | None = None) -> Notification | None:
        """Return the next notification, waiting for it.

        Args:
            timeout: Seconds to wait; None to wait without end.

        Returns:
            The notification; None if none came in time or the listener was
            closed.

        Raises:
            zaqarclient.errors.ZaqarError: The connection broke, and the
                service does not let it subscribe again.
        """
        if self._closed.is_set():
            return None
        try:
            return Notification.of(self._transport.recv(timeout))
        except transport_errors.TimedOut:
            return None
        except (transport_errors.NetworkError, errors.InvalidOperation):
            if self._closed.is_set():
                return None
            raise

    def each(self, handle: Callable[[Notification], object]) -> None:
        """Call a function with each notification, until the iteration ends."""
        for notification in self:
            handle(notification)

    def close(self) -> None:
        """End the subscriptions and the connection; an iteration ends too."""
        self._closed.set()
        self._transport.close()

    def _subscribe(
        self, name: str, data: Mapping[str, Any], *, topics: bool = False
    ) -> None:
        call = Calls(lambda: (self._prepare(), self._transport), topics=topics)
        call("subscription_create", queue_name=name, subscription_data=data)
