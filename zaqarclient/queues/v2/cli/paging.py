"""Reading lists page by page, and queues again and again as messages come.

Messages are read page after page, each page beginning behind the last message
of the one before. So each message comes once, in the order of the queue, with
its id, whatever happens to the connection in between. Transports
differ only in what ends a pause: time, or a push of the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from zaqarclient.queues.v2.cli.argument_types import seconds as seconds_type
from zaqarclient.queues.v2.cli.arguments import arg, present
from zaqarclient.transport import errors, scheme_of

if TYPE_CHECKING:
    from zaqarclient.queues.v2.client import Client
    from zaqarclient.queues.v2.documents import Statistics
    from zaqarclient.queues.v2.message import Message
    from zaqarclient.queues.v2.queue_or_topic import QueueOrTopic


#: Largest page that a service with default settings gives.
PAGE_SIZE: Final = 20

#: Page that any service gives when no size is named.
DEFAULT_PAGE_SIZE: Final = 10


class Pages:
    """The items of a listing, page after page, up to a limit.

    Args:
        fetch: Reads one page with ``marker`` and ``limit`` (left out when
            None) and returns the iterator of it.
        limit: How many items to give; 0 means all, None means one page of the
            service's own size.
        marker: Where to begin: after this item.
        wait: Seconds to wait for the first page, given to `fetch`.
    """

    def __init__(
        self,
        fetch: Callable[..., Any],
        limit: int | None = None,
        marker: str | None = None,
        wait: float | None = None,
    ) -> None:
        self._fetch = fetch
        self._limit = limit
        self._marker = marker
        self._wait = wait
        #: After iteration: where the next page begins, None at the end.
        self.next_marker: str | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; each page is read when it is needed."""
        marker, wait, given = self._marker, self._wait or None, 0
        seen = {marker}
        while True:
            wanted = self._page_size(given)
            page = self._fetch(**present(marker=marker, limit=wanted, wait=wait))
            items, wait = list(page), None
            yield from items
            given += len(items)
            # The plain lists of tests have no next page.
            marker = getattr(page, "next_marker", None)
            if not items or marker is None or marker in seen:
                return
            if not self._goes_on(given):
                # A page that is not full is the last one; a hint at another one
                # would lead to an empty page.
                full = len(items) >= (wanted or DEFAULT_PAGE_SIZE)
                self.next_marker = marker if full else None
                return
            seen.add(marker)

    def _page_size(self, given: int) -> int | None:
        if self._limit is None:
            return None
        return min(self._limit - given, PAGE_SIZE) if self._limit else PAGE_SIZE

    def _goes_on(self, given: int) -> bool:
        return self._limit == 0 or (self._limit is not None and given < self._limit)


def message_id_of(href: str) -> str:
    """Return the id of the message that a path names."""
    return href.partition("?")[0].rpartition("/")[2]


# -- polling -------------------------------------------------------------------------

#: The first pause after a message, in seconds; each further one is twice as long.
LEAST_PAUSE: Final = 0.25

#: The longest pause where the service does not push, in seconds.
MOST_PAUSE: Final = 5.0

#: The longest pause where the service pushes, in seconds: a push may get lost.
MOST_PAUSE_WITH_PUSH: Final = 30.0

#: How soon a connection that was opened again is noticed, in seconds: what was
#: posted in between was not pushed.
_NOTICE: Final = 1.0

WAIT: Final = arg(
    "--wait",
    "If there is no message, wait until there is one, for so long at most (default: 0)",
    seconds_type,
    default=0.0,
)

#: Passing failures: following a queue waits for their end.
_PASSING: Final = (
    errors.NetworkError,
    errors.TooManyRequests,
    errors.BadGateway,
    errors.ServiceUnavailableError,
    errors.GatewayTimeout,
)


class Pause:
    """The pause between two reads of the queue, which only time ends.

    Args:
        sleep: Waits some seconds.
        on_service: For how many seconds a read waits on the service; then there is no
            pause.
    """

    #: The longest pause to make, in seconds.
    most = MOST_PAUSE

    def __init__(
        self, sleep: Callable[[float], None] = time.sleep, on_service: int = 0
    ) -> None:
        self._sleep = sleep
        self.on_service = on_service

    def wait(self, seconds: float) -> bool:
        """Wait so long; return early, and True, if messages may have come."""
        self._sleep(seconds)
        return False


class PushPause(Pause):
    """A pause that ends when the service pushes something of a queue or topic.

    A notification has no message id, so it only ends the pause. Leaving the context
    ends the subscription.

    Args:
        target: The queue or topic, of a client of an endpoint of WebSocket.

    Raises:
        zaqarclient.errors.ZaqarError: The service does not let this
            connection subscribe.
    """

    most = MOST_PAUSE_WITH_PUSH

    def __init__(self, target: QueueOrTopic) -> None:
        super().__init__()
        self._reconnected = False
        self._listener = target.listen(on_reconnect=self._on_reconnect)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @staticmethod
    def serves(client: Client) -> bool:
        """Return whether the service of a client can push."""
        return scheme_of(client.api_url) in {"ws", "wss"}

    def wait(self, seconds: float) -> bool:
        """Wait so long; return early, and True, if messages may have come."""
        ends = time.monotonic() + seconds
        while not self._reconnected:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            try:
                pushed = self._listener.get(min(left, _NOTICE)) is not None
            except errors.NetworkError:
                return super().wait(max(0.0, ends - time.monotonic()))
            if pushed:
                # One read finds all that was pushed up to now.
                while self._listener.get(0) is not None:
                    pass
                return True
        self._reconnected = False
        return True

    def _on_reconnect(self) -> None:
        self._reconnected = True


class Tail:
    """The messages of a queue behind a marker, and those to come.

    Args:
        fetch: Reads one page with ``limit`` and, unless None, ``marker`` and
            ``wait``, and returns the iterator of it.
        wanted: Returns True for messages to yield.
        marker: Where to begin: behind this message.
        warn: Called with a text when the service does not answer.

    Attributes:
        marker: The last message that was read, or where to begin.
        wanted: As given.
    """

    def __init__(
        self,
        fetch: Callable[..., Any],
        wanted: Callable[[Message], bool],
        marker: str | None = None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._fetch = fetch
        self.wanted = wanted
        self.marker = marker
        self._warn = warn
        self._read_before = False
        self._failing = False

    def __iter__(self) -> Iterator[Message]:
        """Yield the messages to the end of the queue; again, those that came since.

        Raises:
            zaqarclient.errors.ZaqarError: The service failed.
        """
        return self._read()

    def _read(self, wait: int | None = None) -> Iterator[Message]:
        full = True
        while full:
            items = self._page(wait)
            full = len(items) >= PAGE_SIZE
            yield from filter(self.wanted, items)

    def follow(
        self, pause: Pause, clock: Callable[[], float], idle: float | None = None
    ) -> Iterator[Message]:
        """Yield the messages and then those that come, without end.

        Pauses begin short after a message and get longer. Once the service
        has answered, passing failures do not end it: it reads again.

        Args:
            pause: Waits between two reads.
            clock: Returns the time, in seconds.
            idle: End when no message was given for so many seconds.

        Raises:
            zaqarclient.errors.ZaqarError: The service failed for good, or at
                the first look.
        """
        last, seconds, wait = clock(), LEAST_PAUSE, 0
        while True:
            before = self.marker
            for message in self._read_new(wait):
                yield message
                last = clock()
            if self.marker != before:
                seconds = LEAST_PAUSE
            left = float("inf") if idle is None else idle - (clock() - last)
            if left <= 0:
                return
            wait = 0 if self._failing else int(min(pause.on_service, left))
            if wait:
                continue
            woken = pause.wait(min(seconds, left))
            # Nothing is pushed while the service is away.
            most = MOST_PAUSE if self._failing else pause.most
            seconds = LEAST_PAUSE if woken else min(seconds * 2, most)

    def _read_new(self, wait: int) -> Iterator[Message]:
        """Yield the messages that came; none while the service is away."""
        try:
            yield from self._read(wait or None)
        except _PASSING as error:
            if not self._read_before:
                raise
            if not self._failing:
                self._failing = True
                self._warn(str(error))

    def _page(self, wait: int | None) -> list[Message]:
        page = self._fetch(limit=PAGE_SIZE, **present(marker=self.marker, wait=wait))
        items: list[Message] = list(page)
        self._read_before, self._failing = True, False
        if items:
            self.marker = page.next_marker or items[-1].id
        return items


def newest(statistics: Statistics) -> str | None:
    """Return the id of the newest message by the counters of its queue.

    None if there is no message.
    """
    message: Mapping[str, Any] = statistics["messages"].get("newest") or {}
    href = str(message.get("href") or message.get("id") or "")
    return message_id_of(href) or None
